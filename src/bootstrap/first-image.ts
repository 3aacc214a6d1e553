/** What the first image of a kernel bootstrap comes to, counted from sizes alone: entries, bytes of files, bytes of the image. */
import { encodeSrcfsCommand, encodeSrcLine, SRCFS_NAME_BYTES_MAX, type SrcfsCommand } from "../formats/srcfs.ts";
import { type Checkout, STAGE0, type TreeFile } from "./checkout.ts";
import { type Amount, SRCFS_SIZE_MAX } from "./limits.ts";
import type { BootstrapOptions } from "./options.ts";

const SECTOR_BYTES = 512;
const MIB = 1024 * 1024;

/** What the first kernel does when all files are there: it makes the seeds from their sources and starts the first script. x86 alone. */
export const KICK_OFF: readonly SrcfsCommand[] = [
  { kind: "folder", path: "/bootstrap-seeds" },
  { kind: "folder", path: "/bootstrap-seeds/POSIX" },
  { kind: "folder", path: "/bootstrap-seeds/POSIX/x86" },
  { kind: "hex0", source: "/x86/hex0_x86.hex0", target: "/bootstrap-seeds/POSIX/x86/hex0-seed" },
  { kind: "hex0", source: "/x86/kaem-minimal.hex0", target: "/bootstrap-seeds/POSIX/x86/kaem-optional-seed" },
  { kind: "hex0", source: "/x86/kaem-minimal.hex0", target: "/init" },
  { kind: "run", program: "/bootstrap-seeds/POSIX/x86/kaem-optional-seed", argument: "/kaem.x86" },
];
/** All but the last make a file or a folder. */
const KICK_OFF_SLOTS = KICK_OFF.length - 1;

/** A file or folder that the guest finds at `path`, from its root, without a leading slash. */
export interface ImageEntry {
  readonly path: string;
  readonly kind: "file" | "directory";
  /** Undefined where the file is not there yet. */
  readonly sizeBytes: number | undefined;
}

export interface FirstImage {
  readonly entries: readonly ImageEntry[];
  /** Names that the format has a slot for, those of the kick-off included. */
  readonly slots: number;
  /** All files together. */
  readonly files: Amount;
  /** The image, before it is extended to a target size. */
  readonly image: Amount;
  /** The longest file, and the longest name in bytes. */
  readonly longest: { readonly file: number; readonly name: number };
}

/** `made`: what stands in the target and not in the checkout, or replaces it; distfiles too. */
export function firstImageEntries(
  checkout: Checkout,
  made: readonly ImageEntry[],
  { buildGuixAlso, earlyPreseed }: Pick<BootstrapOptions, "buildGuixAlso" | "earlyPreseed">,
): readonly ImageEntry[] {
  const entries = new Map<string, ImageEntry>();
  const put = (path: string, { kind, sizeBytes }: Omit<ImageEntry, "path">): void => {
    // Whatever lies in a folder called .git, or is called like x.github.txt, is left out, as the original does.
    if (!path.includes(".git")) entries.set(path, { path, kind, sizeBytes });
  };
  const copied = (folder: string, wanted: (path: string, file: TreeFile) => boolean): void => {
    for (const file of checkout.files) {
      const path = file.path.startsWith(`${folder}/`) ? file.path.slice(folder.length + 1) : "";
      if (path !== "" && wanted(path, file)) put(path, file);
    }
  };
  if (earlyPreseed === undefined) {
    copied(STAGE0, (path) => path !== "bootstrap-seeds" && !path.startsWith("bootstrap-seeds/"));
    copied("seed", (path, { kind }) => kind === "file" && !path.includes("/"));
  } else {
    // What is in the tar is not known here: one file of unknown size stands for it.
    put("early-preseed", { kind: "file", sizeBytes: undefined });
    const start = checkout.files.find(({ path }) => path === "seed/preseeded.kaem");
    if (start !== undefined) put("kaem.x86", start);
  }
  for (const folder of buildGuixAlso ? ["steps", "steps-guix"] : ["steps"]) {
    for (const file of checkout.files) if (file.path === folder || file.path.startsWith(`${folder}/`)) put(file.path, file);
  }
  for (const entry of made) {
    const parts = entry.path.split("/");
    for (let length = 1; length < parts.length; length++) {
      const folder = parts.slice(0, length).join("/");
      if (!entries.has(folder)) put(folder, { kind: "directory", sizeBytes: 0 });
    }
    put(entry.path, entry);
  }
  return [...entries.values()];
}

/** `srcfsSector`: where the source file system begins. */
export function measureFirstImage(entries: readonly ImageEntry[], srcfsSector: number): FirstImage {
  let [bytes, lines, unknown, file, name] = [0, encodeSrcLine("", 0n).length, 0, 0, 0];
  for (const { path, sizeBytes } of entries) {
    bytes += sizeBytes ?? 0;
    unknown += sizeBytes === undefined ? 1 : 0;
    lines += lineBytes(path, sizeBytes ?? 0);
    file = Math.max(file, sizeBytes ?? 0);
    name = Math.max(name, nameBytes(path));
  }
  const kickOff = KICK_OFF.reduce((sum, command) => sum + encodeSrcfsCommand(command).length, 0);
  const total = srcfsSector * SECTOR_BYTES + lines + kickOff + bytes;
  return {
    entries,
    slots: entries.length + 1 + KICK_OFF_SLOTS,
    files: { bytes, unknown },
    // Up to the next MiB, and a whole one more where it ends at one.
    image: { bytes: (Math.floor(total / MIB) + 1) * MIB, unknown },
    longest: { file, name },
  };
}

/** Names of plain letters need no encoder: there are thousands of them. */
const PLAIN = /^[\x20-\x7e]*$/;
const UTF8 = new TextEncoder();
const nameBytes = (path: string): number => (PLAIN.test(path) ? path.length : UTF8.encode(path).length);

/** `src SIZE ./PATH` and its newline. Throws (`usage`) on a name with a newline in it, which the format cannot carry. */
function lineBytes(path: string, sizeBytes: number): number {
  const length = nameBytes(path);
  if (PLAIN.test(path) || length > SRCFS_NAME_BYTES_MAX || sizeBytes > SRCFS_SIZE_MAX) return 8 + String(sizeBytes).length + length;
  return encodeSrcLine(path, BigInt(sizeBytes)).length;
}
