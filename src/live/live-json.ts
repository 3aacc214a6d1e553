/** `live.json` of a kernel's or initramfs's output: what the stage that makes the medium must know of them. */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";

const LiveJsonSchema = z.object({
  /** Who finds the medium: decides which kernel arguments there are. */
  initramfs: z.enum(["own", "live-boot", "dracut", "none"]),
  /** As `uname -r` says it. */
  release: z.string(),
  /** It has drivers of network cards, for a root image that comes over the network. */
  network: z.boolean().default(false),
});
export type LiveJson = z.infer<typeof LiveJsonSchema>;

export async function writeLiveJson(folder: string, content: LiveJson): Promise<void> {
  await writeFile(join(folder, "live.json"), `${JSON.stringify(content, null, 2)}\n`);
}

/** `folder`: output of a stage of kind kernel or initramfs. */
export async function readLiveJson(folder: string): Promise<LiveJson> {
  const path = join(folder, "live.json");
  try {
    return LiveJsonSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new HiperisoError({ what: "read what a kernel stage says of itself", where: path, found: reasonOf(error), cause: error });
  }
}
