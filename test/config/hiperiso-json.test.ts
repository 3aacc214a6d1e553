import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { emptyConfig, parseConfig } from "../../src/config/hiperiso-json.ts";

const WHERE = "hiperiso.json";
const parse = (text: string) => parseConfig(text, WHERE);
/** Line, column, path: message. */
const findings = (text: string) =>
  parse(text).findings.map(({ line, column, path, message, severity }) => `${line}:${column} ${severity} ${path}: ${message}`);

const EXAMPLE = `{
  // comments and trailing commas are fine
  "control": {
    "default_ram": 4096, "default_cpus": 3, "default_trace_level": "full",
    "default_display": "vnc", "default_vga": "virtio",
    "fallback_no_kvm": false, "net_dump": true, "timeout": 3,
  },
  "theme": { "file": "/hiperiso/theme/theme.txt", "gfxmode": "1024x768", "gfxpayload": "keep" },
  "menu_alias": [{ "iso": "/ISOs/ubuntu-24.04.iso", "alias": "Ubuntu 24.04 LTS" }],
  "menu_tip": [{ "iso": "*.img", "tip": "a disk" }],
  "iso_overrides": {
    "*./windows11*.iso": { "ram": 8192, "cpus": 4, "tpm": true, "secure_boot": true, "cpu_features": ["vmx", "svm"], "firmware": "uefi" },
    "2024": { "cpu_features": "vmx", "boot_mode": "memdisk", "fallback": true, "log_dir": "/logs" },
    "*.iso": {
      "conf_replace": [{ "org": "/a b.cfg", "new": "/x" }, { "org": "/b", "new": "/y" }],
      "auto_install": "/ks.cfg", "persistence": "/p.dat", "dud": "/d.img", "injection": "/i.tar.gz",
      "trace_level": "none", "display": "gtk", "vga": "none", "net_dump": false
    }
  },
  "choices": [{ "iso": "*.iso", "entries": [{ "name": "with b", "settings": { "persistence": "/b.dat", "cpu_features": ["vmx"] } }] }]
}
`;

describe("a hiperiso.json", () => {
  test("chooses what the menu shows, and with whose password", () => {
    const control = {
      image_folders: ["/VMs/", "/a b/c", "/VMs"],
      image_depth: 0,
      default_image: "*debian*.iso",
      hidden_images: ["/ISOs/old/**"],
      menu_serial: true,
      menu_password: "p w",
      image_passwords: [{ iso: "x.iso", password: "s" }],
    };
    expect(parse(JSON.stringify({ control }))).toMatchObject({
      findings: [],
      config: {
        menu: {
          imageFolders: ["/VMs", "/a b/c"],
          imageDepth: 0,
          defaultImage: "*debian*.iso",
          hiddenImages: ["/ISOs/old/**"],
          serial: true,
          password: "p w",
          imagePasswords: [{ pattern: "x.iso", password: "s" }],
        },
      },
    });
  });

  test.each([
    ["a folder that is none", { image_folders: ["ISOs", "/ok"] }, "control.image_folders[0]", /from the data partition's root/],
    ["a folder above", { image_folders: ["/a/../b"] }, "control.image_folders[0]", /from the data partition's root/],
    ["a depth", { image_depth: 9 }, "control.image_depth", /from 0 to 8, found 9/],
    ["a password without an image", { image_passwords: [{ password: "x" }] }, "control.image_passwords[0].iso", /missing/],
    ["a slip", { hiden_images: [] }, "control.hiden_images", /did you mean "hidden_images"/],
  ])("tells of the menu: %s", (_, control, path, message) => {
    const { findings } = parse(JSON.stringify({ control }));
    expect(findings).toMatchObject([{ path, message: expect.stringMatching(message) }]);
  });

  test("that is right is taken whole, in the words of the settings", () => {
    const { config, findings } = parse(EXAMPLE);
    expect(findings).toEqual([]);
    expect(config).toEqual({
      control: { guestRam: 4096, guestCpus: 3, traceLevel: "full", display: "vnc", vga: "virtio", netDump: true },
      fallbackNoKvm: false,
      menuTimeoutS: 3,
      menu: { imageFolders: ["/ISOs"], imageDepth: 8, hiddenImages: [], serial: false, imagePasswords: [] },
      theme: { file: "/hiperiso/theme/theme.txt", gfxmode: "1024x768", gfxpayload: "keep" },
      menuAlias: [{ pattern: "/ISOs/ubuntu-24.04.iso", alias: "Ubuntu 24.04 LTS" }],
      menuTip: [{ pattern: "*.img", tip: "a disk" }],
      // In the order of the file, also for a key that looks like a number.
      isoOverrides: [
        {
          pattern: "*./windows11*.iso",
          values: { guestRam: 8192, guestCpus: 4, tpm: true, secureBoot: true, cpuFeatures: "vmx,svm", firmware: "uefi" },
        },
        { pattern: "2024", values: { cpuFeatures: "vmx", bootMode: "memdisk", fallback: true, logDir: "/logs" } },
        {
          pattern: "*.iso",
          values: {
            confReplace: "org=/a b.cfg;new=/x;;org=/b;new=/y",
            autoInstall: "/ks.cfg",
            persistence: "/p.dat",
            dud: "/d.img",
            injection: "/i.tar.gz",
            traceLevel: "none",
            display: "gtk",
            vga: "none",
            netDump: false,
          },
        },
      ],
      choices: [{ pattern: "*.iso", entries: [{ name: "with b", values: { persistence: "/b.dat", cpuFeatures: "vmx" } }] }],
    });
  });

  test("loses of its choices the entries with a fault, each named", () => {
    const entries = [{ name: "one", settings: { ram: 64, rams: 1 } }, { name: "two" }, { name: "three", settings: { cpus: 0 } }];
    const { config, findings } = parse(JSON.stringify({ choices: [{ iso: "*", entries }] }));
    expect(config.choices).toEqual([{ pattern: "*", entries: [{ name: "one", values: { guestRam: 64 } }] }]);
    expect(findings.map(({ path, message }) => `${path}: ${message}`)).toEqual([
      'choices[0].entries[0].settings.rams: unknown key "rams"; did you mean "ram"?',
      'choices[0].entries[1].settings: "settings" is missing',
      "choices[0].entries[2].settings.cpus: expected a whole number from 1 to 255, found 0",
    ]);
  });

  test("with wrong values and unknown keys loses only these, each named by line and column", () => {
    const text = `{
  "control": { "default_ram": "much", "default_cpu": 4, "default_cpus": 3, "timeout": -1 },
  "iso_overrides": {
    "*.iso": { "guest_ram": 4096, "cpus": 0, "tpm": 1, "vga": "std", "display": "sdl" }
  },
  "them": {}
}`;
    expect(findings(text)).toEqual([
      '2:31 error control.default_ram: expected a whole number from 16 to 1048576 (MB), found "much"',
      '2:39 error control.default_cpu: unknown key "default_cpu"; did you mean "default_cpus"?',
      "2:87 error control.timeout: expected a whole number of seconds from 0 to 3600, found -1",
      '4:16 error iso_overrides["*.iso"].guest_ram: unknown key "guest_ram"; did you mean "ram"?',
      '4:43 error iso_overrides["*.iso"].cpus: expected a whole number from 1 to 255, found 0',
      '4:53 error iso_overrides["*.iso"].tpm: expected true or false, found 1',
      '4:81 error iso_overrides["*.iso"].display: expected one of none, gtk, vnc, found "sdl"',
      '6:3 error them: unknown key "them"; did you mean "theme"?',
    ]);
    expect(parse(text).config).toEqual({
      ...emptyConfig,
      control: { guestCpus: 3 },
      isoOverrides: [{ pattern: "*.iso", values: { vga: "std" } }],
    });
  });

  test("loses an entry of a list whole when a part of it is wrong or missing", () => {
    const text = `{ "menu_alias": [{ "iso": "a.iso" }, { "iso": 3, "alias": "B" }, { "iso": "c.iso", "alias": "C", "tip": "x" }],
 "iso_overrides": { "x": { "conf_replace": [{ "org": "/a;b", "new": "/c" }, { "org": "/d", "new": "/e" }] } } }`;
    expect(findings(text)).toEqual([
      '1:18 error menu_alias[0].alias: "alias" is missing',
      "1:47 error menu_alias[1].iso: expected text that is not empty, without control characters, found 3",
      '1:98 error menu_alias[2].tip: unknown key "tip"',
      '2:54 error iso_overrides.x.conf_replace[0].org: expected a path without a semicolon, found "/a;b"',
    ]);
    expect(parse(text).config.menuAlias).toEqual([{ pattern: "c.iso", alias: "C" }]);
    expect(parse(text).config.isoOverrides).toEqual([{ pattern: "x", values: { confReplace: "org=/d;new=/e" } }]);
  });

  test("with a slip of the syntax is read on behind it", () => {
    const text = `{ "control": { "default_ram": 1024 "default_cpus": 3 }, "theme": { "gfxmode": "1024x768 } }`;
    expect(findings(text)[0]).toBe('1:36 error : expected "," before this');
    expect(parse(text).config.control).toEqual({ guestRam: 1024, guestCpus: 3 });
  });

  test("that holds a key twice gets a warning, and the last holds", () => {
    const text = `{ "control": { "timeout": 3, "timeout": 4 } }`;
    expect(findings(text)).toEqual(['1:30 warning control.timeout: "timeout" is there twice; the last one holds']);
    expect(parse(text).config.menuTimeoutS).toBe(4);
  });

  test.each([
    ["nothing at all", "", "1:1 error : expected a value"],
    ["a comment", "  // nothing\n", "2:1 error : expected a value"],
    ["a list", "[]", "1:1 error : expected an object { … }, found []"],
    ["null", "null", "1:1 error : expected an object { … }, found null"],
    ["100,000 brackets", "[".repeat(100_000), "1:33 error : is nested deeper than 32 levels; the file is not used"],
    ["a megabyte of blanks", " ".repeat(1_048_577), "1:1 error : the file is too long: expected at most 1048576 characters, found 1048577"],
  ])("of %s holds nothing, says so, and stops nothing", (_, text, expected) => {
    expect(parse(text).config).toEqual(emptyConfig);
    expect(findings(text)).toContain(expected);
  });

  test("with a byte order mark is read with true columns", () => {
    expect(findings(`\ufeff{ "x": 1 }`)).toEqual(['1:4 error x: unknown key "x"']);
  });

  test("cannot smuggle a setting in by the name of an object's parent, nor an escape sequence into a message", () => {
    const text = `{ "__proto__": { "control": 1 }, "iso_overrides": { "__proto__": { "ram": "x" }, "constructor": { "ram": 64 } }, "\\u001b[31m": 1 }`;
    expect(parse(text).config).toEqual({ ...emptyConfig, isoOverrides: [{ pattern: "constructor", values: { guestRam: 64 } }] });
    expect(findings(text).join("")).not.toContain("\x1b");
  });

  test("cut at any place gives what was complete, and never an exception", () => {
    for (let end = 0; end < EXAMPLE.length; end += 1) {
      const { config, findings } = parse(EXAMPLE.slice(0, end));
      if (end < EXAMPLE.trimEnd().length) expect(findings.length).toBeGreaterThan(0);
      // A number that the cut shortened to another number cannot be told.
      expect([undefined, 40, 409, 4096]).toContain(config.control.guestRam);
    }
  });

  test("of any shape is survived, and every finding stands inside the text", () => {
    const key = fc.constantFrom(
      "control",
      "theme",
      "menu_alias",
      "menu_tip",
      "iso_overrides",
      "ram",
      "iso",
      "alias",
      "org",
      "conf_replace",
      "cpu_features",
      "timeout",
      "x",
      "__proto__",
    );
    const { json } = fc.letrec((tie) => ({
      json: fc.oneof(
        { maxDepth: 5 },
        fc.jsonValue({ maxDepth: 1 }),
        fc.array(tie("json"), { maxLength: 3 }),
        fc.array(fc.tuple(key, tie("json")), { maxLength: 4 }).map(Object.fromEntries),
      ),
    }));
    const flips = fc.array(fc.tuple(fc.nat(), fc.constantFrom('"', "{", "}", "[", "]", ",", ":", "\\", "\n", "\0", "/", "é")), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(json, flips, (value, changes) => {
        const characters = [...JSON.stringify(value, null, 1)];
        for (const [place, character] of changes) characters[place % characters.length] = character;
        const text = characters.join("");
        const lines = text.split("\n");
        for (const { line, column } of parse(text).findings) {
          expect(line).toBeLessThanOrEqual(lines.length);
          expect(column).toBeLessThanOrEqual(lines[line - 1]!.length + 1);
        }
      }),
      { numRuns: 2000 },
    );
  });
});
