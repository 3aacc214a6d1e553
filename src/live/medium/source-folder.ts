/** Files that stand beside the spec and go onto the medium as they are, however large: they are named, not read into memory. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { fileDigest } from "../file-digest.ts";
import { canonicalJson } from "../graph.ts";
import { sourcePath } from "../source-files.ts";
import type { StageSurroundings } from "../stage.ts";
import { sha256 } from "../tool.ts";

export interface SourceFile {
  readonly path: string;
  readonly from: { readonly file: string };
}

/** All files below `folder`, which stays within the spec's own, sorted. Throws (`usage`) at what is neither file nor folder: FAT has no links. */
export async function sourceFolder(planFolder: string, folder: string): Promise<readonly SourceFile[]> {
  const root = sourcePath(planFolder, folder);
  const files: SourceFile[] = [];
  const bad = (where: string, expected: string, found: string) =>
    new HiperisoError({ what: "put files beside the spec onto the medium", where, expected, found, kind: "usage" });
  const visit = async (below: string): Promise<void> => {
    const entries = await readdir(join(root, below), { withFileTypes: true }).catch((error: unknown) => {
      throw bad(join(root, below), "a folder", reasonOf(error));
    });
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const path = below === "" ? entry.name : `${below}/${entry.name}`;
      if (entry.isDirectory()) await visit(path);
      else if (entry.isFile()) files.push({ path, from: { file: join(root, path) } });
      else throw bad(join(root, path), "files and folders", entry.isSymbolicLink() ? "a link" : "something else");
    }
  };
  await visit("");
  return files;
}

/** One digest of all of them: names and contents. */
export async function sourceFolderDigest(
  folder: string,
  { planFolder, cacheFolder }: Pick<StageSurroundings, "planFolder" | "cacheFolder">,
): Promise<string> {
  const files = await sourceFolder(planFolder, folder);
  return sha256(canonicalJson(await Promise.all(files.map(async ({ path, from }) => [path, await fileDigest(from.file, cacheFolder)]))));
}
