import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { takeFiles } from "../../src/live/source-file.ts";
import { stageKind } from "../../src/live/stage.ts";
import { STAGE_KINDS } from "../../src/live/stages/kinds.ts";
import { buildModule } from "../formats/build-module.ts";

const RELEASE = "6.1.0-test";
const MODULES: Readonly<Record<string, string>> = {
  "drivers/scsi/scsi_mod.ko": "name=scsi_mod\0depends=scsi_common\0",
  "drivers/scsi/scsi_common.ko": "name=scsi_common\0depends=\0",
  "drivers/scsi/sr_mod.ko": "name=sr_mod\0depends=cdrom,scsi_mod\0alias=scsi:t-0x05*\0",
  "drivers/cdrom/cdrom.ko": "name=cdrom\0depends=\0",
  "drivers/usb/storage/usb-storage.ko": "name=usb_storage\0depends=scsi_mod,usbcore\0",
  "fs/other.ko": "name=other\0depends=\0",
};

/** How a distribution packs its modules: nothing, or the suffix and what makes it. */
const PACKED: readonly (readonly [suffix: string, tool: string, pack: (bytes: Uint8Array) => Uint8Array])[] = [
  ["", "dpkg-deb", (bytes) => bytes],
  [".gz", "gzip", (bytes) => gzipSync(bytes)],
  [".xz", "xz", (bytes) => spawnSync("xz", ["-c"], { input: bytes }).stdout],
  [".zst", "zstd", (bytes) => spawnSync("zstd", ["-c", "-q"], { input: bytes }).stdout],
];
const here = await Promise.all(PACKED.map(async ([, tool]) => (await lookForTool(tool, process.env)) !== undefined));
const packedHere = PACKED.filter((_, index) => here[0] && here[index]);

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-kernel-"));
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** A package as distributions make them, built by dpkg-deb. */
async function kernelPackage(into: string, suffix: string, pack: (bytes: Uint8Array) => Uint8Array): Promise<void> {
  const tree = await mkdtemp(join(folder, "tree-"));
  const put = async (path: string, content: string | Uint8Array): Promise<void> => {
    await mkdir(dirname(join(tree, path)), { recursive: true });
    await writeFile(join(tree, path), content);
  };
  await put("DEBIAN/control", "Package: linux-image-test\nVersion: 1\nArchitecture: all\nMaintainer: nobody\nDescription: test\n");
  await put(`boot/vmlinuz-${RELEASE}`, "kernel");
  await put(`lib/modules/${RELEASE}/modules.builtin`, "kernel/drivers/usb/core/usbcore.ko\nkernel/fs/squashfs/squashfs.ko\n");
  for (const [path, info] of Object.entries(MODULES)) await put(`lib/modules/${RELEASE}/kernel/${path}${suffix}`, pack(buildModule(info)));
  expect(spawnSync("dpkg-deb", ["--build", tree, join(into, "linux-image-test_1.deb")]).status).toBe(0);
}

async function buildKernel(options: string, [suffix, , pack] = PACKED[0]!): Promise<string> {
  const packages = stageKind({
    kind: "packages",
    revision: 1,
    options: z.strictObject({ packed: z.string() }),
    inputs: {},
    ingredients: async () => ({}),
    run: async (_options, { output }) => await kernelPackage(output, suffix, pack),
  });
  const path = join(await mkdtemp(join(folder, "plan-")), "plan.yaml");
  await writeFile(
    path,
    `{ name: k, epoch: 1767225600, result: { stage: kernel, file: vmlinuz },
       stages: { package: { kind: packages, packed: "x${suffix}" }, kernel: { kind: kernel, inputs: { package: package }, ${options} } } }`,
  );
  const { output } = await buildPlan(
    path,
    { store: `${dirname(path)}/store`, env: process.env, kinds: [...STAGE_KINDS, packages] },
    quietJob,
  );
  return dirname(output);
}

/** A folder with what the modules' archive holds. */
async function unpacked(output: string): Promise<string> {
  const into = await mkdtemp(join(folder, "modules-"));
  await takeFiles(join(output, "modules.tar"), () => true, into);
  return into;
}

describe.skipIf(packedHere.length === 0)("a kernel out of its package", () => {
  test.each(packedHere)("brings modules with all that they need, from .ko%s", async (...packed) => {
    const output = await buildKernel("modules: [sr_mod, usb-storage, squashfs], modules_if_there: [other, pvpanic-pci]", packed);
    const modules = join(await unpacked(output), "lib/modules", RELEASE);
    const dep = (await readFile(join(modules, "modules.dep"), "utf8")).trim().split("\n");
    expect(dep).toEqual([
      // No modules.order in the package: by path.
      "kernel/drivers/cdrom/cdrom.ko:",
      "kernel/drivers/scsi/scsi_common.ko:",
      "kernel/drivers/scsi/scsi_mod.ko: kernel/drivers/scsi/scsi_common.ko",
      "kernel/drivers/scsi/sr_mod.ko: kernel/drivers/cdrom/cdrom.ko kernel/drivers/scsi/scsi_mod.ko kernel/drivers/scsi/scsi_common.ko",
      "kernel/drivers/usb/storage/usb-storage.ko: kernel/drivers/scsi/scsi_mod.ko kernel/drivers/scsi/scsi_common.ko",
      "kernel/fs/other.ko:",
    ]);
    expect(await readFile(join(modules, "modules.alias"), "utf8")).toBe(
      "# Aliases extracted from modules themselves.\nalias scsi:t-0x05* sr_mod\n",
    );
    expect(await readFile(join(output, "release"), "utf8")).toBe(`${RELEASE}\n`);
    for (const [path, info] of Object.entries(MODULES)) {
      expect((await readFile(join(modules, "kernel", path))).equals(buildModule(info))).toBe(true);
    }
  });

  test("brings no others", async () => {
    const output = await buildKernel("modules: [cdrom]");
    expect(await readdir(join(await unpacked(output), "lib/modules", RELEASE, "kernel/drivers"))).toEqual(["cdrom"]);
  });

  test("refuses a module that the kernel has in no form", async () => {
    await expect(buildKernel("modules: [cdrom, no-such]")).rejects.toThrow(/no_such: expected modules of this kernel, or built into it/);
  });
});
