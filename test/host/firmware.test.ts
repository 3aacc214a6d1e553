import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import {
  chooseFirmware,
  decodeFirmwareDescriptor,
  type FirmwareDescriptor,
  type FirmwareWanted,
  findFirmware,
  firmwareFolders,
  KNOWN_FIRMWARE,
  readableFirmwareFiles,
  readFirmwareDescriptors,
} from "../../src/host/firmware.ts";

interface Made {
  readonly description?: string;
  readonly interfaces?: readonly string[];
  readonly mapping?: Record<string, unknown>;
  readonly architecture?: string;
  readonly machines?: readonly string[];
  readonly features?: readonly string[];
}

const raw = (filename: string) => ({ filename, format: "raw" });
const flash = (code: string, variables: string) => ({ device: "flash", executable: raw(code), "nvram-template": raw(variables) });

const json = ({ description, interfaces, mapping, architecture, machines, features }: Made): string =>
  JSON.stringify({
    description: description ?? "UEFI",
    "interface-types": interfaces ?? ["uefi"],
    mapping: mapping ?? flash("/fw/code", "/fw/vars"),
    targets: [{ architecture: architecture ?? "x86_64", machines: machines ?? ["pc-i440fx-*", "pc-q35-*"] }],
    features: features ?? ["acpi-s3"],
    tags: [],
  });
const descriptor = (path: string, made: Made): FirmwareDescriptor => ({ path, content: decodeFirmwareDescriptor(json(made)) });

const want: FirmwareWanted = {
  interface: "uefi",
  architecture: "x86_64",
  machine: "pc-q35-7.2",
  secureBoot: false,
  formats: ["raw", "qcow2"],
};
const FILES = new Set(["/fw/code", "/fw/vars", "/fw/secure-code", "/fw/ms-vars"]);

/** The three that Debian 12 ships, in its order. */
const DEBIAN = [
  descriptor("40-enrolled", {
    mapping: flash("/fw/secure-code", "/fw/ms-vars"),
    machines: ["pc-q35-*"],
    features: ["acpi-s3", "amd-sev", "enrolled-keys", "requires-smm", "secure-boot", "verbose-dynamic"],
  }),
  descriptor("50-secure", {
    mapping: flash("/fw/secure-code", "/fw/vars"),
    machines: ["pc-q35-*"],
    features: ["acpi-s3", "amd-sev", "requires-smm", "secure-boot", "verbose-dynamic"],
  }),
  descriptor("60-plain", { features: ["acpi-s3", "amd-sev", "verbose-dynamic"] }),
];

describe("the choice among descriptors", () => {
  test("no keys and no SMM when Secure Boot is not asked for", () => {
    const { chosen, because, rejected } = chooseFirmware(DEBIAN, want, FILES);
    expect(chosen).toEqual({
      source: "60-plain",
      description: "UEFI",
      mapping: { device: "flash", mode: "split", executable: raw("/fw/code"), nvramTemplate: raw("/fw/vars") },
      requiresSmm: false,
      secureBoot: false,
      enrolledKeys: false,
    });
    expect(because).toBe("UEFI, by QEMU's descriptor 60-plain");
    expect(rejected).toEqual([{ descriptor: "40-enrolled", reason: "its Secure Boot keys are enrolled: it would refuse unsigned images" }]);
  });

  test("SMM where nothing else answers", () => {
    expect(chooseFirmware(DEBIAN.slice(0, 2), want, FILES).chosen).toMatchObject({ source: "50-secure", requiresSmm: true });
  });

  test("keys when Secure Boot is asked for", () => {
    const { chosen } = chooseFirmware(DEBIAN, { ...want, secureBoot: true }, FILES);
    expect(chosen).toMatchObject({ source: "40-enrolled", requiresSmm: true, secureBoot: true, enrolledKeys: true });
  });

  test.each<[string, Made | string, Partial<FirmwareWanted>, string]>([
    ["files that do not exist", { mapping: flash("/fw/code", "/fw/gone") }, {}, "there is no /fw/gone, or it cannot be read"],
    ["another interface", { interfaces: ["bios"] }, {}, "it is for bios, not uefi"],
    ["another architecture", { architecture: "aarch64" }, {}, "it is not for x86_64"],
    ["another machine", { machines: ["pc-i440fx-*"] }, {}, "it is for pc-i440fx-*, not pc-q35-7.2"],
    ["globs over versioned names only", { machines: ["q35"] }, {}, "it is for q35, not pc-q35-7.2"],
    ["braces, which are no glob here", { machines: ["pc-{q35,i440fx}-*"] }, {}, "it is for pc-{q35,i440fx}-*, not pc-q35-7.2"],
    ["SMM on a machine without", { features: ["requires-smm"] }, { machine: "pc-i440fx-7.2" }, "it needs SMM, which pc-i440fx-7.2 has not"],
    ["no Secure Boot", {}, { secureBoot: true }, "it has no Secure Boot"],
    ["Secure Boot without keys", { features: ["secure-boot"] }, { secureBoot: true }, "it has no keys enrolled for Secure Boot"],
    [
      "another format",
      { mapping: { ...flash("/fw/code", "/fw/vars"), executable: { filename: "/fw/code", format: "qcow2" } } },
      { formats: ["raw"] },
      "its format is qcow2, not raw",
    ],
    ["a relative path", { mapping: flash("code", "/fw/vars") }, {}, "it names a relative path: code"],
    [
      "no template",
      { mapping: { device: "flash", executable: raw("/fw/code") } },
      {},
      "it names no template for its variables (nvram-template)",
    ],
    [
      "stateless",
      { mapping: { device: "flash", mode: "stateless", executable: raw("/fw/code") } },
      {},
      "it keeps no variables (stateless)",
    ],
    ["like a kernel", { mapping: { device: "kernel", filename: "/fw/code" } }, {}, "it is loaded like a kernel"],
    [
      "variables kept by QEMU",
      { mapping: { device: "memory", filename: "/fw/code" }, features: ["host-uefi-vars"] },
      {},
      "it wants QEMU to keep its variables (host-uefi-vars)",
    ],
  ])("skipped with its reason: %s", (_, made, other, reason) => {
    const { chosen, rejected, hint } = chooseFirmware([descriptor("d", made as Made)], { ...want, ...other }, FILES);
    expect(chosen).toBeUndefined();
    expect(rejected).toEqual([{ descriptor: "d", reason }]);
    expect(hint).toMatch(/ovmf \(Debian, Ubuntu\), edk2-ovmf \(Fedora\), edk2-ovmf \(Arch\), qemu-ovmf-x86_64 \(openSUSE\)/);
  });

  test.each(["pc-q35-*", "pc-q35-7.?", "pc-q35-[4-9].*", "*", "pc-q35-7.2"])("the machine glob %s answers", (glob) => {
    expect(chooseFirmware([descriptor("d", { machines: [glob] })], want, FILES).chosen).toBeDefined();
  });

  test("no glob is an error, not even one that is none", () => {
    fc.assert(
      fc.property(
        fc.oneof(fc.string(), fc.stringMatching(/^[pc\-q35*?[\]!^{}()|+@\\]{0,40}$/), fc.constantFrom("[z-a]", "[", "*".repeat(300))),
        (glob) => {
          const { chosen, rejected } = chooseFirmware([descriptor("d", { machines: [glob] })], want, FILES);
          expect(chosen === undefined).toBe(rejected.length === 1);
        },
      ),
    );
  });

  test("one file for code and variables, and -bios, only where nothing better is", () => {
    const combined = descriptor("10", { mapping: { device: "flash", mode: "combined", executable: raw("/fw/code") } });
    const memory = descriptor("05", { mapping: { device: "memory", filename: "/fw/code" } });
    expect(chooseFirmware([memory, combined, ...DEBIAN], want, FILES).chosen?.source).toBe("60-plain");
    expect(chooseFirmware([memory, combined], want, FILES).chosen?.mapping).toEqual({
      device: "flash",
      mode: "combined",
      executable: raw("/fw/code"),
    });
    expect(chooseFirmware([memory], want, FILES).chosen?.mapping).toEqual({ device: "memory", filename: "/fw/code" });
  });

  test("of equals the first", () => {
    const two = [descriptor("20", {}), descriptor("30", {})];
    expect(chooseFirmware(two, want, FILES).chosen?.source).toBe("20");
  });

  test("a broken descriptor is one of those skipped", () => {
    const { chosen, rejected } = chooseFirmware([{ path: "bad", content: decodeFirmwareDescriptor("{") }, ...DEBIAN], want, FILES);
    expect(chosen?.source).toBe("60-plain");
    expect(rejected[0]).toMatchObject({ descriptor: "bad", reason: expect.stringContaining("no JSON") });
  });
});

describe("a descriptor's text", () => {
  test("words of a later QEMU change nothing", () => {
    const later = { ...JSON.parse(json({ features: ["acpi-s3", "of-the-future"] })), "new-word": 1 };
    expect(decodeFirmwareDescriptor(JSON.stringify(later))).toHaveProperty("facts");
  });

  test("what is missing or wrong is named", () => {
    const { targets: _, ...without } = JSON.parse(json({}));
    expect(decodeFirmwareDescriptor(JSON.stringify(without))).toMatchObject({ broken: expect.stringContaining("targets") });
    expect(decodeFirmwareDescriptor(json({ mapping: { device: "tape" } }))).toMatchObject({ broken: expect.stringContaining("mapping") });
  });

  test("cut at any byte, or any JSON at all: broken or whole, never an error", () => {
    const whole = json({});
    for (let length = 0; length < whole.length; length++) expect(decodeFirmwareDescriptor(whole.slice(0, length))).toHaveProperty("broken");
    fc.assert(
      fc.property(fc.json(), (text) => {
        expect(decodeFirmwareDescriptor(text)).toHaveProperty("broken");
      }),
    );
  });
});

describe("known places, where no descriptor answers", () => {
  /** The files of one distribution's package, by its row. */
  const filesOf = (path: string) => {
    const row = KNOWN_FIRMWARE.find((known) => known.path === path);
    if (row === undefined) throw new Error(`no row for ${path}`);
    const { mapping } = row;
    if (mapping.device === "memory") return [mapping.filename];
    return mapping.mode === "split" ? [mapping.executable.filename, mapping.nvramTemplate.filename] : [mapping.executable.filename];
  };

  test.each(
    KNOWN_FIRMWARE.filter(({ interfaces }) => interfaces.includes("uefi")).map(({ path, enrolledKeys }) => ({ path, enrolledKeys })),
  )("$path", ({ path, enrolledKeys }) => {
    const { chosen, because } = chooseFirmware([], { ...want, secureBoot: enrolledKeys }, new Set(filesOf(path)));
    expect(chosen?.source).toBe("known path");
    expect(because).toContain(path);
  });

  test("code without its variables is named and not taken", () => {
    const { chosen, rejected } = chooseFirmware([], want, new Set(["/usr/share/OVMF/OVMF_CODE_4M.fd"]));
    expect(chosen).toBeUndefined();
    expect(rejected).toEqual([
      { descriptor: "/usr/share/OVMF/OVMF_CODE_4M.fd", reason: "there is no /usr/share/OVMF/OVMF_VARS_4M.fd, or it cannot be read" },
    ]);
  });

  test("halves of 2 MiB and of 4 MiB builds are never put together", () => {
    for (const { mapping } of KNOWN_FIRMWARE) {
      if (mapping.device !== "flash" || mapping.mode !== "split") continue;
      const size = (path: string) => /4m/i.test(path);
      expect(size(mapping.executable.filename)).toBe(size(mapping.nvramTemplate.filename));
      expect(mapping.executable.format).toBe(mapping.nvramTemplate.format);
    }
  });

  test("the BIOS that QEMU brings", () => {
    const { chosen } = chooseFirmware([], { ...want, interface: "bios" }, new Set(["/usr/share/seabios/bios-256k.bin"]));
    expect(chosen?.mapping).toEqual({ device: "memory", filename: "/usr/share/seabios/bios-256k.bin" });
  });

  test("a descriptor comes first", () => {
    const everything = new Set([...FILES, ...KNOWN_FIRMWARE.flatMap(({ path }) => filesOf(path))]);
    expect(chooseFirmware(DEBIAN, want, everything).chosen?.source).toBe("60-plain");
  });
});

describe("folders", () => {
  let root: string;
  let folders: readonly string[];
  beforeEach(async () => {
    root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
    folders = ["usr", "etc", "home"].map((name) => join(root, name));
    for (const folder of folders.slice(0, 2)) await mkdir(folder);
  });
  afterEach(() => rm(root, { recursive: true }));

  const put = (folder: string, name: string, content: string) => writeFile(join(root, folder, name), content);
  const found = async () => (await readFirmwareDescriptors(folders)).map(({ path }) => path.slice(root.length + 1));

  test("in rising precedence: the system's, the administrator's, the person's", () => {
    expect(firmwareFolders({ HOME: "/home/ada" })).toEqual([
      "/usr/share/qemu/firmware",
      "/etc/qemu/firmware",
      "/home/ada/.config/qemu/firmware",
    ]);
    expect(firmwareFolders({ HOME: "/home/ada", XDG_CONFIG_HOME: "/cfg" }).at(-1)).toBe("/cfg/qemu/firmware");
  });

  test("a name shadows the same name, and all are sorted by name", async () => {
    await put("usr", "60-x.json", json({}));
    await put("usr", "50-x.json", json({}));
    await put("etc", "60-x.json", json({}));
    await put("etc", "10-y.json", json({}));
    expect(await found()).toEqual(["etc/10-y.json", "usr/50-x.json", "etc/60-x.json"]);
  });

  test("an empty file masks, also through a link to /dev/null", async () => {
    await put("usr", "50-x.json", json({}));
    await put("usr", "60-x.json", json({}));
    await put("etc", "50-x.json", "");
    await symlink("/dev/null", join(root, "etc", "60-x.json"));
    expect(await found()).toEqual([]);
  });

  test("a broken file shadows too, and says why", async () => {
    await put("usr", "50-x.json", json({}));
    await put("etc", "50-x.json", "no JSON");
    expect(await readFirmwareDescriptors(folders)).toEqual([
      { path: join(root, "etc/50-x.json"), content: { broken: expect.stringContaining("no JSON") } },
    ]);
  });

  test("other files, and what cannot be read, stop nothing", async () => {
    await put("usr", "README", "text");
    await mkdir(join(root, "usr", "40-folder.json"));
    await symlink("nowhere", join(root, "usr", "45-dangling.json"));
    await put("usr", "50-x.json", json({}));
    const read = await readFirmwareDescriptors(folders);
    expect(read.map(({ content }) => "broken" in content)).toEqual([true, true, false]);
  });

  test("files that are there and can be read, from descriptor to choice", async () => {
    await put("usr", "code.fd", "code");
    await put("usr", "vars.fd", "vars");
    await put("usr", "50-x.json", json({ mapping: flash(join(root, "usr/code.fd"), join(root, "usr/none.fd")) }));
    await put("usr", "60-x.json", json({ mapping: flash(join(root, "usr/code.fd"), join(root, "usr/vars.fd")) }));
    await put("usr", "70-x.json", json({ mapping: flash(join(root, "usr"), join(root, "usr/vars.fd")) }));
    const read = await readFirmwareDescriptors(folders);
    const { chosen, rejected } = chooseFirmware(read, want, await readableFirmwareFiles(read));
    expect(chosen?.source).toBe(join(root, "usr/60-x.json"));
    expect(rejected.map(({ descriptor: path }) => path)).toEqual([join(root, "usr/50-x.json"), join(root, "usr/70-x.json")]);
  });

  test("this computer: a firmware, or what to install", async () => {
    const { chosen, because, hint } = await findFirmware(want, { HOME: root });
    expect(because).not.toBe("");
    expect(chosen === undefined).toBe(hint !== "");
  });
});
