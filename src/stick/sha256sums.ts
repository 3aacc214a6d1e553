/**
 * Lists of SHA-256 sums, as those who publish images write them:
 *
 *   <64 hex>  NAME          GNU sha256sum; also `<64 hex> *NAME`; `\` in front: `\\` and `\n` in the name are escapes
 *   SHA256 (NAME) = <64 hex>                BSD and `sha256sum --tag`
 *   <64 hex>                                in a file that is the sum of one image: NAME.sha256
 *
 * All other lines are left alone: signatures around them, comments, sums of other kinds.
 */
import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { readBounded } from "../host/bounded-file.ts";

const LIST_BYTES_MAX = 16 << 20;

export interface SumList {
  /** Sums by the last part of each name; one that is there twice with different sums has none. */
  readonly byName: ReadonlyMap<string, string>;
  /** A sum without a name, where there is just one. */
  readonly alone: string | undefined;
}

export function decodeSums(text: string): SumList {
  const byName = new Map<string, string>();
  const doubtful = new Set<string>();
  const alone: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const [, escaped, sum, name] = /^(\\?)([0-9a-fA-F]{64})(?: [ *](.+))?\s*$/.exec(line) ?? [];
    const [, taggedName, taggedSum] = /^SHA256 \((.+)\) = ([0-9a-fA-F]{64})\s*$/.exec(line) ?? [];
    const found = (sum ?? taggedSum)?.toLowerCase();
    if (found === undefined) continue;
    const written = taggedName ?? name;
    if (written === undefined) {
      alone.push(found);
      continue;
    }
    const plain =
      escaped === "\\" ? written.replace(/\\([\\nr])/g, (_, one: string) => (one === "n" ? "\n" : one === "r" ? "\r" : "\\")) : written;
    const last = basename(plain);
    const before = byName.get(last);
    if (before !== undefined && before !== found) doubtful.add(last);
    byName.set(last, found);
  }
  for (const name of doubtful) byName.delete(name);
  return { byName, alone: alone.length === 1 && byName.size === 0 ? alone[0] : undefined };
}

export interface ExpectedSum {
  readonly sha256: string;
  /** The list that it stood in. */
  readonly list: string;
}

/** Throws HiperisoError of kind `usage` where the list cannot be read. */
export async function readSums(path: string): Promise<SumList> {
  const bytes = await readBounded(path, LIST_BYTES_MAX, "read the list of sums");
  if (bytes.length > LIST_BYTES_MAX) {
    throw new HiperisoError({ what: "read the list of sums", where: path, expected: `at most ${LIST_BYTES_MAX} bytes`, kind: "usage" });
  }
  return decodeSums(new TextDecoder().decode(bytes));
}

/** From a list that a person named. Throws (`usage`) where the image is not in it. */
export async function sumFromList(image: string, list: string): Promise<ExpectedSum> {
  const { byName, alone } = await readSums(list);
  const sha256 = byName.get(basename(image)) ?? alone;
  if (sha256 !== undefined) return { sha256, list };
  throw new HiperisoError({
    what: "find the image's SHA-256",
    where: list,
    expected: `a line for ${basename(image)}`,
    found: `${byName.size} other names`,
    kind: "usage",
  });
}

const LIST_NAMES = ["SHA256SUMS", "SHA256SUMS.txt", "sha256sums", "sha256sums.txt", "sha256sum.txt", "sha256.txt"];

/** From a list that stands beside the image; undefined where none names it. */
export async function sumBeside(image: string): Promise<ExpectedSum | undefined> {
  const own = ["sha256", "sha256sum", "sha256.txt", "SHA256"].map((suffix) => `${image}.${suffix}`);
  for (const list of [...own, ...LIST_NAMES.map((name) => join(dirname(image), name))]) {
    if ((await stat(list).catch(() => undefined))?.isFile() !== true) continue;
    const { byName, alone } = await readSums(list);
    const sha256 = byName.get(basename(image)) ?? (own.includes(list) ? alone : undefined);
    if (sha256 !== undefined) return { sha256, list };
  }
  return undefined;
}
