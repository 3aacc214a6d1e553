/** A root file system as a squashfs: compressed, read only, the live medium's root. */
import { createReadStream } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { stageKind } from "../stage.ts";
import { runTool, toolVersion } from "../tool.ts";

const Options = z.strictObject({
  compression: z.enum(["gzip", "xz", "zstd"]).default("zstd"),
});

const ARGUMENTS = { gzip: ["-comp", "gzip"], xz: ["-comp", "xz", "-Xbcj", "x86"], zstd: ["-comp", "zstd", "-Xcompression-level", "19"] };

/** Output: `root.squashfs`. The tar it is made from carries owners and devices, so this needs no root. */
export const squashfsStage = stageKind({
  kind: "squashfs",
  revision: 1,
  options: Options,
  inputs: { root: "required" },

  async ingredients(_options, { env, job }) {
    return { mksquashfs: await toolVersion("mksquashfs", ["-version"], { env, signal: job.signal }) };
  },

  async run({ compression }, { inputs, output, epochS, env, job }) {
    // The tar names no root folder of its own: without the -root options its mode would be 0777 and its time now.
    // SOURCE_DATE_EPOCH beside these times is a fatal error of mksquashfs, so tools are never given it here.
    const times = ["-mkfs-time", `${epochS}`, "-all-time", `${epochS}`, "-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"];
    await runTool(
      "mksquashfs",
      ["-", join(output, "root.squashfs"), "-tar", "-noappend", ...ARGUMENTS[compression], ...times, "-no-progress", "-quiet"],
      {
        env,
        signal: job.signal,
        input: createReadStream(join(inputs["root"]!, "root.tar")),
      },
    );
  },
});
