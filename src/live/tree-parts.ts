/** Parts that root file systems and initramfs have in common, as entries of a tree. */
import { join } from "node:path";
import { z } from "zod";
import type { TreeEntry } from "../formats/file-tree.ts";
import { takeFiles } from "./source-file.ts";
import { readSourceTree } from "./source-files.ts";

export const BusyboxSchema = z.record(z.string(), z.array(z.string().min(1))).describe("Folder: names in it that are busybox.");

/** The program once, at bin/busybox, and a link to it for each name. */
export function busyboxEntries(program: Uint8Array, folders: z.infer<typeof BusyboxSchema>): readonly TreeEntry[] {
  return [{ kind: "file", path: "bin/busybox", mode: 0o755, content: program }, ...busyboxLinks(folders)];
}

export function busyboxLinks(folders: z.infer<typeof BusyboxSchema>): readonly TreeEntry[] {
  return Object.entries(folders).flatMap(([folder, names]) =>
    names.map((name): TreeEntry => ({ kind: "symlink", path: `${folder}/${name}`, target: "/bin/busybox" })),
  );
}

export const DevicesSchema = z
  .record(
    z.string(),
    z.strictObject({ type: z.enum(["character", "block"]), major: z.int().min(0), minor: z.int().min(0), mode: z.string() }),
  )
  .default({})
  .describe("Device nodes by path. No root is needed: they exist in the archive only.");

export function deviceEntries(devices: z.infer<typeof DevicesSchema>): readonly TreeEntry[] {
  return Object.entries(devices).map(([path, { type, major, minor, mode }]) => ({
    kind: type === "character" ? "character-device" : "block-device",
    path,
    mode: Number.parseInt(mode, 8),
    major,
    minor,
  }));
}

/** `lib/modules/…` of a kernel stage. */
export async function kernelModuleEntries(kernelStage: string, scratch: string): Promise<readonly TreeEntry[]> {
  const folder = join(scratch, "modules");
  await takeFiles(join(kernelStage, "modules.tar"), () => true, folder);
  return await readSourceTree(folder);
}
