/** Specs of catalyst, and the classic stages as a graph, with a tarball of Debian as seed and apt for packages: built, and booted by BIOS and UEFI to a login. */
import { execFileSync } from "node:child_process";
import { cp, mkdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import { bootWords, onlySession, run, type Workplace, workplace } from "./harness.ts";

/** The seed is made once, for both. */
let place: Workplace;
let seed: string;
beforeAll(async () => {
  place = await workplace();
  seed = join(place.root, "builds/default/debian-bookworm.tar");
  await mkdir(dirname(seed), { recursive: true });
  execFileSync("mmdebstrap", ["--variant=minbase", "--format=tar", "bookworm", seed], { stdio: ["ignore", "ignore", "inherit"] });
  return () => place[Symbol.asyncDispose]();
});

const COMMON = "subarch: amd64\nversion_stamp: 20260101\nrel_type: default\nprofile: none\nsnapshot_treeish: none\n";
const STAGE1 = `target: livecd-stage1
${COMMON}source_subpath: default/debian-bookworm
livecd/packages:
	systemd-sysv udev dbus kmod
	login passwd util-linux
	less # taken out again by livecd-stage2
`;
const STAGE2 = `target: livecd-stage2
${COMMON}source_subpath: default/livecd-stage1-amd64-%(version_stamp)s
boot/kernel: debian
boot/kernel/debian/sources: linux-image-amd64
boot/kernel/debian/console: ttyS0,115200
livecd/fsops: -comp lz4
livecd/iso: /tmp/catalyst-debian.iso
livecd/volid: CATALYST_DEBIAN
livecd/bootargs: console=tty0 console=ttyS0,115200
livecd/motd: motd
livecd/modblacklist: pcspkr
livecd/root_overlay: root-overlay
livecd/overlay: overlay
livecd/users: ada
livecd/fsscript: fsscript.sh
livecd/unmerge: less
livecd/rm: /var/log/*.log /etc/issue.net
livecd/empty: /usr/share/doc
livecd/verify: blake2
`;

/** Of a kernel's thousands of modules those by which these media boot: the image is made in a fraction of the time. */
const FEW_MODULES = [
  "--set",
  "kernel.modules=[sr_mod, sd_mod, ata_piix, ahci, virtio_pci, virtio_blk, virtio_scsi, isofs, squashfs, loop, overlay, evdev, button]",
];

it("specs of catalyst for livecd-stage1 and livecd-stage2 are read, built and booted, and each key did what it says", async () => {
  const at = (path: string) => join(place.root, "catalyst", path);
  const put = async (path: string, text: string) => {
    await mkdir(dirname(at(path)), { recursive: true });
    await writeFile(at(path), text);
  };
  await put("one.spec", STAGE1);
  await put("two.spec", STAGE2);
  await put("motd", "From catalyst's specs.\n");
  await put("root-overlay/etc/overlay-was-here", "yes\n");
  // The login on the serial port waits for udev, which takes its time on an emulated processor.
  await put("root-overlay/etc/systemd/system.conf.d/slow-computers.conf", "[Manager]\nDefaultDeviceTimeoutSec=10min\n");
  await put("overlay/beside-the-image.txt", "beside\n");
  await put("fsscript.sh", "#!/bin/sh\npasswd -d root\nid ada >/etc/ada-was-there\n");

  const spec = at("out/debian.yaml");
  const read = await run(["live", "catalyst", at("one.spec"), at("two.spec"), "--builds", join(place.root, "builds"), "--to", spec]);
  expect([read.status, read.stderr]).toEqual([0, expect.stringMatching(/Not carried over:(\n {2}.*)*\n {2}.*livecd\/verify: /)]);
  expect(read.stderr).not.toContain("put it at");

  const iso = join(place.root, "catalyst.iso");
  // The graph has a boot test of its own: the build ends well when that came to the login. It is by BIOS here, and the look behind it by UEFI.
  const built = await run([
    "live",
    "build",
    spec,
    "--store",
    join(place.root, "store"),
    "--to",
    iso,
    ...FEW_MODULES,
    "--set",
    "test.firmware=bios",
  ]);
  expect(built.status, built.stderr).toBe(0);
  expect(built.stderr).toMatch(/test: passed/);

  const script = at("look.yaml");
  await writeFile(
    script,
    `steps:
  - expect: "login: "
  - send: "root\\n"
  - expect: "# "
  - run: findmnt -n -o FSTYPE /
    output: overlay
  - run: cat /etc/motd /etc/overlay-was-here /etc/ada-was-there /etc/modprobe.d/livecd-blacklist.conf
    output: [From catalyst's specs., "yes", uid=, blacklist pcspkr]
  - run: test ! -e /etc/issue.net && test ! -e /usr/bin/less && test -d /usr/share/doc && test -z "$(ls /usr/share/doc)"
  - run: modinfo -n isofs
    output: isofs.ko
  - run: hostname
    output: livecd
`,
  );
  const booted = await run(bootWords(iso, place.logs, "--firmware", "uefi", "--script", script));
  expect(booted.status, booted.stderr).toBe(0);
  expect(onlySession(place.logs).session.result).toBe("success");
});

it("the classic stages as a graph are built from the tarball and booted", async () => {
  const folder = join(place.root, "classic");
  const examples = fileURLToPath(new URL("../../live/", import.meta.url));
  await cp(join(examples, "classic"), join(folder, "classic"), { recursive: true });
  await cp(join(examples, "classic.yaml"), join(folder, "classic.yaml"));
  await cp(seed, join(folder, "classic/seed.tar"));
  const built = await run([
    "live",
    "build",
    join(folder, "classic.yaml"),
    "--store",
    join(place.root, "store"),
    "--to",
    join(folder, "classic.iso"),
    ...FEW_MODULES,
    "--set",
    "image.compression=gzip",
  ]);
  expect(built.status, built.stderr).toBe(0);
  expect(built.stderr).toMatch(/test: passed/);
  expect((await readFile(join(folder, "classic.iso"))).length).toBeGreaterThan(10_000_000);
});
