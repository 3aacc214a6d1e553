/** Which disks of this computer, or which images, are payload containers: by their first bytes, as an importer looks for them. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { decodePayloadHead, isPayload, PAYLOAD_HEAD_BYTES, PayloadDamage, type PayloadWidth } from "../../formats/lbpayld1.ts";
import { openImage } from "../../image/block-source.ts";
import { type DiskNumber, diskNumber } from "../../image/image-facts.ts";

export type ScannedDevice = { readonly path: string } & (
  | { readonly answer: "payload"; readonly width: PayloadWidth; readonly entryCount: DiskNumber; readonly sizeBytes: DiskNumber }
  /** It has the magic, and what follows is no head of a container. */
  | { readonly answer: "damaged"; readonly because: string }
  | { readonly answer: "other" }
  | { readonly answer: "unreadable"; readonly because: string }
);

/** Looks at each path in turn; one that cannot be read is an answer, and the rest are looked at. */
export async function* scanForPayload(paths: Iterable<string>, job: Job): AsyncGenerator<ScannedDevice, void, undefined> {
  for (const path of paths) {
    job.signal.throwIfAborted();
    yield await scanned(path);
  }
}

async function scanned(path: string): Promise<ScannedDevice> {
  try {
    await using source = await openImage(path);
    const head = await source.read(0n, PAYLOAD_HEAD_BYTES);
    if (!isPayload(head)) return { path, answer: "other" };
    const { width, count } = decodePayloadHead(head, path);
    return { path, answer: "payload", width, entryCount: diskNumber(count), sizeBytes: diskNumber(source.sizeBytes) };
  } catch (error) {
    if (error instanceof PayloadDamage) return { path, answer: "damaged", because: `expected ${error.expected}, found ${error.found}` };
    return { path, answer: "unreadable", because: error instanceof HiperisoError ? (error.found ?? error.message) : reasonOf(error) };
  }
}

/**
 * The block devices that the kernel knows, disks and partitions, in its order (proc(5), /proc/partitions: `major minor blocks name`). Throws
 * (`usage`) where there is no such list.
 */
export async function blockDevices({ proc = "/proc", dev = "/dev" } = {}): Promise<readonly string[]> {
  const where = join(proc, "partitions");
  let text: string;
  try {
    text = await readFile(where, "utf8");
  } catch (cause) {
    const hint = "Name the devices or images to look at.";
    throw new HiperisoError({ what: "list the block devices", where, found: reasonOf(cause), hint, kind: "usage", cause });
  }
  return [...text.matchAll(/^ *\d+ +\d+ +\d+ (\S+)$/gm)].map(([, name]) => join(dev, name!));
}
