import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, test } from "vitest";
import { cutStore, memoryStore, PowerCut, sparseStore } from "../../../src/disk/block-store.ts";
import { checkGpt, compareGpt, repairGpt } from "../../../src/disk/partitions/gpt-check.ts";
import { encodeGpt, type GptTable, type PartitionWish, planGpt, type SectorBytes } from "../../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../../src/disk/partitions/gpt-writer.ts";
import { decodeGuid, encodeGuid } from "../../../src/formats/gpt.ts";
import { memorySource } from "../../../src/image/block-source.ts";

const MIB = 1 << 20;
const BASIC = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
const guid = (number: number) => `00000000-1111-4222-8333-${number.toString(16).padStart(12, "0")}`.toUpperCase();
const wish = (number: number, size: bigint | "rest", name = `part ${number}`): PartitionWish => ({
  typeGuid: BASIC,
  guid: guid(number),
  name,
  size,
});

function planned(wishes: readonly PartitionWish[], sizeBytes = 16 * MIB, sectorBytes: SectorBytes = 512): GptTable {
  return planGpt({ sizeBytes: BigInt(sizeBytes), sectorBytes, diskGuid: guid(0) }, wishes);
}

async function written(table: GptTable): Promise<Uint8Array> {
  const bytes = new Uint8Array(Number(table.diskSectors) * table.sectorBytes);
  await writeGpt(memoryStore(bytes, table.sectorBytes), table);
  return bytes;
}

const checked = async (bytes: Uint8Array) => {
  const findings = await checkGpt(memorySource(bytes));
  if (findings === undefined) throw new Error("no GPT was found");
  return findings;
};
const idsOf = async (bytes: Uint8Array) => (await checked(bytes)).problems.map(({ id }) => id);

const folder = mkdtempSync(join(tmpdir(), "hiperiso-gpt-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sgdisk = ["/usr/sbin/sgdisk", "/sbin/sgdisk", "/usr/bin/sgdisk"].find((path) => existsSync(path));

/** What `sgdisk -v` has against an image. Its exit status is 0 whatever it found. */
function sgdiskSays(bytes: Uint8Array): string {
  const path = join(folder, "disk.img");
  writeFileSync(path, bytes);
  return execFileSync(sgdisk!, ["-v", path], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

describe("a plan", () => {
  test("aligns starts to 1 MiB, gives one partition the rest and pushes those behind it to the end", () => {
    const { partitions } = planned([wish(1, BigInt(MIB)), wish(2, "rest"), wish(3, BigInt(2 * MIB))]);
    expect(partitions.map(({ firstLba, lastLba }) => [firstLba, lastLba])).toEqual([
      [2048n, 4095n],
      [4096n, 26_623n],
      [26_624n, 30_719n],
    ]);
  });

  test("counts in blocks of 4,096 bytes where the disk does", () => {
    const table = planned([wish(1, "rest")], 16 * MIB, 4096);
    expect(table).toMatchObject({ firstUsableLba: 6n, lastUsableLba: 4090n });
    expect(table.partitions[0]).toMatchObject({ firstLba: 256n, lastLba: 3839n });
  });

  test.each<[string, readonly PartitionWish[], number, string]>([
    ["partitions that do not fit", [wish(1, BigInt(20 * MIB))], 16 * MIB, "room for partition 1"],
    ["a rest of nothing", [wish(1, BigInt(14 * MIB)), wish(2, "rest"), wish(3, BigInt(MIB))], 16 * MIB, "room for partition"],
    ["two that take the rest", [wish(1, "rest"), wish(2, "rest")], 16 * MIB, "one partition that takes the rest"],
    ["a size of 0", [wish(1, 0n)], 16 * MIB, "a size above 0"],
    ["a GUID twice", [wish(1, 512n), wish(1, 512n)], 16 * MIB, "GUIDs that differ"],
    ["a type that is no GUID", [{ ...wish(1, 512n), typeGuid: "0700" }], 16 * MIB, "a GUID"],
    ["a name of 36 letters", [wish(1, 512n, "x".repeat(36))], 16 * MIB, "35 UTF-16 units"],
    ["a disk without room", [], 20_000, "room for two partition tables"],
  ])("refuses %s", (_what, wishes, size, expected) => {
    expect(() => planned(wishes, size)).toThrow(expected);
  });

  test("never lets partitions overlap or leave the usable range", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 3 * MIB }), { maxLength: 6 });
    fc.assert(
      fc.property(sizes, fc.nat({ max: 6 }), fc.constantFrom<SectorBytes>(512, 4096), (bytes, rest, sectorBytes) => {
        const wishes = bytes.map((size, index) => wish(index + 1, index === rest ? "rest" : BigInt(size)));
        const { partitions, firstUsableLba, lastUsableLba } = planned(wishes, 64 * MIB, sectorBytes);
        let before = firstUsableLba - 1n;
        for (const { firstLba, lastLba } of partitions) {
          expect(firstLba > before && lastLba >= firstLba && lastLba <= lastUsableLba).toBe(true);
          before = lastLba;
        }
      }),
    );
  });
});

test("a GUID is the same after a round trip", () => {
  fc.assert(
    fc.property(fc.uint8Array({ minLength: 16, maxLength: 16 }), (bytes) => {
      expect(encodeGuid(decodeGuid(bytes))).toEqual(bytes);
    }),
  );
  expect(() => encodeGuid("none")).toThrow(RangeError);
});

describe.each<SectorBytes>([512, 4096])("a table in blocks of %d bytes", (sectorBytes) => {
  const wishes = [wish(1, BigInt(2 * MIB), "Größe"), wish(2, "rest")];

  test("is read back as it was planned, in both copies", async () => {
    const table = planned(wishes, 16 * MIB, sectorBytes);
    const { primary, backup, used, problems, sectorBytes: seen } = await checked(await written(table));
    expect([seen, used, problems]).toEqual([sectorBytes, "primary", []]);
    expect(primary!.partitions.map(({ offset: _, ...entry }) => entry)).toEqual(table.partitions);
    expect(compareGpt(primary!, backup!)).toEqual([]);
  });

  test("is mended from either copy, byte for byte", async () => {
    const whole = await written(planned(wishes, 16 * MIB, sectorBytes));
    const last = whole.length - sectorBytes;
    for (const [at, id] of [
      [sectorBytes + 60, "primary-damaged"],
      [2 * sectorBytes + 3, "primary-damaged"],
      [last + 60, "backup-damaged"],
      [last - 10, "backup-damaged"],
      [450, "protective-mbr"],
    ] as const) {
      const damaged = whole.slice();
      // The last bytes of the entries belong to entry 128, which is unused: any byte but zero spoils the sum.
      damaged[at] = damaged[at]! ^ 0x11;
      expect([at, await idsOf(damaged)]).toEqual([at, [id]]);
      const store = memoryStore(damaged, sectorBytes);
      await repairGpt(store, (await checkGpt(store))!);
      expect(Buffer.from(damaged).equals(whole)).toBe(true);
    }
  });

  test("a cut after any write leaves the old table or the new one", async () => {
    const old = await written(planned([wish(7, BigInt(MIB))], 16 * MIB, sectorBytes));
    const next = planned(wishes, 16 * MIB, sectorBytes);
    const names = async (bytes: Uint8Array) => {
      const { used, primary, backup } = await checked(bytes);
      return (used === "primary" ? primary : backup)?.partitions.map(({ name }) => name);
    };
    const seen = new Set<string>();
    for (let writes = 0; ; writes += 1) {
      const bytes = old.slice();
      const cut = cutStore(memoryStore(bytes, sectorBytes), writes);
      const whole = await writeGpt(cut, next).then(
        () => true,
        (error: unknown) => {
          expect(error).toBeInstanceOf(PowerCut);
          return false;
        },
      );
      seen.add(JSON.stringify(await names(bytes)));
      const store = memoryStore(bytes, sectorBytes);
      await repairGpt(store, (await checkGpt(store))!);
      expect(await idsOf(bytes)).toEqual([]);
      if (whole) break;
    }
    expect([...seen]).toEqual(['["part 7"]', '["Größe","part 2"]']);
  });
});

describe("what a check finds", () => {
  const whole = () => written(planned([wish(1, BigInt(2 * MIB)), wish(2, BigInt(2 * MIB))]));
  /** The disk with another table on it than a plan would make. */
  const other = (change: (table: GptTable) => GptTable) => written(change(planned([wish(1, BigInt(2 * MIB)), wish(2, BigInt(2 * MIB))])));
  const changed = (number: number, entry: Partial<GptTable["partitions"][number]>) => (table: GptTable) => ({
    ...table,
    partitions: table.partitions.map((partition) => (partition.number === number ? { ...partition, ...entry } : partition)),
  });

  test("no table on a disk of zeros, or of a few bytes", async () => {
    expect(await checkGpt(memorySource(new Uint8Array(MIB)))).toBeUndefined();
    expect(await checkGpt(memorySource(new Uint8Array(700)))).toBeUndefined();
  });

  test("partitions that overlap, lie outside, go backwards, or share a GUID", async () => {
    expect(await idsOf(await other(changed(2, { firstLba: 3000n })))).toEqual(["partitions-overlap"]);
    expect(await idsOf(await other(changed(2, { lastLba: 32_766n })))).toEqual(["partition-outside"]);
    expect(await idsOf(await other(changed(2, { lastLba: 5n })))).toEqual(["partition-backwards"]);
    expect(await idsOf(await other(changed(2, { uniqueGuid: guid(1) })))).toEqual(["guid-twice"]);
    expect(await idsOf(await other((table) => ({ ...table, lastUsableLba: 40_000n })))).toEqual(["usable-range"]);
  });

  test("a backup that stayed behind when the disk grew, and moves it", async () => {
    const bytes = new Uint8Array(20 * MIB);
    bytes.set(await whole());
    expect(await idsOf(bytes)).toEqual(["backup-not-at-end", "protective-mbr-size"]);
    const store = memoryStore(bytes);
    await repairGpt(store, (await checkGpt(store))!);
    expect(await idsOf(bytes)).toEqual([]);
    expect((await checked(bytes)).primary?.header.lastUsableLba).toBe(BigInt(20 * MIB) / 512n - 34n);
  });

  test("a disk that was cut; a repair would lose a partition and is refused", async () => {
    const bytes = (await whole()).slice(0, 3 * MIB); // partition 1 is still there, but for the backup behind it
    expect(await idsOf(bytes)).toEqual(["disk-too-small", "protective-mbr-size", "usable-range"]);
    const store = memoryStore(bytes);
    await expect(repairGpt(store, (await checkGpt(store))!)).rejects.toThrow("partition 1 ends at LBA");
  });

  test("two copies that differ; the primary counts", async () => {
    const bytes = await whole();
    const { backup } = encodeGpt(planned([wish(9, BigInt(MIB))]));
    for (const { offset, bytes: part } of backup) bytes.set(part, Number(offset));
    expect(await idsOf(bytes)).toEqual(["copies-differ"]);
    const findings = await checked(bytes);
    expect(compareGpt(findings.primary!, findings.backup!)).toContain("partition 2 is only in the first");
    expect(findings.used).toBe("primary");
  });

  test("neither copy: refused with a way on", async () => {
    const bytes = await whole();
    bytes[520] = 9;
    bytes[bytes.length - 500] = 9;
    const findings = await checked(bytes);
    expect(findings.used).toBeUndefined();
    await expect(repairGpt(memoryStore(bytes), findings)).rejects.toThrow("testdisk");
  });

  test("keeps boot code and a hybrid MBR when it mends", async () => {
    const bytes = await whole();
    bytes.fill(0x90, 0, 440);
    bytes.set([0x80, 0, 0, 0, 0x0c, 0, 0, 0, 0, 8, 0, 0, 0, 16, 0, 0], 462);
    bytes[bytes.length - 500] = 9;
    const mbr = bytes.slice(0, 512);
    const store = memoryStore(bytes);
    await repairGpt(store, (await checkGpt(store))!);
    expect(await idsOf(bytes)).toEqual([]);
    expect(bytes.slice(0, 512)).toEqual(mbr);
  });
});

test("survives any byte, flipped or cut away", async () => {
  const disk = { sizeBytes: 100_000n, sectorBytes: 512, diskGuid: guid(0), alignBytes: 512n } as const;
  const whole = await written(planGpt(disk, [wish(1, 10_000n)]));
  await fc.assert(
    fc.asyncProperty(fc.nat(), fc.integer({ min: 1, max: 255 }), fc.nat(), async (at, flip, cut) => {
      const places = [512 + (at % 512), 1024 + (at % 16_384), whole.length - 1 - (at % 17_000), at % 512];
      for (const place of places) {
        const bytes = whole.slice();
        bytes[place] = bytes[place]! ^ flip;
        await checkGpt(memorySource(bytes));
      }
      await checkGpt(memorySource(whole.subarray(0, cut % 40_000)));
    }),
    { numRuns: 200 },
  );
});

test("a disk of 8 TiB: all addresses are beyond 32 bits, the protective MBR says as much as it can", async () => {
  const store = sparseStore(8n << 40n);
  await writeGpt(store, planGpt({ sizeBytes: 8n << 40n, sectorBytes: 512, diskGuid: guid(0) }, [wish(1, "rest")]));
  expect((await checkGpt(store))?.problems).toEqual([]);
  expect([...(await store.read(458n, 4))]).toEqual([0xff, 0xff, 0xff, 0xff]);
});

describe.skipIf(sgdisk === undefined)("sgdisk", () => {
  test("finds no problem in ours", async () => {
    const said = sgdiskSays(await written(planned([wish(1, BigInt(2 * MIB), "Größe"), wish(2, "rest")])));
    expect(said).toContain("No problems found");
    expect(said).not.toMatch(/Caution|Invalid partition data|Warning/);
  });

  test("finds none in what we mended", async () => {
    const bytes = await written(planned([wish(1, BigInt(2 * MIB))]));
    bytes[600] = bytes[600]! ^ 1;
    expect(sgdiskSays(bytes)).toMatch(/Caution|Invalid|damaged|corrupt/i);
    const store = memoryStore(bytes);
    await repairGpt(store, (await checkGpt(store))!);
    const said = sgdiskSays(bytes);
    expect(said).toContain("No problems found");
    expect(said).not.toMatch(/Caution|Invalid partition data/);
  });

  test("and we find none in what it makes, and read the same", async () => {
    const path = join(folder, "theirs.img");
    writeFileSync(path, "");
    truncateSync(path, 32 * MIB);
    execFileSync(
      sgdisk!,
      ["-o", "-n", "1:2048:+4M", "-c", "1:first", "-t", "1:0700", "-n", "2:0:0", "-t", "2:ef00", "-A", "2:set:2", path],
      {
        stdio: "ignore",
      },
    );
    const findings = await checked(readFileSync(path));
    expect(findings.problems).toEqual([]);
    expect(findings.primary?.partitions).toMatchObject([
      { number: 1, name: "first", firstLba: 2048n, lastLba: 10_239n, typeGuid: BASIC },
      { number: 2, firstLba: 10_240n, attributes: 4n, typeGuid: "C12A7328-F81F-11D2-BA4B-00A0C93EC93B" },
    ]);
    // Written anew from what was read, it is the same disk.
    const bytes = readFileSync(path);
    const again = new Uint8Array(bytes);
    const store = memoryStore(again);
    await repairGpt(store, (await checkGpt(store))!);
    const differing = again.findIndex((byte, at) => byte !== bytes[at]);
    expect(differing === -1 || (differing >= 446 && differing < 462)).toBe(true);
  });
});
