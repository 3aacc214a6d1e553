import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { ALIGNED_BYTES_MAX, DirectFile, giveBack, takeAligned } from "../../src/host/direct-file.ts";

const BLOCK = 4096;

/** Memory of the kind, filled, and given back at the end. */
function filled(bytes: number, value: number): Uint8Array & Disposable {
  const memory = takeAligned(bytes).fill(value);
  return Object.assign(memory, { [Symbol.dispose]: () => giveBack(memory) });
}

describe("a file that is written and read past the page cache", () => {
  let folder: string;
  let path: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-direct-"));
    path = join(folder, "file");
    writeFileSync(path, new Uint8Array(16 * BLOCK));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("what goes this way is there for who reads the usual way, and the other way round", async () => {
    await using file = await open(path, "r+");
    await using direct = new DirectFile(file.fd, "read and write");
    using ones = filled(2 * BLOCK, 1);
    const written = await direct.write(ones, BigInt(BLOCK));
    if (written === undefined) return expect(await isRefusedHere(path)).toBe(true); // a file system without it
    expect(written).toBe(2 * BLOCK);
    await file.write(new Uint8Array(BLOCK).fill(2), 0, BLOCK, 2 * BLOCK);
    using seen = filled(4 * BLOCK, 9);
    expect(await direct.read(seen, 0n)).toBe(4 * BLOCK);
    expect([0, 1, 2, 3].map((block) => seen[block * BLOCK])).toEqual([0, 1, 2, 0]);
    expect((await readFile(path)).subarray(0, 4 * BLOCK).equals(seen)).toBe(true);
  });

  test("at the end of the file there are fewer bytes, and behind it none", async () => {
    writeFileSync(path, new Uint8Array(BLOCK + 100).fill(7));
    await using file = await open(path, "r");
    await using direct = new DirectFile(file.fd, "read");
    using seen = filled(2 * BLOCK, 9);
    const count = await direct.read(seen, 0n);
    if (count === undefined) return expect(await isRefusedHere(path)).toBe(true);
    expect(count).toBe(BLOCK + 100);
    expect(await direct.read(seen, BigInt(4 * BLOCK))).toBe(0);
  });

  test("other memory, and places and lengths that are no whole blocks, go the usual way: nothing is written here", async () => {
    const before = await readFile(path);
    await using file = await open(path, "r+");
    await using direct = new DirectFile(file.fd, "read and write");
    using ones = filled(2 * BLOCK, 1);
    const answers = [
      await direct.write(new Uint8Array(BLOCK).fill(1), 0n),
      await direct.write(ones, 512n),
      await direct.write(ones.subarray(512), 0n),
      await direct.write(ones.subarray(0, 1000), 0n),
      await direct.write(ones.subarray(0, 0), 0n),
    ];
    expect(answers).toEqual(Array(answers.length).fill(undefined));
    expect((await readFile(path)).equals(before)).toBe(true);
  });

  test("where the file system knows no such way nothing is lost by asking", async () => {
    await using file = await open("/proc/self/status", "r");
    await using direct = new DirectFile(file.fd, "read");
    using seen = filled(BLOCK, 9);
    expect(await direct.read(seen, 0n)).toBeUndefined();
    expect(seen.every((byte) => byte === 9)).toBe(true);
  });

  test("what the medium says is told", async () => {
    await using file = await open(path, "r");
    await using direct = new DirectFile(file.fd, "read");
    using ones = filled(BLOCK, 1);
    const answer = direct.write(ones, 0n);
    await expect(answer.then((count) => count ?? Promise.reject(new Error("EBADF")))).rejects.toThrow(/EBADF/);
  });

  test("memory is used again, and its length has a limit", () => {
    const one = takeAligned(BLOCK);
    giveBack(one);
    const two = takeAligned(ALIGNED_BYTES_MAX);
    expect(two.buffer).toBe(one.buffer);
    giveBack(two);
    expect(() => takeAligned(ALIGNED_BYTES_MAX + 1)).toThrow(RangeError);
  });
});

async function isRefusedHere(path: string): Promise<boolean> {
  const { constants } = await import("node:fs");
  const file = await open(path, constants.O_RDONLY | constants.O_DIRECT).catch(() => undefined);
  await file?.close();
  return file === undefined;
}
