import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Job, quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore } from "../../../src/disk/block-store.ts";
import { copyFiles } from "../../../src/disk/copy/copy-files.ts";
import { hostTree } from "../../../src/disk/copy/host-tree.ts";
import { type CopyWish, planCopy } from "../../../src/disk/copy/plan-copy.ts";
import { type Tree, type TreeEntry, volumeTree } from "../../../src/disk/copy/tree.ts";
import { makeExfat } from "../../../src/disk/exfat/make.ts";
import { makeFat } from "../../../src/disk/fat/make.ts";
import { openVolume } from "../../../src/disk/open-volume.ts";
import type { Volume } from "../../../src/disk/volume.ts";

const MIB = 1 << 20;
let folder: string;
let store: BlockStore;
let volume: Volume;
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-copy-"));
  mkdirSync(join(folder, "in"));
  store = memoryStore(new Uint8Array(4 * MIB));
  await makeExfat(store, { serial: 1 }, quietJob);
  volume = await openVolume(store, { readOnly: false }, quietJob);
});
afterEach(() => rmSync(folder, { recursive: true }));

const into = (change: Partial<CopyWish> = {}): CopyWish => ({
  sources: [{ tree: hostTree, path: join(folder, "in"), name: "in" }],
  target: volumeTree(volume, "v"),
  destination: "/",
  intoFolder: true,
  recursive: true,
  force: false,
  ...change,
});
const { signal } = quietJob;

describe("what a plan refuses, all at once", () => {
  test("names that are no UTF-8", async () => {
    writeFileSync(Buffer.concat([Buffer.from(`${folder}/in/`), Buffer.from([0x66, 0xff, 0x6f])]), "");
    await expect(planCopy(into(), signal)).rejects.toThrow(/a name that is not UTF-8/);
  });

  test("files that are too large for FAT, whatever room there is", async () => {
    const image = memoryStore(new Uint8Array(4 * MIB));
    await makeFat(image, { serial: 1 }, quietJob);
    await using fat = await openVolume(image, { readOnly: false }, quietJob);
    writeFileSync(join(folder, "in/large"), "");
    truncateSync(join(folder, "in/large"), 2 ** 32);
    await expect(planCopy(into({ target: volumeTree(fat, "f") }), signal)).rejects.toThrow(
      /4294967296 bytes, the target's files have at most 4294967295/,
    );
    await expect(planCopy(into(), signal)).rejects.toThrow(/room for/);
  });

  test("a long list is cut", async () => {
    for (let index = 0; index < 30; index += 1) writeFileSync(join(folder, `in/a:${index}`), "");
    await expect(planCopy(into(), signal)).rejects.toThrow(/and 10 more/);
  });

  test("a name that FAT would shorten is refused there and taken by exFAT", async () => {
    writeFileSync(join(folder, "in/dot."), "");
    const image = memoryStore(new Uint8Array(4 * MIB));
    await makeFat(image, { serial: 1 }, quietJob);
    await using fat = await openVolume(image, { readOnly: false }, quietJob);
    await expect(planCopy(into({ target: volumeTree(fat, "f") }), signal)).rejects.toThrow(/dot\./);
    expect((await planCopy(into(), signal)).files).toHaveLength(1);
  });

  test("a file where a folder stands, and a folder where a file stands", async () => {
    mkdirSync(join(folder, "in/x"));
    writeFileSync(join(folder, "in/y"), "");
    await volume.makeDirectory("/in", 0);
    await volume.makeDirectory("/in/Y", 0);
    await volume.write("/in/X", [], { sizeBytes: 0n, modifiedMs: 0 }, quietJob);
    await expect(planCopy(into({ force: true }), signal)).rejects.toThrow(
      /x": .*is a file[\s\S]*y": .*is a folder|y": .*is a folder[\s\S]*x": .*is a file/,
    );
  });

  test("two sources for one name, and a file onto itself", async () => {
    writeFileSync(join(folder, "in/a"), "");
    const source = { tree: hostTree, path: join(folder, "in/a"), name: "a" };
    await expect(planCopy(into({ sources: [source, { ...source, name: "A" }] }), signal)).rejects.toThrow(/takes its name for the one of/);
    await volume.write("/a", [], { sizeBytes: 0n, modifiedMs: 0 }, quietJob);
    const tree = volumeTree(volume, "v");
    await expect(planCopy(into({ sources: [{ tree, path: "/a", name: "A" }], force: true }), signal)).rejects.toThrow(
      /is to be copied too/,
    );
  });

  test("a volume that lies: names that lead out of the folder, folders without end", async () => {
    const entry = (name: string, kind: TreeEntry["kind"]): TreeEntry => ({ name, kind, sizeBytes: 1n, modifiedMs: 0 });
    const lying = (names: readonly TreeEntry[]): Tree => ({
      ...volumeTree(volume, "lying"),
      stat: async () => entry("x", "directory"),
      list: async function* () {
        yield* names;
      },
    });
    const target = join(folder, "out");
    mkdirSync(target);
    const evil = [entry("..", "directory"), entry("../a", "file"), entry("", "file"), entry("a\0b", "file"), entry("a\ud800", "file")];
    const wish = { ...into(), target: hostTree, destination: target, sources: [{ tree: lying(evil), path: "/x", name: "x" }] };
    const error = (await planCopy(wish, signal).catch((thrown: Error) => thrown)) as Error;
    expect(error.message.match(/which is none/g)).toHaveLength(3);
    expect(error.message).toMatch(/a \/ or NUL in it[\s\S]*unpaired surrogate/);
    const circle = { ...wish, sources: [{ tree: lying([entry("d", "directory")]), path: "/x", name: "x" }] };
    await expect(planCopy(circle, signal)).rejects.toThrow(/deeper than 128 folders/);
    expect(readdirSync(target)).toEqual([]);
  });
});

describe("room", () => {
  test("is reckoned in clusters, with the file that is replaced still there", async () => {
    const { freeBytes, clusterBytes } = await volume.space();
    const half = Number(freeBytes / 2n) + clusterBytes;
    writeFileSync(join(folder, "in/a"), Buffer.alloc(half));
    const one = into({ sources: [{ tree: hostTree, path: join(folder, "in/a"), name: "a" }], force: true });
    await copyFiles(await planCopy(one, signal), one.target, quietJob);
    await expect(planCopy(one, signal)).rejects.toThrow(/bytes free/);
    await volume.remove("/a");
    truncateSync(join(folder, "in/a"), Number(freeBytes));
    await copyFiles(await planCopy(one, signal), one.target, quietJob);
    expect((await volume.space()).freeBytes).toBe(0n);
  });

  test("counts the folders that are made", async () => {
    const { freeBytes, clusterBytes } = await volume.space();
    writeFileSync(join(folder, "in/a"), Buffer.alloc(Number(freeBytes)));
    await expect(planCopy(into(), signal)).rejects.toThrow(`room for ${freeBytes + BigInt(clusterBytes)} bytes`);
  });
});

describe("copying", () => {
  test("a file that changes meanwhile is an error, and the old one stays", async () => {
    writeFileSync(join(folder, "in/a"), "old!");
    const wish = into();
    await copyFiles(await planCopy(wish, signal), wish.target, quietJob);
    const again = into({ force: true });
    const plan = await planCopy(again, signal);
    writeFileSync(join(folder, "in/a"), "longer than before");
    await expect(copyFiles(plan, again.target, quietJob)).rejects.toThrow(/4 bytes of content/);
    expect((await volume.stat("/in/a"))?.sizeBytes).toBe(4n);
    await volume[Symbol.asyncDispose]();
    await using opened = await openVolume(store, { readOnly: true }, quietJob);
    for await (const piece of opened.read("/in/a")) expect(Buffer.from(piece).toString()).toBe("old!");
  });

  test("stopped in the middle leaves the files before it, and nothing of the one that was written", async () => {
    const sizes = { a: 100, b: 2 * MIB };
    for (const [name, size] of Object.entries(sizes))
      await volume.write(`/${name}`, [Buffer.alloc(size, name)], { sizeBytes: BigInt(size), modifiedMs: 0 }, quietJob);
    const abort = new AbortController();
    const wish = { ...into(), target: hostTree, destination: folder, sources: ["a", "b"].map((name) => ({ tree: volumeTree(volume, "v"), path: `/${name}`, name })) }; // biome-ignore format: one thought
    let advanced = 0;
    const job: Job = {
      signal: abort.signal,
      progress: {
        ...quietJob.progress,
        begin: () => ({
          advance: (bytes) => {
            advanced += bytes;
            if (advanced > sizes.a) abort.abort(new Error("stopped"));
          },
          end: () => {},
        }),
      },
    };
    await expect(copyFiles(await planCopy(wish, signal), hostTree, job)).rejects.toThrow();
    expect(readdirSync(folder).filter((name) => name !== "in")).toEqual(["a"]);
  });

  test("what a person names is followed when it is a link; times come along, of folders too", async () => {
    writeFileSync(join(folder, "in/a"), "x");
    symlinkSync("in", join(folder, "link"));
    const wish = into({ sources: [{ tree: hostTree, path: join(folder, "link"), name: "link" }] });
    await copyFiles(await planCopy(wish, signal), wish.target, quietJob);
    const back = { ...into(), target: hostTree, destination: join(folder, "back"), intoFolder: false, sources: [{ tree: volumeTree(volume, "v"), path: "/link", name: "link" }] }; // biome-ignore format: one thought
    await copyFiles(await planCopy(back, signal), hostTree, quietJob);
    expect(readFileSync(join(folder, "back/a"), "utf8")).toBe("x");
    for (const name of ["", "/a"]) {
      const [old, kept] = [`in${name}`, `back${name}`].map((path) => statSync(join(folder, path)).mtimeMs);
      expect(Math.abs(kept! - old!)).toBeLessThan(11); // exFAT counts in 10 ms
    }
  });
});
