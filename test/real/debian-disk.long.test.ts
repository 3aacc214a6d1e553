/** A small Debian, installed by mmdebstrap onto a disk of ours, booted by UEFI from a qcow2 with systemd to its login prompt. */
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { onlySession, run, workplace } from "./harness.ts";

const GRUB = `serial --unit=0 --speed=115200
search --no-floppy --label debian-root --set=root
linux /vmlinuz root=LABEL=debian-root rw console=ttyS0
initrd /initrd.img
boot
`;

test("an installed Debian boots from its disk, and the disk stays as it was", async () => {
  await using place = await workplace();
  const at = (name: string) => join(place.root, name);
  const hiperiso = async (...words: readonly string[]) => {
    const { status, stdout, stderr } = await run(words);
    expect(status, stderr).toBe(0);
    return stdout;
  };

  // The root file system is made inside mmdebstrap, where its files belong to root whoever runs it; a bind mount leaves /proc and the like out.
  mkdirSync(at("tree"));
  const make = `mount --bind "$1" ${at("tree")} && mke2fs -q -t ext4 -L debian-root -d ${at("tree")} ${at("root.ext4")} 1100M && umount ${at("tree")}`;
  execFileSync(
    "mmdebstrap",
    [
      ...["--quiet", "--variant=minbase", "--include=systemd-sysv,udev,linux-image-cloud-amd64", "--format=null"],
      ...["--customize-hook=echo debian-on-disk > $1/etc/hostname", `--customize-hook=${make}`],
      ...["bookworm", "/dev/null"],
    ],
    { stdio: ["ignore", "ignore", "inherit"] },
  );
  writeFileSync(at("early.cfg"), GRUB);
  const modules = ["part_gpt", "ext2", "search", "search_label", "linux", "serial", "boot"];
  execFileSync("grub-mkimage", ["-O", "x86_64-efi", "-p", "/EFI/BOOT", "-c", at("early.cfg"), "-o", at("BOOTX64.EFI"), ...modules]);

  const disk = at("disk.img");
  await hiperiso("disk", "mkgpt", disk, "--size", "1200M", "40M:esp:EFI", "1110M:linux:root");
  await hiperiso("disk", "mkfs", `${disk}:1`, "--type", "fat", "--label", "EFI");
  await hiperiso("disk", "mkdir", `${disk}:1/EFI`, `${disk}:1/EFI/BOOT`);
  await hiperiso("disk", "cp", at("BOOTX64.EFI"), `${disk}:1/EFI/BOOT/`);
  const second = (2048 + 40 * 2048) / 2048; // MiB: partitions stand one behind the other from the first MiB on
  execFileSync("dd", [`if=${at("root.ext4")}`, `of=${disk}`, "bs=1M", `seek=${second}`, "conv=notrunc,sparse", "status=none"]);
  execFileSync("qemu-img", ["convert", "-f", "raw", "-O", "qcow2", disk, at("debian.qcow2")]);
  const facts = JSON.parse(await hiperiso("inspect", "--json", at("debian.qcow2"))) as { boots: { uefi: { usb: unknown } } };
  expect(facts).toMatchObject({ kind: "disk", diskFiles: { format: "qcow2" }, boots: { uefi: { usb: { can: true } } } });

  const before = execFileSync("sha256sum", [at("debian.qcow2")], { encoding: "utf8" });
  await hiperiso("boot", at("debian.qcow2"), "--as", "virtio", "--ram", "1024", "--log-dir", place.logs);
  const { serial, report, session } = onlySession(place.logs);
  expect(session).toMatchObject({ result: "success", firmware: "uefi" });
  expect(session.analysis).toMatchObject({ boot_stage_final: "login", failure_domain: "none" });
  expect(serial).toContain("debian-on-disk login:");
  expect(serial).toMatch(/systemd\[1\]: .*Debian GNU\/Linux 12|Welcome to .*Debian GNU\/Linux/);
  expect(report.stages.map(({ stage }) => stage)).toContain("userspace");
  expect(execFileSync("sha256sum", [at("debian.qcow2")], { encoding: "utf8" })).toBe(before);
});
