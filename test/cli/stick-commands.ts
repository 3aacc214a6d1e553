/** `hiperiso stick` run in this process, its streams kept; and what a stick is made from. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { runProgram } from "../../src/cli/program.ts";
import { command } from "../../src/cli/stick.ts";
import { keptStreams } from "./streams.ts";

export interface StickRun {
  readonly env?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export async function stick(words: readonly string[], { env = {}, signal = new AbortController().signal }: StickRun = {}) {
  const streams = keptStreams({ env: { PATH: process.env["PATH"], ...env } });
  const commands = [{ name: "stick", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["stick", ...words], streams, signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

/** Files by their paths. */
export function put(folder: string, files: Readonly<Record<string, string | Uint8Array>>): string {
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(dirname(join(folder, path)), { recursive: true });
    writeFileSync(join(folder, path), content);
  }
  return folder;
}

/** What stands in for a runtime: small files in the places of the real ones. */
export const runtimeFolder = (folder: string, version = "1"): string =>
  put(folder, {
    "EFI/BOOT/BOOTX64.EFI": `loader ${version}`,
    "EFI/BOOT/grubx64.efi": `grub ${version}`,
    "EFI/hiperiso/vmlinuz": `kernel ${version}`.repeat(1000),
    "EFI/hiperiso/initramfs.cpio.gz": `initramfs ${version}`,
    "EFI/hiperiso/runtime.squashfs": `squashfs ${version}`.repeat(5000),
    "EFI/hiperiso/trace/standard.events": "memory_region_ops_read\n",
  });

/** The smallest thing that says of itself how large it is: an ISO 9660 primary volume descriptor, and bytes that follow from `seed`. */
export function isoBytes(bytes: number, seed: number, volumeBytes = bytes): Uint8Array {
  const image = new Uint8Array(bytes);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < bytes; at += 4) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    image[at] = state & 0xff;
    image[at + 1] = (state >>> 8) & 0xff;
  }
  const descriptor = new Uint8Array(2048);
  const view = new DataView(descriptor.buffer);
  descriptor.set([1, ...Buffer.from("CD001"), 1]);
  descriptor.fill(0x20, 8, 72);
  const sectors = Math.floor(volumeBytes / 2048);
  view.setUint32(80, sectors, true);
  view.setUint32(84, sectors, false);
  for (const [at, value] of [[120, 1], [124, 1], [128, 2048]] as const) {
    view.setUint16(at, value, true);
    view.setUint16(at + 2, value, false);
  } // biome-ignore format: a table
  descriptor[156] = 34;
  view.setUint32(158, 20, true);
  view.setUint32(162, 20, false);
  view.setUint32(166, 2048, true);
  view.setUint32(170, 2048, false);
  descriptor[156 + 25] = 2;
  descriptor[156 + 32] = 1;
  descriptor[881] = 1;
  const terminator = new Uint8Array(2048);
  terminator.set([255, ...Buffer.from("CD001"), 1]);
  image.set(descriptor, 16 * 2048);
  image.set(terminator, 17 * 2048);
  return image;
}
