import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

const ROOT = resolve(import.meta.dirname, "../..");

/** The program as it is installed: compiled, beside its package.json. For tests of the process itself. */
export interface BuiltProgram {
  readonly folder: string;
  /** Absolute path of a compiled module: `cli/hiperiso.js`. */
  module(name: string): string;
  remove(): void;
}

export function buildProgram(): BuiltProgram {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-built-"));
  const tsc = join(ROOT, "node_modules/.bin/tsc");
  // Types are checked by `npm run check`.
  execFileSync(tsc, ["-p", join(ROOT, "tsconfig.build.json"), "--noCheck", "--outDir", join(folder, "dist")], { stdio: "inherit" });
  mkdirSync(join(folder, "scripts"));
  for (const file of ["package.json", "scripts/system-packages.json"]) cpSync(join(ROOT, file), join(folder, file));
  for (const name of ["node_modules", "live"]) symlinkSync(join(ROOT, name), join(folder, name));
  return {
    folder,
    module: (name) => join(folder, "dist", name),
    remove: () => rmSync(folder, { recursive: true }),
  };
}
