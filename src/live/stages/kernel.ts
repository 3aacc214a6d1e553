/** A kernel out of its package: the image, and those modules that were asked for with all that they need. */
import { copyFile, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { decodeModuleInfo, type ModuleInfo, moduleName } from "../../formats/kernel-module.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { runTool } from "../tool.ts";
import { unpackPackages } from "./unpack.ts";

const MODULE = z.string().regex(/^[A-Za-z0-9_-]+$/);

const Options = z.strictObject({
  modules: z.array(MODULE).describe("Names. One that is built into the kernel is there already."),
  modules_if_there: z.array(MODULE).default([]).describe("Taken where the kernel has them."),
});

/**
 * Output: `vmlinuz`, `release` (as `uname -r`), and `lib/modules/<release>/` with the modules uncompressed, modules.dep and modules.alias.
 * Packages bring neither of these two lists (installing makes them), so they are made from what the modules say of themselves.
 */
export const kernelStage = stageKind({
  kind: "kernel",
  revision: 2,
  options: Options,
  inputs: { package: "required" },
  ingredients: async () => ({}),

  async run({ modules, modules_if_there }, run) {
    const root = join(run.scratch, "package");
    await unpackPackages(run.inputs["package"]!, root, run);
    const { release, folder } = await moduleFolder(root);
    const boot = join(root, "boot", `vmlinuz-${release}`);
    await copyFile(boot, join(run.output, "vmlinuz"));
    await writeFile(join(run.output, "release"), `${release}\n`);

    const target = join(run.output, "lib/modules", release);
    const files = await modulesBelow(folder);
    const wanted = [...modules, ...modules_if_there.filter((name) => files.has(moduleName(name)))];
    const chosen = await withDependencies(wanted, files, await builtIn(folder), run);
    for (const { path, content } of chosen.values()) {
      await mkdir(dirname(join(target, path)), { recursive: true });
      await writeFile(join(target, path), content);
    }
    await mkdir(target, { recursive: true });
    await writeFile(join(target, "modules.dep"), modulesDep(chosen));
    await writeFile(join(target, "modules.alias"), modulesAlias(chosen));
  },
});

async function moduleFolder(root: string): Promise<{ readonly release: string; readonly folder: string }> {
  for (const parent of ["lib/modules", "usr/lib/modules"]) {
    const releases = await readdir(join(root, parent)).catch(() => []);
    if (releases.length === 1) return { release: releases[0]!, folder: join(root, parent, releases[0]!) };
  }
  throw new HiperisoError({
    what: "find the kernel in its package",
    where: root,
    expected: "one folder in lib/modules or usr/lib/modules",
  });
}

/** `kernel/drivers/scsi/sr_mod.ko` by `sr_mod`; the path may end in `.xz`, `.zst` or `.gz`. */
async function modulesBelow(folder: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const visit = async (path: string): Promise<void> => {
    for (const entry of await readdir(join(folder, path), { withFileTypes: true })) {
      const below = join(path, entry.name);
      if (entry.isDirectory()) await visit(below);
      else if (/\.ko(\.\w+)?$/.test(entry.name)) found.set(moduleName(entry.name.replace(/\.ko.*$/, "")), join(folder, below));
    }
  };
  await visit("");
  return found;
}

/** modules.builtin: a path of a module in each line. */
async function builtIn(folder: string): Promise<ReadonlySet<string>> {
  const lines = (await readFile(join(folder, "modules.builtin"), "utf8")).split("\n");
  return new Set(lines.filter((line) => line !== "").map((line) => moduleName(basename(line, ".ko"))));
}

interface Module {
  /** Below `lib/modules/<release>`, without a compression's suffix. */
  readonly path: string;
  readonly content: Uint8Array;
  readonly info: ModuleInfo;
}

async function withDependencies(
  wanted: readonly string[],
  files: ReadonlyMap<string, string>,
  builtIns: ReadonlySet<string>,
  run: StageRun,
): Promise<ReadonlyMap<string, Module>> {
  const chosen = new Map<string, Module>();
  const waiting = wanted.map(moduleName);
  for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
    if (chosen.has(name) || builtIns.has(name)) continue;
    const file = files.get(name);
    if (file === undefined) {
      throw new HiperisoError({
        what: "choose kernel modules",
        where: name,
        expected: "a module of this kernel, or one built into it",
        found: "neither",
      });
    }
    const content = await uncompressed(file, run);
    const info = decodeModuleInfo(content, file);
    const path = file.slice(file.indexOf("/kernel/") + 1).replace(/(\.ko)\.\w+$/, "$1");
    chosen.set(name, { path, content, info });
    waiting.push(...info.depends.map(moduleName));
  }
  return new Map([...chosen].sort(([a], [b]) => (a < b ? -1 : 1)));
}

async function uncompressed(file: string, run: StageRun): Promise<Uint8Array> {
  const tool = { ".xz": "xz", ".zst": "zstd", ".gz": "gzip" }[file.slice(file.lastIndexOf("."))];
  if (tool === undefined) return await readFile(file);
  const plain = join(run.scratch, "module.ko");
  await runTool("sh", ["-c", 'exec "$0" -d -c <"$1" >"$2"', tool, file, plain], { env: run.env, signal: run.job.signal });
  return await readFile(plain);
}

/** `path: path of each module that it needs, nearest first`: all of them, not only the direct ones, as depmod writes it. */
function modulesDep(chosen: ReadonlyMap<string, Module>): string {
  const needed = (name: string, seen: Set<string>): Set<string> => {
    for (const next of chosen.get(name)?.info.depends.map(moduleName) ?? []) {
      if (!chosen.has(next)) continue;
      seen.delete(next); // whoever comes later in the list is loaded earlier
      seen.add(next);
      needed(next, seen);
    }
    return seen;
  };
  return [...chosen]
    .map(([name, { path }]) => `${[`${path}:`, ...[...needed(name, new Set())].map((next) => chosen.get(next)!.path)].join(" ")}\n`)
    .join("");
}

function modulesAlias(chosen: ReadonlyMap<string, Module>): string {
  return [...chosen].flatMap(([name, { info }]) => info.aliases.map((alias) => `alias ${alias} ${name}\n`)).join("");
}
