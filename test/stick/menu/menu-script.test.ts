/** The menu as GRUB's script: its words mean what was meant, to GRUB's own checker and to our reader of such scripts. */
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, describe, expect, it } from "vitest";
import { type MenuFacts, stickMenu } from "../../../src/stick/menu-maker.ts";

const folder = mkdtempSync(join(tmpdir(), "hiperiso-menu-"));
afterAll(() => rmSync(folder, { recursive: true }));

const GUID = "6B6A41AF-0000-4000-8000-000000000001";

function menuOf(paths: readonly string[], config: unknown = {}, more: Partial<MenuFacts> = {}): Readonly<Record<string, string>> {
  const facts: MenuFacts = {
    diskGuid: GUID,
    images: paths.map((path) => ({ path, sizeBytes: 1n, modifiedMs: 0 })),
    configBytes: Buffer.from(typeof config === "string" ? config : JSON.stringify(config)),
    goodConfig: undefined,
    theme: [],
    ...more,
  };
  return Object.fromEntries(stickMenu(facts).map(({ path, from }) => [path, new TextDecoder().decode(from as Uint8Array)]));
}

/** Complaints of GRUB's own parser. */
function checked(text: string): string {
  const file = join(folder, "checked.cfg");
  writeFileSync(file, text);
  try {
    execFileSync("grub-script-check", [file], { stdio: "pipe" });
    return "";
  } catch (error) {
    return String((error as { stderr?: unknown }).stderr);
  }
}

const TRAPS = [
  "/ISOs/a b.iso",
  "/ISOs/it's.iso",
  // biome-ignore lint/suspicious/noTemplateCurlyInString: a variable of GRUB's, none of ours
  "/ISOs/$x ${y} `z`.iso",
  "/ISOs/[b] {c} (d); e & f.iso",
  "/ISOs/Übergröße – 漢字.iso",
  "/ISOs/deep/er/x.iso",
];

const PART = "/EFI/hiperiso/grub/menu.cfg";
const linesOf = (files: Readonly<Record<string, string>>): readonly string[] => files[PART]!.split("\n");

describe("the menu's script", () => {
  it("is one to GRUB's own checker, whatever names and configuration hold", () => {
    const config = {
      control: {
        menu_password: "a'b",
        image_passwords: [{ iso: "*b.iso", password: "x" }],
        image_folders: ["/ISOs", "/"],
        default_image: "/ISOs/it's.iso",
        hidden_images: ["*'*$x*"],
        menu_serial: true,
      },
      theme: { gfxmode: "1024x768'", gfxpayload: "keep" },
      menu_alias: [{ iso: "*b.iso", alias: "A 'b' $c" }],
      menu_tip: [{ iso: "*", tip: "-tip {" }],
      choices: [
        { iso: "*", entries: [{ name: "'}", settings: { persistence: "/a 'b' \"c\".dat", conf_replace: [{ org: "/a", new: "/b" }] } }] },
      ],
      oops: 1,
    };
    const files = menuOf(TRAPS, config, { theme: [{ name: "theme.txt", bytes: new Uint8Array(1) }] });
    for (const path of ["/EFI/BOOT/grub.cfg", PART, "/EFI/debian/grub.cfg"]) expect(checked(files[path]!), path).toBe("");
  });

  it("is one for any names that the data partition can hold", () => {
    const name = fc.string({ unit: fc.constantFrom(..."ab'\"$`{}[]();&|<>#~!\\ =%^*?\t\u0085\u202eä漢"), minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(fc.array(fc.tuple(name, name, name), { minLength: 1, maxLength: 8 }), (rows) => {
        const files = menuOf(
          rows.map(([folder, file]) => `/ISOs/${folder.replaceAll("/", "")}/${file.replaceAll("/", "")}.iso`),
          { menu_alias: rows.flatMap(([, file, alias]) => (/[\t\u0085]/.test(file + alias) ? [] : [{ iso: file, alias }])) },
        );
        expect(checked(files[PART]!)).toBe("");
        // Nothing that a terminal would act on is shown.
        expect(files[PART]!.replaceAll("\n", "")).not.toMatch(/[\0-\x1f]/);
      }),
      { numRuns: 60 },
    );
  });

  it("lists folders first, then images by their titles; what stands elsewhere under its folder", () => {
    const files = menuOf(["/ISOs/z.iso", "/ISOs/a.iso", "/ISOs/deep/b.iso", "/other/c.img"], {
      menu_alias: [{ iso: "z.iso", alias: "A first" }],
    });
    const shown = linesOf(files).flatMap((line) => /^(?:hiso_entry|submenu .*--) '([^']*)'/.exec(line)?.[1] ?? []);
    expect(shown).toEqual(["deep/", "/ISOs/z.iso", "/ISOs/a.iso", "other/"]);
  });

  it.each([
    ["the first that can be booted", {}, "/ISOs/b.iso>recorded"],
    ["a path", { default_image: "/ISOs/deep/c.iso" }, "/ISOs/deep>/ISOs/deep/c.iso>recorded"],
    ["a path with brackets", { default_image: "/ISOs/x [1].iso" }, "/ISOs/x [1].iso>recorded"],
    ["a glob", { default_image: "*c.iso" }, "/ISOs/deep>/ISOs/deep/c.iso>recorded"],
    ["a path that is not there yet", { default_image: "/ISOs/new.iso" }, "/ISOs/new.iso>recorded"],
    ["none that has a password of its own", { image_passwords: [{ iso: "b.iso", password: "x" }] }, "/ISOs/x [1].iso>recorded"],
  ])("starts by itself %s", (_, control, standard) => {
    const refused = { refusal: "no", direct: { can: false, because: "no" } } as const;
    const images = ["/ISOs/b.iso", "/ISOs/deep/c.iso", "/ISOs/x [1].iso"].map((path) => ({ path, sizeBytes: 1n, modifiedMs: 0 }));
    const files = menuOf([], { control }, { images: [{ path: "/ISOs/a.iso", sizeBytes: 1n, modifiedMs: 0, look: refused }, ...images] });
    expect(linesOf(files)).toContain(`set default='${standard}'`);
  });

  it("says of what cannot be booted why, also of a path that no kernel's line has room for", () => {
    const path = `/ISOs/${"ä".repeat(850)}.iso`;
    const look = { refusal: "it is packed (gzip): unpack it first", direct: { can: false, because: "x" } } as const;
    const files = menuOf(
      [],
      {},
      {
        images: [
          { path: "/ISOs/a.iso", sizeBytes: 1n, modifiedMs: 0, look },
          { path, sizeBytes: 1n, modifiedMs: 0 },
        ],
      },
    );
    expect(files[PART]).toMatch(/^hiso_entry '\/ISOs\/a\.iso' .*'it is packed \(gzip\): unpack it first'/m);
    expect(files[PART]).toMatch(/^hiso_entry '\/ISOs\/ä+\.iso' .*'its path is too long: a kernel'\\''s command line has 2047 bytes/m);
  });

  it("does not list hidden images, nor find them anew", () => {
    const files = menuOf(["/ISOs/a.iso", "/ISOs/b.iso"], { control: { hidden_images: ["a.iso"] } });
    expect(files[PART]).not.toMatch(/^hiso_entry '\/ISOs\/a/m);
    expect(files[PART]).toMatch(/^function hiso_known_1 \{ test .*"\$1" = '\/ISOs\/a\.iso'/m);
    expect(files[PART]).toContain(`regexp '^(.*/)?a\\.iso$' "$1"; then set hiso_hidden='y'`);
  });

  it("asks for passwords where there are some, and leaves the rest open", () => {
    const open = menuOf(["/ISOs/a.iso"]);
    expect(open[PART]).not.toContain("superusers");
    const image = menuOf(["/ISOs/a.iso", "/ISOs/b.iso"], { control: { image_passwords: [{ iso: "a.iso", password: "x" }] } });
    expect(image[PART]).toMatch(/set superusers='nobody'[\s\S]*password_pbkdf2 'image' grub\.pbkdf2\.sha512\.10000\./);
    expect(image[PART]).toMatch(/^hiso_entry '\/ISOs\/a\.iso' .* 'image' ''$/m);
    expect(image[PART]).toMatch(/^hiso_entry '\/ISOs\/b\.iso' .* '' ''$/m);
    expect(image[PART]).toContain("set hiso_pickers='image'");
    expect(menuOf([], { control: { menu_password: "x" } })[PART]).toMatch(/set hiso_locked=y[\s\S]*set superusers='menu'/);
  });

  it("keeps the last good configuration while a broken one stands there, and says so in one line", () => {
    const good = Buffer.from('{ "control": { "timeout": 77 } }');
    const files = menuOf(["/ISOs/a.iso"], '{ "control": { "timeout": 5, }', { goodConfig: good });
    expect(linesOf(files)).toContain("set timeout=77");
    expect(linesOf(files).filter((line) => line.includes("--id problem"))).toEqual([
      expect.stringMatching(
        /^menuentry 'hiperiso\.json, line 1, column \d+: .*; what stood there before holds' --unrestricted --id problem/,
      ),
    ]);
    expect(files["/EFI/hiperiso/hiperiso.json"]).toBe(good.toString());
    expect(JSON.parse(files["/EFI/hiperiso/menu.json"]!)).toMatchObject({ keeps_last_good: true });
    // The images are those of now.
    expect(files[PART]).toMatch(/^hiso_entry '\/ISOs\/a\.iso'/m);
  });

  it.each([
    ["an unknown key", '{ "control": { "timeout": 5, "ram": 1 } }', /line 1, column \d+: control\.ram: unknown key/],
    ["a comment and a trailing comma", '{ /* x */ "control": { "timeout": 5, }, } // y', undefined],
  ])("%s leaves the rest of it in force", (_, config, problem) => {
    const files = menuOf([], config, { goodConfig: Buffer.from('{ "control": { "timeout": 77 } }') });
    expect(linesOf(files)).toContain("set timeout=5");
    const told = linesOf(files).find((line) => line.includes("--id problem"));
    if (problem === undefined) expect(told).toBe(undefined);
    else expect(told).toMatch(problem);
    expect(files["/EFI/hiperiso/hiperiso.json"]).toBe(config);
  });

  it("is not made by a configuration of 10 MB", () => {
    const files = menuOf([], "x".repeat(10 << 20), { goodConfig: Buffer.from('{ "control": { "timeout": 77 } }') });
    expect(linesOf(files)).toContain("set timeout=77");
    expect(files[PART]).toMatch(/--id problem/);
    expect(files["/EFI/hiperiso/hiperiso.json"]!.length).toBeLessThan(100);
  });

  it("is the same from the same", () => {
    const config = { control: { menu_password: "x", image_passwords: [{ iso: "*", password: "y" }] } };
    expect(menuOf(TRAPS, config)).toEqual(menuOf(TRAPS, config));
  });
});
