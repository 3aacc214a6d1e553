/** A stick with images, booted in QEMU as a USB disk; inside, its own QEMU boots an image. The boot outside is recorded as any other. */
import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { expect } from "vitest";
import { builtImage, demoImage, run } from "./harness.ts";

/** All that exFAT lets a name hold, and GRUB, a kernel's command line, a shell and QEMU's options have a meaning for. */
export const TRAP_NAMES = [
  "it's a $demo [1] {ü} & 100%, #2; ~ `x` = (ok)!.iso",
  "日本語 – «naïve» ^ @.iso",
  "-rf $(reboot) $root,,file=x.iso",
] as const;
/** The demo, by the worst of them. */
export const DEMO = `/ISOs/${TRAP_NAMES[0]}`;

/**
 * The menu waits for the script, however slow the computer is. The guest in the guest starts by its image's own kernel: in an emulated computer GRUB takes
 * minutes to read 16 MB by the BIOS, and OVMF longer still.
 */
const CONFIG = {
  control: { timeout: 3600, default_image: DEMO },
  iso_overrides: { "*": { ram: 384, cpus: 1, firmware: "bios", boot_mode: "grub2" } },
};

export interface StickWish {
  readonly config?: unknown;
  readonly size?: string;
  /** The demo's variant by the name of `DEMO`. */
  readonly variant?: string;
}

/** A stick with the demo under a name full of traps, memtest86+, and more such names. Its path. */
export async function makeStick(folder: string, { config = CONFIG, size, variant }: StickWish = {}): Promise<string> {
  const isos = join(folder, "isos");
  await mkdir(isos);
  const memtest = await builtImage("memtest.yaml");
  await copyFile(await demoImage(variant), join(isos, TRAP_NAMES[0]));
  await copyFile(memtest, join(isos, "memtest86+.iso"));
  for (const name of TRAP_NAMES.slice(1)) await copyFile(memtest, join(isos, name));
  const configFile = join(folder, "hiperiso.json");
  await writeFile(configFile, JSON.stringify(config));
  const image = join(folder, "stick.img");
  const words = ["stick", "create", image, "--iso", isos, "--config", configFile, ...(size === undefined ? [] : ["--size", size])];
  await done([...words, ...runtimeWords()]);
  return image;
}

/** HIPERISO_STICK_RUNTIME names a folder that is laid out as a runtime, for trying one: without it `stick create` takes its own. */
export const runtimeWords = (): readonly string[] => {
  const folder = process.env["HIPERISO_STICK_RUNTIME"];
  return folder === undefined ? [] : ["--runtime", folder];
};

/** What the program printed; its exit status is held to be 0. */
export async function done(words: readonly string[]): Promise<string> {
  const { status, stdout, stderr } = await run(words);
  expect(status, stderr).toBe(0);
  return stdout;
}

export type Step = Readonly<Record<string, unknown>>;

/** A boot inside a boot, both emulated. */
const SLOW_S = 1500;

/** From the firmware to the menu on the serial line. */
export const MENU: readonly Step[] = [{ expect: "Pick on the computer", within: SLOW_S }];
/** The entry of the image that the menu stands on, then the line in it that has this key. */
export const entry = (key: "m" | "r" | "p" | "d"): readonly Step[] => [
  { send: "\r" },
  { expect: "Boot recorded, emulated", within: SLOW_S },
  { send: key },
];
/** The program on the stick has started, and shows what it records. */
export const RECORDING: readonly Step[] = [{ expect: "recording ", within: SLOW_S }];
/** The boot inside is over, and the computer is turned off. */
export const OVER: readonly Step[] = [
  { expect: "The boot is over", within: SLOW_S },
  { screenshot: "over" },
  { shutdown: "o", within: SLOW_S },
];

/** Words that boot the stick as a USB disk under UEFI, driven by these steps on its serial line. */
export async function stickBoot(
  image: string,
  {
    folder,
    logs,
    steps,
    more = [],
  }: { readonly folder: string; readonly logs: string; readonly steps: readonly Step[]; readonly more?: readonly string[] },
): Promise<readonly string[]> {
  const script = join(folder, "script.yaml");
  // What the guest in the guest prints of panics stands on this console, too.
  await writeFile(script, JSON.stringify({ ignore_fatal: true, steps }));
  const machine = ["--firmware", "uefi", "--as", "usb", "--writable", "--ram", "2048", "--cpus", "2", "--trace-level", "none"];
  return ["boot", image, ...machine, "--script", script, "--log-dir", logs, ...more];
}
