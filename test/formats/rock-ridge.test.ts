import { expect, test } from "vitest";
import { decodeRockRidge, decodeSystemUse, suspSkip } from "../../src/formats/rock-ridge.ts";
import { both32, text } from "../image/build-image.ts";
import { keeping, survivesDamage } from "./damage.ts";

const entry = (signature: string, ...data: number[]): number[] => [...text(signature), 4 + data.length, 1, ...data];
const NM = (flags: number, part: string) => entry("NM", flags, ...text(part));

test("a name in parts, in UTF-8 cut anywhere", () => {
  const name = [...text("Grüße")];
  const area = Uint8Array.from([
    ...entry("NM", 1, ...name.slice(0, 3)),
    ...entry("NM", 0, ...name.slice(3)),
    ...entry("PX", ...new Array<number>(32).fill(0)),
  ]);
  const place = keeping();
  expect(decodeRockRidge(decodeSystemUse(area, place).entries)).toEqual({
    name: "Grüße",
    symbolicLink: false,
    childBlock: undefined,
    relocated: false,
    compressed: false,
  });
  expect(place.problems).toEqual([]);
});

test("links, moved directories, compressed files", () => {
  const area = (entries: number[]) => decodeSystemUse(Uint8Array.from(entries), keeping()).entries;
  expect(decodeRockRidge(area(entry("CL", ...both32(77))))).toMatchObject({ childBlock: 77, name: undefined });
  expect(decodeRockRidge(area(entry("RE")))).toMatchObject({ relocated: true });
  expect(decodeRockRidge(area([...NM(0, "x"), ...entry("SL", 0, 0)]))).toMatchObject({ symbolicLink: true, name: "x" });
  expect(decodeRockRidge(area(entry("ZF", 0, 0)))).toMatchObject({ compressed: true });
  expect(decodeRockRidge(area(NM(2, "")))).toMatchObject({ name: undefined });
});

test("where a link leads: parts of parts, in one entry and the next, and what is cut", () => {
  const target = (...links: number[][]) =>
    decodeRockRidge(decodeSystemUse(Uint8Array.from(links.flatMap((link) => entry("SL", 0, ...link))), keeping()).entries).linkTarget;
  const part = (flags: number, name: string) => [flags, name.length, ...text(name)];
  expect(target(part(0, "vmlinuz-6.1"))).toBe("vmlinuz-6.1");
  expect(target([...part(4, ""), ...part(2, ""), ...part(0, "live")], [...part(1, "vm"), ...part(0, "linuz")])).toBe(".././live/vmlinuz");
  expect(target([...part(8, ""), ...part(0, "boot")])).toBe("/boot");
  expect(target([0, 200, 1, 2])).toBe("\x01\x02");
  expect(target([])).toBeUndefined();
});

test("an area goes on elsewhere, ends at ST, and is padded", () => {
  const area = Uint8Array.from([
    ...entry("CE", ...both32(5), ...both32(100), ...both32(30)),
    ...NM(0, "a"),
    ...entry("ST"),
    ...NM(0, "b"),
    0,
  ]);
  const { entries, next } = decodeSystemUse(area, keeping());
  expect(next).toEqual({ block: 5, offset: 100, bytes: 30 });
  expect(entries.map(({ signature }) => signature)).toEqual(["NM"]);
});

test("a length that cannot be is named", () => {
  const place = keeping(500n);
  expect(decodeSystemUse(Uint8Array.from([...NM(0, "ok"), 0x4e, 0x4d, 99, 1, 0]), place).entries).toHaveLength(1);
  expect(place.problems).toEqual([{ offset: 509n, structure: "system use entry NM", expected: "a length of 5 to 5", found: "99" }]);
});

test("SP alone says that the protocol is used", () => {
  expect(suspSkip(Uint8Array.from(entry("SP", 0xbe, 0xef, 3)))).toBe(3);
  expect(suspSkip(Uint8Array.from([...new Array<number>(14).fill(1), ...entry("SP", 0xbe, 0xef, 14)]))).toBe(14);
  expect(suspSkip(text("RR"))).toBeUndefined();
  expect(suspSkip(new Uint8Array())).toBeUndefined();
});

test("survives damage", () => {
  const area = Uint8Array.from([
    ...NM(1, "name"),
    ...entry("CE", ...both32(5), ...both32(100), ...both32(30)),
    ...entry("CL", ...both32(1)),
    ...entry("SL", 0, 0, 3, 1, 2, 3),
    ...entry("RE"),
  ]);
  survivesDamage(area, (bytes, place) => decodeRockRidge(decodeSystemUse(bytes, place).entries));
  survivesDamage(Uint8Array.from(entry("SP", 0xbe, 0xef, 0)), suspSkip);
});
