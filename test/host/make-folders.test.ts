import { mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { makeFolders } from "../../src/host/make-folders.ts";

describe("folders", () => {
  let root = "";
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), "hiperiso-folders-"));
  });
  afterAll(() => rm(root, { recursive: true, force: true }));

  it("are made with those above them, also by several at once", async () => {
    const path = join(root, "a/b/c");
    await Promise.all([makeFolders(path), makeFolders(path), makeFolders(join(root, "a/b"))]);
    expect((await stat(path)).isDirectory()).toBe(true);
  });

  it("are not made where a file stands, or where the file system makes none: an error, not a wait without end", async () => {
    await writeFile(join(root, "file"), "");
    await expect(makeFolders(join(root, "file/below"))).rejects.toThrow();
    await expect(makeFolders(join(root, "file"))).rejects.toThrow();
    await expect(makeFolders("/proc/hiperiso/below")).rejects.toThrow();
  });
});
