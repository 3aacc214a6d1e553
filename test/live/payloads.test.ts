/** Boot loaders, initramfs and kernels out of root file systems and packages that the tests make. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { decodeCpio } from "../../src/formats/cpio.ts";
import type { TreeEntry } from "../../src/formats/file-tree.ts";
import { encodeTar } from "../../src/formats/tar.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { takeFiles } from "../../src/live/source-file.ts";
import { stageKind } from "../../src/live/stage.ts";
import { STAGE_KINDS } from "../../src/live/stages/kinds.ts";
import { buildElf } from "../formats/build-elf.ts";
import { buildModule } from "../formats/build-module.ts";

const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);
const file = (path: string, content: Uint8Array | string = path, mode = 0o644): TreeEntry => ({
  ...{ kind: "file", path, mode },
  content: typeof content === "string" ? bytes(content) : content,
});
const hasDpkg = (await lookForTool("dpkg-deb", process.env)) !== undefined;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-payloads-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Folder of the output of the stage `x`: `stage` is its text, its input `root` or `packages` is made of the entries. */
async function build(stage: string, entries: readonly TreeEntry[], result: string): Promise<string> {
  const source = stageKind({
    kind: "source",
    revision: 1,
    options: z.strictObject({}),
    inputs: {},
    ingredients: async () => ({}),
    run: async (_options, { output }) => {
      await writeFile(join(output, "root.tar"), Buffer.concat([...encodeTar(entries, { mtimeS: 0 })]));
    },
  });
  const packages = stageKind({
    kind: "packages",
    revision: 1,
    options: z.strictObject({}),
    inputs: {},
    ingredients: async () => ({}),
    run: async (_options, { output, scratch }) => {
      const tree = [file("DEBIAN/control", "Package: x\nVersion: 1\nArchitecture: all\nMaintainer: x\nDescription: x\n"), ...entries];
      for (const entry of tree) {
        if (entry.kind !== "file") continue;
        await mkdir(dirname(join(scratch, entry.path)), { recursive: true });
        await writeFile(join(scratch, entry.path), entry.content, { mode: entry.mode });
      }
      expect(spawnSync("dpkg-deb", ["--build", scratch, join(output, "x.deb")]).status).toBe(0);
    },
  });
  await mkdir(join(folder, "spec"), { recursive: true });
  const spec = `{ name: p, epoch: 1767225600, result: { stage: x, file: ${result} },
    stages: { source: { kind: source }, packages: { kind: packages }, x: ${stage} } }`;
  await writeFile(join(folder, "spec/spec.yaml"), spec);
  const store = await mkdtemp(join(folder, "store-"));
  const kinds = [...STAGE_KINDS, source, packages];
  return dirname((await buildPlan(join(folder, "spec/spec.yaml"), { store, env: process.env, kinds }, quietJob)).output);
}

const LOADERS = [
  file("usr/lib/shim/shimx64.efi.signed", "shim"),
  file("usr/lib/shim/mmx64.efi.signed", "keys"),
  file("usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "signed grub"),
  file("usr/lib/systemd/boot/efi/systemd-bootx64.efi", "sd"),
  ...["isolinux.bin", "isohdpfx.bin"].map((name) => file(`usr/lib/ISOLINUX/${name}`)),
  ...["ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32"].map((name) => file(`usr/lib/syslinux/modules/bios/${name}`)),
  file("boot/memtest86+x64.bin", "memtest"),
];
const ALL = "shim: true, systemd_boot: true, isolinux: true, memtest: true";

describe("payloads", () => {
  test.each([
    ["a root file system", "root: source", true],
    ["packages", "packages: packages", hasDpkg],
  ])("are taken out of %s, and the record says from where", async (_, input, possible) => {
    if (!possible) return;
    const output = await build(`{ kind: payloads, inputs: { ${input} }, ${ALL} }`, LOADERS, "payloads.json");
    const record = JSON.parse(await readFile(join(output, "payloads.json"), "utf8"));
    expect(record["shim/BOOTX64.EFI"]).toMatchObject({ from: "/usr/lib/shim/shimx64.efi.signed" });
    expect(await readFile(join(output, "shim/grubx64.efi"), "utf8")).toBe("signed grub");
    expect(await readFile(join(output, "systemd-boot/systemd-bootx64.efi"), "utf8")).toBe("sd");
    expect((await readdir(join(output, "isolinux"))).sort()).toEqual(
      ["isohdpfx.bin", "isolinux.bin", "ldlinux.c32", "libcom32.c32", "libutil.c32", "menu.c32"].sort(),
    );
    expect(Object.keys(record).filter((path) => path.startsWith("memtest/"))).toEqual(["memtest/memtest.bin"]);
  });

  test("that are not there are told with the package that has them", async () => {
    const stage = "{ kind: payloads, inputs: { root: source }, systemd_boot: true }";
    await expect(build(stage, [file("etc/issue")], "payloads.json")).rejects.toThrow(
      /systemd-bootx64\.efi: expected one of these files, found none/,
    );
    await expect(build("{ kind: payloads, inputs: { root: source }, grub: {} }", [file("x")], "payloads.json")).rejects.toThrow(
      /\/usr\/lib\/grub\/i386-pc.*found none/,
    );
  });

  test("come from one place, and are some", async () => {
    await expect(build("{ kind: payloads, memtest: true }", [], "payloads.json")).rejects.toThrow(
      /expected one of packages, root and from_computer, found nothing/,
    );
    await expect(build("{ kind: payloads, inputs: { root: source } }", [], "payloads.json")).rejects.toThrow(/expected something to take/);
  });
});

const RELEASE = "6.1.0-test";
const KERNEL = (release: string): readonly TreeEntry[] => [
  file(`boot/vmlinuz-${release}`, `kernel ${release}`),
  file(`usr/lib/modules/${release}/kernel/fs/isofs.ko`, buildModule("name=isofs\0depends=\0")),
  file(`usr/lib/modules/${release}/kernel/net/odd.ko`, buildModule("name=odd\0depends=\0")),
];
const INITRAMFS = (more = "") => `{ kind: kernel, inputs: { root: source }, initramfs: { ${more} } }`;
const LOADER = "lib64/ld-linux-x86-64.so.2";
const BUSYBOX = file("bin/busybox", buildElf({}), 0o755);

describe("a kernel out of a root file system", () => {
  test("brings its image, its modules below lib, and says who finds the medium", async () => {
    const root: TreeEntry[] = [
      { kind: "symlink", path: "lib", target: "usr/lib" },
      ...KERNEL(RELEASE),
      file("usr/lib/modules/5.0/modules.dep"),
    ];
    const output = await build("{ kind: kernel, inputs: { root: source } }", root, "vmlinuz");
    expect(await readFile(join(output, "vmlinuz"), "utf8")).toBe(`kernel ${RELEASE}`);
    expect(JSON.parse(await readFile(join(output, "live.json"), "utf8"))).toMatchObject({ initramfs: "none", release: RELEASE });
    await takeFiles(join(output, "modules.tar"), () => true, join(folder, "modules"));
    expect(await readdir(join(folder, "modules/lib/modules"))).toEqual([RELEASE]);
    expect(await readFile(join(folder, "modules/lib/modules", RELEASE, "modules.dep"), "utf8")).toBe(
      "kernel/fs/isofs.ko:\nkernel/net/odd.ko:\n",
    );
  });

  test("that has several says which there are, and takes the one that is asked for", async () => {
    const root = [...KERNEL("6.1-a"), ...KERNEL("6.1-b")];
    await expect(build("{ kind: kernel, inputs: { root: source } }", root, "vmlinuz")).rejects.toThrow(/found 6\.1-a, 6\.1-b/);
    const output = await build("{ kind: kernel, inputs: { root: source }, release: 6.1-b }", root, "vmlinuz");
    expect(await readFile(join(output, "vmlinuz"), "utf8")).toBe("kernel 6.1-b");
    await expect(build("{ kind: kernel, inputs: { root: source } }", [file("x")], "vmlinuz")).rejects.toThrow(
      /the modules of one kernel, found none/,
    );
    await expect(build("{ kind: kernel }", [], "vmlinuz")).rejects.toThrow(/expected the input package or root, found neither/);
  });
});

describe("our own initramfs", () => {
  const entriesOf = async (output: string) => decodeCpio(gunzipSync(await readFile(join(output, "initrd.img"))), "initrd").entries;

  test("has our init, busybox, and those modules that media need", async () => {
    const output = await build(INITRAMFS(), [...KERNEL(RELEASE), BUSYBOX], "initrd.img");
    const paths = (await entriesOf(output)).map(({ path }) => path);
    const modules = `lib/modules/${RELEASE}`;
    expect(paths).toEqual(
      expect.arrayContaining(["init", "bin/busybox", "bin/sh", "sbin/modprobe", "dev/console", `${modules}/kernel/fs/isofs.ko`]),
    );
    expect(paths).not.toContain(`${modules}/kernel/net/odd.ko`);
    expect(JSON.parse(await readFile(join(output, "live.json"), "utf8"))).toEqual({ initramfs: "own", release: RELEASE, network: false });
  });

  test("every program that our init calls is one of busybox's, or its shell's", async () => {
    const output = await build(INITRAMFS(), [...KERNEL(RELEASE), BUSYBOX], "initrd.img");
    const entries = await entriesOf(output);
    const init = entries.find(({ path }) => path === "init");
    const text = init?.kind === "file" ? Buffer.from(init.content).toString() : "";
    const called = [
      ..."awk cat cp cut dd du find findfs ip losetup ls mkdir mkfifo modprobe mount od rm rmdir sed setsid sh sleep sort switch_root tail tr udhcpc umount wget xargs".split(
        " ",
      ),
    ];
    for (const name of called) {
      expect(text).toMatch(new RegExp(`\\b${name}\\b`));
      expect(entries.some(({ path }) => path === `bin/${name}`)).toBe(true);
    }
  });

  test("takes programs of the root with all that they need", async () => {
    const root = [
      ...[...KERNEL(RELEASE), BUSYBOX],
      file("usr/sbin/tool", buildElf({ interpreter: `/${LOADER}`, needed: ["liba.so"] }), 0o755),
      file(LOADER, buildElf({})),
      file("usr/lib/liba.so", buildElf({ needed: [] })),
    ];
    const paths = (await entriesOf(await build(INITRAMFS("programs: [tool]"), root, "initrd.img"))).map(({ path }) => path);
    expect(paths).toEqual(expect.arrayContaining(["usr/sbin/tool", LOADER, "usr/lib/liba.so"]));
    await expect(build(INITRAMFS("programs: [none]"), root, "initrd.img")).rejects.toThrow(/find the program none/);
  });

  test("is the same each time, and has more modules when asked", async () => {
    const root = [...KERNEL(RELEASE), BUSYBOX];
    const [one, two] = [
      await build(INITRAMFS("modules: [odd]"), root, "initrd.img"),
      await build(INITRAMFS("modules: [odd]"), root, "initrd.img"),
    ];
    expect(Buffer.compare(await readFile(join(one, "initrd.img")), await readFile(join(two, "initrd.img")))).toBe(0);
    expect((await entriesOf(one)).some(({ path }) => path.endsWith("/odd.ko"))).toBe(true);
  });

  test("without busybox is refused, as are the distribution's where they are not installed", async () => {
    await expect(build(INITRAMFS(), [...KERNEL(RELEASE)], "initrd.img")).rejects.toThrow(/find the program .*bin\/busybox/);
    const own = "{ kind: initramfs, inputs: { kernel: k }, by: dracut }";
    const spec = `${own}, k: { kind: kernel, inputs: { root: source } }`;
    await expect(build(spec, [...KERNEL(RELEASE)], "initrd.img")).rejects.toThrow(
      /make an initramfs by dracut: expected the input root, found none/,
    );
  });
});
