import { spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeMbr, encodeMbr, type PrimaryPartition } from "../../src/formats/mbr.ts";
import { keeping, survivesDamage } from "./damage.ts";

function sector(...entries: readonly (readonly [status: number, type: number, first: number, sectors: number])[]): Uint8Array {
  const bytes = new Uint8Array(512);
  const view = new DataView(bytes.buffer);
  bytes.set([0xfa, 0x31]);
  view.setUint32(440, 0xdeadbeef, true);
  for (const [index, [status, type, first, sectors]] of entries.entries()) {
    const at = 446 + index * 16;
    bytes[at] = status;
    bytes[at + 4] = type;
    view.setUint32(at + 8, first, true);
    view.setUint32(at + 12, sectors, true);
  }
  bytes.set([0x55, 0xaa], 510);
  return bytes;
}

test("entries, signature, code", () => {
  const place = keeping();
  const mbr = decodeMbr(sector([0x80, 0x83, 2048, 100], [0, 0, 0, 0], [0, 0xef, 4096, 0xffff_ffff]), place);
  expect(mbr?.diskSignature).toBe(0xdeadbeef);
  expect(mbr?.entries).toEqual([
    { offset: 446n, number: 1, type: 0x83, active: true, firstLba: 2048, sectors: 100 },
    { offset: 478n, number: 3, type: 0xef, active: false, firstLba: 4096, sectors: 0xffff_ffff },
  ]);
  expect(mbr?.bootCode.subarray(0, 3)).toEqual(Uint8Array.of(0xfa, 0x31, 0));
  expect(place.problems).toEqual([]);
});

test("one status that cannot be is a problem; four are no table", () => {
  const place = keeping(512n);
  expect(decodeMbr(sector([0x80, 0x83, 1, 1], [0x7f, 0x83, 2, 2]), place)?.entries).toHaveLength(2);
  expect(place.problems).toEqual([{ offset: 512n + 462n, structure: "MBR entry 2", expected: "a status of 0x00 or 0x80", found: "0x7f" }]);
  const code = sector([1, 1, 1, 1], [2, 1, 1, 1], [3, 1, 1, 1], [4, 1, 1, 1]);
  expect(decodeMbr(code, keeping())).toBeUndefined();
});

test("survives damage", () => {
  survivesDamage(sector([0x80, 0x83, 2048, 100]), decodeMbr);
});

const MIB = 1024n * 1024n;
const rest = (type: number, offsetBytes: bigint, diskBytes: bigint): PrimaryPartition => ({
  type,
  active: false,
  firstLba: offsetBytes / 512n,
  sectors: (diskBytes - offsetBytes) / 512n,
});

describe("a table that is written", () => {
  test("is read back", () => {
    const sectors = fc.bigInt({ min: 1n, max: 0x3fff_ffffn });
    const parts = fc.array(fc.tuple(fc.integer({ min: 1, max: 255 }), fc.boolean(), sectors, sectors), { maxLength: 4 });
    fc.assert(
      fc.property(fc.integer({ min: 0, max: 0xffff_ffff }), parts, fc.uint8Array({ maxLength: 440 }), (diskSignature, drawn, bootCode) => {
        let end = 0n;
        const partitions: PrimaryPartition[] = [];
        for (const [type, active, gap, length] of drawn) {
          if (end + gap + length > 0xffff_ffffn) break;
          partitions.push({ type, active, firstLba: end + gap, sectors: length });
          end += gap + length;
        }
        const place = keeping();
        const mbr = decodeMbr(encodeMbr({ diskSignature, partitions, bootCode }), place);
        expect(place.problems).toEqual([]);
        expect(mbr?.diskSignature).toBe(diskSignature);
        expect(mbr?.bootCode.subarray(0, bootCode.length)).toEqual(bootCode);
        expect(
          mbr?.entries.map(({ type, active, firstLba, sectors }) => ({
            type,
            active,
            firstLba: BigInt(firstLba),
            sectors: BigInt(sectors),
          })),
        ).toEqual(partitions);
      }),
    );
  });

  test("counts in cylinders as far as it can", () => {
    const table = (partition: PrimaryPartition) =>
      Buffer.from(encodeMbr({ diskSignature: 0, partitions: [partition] }).subarray(446, 462)).toString("hex");
    // From 1 MiB, 255 heads and 63 sectors: cylinder 0, head 32, sector 33. The last of 64 MiB: cylinder 8, head 40, sector 32.
    expect(table(rest(0x83, MIB, 64n * MIB))).toBe("00202100832820080008000000f80100");
    expect(table(rest(0x83, MIB, 16384n * MIB))).toBe("0020210083feffff0008000000f8ff01");
  });

  test.each([
    [
      "five partitions",
      Array.from({ length: 5 }, (_, index) => ({ ...rest(0x83, MIB, 2n * MIB), firstLba: 2048n * BigInt(index + 1) })),
      "4 partitions",
    ],
    ["an overlap", [rest(0x83, MIB, 4n * MIB), rest(0x83, 2n * MIB, 3n * MIB)], "sectors of its own"],
    ["no sectors", [{ ...rest(0x83, MIB, 4n * MIB), sectors: 0n }], "32 bits each"],
    ["type 0", [rest(0, MIB, 4n * MIB)], "a type"],
    ["more than 2 TiB", [rest(0x83, MIB, 3n * MIB * MIB)], "32 bits each"],
  ])("%s is refused", (_, partitions, message) => {
    expect(() => encodeMbr({ diskSignature: 0, partitions })).toThrow(message);
  });

  const hasParted = spawnSync("/usr/sbin/parted", ["--version"]).status === 0;
  test.skipIf(!hasParted).each([
    [64n, 1n],
    [1100n, 1024n],
    [16384n, 1n],
    [16384n, 1024n],
  ])("of %d MiB with a partition from MiB %d is as parted writes it, but for its boot code", (diskMib, offsetMib) => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-mbr-"));
    try {
      const disk = join(folder, "disk");
      writeFileSync(disk, "");
      truncateSync(disk, Number(diskMib * MIB));
      const made = spawnSync("/usr/sbin/parted", [
        "--script",
        disk,
        "mklabel",
        "msdos",
        "mkpart",
        "primary",
        "ext3",
        `${offsetMib * MIB}B`,
        "100%",
      ]);
      expect(made.status).toBe(0);
      const theirs = new Uint8Array(512);
      const descriptor = openSync(disk, "r");
      readSync(descriptor, theirs);
      closeSync(descriptor);
      const partitions = [rest(0x83, offsetMib * MIB, diskMib * MIB)];
      const ours = encodeMbr({
        diskSignature: new DataView(theirs.buffer).getUint32(440, true),
        partitions,
        geometry: { heads: 4, sectors: 32 },
      });
      expect(Buffer.from(ours.subarray(440)).toString("hex")).toBe(Buffer.from(theirs.subarray(440)).toString("hex"));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
