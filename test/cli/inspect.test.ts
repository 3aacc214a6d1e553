import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../src/cli/inspect.ts";
import { runProgram } from "../../src/cli/program.ts";
import { buildBzImage, buildHybrid, buildIso, text } from "../image/build-image.ts";
import { debianLive, imageOf } from "../image/menus/real-menus.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-inspect-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function inspect(...options: string[]) {
  const streams = keptStreams();
  const program = {
    name: "hiperiso",
    description: "",
    examples: [],
    commands: [{ name: "inspect", summary: "", load: async () => ({ command }) }],
  };
  const status = await runProgram(program, ["inspect", ...options], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("hiperiso inspect", () => {
  test("prints a page", async () => {
    const path = join(folder, "hybrid.iso");
    const { bytes, espOffset } = buildHybrid();
    writeFileSync(path, bytes);
    const { status, stdout, stderr } = await inspect(path);
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout.replace(folder, "").replaceAll(String(espOffset), "ESP")).toMatchInlineSnapshot(`
      "/hybrid.iso: ISO 9660 image with a GPT and a protective MBR, 479 KiB (490496 bytes)

      Boots
        BIOS  CD   yes  El Torito entry 1 loads ISOLINUX 6.04 (/isolinux/isolinux.bin) from byte 413696
        BIOS  USB  yes  boot code of ISOLINUX (isohybrid) in sector 0
        UEFI  CD   yes  /EFI/BOOT/BOOTX64.EFI in El Torito entry 2 (fat12)
        UEFI  USB  yes  /EFI/BOOT/BOOTX64.EFI in GPT partition 1 (fat12)

      ISO 9660
        volume       HYBRID
        publisher    PUBLISHER
        prepared by  PREPARER
        application  APPLICATION
        UUID         2024-01-02-03-04-05-06
        size         462 KiB (473088 bytes) by its descriptor
        names        Rock Ridge, Joliet level 3

      El Torito
        #  platform  boots  emulation  load       to      at byte  size     what
        1  bios      yes    none       4 × 512    0x7c00  413696   2.0 KiB  ISOLINUX 6.04, /isolinux/isolinux.bin
        2  uefi      yes    none       720 × 512  0x7c00  ESP    360 KiB  fat12 "TESTFAT", /efi.img

      MBR (protective)
        #  type                          first LBA  sectors  holds
        1  0xee protective, for a GPT    1          957

      GPT 5A5A5A5A-5A5A-5A5A-5A5A-5A5A5A5A5A5A (backup intact)
        #  type        name        LBAs    size     holds
        1  EFI system  EFI system  84-803  360 KiB  fat12 "TESTFAT"

      File systems
        iso9660@0    462 KiB  HYBRID   the whole image
        fat12@ESP  360 KiB  TESTFAT  El Torito entry 2, GPT partition 1

      EFI programs
        /EFI/BOOT/BOOTX64.EFI  1.0 KiB  x86-64, not signed  in fat12@ESP

      Kernels
        /live/vmlinuz-6.1  32.0 KiB  bzImage, x86-64, protocol 2.15, 6.1.0-test (builder) #1 SMP  in iso9660@0

      Initial RAM file systems
        /live/initrd.img  16 bytes  cpio  in iso9660@0

      Boot-loader configurations
        /isolinux/isolinux.cfg  14 bytes  syslinux  in iso9660@0
        /boot/grub/grub.cfg     15 bytes  grub      in iso9660@0

      Entries of its boot menus (* starts by itself)
        1    x  x  not directly: it starts no kernel
      "
    `);
  });

  test("prints the facts as JSON, the same whatever the file is called", async () => {
    const { bytes } = buildHybrid();
    const names = ["one.iso", 'two, "$(rm)" ünï: =.txt'];
    const facts = [];
    for (const name of names) {
      writeFileSync(join(folder, name), bytes);
      const { status, stdout } = await inspect(join(folder, name), "--json");
      expect(status).toBe(0);
      facts.push(JSON.parse(stdout) as Record<string, unknown>);
    }
    expect(facts[1]).toEqual({ ...facts[0], name: join(folder, names[1]!) });
    expect(facts[0]).toMatchObject({ kind: "iso9660", boots: { uefi: { usb: { can: true } } } });
  });

  test("a damaged image is an answer, not an error", async () => {
    const path = join(folder, "cut.iso");
    writeFileSync(path, buildHybrid().bytes.subarray(0, 50_000));
    const { status, stdout } = await inspect(path);
    expect(status).toBe(0);
    expect(stdout).toMatch(
      /^Problems\n {2}byte 32848: primary volume descriptor: expected an image of at least \d+ bytes, found 50000: it is cut short$/m,
    );
  });

  test("nothing of an image reaches the terminal as it is", async () => {
    const path = join(folder, "evil\x1b[2J.iso");
    writeFileSync(
      path,
      buildIso({ rockRidge: true, volumeId: "\x1b]0;x\x07", tree: { "grub.cfg": text("x"), "\x1b[31m": { "grub.cfg": text("x") } } }).bytes,
    );
    const { stdout } = await inspect(path);
    expect(stdout).toContain("/\\x1b[31m/grub.cfg");
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  });

  test("entries of the image's boot menus, what starts by itself, and how virt-install would start it", async () => {
    const path = join(folder, "live.iso");
    writeFileSync(path, debianLive().bytes);
    const { status, stdout } = await inspect(path);
    expect(status).toBe(0);
    expect(stdout.slice(stdout.indexOf("Entries")).replaceAll(folder, "")).toMatchInlineSnapshot(`
      "Entries of its boot menus (* starts by itself)
        1  *  live-system-amd64                 Live system (amd64)
        2     live-system-amd64-fail-safe-mode  Live system (amd64 fail-safe mode)
        3     graphical-expert-install          Advanced install options ... > Graphical expert install
        4     memory-test                       Utilities... > Memory test                               not directly: its kernel /live/memtest is not in the image
        5     firmware-setup                    Utilities... > Firmware setup                            not directly: it opens the firmware's setup

      Entry 1, started directly by \`hiperiso boot --kernel-from-iso\`
        menu       /boot/grub/grub.cfg in iso9660@0 (grub)
        kernel     /live/vmlinuz-6.1.0-9-amd64
        initrd     /live/initrd.img-6.1.0-9-amd64
        arguments  boot=live components quiet splash findiso=

      By virt-install
        virt-install --name live --memory 2048 --vcpus 2 --osinfo detect=on,require=off --disk none --location /live.iso,kernel=live/vmlinuz-6.1.0-9-amd64,initrd=live/initrd.img-6.1.0-9-amd64 --extra-args 'boot=live components quiet splash findiso= console=tty0 console=ttyS0,115200' --graphics none --console pty,target_type=serial
      "
    `);
    const facts: unknown = JSON.parse((await inspect("--json", path)).stdout);
    expect(facts).toMatchObject({
      kind: "iso9660",
      menus: { standard: { number: 1, id: "live-system-amd64", kernel: { path: "/live/vmlinuz-6.1.0-9-amd64" }, whyNot: null }, notes: [] },
      virtInstall: expect.stringContaining(`${path},kernel=live/vmlinuz-6.1.0-9-amd64,initrd=live/initrd.img-6.1.0-9-amd64`),
    });
  });

  test("titles, paths and arguments of a menu reach the terminal harmless", async () => {
    const path = join(folder, "menu.iso");
    const menu =
      "menuentry 'a\x1b[2Jb' { linux /k '\x1b[31m' }\nmenuentry 'c\x07' --id '\x1b]0;x\x07' { chainloader '/\x1b[1m' }\nfrob\x1b[2J\n";
    writeFileSync(path, imageOf("MENU", { "/boot/grub/grub.cfg": menu, "/k": buildBzImage() }).bytes);
    const { stdout } = await inspect(path);
    expect(stdout).toContain("a\\x1b[2Jb");
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f]/);
  });

  test.each([
    ["a missing file", "missing.iso", /no such file/],
    ["a directory", ".", /a directory/],
  ])("%s ends with 2 and a sentence", async (_, name, sentence) => {
    const { status, stdout, stderr } = await inspect(join(folder, name));
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(sentence);
  });

  test("an empty file ends with 2, and with one JSON object where JSON was asked for", async () => {
    const path = join(folder, "empty.iso");
    writeFileSync(path, "");
    const { status, stderr } = await inspect("--json", path);
    expect(status).toBe(2);
    expect(JSON.parse(stderr)).toMatchObject({ kind: "usage", where: path, found: "an empty file" });
  });
});
