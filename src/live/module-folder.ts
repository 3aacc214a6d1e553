/** A folder `lib/modules/<release>` as a kernel's package lays it out: which modules are chosen of it, with all that they need. */
import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { decodeModuleInfo, moduleName } from "../formats/kernel-module.ts";
import { type KernelModule, planModuleLists } from "./module-lists.ts";
import type { SourceFile } from "./source-file.ts";
import type { StageRun } from "./stage.ts";
import { runTool } from "./tool.ts";

export interface ModuleWish {
  /** Names that must be there, as modules or built into the kernel; "all" takes everything. */
  readonly modules: "all" | readonly string[];
  /** Names that are taken where the kernel has them. */
  readonly ifThere: readonly string[];
}

/**
 * Files below `lib/modules/<release>`: the modules, uncompressed, and what depmod would write for them.
 * `folder` is changed: modules that are compressed in it are unpacked there, and the files name them.
 */
export async function chosenModules(folder: string, wish: ModuleWish, run: StageRun): Promise<readonly SourceFile[]> {
  const packed = await modulesBelow(folder);
  const builtin = await textOf(join(folder, "modules.builtin"));
  const chosen = await withDependencies(folder, wish, packed, builtInNames(builtin), run);
  const lists = planModuleLists(chosen, {
    order: await textOf(join(folder, "modules.order")),
    builtin,
    builtinInfo: await readFile(join(folder, "modules.builtin.modinfo")).catch(() => new Uint8Array()),
  });
  const prefix = `lib/modules/${basename(folder)}`;
  return [
    ...chosen.map(({ path }) => ({ path: `${prefix}/${path}`, mode: 0o644, from: join(folder, path) })),
    ...[...lists].map(([name, content]) => ({ path: `${prefix}/${name}`, mode: 0o644, from: content })),
  ];
}

/** Empty where there is no such file: kernels without any built-in module bring none. */
const textOf = async (path: string): Promise<string> => await readFile(path, "latin1").catch(() => "");

/** modules.builtin: a path of a module in each line. */
const builtInNames = (text: string): ReadonlySet<string> =>
  new Set(
    text
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => moduleName(basename(line, ".ko"))),
  );

/** `kernel/drivers/scsi/sr_mod.ko` by `sr_mod`; the path may end in `.xz`, `.zst` or `.gz`. */
async function modulesBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const visit = async (path: string): Promise<void> => {
    for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) await visit(below);
      else if (entry.isFile() && /\.ko(\.\w+)?$/.test(entry.name)) found.set(moduleName(entry.name.replace(/\.ko.*$/, "")), below);
    }
  };
  await visit("");
  return found;
}

/** Wave by wave: what the last one needs is the next. */
async function withDependencies(
  folder: string,
  { modules, ifThere }: ModuleWish,
  packed: ReadonlyMap<string, string>,
  builtIns: ReadonlySet<string>,
  run: StageRun,
): Promise<readonly KernelModule[]> {
  const chosen = new Map<string, KernelModule>();
  const named = modules === "all" ? [...packed.keys()] : modules.map(moduleName);
  let wave = new Set([...named, ...ifThere.map(moduleName).filter((name) => packed.has(name))]);
  while (wave.size > 0) {
    const found = [...wave].filter((name) => !builtIns.has(name) || packed.has(name)).map((name) => [name, packed.get(name)] as const);
    const missing = found.filter(([, path]) => path === undefined).map(([name]) => name);
    if (missing.length > 0) {
      throw new HiperisoError({
        what: "choose kernel modules",
        where: missing.join(", "),
        expected: "modules of this kernel, or built into it",
        found: "neither",
      });
    }
    const paths = new Map(found.map(([name, path]) => [name, path!]));
    await unpackModules(folder, [...paths.values()], run);
    const next = new Set<string>();
    for (const [name, path] of paths) {
      const plain = withoutSuffix(path);
      const info = decodeModuleInfo(await readFile(join(folder, plain)), plain);
      chosen.set(name, { path: plain, info });
      for (const needed of info.depends) next.add(moduleName(needed));
    }
    wave = new Set([...next].filter((name) => !chosen.has(name) && !(builtIns.has(name) && !packed.has(name))));
  }
  return [...chosen.values()];
}

const withoutSuffix = (path: string): string => path.replace(/(\.ko)\.\w+$/, "$1");

const UNPACKERS: readonly (readonly [suffix: string, tool: string, args: readonly string[]])[] = [
  [".xz", "xz", ["--decompress", "--force"]],
  [".zst", "zstd", ["--decompress", "--force", "--quiet", "--rm"]],
  [".gz", "gzip", ["--decompress", "--force"]],
];
/** Far below the limit of a command line's bytes. */
const FILES_AT_ONCE = 200;

async function unpackModules(folder: string, paths: readonly string[], { env, job, log }: StageRun): Promise<void> {
  for (const [suffix, tool, args] of UNPACKERS) {
    const files = paths.filter((path) => path.endsWith(suffix));
    for (let at = 0; at < files.length; at += FILES_AT_ONCE) {
      await runTool(tool, [...args, "--", ...files.slice(at, at + FILES_AT_ONCE)], { env, signal: job.signal, cwd: folder, log });
    }
  }
}
