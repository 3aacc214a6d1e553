import { describe, expect, test } from "vitest";
import type { InstalledPackage } from "../../../src/live/packages/installed-package.ts";
import { checkLicences, LICENCE_ROWS, LicencesSchema, refusedPackages } from "../../../src/live/packages/licence-policy.ts";

const one = (name: string, licences: readonly string[], rest: Partial<InstalledPackage> = {}): InstalledPackage => ({
  ...{ manager: "apk", name, version: "1", architecture: "x86_64", source: { name, version: "1" }, licences },
  ...rest,
});
const refused = (packages: readonly InstalledPackage[], licences: unknown) =>
  refusedPackages({ packages }, LicencesSchema.parse(licences)).map(({ package: name, because }) => `${name}: ${because}`);

describe("a policy of licences", () => {
  test("free: takes what is free by name, refuses what is not, what is unknown and what has none", () => {
    const packages = [
      one("busybox", ["GPL-2.0-only"]),
      one("musl", ["MIT"]),
      one("art", ["CC-BY-NC-SA-4.0"]),
      one("blob", ["Acme-Redistributable-Firmware"]),
      one("odd", ["Frobnicate-1.0"]),
      one("bare", []),
    ];
    expect(refused(packages, "free")).toEqual([
      "art 1: CC-BY-NC-SA-4.0",
      "blob 1: Acme-Redistributable-Firmware",
      "odd 1: Frobnicate-1.0",
      "bare 1: its licence is not known",
    ]);
  });

  test("free: believes Debian's archive, which keeps apart what is not, but not a package without a licence", () => {
    const deb = { manager: "deb" } as const;
    const packages = [
      one("libmd0", ["public-domain-md4", "Beerware", "SMAIL-GPL"], { ...deb, section: "libs" }),
      one("firmware-realtek", ["BSD-3-clause"], { ...deb, section: "non-free-firmware/kernel" }),
      one("steam", ["Expat"], { ...deb, section: "contrib/games" }),
      one("chrome", [], { ...deb, section: "web" }),
      one("doc", ["CC-BY-ND-4.0"], { ...deb, section: "doc" }),
    ];
    expect(refused(packages, { free: true })).toEqual([
      "firmware-realtek 1: its distribution keeps it in non-free-firmware",
      "steam 1: its distribution keeps it in contrib",
      "chrome 1: its licence is not known",
      "doc 1: CC-BY-ND-4.0",
    ]);
  });

  test("allow: takes what is named, in any case, one side of a choice, and an exception to it", () => {
    const packages = [
      one("a", ["gpl-2.0-only OR Proprietary"]),
      one("b", ["GPL-2+ with OpenSSL exception"]),
      one("c", ["GPL-2+ AND MIT"]),
      one("d", ["LGPL-2.1"]),
      one("e", ["LGPL-2.1"]),
    ];
    expect(refused(packages, { allow: ["GPL-*"], packages: ["e"] })).toEqual(["c 1: GPL-2+ AND MIT", "d 1: LGPL-2.1"]);
  });

  test("deny: is stronger than all else", () => {
    const packages = [one("a", ["GPL-3.0-or-later"]), one("b", ["GPL-3.0-only OR MIT"]), one("c", ["AGPL-3.0-only"])];
    expect(refused(packages, { free: true, allow: ["GPL-3*"], deny: ["GPL-3*", "AGPL-*"] })).toEqual([
      "a 1: GPL-3.0-or-later",
      "c 1: AGPL-3.0-only",
    ]);
  });

  test("ends the build and names the packages", () => {
    const list = { packages: [one("a", ["Proprietary"]), one("b", [])], unread: [] };
    expect(() => checkLicences(list, "free")).toThrow(
      /expected free software only, found 2 packages\na 1: Proprietary\nb 1: its licence is not known/,
    );
    expect(() => checkLicences({ packages: [one("a", ["MIT"])], unread: [] }, "free")).not.toThrow();
    expect(() => checkLicences(undefined, undefined)).not.toThrow();
  });

  test("shows thirty packages and counts the others", () => {
    const packages = Array.from({ length: 42 }, (_, index) => one(`p${index}`, []));
    expect(() => checkLicences({ packages, unread: [] }, "free")).toThrow(/found 42 packages\np0 .*p29 1: [^\n]*\nand 12 more/s);
  });

  test("refuses what it cannot know: no database, and one that is not read", () => {
    expect(() => checkLicences(undefined, "free")).toThrow(/found no database of packages/);
    expect(() => checkLicences({ packages: [], unread: ["rpm"] }, "free")).toThrow(/a database of rpm, which is not read/);
  });

  test("does not take keys that it does not know", () => {
    expect(LicencesSchema.safeParse({ alow: ["MIT"] }).success).toBe(false);
    expect(LicencesSchema.safeParse("open").success).toBe(false);
  });

  test("no row of the table stands twice, and names of everyday are free", () => {
    expect(new Set(LICENCE_ROWS.map(({ pattern }) => pattern.toLowerCase())).size).toBe(LICENCE_ROWS.length);
    const everyday = [
      "GPL-2.0-or-later",
      "LGPL-2.1+",
      "MIT",
      "BSD-3-Clause",
      "Apache-2.0",
      "MPL-2.0",
      "ISC",
      "Zlib",
      "CC0-1.0",
      "custom:BSD",
    ];
    const sloppy = [
      "GPL2",
      "LGPL3",
      "BSD",
      "PSF-2.0",
      "0BSD",
      "GPL-3.0-only WITH GCC-exception-3.1",
      "BSD-2-Clause AND (GPL-2.0-only OR MIT)",
    ];
    expect(
      refused(
        [...everyday.slice(0, -1), ...sloppy].map((licence) => one(licence, [licence])),
        "free",
      ),
    ).toEqual([]);
    // Arch: "custom" says that a file has the terms, whatever they are.
    expect(refused([one("x", ["custom:BSD"])], "free")).toEqual(["x 1: custom:BSD"]);
  });
});
