import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { cutStore, memoryStore, PowerCut, sparseStore } from "../../../src/disk/block-store.ts";
import { checkGpt } from "../../../src/disk/partitions/gpt-check.ts";
import { planGpt } from "../../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../../src/disk/partitions/gpt-writer.ts";
import { planMbr } from "../../../src/disk/partitions/mbr-layout.ts";
import { readMbr, writeMbr } from "../../../src/disk/partitions/mbr-table.ts";

const MIB = 1n << 20n;
const disk = { sizeBytes: 64n * MIB, sectorBytes: 512, diskSignature: 0xcafe } as const;
const parted = spawnSync("parted", ["--version"]).error === undefined;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-mbr-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** What parted says of an image: number, first and last sector, and flags. */
function partedRows(bytes: Uint8Array): string[] {
  const image = join(folder, "image");
  writeFileSync(image, bytes);
  const { stdout } = spawnSync("parted", ["-sm", image, "unit", "s", "print"], { encoding: "utf8" });
  return stdout
    .split("\n")
    .filter((line) => /^\d+:/.test(line))
    .map((line) => line.split(":"))
    .map(([number, start, end, , , , flags]) => `${number} ${start} ${end} ${flags}`);
}

describe("planMbr", () => {
  test("places partitions one behind the other, aligned, the last one to the end", () => {
    const { partitions } = planMbr(disk, [
      { type: 0x0c, active: true, size: 10n * MIB + 1n },
      { type: 0x83, size: "rest" },
    ]);
    expect(partitions).toEqual([
      { type: 0x0c, active: true, firstLba: 2048n, sectors: 20_481n },
      { type: 0x83, active: false, firstLba: 24_576n, sectors: 131_072n - 24_576n },
    ]);
  });

  test("takes what is placed where it is placed, and fills up to it", () => {
    const { partitions } = planMbr(disk, [
      { type: 0x83, size: "rest" },
      { type: 0xef, offset: 60n * MIB, size: 1n * MIB },
    ]);
    expect(partitions.map(({ firstLba, sectors }) => [firstLba, sectors])).toEqual([
      [2048n, 122_880n - 2048n],
      [122_880n, 2048n],
    ]);
  });

  test("reaches the last sector that 32 bits can name, and no further", () => {
    const large = { ...disk, sizeBytes: 3n << 40n };
    const [partition] = planMbr(large, [{ type: 0x83, size: (2n << 40n) - MIB }]).partitions;
    expect(partition!.firstLba + partition!.sectors).toBe(1n << 32n);
    expect(() => planMbr(large, [{ type: 0x83, size: (2n << 40n) - MIB + 1n }])).toThrow(/4294967296 sectors, all that an MBR can name/);
    expect(() => planMbr(large, [{ type: 0x83, size: "rest" }])).toThrow(/all that an MBR can name/);
    expect(planMbr({ ...large, sectorBytes: 4096 }, [{ type: 0x83, size: "rest" }]).partitions[0]!.sectors).toBe((3n << 28n) - 256n);
  });

  test.each([
    ["more than four", Array.from({ length: 5 }, () => ({ type: 0x83, size: MIB })), /4 primary partitions/],
    ["more than the disk", [{ type: 0x83, size: 64n * MIB }], /room for partition 1/],
    ["nothing", [{ type: 0x83, size: 0n }], /a size above 0/],
    ["extended", [{ type: 0x05, size: MIB }], /a type of a primary/],
    ["protective", [{ type: 0xee, size: MIB }], /a type of a primary/],
    ["no type", [{ type: 0, size: MIB }], /a type of a primary/],
    ["two rests", [{ type: 0x83, size: "rest" as const }, { type: 0x83, size: "rest" as const }], /room for partition 2/], // biome-ignore format: rows
    ["two active", [{ type: 0x83, active: true, size: MIB }, { type: 0x83, active: true, size: MIB }], /one active/], // biome-ignore format: rows
    ["overlapping", [{ type: 0x83, size: 4n * MIB }, { type: 0x83, offset: 2n * MIB, size: MIB }], /some of partition 1/], // biome-ignore format: rows
    ["over the table", [{ type: 0x83, offset: 0n, size: MIB }], /behind the first/],
    ["off a sector", [{ type: 0x83, offset: MIB + 1n, size: MIB }], /behind the first/],
  ])("refuses %s", (_, wishes, message) => {
    expect(() => planMbr(disk, wishes)).toThrow(expect.objectContaining({ kind: "usage", message: expect.stringMatching(message) }));
  });
});

describe("written and read", () => {
  test.skipIf(!parted)("parted reads what we write", async () => {
    const bytes = new Uint8Array(Number(disk.sizeBytes));
    await writeMbr(
      memoryStore(bytes),
      planMbr(disk, [
        { type: 0x0c, active: true, size: 10n * MIB },
        { type: 0x83, size: "rest" },
      ]),
    );
    expect(partedRows(bytes)).toEqual(["1 2048s 22527s boot, lba;", "2 22528s 131071s ;"]);
  });

  test.skipIf(!parted)("logical partitions that parted made, in the order of their chain", async () => {
    const image = join(folder, "logical");
    writeFileSync(image, new Uint8Array(Number(disk.sizeBytes)));
    const made = ["mklabel", "msdos", "mkpart", "primary", "1MiB", "5MiB", "mkpart", "extended", "6MiB", "60MiB"];
    const logical = ["mkpart", "logical", "7MiB", "20MiB", "mkpart", "logical", "21MiB", "30MiB", "mkpart", "logical", "31MiB", "59MiB"];
    expect(spawnSync("parted", ["-s", image, ...made, ...logical]).status).toBe(0);
    const table = await readMbr(memoryStore(readFileSync(image)), 512);
    expect(table?.problems).toEqual([]);
    expect(table?.partitions.map(({ number, role, firstLba, sectors }) => [number, role, firstLba, sectors])).toEqual([
      [1, "primary", 2048n, 8192n],
      [2, "extended", 12_288n, 110_592n],
      [5, "logical", 14_336n, 26_624n],
      [6, "logical", 43_008n, 18_432n],
      [7, "logical", 63_488n, 57_344n],
    ]);
  });

  test("any plan comes back as it was, without problems", async () => {
    const wish = fc.record({ type: fc.constantFrom(1, 0x0c, 0x83, 0xef), size: fc.bigInt({ min: 1n, max: 15n * MIB }) });
    await fc.assert(
      fc.asyncProperty(
        fc.array(wish, { minLength: 1, maxLength: 4 }),
        fc.constantFrom(512 as const, 4096 as const),
        async (wishes, sectorBytes) => {
          const store = sparseStore(disk.sizeBytes, { sectorBytes });
          const plan = planMbr({ ...disk, sectorBytes }, wishes);
          await writeMbr(store, plan);
          const table = await readMbr(store, sectorBytes);
          expect(table).toMatchObject({ diskSignature: 0xcafe, protective: false, problems: [] });
          expect(table?.partitions.map(({ type, active, firstLba, sectors }) => ({ type, active, firstLba, sectors }))).toEqual(
            plan.partitions,
          );
        },
      ),
      { numRuns: 30 },
    );
  });

  test("boot code stays, or is the one that is given", async () => {
    const store = sparseStore(disk.sizeBytes);
    await store.write(0n, new Uint8Array(512).fill(7));
    const plan = planMbr(disk, [{ type: 0x83, size: "rest" }]);
    await writeMbr(store, plan);
    expect((await store.read(0n, 440)).every((byte) => byte === 7)).toBe(true);
    await writeMbr(store, plan, { bootCode: Uint8Array.of(1, 2, 3) });
    expect([...(await store.read(0n, 5))]).toEqual([1, 2, 3, 0, 0]);
  });
});

describe("over a GPT", () => {
  const withGpt = async () => {
    const store = sparseStore(disk.sizeBytes);
    const guid = (digit: number) => `0000000${digit}-0000-4000-8000-000000000000`;
    await writeGpt(store, planGpt({ ...disk, diskGuid: guid(1) }, [{ typeGuid: guid(2), guid: guid(3), name: "x", size: "rest" }]));
    return store;
  };

  test("is refused, and nothing is written", async () => {
    const store = await withGpt();
    const before = await store.read(0n, 4096);
    await expect(writeMbr(store, planMbr(disk, []))).rejects.toThrow(/a disk without a GPT/);
    expect(await store.read(0n, 4096)).toEqual(before);
  });

  test("when it is told, nothing of the GPT is found any more", async () => {
    const store = await withGpt();
    await writeMbr(store, planMbr(disk, [{ type: 0x83, size: "rest" }]), { replaceGpt: true });
    expect(await checkGpt(store)).toBeUndefined();
    expect((await readMbr(store, 512))?.partitions).toHaveLength(1);
  });

  test("a cut at any write leaves the GPT or the MBR", async () => {
    for (let writes = 0; writes <= 4; writes += 1) {
      const store = await withGpt();
      const done = writeMbr(cutStore(store, writes), planMbr(disk, [{ type: 0x83, size: "rest" }]), { replaceGpt: true });
      if (writes < 4) await expect(done).rejects.toThrow(PowerCut);
      else await done;
      const table = await readMbr(store, 512);
      expect(table?.protective).toBe(writes === 0);
      if (writes === 0) expect((await checkGpt(store))?.problems).toEqual([]);
      else expect(table?.partitions).toHaveLength(1);
    }
  });
});

describe("a table that lies", () => {
  const entry = (type: number, firstLba: number, sectors: number, status = 0) => ({ type, firstLba, sectors, status });
  function sector(entries: readonly ReturnType<typeof entry>[]): Uint8Array {
    const bytes = new Uint8Array(512);
    const view = new DataView(bytes.buffer);
    for (const [index, { type, firstLba, sectors, status }] of entries.entries()) {
      const at = 446 + 16 * index;
      bytes[at] = status;
      bytes[at + 4] = type;
      view.setUint32(at + 8, firstLba, true);
      view.setUint32(at + 12, sectors, true);
    }
    bytes.set([0x55, 0xaa], 510);
    return bytes;
  }
  const problemsOf = async (sectors: readonly (readonly [bigint, Uint8Array])[]) => {
    const store = sparseStore(disk.sizeBytes);
    for (const [lba, bytes] of sectors) await store.write(lba * 512n, bytes);
    return (await readMbr(store, 512))?.problems.map(({ id }) => id);
  };

  test.each([
    ["a circle", [[0n, sector([entry(5, 100, 1000)])], [100n, sector([entry(0x83, 1, 10), entry(5, 0, 10)])]], ["logical-chain"]],
    ["a chain that ends in data", [[0n, sector([entry(5, 100, 1000)])], [100n, sector([entry(0x83, 1, 10), entry(5, 50, 10)])]], ["logical-chain"]],
    ["a chain behind the end", [[0n, sector([entry(0x0f, 0x7fffffff, 10)])]], ["logical-chain", "partition-outside"]],
    ["overlap", [[0n, sector([entry(0x83, 100, 100), entry(0x83, 150, 100)])]], ["partitions-overlap"]],
    ["outside", [[0n, sector([entry(0x83, 100, 0xffffffff)])]], ["partition-outside"]],
    ["empty", [[0n, sector([entry(0x83, 100, 0)])]], ["partition-empty"]],
    ["over the table itself", [[0n, sector([entry(0x83, 0, 100)])]], ["partition-empty"]],
    ["two active", [[0n, sector([entry(0x83, 100, 10, 0x80), entry(0x83, 200, 10, 0x80)])]], ["several-active"]],
    ["a logical one outside", [[0n, sector([entry(5, 100, 20)])], [100n, sector([entry(0x83, 1, 100)])]], ["logical-outside"]],
    ["a status that is none", [[0n, sector([entry(0x83, 100, 10, 0x33), entry(0x83, 200, 10)])]], ["entry-status"]],
  ] as const)("%s", async (_, sectors, ids) => {
    expect(await problemsOf(sectors)).toEqual(ids);
  }); // biome-ignore format: rows

  test("the longest chain is cut", async () => {
    const chain = Array.from(
      { length: 300 },
      (_, link) => [BigInt(100 + link), sector([entry(0x83, 1000, 1), entry(5, link + 1, 1)])] as const,
    );
    const store = sparseStore(disk.sizeBytes);
    for (const [lba, bytes] of [[0n, sector([entry(5, 100, 100_000)])] as const, ...chain]) await store.write(lba * 512n, bytes);
    const table = await readMbr(store, 512);
    expect(table?.partitions.filter(({ role }) => role === "logical")).toHaveLength(256);
    expect(table?.problems.map(({ id }) => id)).toContain("logical-chain");
  });

  test("any bytes are read or refused", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        fc.uint8Array({ minLength: 64, maxLength: 64 }),
        async (first, second) => {
          const bytes = new Uint8Array(4096 * 512);
          for (const [lba, entries] of [[0, first], [9, second]] as const) bytes.set([...entries, 0x55, 0xaa], lba * 512 + 446); // biome-ignore format: pairs
          new DataView(bytes.buffer).setUint32(454, 9, true);
          const table = await readMbr(memoryStore(bytes), 512);
          expect((table?.partitions.length ?? 0) <= 4 + 4 * 256).toBe(true);
        },
      ),
    );
  });
});
