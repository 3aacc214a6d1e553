/** Several initrds as one file, which is all that QEMU passes on: the kernel unpacks one archive after the other. */
import { createReadStream, createWriteStream } from "node:fs";
import { pipeline } from "node:stream/promises";

/** An archive of the kernel's initramfs starts at a multiple of this (Documentation/driver-api/early-userspace/buffer-format.rst); zeros between two are skipped. */
const ALIGNMENT_BYTES = 4;

/** Writes `target` anew. Throws the system's error where one of them cannot be read. */
export async function joinInitrds(paths: readonly string[], target: string): Promise<void> {
  await pipeline(padded(paths), createWriteStream(target, { mode: 0o600 }));
}

async function* padded(paths: readonly string[]): AsyncGenerator<Uint8Array> {
  for (const path of paths) {
    let bytes = 0;
    for await (const chunk of createReadStream(path)) {
      bytes += (chunk as Uint8Array).length;
      yield chunk as Uint8Array;
    }
    yield new Uint8Array((ALIGNMENT_BYTES - (bytes % ALIGNMENT_BYTES)) % ALIGNMENT_BYTES);
  }
}
