/** `SHA256SUMS` of a mirror: what `sha256sum -c` reads, so that a mirror can be checked where there is nothing of ours. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { isPartialName } from "./distfiles.ts";

export const MIRROR_SUMS = "SHA256SUMS";

/**
 * Writes the list anew where it changes: `good`, and of the old list whatever is still there and not among them, for a mirror keeps what
 * earlier checkouts named. Sorted by name. Files are not read. The number of files that are listed.
 */
export async function writeMirrorSums(
  folder: string,
  good: readonly { readonly name: string; readonly sha256: string }[],
): Promise<number> {
  const path = join(folder, MIRROR_SUMS);
  const before = await readFile(path, "utf8").catch(() => "");
  const sums = new Map(good.map(({ name, sha256 }) => [name, sha256]));
  for (const [name, sha256] of decodeMirrorSums(before)) {
    if (sums.has(name) || !(await isThere(join(folder, name)))) continue;
    sums.set(name, sha256);
  }
  const text = encodeMirrorSums(sums);
  if (text !== before) await writeFileAtomic(path, text);
  return sums.size;
}

export function encodeMirrorSums(sums: Iterable<readonly [name: string, sha256: string]>): string {
  return [...sums]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, sha256]) => `${sha256}  ${name}\n`)
    .join("");
}

/** Lines of another form are nobody's that we know, and are left out. */
export function decodeMirrorSums(text: string): ReadonlyMap<string, string> {
  const lines = text.matchAll(/^([0-9a-f]{64}) [ *]([^/\\\0-\x1f\x7f]+)$/gm);
  return new Map(
    [...lines].map(([, sha256, name]) => [name!, sha256!] as const).filter(([name]) => name !== MIRROR_SUMS && !isPartialName(name)),
  );
}

const isThere = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;
