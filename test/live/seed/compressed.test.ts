import { spawnSync } from "node:child_process";
import { gzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { compressionOf, decompressed } from "../../../src/live/seed/compressed.ts";

const DATA = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * index) >> 8));
const PACKERS = {
  gzip: () => gzipSync(DATA),
  zstd: () => spawnSync("zstd", ["-c"], { input: DATA }).stdout,
  xz: () => spawnSync("xz", ["-c"], { input: DATA }).stdout,
  bzip2: () => spawnSync("bzip2", ["-c"], { input: DATA }).stdout,
};

async function unpacked(
  bytes: Uint8Array,
  signal = new AbortController().signal,
  env: Readonly<Record<string, string | undefined>> = process.env,
) {
  async function* whole() {
    // One byte at first: the magic must be put together.
    yield bytes.subarray(0, 1);
    for (let at = 1; at < bytes.length; at += 10_000) yield bytes.subarray(at, at + 10_000);
  }
  const all: Uint8Array[] = [];
  for await (const piece of decompressed(whole(), { where: "data", env, signal })) all.push(piece);
  return Buffer.concat(all);
}

describe("packed data", () => {
  test.each(Object.keys(PACKERS) as (keyof typeof PACKERS)[])("by %s is known by its first bytes and unpacked", async (name) => {
    const packed = PACKERS[name]();
    expect(compressionOf(packed)).toBe(name);
    expect((await unpacked(packed)).equals(DATA)).toBe(true);
  });

  test.each(Object.keys(PACKERS) as (keyof typeof PACKERS)[])("by %s that is cut is refused", async (name) => {
    const packed = PACKERS[name]();
    await expect(unpacked(packed.subarray(0, packed.length >> 1))).rejects.toThrow(`cannot unpack ${name}: data`);
  });

  test("that is none goes through as it is, also of no bytes at all", async () => {
    expect((await unpacked(DATA)).equals(DATA)).toBe(true);
    expect(await unpacked(new Uint8Array())).toHaveLength(0);
  });

  test("whose program cannot be started is refused with the reason", async () => {
    await expect(unpacked(PACKERS.zstd(), undefined, { PATH: "/nowhere" })).rejects.toThrow(
      /cannot unpack zstd: data: found spawn .* ENOENT/,
    );
  });

  test("stops when the job is aborted", async () => {
    await expect(unpacked(PACKERS.xz(), AbortSignal.abort(new Error("Ctrl-C")))).rejects.toThrow("Ctrl-C");
    await expect(unpacked(PACKERS.gzip(), AbortSignal.abort(new Error("Ctrl-C")))).rejects.toThrow("Ctrl-C");
  });

  test("that nobody reads to its end leaves no program behind", async () => {
    const signal = new AbortController().signal;
    async function* endless() {
      yield PACKERS.zstd();
      for (;;) yield PACKERS.zstd();
    }
    for await (const piece of decompressed(endless(), { where: "data", env: process.env, signal })) {
      expect(piece.length).toBeGreaterThan(0);
      break;
    }
    expect(spawnSync("pgrep", ["-P", `${process.pid}`, "-x", "zstd"], { encoding: "utf8" }).stdout).toBe("");
  });
});
