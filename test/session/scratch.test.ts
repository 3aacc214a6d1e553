import { mkdir, mkdtemp, readdir, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { exists } from "../../src/session/finalise.ts";
import { makeScratch, removeScratch } from "../../src/session/scratch.ts";
import { livingOwner } from "./fixtures.ts";

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(root, { recursive: true }));

test("is private, and goes with all that is in it", async () => {
  const scratch = await makeScratch(root, livingOwner());
  expect((await stat(scratch)).mode & 0o777).toBe(0o700);
  await mkdir(join(scratch, "attempt-1"));
  await removeScratch(livingOwner(scratch));
  expect(await readdir(root)).toEqual([]);
  await removeScratch(livingOwner(scratch));
});

test("of another process, of another start, or of nobody: it stays", async () => {
  const scratch = await makeScratch(root, livingOwner());
  for (const other of [{ pid: 1 }, { pid_start_ticks: "1" }, { boot_id: "x" }]) await removeScratch({ ...livingOwner(scratch), ...other });
  expect(await exists(scratch)).toBe(true);
  await removeScratch(livingOwner(root));
  await removeScratch(livingOwner(join(root, "missing")));
  expect(await readdir(root)).toHaveLength(1);
});

test("a symbolic link in its place is not followed", async () => {
  const target = await makeScratch(root, livingOwner());
  await writeFile(join(target, "work"), "x");
  await symlink(target, join(root, "link"));
  await removeScratch(livingOwner(join(root, "link")));
  expect(await readdir(target)).toContain("work");
});

test("where none can be made, an error that says so", async () => {
  await writeFile(join(root, "file"), "");
  for (const place of [join(root, "file"), join(root, "missing")]) {
    const thrown = await makeScratch(place, livingOwner()).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(HiperisoError);
    expect(thrown).toMatchObject({ where: place, hint: expect.stringContaining("TMPDIR") });
  }
});
