/** `live build --twice`: the demo, and a Debian whose seed, packages and script run tools of their own, come to the same bytes. Needs the network. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { run, workplace } from "./harness.ts";
import { demoWith } from "./live-medium-spec.ts";

/** What has not to be compared: its results tell of times. */
const TEST = `  test:
    kind: boot-test
    inputs: { image: iso }
    until: login
`;

/** Each stage that could have bytes of the moment in it: mmdebstrap, apt in a sandbox, a script, both compressors, boot loaders, the medium. */
const DEBIAN = `name: twice
epoch: 1767225600
result: { stage: iso, file: twice.iso }
stages:
  base: { kind: seed, mmdebstrap: { suite: bookworm, variant: minbase, packages: [systemd-sysv, udev] } }
  root:
    kind: rootfs
    inputs: { base: base }
    packages: [less, openssh-server, python3-minimal]
    users: { ann: {} }
    services: { enable: [ssh] }
    scripts:
      - run: |
          mktemp /var/tmp/XXXXXXXX
          date >/var/log/built.log
          python3 -c 'print("hello")' >/etc/hello
  kernel-package: { kind: package, first_of: [linux-image-amd64], follow: "^linux-image-[0-9]" }
  busybox-package: { kind: package, first_of: [busybox-static] }
  busybox: { kind: unpack, inputs: { package: busybox-package }, files: { busybox: [bin/busybox, usr/bin/busybox] } }
  kernel:
    kind: kernel
    inputs: { package: kernel-package, busybox: busybox }
    modules: [sr_mod, sd_mod, ata_piix, ahci, virtio_pci, virtio_blk, isofs, squashfs, loop, overlay]
    initramfs: {}
  image: { kind: squashfs, inputs: { root: root, kernel: kernel }, compression: gzip, level: 1 }
  loader-packages:
    kind: package
    first_of: [grub-common]
    also: [grub-pc-bin, grub-efi-amd64-bin]
    follow: "^(libc6|libdevmapper|liblzma|libselinux|libudev|libpcre2|libcap2|libgcrypt|libgpg-error)"
  loaders: { kind: payloads, inputs: { packages: loader-packages }, grub: {} }
  iso:
    kind: iso
    inputs: { root: image, kernel: kernel, payloads: loaders }
    file: twice.iso
    volume_id: TWICE
    title: Twice
    kernel_arguments: [console=tty0, "console=ttyS0,115200"]
  disk:
    kind: disk
    inputs: { root: image, kernel: kernel, payloads: loaders }
    file: twice.img
    title: Twice
    persistence: 16M
  netboot: { kind: netboot, inputs: { root: image, kernel: kernel }, title: Twice }
${TEST}`;

/** Reports of `--twice --json`. */
interface Twice {
  readonly same: boolean;
  readonly image: string | null;
  readonly stages: readonly { readonly name: string }[];
  readonly differences: readonly unknown[];
}

it("two builds of the demo from nothing are the same bytes, and what boots it is left out", async () => {
  await using place = await workplace();
  const spec = await demoWith(place.root, { stage: "iso", file: "hiperiso-demo.iso" }, TEST);
  const { status, stdout, stderr } = await run(["live", "build", spec, "--store", join(place.root, "store"), "--twice", "--json"]);
  expect(stdout, stderr).not.toBe("");
  const { same, differences, stages, image } = JSON.parse(stdout) as Twice;
  expect([status, same, differences], stderr).toEqual([0, true, []]);
  expect(stages.map(({ name }) => name)).toEqual(expect.arrayContaining(["kernel", "root", "image", "iso"]));
  expect(stages.map(({ name }) => name)).not.toContain("test");
  expect((await readFile(image!)).subarray(32769, 32774).toString("latin1")).toBe("CD001");
});

it("two builds of a Debian with packages, a script and each kind of medium from nothing are the same bytes", async () => {
  await using place = await workplace();
  const spec = join(place.root, "twice.yaml");
  await writeFile(spec, DEBIAN);
  const store = join(place.root, "store");
  const all = ["iso", "disk", "netboot"].flatMap((stage) => ["--stage", stage]);
  await mkdir(store);
  const { status, stdout, stderr } = await run(["live", "build", spec, "--store", store, ...all, "--twice", "--json"]);
  expect(stdout, stderr).not.toBe("");
  const { same, differences, stages } = JSON.parse(stdout) as Twice;
  expect(differences, stderr).toEqual([]);
  expect([status, same]).toEqual([0, true]);
  expect(stages).toHaveLength(12);
  expect(await readdir(join(store, "work"))).toEqual([]);
});

it("two builds of a stick's runtime from nothing are the same bytes", async () => {
  await using place = await workplace();
  const spec = fileURLToPath(new URL("../../live/runtime.yaml", import.meta.url));
  const { status, stdout, stderr } = await run(["live", "build", spec, "--store", join(place.root, "store"), "--twice", "--json"]);
  expect(stdout, stderr).not.toBe("");
  const { same, differences, stages } = JSON.parse(stdout) as Twice;
  expect(differences, stderr).toEqual([]);
  expect([status, same]).toEqual([0, true]);
  expect(stages.map(({ name }) => name)).toEqual(expect.arrayContaining(["programs", "programs-image", "image", "runtime"]));
});
