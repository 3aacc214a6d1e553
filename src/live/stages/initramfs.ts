/** The first root file system, from which the live medium is looked for. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { z } from "zod";
import { encodeCpio } from "../../formats/cpio.ts";
import { readSourceTree, sourcePath, treeDigest } from "../source-files.ts";
import { stageKind } from "../stage.ts";
import { BusyboxSchema, busyboxEntries, DevicesSchema, deviceEntries, kernelModuleEntries } from "../tree-parts.ts";

const Options = z.strictObject({
  files: z.string().describe("Folder beside the plan whose files go in as they are: at least `init`."),
  busybox: BusyboxSchema,
  devices: DevicesSchema,
});

/** Output: `initramfs.cpio.gz`. */
export const initramfsStage = stageKind({
  kind: "initramfs",
  revision: 1,
  options: Options,
  inputs: { busybox: "required", kernel: "required" },

  async ingredients({ files }, { planFolder }) {
    return {
      files: treeDigest(await readSourceTree(sourcePath(planFolder, files))),
      zlib: process.versions.zlib,
    };
  },

  async run({ files, busybox, devices }, { planFolder, inputs, output, epochS }) {
    const archive = encodeCpio(
      [
        ...busyboxEntries(await readFile(join(inputs["busybox"]!, "busybox")), busybox),
        ...deviceEntries(devices),
        ...(await kernelModuleEntries(inputs["kernel"]!)),
        ...(await readSourceTree(sourcePath(planFolder, files))),
      ],
      { mtimeS: epochS },
    );
    // gzip, because an emulated processor unpacks it in a fraction of what xz takes.
    await writeFile(join(output, "initramfs.cpio.gz"), gzipSync(archive, { level: 9 }));
  },
});
