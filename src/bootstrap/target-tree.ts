/** What goes where in a target, for each form of bootstrap: a pure function of the plan and of what stands in the checkout. */
import { lstatSync, realpathSync, type Stats, statSync } from "node:fs";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { BootstrapPlan } from "./plan.ts";

export interface TargetEntry {
  /** From the target's root, without a leading slash. */
  readonly path: string;
  readonly kind: "file" | "directory";
  /** The permission bits. */
  readonly mode: number;
  readonly mtimeMs: number;
  /** 0 for a folder. */
  readonly sizeBytes: bigint;
  readonly from: { readonly file: string } | { readonly bytes: Uint8Array };
}

/**
 * 2024-01-01: the time of what no file of the checkout gives one, so that two runs make the same target. Not 0: the tools of ext3 take
 * that for "now".
 */
export const MADE_MTIME_MS = 1_704_067_200_000;

/** The trees of a checkout that a target is made of, each as `listTree` lists it. */
export interface TreeParts {
  readonly stage0: readonly TargetEntry[];
  /** The plain files of `seed/`. */
  readonly seed: readonly TargetEntry[];
  readonly steps: readonly TargetEntry[];
  readonly stepsGuix?: readonly TargetEntry[];
  readonly distfiles: readonly TargetEntry[];
  readonly repo?: readonly TargetEntry[];
  /** What is in the early preseed, where it has to be listed because it goes into a source file system. */
  readonly preseed?: readonly TargetEntry[];
  /** The plan's additions, read. */
  readonly additions: readonly TargetEntry[];
}

export interface TargetTrees {
  /** Root of the system that starts: TARGET, the disk's file system, or what the first image carries. Sorted, each folder before what is in it. */
  readonly guest: readonly TargetEntry[];
  /** Root of the second disk, where that is a file system. */
  readonly external?: readonly TargetEntry[];
  /** What the payload container holds. */
  readonly payload?: readonly { readonly name: string; readonly from: { readonly file: string } }[];
}

/** Throws (`usage`) when a part that the form needs is not in the checkout: a seed for this architecture, a file of the early set. */
export function planTargetTrees(plan: BootstrapPlan, parts: TreeParts): TargetTrees {
  const kernelBootstrap = plan.form === "kernel-bootstrap";
  const { externalSources, earlyPreseed, repo } = plan.options;
  const early = named(parts.distfiles, plan.early);
  const repoEntries = repo === undefined ? [] : below("repo-preseeded", parts.repo ?? []);
  const distfilesOf = (entries: readonly TargetEntry[]) => [...below("distfiles", entries), folder("distfiles")];

  const seeds =
    earlyPreseed === undefined
      ? [
          ...parts.stage0.filter(({ path }) => !kernelBootstrap || !isAt(path, "bootstrap-seeds")),
          ...(kernelBootstrap ? [] : [initOf(plan, parts.stage0)]),
          ...parts.seed,
        ]
      : [...withoutStepsAndExternal(parts.preseed ?? []), renamed(fileOf(parts.seed, "preseeded.kaem", "seed"), "kaem.x86")];
  const guest = [
    ...seeds,
    ...below("steps", parts.steps),
    ...below("steps-guix", parts.stepsGuix ?? []),
    ...madeFiles(plan, parts),
    folder("external"),
    ...below("external", distfilesOf(!kernelBootstrap && externalSources ? parts.distfiles : early)),
    ...(kernelBootstrap ? [] : below("external", repoEntries)),
  ];
  if (!kernelBootstrap) return { guest: settled(guest) };
  if (plan.payload) {
    const late = named(parts.distfiles, plan.late).map(({ path, from }) => ({ name: path, from: from as { readonly file: string } }));
    return { guest: settled(guest), payload: late };
  }
  if (repo === undefined && !externalSources) return { guest: settled(guest) };
  return { guest: settled(guest), external: settled([...distfilesOf(externalSources ? parts.distfiles : early), ...repoEntries]) };
}

/** Configuration and manifest as the plan has them, and what it adds. */
function madeFiles(plan: BootstrapPlan, parts: TreeParts): TargetEntry[] {
  return [
    madeFile("steps/bootstrap.cfg", plan.configuration),
    // Where the plan changes nothing it stays the checkout's own file, with its time.
    ...(plan.manifestChanged
      ? [{ ...madeFile("steps/manifest", plan.manifest), mode: fileOf(parts.steps, "manifest", "steps").mode }]
      : []),
    ...parts.additions,
  ];
}

function initOf({ archDir }: BootstrapPlan, stage0: readonly TargetEntry[]): TargetEntry {
  return renamed(fileOf(stage0, `bootstrap-seeds/POSIX/${archDir}/kaem-optional-seed`, "seed/stage0-posix"), "init");
}

/** The original removes these of what a preseed brings, since the checkout's own take their places. */
const withoutStepsAndExternal = (entries: readonly TargetEntry[]): TargetEntry[] =>
  entries.filter(({ path }) => !isAt(path, "steps") && !isAt(path, "external"));

const isAt = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

function fileOf(entries: readonly TargetEntry[], path: string, root: string): TargetEntry {
  const found = entries.find((entry) => entry.path === path && entry.kind === "file");
  if (found !== undefined) return found;
  throw new HiperisoError({
    what: "make the target",
    where: `${root}/${path}`,
    expected: "a file of the checkout",
    found: "nothing",
    hint: "Is a submodule missing? `git submodule update --init --recursive` brings them all.",
    kind: "usage",
  });
}

/** The plan's files, in its order. All that are missing are named at once. */
function named(distfiles: readonly TargetEntry[], wanted: readonly { readonly name: string }[]): TargetEntry[] {
  const byName = new Map(distfiles.map((entry) => [entry.path, entry]));
  const missing = wanted.filter(({ name }) => byName.get(name)?.kind !== "file").map(({ name }) => name);
  if (missing.length === 0) return wanted.map(({ name }) => byName.get(name)!);
  throw new HiperisoError({
    what: "make the target",
    where: "distfiles",
    expected: `the ${wanted.length} files that the plan puts there`,
    found: `${missing.length} of them missing: ${missing.join(", ")}`,
    hint: "`hiperiso bootstrap sources fetch` brings them.",
    kind: "usage",
  });
}

const below = (top: string, entries: readonly TargetEntry[]): TargetEntry[] =>
  entries.map((entry) => ({ ...entry, path: entry.path === "" ? top : `${top}/${entry.path}` }));

const renamed = (entry: TargetEntry, path: string): TargetEntry => ({ ...entry, path });

const folder = (path: string): TargetEntry => ({
  path,
  kind: "directory",
  mode: 0o755,
  mtimeMs: MADE_MTIME_MS,
  sizeBytes: 0n,
  from: { bytes: new Uint8Array() },
});

/** A file that this program makes. */
export function madeFile(path: string, content: string | Uint8Array, mode = 0o644): TargetEntry {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  return { path, kind: "file", mode, mtimeMs: MADE_MTIME_MS, sizeBytes: BigInt(bytes.length), from: { bytes } };
}

/**
 * Each path once: of files the last one that was given, of folders the first. Folders that nobody listed. Sorted by bytes. The root itself
 * is not listed. Throws where a path would be file and folder.
 */
function settled(entries: readonly TargetEntry[]): readonly TargetEntry[] {
  const byPath = new Map<string, TargetEntry>();
  for (const entry of entries) {
    const before = byPath.get(entry.path);
    if (before !== undefined && before.kind !== entry.kind) throw twoKinds(entry.path);
    if (before === undefined || entry.kind === "file") byPath.set(entry.path, entry);
  }
  for (const { path } of [...byPath.values()]) {
    for (let end = path.lastIndexOf("/"); end > 0; end = path.lastIndexOf("/", end - 1)) {
      const parent = path.slice(0, end);
      const there = byPath.get(parent);
      if (there?.kind === "file") throw twoKinds(parent);
      if (there === undefined) byPath.set(parent, folder(parent));
    }
  }
  byPath.delete("");
  return [...byPath.values()].sort((one, other) => compareBytes(one.path, other.path));
}

const twoKinds = (path: string): HiperisoError =>
  new HiperisoError({ what: "make the target", where: path, expected: "a file or a folder", found: "both", kind: "usage" });

/** The order of the names' bytes in UTF-8, whatever this computer's language. */
export function compareBytes(one: string, other: string): number {
  const common = Math.min(one.length, other.length);
  for (let at = 0; at < common; at += 1) {
    const [here, there] = [one.charCodeAt(at), other.charCodeAt(at)];
    if (here !== there) return rank(here) - rank(there);
  }
  return one.length - other.length;
}

/** Half of a pair stands for a character above all that need no pair, though the numbers of some of these are higher than its own. */
const rank = (unit: number): number => (unit >= 0xd800 && unit < 0xe000 ? unit + 0x10000 : unit);

/** Deeper than any real tree; a symbolic link that leads back up ends here. */
const DEPTH_MAX = 40;

/**
 * `root` itself, as "", and everything below it. Symbolic links are followed; with `links: "walk"` those to folders are listed as empty
 * folders, as the original treats them in what a preseed brought, and those that lead out of it are refused. Throws (`usage`) on what is
 * neither file nor folder, on links to nothing, and on names that are not UTF-8.
 */
export async function listTree(root: string, job: Job, links: "follow" | "walk" = "follow"): Promise<readonly TargetEntry[]> {
  const { entry, descend } = listEntry(root, "", links);
  const entries = [entry];
  if (descend) await listFolder(root, "", 0, job, links, entries);
  return entries;
}

async function listFolder(
  root: string,
  path: string,
  depth: number,
  job: Job,
  links: "follow" | "walk",
  entries: TargetEntry[],
): Promise<void> {
  job.signal.throwIfAborted();
  const where = join(root, path);
  if (depth > DEPTH_MAX) throw unusable(where, `folders at most ${DEPTH_MAX} deep`, "a deeper one: does a symbolic link lead back up?");
  const names = await readdir(where).catch((cause: unknown) => {
    throw unusable(where, "a folder that can be read", reasonOf(cause), cause);
  });
  for (const name of names) {
    const { entry, descend } = listEntry(root, path === "" ? name : `${path}/${name}`, links);
    entries.push(entry);
    if (descend) await listFolder(root, entry.path, depth + 1, job, links, entries);
  }
}

/** `descend`: it is a folder, and what is in it counts. */
function listEntry(root: string, path: string, links: "follow" | "walk"): { readonly entry: TargetEntry; readonly descend: boolean } {
  const file = join(root, path);
  // Node puts U+FFFD where bytes are no UTF-8; under that name the file cannot be opened.
  if (path.includes("\ufffd")) throw unusable(file, "a name in UTF-8", "one that is not");
  const isLink = links === "walk" && path !== "" && lstatSync(file).isSymbolicLink();
  if (isLink) refuseWayOut(root, file);
  const found = statOf(file);
  const common = { path, mode: found.mode & 0o7777, mtimeMs: found.mtimeMs };
  if (found.isFile()) return { entry: { ...common, kind: "file", sizeBytes: BigInt(found.size), from: { file } }, descend: false };
  if (!found.isDirectory()) throw unusable(file, "a file or a folder", "something else");
  const entry: TargetEntry = { ...common, kind: "directory", sizeBytes: 0n, from: { bytes: new Uint8Array() } };
  return { entry, descend: !isLink };
}

/** A link in an archive of somebody else's must not bring a file of this computer into an image. */
function refuseWayOut(root: string, file: string): void {
  const target = realpathOf(file);
  if (target !== undefined && !`${target}/`.startsWith(`${realpathOf(root)}/`)) {
    throw unusable(file, "a symbolic link that stays in the folder", `one to ${target}`);
  }
}

function realpathOf(path: string): string | undefined {
  try {
    return realpathSync(path);
  } catch {
    return undefined;
  }
}

/** Node's synchronous call: a tree has thousands of files, and handing each over to another thread takes ten times as long as looking at it. */
function statOf(file: string): Stats {
  try {
    return statSync(file);
  } catch (cause) {
    const isLink = (cause as NodeJS.ErrnoException).code === "ENOENT" && lstatSync(file, { throwIfNoEntry: false }) !== undefined;
    const isCircle = (cause as NodeJS.ErrnoException).code === "ELOOP";
    const found = isCircle ? "symbolic links in a circle" : isLink ? "a symbolic link to nothing" : reasonOf(cause);
    throw unusable(file, "a file or a folder", found, cause);
  }
}

const unusable = (where: string, expected: string, found: string, cause?: unknown): HiperisoError =>
  new HiperisoError({
    what: "list a folder for the target",
    where,
    expected,
    found,
    kind: "usage",
    ...(cause === undefined ? {} : { cause }),
  });
