/** A temporary folder for the tests of a file, and shells that write what the program writes in another way. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";

/** A busy disk takes its time with thousands of files. */
const REMOVAL_LIMIT_MS = 300_000;

/** Gone when the tests of the file are through. */
export function testFolder(name: string): { readonly at: (path: string) => string } {
  let folder: string | undefined;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), `hiperiso-${name}-`));
  });
  afterAll(() => {
    if (folder !== undefined) rmSync(folder, { recursive: true, force: true });
  }, REMOVAL_LIMIT_MS);
  return { at: (path) => join(folder!, path) };
}

/** Runs a script of bash with `$1`, `$2`, …; throws with what it said where it fails. */
export function shell(script: string, ...args: readonly string[]): string {
  const options = { encoding: "utf8", env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" } } as const;
  const { status, stdout, stderr } = spawnSync("bash", ["--norc", "-euc", script, "bash", ...args], options);
  if (status !== 0) throw new Error(`bash ended with ${status}: ${stderr}`);
  return stdout;
}
