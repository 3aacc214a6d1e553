import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeModuleInfo } from "../../src/formats/kernel-module.ts";
import { decodeKmodIndex } from "../../src/formats/kmod-index.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { type KernelModule, planModuleLists } from "../../src/live/module-lists.ts";
import { buildModule } from "../formats/build-module.ts";

const RELEASE = "6.1.0-test";
const MODULES: Readonly<Record<string, string>> = {
  "kernel/drivers/cdrom/cdrom.ko": "name=cdrom\0depends=\0",
  "kernel/drivers/scsi/scsi_common.ko": "name=scsi_common\0depends=\0",
  "kernel/drivers/scsi/scsi_mod.ko": "name=scsi_mod\0depends=scsi_common\0",
  "kernel/drivers/scsi/sr_mod.ko": "name=sr_mod\0depends=cdrom,scsi_mod\0alias=scsi:t-0x05*\0alias=block-major-11-*\0",
  "kernel/drivers/net/odd-name.ko": "name=odd_name\0depends=\0alias=pci:v[0-9]d-x*\0alias=odd-thing\0",
  "kernel/fs/fuse/fuse.ko": "name=fuse\0depends=\0alias=char-major-10-229\0alias=devname:fuse\0",
  "kernel/fs/ext4/ext4.ko": "name=ext4\0depends=jbd2\0softdep=pre: crypto-crc32c\0alias=fs-ext4\0",
  "kernel/fs/jbd2/jbd2.ko": "name=jbd2\0depends=\0",
};
const BUILT_INS = {
  order: "kernel/fs/ext4/ext4.ko\nkernel/drivers/scsi/sr_mod.ko\nkernel/not/there.ko\n",
  builtin: "kernel/fs/tracefs.ko\nkernel/crypto/aes-generic.ko\n",
  builtinInfo: Buffer.from("tracefs.license=GPL\0tracefs.alias=fs-tracefs\0aes_generic.alias=aes-x\0"),
};
const modules: readonly KernelModule[] = Object.entries(MODULES).map(([path, info]) => ({
  path,
  info: decodeModuleInfo(buildModule(info), path),
}));
const lists = planModuleLists(modules, BUILT_INS);
const text = (name: string): string => Buffer.from(lists.get(name)!).toString();
const hasKmod = (await lookForTool("depmod", process.env)) !== undefined && (await lookForTool("modprobe", process.env)) !== undefined;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-modules-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const place = join("lib/modules", RELEASE);
async function put(root: string, files: ReadonlyMap<string, Uint8Array>): Promise<void> {
  for (const [name, content] of files) {
    await mkdir(dirname(join(root, place, name)), { recursive: true });
    await writeFile(join(root, place, name), content);
  }
}
const asFiles = new Map(Object.entries(MODULES).map(([path, info]) => [path, buildModule(info)]));

describe("lists of modules", () => {
  test("are in the kernel's order, and name what each needs before it is loaded", () => {
    expect(text("modules.dep").trim().split("\n")).toEqual([
      "kernel/fs/ext4/ext4.ko: kernel/fs/jbd2/jbd2.ko",
      "kernel/drivers/scsi/sr_mod.ko: kernel/drivers/cdrom/cdrom.ko kernel/drivers/scsi/scsi_mod.ko kernel/drivers/scsi/scsi_common.ko",
      ...["kernel/drivers/cdrom/cdrom.ko:", "kernel/drivers/net/odd-name.ko:", "kernel/drivers/scsi/scsi_common.ko:"],
      "kernel/drivers/scsi/scsi_mod.ko: kernel/drivers/scsi/scsi_common.ko",
      ...["kernel/fs/fuse/fuse.ko:", "kernel/fs/jbd2/jbd2.ko:"],
    ]);
    expect(text("modules.devname")).toMatch(/\nfuse fuse c10:229\n$/);
    expect(text("modules.softdep")).toMatch(/\nsoftdep ext4 pre: crypto-crc32c\n$/);
  });

  test("are the same, whatever the order of the modules", () => {
    fc.assert(
      fc.property(fc.shuffledSubarray([...modules], { minLength: modules.length }), (shuffled) => {
        expect(planModuleLists(shuffled, BUILT_INS)).toEqual(lists);
      }),
      { numRuns: 20 },
    );
  });

  test("end where modules need each other in a circle", () => {
    const circle = ["name=a\0depends=b\0", "name=b\0depends=c\0", "name=c\0depends=a\0"].map((info, index) => {
      const path = `kernel/${"abc"[index]}.ko`;
      return { path, info: decodeModuleInfo(buildModule(info), path) };
    });
    const dep = planModuleLists(circle, { order: "", builtin: "", builtinInfo: new Uint8Array() }).get("modules.dep");
    expect(Buffer.from(dep!).toString().split("\n")[0]).toBe("kernel/a.ko: kernel/b.ko kernel/c.ko");
  });

  test.skipIf(!hasKmod)("are depmod's: aliases, symbols, device nodes, what is built in", async () => {
    const brought = new Map<string, Uint8Array>([
      ["modules.order", Buffer.from(BUILT_INS.order)],
      ["modules.builtin", Buffer.from(BUILT_INS.builtin)],
      ["modules.builtin.modinfo", BUILT_INS.builtinInfo],
    ]);
    await put(folder, new Map([...asFiles, ...brought]));
    expect(spawnSync("depmod", ["-b", folder, RELEASE]).status).toBe(0);
    for (const name of ["modules.builtin.bin", "modules.builtin.alias.bin", "modules.softdep", "modules.devname"]) {
      expect([name, Buffer.from(lists.get(name)!).toString("hex")]).toEqual([
        name,
        (await readFile(join(folder, place, name))).toString("hex"),
      ]);
    }
    const entries = (bytes: Uint8Array) => decodeKmodIndex(bytes, "index").map(({ key, value }) => `${key} ${value}`);
    // What modules need it reads from their symbols, of which these have none: the kernel's own, of which all is the same, are too many for a test.
    for (const name of ["modules.alias.bin", "modules.symbols.bin"]) {
      const words = (all: readonly string[]) => all.map((line) => line.split(" ").sort().join(" ")).sort();
      expect(words(entries(lists.get(name)!))).toEqual(words(entries(await readFile(join(folder, place, name)))));
    }
    const lines = (content: string) => content.split("\n").sort();
    expect(lines(text("modules.alias"))).toEqual(lines(await readFile(join(folder, place, "modules.alias"), "utf8")));
  });

  test.skipIf(!hasKmod)("are all that modprobe needs: no depmod has run", async () => {
    await put(folder, new Map([...asFiles, ...lists]));
    const words = (name: string) => ["-d", folder, "-S", RELEASE, "--show-depends", name];
    const loaded = (name: string) =>
      [...spawnSync("modprobe", words(name), { encoding: "utf8" }).stdout.matchAll(/(?:insmod \S*\/(\S+)\.ko|builtin (\S+))/g)].map(
        ([, module, builtin]) => module ?? `built in: ${builtin}`,
      );
    expect(loaded("scsi:t-0x05abc")).toEqual(["scsi_common", "scsi_mod", "cdrom", "sr_mod"]);
    expect(loaded("odd-name")).toEqual(["odd-name"]);
    expect(loaded("fs-ext4")).toEqual(["jbd2", "ext4"]);
    expect(loaded("tracefs")).toEqual(["built in: tracefs"]);
    expect(loaded("fs-tracefs")).toEqual(["built in: tracefs"]);
  });
});
