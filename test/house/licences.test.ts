import { existsSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { describe, expect, test } from "vitest";

const ROOT = resolve(import.meta.dirname, "../..");

const ALLOWED = ["MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0", "BlueOak-1.0.0", "0BSD", "CC0-1.0"];

/** Never shipped, and looked at one by one: MPL-2.0 binds changes to its own files, of which we make none. Comes with vite, which runs the tests. */
const DEVELOPMENT_ONLY = /^node_modules\/lightningcss(-[a-z0-9-]+)?: MPL-2\.0$/;

interface Package {
  readonly name: string;
  readonly licence: string | undefined;
}

/** SPDX: "OR" lets us choose, "AND" does not. Nested expressions do not occur, and would be refused. */
const isAllowed = (licence: string | undefined): boolean =>
  licence
    ?.replace(/^\((.*)\)$/, "$1")
    .split(" OR ")
    .some((choice) => choice.split(" AND ").every((part) => ALLOWED.includes(part))) ?? false;

const refused = (packages: readonly Package[]): string[] =>
  packages.filter(({ licence }) => !isAllowed(licence)).map(({ name, licence }) => `${name}: ${licence ?? "states no licence"}`);

interface Lockfile {
  readonly packages: Readonly<Record<string, { readonly license?: string; readonly dev?: boolean }>>;
}

describe("the licences of dependencies", () => {
  const { packages } = JSON.parse(readFileSync(join(ROOT, "package-lock.json"), "utf8")) as Lockfile;
  const locked = Object.entries(packages).filter(([path]) => path !== "");

  test("were all seen", () => {
    expect(locked.length).toBeGreaterThan(50);
    for (const name of ["zod", "commander", "execa"]) expect(shipped).toContain(`node_modules/${name}`);
    expect(shipped).not.toContain("node_modules/vitest");
  });

  const shipped = new Set(locked.filter(([, { dev }]) => dev !== true).map(([name]) => name));
  const refusedHere = (all: readonly Package[]): string[] => {
    const development = refused(all.filter(({ name }) => !shipped.has(name)));
    return [...refused(all.filter(({ name }) => shipped.has(name))), ...development.filter((line) => !DEVELOPMENT_ONLY.test(line))];
  };

  test("in the lock file are among those we take, also those of binaries for other platforms", () => {
    const stated = locked.filter(([, { license }]) => license !== undefined).map(([name, { license }]) => ({ name, licence: license }));
    expect(refusedHere(stated)).toEqual([]);
  });

  test("in each installed package are among those we take", () => {
    const installed = locked.map(([name]) => ({ name, file: join(ROOT, name, "package.json") })).filter(({ file }) => existsSync(file));
    expect(installed.length).toBeGreaterThan(40);
    const stated = installed.map(({ name, file }) => ({
      name,
      licence: (JSON.parse(readFileSync(file, "utf8")) as { license?: string }).license,
    }));
    expect(refusedHere(stated)).toEqual([]);
  });

  test("are refused when they are none of these", () => {
    const names = ["GPL-3.0", "MIT AND GPL-3.0", "LGPL-2.1 OR GPL-2.0", "MPL-2.0", "UNLICENSED", ""];
    expect(refused([...names, undefined].map((licence) => ({ name: "x", licence })))).toHaveLength(7);
    expect(refused(["MIT", "(MIT OR GPL-2.0)", "Apache-2.0 AND MIT"].map((licence) => ({ name: "x", licence })))).toEqual([]);
  });
});
