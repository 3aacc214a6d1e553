import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { DISK_FORMATS } from "../../src/image/disk-format.ts";
import { type DiskWish, diskWishText, parseDiskWish } from "../../src/machine/disk-wish.ts";

const file = (changes: Partial<DiskWish> = {}): DiskWish => ({
  sizeBytes: undefined,
  path: "a.img",
  bus: "sata",
  keep: false,
  format: undefined,
  ...changes,
});
const fresh = (sizeBytes: bigint, changes: Partial<DiskWish> = {}) => file({ sizeBytes, path: undefined, keep: true, ...changes });

test.each<[string, DiskWish]>([
  ["a.img", file()],
  ["a.img,keep", file({ keep: true })],
  ["a.qcow2,bus=nvme,format=qcow2", file({ path: "a.qcow2", bus: "nvme", format: "qcow2" })],
  ["odd,, name.img,keep,bus=usb", file({ path: "odd, name.img", bus: "usb", keep: true })],
  ["a,,,keep", file({ path: "a,", keep: true })],
  ["./8G", file({ path: "./8G" })],
  ["8", file({ path: "8" })],
  ["8G", fresh(8n << 30n)],
  ["8GiB", fresh(8n << 30n)],
  ["100m,bus=sd", fresh(100n << 20n, { bus: "sd" })],
  ["1P", fresh(1n << 50n)],
  ["2T,file=/vm/new disk.qcow2", fresh(2n << 40n, { path: "/vm/new disk.qcow2" })],
  ["64K,format=raw", fresh(65_536n, { format: "raw" })],
])("%s", (text, wish) => {
  expect(parseDiskWish(text)).toEqual(wish);
  expect(parseDiskWish(diskWishText(wish))).toEqual(wish);
});

test.each([
  ["", "neither"],
  [",keep", "neither"],
  ["0G", "0G"],
  ["2P", "2P"],
  ["8G,keep", "keep"],
  ["8G,format=vmdk", '"vmdk"'],
  ["8G,file=", "none"],
  ["a.img,file=b.img", "a.img"],
  ["a.img,bus=ide", '"ide"'],
  ["a.img,bus", "no value"],
  ["a.img,keep=yes", "keep=yes"],
  ["a.img,snapshot=off", '"snapshot"'],
  ["a.img,bus=usb,bus=usb", "twice"],
  ["a.img,__proto__=1", '"__proto__"'],
])("%j is refused", (text, found) => {
  let thrown: unknown;
  try {
    parseDiskWish(text);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(HiperisoError);
  expect(thrown).toMatchObject({ kind: "usage", found: expect.stringContaining(found) });
});

describe("any text", () => {
  test("is a wish that can be said again, or is refused", () => {
    const part = fc.constantFrom("8G", "a.img", ",", ",,", "keep", "bus=sd", "file=x", "format=raw", "=", "7K", "é\n");
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(part, { maxLength: 6 }).map((parts) => parts.join(",")),
        ),
        (text) => {
          let wish: DiskWish;
          try {
            wish = parseDiskWish(text);
          } catch (error) {
            expect(error).toBeInstanceOf(HiperisoError);
            return;
          }
          // A size of a file's name would be read as a size: then its folder stands before it.
          expect(parseDiskWish(diskWishText(wish))).toEqual(wish);
        },
      ),
    );
  });

  test("any name comes through", () => {
    fc.assert(
      fc.property(fc.string({ minLength: 1 }), fc.constantFrom(...DISK_FORMATS), fc.boolean(), (name, format, keep) => {
        const wish = file({ path: `/${name.replaceAll("\0", "")}`, format, keep });
        expect(parseDiskWish(diskWishText(wish))).toEqual(wish);
      }),
    );
  });
});
