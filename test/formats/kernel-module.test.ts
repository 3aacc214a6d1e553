import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeModuleInfo, moduleName } from "../../src/formats/kernel-module.ts";
import { buildModule } from "./build-module.ts";

const sr = buildModule("license=GPL\0alias=scsi:t-0x05*\0alias=block-major-11-*\0depends=scsi_mod,cdrom\0name=sr_mod\0vermagic=6.1 SMP\0");

describe("a kernel module", () => {
  test("says its name, what it needs, and what it serves", () => {
    expect(decodeModuleInfo(sr, "sr_mod.ko")).toEqual({
      name: "sr_mod",
      depends: ["scsi_mod", "cdrom"],
      aliases: ["scsi:t-0x05*", "block-major-11-*"],
      softDepends: [],
      symbols: [],
    });
  });

  test("may need nothing", () => {
    expect(decodeModuleInfo(buildModule("depends=\0name=cdrom\0"), "cdrom.ko").depends).toEqual([]);
  });

  test("without a name is refused", () => {
    expect(() => decodeModuleInfo(buildModule("depends=\0"), "x.ko")).toThrow(/x\.ko@0: expected name= in \.modinfo/);
  });

  test("is not any ELF file, nor none", () => {
    expect(() => decodeModuleInfo(new Uint8Array(64), "x")).toThrow(/x@0: expected an ELF file, found 00000000/);
    const renamed = sr.slice();
    renamed[renamed.indexOf(0x6d, 64 + 100)] = 0x6e; // .modinfo → .nodinfo
    expect(() => decodeModuleInfo(renamed, "x")).toThrow(/expected a section \.modinfo, found 3 sections without it/);
  });

  test("cut anywhere or with any bit flipped is read or refused with a place", () => {
    const bear = (bytes: Uint8Array): void => {
      try {
        decodeModuleInfo(bytes, "m");
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^m@\d+$/);
      }
    };
    for (let length = 0; length < sr.length; length += 1) bear(sr.subarray(0, length));
    const flipped = sr.slice();
    for (let bit = 0; bit < sr.length * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      bear(flipped);
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("is known by one name, written either way", () => {
    expect(moduleName("usb-storage")).toBe("usb_storage");
  });
});
