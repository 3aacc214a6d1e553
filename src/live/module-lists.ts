/**
 * What depmod would write for a set of kernel modules, from what they say of themselves: a system that gets these lists with its modules
 * needs no depmod (kmod: man modules.dep; tools/depmod.c). busybox reads the texts, kmod and systemd the indexes beside them.
 */
import { basename } from "node:path";
import { decodeModinfo, type ModuleInfo, moduleName } from "../formats/kernel-module.ts";
import { encodeKmodIndex, type KmodEntry } from "../formats/kmod-index.ts";

export interface KernelModule {
  /** Below `lib/modules/<release>`: `kernel/drivers/cdrom/cdrom.ko`. */
  readonly path: string;
  readonly info: ModuleInfo;
}

/** What a kernel's package brings beside the modules. Empty where it does not. */
export interface BuiltIns {
  /** modules.order: paths, in the order in which a device's drivers are tried. */
  readonly order: string;
  /** modules.builtin: paths of what is built into the kernel. */
  readonly builtin: string;
  /** modules.builtin.modinfo. */
  readonly builtinInfo: Uint8Array;
}

/** Files by name. The same modules in any order give the same bytes. */
export function planModuleLists(modules: readonly KernelModule[], builtIns: BuiltIns): ReadonlyMap<string, Uint8Array> {
  const sorted = inKernelOrder(modules, builtIns.order);
  const names = sorted.map(({ path }) => nameOf(path));
  const depLines = dependencyLines(sorted, names);
  const aliases = sorted.flatMap(({ info }, priority) => info.aliases.map((alias) => ({ alias, name: names[priority]!, priority })));
  const symbols = sorted.flatMap(({ info }, priority) =>
    info.symbols.map((symbol) => ({ key: `symbol:${symbol}`, value: names[priority]!, priority })),
  );
  const builtin = lines(builtIns.builtin);
  const text = (title: string, content: readonly string[]) => utf8([...(title === "" ? [] : [`# ${title}`]), ...content, ""].join("\n"));
  return new Map([
    [
      "modules.alias",
      text(
        "Aliases extracted from modules themselves.",
        aliases.map(({ alias, name }) => `alias ${alias} ${name}`),
      ),
    ],
    ["modules.alias.bin", index(aliases.map(({ alias, name, priority }) => ({ key: normalized(alias), value: name, priority })))],
    ["modules.builtin", text("", builtin)],
    ["modules.builtin.alias.bin", index(builtinAliases(builtIns.builtinInfo))],
    ["modules.builtin.bin", index(builtin.map((path) => ({ key: nameOf(path), value: "", priority: 0 })))],
    ["modules.builtin.modinfo", builtIns.builtinInfo],
    ["modules.dep", text("", depLines)],
    ["modules.dep.bin", index(depLines.map((value, priority) => ({ key: names[priority]!, value, priority })))],
    [
      "modules.devname",
      text(
        "Device nodes to trigger on-demand module loading.",
        sorted.flatMap(({ info }, at) => deviceLine(names[at]!, info)),
      ),
    ],
    [
      "modules.order",
      text(
        "",
        sorted.map(({ path }) => path),
      ),
    ],
    ["modules.softdep", text("Soft dependencies extracted from modules themselves.", softDependencyLines(sorted, names))],
    [
      "modules.symbols",
      text(
        "Aliases for symbols, used by symbol_request().",
        symbols.map(({ key, value }) => `alias ${key} ${value}`),
      ),
    ],
    ["modules.symbols.bin", index(symbols)],
  ]);
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const lines = (text: string): readonly string[] => text.split("\n").filter((line) => line !== "" && !line.startsWith("#"));
const nameOf = (path: string): string => moduleName(basename(path).replace(/\.ko(\.\w+)?$/, ""));
/** An index takes 7-bit keys only; a device whose pattern has others is found by no kernel either. */
const index = (entries: readonly KmodEntry[]): Uint8Array => encodeKmodIndex(entries.filter(({ key }) => /^[\x01-\x7f]*$/.test(key)));

/** As modules.order has them; those that it does not name come after, by path. */
function inKernelOrder(modules: readonly KernelModule[], order: string): readonly KernelModule[] {
  const places = new Map(lines(order).map((path, place) => [path, place]));
  const placeOf = ({ path }: KernelModule): number => places.get(path) ?? places.size;
  return [...modules].sort((a, b) => placeOf(a) - placeOf(b) || (a.path < b.path ? -1 : 1));
}

/**
 * `path: path of each module that it needs`: all of them, not only the direct ones. Each stands before what it needs itself, since
 * they are loaded from the last to the first.
 */
function dependencyLines(modules: readonly KernelModule[], names: readonly string[]): readonly string[] {
  const byName = new Map(modules.map((module, at) => [names[at]!, module]));
  const visit = (module: KernelModule, seen: Set<KernelModule>, done: KernelModule[]): void => {
    for (const next of [...module.info.depends].reverse()) {
      const needed = byName.get(moduleName(next));
      if (needed === undefined || seen.has(needed)) continue;
      seen.add(needed);
      visit(needed, seen, done);
      done.push(needed);
    }
  };
  return modules.map((module) => {
    const done: KernelModule[] = [];
    visit(module, new Set([module]), done);
    return [`${module.path}:`, ...done.reverse().map(({ path }) => path)].join(" ");
  });
}

/** kmod compares patterns with `_` for `-`, but not inside brackets, where `-` is a range. */
function normalized(alias: string): string {
  return alias.replace(/\[[^\]]*\]?|-/g, (part) => (part === "-" ? "_" : part));
}

/** `NAME FILE c10:229`: the node in /dev that loads the module when it is opened. */
function deviceLine(name: string, { aliases }: ModuleInfo): readonly string[] {
  const file = aliases.map((alias) => /^devname:(.+)$/.exec(alias)?.[1]).find((found) => found !== undefined);
  const numbers = aliases.map((alias) => /^(char|block)-major-(\d+)-(\d+)$/.exec(alias)).find((found) => found !== null);
  if (file === undefined || numbers === undefined) return [];
  const [, type, major, minor] = numbers;
  return [`${name} ${file} ${type === "char" ? "c" : "b"}${major}:${minor}`];
}

const softDependencyLines = (modules: readonly KernelModule[], names: readonly string[]): readonly string[] =>
  modules.flatMap(({ info }, at) => info.softDepends.map((text) => `softdep ${names[at]} ${text}`));

/** `module.alias=pattern` in modules.builtin.modinfo. */
function builtinAliases(info: Uint8Array): readonly KmodEntry[] {
  return decodeModinfo(info).flatMap(([key, value]) => {
    const module = /^(.+)\.alias$/.exec(key)?.[1];
    return module === undefined ? [] : [{ key: normalized(value), value: moduleName(module), priority: 0 }];
  });
}
