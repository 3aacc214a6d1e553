import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import {
  decodeSrcfsLine,
  encodeSrcfsCommand,
  encodeSrcLine,
  SRCFS_NAME_BYTES_MAX,
  type SrcfsLine,
  srcfsLosses,
} from "../../src/formats/srcfs.ts";

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const read = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

/** Every line up to the NUL or the end. */
function lines(bytes: Uint8Array): readonly SrcfsLine[] {
  const found: SrcfsLine[] = [];
  for (let offset = 0n; ; ) {
    const next = decodeSrcfsLine(bytes.subarray(Number(offset)), { offset, imageBytes: BigInt(bytes.length), where: "fs" });
    if (next === undefined) return found;
    found.push(next.line);
    offset = next.end;
  }
}

const join = (...parts: readonly Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]));

const small = join(
  encodeSrcLine("", 0n),
  encodeSrcLine("steps", 0n),
  encodeSrcLine("steps/a b.txt", 3n),
  text("src"),
  encodeSrcLine("ü", 1n),
  text("\n"),
  encodeSrcfsCommand({ kind: "folder", path: "/bin" }),
  encodeSrcfsCommand({ kind: "hex0", source: "/x/a.hex0", target: "/bin/a" }),
  encodeSrcfsCommand({ kind: "run", program: "/bin/a", argument: "/kaem.x86" }),
);

describe("the source file system", () => {
  test("is written as the kernel reads it", () => {
    expect(read(small)).toBe(
      "src 0 .\nsrc 0 ./steps\nsrc 3 ./steps/a b.txt\nsrcsrc 1 ./ü\n\nsrc 0 /bin\nhex0 /x/a.hex0 /bin/a\n/bin/a /kaem.x86\n",
    );
  });

  test("is read back, with the place of each file", () => {
    expect(lines(join(small, new Uint8Array(100)))).toEqual([
      { kind: "src", name: ".", offset: 0n, contentOffset: 8n, sizeBytes: 0n },
      { kind: "src", name: "./steps", offset: 8n, contentOffset: 22n, sizeBytes: 0n },
      { kind: "src", name: "./steps/a b.txt", offset: 22n, contentOffset: 44n, sizeBytes: 3n },
      { kind: "src", name: "./ü", offset: 47n, contentOffset: 58n, sizeBytes: 1n },
      { kind: "src", name: "/bin", offset: 59n, contentOffset: 70n, sizeBytes: 0n },
      { kind: "command", text: "hex0 /x/a.hex0 /bin/a", offset: 70n },
      { kind: "command", text: "/bin/a /kaem.x86", offset: 92n },
    ]);
  });

  const anyName = fc
    .string({ unit: "binary", minLength: 1, maxLength: 60 })
    .filter((name) => !/[\0\n]/.test(name) && !/\p{Surrogate}/u.test(name) && !name.startsWith("\ufeff"));
  test("gives back any names and contents", () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(anyName, fc.uint8Array({ maxLength: 300 }))), (files) => {
        const bytes = join(...files.flatMap(([name, content]) => [encodeSrcLine(name, BigInt(content.length)), content]), Uint8Array.of(0));
        const found = lines(bytes).map((line) => {
          if (line.kind === "command") return [line.text, null];
          const start = Number(line.contentOffset);
          return [line.name, bytes.slice(start, start + Number(line.sizeBytes))];
        });
        expect(found).toEqual(files.map(([name, content]) => [`./${name}`, content]));
      }),
    );
  });

  test.each([
    ["a\nb", "newline"],
    ["a\0b", "NUL"],
    ["x".repeat(SRCFS_NAME_BYTES_MAX + 1), "1 to 1022 bytes"],
    ["ü".repeat(SRCFS_NAME_BYTES_MAX / 2 + 1), "1024 bytes"],
    ["\ud800", "UTF-8"],
  ])("the name %j is refused", (name, message) => {
    expect(() => encodeSrcLine(name, 0n)).toThrow(message);
    expect(() => encodeSrcfsCommand({ kind: "folder", path: name })).toThrow(message);
  });

  test("the longest name and the largest size pass, one more does not", () => {
    expect(() => encodeSrcLine("x".repeat(SRCFS_NAME_BYTES_MAX), 0xffff_ffffn)).not.toThrow();
    expect(() => encodeSrcLine("x", 0x1_0000_0000n)).toThrow("at most 4294967295 bytes");
  });

  test.each([
    [{ kind: "hex0", source: "/a b", target: "/c" }, "without blanks"],
    [{ kind: "hex0", source: "/a", target: "/c d" }, "without blanks"],
    [{ kind: "run", program: "/a b", argument: "/c" }, "without blanks"],
    [{ kind: "run", program: "/a", argument: "/c d" }, "without blanks"],
    [{ kind: "run", program: "src", argument: "x" }, "an absolute path"],
  ] as const)("the command %j is refused", (command, message) => {
    expect(() => encodeSrcfsCommand(command)).toThrow(message);
  });

  test.each([
    ["src 5 ./a\n1234", "the end after 4"],
    ["src 99999999999 ./a\n", '"src SIZE NAME"'],
    ["src 9999999999 ./a\n", "at most 4294967295"],
    ["src ./a\n", '"src SIZE NAME"'],
    ["src 0 \n", '"src SIZE NAME"'],
    ["src 0 ./a", "without a newline"],
    ["src 0 ./a\0\n", "without NUL"],
    [`src 0 ${"x".repeat(5000)}\n`, "without a newline"],
  ])("%j cannot be read", (bytes, message) => {
    expect(() => lines(text(bytes))).toThrow(message);
  });

  test("cut anywhere it is refused or ends at a line; with any bit flipped it is read or refused", () => {
    const starts = new Set([0, 8, 22, 47, 59, 70, 92, small.length]);
    for (let length = 0; length < small.length; length += 1) {
      if (starts.has(length)) expect(() => lines(small.subarray(0, length))).not.toThrow();
      else expect(() => lines(small.subarray(0, length))).toThrow(HiperisoError);
    }
    const flipped = small.slice();
    for (let bit = 0; bit < small.length * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        for (const line of lines(flipped))
          if (line.kind === "src") expect(line.contentOffset + line.sizeBytes).toBeLessThanOrEqual(small.length);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("loses empty files, folders without a byte below them, and what begins with a dot", () => {
    const entry = (path: string, sizeBytes?: bigint) =>
      ({ path, kind: sizeBytes === undefined ? "directory" : "file", sizeBytes: sizeBytes ?? 0n }) as const;
    const entries = [
      entry(""),
      entry("a"),
      entry("a/b"),
      entry("a/b/c", 1n),
      entry("d"),
      entry("d/e"),
      entry("d/e/f", 0n),
      entry("g"),
      entry("h/.keep", 2n),
      entry(".x", 0n),
    ];
    expect(srcfsLosses(entries)).toEqual([
      { path: "d", loss: "empty-directory" },
      { path: "d/e", loss: "empty-directory" },
      { path: "d/e/f", loss: "empty-file" },
      { path: "g", loss: "empty-directory" },
      { path: "h/.keep", loss: "dot" },
      { path: ".x", loss: "empty-file" },
      { path: ".x", loss: "dot" },
    ]);
  });
});
