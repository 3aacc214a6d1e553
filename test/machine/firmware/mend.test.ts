import { existsSync } from "node:fs";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { type FirmwareEntry, readFirmwareEntries } from "../../../src/host/firmware.ts";
import { checkDescriptor } from "../../../src/machine/firmware/check.ts";
import { type MendingWrite, planMending, writeMending } from "../../../src/machine/firmware/mend.ts";
import { readFirmwareStock } from "../../../src/machine/firmware/stock.ts";
import { ENROLLED, madeCode, madeVariables } from "../../formats/firmware-images.ts";
import { DEBIAN_FILES, descriptorText, entryOf, type Lying, type MadeDescriptor, stockOf } from "./stocks.ts";

const FOLDERS = ["/usr/share/qemu/firmware", "/etc/qemu/firmware", "/home/ada/.config/qemu/firmware"] as const;
const [USR, ETC, HOME] = FOLDERS;
const PLAIN = { machines: ["pc-q35-*", "pc-i440fx-*"] };
const SECURE = { features: ["requires-smm", "secure-boot"] };
const ENROLLED_KEYS = { features: ["enrolled-keys", "requires-smm", "secure-boot"] };
const GONE = { code: "/gone/code", variables: "/gone/vars" };

const plan = (
  entries: readonly FirmwareEntry[],
  {
    files = DEBIAN_FILES,
    into = HOME as string,
    mask = false,
  }: { files?: Readonly<Record<string, Lying>>; into?: string; mask?: boolean } = {},
) => planMending(entries, stockOf(files), { folders: FOLDERS, into, mask });

const pairOf = ({ pair }: MendingWrite) =>
  pair && [pair.code.path, pair.variables.path].map((path) => path.replace("/usr/share/OVMF/OVMF_", ""));
const made = (name: string, folder: string, descriptor: MadeDescriptor) => entryOf(`${folder}/${name}`, descriptorText(descriptor));
/** So that none is missed and made anew. */
const SOUND = [
  made("40-s.json", USR, { code: "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", ...ENROLLED_KEYS }),
  made("60-s.json", USR, { code: "/usr/share/OVMF/OVMF_CODE_4M.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd", ...PLAIN }),
];

describe("each broken descriptor gets the pair that does what it promises", () => {
  test.each<[string, Partial<MadeDescriptor>, readonly string[]]>([
    ["no keys, no SMM", PLAIN, ["CODE_4M.fd", "VARS_4M.fd"]],
    ["SMM, no keys", SECURE, ["CODE_4M.secboot.fd", "VARS_4M.fd"]],
    ["keys", ENROLLED_KEYS, ["CODE_4M.secboot.fd", "VARS_4M.ms.fd"]],
    ["what it names and is sound stays", { code: "/usr/share/OVMF/OVMF_CODE.fd" }, ["CODE.fd", "VARS.fd"]],
    ["so do variables", { variables: "/usr/share/OVMF/OVMF_VARS.fd" }, ["CODE.fd", "VARS.fd"]],
    [
      "halves of two builds",
      { code: "/usr/share/OVMF/OVMF_CODE.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
      ["CODE_4M.fd", "VARS_4M.fd"],
    ],
    [
      "SMM that was not said",
      { code: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", variables: "/usr/share/OVMF/OVMF_VARS_4M.fd" },
      ["CODE_4M.fd", "VARS_4M.fd"],
    ],
  ])("%s", (_, descriptor, pair) => {
    const { writes, unmended } = plan([...SOUND, made("50-x.json", USR, { ...GONE, ...descriptor })]);
    expect(unmended).toEqual([]);
    expect(writes.map(pairOf)).toEqual([pair]);
  });

  test("in a file of its name in the folder that was asked for, with every other word kept", () => {
    const broken = made("50-x.json", USR, { ...GONE, ...PLAIN });
    const { writes } = plan([...SOUND, broken]);
    expect(writes).toMatchObject([{ path: `${HOME}/50-x.json`, mends: `${USR}/50-x.json`, keptAs: undefined }]);
    const before = JSON.parse(broken.text);
    expect(JSON.parse(writes[0]!.content)).toEqual({
      ...before,
      mapping: {
        device: "flash",
        executable: { filename: "/usr/share/OVMF/OVMF_CODE_4M.fd", format: "raw" },
        "nvram-template": { filename: "/usr/share/OVMF/OVMF_VARS_4M.fd", format: "raw" },
      },
    });
    expect(writes[0]!.because).toMatch(/its executable does not exist: \/gone\/code; its nvram-template does not exist/);
    expect(plan([...SOUND, broken], { into: ETC }).writes).toMatchObject([{ path: `${ETC}/50-x.json` }]);
  });

  test("what stands there is kept", () => {
    const { writes } = plan([...SOUND, made("50-x.json", HOME, GONE)]);
    expect(writes).toMatchObject([{ path: `${HOME}/50-x.json`, mends: `${HOME}/50-x.json`, keptAs: `${HOME}/50-x.json.old` }]);
  });

  test("a system of Gentoo, whose descriptor leads nowhere and whose firmware is QEMU's own", () => {
    const files: Record<string, Lying> = {
      "/usr/share/qemu/edk2-x86_64-code.fd": "plain4m",
      "/usr/share/qemu/edk2-x86_64-secure-code.fd": "secure4m",
      "/usr/share/qemu/edk2-i386-vars.fd": "empty4m",
    };
    const entry = made("60-edk2-x86_64.json", ETC, {
      code: "/usr/share/edk2-ovmf/OVMF_CODE.fd",
      variables: "/usr/share/edk2-ovmf/OVMF_VARS.fd",
      ...PLAIN,
    });
    expect(plan([entry], { files, into: ETC }).writes.map(pairOf)).toEqual([
      ["/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"],
    ]);
  });
});

describe("what cannot be mended is told", () => {
  test.each<[string, FirmwareEntry, RegExp]>([
    [
      "no pair",
      made("50-x.json", USR, { ...GONE, architecture: "aarch64" }),
      /no pair on this computer is for aarch64, with no SMM, no keys enrolled/,
    ],
    ["no JSON", entryOf(`${USR}/50-x.json`, "{"), /mend it by hand, or mask it/],
    ["one file for both", made("50-x.json", USR, { code: "/gone/code", mode: "combined" }), /mode split\), not combined/],
  ])("%s; with --mask it gets an empty file", (_, entry, because) => {
    expect(plan([...SOUND, entry])).toEqual({
      writes: [],
      unmended: [{ descriptor: entry.path, because: expect.stringMatching(because) }],
    });
    const { writes, unmended } = plan([...SOUND, entry], { mask: true });
    expect([writes, unmended]).toMatchObject([[{ path: `${HOME}/50-x.json`, content: "", mends: entry.path }], []]);
  });

  test("a folder that counts more is out of reach, for a mask too", () => {
    const entry = made("50-x.json", HOME, { ...GONE, ...PLAIN });
    const { writes, unmended } = plan([...SOUND, entry], { into: ETC, mask: true });
    expect(writes).toEqual([]);
    expect(unmended).toMatchObject([{ because: expect.stringMatching(/counts more than \/etc\/qemu\/firmware/) }]);
  });

  test("shadowed descriptors and masks are left alone", () => {
    const shadowed = { ...made("50-x.json", USR, GONE), state: "shadowed" } as const;
    const mask = { ...entryOf(`${ETC}/50-x.json`, ""), state: "mask" } as const;
    expect(plan([...SOUND, shadowed, mask])).toEqual({ writes: [], unmended: [] });
  });
});

describe("where no descriptor offers what the files could", () => {
  test("new ones come behind those of distributions", () => {
    const { writes } = plan([]);
    expect(writes.map((write) => [write.path, write.mends, pairOf(write)])).toEqual([
      [`${HOME}/70-hiperiso-edk2-x86_64.json`, undefined, ["CODE_4M.fd", "VARS_4M.fd"]],
      [`${HOME}/80-hiperiso-edk2-x86_64-secure-enrolled.json`, undefined, ["CODE_4M.secboot.fd", "VARS_4M.ms.fd"]],
    ]);
    for (const { path, content } of writes) expect(checkDescriptor(entryOf(path, content), stockOf(DEBIAN_FILES))).toEqual([]);
  });

  test("a mended one is enough, and nothing is made where nothing lies", () => {
    expect(plan([made("60-x.json", USR, { ...GONE, ...PLAIN })]).writes.map(({ path }) => path)).toEqual([
      `${HOME}/60-x.json`,
      `${HOME}/80-hiperiso-edk2-x86_64-secure-enrolled.json`,
    ]);
    expect(plan([], { files: { "/text": "text" } }).writes).toEqual([]);
  });

  test("who masked the new name wants none", () => {
    const mask = { ...entryOf(`${ETC}/70-hiperiso-edk2-x86_64.json`, ""), state: "mask" } as const;
    expect(plan([mask]).writes.map(({ path }) => path)).toEqual([`${HOME}/80-hiperiso-edk2-x86_64-secure-enrolled.json`]);
  });
});

describe("on a disk", () => {
  async function place() {
    const root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
    const folders = ["usr", "etc", "home/qemu/firmware"].map((name) => join(root, name));
    await mkdir(join(root, "usr"));
    await mkdir(join(root, "fw"));
    await writeFile(join(root, "fw/one.fd"), madeCode({}));
    await writeFile(join(root, "fw/two.fd"), madeVariables());
    await writeFile(join(root, "fw/three.fd"), madeVariables(ENROLLED));
    const survey = async () => {
      const entries = await readFirmwareEntries(folders);
      const stock = await readFirmwareStock({ descriptors: entries, paths: [], folders: [join(root, "fw")], known: false }, quietJob);
      return { entries, stock };
    };
    const problems = async () => {
      const { entries, stock } = await survey();
      return entries.filter(({ state }) => state === "active").flatMap((entry) => checkDescriptor(entry, stock).map(({ id }) => id));
    };
    return { root, folders, survey, problems, [Symbol.asyncDispose]: () => rm(root, { recursive: true }) };
  }

  test("files are read, pairs are made whatever their names are, and what is written is sound", async () => {
    await using here = await place();
    const [usr, , home] = here.folders as [string, string, string];
    await writeFile(join(usr, "60-x.json"), descriptorText({ ...GONE, ...PLAIN }));
    expect(await here.problems()).toEqual(["file-missing", "file-missing"]);
    const { entries, stock } = await here.survey();
    const mending = planMending(entries, stock, { folders: here.folders, into: home, mask: false });
    expect(existsSync(home)).toBe(false);
    await writeMending(mending);
    expect(await here.problems()).toEqual([]);
    expect(JSON.parse(await readFile(join(home, "60-x.json"), "utf8"))).toMatchObject({
      mapping: { executable: { filename: join(here.root, "fw/one.fd") }, "nvram-template": { filename: join(here.root, "fw/two.fd") } },
    });
    // The package's own file is as it was, and nothing half-written lies about.
    expect(await readFile(join(usr, "60-x.json"), "utf8")).toBe(descriptorText({ ...GONE, ...PLAIN }));
    expect(await readdir(home)).toEqual(["60-x.json"]);
  });

  test("the first thing that stood there is kept, not the second", async () => {
    await using here = await place();
    const home = here.folders[2]!;
    await mkdir(home, { recursive: true });
    for (const code of ["/first", "/second"]) {
      await writeFile(join(home, "60-x.json"), descriptorText({ code, variables: "/gone", ...PLAIN }));
      const { entries, stock } = await here.survey();
      await writeMending(planMending(entries, stock, { folders: here.folders, into: home, mask: false }));
    }
    expect((await readdir(home)).sort()).toEqual(["60-x.json", "60-x.json.old"]);
    expect(await readFile(join(home, "60-x.json.old"), "utf8")).toContain("/first");
  });

  test("a place that cannot be written is told, and what to do", async () => {
    await using here = await place();
    await writeFile(join(here.folders[0]!, "60-x.json"), descriptorText({ ...GONE, ...PLAIN }));
    const { entries, stock } = await here.survey();
    const mending = planMending(entries, stock, { folders: [...here.folders, "/proc/none"], into: "/proc/none", mask: false });
    await expect(writeMending(mending)).rejects.toMatchObject({
      what: "write the firmware descriptor",
      where: "/proc/none/60-x.json",
      hint: /--system/,
    });
  });
});
