import { execFileSync } from "node:child_process";
import { mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { type BlockSource, cachedSource, memorySource, openImage, windowSource } from "../../src/image/block-source.ts";
import { openImageFacts, probeImage } from "../../src/image/probe.ts";
import { buildHybrid, putGpt } from "./build-image.ts";

const signal = new AbortController().signal;
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-source-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

const counting = Uint8Array.from({ length: 70_000 }, (_, index) => index % 251);

describe("every source", () => {
  const sources: readonly (readonly [string, () => Promise<BlockSource>])[] = [
    ["memory", async () => memorySource(counting)],
    [
      "file",
      async () => {
        const path = join(folder, 'counting, $(x) "name".img');
        await writeFile(path, counting);
        return await openImage(path);
      },
    ],
    [
      "window",
      async () =>
        windowSource(memorySource(Buffer.concat([new Uint8Array(777), counting, new Uint8Array(9)])), 777n, BigInt(counting.length)),
    ],
    ["cache", async () => cachedSource(memorySource(counting), signal)],
  ];

  test.each(sources)("%s: gives what is there, and no more", async (_, make) => {
    await using source = await make();
    expect(source.sizeBytes).toBe(70_000n);
    for (const [offset, length] of [
      [0, 10],
      [16_380, 10],
      [5, 40_000],
      [69_990, 100],
      [70_000, 5],
      [90_000, 5],
      [0, 70_000],
      [3, 0],
    ] as const) {
      expect(await source.read(BigInt(offset), length)).toEqual(counting.slice(offset, offset + length));
    }
  });
});

test("a window beyond the end of its source is empty", async () => {
  const window = windowSource(memorySource(counting), 80_000n, 1n << 60n);
  expect(window.sizeBytes).toBe(0n);
  expect((await window.read(0n, 100)).length).toBe(0);
});

test("the cache reads a page once, and looks at its signal", async () => {
  const offsets: bigint[] = [];
  const abort = new AbortController();
  const inner = memorySource(counting);
  const read: BlockSource["read"] = (offset, length) => {
    offsets.push(offset);
    return inner.read(offset, length);
  };
  const source = cachedSource({ ...inner, read }, abort.signal);
  for (let at = 0n; at < 32_768n; at += 512n) await source.read(at, 512);
  expect(offsets).toEqual([0n, 16_384n]);
  abort.abort(new Error("enough"));
  await expect(source.read(40_000n, 1)).rejects.toThrow("enough");
});

describe("what cannot be opened is wrong usage, and says why", () => {
  const refused = async (path: string, found: string) => {
    const error = await openImage(path).then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    expect(error).toBeInstanceOf(HiperisoError);
    expect(error).toMatchObject({ kind: "usage", where: path, found });
  };

  test("a missing file", () => refused(join(folder, "missing"), "no such file"));
  test("a directory", () => refused(folder, "a directory"));
  test("a special file", () => refused("/dev/null", "a special file"));
  test("a file as a directory", async () => {
    await writeFile(join(folder, "file"), "x");
    await refused(join(folder, "file", "x"), "a part of the path that is not a directory");
  });
  test("an empty file", async () => {
    await writeFile(join(folder, "empty"), "");
    await refused(join(folder, "empty"), "an empty file");
  });
  test("a pipe, without waiting for a writer", async () => {
    execFileSync("mkfifo", [join(folder, "pipe")]);
    await refused(join(folder, "pipe"), "a pipe");
  });
  test("a name with a NUL", () => refused("a\0b", "a path with a NUL character"));
  test("a name that is too long", () => refused(`/${"x".repeat(300)}`, "a name that is too long"));
  test.skipIf(process.getuid?.() === 0)("a file that may not be read", async () => {
    await writeFile(join(folder, "secret"), "x", { mode: 0 });
    await refused(join(folder, "secret"), "no permission to read it");
  });
});

test("a file of 4 TiB with structures at both ends takes no memory and few reads", async () => {
  const path = join(folder, "huge.img");
  const size = 1n << 42n;
  // Head and tail of a GPT disk, as if there were nothing between them.
  const { bytes } = buildHybrid();
  await writeFile(path, bytes.subarray(0, 512 * 34));
  await truncate(path, Number(size));
  const before = process.memoryUsage().rss;
  const facts = await openImageFacts(path, signal);
  expect(process.memoryUsage().rss - before).toBeLessThan(64 << 20);
  expect(facts.sizeBytes).toBe(Number(size));
  expect(facts.gpt).toMatchObject({ table: "primary" });

  // Written where only a bigint or an exact double points.
  const far = (1n << 42n) - 512n;
  await using handle = await open(path, "r+");
  await handle.write(Buffer.from("the last sector"), 0, 15, Number(far));
  await using source = await openImage(path);
  expect(Buffer.from(await source.read(far, 15)).toString()).toBe("the last sector");
});

test("a disk of 2^63 - 1 bytes is read where it can be, and its size is exact", async () => {
  const disk = new Uint8Array(1024 * 512);
  putGpt(disk, []);
  const memory = memorySource(disk);
  const source: BlockSource = {
    ...memory,
    name: "endless",
    sizeBytes: (1n << 63n) - 1n,
    read: async (offset, length) => (offset < 1n << 20n ? memory.read(offset, length) : new Uint8Array(length)),
  };
  const facts = await probeImage(source, signal);
  expect(facts.sizeBytes).toBe("9223372036854775807");
  expect(facts.gpt?.table).toBe("primary");
});
