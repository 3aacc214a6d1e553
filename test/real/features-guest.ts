/** A guest that says what its machine has, and a disk that starts it: by a chain of signatures from shim to the kernel, or by none. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { quietJob } from "../../src/contract/job.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { openFat } from "../../src/disk/fat/volume.ts";
import { defaultStore } from "../../src/live/demo.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { Store } from "../../src/live/store.ts";
import { makeDisk, putFile, TYPES } from "./disk-guest.ts";

const build = (plan: string) =>
  buildPlan(
    fileURLToPath(new URL(`plans/${plan}.yaml`, import.meta.url)),
    { store: defaultStore(process.env), env: process.env, set: {} },
    quietJob,
  );

export interface FeaturesGuest {
  readonly kernel: string;
  readonly initrd: string;
}

/** Paths in the store of built stages. */
export async function featuresGuest(): Promise<FeaturesGuest> {
  const { output, stages } = await build("features-guest");
  const kernel = stages.find(({ name }) => name === "kernel")!.hash;
  return { kernel: join((await Store.open(defaultStore(process.env))).pathOf(kernel), "vmlinuz"), initrd: output };
}

export interface Chain {
  /** What the firmware starts: EFI/BOOT/BOOTX64.EFI. */
  readonly loader: Uint8Array;
  /** What that starts, beside it. */
  readonly grub?: Uint8Array;
  readonly kernel: Uint8Array;
}

/** Shim, GRUB and a kernel, each signed by whom the one before trusts. */
export async function signedChain({ kernel }: FeaturesGuest): Promise<Required<Chain>> {
  const [shim, grub] = await Promise.all([build("signed-shim"), build("signed-grub")]);
  return { loader: await readFile(shim.output), grub: await readFile(grub.output), kernel: await readFile(kernel) };
}

/** Writes a disk that starts the guest. `asked`: what it is to look at. `initrds`: beside its own. */
export async function guestDisk(
  path: string,
  chain: Chain,
  guest: FeaturesGuest,
  asked: string,
  initrds: readonly Uint8Array[] = [],
): Promise<string> {
  await using disk = await makeDisk(path, [{ name: "ESP", typeGuid: TYPES.efiSystem, megabytes: 128 }]);
  await makeFat(disk.partition(1), { serial: 1, label: "ESP", bits: 32, clusterBytes: 512 }, quietJob);
  await using esp = await openFat(disk.partition(1), {}, quietJob);
  for (const folder of ["/EFI", "/EFI/BOOT", "/EFI/debian"]) await esp.makeDirectory(folder, 0);
  await putFile(esp, "/EFI/BOOT/BOOTX64.EFI", chain.loader);
  if (chain.grub !== undefined) await putFile(esp, "/EFI/BOOT/grubx64.efi", chain.grub);
  await putFile(esp, "/vmlinuz", chain.kernel);
  const all = [await readFile(guest.initrd), ...initrds];
  for (const [index, initrd] of all.entries()) await putFile(esp, `/initrd${index}`, initrd);
  await putFile(esp, "/EFI/debian/grub.cfg", Buffer.from(grubConfig(asked, all.length)));
  return path;
}

const grubConfig = (asked: string, initrds: number): string => `serial --unit=0 --speed=115200
terminal_output serial
terminal_input serial
search --no-floppy --file --set=root /vmlinuz
linux /vmlinuz console=ttyS0 panic=-1 guest.do=${asked}
initrd${Array.from({ length: initrds }, (_, index) => ` /initrd${index}`).join("")}
boot
`;
