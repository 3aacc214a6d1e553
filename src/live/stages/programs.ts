/** A root file system of a few programs and what they need, and of nothing else: no package manager, no shell that nobody asked for. */
import { mkdir, readdir } from "node:fs/promises";
import { join, posix } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { isPlainPath, type TreeEntry } from "../../formats/file-tree.ts";
import { type FileLookup, programClosure } from "../elf-closure.ts";
import { folderLookup } from "../folder-lookup.ts";
import { readDebFiles } from "../packages/deb-files.ts";
import { ArchiveFiles } from "../sandbox/archive-files.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { openTarTree, type TarTree } from "../tar-tree.ts";
import { runTool } from "../tool.ts";

const PLAIN_PATH = z.string().refine(isPlainPath, "expected a plain path without a slash in front");

const Options = z.strictObject({
  programs: z.array(z.string().min(1)).default([]).describe("Names or paths of programs, which go in with their libraries."),
  plugins: z
    .array(PLAIN_PATH)
    .default([])
    .describe(
      "Files that a program opens by name while it runs, so that its own file does not tell of them; with their libraries. A * in the last part stands for anything.",
    ),
  files: z.array(PLAIN_PATH).default([]).describe("Other files. A * in the last part stands for anything."),
});

/**
 * Output: `root.tar`. Programs, plugins and files are looked for in the input `base` first, which goes in as it is, then in the packages. Of each package
 * that something was taken of, its record (var/lib/dpkg/status.d) and its copyright file go in too.
 */
export const programsStage = stageKind({
  kind: "programs",
  revision: 1,
  options: Options,
  inputs: { packages: "required", base: "optional" },
  needs: { cores: 1, memoryMb: 1024 },
  ingredients: async () => ({}),

  async run(options, run) {
    const { inputs, output, scratch, epochS, job } = run;
    const base = inputs["base"] === undefined ? undefined : join(inputs["base"], "root.tar");
    const folder = join(scratch, "packages");
    await mkdir(folder);
    const owners = await unpackOwned(inputs["packages"]!, folder, run);
    const packages = await folderLookup(folder);
    const below = base === undefined ? undefined : await openTarTree(base);
    try {
      const tree = below === undefined ? packages : laidOver(below, packages);
      const taken = new Map<string, TreeEntry>();
      const take = (path: string, content: Uint8Array, mode: number) => {
        if (below?.resolve(path) === undefined) taken.set(path, { kind: "file", path, mode, content });
      };
      const plugins = await expanded(options.plugins, tree);
      for (const { path, content } of await programClosure([...options.programs, ...plugins], tree)) take(path, content, 0o755);
      for (const path of await expanded(options.files, tree)) take(path, (await tree.read(path))!, 0o644);
      const debs = new Set([...taken.keys()].flatMap((path) => owners.get(path) ?? []));
      const records = await recordsOf(debs, inputs["packages"]!, run);
      const files = await ArchiveFiles.open(base, { mtimeS: epochS });
      await files.put([...taken.values(), ...records]);
      await files.write(join(output, "root.tar"), { epochS, scratch, signal: job.signal });
    } finally {
      await below?.[Symbol.asyncDispose]();
    }
  },
});

/** Lays all packages out in one folder. Gives the `.deb` that each path came with. */
async function unpackOwned(folder: string, into: string, { env, job }: StageRun): Promise<ReadonlyMap<string, string>> {
  const owners = new Map<string, string>();
  for (const deb of (await readdir(folder)).sort()) {
    const archive = join(folder, deb);
    await runTool("dpkg-deb", ["--extract", archive, into], { env, signal: job.signal });
    // As `tar -tv` lists them: mode, owner, size, date, time, ./PATH, and of a link its target.
    for (const line of (await runTool("dpkg-deb", ["--contents", archive], { env, signal: job.signal })).split("\n")) {
      const path = /^\S+ +\S+ +[\d,]+ +\S+ +\S+ +\.\/(.+?)(?: (?:->|link to) .*)?$/.exec(line)?.[1];
      if (path !== undefined && !path.endsWith("/")) owners.set(path, deb);
    }
  }
  return owners;
}

const laidOver = (upper: TarTree, lower: FileLookup): FileLookup => ({
  read: async (path) => (await upper.read(path)) ?? (await lower.read(path)),
  list: async (folder) => [...new Set([...(await upper.list(folder)), ...(await lower.list(folder))])].sort(),
});

/** Paths of files; throws where a path or a pattern names none. */
async function expanded(patterns: readonly string[], tree: FileLookup): Promise<readonly string[]> {
  const paths: string[] = [];
  for (const pattern of patterns) {
    const [folder, last] = [posix.dirname(pattern), posix.basename(pattern)];
    const fits = new RegExp(
      `^${last
        .split("*")
        .map((part) => part.replace(/[^A-Za-z0-9_-]/g, "\\$&"))
        .join(".*")}$`,
    );
    const names = last.includes("*") ? (await tree.list(folder)).filter((name) => fits.test(name)) : [last];
    const found: string[] = [];
    for (const name of names) {
      const path = folder === "." ? name : `${folder}/${name}`;
      if ((await tree.read(path)) !== undefined) found.push(path);
    }
    if (found.length === 0) {
      const hint = "Is its package among those of the input `packages`, and of the version that has it there?";
      throw new HiperisoError({ what: "take a file out of packages", where: `/${pattern}`, expected: "a file", found: "none", hint });
    }
    paths.push(...found);
  }
  return paths;
}

/** As images without a package manager keep them: one record a package. */
async function recordsOf(debs: ReadonlySet<string>, folder: string, run: StageRun): Promise<readonly TreeEntry[]> {
  const records: TreeEntry[] = [];
  for (const { name, record, copyright } of await readDebFiles(folder, run, debs)) {
    records.push({ kind: "file", path: `var/lib/dpkg/status.d/${name}`, mode: 0o644, content: new TextEncoder().encode(record) });
    if (copyright !== undefined) records.push({ kind: "file", path: `usr/share/doc/${name}/copyright`, mode: 0o644, content: copyright });
  }
  return records;
}
