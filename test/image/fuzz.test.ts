/** Whatever the bytes: an answer, soon, from little memory. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type BlockSource, memorySource } from "../../src/image/block-source.ts";
import type { ImageFacts } from "../../src/image/image-facts.ts";
import { renderImageFacts } from "../../src/image/image-text.ts";
import { probeImage } from "../../src/image/probe.ts";
import { buildFat12, buildHybrid, padded, putGpt, text } from "./build-image.ts";

/** Counts what is asked of a source: a probe that runs in circles or reads a whole disk is seen here, not by a clock. */
function metered(source: BlockSource): BlockSource & { reads: number; largest: number } {
  const meter = {
    ...source,
    reads: 0,
    largest: 0,
    read: (offset: bigint, lengthBytes: number) => {
      meter.reads += 1;
      meter.largest = Math.max(meter.largest, lengthBytes);
      return source.read(offset, lengthBytes);
    },
  };
  return meter;
}

const READS_MAX = 5000;
const READ_BYTES_MAX = 1 << 20;

async function survives(bytes: Uint8Array): Promise<ImageFacts> {
  const source = metered(memorySource(bytes));
  const facts = await probeImage(source, new AbortController().signal);
  expect(source.reads).toBeLessThan(READS_MAX);
  expect(source.largest).toBeLessThanOrEqual(READ_BYTES_MAX);
  expect(facts.problems.length).toBeLessThanOrEqual(100);
  for (const { offset } of facts.problems) expect(BigInt(offset)).toBeGreaterThanOrEqual(0n);
  // Plain data: JSON gives back the same.
  expect(JSON.parse(JSON.stringify(facts))).toEqual(facts);
  expect(renderImageFacts(facts)).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f-\x9f]/);
  return facts;
}

/** Bytes that look like nothing, the same for the same seed: Marsaglia's xorshift of 32 bits. */
function noise(seed: number, length: number): Uint8Array {
  let state = seed;
  return Uint8Array.from({ length }, () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state & 0xff;
  });
}

const hybrid = buildHybrid();
/** First sectors, descriptors, directories, catalogue, FAT, backup GPT: where a flipped bit means something. */
const STRUCTURES: readonly (readonly [from: number, to: number])[] = [
  [0, 1024 + 256],
  [32_768, 32_768 + 5 * 2048],
  [hybrid.rootOffset, hybrid.rootOffset + 3 * 2048],
  [hybrid.catalogOffset, hybrid.catalogOffset + 128],
  [hybrid.espOffset, hybrid.espOffset + 16 * 512],
  [hybrid.bytes.length - 512, hybrid.bytes.length],
];
const places = fc.oneof(...STRUCTURES.map(([from, to]) => fc.integer({ min: from, max: to - 1 })));

describe("a probe", () => {
  test("survives flipped bits in every structure", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(places, fc.integer({ min: 0, max: 7 })), { minLength: 1, maxLength: 6 }), async (flips) => {
        const bytes = hybrid.bytes.slice();
        for (const [at, bit] of flips) bytes[at]! ^= 1 << bit;
        await survives(bytes);
      }),
      { numRuns: 400 },
    );
  });

  test("survives extreme numbers in every structure", async () => {
    const numbers = fc.constantFrom(
      [0, 0, 0, 0],
      [255, 255, 255, 255],
      [255, 255, 255, 127],
      [0, 0, 0, 128],
      [255, 255, 0, 0],
      [1, 0, 0, 0],
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(places, numbers), { minLength: 1, maxLength: 4 }), async (changes) => {
        const bytes = hybrid.bytes.slice();
        for (const [at, value] of changes) bytes.set(value.slice(0, bytes.length - at), at);
        await survives(bytes);
      }),
      { numRuns: 400 },
    );
  });

  test("survives being cut at any byte", async () => {
    await fc.assert(
      fc.asyncProperty(fc.oneof(places, fc.integer({ min: 0, max: hybrid.bytes.length })), async (length) => {
        await survives(hybrid.bytes.subarray(0, length));
      }),
      { numRuns: 300 },
    );
  });

  test("survives noise behind every signature that it knows", async () => {
    const signatures: readonly (readonly [at: number, bytes: string])[] = [
      [510, "\x55\xaa"],
      [512, "EFI PART"],
      [4096, "EFI PART"],
      [32_768, "\x01CD001\x01"],
      [34_816, "\0CD001\x01EL TORITO SPECIFICATION"],
      [0, "\xeb\x3c\x90"],
      [3, "EXFAT   "],
      [3, "NTFS    "],
      [1080, "\x53\xef"],
      [0, "hsqs"],
      [0, "XFSB"],
      [0x1_0040, "_BHRfS_M"],
      [1024, "\xe2\xe1\xf5\xe0"],
      [1024, "H+"],
      [0, "MZ"],
      [514, "HdrS"],
      [0, "QFI\xfb"],
      [0, "LUKS\xba\xbe"],
    ];
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1 }), fc.subarray([...signatures], { minLength: 1 }), async (seed, planted) => {
        const bytes = noise(seed, 80_000);
        for (const [at, signature] of planted) bytes.set(Buffer.from(signature, "latin1"), at);
        await survives(bytes);
      }),
      { numRuns: 200 },
    );
  });

  test("survives a FAT volume of noise behind a good boot sector", async () => {
    const good = buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": text("x") } } });
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ minLength: 8192, maxLength: 8192, size: "max" }), async (noise) => {
        const bytes = good.slice();
        bytes.set(noise, 512);
        await survives(bytes);
      }),
      { numRuns: 60 },
    );
  });
});

test("a hundred partitions in one another's sectors are not all walked", async () => {
  const boot = buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": text("x") } } }).subarray(0, 512);
  const disk = new Uint8Array(2048 * 512);
  const partitions = Array.from({ length: 128 }, (_, index) => ({ firstLba: 40 + index, lastLba: 1900 }));
  putGpt(disk, partitions);
  for (const { firstLba } of partitions) disk.set(boot, firstLba * 512);
  const facts = await survives(disk);
  expect(facts.volumes).toHaveLength(128);
  expect(facts.volumes.filter(({ walkComplete }) => walkComplete).length).toBeLessThanOrEqual(16);
  expect(facts.problemsOmitted).toBeGreaterThan(0);
});

test("more partitions than anybody has are not all looked at", async () => {
  const disk = new Uint8Array(4096 * 512);
  const view = new DataView(disk.buffer);
  disk.set([0x55, 0xaa], 510);
  // Each logical partition is where no other is, and its record names the next.
  for (let index = -1; index < 300; index += 1) {
    const at = index < 0 ? 0 : (10 + index * 10) * 512;
    disk.set([0x55, 0xaa], at + 510);
    if (index >= 0) {
      disk[at + 450] = 0x83;
      view.setUint32(at + 454, 1, true);
      view.setUint32(at + 458, 1, true);
    }
    disk[at + 466] = 5;
    view.setUint32(at + 470, index < 0 ? 10 : (index + 1) * 10, true);
    view.setUint32(at + 474, 4000, true);
  }
  const facts = await survives(disk);
  expect(facts.mbr?.partitions).toHaveLength(1 + 256);
  expect(facts.problems).toMatchObject([
    { structure: "extended boot record", found: "more than 256 links" },
    { structure: "MBR partition 260", expected: "at most 256 places to look for file systems" },
  ]);
});

test("text of an image reaches no terminal as it is", async () => {
  const bytes = buildFat12({ "A.CFG": text("x") }, "\x1b[31mRED");
  const facts = await survives(padded(bytes, bytes.length));
  expect(facts.volumes[0]?.label).toBe("\x1b[31mRED");
  expect(renderImageFacts(facts)).toContain("\\x1b[31mRED");
});
