/** A checkout of the bootstrap's tree on this computer: its manifest, its lists of sources, and which files it has. Nothing in it is ever changed. */
import { type Dirent, readdirSync, type Stats, statSync } from "node:fs";
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { shellCommand } from "../formats/escape-shell.ts";
import { IMPORT_STEP } from "./import-step.ts";
import { type Manifest, parseManifest } from "./manifest.ts";
import { parseSources, type SourceLine } from "./source-list.ts";

/** A file or folder of the checkout; symbolic links are followed. */
export interface TreeFile {
  /** From the checkout's root, parts joined by `/`. */
  readonly path: string;
  readonly kind: "file" | "directory";
  /** 0 for a folder. */
  readonly sizeBytes: number;
}

/** One folder of steps: `steps`, and `steps-guix` where the tree has it. */
export interface StepFolder {
  /** From the checkout's root. */
  readonly folder: string;
  readonly manifest: Manifest;
  /** By package, for every package that the manifest builds and that has a list. */
  readonly sources: ReadonlyMap<string, readonly SourceLine[]>;
}

export interface Checkout {
  /** As given. */
  readonly root: string;
  readonly manifest: Manifest;
  readonly sources: ReadonlyMap<string, readonly SourceLine[]>;
  readonly guix?: StepFolder;
  /** Everything under `seed`, `steps`, `steps-guix` and the sources of the boot sector, sorted by path. */
  readonly files: readonly TreeFile[];
  /** Text of the boot sector's two stages; absent where that part of the tree is. */
  readonly bootSector?: { readonly stage1: string; readonly stage2: string };
  /** The tree's own step that imports a payload, as text. */
  readonly importStep?: string;
  /** Submodules, relative to the root, whose folders are empty or not there. Those of other architectures among them. */
  readonly missingSubmodules: readonly string[];
  /** What stops nothing but that the person should know. */
  readonly warnings: readonly string[];
}

export const STAGE0 = "seed/stage0-posix";
export const BOOT_SECTOR = {
  folder: "builder-hex0",
  stage1: "builder-hex0-x86-stage1.hex0",
  stage2: "builder-hex0-x86-stage2.hex0",
} as const;

const BOOTSTRAP_STEPS = "steps";
const GUIX_STEPS = "steps-guix";
const TEXT_BYTES_MAX = 4 * 1024 * 1024;
/** Deeper than any real tree; a symbolic link that leads back up ends here. */
const DEPTH_MAX = 40;

/** Reads what the plan needs, and lists the rest. Throws (`usage`) where `root` is no such tree or holds text that cannot be read. */
export async function readCheckout(root: string, job: Job): Promise<Checkout> {
  job.signal.throwIfAborted();
  const isTree = await stat(join(root, BOOTSTRAP_STEPS, "manifest")).then(
    (found) => found.isFile(),
    () => false,
  );
  if (!isTree) {
    throw new HiperisoError({
      what: "read the checkout",
      where: root,
      expected: "a checkout of live-bootstrap, with steps/manifest in it",
      found: (await isFolder(root)) ? "a folder without steps/manifest" : "no folder",
      hint: "Name it with --tree.",
      kind: "usage",
    });
  }
  const files = ["seed", BOOTSTRAP_STEPS, GUIX_STEPS].flatMap((folder) => listTree(root, folder, job));
  const step = `${BOOTSTRAP_STEPS}/improve/${IMPORT_STEP}.sh`;
  const [steps, guix, bootSector, modules, importStep] = await Promise.all([
    readSteps(root, BOOTSTRAP_STEPS),
    isFolder(join(root, GUIX_STEPS)).then((there) => (there ? readSteps(root, GUIX_STEPS) : undefined)),
    readBootSector(root),
    missingSubmodules(root),
    files.some(({ path, kind }) => path === step && kind === "file") ? readText(root, step) : undefined,
  ]);
  job.signal.throwIfAborted();
  return {
    root,
    manifest: steps.manifest,
    sources: steps.sources,
    ...(guix === undefined ? {} : { guix }),
    files: files.sort((a, b) => (a.path < b.path ? -1 : 1)),
    ...(bootSector === undefined ? {} : { bootSector }),
    ...(importStep === undefined ? {} : { importStep }),
    missingSubmodules: modules,
    warnings: [...steps.warnings, ...(guix?.warnings ?? [])],
  };
}

async function readSteps(root: string, folder: string): Promise<StepFolder & { readonly warnings: readonly string[] }> {
  const where = `${folder}/manifest`;
  const manifest = parseManifest(await readText(root, where), where);
  const packages = [...new Set(manifest.lines.filter((line) => line.directive === "build").map((line) => line.name))];
  const warnings: string[] = [];
  const lists = await Promise.all(
    packages.map(async (name) => {
      const path = `${folder}/${name}/sources`;
      if ((await stat(join(root, path)).catch(() => undefined)) === undefined) return undefined;
      const text = await readText(root, path);
      // The guest's shell reads lines with `read`, which drops what no newline ends.
      if (text !== "" && !text.endsWith("\n")) warnings.push(`${path}: the last line has no newline, so the guest will not see it.`);
      return [name, parseSources(text, path)] as const;
    }),
  );
  return { folder, manifest, sources: new Map(lists.filter((list) => list !== undefined)), warnings };
}

async function readText(root: string, path: string): Promise<string> {
  const what = "read the checkout";
  let bytes: Uint8Array;
  try {
    bytes = await readFile(join(root, path));
  } catch (error) {
    throw new HiperisoError({ what, where: path, found: reasonOf(error), kind: "usage", cause: error });
  }
  if (bytes.length > TEXT_BYTES_MAX)
    throw new HiperisoError({ what, where: path, expected: `at most ${TEXT_BYTES_MAX} bytes`, found: `${bytes.length}`, kind: "usage" });
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (error) {
    throw new HiperisoError({ what, where: path, expected: "UTF-8", found: "bytes that are not", kind: "usage", cause: error });
  }
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

async function readBootSector(root: string): Promise<Checkout["bootSector"]> {
  const { folder, stage1, stage2 } = BOOT_SECTOR;
  const there = await Promise.all([stage1, stage2].map((name) => stat(join(root, folder, name)).catch(() => undefined)));
  if (there.some((found) => found === undefined)) return undefined;
  const [first, second] = await Promise.all([readText(root, `${folder}/${stage1}`), readText(root, `${folder}/${stage2}`)]);
  return { stage1: first, stage2: second };
}

/**
 * Every file and folder at or below `folder`; nothing where it is not there. In one go: asking for each of two thousand files by way of the
 * event loop takes several times as long as the plan itself.
 */
function listTree(root: string, folder: string, job: Job, depth = 0): TreeFile[] {
  job.signal.throwIfAborted();
  const refused = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
    new HiperisoError({ what: "read the checkout", where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });
  if (depth > DEPTH_MAX) throw refused(folder, `folders at most ${DEPTH_MAX} deep`, "a deeper one", "Does a symbolic link lead back up?");
  let entries: Dirent[];
  try {
    entries = readdirSync(join(root, folder), { withFileTypes: true });
  } catch (error) {
    if (depth === 0 && (error as NodeJS.ErrnoException).code === "ENOENT") return [];
    throw refused(folder, "a folder that can be read", reasonOf(error));
  }
  return [
    { path: folder, kind: "directory", sizeBytes: 0 },
    ...entries.flatMap((entry): TreeFile[] => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) return listTree(root, path, job, depth + 1);
      const found = foundAt(join(root, path));
      if (typeof found === "string")
        throw refused(path, "a file", found, entry.isSymbolicLink() ? "It is a symbolic link; does it lead somewhere?" : undefined);
      if (found.isDirectory()) return listTree(root, path, job, depth + 1);
      if (!found.isFile()) throw refused(path, "files and folders", "something else");
      return [{ path, kind: "file", sizeBytes: found.size }];
    }),
  ];
}

function foundAt(path: string): Stats | string {
  try {
    return statSync(path);
  } catch (error) {
    return reasonOf(error);
  }
}

/** Submodules that git knows of and has not brought: their folders are empty. Below stage0-posix too, but no deeper, where nothing is needed. */
async function missingSubmodules(root: string): Promise<readonly string[]> {
  const top = await submodulesOf(root, "");
  const nested = await Promise.all(top.map((path) => submodulesOf(root, `${path}/`)));
  const all = [...top, ...nested.flat()];
  const empty = await Promise.all(all.map(async (path) => (await readdir(join(root, path)).catch(() => [])).length === 0));
  return all.filter((_, index) => empty[index]);
}

/** Paths in the `.gitmodules` of a folder, from the checkout's root. */
async function submodulesOf(root: string, folder: string): Promise<readonly string[]> {
  const text = await readFile(join(root, folder, ".gitmodules"), "utf8").catch(() => "");
  return [...text.matchAll(/^[ \t]*path[ \t]*=[ \t]*(.+?)[ \t]*$/gm)]
    .map((match) => match[1]!)
    .filter((path) => !path.startsWith("/") && !path.split("/").includes(".."))
    .map((path) => `${folder}${path}`);
}

/** The command that brings every submodule, for a person to paste. */
export const submoduleCommand = (root: string): string => shellCommand(["git", "-C", root, "submodule", "update", "--init", "--recursive"]);
