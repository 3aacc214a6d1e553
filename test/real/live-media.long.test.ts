/** Live media of every form, booted: other loaders, from a file on another medium, over the network; and the Debian example. */
import { appendFile, copyFile, cp, mkdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { suiteResultSchema } from "../../src/contract/suite.ts";
import { bootWords, onlySession, run, workplace } from "./harness.ts";
import { built, demoWith, FAT_KERNEL, LOG_IN } from "./live-medium-spec.ts";

const scriptFile = async (folder: string, steps: readonly unknown[]): Promise<string> => {
  const path = join(folder, "script.yaml");
  await writeFile(path, JSON.stringify({ fail_on: ["Kernel panic"], within: 900, steps }));
  return path;
};

describe("a medium made of the demo's parts", () => {
  it("boots by isolinux and by systemd-boot, each as a CD and as a stick", async () => {
    await using place = await workplace();
    const spec = await demoWith(
      place.root,
      { stage: "test", file: "results.json" },
      `  other-packages:
    kind: package
    first_of: [isolinux]
    also: [syslinux-common, systemd-boot-efi]
  other-loaders:
    kind: payloads
    inputs: { packages: other-packages }
    isolinux: true
    systemd_boot: true
  other:
    kind: iso
    inputs: { root: image, kernel: kernel, initramfs: initramfs, payloads: other-loaders }
    file: other.iso
    volume_id: OTHER
    title: other loaders
    bios: isolinux
    uefi: systemd-boot
    entries: [live, toram]
    default: toram
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
  test:
    kind: boot-test
    inputs: { image: other }
    ram: 512
    firmware: [bios, uefi]
    as: [cd, usb]
    script: { steps: ${JSON.stringify([...LOG_IN, { run: "grep -q toram /proc/cmdline" }])}, within: 900 }
`,
    );
    const results = await built(spec, "--log-dir", place.logs);
    const result = suiteResultSchema.parse(JSON.parse(await readFile(results, "utf8")));
    expect(result).toMatchObject({ passed: 4, failed: 0, errors: 0 });
  });

  it("is booted by another medium's GRUB, which has it as a file", async () => {
    await using place = await workplace();
    const carried = join(place.root, "carried");
    const innerFolder = join(place.root, "inner");
    for (const folder of [carried, innerFolder]) await mkdir(folder);
    const inner = await demoWith(
      innerFolder,
      { stage: "inner", file: "inner.iso" },
      `${FAT_KERNEL}  inner:
    kind: iso
    inputs: { root: image, kernel: fat-kernel, initramfs: fat-initramfs, payloads: loaders }
    file: inner.iso
    volume_id: INNER
    title: inner
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
`,
    );
    await copyFile(await built(inner), join(carried, "demo.iso"));
    const spec = await demoWith(
      place.root,
      { stage: "carrier", file: "carrier.img" },
      `${FAT_KERNEL}  carrier:
    kind: disk
    inputs: { root: image, kernel: fat-kernel, initramfs: fat-initramfs, payloads: loaders }
    file: carrier.img
    title: carrier
    files: carried
`,
    );
    const image = join(place.root, "carrier.img");
    await copyFile(await built(spec), image);
    // Another program's menu: it knows of ours no more than where the file is.
    const menu = join(place.root, "grub.cfg");
    await writeFile(
      menu,
      "iso_path=/demo.iso\nexport iso_path\nloopback loop $iso_path\nroot=loop\nset timeout=0\nconfigfile /boot/grub/loopback.cfg\n",
    );
    const copied = await run(["disk", "cp", "--force", menu, `${image}:2/boot/grub/grub.cfg`]);
    expect(copied.status, copied.stderr).toBe(0);
    const script = await scriptFile(place.root, [...LOG_IN, { run: "cat /proc/cmdline", output: "iso-scan/filename=/demo.iso" }]);
    const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", "bios", "--as", "virtio", "--script", script));
    expect(status, stderr).toBe(0);
    expect(onlySession(place.logs)).toMatchObject({ report: { script: { result: "passed" } } });
  });

  it("boots over the network, its root image fetched from a server", async () => {
    await using place = await workplace();
    const spec = await demoWith(
      place.root,
      { stage: "test", file: "results.json" },
      `  net-kernel:
    kind: kernel
    inputs: { package: kernel-package, busybox: busybox }
    modules: [virtio_pci, virtio_net, e1000, e1000e, squashfs, loop, overlay, af_packet]
    initramfs: { network: true }
  net:
    kind: netboot
    inputs: { root: image, kernel: net-kernel }
    title: demo
    modules: elsewhere
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
  test:
    kind: boot-test
    inputs: { image: net }
    ram: 768
    firmware: bios
    script: { steps: ${JSON.stringify([...LOG_IN, { run: "cat /proc/cmdline", output: "hiperiso.fetch=http://10.0.2.2:" }])}, within: 900 }
`,
    );
    const results = await built(spec, "--log-dir", place.logs);
    expect(JSON.parse(await readFile(results, "utf8"))).toMatchObject({ passed: 1, failed: 0 });
  });

  it("holds a file of more than 4 GiB, of which the kernel reads the end", async () => {
    await using place = await workplace();
    const spec = await demoWith(
      place.root,
      { stage: "huge", file: "huge.iso" },
      `  huge:
    kind: iso
    inputs: { root: image, kernel: kernel, initramfs: initramfs, payloads: loaders }
    file: huge.iso
    volume_id: HUGE
    title: huge
    files: huge
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
`,
    );
    await mkdir(join(place.root, "huge"));
    const file = join(place.root, "huge/huge.bin");
    await writeFile(file, "");
    await truncate(file, 2 ** 32 + 4096);
    await appendFile(file, "the end");
    const image = await built(spec, "--store", join(place.root, "store"));
    const script = await scriptFile(place.root, [
      ...LOG_IN,
      {
        run: "busybox stat -c %s /run/medium/huge.bin; dd if=/run/medium/huge.bin bs=4096 skip=1048577 2>/dev/null",
        output: [`${2 ** 32 + 4096 + "the end".length}`, "the end"],
      },
    ]);
    const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", "bios", "--script", script));
    expect(status, stderr).toBe(0);
    await rm(image);
  });
});

const EXAMPLE = fileURLToPath(new URL("../../live/debian.yaml", import.meta.url));

describe("the Debian example", () => {
  it("is copied, gets another package, is built by one command, boots by BIOS, UEFI and Secure Boot to a login that works", async () => {
    await using place = await workplace();
    const folder = join(place.root, "mine");
    expect((await run(["live", "new", folder])).status).toBe(0);
    const spec = join(folder, "debian.yaml");
    await writeFile(spec, (await readFile(spec, "utf8")).replace("          nano,", "          nano,\n          tree,"));
    const image = await built(spec, "--log-dir", place.logs);
    expect(image).toMatch(/debian-live\.iso$/);
    const reported = await run(["live", "build", spec, "--json", "--log-dir", place.logs]);
    expect(reported.status, reported.stderr).toBe(0);
    const { tests } = JSON.parse(reported.stdout);
    expect(tests).toMatchObject([{ stage: "test", passed: true }]);
    const results = JSON.parse(await readFile(join(tests[0].output, "results.json"), "utf8"));
    expect(results).toMatchObject({ passed: 3, failed: 0, errors: 0 });
  });

  it("keeps what is changed on a partition of a disk image, over a reboot", async () => {
    await using place = await workplace();
    await cp(join(dirname(EXAMPLE), "debian"), join(place.root, "debian"), { recursive: true });
    const spec = join(place.root, "debian.yaml");
    const stage = `  disk:
    kind: disk
    inputs: { root: image, kernel: kernel, payloads: loaders }
    file: debian.img
    title: Debian live
    secure_boot: true
    persistence: 256M
    entries: [persistence]
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
`;
    const text = (await readFile(EXAMPLE, "utf8")).replace(/^result: .*$/m, "result: { stage: disk, file: debian.img }");
    await writeFile(spec, text.replace(/^variants:/m, `${stage}\nvariants:`));
    const image = await built(spec, "--no-test");
    const logIn = [{ expect: "login: ", within: 1500 }, { send: "live\n" }, { expect: { pattern: "\\$ $" } }];
    const script = await scriptFile(place.root, [
      ...logIn,
      { run: "echo it-stays >note && sync" },
      { reboot: "sudo systemctl reboot" },
      ...logIn,
      { run: "cat note", output: "it-stays" },
    ]);
    const words = ["boot", image, "--ram", "1024", "--firmware", "uefi", "--as", "virtio", "--script", script, "--log-dir", place.logs];
    const { status, stderr } = await run(words);
    expect(status, stderr).toBe(0);
  });
});
