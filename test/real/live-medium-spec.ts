/** Specs of media around the demo's parts: what is built before is kept, so that only the medium itself is made anew. */
import { cp, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { expect } from "vitest";
import { DEMO_PLAN } from "../../src/live/demo.ts";
import { run } from "./harness.ts";

/** The demo's spec in `folder`, with these stages more (YAML, two blanks deep) and another result. Its path. */
export async function demoWith(folder: string, result: { readonly stage: string; readonly file: string }, stages: string): Promise<string> {
  const spec = join(folder, "demo.yaml");
  await cp(join(dirname(DEMO_PLAN), "demo"), join(folder, "demo"), { recursive: true });
  const text = (await readFile(DEMO_PLAN, "utf8")).replace(/^result: .*$/m, `result: ${JSON.stringify(result)}`);
  await writeFile(spec, text.replace(/^variants:/m, `${stages}\nvariants:`));
  return spec;
}

/** Path of the image. */
export async function built(spec: string, ...words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(["live", "build", spec, ...words]);
  expect(status, stderr).toBe(0);
  return stdout.trim().split("\n").at(-1)!;
}

/** Steps that log in to the demo on its serial console. */
export const LOG_IN = [{ expect: "login: " }, { send: "root\n" }, { expect: "# " }];

/** Stages `fat-kernel` and `fat-initramfs`: the demo's kernel knows CDs alone, and a disk image is a FAT volume and an ext4 one. */
export const FAT_KERNEL = `  fat-kernel:
    kind: kernel
    inputs: { package: kernel-package }
    modules: [sd_mod, ata_piix, ahci, virtio_pci, virtio_blk, usb-storage, uas, xhci-pci, ehci-pci, isofs, squashfs, loop, overlay,
      vfat, nls_cp437, nls_ascii, nls_utf8, nls_iso8859-1, ext4, crc32c_generic, crc32c-intel, button, evdev]
  fat-initramfs:
    kind: initramfs
    inputs: { busybox: busybox, kernel: fat-kernel }
    modules: all
`;
