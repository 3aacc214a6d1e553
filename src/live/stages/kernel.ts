/** A kernel out of its package or out of a root file system that has one: the image, its modules, and what starts with it. */
import { copyFile, mkdir, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { encodeKernelCommandLine } from "../../formats/kernel-command-line.ts";
import { encodeUki } from "../../formats/uki.ts";
import { InitramfsSchema, initramfsIngredients, writeInitramfs } from "../initramfs.ts";
import { writeLiveJson } from "../live-json.ts";
import { chosenModules } from "../module-folder.ts";
import { takeFiles, writeTarOf } from "../source-file.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { unpackPackages } from "./unpack.ts";

const MODULE = z.string().regex(/^[A-Za-z0-9_-]+$/);

const Options = z.strictObject({
  modules: z
    .union([z.literal("all"), z.array(MODULE)])
    .default("all")
    .describe("Names, taken with all that they need; one that is built into the kernel is there already. Or all that the kernel has."),
  modules_if_there: z.array(MODULE).default([]).describe("Taken where the kernel has them."),
  release: z
    .string()
    .regex(/^[A-Za-z0-9._+~-]+$/)
    .optional()
    .describe("As `uname -r` says it: which kernel, where there are several."),
  uki: z
    .strictObject({
      arguments: z.array(z.string().min(1)).default([]).describe("Kernel arguments, fixed in the image."),
    })
    .optional()
    .describe(
      "A unified kernel image for UEFI too: kernel, initramfs and arguments in one program. The stub is systemd's, out of the same packages or root.",
    ),
  initramfs: InitramfsSchema.optional().describe("What the kernel starts with; a stage of kind initramfs can make it too."),
});

/**
 * Output: `vmlinuz`, `release` (as `uname -r`), `live.json`, and `modules.tar`: `lib/modules/<release>/` with the modules uncompressed and the
 * lists that depmod would make of them. `config`, where the kernel brings it. With `initramfs` also `initrd.img`, with `uki` also `linux.efi`.
 */
export const kernelStage = stageKind({
  kind: "kernel",
  revision: 7,
  options: Options,
  inputs: { package: "optional", root: "optional", busybox: "optional" },
  // All of a distribution's modules are read for what they say of themselves.
  needs: { cores: 1, memoryMb: 768 },

  async ingredients({ initramfs }, surroundings) {
    return initramfs === undefined ? {} : await initramfsIngredients(initramfs, surroundings);
  },

  async run({ modules, modules_if_there, release: wanted, initramfs, uki }, run) {
    const tree = join(run.scratch, "kernel");
    await mkdir(tree);
    await unpackKernel(tree, run);
    const { release, folder } = await moduleFolder(tree, wanted);
    await copyFile(await imageOf(tree, release, folder), join(run.output, "vmlinuz"));
    await writeFile(join(run.output, "release"), `${release}\n`);
    // What the kernel was built with: programs that make an initramfs ask it which compressions it knows.
    await copyFile(join(tree, "boot", `config-${release}`), join(run.output, "config")).catch(() => {});
    const chosen = await chosenModules(folder, { modules, ifThere: modules_if_there }, run);
    await writeTarOf(chosen, join(run.output, "modules.tar"), run);
    const stub = uki === undefined ? undefined : await readStub(tree);
    const osRelease = uki === undefined ? new Uint8Array() : await readOsRelease(tree, release);
    await rm(tree, { recursive: true });
    await writeLiveJson(run.output, { initramfs: "none", release, network: false });
    if (initramfs !== undefined)
      await writeInitramfs(
        initramfs,
        { kernel: run.output, root: run.inputs["root"], busybox: run.inputs["busybox"], packages: undefined },
        run,
      );
    if (uki !== undefined && stub !== undefined) {
      const text = (content: string): Uint8Array => new TextEncoder().encode(content);
      const sections = [
        { name: ".osrel", content: osRelease },
        { name: ".cmdline", content: text(encodeKernelCommandLine(uki.arguments.map((name) => ({ name })))) },
        { name: ".uname", content: text(release) },
        ...(initramfs === undefined ? [] : [{ name: ".initrd", content: await readFile(join(run.output, "initrd.img")) }]),
        { name: ".linux", content: await readFile(join(run.output, "vmlinuz")) },
      ];
      await writeFile(join(run.output, "linux.efi"), encodeUki(stub, sections));
    }
  },
});

async function unpackKernel(into: string, run: StageRun): Promise<void> {
  const { package: packages, root } = run.inputs;
  if (packages !== undefined) await unpackPackages(packages, into, run);
  else if (root !== undefined) await takeFiles(join(root, "root.tar"), (path) => KERNEL_FILES.test(path), into);
  else {
    const hint = "Give it the input `package` (a stage of kind package) or `root` (a root file system in which a kernel is installed).";
    throw new HiperisoError({ what: "find the kernel", expected: "the input package or root", found: "neither", hint, kind: "usage" });
  }
}

const STUB = "usr/lib/systemd/boot/efi/linuxx64.efi.stub";
const OS_RELEASE = ["usr/lib/os-release", "etc/os-release"];
const KERNEL_FILES = new RegExp(
  `^(usr/)?lib/modules/|^boot/(?:vmlinu[xz]|config)-|^(?:${[STUB, ...OS_RELEASE].join("|").replaceAll(".", "\\.")})$`,
);

async function readStub(tree: string): Promise<Uint8Array> {
  try {
    return await readFile(join(tree, STUB));
  } catch {
    const hint = "Debian and Ubuntu have it in systemd-boot-efi: put it into the packages (`also`) or the root file system.";
    throw new HiperisoError({ what: "make a unified kernel image", where: `/${STUB}`, expected: "systemd's stub", found: "none", hint });
  }
}

/** What the menu of systemd-boot shows. */
async function readOsRelease(tree: string, release: string): Promise<Uint8Array> {
  for (const path of OS_RELEASE) {
    const found = await readFile(join(tree, path)).catch(() => undefined);
    if (found !== undefined) return found;
  }
  return new TextEncoder().encode(`ID=linux\nNAME=Linux\nPRETTY_NAME="Linux ${release}"\nVERSION_ID=${release}\n`);
}

async function moduleFolder(root: string, wanted: string | undefined): Promise<{ readonly release: string; readonly folder: string }> {
  const found = new Map<string, string>();
  for (const parent of ["usr/lib/modules", "lib/modules"]) {
    for (const release of await readdir(join(root, parent)).catch(() => [])) {
      // What an older kernel left behind (lists, modules built by a person) is none.
      if (await isFolder(join(root, parent, release, "kernel"))) found.set(release, join(root, parent, release));
    }
  }
  const releases = [...found.keys()].sort();
  const release = wanted ?? releases[0];
  const folder = release === undefined ? undefined : found.get(release);
  if (release === undefined || folder === undefined || (wanted === undefined && releases.length > 1)) {
    throw new HiperisoError({
      what: "find the kernel",
      where: "lib/modules, usr/lib/modules",
      expected: wanted === undefined ? "the modules of one kernel" : `those of ${wanted}`,
      found: releases.join(", ") || "none",
      ...(releases.length > 1 ? { hint: "Say which by the option `release`." } : {}),
    });
  }
  return { release, folder };
}

const isFolder = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isDirectory() ?? false;

/** Debian and its like keep it in /boot, Fedora and its like beside the modules. */
async function imageOf(root: string, release: string, folder: string): Promise<string> {
  const places = [join(root, "boot", `vmlinuz-${release}`), join(folder, "vmlinuz")];
  for (const place of places) {
    if ((await stat(place).catch(() => undefined))?.isFile()) return place;
  }
  const where = `boot/vmlinuz-${release}, lib/modules/${release}/vmlinuz`;
  throw new HiperisoError({ what: "find the kernel", where, expected: "its image", found: "none" });
}
