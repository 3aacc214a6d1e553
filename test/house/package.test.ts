import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BuiltProgram, buildProgram } from "../cli/built-program.ts";

interface Manifest {
  readonly version: string;
  readonly bin: Readonly<Record<string, string>>;
  readonly exports: { readonly ".": { readonly types: string; readonly default: string } };
  readonly files: readonly string[];
}

/** The package as somebody installs it, and a project of theirs beside it. */
describe("the installed package", () => {
  let built: BuiltProgram;
  let manifest: Manifest;
  let project: string;

  beforeAll(() => {
    built = buildProgram();
    manifest = JSON.parse(readFileSync(join(built.folder, "package.json"), "utf8"));
    project = join(built.folder, "project");
    mkdirSync(join(project, "node_modules"), { recursive: true });
    symlinkSync(built.folder, join(project, "node_modules/hiperiso"));
    writeFileSync(join(project, "package.json"), '{ "type": "module" }');
  });
  afterAll(() => built?.remove());

  test("brings two commands that start from anywhere", () => {
    expect(Object.keys(manifest.bin)).toEqual(["hiperiso", "hiperiso-log"]);
    for (const [name, file] of Object.entries(manifest.bin)) {
      expect(readFileSync(join(built.folder, file), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
      symlinkSync(join(built.folder, file), join(project, name)); // npm's bin folder holds such links
      const { status, stdout } = spawnSync(process.execPath, [join(project, name), "--version"], { cwd: "/" });
      expect([status, stdout.toString()]).toEqual([0, `${manifest.version}\n`]);
    }
  });

  test("brings all files that the program looks for beside itself", () => {
    for (const file of ["dist", "guest", "live", "schema", "scripts/system-packages.json", "LICENSE"])
      expect(manifest.files).toContain(file);
  });

  test("is a library whose entry can be imported", () => {
    const { types, default: entry } = manifest.exports["."];
    for (const file of [types, entry]) expect(existsSync(join(built.folder, file)), file).toBe(true);
    const script = 'import("hiperiso").then((library) => console.log(Object.keys(library).length))';
    const names = execFileSync(process.execPath, ["-e", script], { cwd: project });
    expect(Number(names.toString())).toBeGreaterThan(0);
  });

  test("is a library whose types a strict project can use, without allowing imports of .ts", () => {
    writeFileSync(
      join(project, "use.ts"),
      'import * as hiperiso from "hiperiso";\nexport const names: readonly string[] = Object.keys(hiperiso);\n',
    );
    const tsc = join(built.folder, "node_modules/.bin/tsc");
    const flags = [
      "--ignoreConfig",
      "--noEmit",
      "--strict",
      "--module",
      "nodenext",
      "--target",
      "es2023",
      "--lib",
      "es2023,esnext.disposable",
      "--types",
      "node",
    ];
    const { stdout } = spawnSync(tsc, [...flags, "use.ts"], { cwd: project });
    expect(stdout.toString()).toBe("");
  });
});
