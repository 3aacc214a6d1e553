import { spawnSync } from "node:child_process";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeVeritySuperblock, encodeVeritySuperblock, hashVerityTree } from "../../src/formats/verity.ts";
import { lookForTool } from "../../src/host/tools.ts";

const hasReferee = (await lookForTool("veritysetup", process.env)) !== undefined;
const salt = Uint8Array.from({ length: 32 }, (_, index) => index);
const uuid = Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index);
const UUID = "a0a1a2a3-a4a5-a6a7-a8a9-aaabacadaeaf";

/** Blocks that differ, in pieces that end where no block does. */
async function* imageOf(blocks: number): AsyncGenerator<Uint8Array> {
  const bytes = new Uint8Array(blocks * 4096);
  for (let block = 0; block < blocks; block += 1) bytes.fill(block % 251, block * 4096, block * 4096 + (block % 4096));
  for (let at = 0; at < bytes.length; at += 50_000) yield bytes.subarray(at, at + 50_000);
}

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-verity-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

describe("a tree of hashes", () => {
  // 128 hashes fill a block: one level, its edge, two levels.
  test.skipIf(!hasReferee).each([1, 2, 127, 128, 129, 16_385])("of %i blocks is veritysetup's, byte by byte", async (blocks) => {
    const [data, theirs, ours] = ["data", "theirs", "ours"].map((name) => join(folder, `${name}-${blocks}`)) as [string, string, string];
    await writeFile(data, imageOf(blocks));
    const tree = await hashVerityTree(imageOf(blocks), { salt, uuid });
    await writeFile(ours, tree.file);
    const words = ["format", data, theirs, "--salt", Buffer.from(salt).toString("hex"), "--uuid", UUID];
    const { stdout, status } = spawnSync("veritysetup", words, { encoding: "utf8" });
    expect(status).toBe(0);
    expect(tree.rootHash).toBe(/Root hash:\s+([0-9a-f]{64})/.exec(stdout)?.[1]);
    expect(tree.dataBlocks).toBe(blocks);
    expect(Buffer.compare(await readFile(theirs), tree.file)).toBe(0);
    expect(spawnSync("veritysetup", ["verify", data, ours, tree.rootHash]).status).toBe(0);
  });

  test.skipIf(!hasReferee)("does not fit an image in which one bit is another", async () => {
    const data = join(folder, "changed");
    const { file, rootHash } = await hashVerityTree(imageOf(200), { salt, uuid });
    await writeFile(data, imageOf(200));
    await writeFile(`${data}.verity`, file);
    const bytes = await readFile(data);
    bytes[150 * 4096 + 7]! ^= 1;
    await writeFile(data, bytes);
    expect(spawnSync("veritysetup", ["verify", data, `${data}.verity`, rootHash]).status).not.toBe(0);
  });

  test("is the same however the image comes in pieces", async () => {
    const parts: Uint8Array[] = [];
    for await (const part of imageOf(5)) parts.push(part);
    const whole = Buffer.concat(parts);
    const expected = await hashVerityTree(imageOf(5), { salt, uuid });
    await fc.assert(
      fc.asyncProperty(fc.array(fc.integer({ min: 1, max: whole.length - 1 }), { maxLength: 8 }), async (cuts) => {
        const places = [0, ...cuts.sort((a, b) => a - b), whole.length];
        const pieces = async function* () {
          for (const [index, end] of places.slice(1).entries()) yield whole.subarray(places[index], end);
        };
        expect(await hashVerityTree(pieces(), { salt, uuid })).toEqual(expected);
      }),
      { numRuns: 30 },
    );
  });

  test.each([
    ["nothing", 0, /expected whole blocks of 4096 bytes, found nothing/],
    ["half a block", 2048, /found 2048 bytes behind 0 blocks/],
    ["a block and a byte", 4097, /found 1 bytes behind 1 blocks/],
  ])("is not made of %s", async (_, bytes, message) => {
    const image = async function* () {
      if (bytes > 0) yield new Uint8Array(bytes);
    };
    await expect(hashVerityTree(image(), { salt, uuid })).rejects.toThrow(message);
  });
});

describe("a superblock", () => {
  const anySuperblock = fc.record({
    uuid: fc.uint8Array({ minLength: 16, maxLength: 16 }),
    algorithm: fc.constantFrom("sha256", "sha512", "blake2b-256"),
    dataBlockBytes: fc.constantFrom(512, 1024, 4096, 65_536),
    hashBlockBytes: fc.constantFrom(512, 4096),
    dataBlocks: fc.bigInt({ min: 0n, max: 2n ** 64n - 1n }),
    salt: fc.uint8Array({ maxLength: 256 }),
  });
  const block = encodeVeritySuperblock({
    ...{ uuid, algorithm: "sha256", dataBlockBytes: 4096, hashBlockBytes: 4096 },
    ...{ dataBlocks: 7n, salt },
  });

  test("is read back as it was", () => {
    fc.assert(
      fc.property(anySuperblock, (superblock) => {
        expect(decodeVeritySuperblock(encodeVeritySuperblock(superblock), "x")).toEqual(superblock);
      }),
    );
  });

  test("that is cut anywhere is refused, and with any bit flipped read or refused with a place", () => {
    for (let length = 0; length < block.length; length += 1) {
      expect(() => decodeVeritySuperblock(block.subarray(0, length), "cut")).toThrow(/cut@0: expected 512 bytes/);
    }
    const flipped = block.slice();
    for (let bit = 0; bit < block.length * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        decodeVeritySuperblock(flipped, "flipped");
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^flipped@\d+$/);
      }
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("takes no salt that is too long", () => {
    const wish = { uuid, algorithm: "sha256", dataBlockBytes: 4096, hashBlockBytes: 4096, dataBlocks: 1n, salt: new Uint8Array(257) };
    expect(() => encodeVeritySuperblock(wish)).toThrow(/a salt of at most 256/);
  });
});
