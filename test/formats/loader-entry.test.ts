import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { decodeGrubEnvironment } from "../../src/formats/grub-environment.ts";
import { decodeLoaderEntry, decodeLoaderSettings } from "../../src/formats/loader-entry.ts";

describe("entries of the Boot Loader Specification", () => {
  it("keys once or several times, comments, blanks, either end of lines", () => {
    const text =
      "# comment\r\ntitle   Arch Linux install medium\r\nsort-key 01\nlinux\t/arch/vmlinuz\ninitrd /ucode.img\ninitrd /arch/initrd.img\noptions a=b\n  options c d  \narchitecture X64\nunknown x\nversion 6.1\nalone\n";
    expect(decodeLoaderEntry(text)).toEqual({
      title: "Arch Linux install medium",
      version: "6.1",
      sortKey: "01",
      kernel: "/arch/vmlinuz",
      initrds: ["/ucode.img", "/arch/initrd.img"],
      options: "a=b c d",
      efi: undefined,
      uki: undefined,
      architecture: "x64",
    });
    expect(decodeLoaderEntry("efi /shellx64.efi\nuki /EFI/Linux/a.efi")).toMatchObject({
      efi: "/shellx64.efi",
      uki: "/EFI/Linux/a.efi",
      kernel: undefined,
    });
    expect(decodeLoaderSettings("timeout 3\ndefault arch-*\ndefault 01-*.conf\n")).toEqual({ standard: "01-*.conf" });
    expect(decodeLoaderSettings("")).toEqual({ standard: undefined });
  });

  it("takes every text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii", maxLength: 300 }), (text) => {
        expect(decodeLoaderEntry(text).initrds.length).toBeLessThanOrEqual(150);
      }),
    );
  });
});

describe("GRUB's environment block", () => {
  it("values with what is escaped in them; no block without its first line", () => {
    const text = "# GRUB Environment Block\nsaved_entry=a\nkernelopts=root=UUID=1 ro\nx=a\\\\b\\\nc\n# x=no\n=none\n########";
    expect([...(decodeGrubEnvironment(text) ?? [])]).toEqual([
      ["saved_entry", "a"],
      ["kernelopts", "root=UUID=1 ro"],
      ["x", "a\\b\nc"],
    ]);
    expect(decodeGrubEnvironment("saved_entry=a\n")).toBeUndefined();
  });

  it("takes every text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary-ascii" }), (text) => {
        expect(decodeGrubEnvironment(`# GRUB Environment Block\n${text}`)?.size).toBeLessThanOrEqual(text.length);
      }),
    );
  });
});
