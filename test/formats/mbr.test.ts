import { expect, test } from "vitest";
import { decodeMbr } from "../../src/formats/mbr.ts";
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
