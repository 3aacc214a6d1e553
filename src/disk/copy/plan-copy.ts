/** What a copy will do, found out before its first byte: folders to make, files to write, and all that stands against it in one list. */
import { HiperisoError } from "../../contract/error.ts";
import type { Tree, TreeEntry } from "./tree.ts";

export interface CopySource {
  readonly tree: Tree;
  readonly path: string;
  /** What it shall be called; empty: what is in the folder is copied, not the folder. */
  readonly name: string;
}

export interface CopyWish {
  readonly sources: readonly CopySource[];
  readonly target: Tree;
  readonly destination: string;
  /** It was written as a folder (`…/`), so it has to be one. */
  readonly intoFolder: boolean;
  readonly recursive: boolean;
  /** Files that are there are replaced. */
  readonly force: boolean;
}

export interface PlannedFolder {
  readonly to: string;
  readonly modifiedMs: number;
}

export interface PlannedFile {
  readonly tree: Tree;
  readonly from: string;
  readonly to: string;
  readonly sizeBytes: bigint;
  readonly modifiedMs: number;
  /** Of the file that it replaces; undefined where there is none. */
  readonly replacedBytes: bigint | undefined;
}

export interface CopyPlan {
  /** Each behind the one that it is in. */
  readonly folders: readonly PlannedFolder[];
  readonly files: readonly PlannedFile[];
  readonly totalBytes: bigint;
}

/** Shown of a longer list. */
const REFUSALS_SHOWN = 20;
/** Deeper is a circle, or a volume that lies. */
const DEPTH_MAX = 128;

/** Throws HiperisoError of kind `usage` with all that stands against it, or where there is not enough room; then nothing was written. */
export async function planCopy(wish: CopyWish, signal: AbortSignal): Promise<CopyPlan> {
  const { sources, target, destination, intoFolder } = wish;
  const there = await target.stat(destination);
  const isFolder = there?.kind === "directory";
  const refuse = (expected: string, found: string, hint?: string) =>
    new HiperisoError({ what: "copy", where: target.shown(destination), expected, found, kind: "usage", ...(hint && { hint }) });
  if (!isFolder && (sources.length > 1 || (intoFolder && there !== undefined)))
    throw refuse("a folder", there === undefined ? "nothing of that name" : "a file");
  const planner = new Planner(wish, signal);
  for (const source of sources) {
    const entry = await source.tree.stat(source.path);
    if (entry === undefined) planner.refuse(source.tree.shown(source.path), "there is nothing of that name");
    else if (entry.kind === "directory" && !wish.recursive)
      planner.refuse(source.tree.shown(source.path), "it is a folder: -r copies folders");
    else if (entry.kind !== "directory" && intoFolder && !isFolder) throw refuse("a folder", "nothing of that name");
    else {
      const to = isFolder && source.name !== "" ? target.join(destination, source.name) : destination;
      await planner.add(source, entry, to, source.name === "" || !isFolder ? undefined : source.name);
    }
  }
  planner.refuseOverwrittenSources();
  if (planner.refusals.length > 0) {
    const shown = planner.refusals.slice(0, REFUSALS_SHOWN);
    if (planner.refusals.length > shown.length) shown.push(`and ${planner.refusals.length - shown.length} more`);
    throw refuse("files that can be copied", shown.join("\n"), "Nothing was copied.");
  }
  await planner.checkRoom(destination, refuse);
  return { folders: planner.folders, files: planner.files, totalBytes: planner.totalBytes };
}

class Planner {
  readonly folders: PlannedFolder[] = [];
  readonly files: PlannedFile[] = [];
  readonly refusals: string[] = [];
  totalBytes = 0n;
  readonly #wish: CopyWish;
  readonly #signal: AbortSignal;
  /** By the target's idea of equal names: what is planned to be there. */
  readonly #taken = new Map<string, { readonly from: string; readonly kind: "file" | "directory" }>();
  /** Bytes of entries in folders that are made. */
  readonly #entryBytes = new Map<string, number>();

  constructor(wish: CopyWish, signal: AbortSignal) {
    this.#wish = wish;
    this.#signal = signal;
  }

  /** Names are quoted: one may hold a line feed. */
  refuse(path: string, why: string): void {
    this.refusals.push(`${JSON.stringify(path)}: ${why}`);
  }

  /** `name`: to be judged; undefined where the destination itself names it, which is judged when it is looked up and written. */
  async add(source: CopySource, entry: TreeEntry, to: string, name: string | undefined, made = false, depth = 0): Promise<void> {
    this.#signal.throwIfAborted();
    const { tree, path } = source;
    const { target } = this.#wish;
    const from = tree.shown(path);
    if (entry.kind === "other") {
      this.refuse(from, `it is ${entry.otherKind ?? "neither a file nor a folder"}`);
      return;
    }
    const last = name ?? /([^/]*)$/.exec(to)?.[1] ?? "";
    const fault = last === "" ? undefined : target.nameFault(last);
    if (fault !== undefined) {
      this.refuse(from, `the target cannot hold its name: ${fault}`);
      return;
    }
    const key = target.folded(to);
    const other = this.#taken.get(key);
    if (other !== undefined && !(other.kind === "directory" && entry.kind === "directory")) {
      this.refuse(from, `the target takes its name for the one of ${JSON.stringify(other.from)}`);
      return;
    }
    this.#taken.set(key, { from, kind: entry.kind });
    // In a folder that is not there yet, nothing can be.
    const there = made ? undefined : await target.stat(to);
    if (entry.kind === "file") this.#addFile(source, entry, to, there);
    else await this.#addFolder(source, entry, to, there, depth, other !== undefined);
  }

  #addFile({ tree, path }: CopySource, { sizeBytes, modifiedMs }: TreeEntry, to: string, there: TreeEntry | undefined): void {
    const { target, force } = this.#wish;
    const from = tree.shown(path);
    if (there !== undefined && there.kind !== "file") this.refuse(from, `${target.shown(to)} is a folder`);
    else if (there !== undefined && !force) this.refuse(from, `${target.shown(to)} is there already: --force replaces it`);
    else if (sizeBytes > target.fileBytesMax)
      this.refuse(from, `${sizeBytes} bytes, the target's files have at most ${target.fileBytesMax}`);
    else {
      this.#countEntry(to);
      this.totalBytes += sizeBytes;
      this.files.push({ tree, from: path, to, sizeBytes, modifiedMs: modifiedMs ?? 0, replacedBytes: there?.sizeBytes });
    }
  }

  async #addFolder(
    source: CopySource,
    entry: TreeEntry,
    to: string,
    there: TreeEntry | undefined,
    depth: number,
    twice: boolean,
  ): Promise<void> {
    const { target } = this.#wish;
    const from = source.tree.shown(source.path);
    if (there !== undefined && there.kind !== "directory") {
      this.refuse(from, `${target.shown(to)} is a file`);
      return;
    }
    if (depth > DEPTH_MAX) {
      this.refuse(from, `deeper than ${DEPTH_MAX} folders`);
      return;
    }
    if (there === undefined && !twice) {
      this.#countEntry(to);
      this.#entryBytes.set(to, 0);
      this.folders.push({ to, modifiedMs: entry.modifiedMs ?? 0 });
    }
    for await (const child of source.tree.list(source.path)) {
      const { name } = child;
      if (name === undefined) this.refuse(from, "it holds a name that is not UTF-8");
      else if (name === "" || name === "." || name === ".." || name.includes("/"))
        this.refuse(from, `it holds the name ${JSON.stringify(name)}, which is none`);
      else {
        const path = source.tree.join(source.path, name);
        await this.add({ ...source, path, name }, child, target.join(to, name), name, there === undefined, depth + 1);
      }
    }
  }

  /** A file onto itself, or onto one that is still to be copied. */
  refuseOverwrittenSources(): void {
    const { target } = this.#wish;
    const sources = new Set(this.files.flatMap(({ tree, from }) => (tree.id === target.id ? [target.folded(from)] : [])));
    for (const { tree, from, to } of this.files)
      if (sources.has(target.folded(to))) this.refuse(tree.shown(from), `${target.shown(to)} is to be copied too`);
  }

  #countEntry(to: string): void {
    const slash = to.lastIndexOf("/");
    const folder = to.slice(0, Math.max(slash, 1));
    const before = this.#entryBytes.get(folder);
    if (before !== undefined) this.#entryBytes.set(folder, before + this.#wish.target.entryBytes(to.slice(slash + 1)));
  }

  /** A file that is replaced stays until the new one is whole. Folders that are there are taken to have room for their new names. */
  async checkRoom(destination: string, refuse: (expected: string, found: string) => HiperisoError): Promise<void> {
    const { freeBytes, clusterBytes } = await this.#wish.target.space(destination);
    const cluster = BigInt(clusterBytes);
    const whole = (bytes: bigint) => ((bytes + cluster - 1n) / cluster) * cluster;
    let left = freeBytes;
    for (const bytes of this.#entryBytes.values()) left -= whole(BigInt(Math.max(bytes, 1)));
    let lowest = left;
    for (const { sizeBytes, replacedBytes } of this.files) {
      left -= whole(sizeBytes);
      if (left < lowest) lowest = left;
      if (replacedBytes !== undefined) left += whole(replacedBytes);
    }
    if (lowest < 0n) throw refuse(`room for ${freeBytes - lowest} bytes`, `${freeBytes} bytes free`);
  }
}
