import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  chosenOf,
  isVentoyParent,
  matchesVentoyPath,
  parseVentoyJson,
  passwordFor,
  passwordOf,
  replacementsFor,
  ruleFor,
  scanOf,
  shownByVentoy,
  usableLists,
  VENTOY_LOOKUPS,
  type VentoyMode,
} from "../../src/config/ventoy-json.ts";
import { type ByteText, byteText, fromBytes } from "../../src/formats/byte-text.ts";

const parse = (value: unknown, mode?: VentoyMode) =>
  parseVentoyJson(new TextEncoder().encode(typeof value === "string" ? value : JSON.stringify(value)), mode);
const p = byteText;

describe("which part of ventoy.json counts", () => {
  const alias = (text: string) => [{ image: "/a.iso", alias: text }];

  test("one for this computer's firmware stands in for the plain one, whichever comes first, and nothing of both is merged", () => {
    const file = { menu_alias: [{ image: "/b.iso", alias: "plain" }], menu_alias_uefi: alias("uefi"), menu_alias_legacy: alias("legacy") };
    const { config, findings } = parse(file);
    expect(config.menuAlias.map(({ path, value }) => [path, value])).toEqual([["/a.iso", "uefi"]]);
    expect(findings.map(({ message }) => message)).toEqual(['"menu_alias_uefi" stands in for all of "menu_alias"']);
    expect(parse(file, "legacy").config.menuAlias[0]?.value).toBe("legacy");
    expect(parse(file, "aa64").config.menuAlias[0]?.value).toBe("plain");
  });

  test("of two of one name the first counts, also when it is of no use", () => {
    expect(parse(`{"menu_alias": ${JSON.stringify(alias("one"))}, "menu_alias": ${JSON.stringify(alias("two"))}}`)).toMatchObject({
      config: { menuAlias: [{ value: "one" }] },
      findings: [{ line: 1, column: 52, message: '"menu_alias" is there twice; Ventoy takes the first one' }],
    });
    expect(parse(`{"menu_alias": {}, "menu_alias": ${JSON.stringify(alias("two"))}}`).config.menuAlias).toEqual([]);
  });

  test("one slip, or UTF-16, and nothing of the file holds", () => {
    for (const bytes of [Buffer.from('{"control": [{"VTOY_MENU_TIMEOUT": "1"},]}'), Buffer.from('\ufeff{"control": []}', "utf16le")]) {
      const { config, findings } = parseVentoyJson(bytes);
      expect(config.control.size).toBe(0);
      expect(findings).toEqual([expect.objectContaining({ message: expect.stringMatching(/Ventoy takes nothing from this file/) })]);
    }
  });

  test.each([
    ["a list at the top", "[]", /expected an object/],
    ["a key that Ventoy does not know", '{"menu_alais": []}', /knows no "menu_alais"/],
    ["an object where a list belongs", '{"persistence": {}}', /is no list/],
    ["an entry without what it is about", '{"persistence": [{"backend": "/x.dat"}]}', /expected "image"/],
    ["a path that does not begin with /", '{"menu_alias": [{"image": "a.iso", "alias": "A"}]}', /begins with \//],
    ["a path of 256 bytes", `{"auto_memdisk": ["/${"a".repeat(255)}"]}`, /more than 255 bytes/],
    ["a password of 65 letters", `{"password": {"bootpwd": "txt#${"x".repeat(61)}"}}`, /no password/],
    ["a template that is no path", '{"auto_install": [{"image": "/a.iso", "template": ["/x", "y"]}]}', /no path/],
  ])("%s is told with its place", (_, text, message) => {
    const { findings } = parse(text);
    expect(findings).toEqual([{ line: 1, column: expect.any(Number), message: expect.stringMatching(message) }]);
  });
});

describe("what is in it", () => {
  test("of each object of control the first key counts, as text, and the last of one name", () => {
    const { config, findings } = parse({
      control: [
        { VTOY_MENU_TIMEOUT: "10", VTOY_DEFAULT_IMAGE: "/lost.iso" },
        { VTOY_MAX_SEARCH_LEVEL: 2 },
        { VTOY_MENU_TIMEOUT: "20" },
        {},
      ],
    });
    expect([...config.control].map(([name, { value }]) => [name, value])).toEqual([["VTOY_MENU_TIMEOUT", "20"]]);
    expect(findings.map(({ message }) => message)).toEqual([
      'Ventoy takes only the first key of each { … }: "VTOY_DEFAULT_IMAGE" is passed over',
      '"VTOY_MAX_SEARCH_LEVEL" is no text; Ventoy passes over it',
    ]);
  });

  test("of a value that is there twice the first of the right type counts", () => {
    expect(
      parse('{"menu_alias": [{"image": 1, "image": "/a.iso", "image": "/b.iso", "alias": null, "alias": "A"}]}').config.menuAlias,
    ).toMatchObject([{ scope: "image", path: "/a.iso", value: "A" }]);
  });

  test("image stands before parent, and tips have one line or two", () => {
    const { config } = parse({
      injection: [{ parent: "/p", image: "/i.iso", archive: "/a.tar.gz" }],
      menu_tip: {
        left: "10%",
        tips: [
          { image: "/a", tip: "one", tip1: "two" },
          { dir: "/d", tip1: "1", tip2: "2" },
          { image: "/b", tip2: "2" },
        ],
      },
    });
    expect(config.injection).toMatchObject([{ scope: "image", path: "/i.iso" }]);
    expect(config.menuTip.map(({ scope, value }) => [scope, value])).toEqual([
      ["image", ["one"]],
      ["dir", ["1", "2"]],
      ["image", ["2"]],
    ]);
  });

  test.each([
    ["txt#secret", { type: "text", text: "secret" }],
    ["txt#", { type: "text", text: "" }],
    [`md5#${"aB".repeat(16)}`, { type: "md5", salt: "", hex: "ab".repeat(16) }],
    [`md5#salt#${"12".repeat(16)}`, { type: "md5", salt: "salt", hex: "12".repeat(16) }],
    [`md5#${"g".repeat(32)}`, undefined],
    [`md5#salt#${"1".repeat(31)}`, undefined],
    ["secret", undefined],
  ])("a password written as %s", (text, expected) => {
    expect(passwordOf(p(text))).toEqual(expected);
  });

  test("the list of images that Ventoy comes upon last is the one that holds: those for the firmware come first", () => {
    const file = { image_blacklist: ["/a.iso"], image_list_uefi: ["/b.iso"] };
    expect(parse(file).config.imageList).toMatchObject({ mode: "hide", rules: [{ path: "/a.iso" }] });
    expect(parse({ image_blacklist: ["/a.iso"], image_list: ["/b.iso"] }).config.imageList).toMatchObject({ mode: "only" });
  });
});

const byte = fc.constantFrom(..."/*ab.é").map((letter) => p(letter));
const pathOf = (parts: readonly ByteText[]) => `/${parts.join("")}` as ByteText;
const path = fc.array(byte, { maxLength: 12 }).map(pathOf);

describe("Ventoy's own way to compare", () => {
  test("a path speaks of itself and of nothing else, unless it holds an asterisk", () => {
    fc.assert(
      fc.property(path, path, fc.constantFrom("whole" as const, "but-last" as const), (one, other, match) => {
        expect(matchesVentoyPath(one, one, match)).toBe(true);
        if (!one.includes("*")) expect(matchesVentoyPath(one, other, match)).toBe(one === other);
      }),
    );
  });

  test("an asterisk is one byte, any: bytes put in its place match, one more or less do not", () => {
    fc.assert(
      fc.property(path, fc.infiniteStream(fc.integer({ min: 1, max: 255 })), (pattern, bytes) => {
        const filled = pattern.replaceAll("*", () => fromBytes(Uint8Array.of(bytes.next().value ?? 1))) as ByteText;
        expect(matchesVentoyPath(pattern, filled, "whole")).toBe(true);
        expect(matchesVentoyPath(pattern, `${filled}x` as ByteText, "whole")).toBe(false);
        expect(matchesVentoyPath(pattern, filled.slice(0, -1) as ByteText, "whole")).toBe(false);
        expect(matchesVentoyPath(pattern, filled, "but-last")).toBe(!pattern.endsWith("*") || filled.endsWith("*"));
      }),
    );
  });

  test("as a plain loop over bytes says", () => {
    fc.assert(
      fc.property(path, path, fc.boolean(), (pattern, against, butLast) => {
        const [a, b] = [Buffer.from(pattern, "latin1"), Buffer.from(against, "latin1")];
        const expected =
          a.length === b.length && a.every((value, at) => value === b[at] || (value === 0x2a && !(butLast && at === a.length - 1)));
        expect(matchesVentoyPath(pattern, against, butLast ? "but-last" : "whole")).toBe(expected);
      }),
      { numRuns: 500 },
    );
  });

  test.each([
    ["/ISO/a**.iso", "/ISO/abc.iso", true],
    ["/ISO/a**.iso", "/ISO/ab.iso", false],
    ["/ISO/***.iso", "/ISO/中.iso", true],
    ["/ISO*a.iso", "/ISO/a.iso", true],
    ["/iso/a.iso", "/ISO/a.iso", false],
  ])("%s and %s: %s", (pattern, against, expected) => {
    expect(matchesVentoyPath(p(pattern), p(against), "whole")).toBe(expected);
  });

  test("255 bytes are the most", () => {
    const long = `/${"a".repeat(254)}`;
    expect(matchesVentoyPath(p(long), p(long), "whole")).toBe(true);
    expect(matchesVentoyPath(p(`${long}a`), p(`${long}a`), "whole")).toBe(false);
  });

  test.each([
    ["/ISO", "/ISO/a.iso", true],
    ["/ISO", "/ISO/sub/a.iso", false],
    ["/ISO/", "/ISO/a.iso", false],
    ["/IS*", "/ISO/a.iso", false],
    ["/*SO", "/ISO/a.iso", true],
    ["/", "/a.iso", true],
    ["/", "/ISO/a.iso", false],
    ["*", "/a.iso", false],
  ])("%s is the folder right above %s: %s", (folder, against, expected) => {
    expect(isVentoyParent(p(folder), p(against))).toBe(expected);
  });

  test("the entry of the image stands before the one of its folder, and the last of each kind wins", () => {
    const { config } = parse({
      injection: [
        { image: "/I/a.iso", archive: "/1" },
        { image: "/I/*.iso", archive: "/2" },
        { parent: "/I", archive: "/3" },
        { parent: "/I", archive: "/4" },
      ],
    });
    const of = (text: string) => ruleFor(config.injection, p(text), VENTOY_LOOKUPS.injection)?.value;
    expect([of("/I/a.iso"), of("/I/b.iso"), of("/I/bb.iso"), of("/J/a.iso")]).toEqual(["/2", "/2", "/4", undefined]);
  });

  test("of passwords and replacements the first wins, and of replacements two are taken", () => {
    const { config } = parse({
      password: {
        isopwd: "txt#iso",
        menupwd: [
          { parent: "/I", pwd: "txt#p" },
          { file: "/I/a.iso", pwd: "txt#1" },
          { file: "/I/a.iso", pwd: "txt#2" },
        ],
      },
      conf_replace: ["1", "2", "3"].map((name) => ({ iso: "/a.iso", org: `/${name}`, new: `/n${name}` })),
    });
    const of = (text: string) => passwordFor(config.passwords, p(text));
    expect([of("/I/a.iso"), of("/I/b.img"), of("/b.ISO"), of("/b.img")]).toEqual([
      { type: "text", text: "1" },
      { type: "text", text: "p" },
      { type: "text", text: "iso" },
      undefined,
    ]);
    expect(replacementsFor(config.confReplace, p("/a.iso")).map(({ org }) => org)).toEqual(["/1", "/2"]);
  });

  test("missing files are left out before autosel counts, and one file that is missing takes its entry with it", () => {
    const list = (template: unknown, autosel?: number) => ({ image: "/a.iso", template, ...(autosel !== undefined && { autosel }) });
    const chosen = (...entries: readonly unknown[]) => {
      const rules = usableLists(parse({ auto_install: entries }).config.autoInstall, (one) => one !== "/gone");
      const rule = ruleFor(rules, p("/a.iso"), VENTOY_LOOKUPS.autoInstall);
      return rule === undefined ? undefined : chosenOf(rule.value);
    };
    expect(chosen(list(["/gone", "/1", "/2"], 2))).toEqual({ asks: false, path: "/2" });
    expect(chosen(list(["/1", "/2"], 0))).toEqual({ asks: false, path: undefined });
    expect(chosen(list(["/1", "/2"], 3))).toEqual({ asks: true, path: undefined });
    expect(chosen(list("/1"))).toEqual({ asks: true, path: undefined });
    expect(chosen(list("/1", 1), list("/gone", 1))).toEqual({ asks: false, path: "/1" });
    expect(chosen(list("/1", 1), list(["/gone"], 1))).toEqual({ asks: false, path: undefined });
  });
});

describe("what stands in Ventoy's menu", () => {
  const file = (name: string, kilobytes = 64) => ({ path: p(name), sizeBytes: BigInt(kilobytes) << 10n });
  const names = (value: unknown, ...files: readonly ReturnType<typeof file>[]) =>
    shownByVentoy(files, parse(value).config).map(({ path: one }) => one);

  test("images of 32 KiB and more, by their endings, less what control filters out", () => {
    const files = ["/a.ISO", "/b.img", "/c.wim", "/d.vhdx", "/e.efi", "/f.txt", "/._g.iso"].map((name) => file(name));
    expect(names({}, ...files, file("/small.iso", 31))).toEqual(["/a.ISO", "/b.img", "/c.wim", "/d.vhdx", "/e.efi", "/._g.iso"]);
    const control = [{ VTOY_FILE_FLT_IMG: "1" }, { VTOY_FILE_FLT_EFI: "1" }, { VTOY_FILT_DOT_UNDERSCORE_FILE: "1" }];
    expect(names({ control }, ...files)).toEqual(["/a.ISO", "/c.wim", "/d.vhdx"]);
  });

  test("those of a list in its order, or all but those of the other list", () => {
    const files = ["/a.iso", "/b.iso", "/c.iso"].map((name) => file(name));
    expect(names({ image_list: ["/c.iso", "/a.*so"] }, ...files)).toEqual(["/c.iso", "/a.iso"]);
    expect(names({ image_blacklist: ["/*.iso"] }, ...files)).toEqual([]);
    expect(names({ image_blacklist: ["/*.is*"] }, ...files)).toEqual(["/a.iso", "/b.iso", "/c.iso"]);
    expect(names({ image_list: [] }, ...files)).toEqual([]);
  });

  test.each([
    [{}, { root: "/", levels: undefined }],
    [
      { VTOY_DEFAULT_SEARCH_ROOT: "/ISO/", VTOY_MAX_SEARCH_LEVEL: "2" },
      { root: "/ISO", levels: 2 },
    ],
    [
      { VTOY_DEFAULT_SEARCH_ROOT: "ISO", VTOY_MAX_SEARCH_LEVEL: "max" },
      { root: "/", levels: undefined },
    ],
  ])("is looked for where %j says", (control, expected) => {
    const { config } = parse({ control: Object.entries(control).map(([key, value]) => ({ [key]: value })) });
    expect(scanOf(config.control)).toEqual(expected);
  });
});

test("no file makes the reader throw, and every finding has a place in it", () => {
  const plugin = fc.constantFrom(
    "control",
    "theme",
    "auto_install",
    "persistence_uefi",
    "menu_tip",
    "password",
    "image_list",
    "dud",
    "conf_replace",
  );
  const value = fc.letrec((tie) => ({
    any: fc.oneof(
      { depthSize: "small" },
      fc.constantFrom("/a.iso", "txt#x", "", "/*", "1"),
      fc.nat({ max: 3 }),
      fc.constant(null),
      fc.array(tie("any"), { maxLength: 3 }),
      fc.dictionary(
        fc.constantFrom(
          "image",
          "parent",
          "dir",
          "file",
          "template",
          "backend",
          "dud",
          "tips",
          "tip",
          "iso",
          "org",
          "new",
          "pwd",
          "menupwd",
          "autosel",
        ),
        tie("any"),
        {
          maxKeys: 4,
        },
      ),
    ),
  })).any;
  fc.assert(
    fc.property(fc.array(fc.tuple(plugin, value), { maxLength: 5 }), fc.option(fc.nat()), (parts, cut) => {
      const text = `{\n${parts.map(([key, inner]) => `${JSON.stringify(key)}: ${JSON.stringify(inner, undefined, 1)}`).join(",\n")}}`;
      const bytes = Buffer.from(cut === null ? text : text.slice(0, cut % text.length));
      const lines = bytes.toString().split("\n").length;
      for (const { line, column } of parseVentoyJson(bytes).findings) {
        expect(line).toBeGreaterThan(0);
        expect(line).toBeLessThanOrEqual(lines);
        expect(column).toBeGreaterThan(0);
      }
    }),
    { numRuns: 1000 },
  );
});
