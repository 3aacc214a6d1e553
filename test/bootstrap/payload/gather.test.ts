import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { gatherSources } from "../../../src/bootstrap/payload/gather.ts";
import { decodeSourceFields, decodeSourceLines } from "../../../src/bootstrap/payload/source-list.ts";
import type { HiperisoError } from "../../../src/contract/error.ts";
import { testFolder, thrownBy, writeSources } from "./folder.ts";

const folder = testFolder();
const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const pairs = (sources: ReturnType<typeof decodeSourceLines>) =>
  sources.map(({ name, from }) => [name, "file" in from ? from.file : undefined]);

describe("what goes in", () => {
  test("is each file by its own name, and of a folder the plain files, and what links lead to", async () => {
    writeSources(folder.at("in"), { a: "1", ".hidden": "", "b c": "2" });
    writeFileSync(folder.at("else"), "");
    symlinkSync("../else", folder.at("in", "link"));
    mkdirSync(folder.at("in", "sub"));
    symlinkSync("sub", folder.at("in", "to-sub"));
    spawnSync("mkfifo", [folder.at("in", "pipe")]);
    symlinkSync("/dev/null", folder.at("in", "null"));
    const { sources, leftOut } = await gatherSources([folder.at("else"), folder.at("in")]);
    expect(pairs(sources).sort()).toEqual([
      [".hidden", folder.at("in", ".hidden")],
      ["a", folder.at("in", "a")],
      ["b c", folder.at("in", "b c")],
      ["else", folder.at("else")],
      ["link", folder.at("in", "link")],
    ]);
    expect(leftOut.map(({ path, kind }) => [path, kind]).sort()).toEqual([
      [folder.at("in", "null"), "a device"],
      [folder.at("in", "pipe"), "a pipe"],
      [folder.at("in", "sub"), "a folder"],
      [folder.at("in", "to-sub"), "a folder"],
    ]);
  });

  test("is never less than it seems: a link to nothing, a path to nothing, a name that is not UTF-8", async () => {
    mkdirSync(folder.at("in"));
    symlinkSync("nowhere", folder.at("in", "lost"));
    for (const path of [folder.at("in"), folder.at("nothing")]) {
      const error = (await thrownBy(gatherSources([path]))) as HiperisoError;
      expect(error.message).toMatch(/found no such file, or a link to nothing/);
      expect(error.kind).toBe("usage");
    }
    mkdirSync(folder.at("odd"));
    writeFileSync(Buffer.concat([Buffer.from(`${folder.at("odd")}/`), Buffer.from([0x61, 0xff])]), "");
    expect(String(await thrownBy(gatherSources([folder.at("odd")])))).toMatch(/a name that is not UTF-8: a\\xff/);
  });
});

describe("a list of lines", () => {
  test("takes names and paths, quoted where they have blanks; the last needs no line end", () => {
    const text = 'gcc.tar.xz /srv/gcc-13.tar.xz\r\n\n  "a b"\t"/srv/with \\"quote\\" and \\\\"  \nc\\d /x\\y\n#n /p"q\n"" ""';
    expect(pairs(decodeSourceLines(utf8(text), "list"))).toEqual([
      ["gcc.tar.xz", "/srv/gcc-13.tar.xz"],
      ["a b", '/srv/with "quote" and \\'],
      ["c\\d", "/x\\y"],
      ["#n", '/p"q'],
      ["", ""],
    ]);
  });

  test("brings any name and path through its quotes", () => {
    const word = fc.string({ unit: "binary", maxLength: 20 }).filter((text) => !/[\n\r\0]|\p{Surrogate}|^\ufeff/u.test(text));
    const quoted = (text: string) => `"${text.replace(/["\\]/g, "\\$&")}"`;
    fc.assert(
      fc.property(fc.array(fc.tuple(word, word)), (lines) => {
        const text = lines.map((words) => words.map(quoted).join(" ")).join("\n");
        expect(pairs(decodeSourceLines(utf8(text), "list"))).toEqual(lines);
      }),
    );
  });

  test.each([
    ["one", /list:1: expected a name and a path, found 1 word: one/],
    ["a b\nmy name /path", /list:2: expected a name and a path, found 3 words: my name \/path\. .*double quotes.*--null/],
    ['"a /path', /list:1: .*found a double quote without its partner/],
    ['"a"b /path', /list:1: .*found a double quote without its partner/],
    ['a "b\\n"', /list:1: .*found a double quote without its partner/],
  ])("%j is refused by its line", (text, message) => {
    expect(() => decodeSourceLines(utf8(text), "list")).toThrow(message);
  });

  test("that is not UTF-8 is refused", () => {
    expect(() => decodeSourceLines(Uint8Array.of(0x61, 0x20, 0xff), "list")).toThrow(/expected UTF-8/);
  });
});

describe("a list separated by NUL", () => {
  test("is what find prints", () => {
    writeSources(folder.at("in"), { "a b": "", 'c"d': "" });
    const printed = execFileSync("find", [".", "-type", "f", "-printf", "%f\\0%p\\0"], { cwd: folder.at("in") });
    expect(pairs(decodeSourceFields(printed, "list")).sort()).toEqual([
      ["a b", "./a b"],
      ['c"d', './c"d'],
    ]);
  });

  test.each([
    ["", []],
    ["a\0b", [["a", "b"]]],
    ["\0x\0", [["", "x"]]],
  ])("%j is read", (text, expected) => {
    expect(pairs(decodeSourceFields(utf8(text), "list"))).toEqual(expected);
  });

  test("with a name and no path is refused", () => {
    expect(() => decodeSourceFields(utf8("a\0b\0c\0"), "list")).toThrow(/expected a path for each name, found 3 fields/);
  });
});
