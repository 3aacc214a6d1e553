import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { decodeKernelCommandLine, encodeKernelCommandLine, KERNEL_COMMAND_LINE_BYTES_MAX } from "../../src/formats/kernel-command-line.ts";

const character = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom(" ", '"', "'", "\\", "x", "4", "1", ",", "$", "=", "ä", "à", "光", "🙂") },
  { weight: 1, arbitrary: fc.string({ unit: "grapheme", minLength: 1, maxLength: 1 }).filter((text) => !/[\0-\x1f\x7f]/.test(text)) },
);
const value = fc.array(character, { maxLength: 12 }).map((parts) => parts.join(""));
const words = fc.array(
  fc.record({ name: fc.constantFrom("hiperiso_iso", "quiet", "a.b-c"), value: fc.option(value, { nil: undefined }) }),
  { maxLength: 6 },
);
const plain = (list: readonly { name: string; value?: string | undefined }[]) =>
  list.map((word) => (word.value === undefined ? { name: word.name } : { name: word.name, value: word.value }));

describe("the kernel command line", () => {
  test("is written as GRUB 2.06 writes it", () => {
    expect(encodeKernelCommandLine([{ name: "quiet" }, { name: "hiperiso_iso", value: "/ISOs/a b.iso" }])).toBe(
      'quiet "hiperiso_iso=/ISOs/a b.iso"',
    );
    expect(encodeKernelCommandLine([{ name: "x", value: `a\\b"c'd` }])).toBe(`x=a\\\\b\\"c\\'d`);
    expect(encodeKernelCommandLine([{ name: "x", value: `it's "so"` }])).toBe(`"x=it\\'s \\"so\\""`);
  });

  test("gives back every word that was written", () => {
    fc.assert(
      fc.property(words, (list) => {
        expect(decodeKernelCommandLine(encodeKernelCommandLine(list))).toEqual(plain(list));
        expect(decodeKernelCommandLine(`${encodeKernelCommandLine(list)}\n`)).toEqual(plain(list));
      }),
      { numRuns: 1000 },
    );
  });

  test("is read from /proc/cmdline with its ending line feed, and from lines written by hand", () => {
    expect(decodeKernelCommandLine('BOOT_IMAGE=/vmlinuz  dyndbg="file x +p" ro\n')).toEqual([
      { name: "BOOT_IMAGE", value: "/vmlinuz" },
      { name: "dyndbg", value: "file x +p" },
      { name: "ro" },
    ]);
    expect(decodeKernelCommandLine('"open a b\n')).toEqual([{ name: "open a b" }]);
    expect(decodeKernelCommandLine(" \n")).toEqual([]);
  });

  test("keeps a backslash that escapes nothing: newer GRUBs leave \\x20 as it stands", () => {
    expect(decodeKernelCommandLine("iso=a\\x20b\\")).toEqual([{ name: "iso", value: "a\\x20b\\" }]);
  });

  test("is read without an error whatever it holds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 60 }), (line) => {
        for (const { name } of decodeKernelCommandLine(line)) expect(name).not.toContain("=");
      }),
    );
  });

  test("of 2,047 bytes is taken, of one more refused with the longest value named", () => {
    const fits = "ä".repeat((KERNEL_COMMAND_LINE_BYTES_MAX - "a=1 iso=".length - 1) / 2);
    const line = encodeKernelCommandLine([
      { name: "a", value: "1" },
      { name: "iso", value: `${fits}x` },
    ]);
    expect(new TextEncoder().encode(line)).toHaveLength(KERNEL_COMMAND_LINE_BYTES_MAX);
    expect(() =>
      encodeKernelCommandLine([
        { name: "a", value: "1" },
        { name: "iso", value: `${fits}xy` },
      ]),
    ).toThrow(/found 2048 bytes, the longest value being that of iso \(2040 bytes\)/);
  });

  test.each(["\n", "\t", "\0", "\x7f", "\x1b", "\ud800"])(
    "refuses the control character or half character %j where the value is set",
    (bad) => {
      expect(() => encodeKernelCommandLine([{ name: "hiperiso_iso", value: `a${bad}b` }])).toThrow(/control characters/);
    },
  );
});
