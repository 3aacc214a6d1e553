/** From what a person names (files and folders) to what goes into a container. */
import type { Dirent } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { printableBytes } from "../../formats/escape-terminal.ts";
import { kindOf, type PayloadSource } from "./create.ts";

export interface Gathered {
  readonly sources: readonly PayloadSource[];
  /** Of the folders: what a container without folders cannot hold. */
  readonly leftOut: readonly { readonly path: string; readonly kind: string }[];
}

/**
 * A file goes in under its own name; of a folder the plain files in it do, hidden ones too, and links to plain files as what they lead to. What
 * else is in it is left out, and told. Throws (`usage`) for a path that is not there, and for names that are not UTF-8.
 */
export async function gatherSources(paths: readonly string[]): Promise<Gathered> {
  const sources: PayloadSource[] = [];
  const leftOut: { path: string; kind: string }[] = [];
  for (const path of paths) {
    if (!(await statOf(path)).isDirectory()) {
      sources.push({ name: basename(resolve(path)), from: { file: path } });
      continue;
    }
    for (const { name, isPlain } of await entriesIn(path)) {
      const file = join(path, name);
      const found = isPlain ? undefined : await statOf(file);
      if (found === undefined || found.isFile()) sources.push({ name, from: { file } });
      else leftOut.push({ path: file, kind: kindOf(found) });
    }
  }
  return { sources, leftOut };
}

const unusable = (where: string, found: string, cause?: unknown): HiperisoError =>
  new HiperisoError({
    what: "gather the files of a payload container",
    where,
    found,
    kind: "usage",
    ...(cause === undefined ? {} : { cause }),
  });

async function statOf(path: string) {
  try {
    return await stat(path, { bigint: true });
  } catch (cause) {
    const code = (cause as NodeJS.ErrnoException).code;
    throw unusable(path, code === "ENOENT" ? "no such file, or a link to nothing" : reasonOf(cause), cause);
  }
}

/** `isPlain` where the folder itself says so: of a link, and on file systems that keep no kinds in folders, only a look at the file tells. */
async function entriesIn(folder: string): Promise<readonly { readonly name: string; readonly isPlain: boolean }[]> {
  let raw: readonly Dirent<Buffer>[];
  try {
    raw = await readdir(folder, { encoding: "buffer", withFileTypes: true });
  } catch (cause) {
    throw unusable(folder, reasonOf(cause), cause);
  }
  return raw.map((entry) => {
    const name = entry.name.toString("utf8");
    if (Buffer.from(name).equals(entry.name)) return { name, isPlain: entry.isFile() };
    throw unusable(folder, `a name that is not UTF-8: ${printableBytes(entry.name)}`);
  });
}
