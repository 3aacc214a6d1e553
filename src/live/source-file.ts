/** Files that are on their way into an archive: in memory, or still on the disk, since all of a kernel's modules are too much to hold at once. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { readable } from "../formats/byte-text.ts";
import { completeTree, isPlainPath, type TreeEntry } from "../formats/file-tree.ts";
import { tarEntryOf, writeTar } from "../formats/tar.ts";
import { type TarMember, wholeContent } from "../formats/tar-entry.ts";
import { readTar } from "../formats/tar-reader.ts";

export interface SourceFile {
  /** Plain and relative, in the archive. */
  readonly path: string;
  readonly mode: number;
  /** Its bytes, or the path of a file on this computer. */
  readonly from: Uint8Array | string;
}

/** Owned by root, sorted, with all folders; read while it is written. */
export async function writeTarOf(files: readonly SourceFile[], target: string, { epochS }: { readonly epochS: number }): Promise<void> {
  await pipeline(Readable.from(writeTar(membersOf(files, epochS))), createWriteStream(target));
}

async function* membersOf(files: readonly SourceFile[], mtimeS: number): AsyncGenerator<TarMember> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const empty = new Uint8Array();
  for (const entry of completeTree(files.map(({ path, mode }): TreeEntry => ({ kind: "file", path, mode, content: empty })))) {
    const header = tarEntryOf(entry, { mtimeS });
    const source = byPath.get(entry.path)?.from;
    if (source === undefined || header.kind !== "file") yield { entry: header, content: inMemory(empty) };
    else if (typeof source === "string")
      yield { entry: { ...header, sizeBytes: (await stat(source)).size }, content: createReadStream(source) };
    else yield { entry: { ...header, sizeBytes: source.length }, content: inMemory(source) };
  }
}

async function* inMemory(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

/** All in memory. */
export async function treeEntriesOf(files: readonly SourceFile[]): Promise<readonly TreeEntry[]> {
  return await Promise.all(
    files.map(async ({ path, mode, from }): Promise<TreeEntry> => {
      return { kind: "file", path, mode, content: typeof from === "string" ? await readFile(from) : from };
    }),
  );
}

/** Writes those files of an archive whose path is wanted below `into`, with modes of their own; links and devices are left out. */
export async function takeFiles(tar: string, wanted: (path: string) => boolean, into: string): Promise<void> {
  for await (const member of readTar(createReadStream(tar), { where: tar })) {
    const path = readable(member.entry.path);
    if (member.entry.kind !== "file" || !isPlainPath(path) || !wanted(path)) continue;
    await mkdir(dirname(join(into, path)), { recursive: true });
    await pipeline(Readable.from(wholeContent(member)), createWriteStream(join(into, path)));
  }
}
