/** Files of a root file system that can be looked at and changed, whether it is unpacked or still an archive. */
import type { TreeEntry } from "../../formats/file-tree.ts";

export interface TreeOwner {
  readonly uid: number;
  readonly gid: number;
  /** All below it too. */
  readonly below?: boolean;
}

/**
 * Paths may begin with a slash. Links on the way are followed inside the tree, so that `lib/x` is where lib leads. "Keeps the last link" means that a
 * link at the path itself is what is meant, not what it leads to.
 */
export interface TreeFiles {
  /** Adds or replaces files, owned by root; keeps the last link, but follows it to a folder. */
  put(entries: Iterable<TreeEntry>): Promise<void>;
  /** Adds or replaces the files of an archive, with their owners; also those of folders that are there. */
  putArchive(path: string): Promise<void>;
  /** A file's content; undefined where there is no file. */
  readIfThere(path: string): Promise<Uint8Array | undefined>;
  exists(path: string): Promise<boolean>;
  /** What is below a folder, by its path below it, parents first; empty where there is no folder. Files are those that `readIfThere` reads. */
  list(path: string): Promise<readonly { readonly path: string; readonly kind: string; readonly target?: string }[]>;
  /** Removes a path with all below it; keeps the last link. Nothing where there is nothing. */
  remove(path: string): Promise<void>;
  /** Keeps the last link. Throws where there is nothing. */
  changeOwner(path: string, owner: TreeOwner): Promise<void>;
}
