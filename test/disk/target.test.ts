import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { findTarget, readTarget } from "../../src/disk/target.ts";

let folder: string;
const at = (name: string): string => `${folder}/${name}`;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-target-"));
  for (const name of ["stick.img", "a:b.img", "a:b.img:1", "with 2.img", "ж.img"]) writeFileSync(at(name), "x");
  mkdirSync(at("folder:1"));
  writeFileSync(at("folder:1/in.img"), "x");
  symlinkSync("stick.img", at("link"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const file = { isDevice: false, partition: undefined, path: undefined, endsWithSlash: false };

describe("the longest beginning that is a file is the medium", () => {
  test.each([
    ["stick.img", "stick.img", {}],
    ["stick.img/", "stick.img", { path: "/", endsWithSlash: true }],
    ["stick.img:1", "stick.img", { partition: 1 }],
    ["stick.img:12/", "stick.img", { partition: 12, path: "/", endsWithSlash: true }],
    ["stick.img:1/ISOs/a b.iso", "stick.img", { partition: 1, path: "/ISOs/a b.iso" }],
    ["stick.img:1/ISOs/", "stick.img", { partition: 1, path: "/ISOs", endsWithSlash: true }],
    ["stick.img:1:/ISOs/x", "stick.img", { partition: 1, path: "/ISOs/x" }],
    ["stick.img:/x:1", "stick.img", { path: "/x:1" }],
    ["stick.img/x:1/y", "stick.img", { path: "/x:1/y" }],
    ["stick.img:1//a/./b/../c", "stick.img", { partition: 1, path: "/a/c" }],
    ["stick.img:1/../../etc", "stick.img", { partition: 1, path: "/etc" }],
    ["link:1/x", "link", { partition: 1, path: "/x" }],
    ["a:b.img:2/x", "a:b.img", { partition: 2, path: "/x" }],
    ["a:b.img:1", "a:b.img:1", {}],
    ["a:b.img:1:3/x", "a:b.img:1", { partition: 3, path: "/x" }],
    ["folder:1/in.img:4/y", "folder:1/in.img", { partition: 4, path: "/y" }],
    ["ж.img/ж", "ж.img", { path: "/ж" }],
  ])("%s", async (text, medium, rest) => {
    expect(await readTarget(at(text))).toEqual({ ...file, text: at(text), medium: at(medium), ...rest });
  });
});

test.each([
  ["stick.img:x", /behind .*stick\.img: the number of a partition/],
  ["stick.img:-1/x", /the number of a partition/],
  ["stick.img:", /the number of a partition/],
  ["stick.img:1x/y", /the number of a partition/],
  ["stick.img:0", /a partition from 1 to 65535/],
  ["stick.img:99999999999999999999", /a partition from 1 to 65535/],
  ["stick.img:1/a\0b", /NUL/],
  ["none.img:1/x", /no such file/],
  ["folder:1", /a folder of this computer/],
  ["", /no such file/],
])("%j is refused", async (text, message) => {
  await expect(readTarget(text === "" ? "" : at(text))).rejects.toThrow(
    expect.objectContaining({ kind: "usage", message: expect.stringMatching(message) }),
  );
});

test("a path of this computer is no place on a disk", async () => {
  expect(await findTarget(at("none"))).toBeUndefined();
  expect(await findTarget(at("folder:1"))).toBeUndefined();
});

test("a device is one, whatever stands in its name", async () => {
  const byPath = "/dev/disk/by-path/pci-0000:00:14.0-usb-0:1:1.0-scsi-0:0:0:0";
  const look = async (path: string) => (path === byPath ? ("device" as const) : undefined);
  expect(await findTarget(`${byPath}:2/ISOs`, look)).toMatchObject({ medium: byPath, isDevice: true, partition: 2, path: "/ISOs" });
});

test("any text is understood or refused, and looked up a bounded number of times", async () => {
  await fc.assert(
    fc.asyncProperty(fc.string(), fc.string(), async (name, rest) => {
      let looked = 0;
      const look = async (path: string) => {
        looked += 1;
        return path === name ? ("file" as const) : undefined;
      };
      const text = `${name}${rest}`;
      const target = await findTarget(text, look).catch((error: Error) => error.name);
      if (target !== undefined && typeof target !== "string") {
        expect(target.medium).toBe(name);
        expect(target.path ?? "/").toMatch(/^\//);
      }
      expect(looked).toBeLessThanOrEqual(text.length);
    }),
  );
});
