/** A folder of unpacked packages read as the tree that it would be when it is installed: links are followed inside of it, never out. */
import { readdir, readFile, readlink, stat } from "node:fs/promises";
import { join } from "node:path";
import type { FileLookup } from "./elf-closure.ts";
import { resolveInTree } from "./sandbox/resolve.ts";

export async function folderLookup(root: string): Promise<FileLookup> {
  const links = new Map<string, string>();
  const visit = async (folder: string): Promise<void> => {
    for (const entry of await readdir(join(root, folder), { withFileTypes: true })) {
      const path = folder === "" ? entry.name : `${folder}/${entry.name}`;
      if (entry.isSymbolicLink()) links.set(path, await readlink(join(root, path)));
      else if (entry.isDirectory()) await visit(path);
    }
  };
  await visit("");
  const placeOf = (path: string): string => join(root, resolveInTree(path, links));
  return {
    read: async (path) => ((await isFile(placeOf(path))) ? await readFile(placeOf(path)) : undefined),
    list: async (folder) => (await readdir(placeOf(folder)).catch(() => [])).sort(),
  };
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;
