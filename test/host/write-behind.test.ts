/** A file that is brought onto the disk while it is written. */
import { mkdtemp, open, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { writtenBehind } from "../../src/host/write-behind.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-behind-"));
});
afterEach(async () => await rm(folder, { recursive: true, force: true }));

describe("a file that is written behind its program", () => {
  test("is what the program wrote, and the program's answer is given on", async () => {
    const path = join(folder, "image");
    const piece = Buffer.alloc(1 << 20, 7);
    const answer = await writtenBehind(path, async () => {
      const file = await open(path, "w");
      for (let index = 0; index < 16; index += 1) await file.write(piece);
      await file.close();
      return 16;
    });
    expect(answer).toBe(16);
    expect(Buffer.concat(Array.from({ length: 16 }, () => piece)).equals(await readFile(path))).toBe(true);
  });

  test("need not be there, and what the program throws is thrown", async () => {
    const path = join(folder, "none");
    expect(await writtenBehind(path, async () => "nothing written")).toBe("nothing written");
    await expect(writtenBehind(path, () => Promise.reject(new Error("the program failed")))).rejects.toThrow("the program failed");
  });
});
