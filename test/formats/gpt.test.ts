import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { decodeGptEntries, decodeGptHeader, decodeGuid, gptTypeName, hasGptSignature } from "../../src/formats/gpt.ts";
import { mendGptHeader, putGpt } from "../image/build-image.ts";
import { keeping, survivesDamage } from "./damage.ts";

const disk = new Uint8Array(200 * 512);
putGpt(disk, [
  { firstLba: 40, lastLba: 49, name: "a name" },
  { firstLba: 50, lastLba: 50 },
]);
const headerAt = (bytes: Uint8Array, lba: number) => bytes.subarray(lba * 512, lba * 512 + 512);

test("both headers and their entries", () => {
  for (const [lba, other] of [
    [1n, 199n],
    [199n, 1n],
  ] as const) {
    const place = keeping(lba * 512n);
    const header = decodeGptHeader(headerAt(disk, Number(lba)), lba, place);
    expect(header).toMatchObject({
      myLba: lba,
      otherLba: other,
      firstUsableLba: 34n,
      lastUsableLba: 166n,
      entryCount: 128,
      entryBytes: 128,
    });
    const tableAt = Number(header!.entriesLba) * 512;
    const entries = decodeGptEntries(disk.subarray(tableAt, tableAt + 16_384), header!, { ...place, offset: BigInt(tableAt) });
    expect(
      entries?.map(({ number, firstLba, lastLba, name, typeGuid }) => [number, firstLba, lastLba, name, gptTypeName(typeGuid)]),
    ).toEqual([
      [1, 40n, 49n, "a name", "Microsoft basic data"],
      [2, 50n, 50n, "", "Microsoft basic data"],
    ]);
    expect(place.problems).toEqual([]);
  }
});

test.each([
  [0, 0x46, "found", "0x4646492050415254"],
  [12, 91, "expected", "a header size of 92 to 512"],
  [56, 1, "expected", expect.stringMatching(/^CRC-32 0x[0-9a-f]{8}$/)],
])("a header whose byte %d is %d is refused", (at, value, field, text) => {
  const block = headerAt(disk, 1).slice();
  block[at] = value;
  const place = keeping(512n);
  expect(decodeGptHeader(block, 1n, place)).toBeUndefined();
  expect(place.problems).toHaveLength(1);
  expect(place.problems[0]).toMatchObject({ structure: "GPT header", [field]: text });
});

test("a header with a right checksum and wrong contents is refused", () => {
  const refused = (at: number, value: number, expected: string) => {
    const copy = disk.slice();
    new DataView(copy.buffer).setUint32(512 + at, value, true);
    mendGptHeader(copy, 1);
    const place = keeping(512n);
    expect(decodeGptHeader(headerAt(copy, 1), 1n, place)).toBeUndefined();
    expect(place.problems).toMatchObject([{ offset: 512n + BigInt(at), expected }]);
  };
  refused(24, 7, "its own LBA, 1");
  refused(84, 100, "an entry size of 128 × 2^n");
  refused(84, 192, "an entry size of 128 × 2^n");
  refused(80, 1_000_000, "at most 262144 bytes of entries");
});

test("survives damage: no flipped bit of a header goes unseen", () => {
  survivesDamage(headerAt(disk, 1), (bytes, place) => decodeGptHeader(bytes, 1n, place));
  for (let bit = 0; bit < 92 * 8; bit += 1) {
    const block = headerAt(disk, 1).slice();
    block[bit >> 3]! ^= 1 << (bit & 7);
    expect(decodeGptHeader(block, 1n, keeping()), `bit ${bit}`).toBeUndefined();
  }
});

test("a GUID has its first three fields turned", () => {
  expect(decodeGuid(Uint8Array.from(Buffer.from("28732ac11ff8d211ba4b00a0c93ec93b", "hex")))).toBe("C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
  expect(hasGptSignature(new Uint8Array(3))).toBe(false);
});

test("a table by sgdisk, as sgdisk reads it", () => {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-gpt-"));
  try {
    const image = join(folder, "disk.img");
    writeFileSync(image, "");
    truncateSync(image, 16 << 20);
    const sgdisk = (...options: string[]) =>
      execFileSync("sgdisk", [...options, image], {
        encoding: "utf8",
        env: { ...process.env, PATH: `${process.env["PATH"]}:/usr/sbin:/sbin` },
      });
    sgdisk("-n1:2048:4095", "-t1:ef00", "-c1:EFI Grüße", "-n2:4096:0", "-t2:8300", "-A2:set:2");
    const bytes = readFileSync(image);
    const place = keeping();
    const header = decodeGptHeader(headerAt(bytes, 1), 1n, place);
    const entries = decodeGptEntries(bytes.subarray(1024, 1024 + 16_384), header!, place);
    expect(place.problems).toEqual([]);
    for (const entry of entries!) {
      const info = sgdisk(`-i${entry.number}`);
      expect(info).toContain(
        `Partition GUID code: ${entry.typeGuid} (${entry.number === 1 ? "EFI system partition" : "Linux filesystem"})`,
      );
      expect(info).toContain(`Partition unique GUID: ${entry.uniqueGuid}`);
      expect(info).toContain(`First sector: ${entry.firstLba} `);
      expect(info).toContain(`Last sector: ${entry.lastLba} `);
      expect(info).toContain(`Attribute flags: ${entry.attributes.toString(16).padStart(16, "0").toUpperCase()}`);
      expect(info).toContain(`Partition name: '${entry.name}'`);
    }
    expect(entries).toHaveLength(2);
    expect(sgdisk("-p")).toContain(header!.diskGuid);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
