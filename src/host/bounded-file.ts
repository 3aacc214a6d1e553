import { open } from "node:fs/promises";
import { HiperisoError } from "../contract/error.ts";

const FOUND: Readonly<Record<string, string>> = {
  ENOENT: "nothing by this name",
  EISDIR: "a directory",
  EACCES: "a file that you may not read",
};

/**
 * A file that a person wrote, at most `bytesMax` bytes and one more: the one more shows that there is more, whatever the file's size
 * says. Throws (`usage`) when it cannot be read; `what` is what was being done: "read the configuration".
 */
export async function readBounded(path: string, bytesMax: number, what: string): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r");
    const bytes = new Uint8Array(bytesMax + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length === bytes.length) return bytes.subarray(0, length);
    }
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    const found = FOUND[code] ?? String(cause);
    throw new HiperisoError({ what, where: path, expected: "a readable file", found, kind: "usage", cause });
  }
}
