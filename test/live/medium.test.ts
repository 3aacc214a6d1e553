/** The stages that need no network, with the tools that really make media. The kernel is a stand-in: nothing is booted here. */
import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { decodeCpio } from "../../src/formats/cpio.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { openImageFacts } from "../../src/image/probe.ts";
import { writeLiveJson } from "../../src/live/live-json.ts";
import { type BuildOptions, buildPlan } from "../../src/live/runner.ts";
import { writeTarOf } from "../../src/live/source-file.ts";
import { stageKind } from "../../src/live/stage.ts";
import { STAGE_KINDS } from "../../src/live/stages/kinds.ts";
import { sha256 } from "../../src/live/tool.ts";
import { buildModule } from "../formats/build-module.ts";

const parts = stageKind({
  kind: "parts",
  revision: 1,
  options: z.strictObject({}),
  inputs: {},
  ingredients: async () => ({}),
  run: async (_options, { output }) => {
    const module = buildModule("name=sr_mod\0depends=\0");
    await writeTarOf([{ path: "lib/modules/6.1/kernel/sr_mod.ko", mode: 0o644, from: module }], join(output, "modules.tar"), { epochS: 0 });
    await writeLiveJson(output, { initramfs: "none", release: "6.1", network: false });
    await writeFile(join(output, "vmlinuz"), "a kernel");
    await writeFile(join(output, "busybox"), "a program");
  },
});

const PLAN = `name: medium
epoch: 1767225600
result: { stage: iso, file: medium.iso }
stages:
  parts: { kind: parts }
  root:
    kind: rootfs
    inputs: { busybox: parts, kernel: parts }
    files: root
    folders: { tmp: "1777", root: "0700" }
    busybox: { bin: [sh] }
    devices: { dev/console: { type: character, major: 5, minor: 1, mode: "0600" } }
  image: { kind: squashfs, inputs: { root: root } }
  initramfs: { kind: initramfs, inputs: { busybox: parts, kernel: parts }, files: initramfs, busybox: { bin: [sh] } }
  loaders:
    kind: payloads
    from_computer: true
    grub:
      modules: [iso9660, fat, part_gpt, search, search_fs_file, configfile, normal, linux]
      bios_modules: [biosdisk]
      efi_modules: []
  iso:
    kind: iso
    inputs: { root: image, kernel: parts, initramfs: initramfs, loaders: loaders }
    file: medium.iso
    volume_id: MEDIUM
    title: a medium
    kernel_arguments: ["console=ttyS0,115200"]
`;

const tools = ["xorriso", "mksquashfs", "unsquashfs", "grub-mkimage"];
const hasTools = (await Promise.all(tools.map((name) => lookForTool(name, process.env)))).every((path) => path !== undefined);

let folder: string;
let plan: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-medium-"));
  plan = await writePlan("plan");
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

async function writePlan(name: string): Promise<string> {
  await mkdir(join(folder, name, "root/etc"), { recursive: true });
  await mkdir(join(folder, name, "initramfs"));
  await writeFile(join(folder, name, "root/etc/issue"), "hello\n");
  await writeFile(join(folder, name, "initramfs/init"), "#!/bin/sh\n");
  await chmod(join(folder, name, "initramfs/init"), 0o755);
  await writeFile(join(folder, name, "plan.yaml"), PLAN);
  return join(folder, name, "plan.yaml");
}

const build = (options: Partial<BuildOptions> = {}, path = plan) =>
  buildPlan(path, { store: join(folder, "store"), env: process.env, kinds: [...STAGE_KINDS, parts], ...options }, quietJob);
const outputOf = ({ stages }: Awaited<ReturnType<typeof build>>, name: string): string =>
  join(folder, "store/outputs", stages.find((stage) => stage.name === name)!.hash);

describe.skipIf(!hasTools)("a medium", () => {
  test("boots by BIOS and UEFI, as a CD and as a stick", async () => {
    const facts = await openImageFacts((await build()).output, quietJob.signal);
    for (const firmware of ["bios", "uefi"] as const) {
      for (const medium of ["cd", "usb"] as const)
        expect([firmware, medium, facts.boots[firmware][medium].can]).toEqual([firmware, medium, true]);
    }
    expect(facts.problems).toEqual([]);
  });

  test("is the same, bit by bit, from another folder, another store, another umask and at another time", async () => {
    const first = await build();
    const other = await writePlan("elsewhere");
    for (const path of ["root/etc/issue", "root/etc"]) await chmod(join(folder, "elsewhere", path), path === "root/etc" ? 0o700 : 0o600);
    const before = process.umask(0o077);
    const second = await build({ store: join(folder, "store 2") }, other).finally(() => process.umask(before));
    const hashes = ({ stages }: typeof first) => stages.map(({ name, hash }) => [name, hash]);
    expect(hashes(second)).toEqual(hashes(first));
    expect(sha256(await readFile(second.output))).toBe(sha256(await readFile(first.output)));
  });

  test("is found by a name and an id that no other has", async () => {
    const ids = async (options: Partial<BuildOptions>) => {
      const { output } = await build(options);
      const uuid = (await openImageFacts(output, quietJob.signal)).iso?.uuid;
      const config = spawnSync("xorriso", [
        "-osirrox",
        "on",
        "-indev",
        output,
        "-extract",
        "/boot/grub/grub.cfg",
        join(folder, "grub.cfg"),
      ]);
      expect(config.status).toBe(0);
      const marker = /'hiperiso\.medium=(\/\.disk\/hiperiso-[0-9a-f]{16})'/.exec(await readFile(join(folder, "grub.cfg"), "utf8"))?.[1];
      await rm(join(folder, "grub.cfg"));
      return { uuid, marker };
    };
    const [one, two] = [await ids({}), await ids({ set: { iso: { title: "another" } } })];
    expect(one.uuid).toMatch(/^2026-01-01-/);
    expect(two.uuid).not.toBe(one.uuid);
    expect(two.marker).not.toBe(one.marker);
  });

  test("carries its root file system with owners, modes and devices that nobody needed root for", async () => {
    const image = join(outputOf(await build(), "image"), "root.squashfs");
    const list = spawnSync("unsquashfs", ["-lln", "-UTC", image], { encoding: "utf8" }).stdout;
    const lines = list
      .split("\n")
      .filter((line) => line.includes("squashfs-root"))
      .map((line) => line.replace(/ +/g, " "));
    expect(lines[0]).toMatch(/^drwxr-xr-x 0\/0 \d+ 2026-01-01 00:00 squashfs-root$/);
    expect(lines).toContain("crw------- 0/0 5, 1 2026-01-01 00:00 squashfs-root/dev/console");
    expect(lines).toContain("-rw-r--r-- 0/0 6 2026-01-01 00:00 squashfs-root/etc/issue");
    expect(lines.some((line) => line.startsWith("drwxrwxrwt 0/0") && line.endsWith("squashfs-root/tmp"))).toBe(true);
    expect(lines.some((line) => line.startsWith("drwx------ 0/0") && line.endsWith("squashfs-root/root"))).toBe(true);
    expect(lines.some((line) => line.endsWith("squashfs-root/lib/modules/6.1/kernel/sr_mod.ko"))).toBe(true);
  });

  test("carries an initramfs that starts with init", async () => {
    const packed = await readFile(join(outputOf(await build(), "initramfs"), "initrd.img"));
    const { entries } = decodeCpio(gunzipSync(packed), "initramfs");
    expect(entries.find(({ path }) => path === "init")).toMatchObject({ kind: "file", mode: 0o755, content: Buffer.from("#!/bin/sh\n") });
    expect(entries.some(({ path }) => path === "lib/modules/6.1/kernel/sr_mod.ko")).toBe(true);
    expect(entries.find(({ path }) => path === "bin/sh")).toEqual({ kind: "symlink", path: "bin/sh", target: "/bin/busybox" });
  });

  test("whose menu alone changed is made from the same parts", async () => {
    await build();
    const { stages } = await build({ set: { iso: { extra_arguments: ["quiet"] } } });
    expect(stages.filter(({ reused }) => !reused).map(({ name, because }) => [name, because])).toEqual([
      ["iso", expect.stringMatching(/^changed: option extra_arguments/)],
    ]);
  });

  test("whose tool failed leaves nothing under its name", async () => {
    await expect(build({ set: { loaders: { grub: { modules: ["no_such_module"] } } } })).rejects.toThrow(
      /build stage loaders: .*no_such_module/s,
    );
    const outputs = await readdir(join(folder, "store/outputs"));
    await build();
    expect((await readdir(join(folder, "store/outputs"))).length).toBeGreaterThan(outputs.length);
  });

  test("takes no source from outside its plan's folder", async () => {
    await expect(build({ set: { root: { files: "../../etc" } } })).rejects.toThrow(/expected a path inside/);
  });
});
