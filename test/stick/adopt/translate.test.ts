import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseConfig } from "../../../src/config/hiperiso-json.ts";
import { firstMatch, matchesPath } from "../../../src/config/overrides.ts";
import {
  chosenOf,
  parseVentoyJson,
  passwordFor,
  replacementsFor,
  ruleFor,
  shownByVentoy,
  usableLists,
  VENTOY_LOOKUPS,
} from "../../../src/config/ventoy-json.ts";
import { type ByteText, byteText, readable } from "../../../src/formats/byte-text.ts";
import { encodeTranslation, type Translation, translateVentoy, type VentoyFacts } from "../../../src/stick/adopt/translate.ts";
import { isImageName } from "../../../src/stick/image-sources.ts";

interface There {
  readonly images?: readonly string[];
  readonly files?: readonly string[];
  readonly ignored?: readonly string[];
}

function factsOf(value: unknown, { images = [], files = [], ignored = [] }: There): VentoyFacts {
  const { config } = parseVentoyJson(new TextEncoder().encode(JSON.stringify(value)));
  const there = new Set(files);
  return {
    config,
    files: images.map((path) => ({ path: byteText(path), sizeBytes: 1n << 20n })),
    ignored,
    exists: (path) => there.has(readable(path)),
  };
}

const translate = (value: unknown, there: There = {}): Translation => translateVentoy(factsOf(value, there));

/** The file that is written, read as it is read at a boot. */
function readBack(translation: Translation) {
  const { config, findings } = parseConfig(new TextDecoder().decode(encodeTranslation(translation)), "hiperiso.json");
  expect(findings).toEqual([]);
  return config;
}

const outcomes = ({ lines }: Translation) => lines.map(({ plugin, outcome, why }) => [plugin, outcome, why === null ? "" : why]);

describe("what a ventoy.json says becomes a hiperiso.json", () => {
  test("names and tips, of images, by pattern and of folders", () => {
    const translation = translate(
      {
        menu_alias: [
          { image: "/ISO/a.iso", alias: "First" },
          { image: "/ISO/**.iso", alias: "Two letters" },
          { image: "/ISO/a.iso", alias: "Second" },
          { dir: "/ISO", alias: "Images" },
          { dir: "/*", alias: "any" },
        ],
        menu_tip: { tips: [{ image: "/ISO/a.iso", tip1: "one", tip2: "two" }] },
      },
      { images: ["/ISO/a.iso", "/ISO/bb.iso"] },
    );
    const config = readBack(translation);
    expect(config.menuAlias).toEqual([
      { pattern: "/ISO/a.iso", alias: "Second" },
      { pattern: "/ISO/??.iso", alias: "Two letters" },
      { pattern: "/ISO", alias: "Images" },
    ]);
    expect(config.menuTip).toEqual([{ pattern: "/ISO/a.iso", tip: "one · two" }]);
    expect(outcomes(translation).filter(([, outcome]) => outcome === "left")).toEqual([
      ["menu_alias", "left", "a folder has to be written out"],
    ]);
  });

  test("what an image is handed stands in one entry: of each plugin its own", () => {
    const translation = translate(
      {
        auto_install: [{ parent: "/ISO", template: ["/ventoy/gone.cfg", "/ventoy/a.cfg"], autosel: 1 }],
        persistence: [{ image: "/ISO/a.iso", backend: "/p/a.dat", autosel: 1 }],
        injection: [{ image: "/ISO/a.iso", archive: "/ventoy/x.tar.gz" }],
        conf_replace: [{ iso: "/ISO/a.iso", org: "/boot/grub/grub.cfg", new: "/ventoy/grub.cfg" }],
        dud: [{ image: "/ISO/a.iso", dud: "/ventoy/d.iso" }],
        auto_memdisk: ["/ISO/a.iso"],
      },
      { images: ["/ISO/a.iso", "/ISO/b.iso"], files: ["/ventoy/a.cfg", "/p/a.dat", "/ventoy/d.iso"] },
    );
    const { isoOverrides } = readBack(translation);
    expect(firstMatch(isoOverrides, "/ISO/a.iso")?.values).toEqual({
      autoInstall: "/ventoy/a.cfg",
      persistence: "/p/a.dat",
      injection: "/ventoy/x.tar.gz",
      confReplace: "org=/boot/grub/grub.cfg;new=/ventoy/grub.cfg",
      dud: "/ventoy/d.iso",
      bootMode: "memdisk",
    });
    expect(firstMatch(isoOverrides, "/ISO/b.iso")?.values).toEqual({ autoInstall: "/ventoy/a.cfg" });
    expect(firstMatch(isoOverrides, "/ISO/later.iso")?.values).toEqual({ autoInstall: "/ventoy/a.cfg" });
    expect(firstMatch(isoOverrides, "/ISO/sub/later.iso")).toBeUndefined();
  });

  test("where Ventoy asks, each answer is an entry of the image's menu, and the plain entry is its first answer: none", () => {
    const translation = translate(
      {
        auto_install: [{ image: "/a.iso", template: ["/1.cfg", "/2.cfg"] }],
        persistence: [{ image: "/a.iso", backend: "/x.dat" }],
        injection: [{ image: "/a.iso", archive: "/i.tgz" }],
      },
      { images: ["/a.iso"], files: ["/1.cfg", "/2.cfg", "/x.dat"] },
    );
    const config = readBack(translation);
    expect(firstMatch(config.isoOverrides, "/a.iso")?.values).toEqual({ injection: "/i.tgz" });
    expect(firstMatch(config.choices, "/a.iso")?.entries).toEqual([
      { name: "persistence x.dat", values: { persistence: "/x.dat" } },
      { name: "auto_install 1.cfg", values: { autoInstall: "/1.cfg" } },
      { name: "auto_install 1.cfg, persistence x.dat", values: { autoInstall: "/1.cfg", persistence: "/x.dat" } },
      { name: "auto_install 2.cfg", values: { autoInstall: "/2.cfg" } },
      { name: "auto_install 2.cfg, persistence x.dat", values: { autoInstall: "/2.cfg", persistence: "/x.dat" } },
    ]);
  });

  test("twenty answers to two questions are asked one at a time", () => {
    const names = Array.from({ length: 10 }, (_, index) => `/${index}.cfg`);
    const translation = translate(
      { auto_install: [{ image: "/a.iso", template: names }], persistence: [{ image: "/a.iso", backend: names }] },
      { images: ["/a.iso"], files: names },
    );
    const entries = firstMatch(readBack(translation).choices, "/a.iso")?.entries ?? [];
    expect(entries).toHaveLength(15);
    expect(entries.every(({ values }) => Object.keys(values).length === 1)).toBe(true);
  });

  test("several driver disks: the first is handed over, the others are entries", () => {
    const translation = translate({ dud: [{ image: "/a.iso", dud: ["/1", "/2"] }] }, { images: ["/a.iso"], files: ["/1", "/2"] });
    const config = readBack(translation);
    expect(firstMatch(config.isoOverrides, "/a.iso")?.values).toEqual({ dud: "/1" });
    expect(firstMatch(config.choices, "/a.iso")?.entries).toEqual([{ name: "dud 2", values: { dud: "/2" } }]);
    expect(outcomes(translation)).toEqual([["dud", "partly", expect.stringMatching(/hands over all/)]]);
  });

  test("control: timeout, default image, where images are looked for and how deep", () => {
    const control = [
      { VTOY_MENU_TIMEOUT: "25" },
      { VTOY_DEFAULT_IMAGE: "/ISO/[x] a.iso" },
      { VTOY_DEFAULT_SEARCH_ROOT: "/ISO" },
      { VTOY_MAX_SEARCH_LEVEL: "2" },
      { VTOY_WIN11_BYPASS_CHECK: "1" },
      { VTOY_OF_TOMORROW: "1" },
    ];
    const translation = translate({ control }, { images: ["/ISO/[x] a.iso", "/b.iso"] });
    const { menuTimeoutS, menu } = readBack(translation);
    expect(menuTimeoutS).toBe(25);
    expect(menu).toMatchObject({ imageFolders: ["/ISO"], imageDepth: 2, defaultImage: "/ISO/\\[x] a.iso" });
    expect(matchesPath(menu.defaultImage ?? "", "/ISO/[x] a.iso")).toBe(true);
    expect(outcomes(translation).filter(([, outcome]) => outcome !== "taken")).toEqual([
      ["control", "left", "hiperiso does not change Windows' installer"],
      ["control", "left", "hiperiso has nothing like it"],
    ]);
  });

  test.each([
    ["VTOY_DEFAULT_IMAGE", "F6>mine"],
    ["VTOY_DEFAULT_IMAGE", "VTOY_EXIT"],
    ["VTOY_MENU_TIMEOUT", "never"],
    ["VTOY_MENU_TIMEOUT", "99999"],
    ["VTOY_MAX_SEARCH_LEVEL", "-1"],
    ["VTOY_DEFAULT_SEARCH_ROOT", "ISO"],
  ])("%s: %s is left out, and said to be", (name, value) => {
    const translation = translate({ control: [{ [name]: value }] });
    expect(outcomes(translation)).toEqual([["control", "left", expect.any(String)]]);
    expect(readBack(translation).menu.imageFolders).toEqual(["/"]);
  });

  test("a theme: below /ventoy unless its path begins with /, the one that default_file counts among those that are there", () => {
    const theme = { file: ["gone/theme.txt", "a/theme.txt", "/b/theme.txt"], default_file: 2, gfxmode: "max", fonts: ["/x.pf2"] };
    const translation = translate({ theme }, { files: ["/ventoy/a/theme.txt", "/b/theme.txt"] });
    expect(readBack(translation).theme).toEqual({ file: "/b/theme.txt", gfxmode: "auto" });
    expect(outcomes(translation)).toEqual([
      ["theme", "taken", ""],
      ["theme", "taken", ""],
      ["theme", "left", "these are Ventoy's own"],
    ]);
  });

  test("passwords as text are taken over; an image with one as MD5 is hidden rather than open", () => {
    const translation = translate(
      {
        password: {
          bootpwd: "txt#all",
          isopwd: "txt#iso",
          menupwd: [
            { file: "/a.iso", pwd: "txt#one" },
            { parent: "/md5", pwd: `md5#${"0".repeat(32)}` },
          ],
        },
      },
      { images: ["/a.iso", "/b.ISO", "/c.img", "/md5/d.iso"] },
    );
    const { menu } = readBack(translation);
    expect(menu.password).toBe("all");
    const of = (path: string) => firstMatch(menu.imagePasswords, path)?.password;
    expect(["/a.iso", "/b.ISO", "/c.img", "/later.iso"].map(of)).toEqual(["one", "iso", undefined, "iso"]);
    expect(menu.hiddenImages).toEqual(["/md5/d.iso"]);
  });

  test("what Ventoy hides is hidden: by list, by kind, by .ventoyignore", () => {
    const images = ["/a.iso", "/b.iso", "/c.img", "/no/d.iso"];
    const hidden = (value: unknown, ignored: readonly string[] = []) => {
      const { menu } = readBack(translate(value, { images, ignored }));
      return [...images, "/later.iso", "/later.img"].filter((path) => menu.hiddenImages.some((glob) => matchesPath(glob, path)));
    };
    expect(hidden({})).toEqual([]);
    expect(hidden({ image_list: ["/b.iso"] })).toEqual(["/a.iso", "/c.img", "/no/d.iso"]);
    expect(hidden({ image_blacklist: ["/b.iso", "/*****.iso"] })).toEqual(["/b.iso", "/later.iso"]);
    expect(hidden({ control: [{ VTOY_FILE_FLT_IMG: "1" }] })).toEqual(["/c.img", "/later.img"]);
    expect(hidden({}, ["/no"])).toEqual(["/no/d.iso"]);
  });

  test("what has no counterpart is named with its line and the reason", () => {
    const { lines } = translate(
      {
        menu_class: [{ key: "a", class: "b" }],
        custom_boot: [{ file: "/a.iso", vcfg: "/a.vcfg" }],
        injection: [{ image: "/a.iso", archive: "/x.zip" }],
      },
      { images: ["/a.iso", "/w.wim"] },
    );
    expect(lines.map(({ plugin, line, outcome, why }) => [plugin, line, outcome, why])).toEqual([
      ["injection", 1, "left", "hiperiso takes .tar.gz archives only"],
      ["images", null, "left", expect.stringMatching(/hiperiso boots .*iso/)],
      ["menu_class", 1, "left", expect.any(String)],
      ["custom_boot", 1, "left", expect.any(String)],
    ]);
  });
});

describe("for every image that is there the result is what Ventoy would do", () => {
  const letters = ["a", "b", "中", "*", "[", "é", "\\", "?"];
  const name = fc
    .array(fc.constantFrom(...letters.filter((letter) => letter !== "*")), { minLength: 1, maxLength: 3 })
    .map((parts) => parts.join(""));
  const folder = fc.constantFrom("", "/d", "/d/e");
  const image = fc.tuple(folder, name, fc.constantFrom("iso", "ISO", "img")).map(([above, own, ending]) => `${above}/${own}.${ending}`);
  const pattern = fc
    .tuple(folder, fc.array(fc.constantFrom(...letters, "***"), { minLength: 1, maxLength: 4 }), fc.constantFrom("iso", "img", "is*"))
    .map(([above, parts, ending]) => `${above}/${parts.join("")}.${ending}`);
  const about = fc.oneof(
    pattern.map((path) => ({ image: path, file: path, iso: path })),
    image.map((path) => ({ image: path, file: path, iso: path })),
    fc.constantFrom("/", "/d", "/d/e").map((path) => ({ parent: path })),
  );
  const file = fc.constantFrom("/1.cfg", "/2.cfg", "/gone.cfg");
  const list = fc.tuple(fc.oneof(file, fc.array(file, { maxLength: 3 })), fc.option(fc.nat({ max: 3 })));
  const entry = fc.tuple(about, list, fc.constantFrom("one", "two", "three")).map(([where, [paths, autosel], text]) => ({
    ...where,
    ...{ template: paths, backend: paths, dud: paths, ...(autosel !== null && { autosel }) },
    ...{
      archive: `/${text}.tar.gz`,
      alias: text,
      tip: text,
      org: `/${text}`,
      new: "/new",
      pwd: text === "three" ? `md5#${"0".repeat(32)}` : `txt#${text}`,
    },
  }));
  const entries = fc.array(entry, { maxLength: 4 });
  const plugins = fc.record(
    {
      auto_install: entries,
      persistence: entries,
      dud: entries,
      injection: entries,
      conf_replace: entries,
      menu_alias: entries,
      menu_tip: entries.map((tips) => ({ tips })),
      auto_memdisk: fc.array(pattern, { maxLength: 3 }),
      image_blacklist: fc.array(pattern, { maxLength: 2 }),
      password: fc.record({ menupwd: entries, isopwd: fc.constant("txt#iso") }, { requiredKeys: ["menupwd"] }),
    },
    { requiredKeys: [] },
  );

  test("settings, choices, names, tips, passwords, and what is hidden", () => {
    fc.assert(
      fc.property(plugins, fc.uniqueArray(image, { maxLength: 5 }), (value, images) => {
        const facts = factsOf(value, { images, files: ["/1.cfg", "/2.cfg"] });
        const { config: ventoy, exists } = facts;
        const config = readBack(translateVentoy(facts));
        const shown = new Set(shownByVentoy(facts.files, ventoy).map(({ path }) => path));
        for (const text of images.filter((path) => isImageName(path.slice(path.lastIndexOf("/") + 1)))) {
          const path = byteText(text);
          const password = passwordFor(ventoy.passwords, path);
          const hidden = config.menu.hiddenImages.some((glob) => matchesPath(glob, text));
          expect(hidden).toBe(!shown.has(path) || password?.type === "md5");
          if (!shown.has(path)) continue;
          const overrides = firstMatch(config.isoOverrides, text)?.values ?? {};
          const choices = firstMatch(config.choices, text)?.entries ?? [];
          for (const [plugin, setting] of [["autoInstall", "autoInstall"], ["persistence", "persistence"]] as const) {
            const rule = ruleFor(usableLists(ventoy[plugin], exists), path, VENTOY_LOOKUPS[plugin]);
            const chosen = rule === undefined ? { asks: false, path: undefined } : chosenOf(rule.value);
            expect(overrides[setting]).toBe(chosen.path);
            const answers = new Set(choices.flatMap(({ values }) => values[setting] ?? []));
            expect(answers).toEqual(new Set(chosen.asks ? rule?.value.paths : []));
          } // biome-ignore format: a table
          const duds = ruleFor(usableLists(ventoy.dud, exists), path, VENTOY_LOOKUPS.dud)?.value.paths ?? [];
          expect(overrides.dud).toBe(duds[0]);
          expect(overrides.injection).toBe(ruleFor(ventoy.injection, path, VENTOY_LOOKUPS.injection)?.value);
          const replaced = replacementsFor(ventoy.confReplace, path).map((one) => `org=${one.org};new=${one.new}`);
          expect(overrides.confReplace).toBe(replaced.length === 0 ? undefined : replaced.join(";;"));
          const memdisk = ruleFor(ventoy.autoMemdisk, path, { match: "but-last", wins: "last" });
          expect(overrides.bootMode).toBe(memdisk === undefined ? undefined : "memdisk");
          expect(firstMatch(config.menuAlias, text)?.alias).toBe(ruleFor(ventoy.menuAlias, path, VENTOY_LOOKUPS.menuAlias)?.value);
          expect(firstMatch(config.menuTip, text)?.tip).toBe(ruleFor(ventoy.menuTip, path, VENTOY_LOOKUPS.menuTip)?.value.join(" · "));
          if (password?.type !== "md5")
            expect(firstMatch(config.menu.imagePasswords, text)?.password).toBe(password?.text as ByteText | undefined);
        }
      }),
      { numRuns: 100 },
    );
  });

  test("whatever stands in the file, the result is a configuration without a fault", () => {
    const text = fc.constantFrom(
      "/a.iso",
      "/\u0001.iso",
      "/\ud800.iso",
      "x",
      "",
      "/a;b",
      "/*".repeat(200),
      "txt#",
      "txt#\u0007",
      "max",
      "/é",
    );
    const member = fc.constantFrom(
      "image",
      "file",
      "iso",
      "dir",
      "parent",
      "template",
      "backend",
      "dud",
      "archive",
      "alias",
      "tip",
      "org",
      "new",
      "pwd",
      "gfxmode",
    );
    const entry2 = fc.dictionary(member, fc.oneof(text, fc.array(text, { maxLength: 2 })), { maxKeys: 5 });
    const names = [
      "auto_install",
      "persistence",
      "dud",
      "injection",
      "conf_replace",
      "menu_alias",
      "auto_memdisk",
      "image_list",
      "control",
    ];
    const file2 = fc.dictionary(fc.constantFrom(...names), fc.array(fc.oneof(entry2, text), { maxLength: 3 }));
    fc.assert(
      fc.property(file2, entry2, fc.array(text, { maxLength: 3 }), (value, theme, images) => {
        const facts = factsOf(
          { ...value, theme, menu_tip: { tips: [theme] }, password: { menupwd: [theme], bootpwd: theme["pwd"] } },
          { images, files: images },
        );
        readBack(translateVentoy({ ...facts, exists: () => true }));
      }),
      { numRuns: 150 },
    );
  });
});
