/** Files that stand beside a plan and go into a stage as they are. */
import { lstat, readdir, readFile, readlink } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { TreeEntry } from "../formats/file-tree.ts";
import { canonicalJson } from "./graph.ts";
import { sha256 } from "./tool.ts";

/** Absolute path of `relative`, which must stay within the plan's folder. */
export function sourcePath(planFolder: string, relative: string): string {
  const path = resolve(planFolder, relative);
  if (path === resolve(planFolder) || path.startsWith(resolve(planFolder) + sep)) return path;
  throw new HiperisoError({
    what: "find a source of the plan",
    where: relative,
    expected: `a path inside ${planFolder}`,
    found: path,
    kind: "usage",
  });
}

/**
 * All below a folder. Of the modes only "may be run" is taken (0755, else 0644), since that is all that version control and
 * archives keep of them: the same source gives the same image whatever the umask was.
 */
export async function readSourceTree(folder: string, prefix = ""): Promise<readonly TreeEntry[]> {
  const entries: TreeEntry[] = [];
  let names: string[];
  try {
    names = (await readdir(folder)).sort();
  } catch (error) {
    throw new HiperisoError({
      what: "read a source folder of the plan",
      where: folder,
      found: reasonOf(error),
      kind: "usage",
      cause: error,
    });
  }
  for (const name of names) {
    const from = join(folder, name);
    const path = prefix === "" ? name : `${prefix}/${name}`;
    const facts = await lstat(from);
    if (facts.isSymbolicLink()) entries.push({ kind: "symlink", path, target: await readlink(from) });
    else if (facts.isDirectory()) entries.push({ kind: "directory", path, mode: 0o755 }, ...(await readSourceTree(from, path)));
    else if (facts.isFile())
      entries.push({ kind: "file", path, mode: (facts.mode & 0o111) === 0 ? 0o644 : 0o755, content: await readFile(from) });
    else
      throw new HiperisoError({
        what: "read a source folder of the plan",
        where: from,
        expected: "files, folders and links",
        kind: "usage",
      });
  }
  return entries;
}

/** One digest of a whole tree: names, modes, contents. */
export function treeDigest(entries: readonly TreeEntry[]): string {
  return sha256(canonicalJson(entries.map((entry) => (entry.kind === "file" ? { ...entry, content: sha256(entry.content) } : entry))));
}
