/** A root file system out of files: those that stand beside the plan, programs and modules of other stages. */
import { createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { encodeTar } from "../../formats/tar.ts";
import { readSourceTree, sourcePath, treeDigest } from "../source-files.ts";
import { stageKind } from "../stage.ts";
import { BusyboxSchema, busyboxEntries, DevicesSchema, deviceEntries, kernelModuleEntries } from "../tree-parts.ts";

const Options = z.strictObject({
  files: z.string().describe("Folder beside the plan whose files go in as they are."),
  folders: z
    .record(z.string(), z.string().regex(/^[0-7]{3,4}$/))
    .default({})
    .describe("Folder: its mode, octal."),
  busybox: BusyboxSchema,
  devices: DevicesSchema,
});

/** Output: `root.tar`. */
export const rootfsStage = stageKind({
  kind: "rootfs",
  revision: 1,
  options: Options,
  inputs: { busybox: "required", kernel: "optional" },

  async ingredients({ files }, { planFolder }) {
    return { files: treeDigest(await readSourceTree(sourcePath(planFolder, files))) };
  },

  async run({ files, folders, busybox, devices }, { planFolder, inputs, output, scratch, epochS }) {
    const kernel = inputs["kernel"];
    const entries = [
      ...Object.entries(folders).map(([path, mode]) => ({ kind: "directory" as const, path, mode: Number.parseInt(mode, 8) })),
      ...busyboxEntries(await readFile(join(inputs["busybox"]!, "busybox")), busybox),
      ...deviceEntries(devices),
      ...(kernel === undefined ? [] : await kernelModuleEntries(kernel, scratch)),
      ...(await readSourceTree(sourcePath(planFolder, files))),
    ];
    await pipeline(Readable.from(encodeTar(entries, { mtimeS: epochS })), createWriteStream(join(output, "root.tar")));
  },
});
