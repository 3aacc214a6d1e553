import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { syncDirectory, writeFileAtomic, writeHint } from "../../src/host/atomic-file.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

describe("a file replaced whole", () => {
  test.each(["new", 'a "b" $(c)\n,=:ж', "-rf", ".hidden"])("by the name %j", async (name) => {
    const path = join(folder, name);
    await writeFileAtomic(path, "first");
    await writeFileAtomic(path, Uint8Array.of(1, 2, 3));
    expect([...(await readFile(path))]).toEqual([1, 2, 3]);
    expect(await readdir(folder)).toEqual([name]);
  });

  test("a reader sees the old bytes or the new ones, never half", async () => {
    const path = join(folder, "file");
    const contents = ["a", "b"].map((letter) => letter.repeat(300_000));
    await writeFileAtomic(path, contents[0]!);
    let writing = true;
    const reading = (async () => {
      const seen = new Set<string>();
      while (writing) seen.add(await readFile(path, "utf8"));
      return seen;
    })();
    for (let round = 0; round < 10; round += 1) await writeFileAtomic(path, contents[round % 2]!);
    writing = false;
    for (const content of await reading) expect(contents.includes(content)).toBe(true);
  });

  test("many writers of one file: the last rename wins, nothing else stays", async () => {
    const path = join(folder, "file");
    await Promise.all(Array.from({ length: 20 }, (_, index) => writeFileAtomic(path, `${index}`.repeat(1000))));
    expect(await readFile(path, "utf8")).toMatch(/^(\d{1,2})\1{999}$/);
    expect(await readdir(folder)).toEqual(["file"]);
  });

  test("a symbolic link is replaced, not followed", async () => {
    await writeFile(join(folder, "target"), "untouched");
    await symlink("target", join(folder, "link"));
    await writeFileAtomic(join(folder, "link"), "new");
    expect(await readFile(join(folder, "target"), "utf8")).toBe("untouched");
    expect((await stat(join(folder, "link"))).size).toBe(3);
  });

  test.each([
    ["a folder that is not there", "missing/file"],
    ["a file in the place of the folder", "file/file"],
    ["a folder in the place of the file", "folder"],
  ])("%s: an error with path and hint, and no temporary file", async (_, name) => {
    await writeFile(join(folder, "file"), "");
    await mkdir(join(folder, "folder"));
    const thrown = await writeFileAtomic(join(folder, name), "x").catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(HiperisoError);
    expect(thrown).toMatchObject({ where: join(folder, name), hint: expect.stringContaining("--log-dir") });
    expect((await readdir(folder)).sort()).toEqual(["file", "folder"]);
  });
});

test("what a person can do about it", () => {
  const hint = (code: string) => writeHint(Object.assign(new Error(code), { code }));
  expect(hint("ENOSPC")).toMatch(/full/);
  expect(hint("EROFS")).toMatch(/read-only/);
  expect(hint("EACCES")).toMatch(/permissions/);
  expect(writeHint(undefined)).toMatch(/--log-dir/);
});

test("a folder that cannot be synced is no error", async () => {
  await syncDirectory(folder);
  await syncDirectory(join(folder, "missing"));
});
