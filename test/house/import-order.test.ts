import { readdirSync } from "node:fs";
import { posix, resolve } from "node:path";
import { describe, expect, test } from "vitest";
import { type Module, parseModule, readModules } from "./modules.ts";

const SRC = resolve(import.meta.dirname, "../../src");

/** A folder imports only from folders above it. `docs/ARCHITECTURE.md` says what each is for. */
const FOLDERS = [
  "contract",
  "formats",
  "host",
  "image",
  "disk",
  "config",
  "machine",
  "analysis",
  "session",
  "corpus",
  "suite",
  "live",
  "stick",
  "bootstrap",
  "viewer",
  "cli",
];

/** The library's entry stands beside the folders and below all but the command line. */
const rankOf = (path: string): number =>
  path === "index.ts" ? FOLDERS.indexOf("cli") - 0.5 : FOLDERS.indexOf(posix.dirname(path).split("/")[0]!);

const targetOf = (from: Module, imported: string): string => posix.join(posix.dirname(from.path), imported);

function wrongImports(modules: readonly Module[]): string[] {
  return modules.flatMap((module) =>
    module.imports.flatMap((imported) => {
      if (imported === undefined) return [`${module.path}: a computed import`];
      if (!imported.startsWith("."))
        return imported.startsWith("/") || imported.startsWith("#") ? [`${module.path}: ${imported} is not relative`] : [];
      if (!imported.endsWith(".ts")) return [`${module.path}: ${imported} does not end in .ts`];
      const target = targetOf(module, imported);
      if (rankOf(target) < 0) return [`${module.path}: ${imported} is in no folder of the house`];
      return rankOf(target) > rankOf(module.path) ? [`${module.path} imports ${target}, which stands below it`] : [];
    }),
  );
}

/** Modules that import themselves by way of others, one line a circle. */
function cycles(modules: readonly Module[]): string[] {
  const byPath = new Map(modules.map((module) => [module.path, module]));
  const done = new Set<string>();
  const found: string[] = [];
  const visit = (path: string, way: readonly string[]): void => {
    if (way.includes(path)) found.push([...way.slice(way.indexOf(path)), path].join(" → "));
    const module = byPath.get(path);
    if (module === undefined || done.has(path)) return;
    done.add(path);
    for (const imported of module.imports) if (imported?.startsWith(".")) visit(targetOf(module, imported), [...way, path]);
  };
  for (const { path } of modules) visit(path, []);
  return found;
}

const wrongSurroundings = (modules: readonly Module[]): string[] =>
  modules
    .filter(({ path }) => !/^(host|cli)\//.test(path))
    .flatMap(({ path, surroundings }) => surroundings.map((read) => `${path}: ${read}`));

describe("src/", () => {
  const modules = readModules(SRC);

  test("was seen whole", () => {
    const folders = readdirSync(SRC, { withFileTypes: true }).filter((entry) => entry.isDirectory());
    expect(modules.length).toBeGreaterThanOrEqual(60);
    for (const { name } of folders) expect(FOLDERS, `src/${name}`).toContain(name);
    // Most modules import something; a reader that sees no imports would pass all that follows.
    expect(modules.filter(({ imports }) => imports.length > 0).length).toBeGreaterThan(modules.length / 2);
  });

  test("imports only upwards, by relative paths that end in .ts", () => {
    expect(wrongImports(modules)).toEqual([]);
  });

  test("has no circles, not even of types", () => {
    expect(cycles(modules)).toEqual([]);
  });

  test("reads clock, randomness and environment only in host/ and cli/", () => {
    expect(wrongSurroundings(modules)).toEqual([]);
  });

  test("has no default exports, and no index.ts but the library's", () => {
    expect(modules.filter(({ defaultExport }) => defaultExport).map(({ path }) => path)).toEqual([]);
    expect(modules.filter(({ path }) => path.endsWith("/index.ts")).map(({ path }) => path)).toEqual([]);
  });
});

describe("the check", () => {
  const check = (sources: Record<string, string>) => Object.entries(sources).map(([path, source]) => parseModule(path, source));

  test.each([
    ["a static import", 'import { a } from "../cli/a.ts";'],
    ["an import of a type", 'import type { A } from "../cli/a.ts";'],
    ["a type in place", 'let a: import("../cli/a.ts").A;'],
    ["a dynamic import", 'await import("../cli/a.ts");'],
    ["a re-export", 'export * from "../cli/a.ts";'],
  ])("sees %s that runs down", (_, source) => {
    expect(wrongImports(check({ "formats/b.ts": source }))).toEqual(["formats/b.ts imports cli/a.ts, which stands below it"]);
  });

  test.each(['import "./a";', "await import(name);", 'import "#a";', 'import "../utils/a.ts";'])(
    "sees what is no import of this house: %s",
    (source) => {
      expect(wrongImports(check({ "formats/b.ts": source }))).toHaveLength(1);
    },
  );

  test("sees circles", () => {
    const circle = { "host/a.ts": 'import "./b.ts";', "host/b.ts": 'import type { C } from "./c.ts";', "host/c.ts": 'import "./a.ts";' };
    expect(cycles(check(circle))).toEqual(["host/a.ts → host/b.ts → host/c.ts → host/a.ts"]);
  });

  test.each(["Date.now()", "new Date()", "Math.random()", "process.env", "performance.now()"])(
    "sees %s outside of host/ and cli/",
    (expression) => {
      expect(wrongSurroundings(check({ "session/a.ts": `const a = ${expression};` }))).toHaveLength(1);
      expect(wrongSurroundings(check({ "host/a.ts": `const a = ${expression};` }))).toEqual([]);
    },
  );
});
