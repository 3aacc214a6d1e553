/** kaem itself, built from a live-bootstrap checkout that the environment names. Nothing of that checkout is part of this project. */
import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync } from "node:fs";
import { join } from "node:path";

/** A checkout of live-bootstrap with its submodules. */
export const LIVE_BOOTSTRAP = process.env["HIPERISO_LIVE_BOOTSTRAP"];

/** Why there is no kaem, for the name of a skipped test; "" where there is one. */
export const noKaem =
  LIVE_BOOTSTRAP === undefined
    ? "skipped: HIPERISO_LIVE_BOOTSTRAP names no checkout"
    : !existsSync(join(LIVE_BOOTSTRAP, "seed/stage0-posix/mescc-tools/Kaem/kaem.c"))
      ? "skipped: the checkout has no stage0-posix/mescc-tools"
      : spawnSync("gcc", ["--version"]).status !== 0
        ? "skipped: there is no gcc"
        : "";

/** Builds `kaem` and `match` in `folder`, which is given back as a PATH. */
export function buildKaem(folder: string): string {
  const stage0 = join(LIVE_BOOTSTRAP!, "seed/stage0-posix");
  // The sources name ../M2libc, which is a submodule of a submodule.
  const source = join(folder, "source");
  const bin = join(folder, "bin");
  mkdirSync(join(source, "M2libc"), { recursive: true });
  mkdirSync(bin);
  cpSync(join(stage0, "mescc-tools/Kaem"), join(source, "Kaem"), { recursive: true });
  for (const name of ["bootstrappable.c", "bootstrappable.h"]) cpSync(join(stage0, "M2libc", name), join(source, "M2libc", name));
  cpSync(join(stage0, "mescc-tools-extra/match.c"), join(source, "match.c"));
  const compile = (output: string, ...sources: readonly string[]) =>
    execFileSync("gcc", ["-D_GNU_SOURCE", "-std=c99", "-w", "-o", join(bin, output), ...sources, "M2libc/bootstrappable.c"], {
      cwd: source,
    });
  compile("kaem", "Kaem/kaem.c", "Kaem/kaem_globals.c", "Kaem/variable.c");
  compile("match", "match.c");
  return bin;
}
