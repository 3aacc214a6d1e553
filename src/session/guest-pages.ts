/** What QEMU's monitor tells of the guest's machine: `hw/` of a session, and the registers where a boot went wrong. */
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { QmpClient } from "../host/qmp.ts";

/** Always recorded: what the machine was made of. */
const INVENTORY = {
  qemu_qtree: "info qtree",
  qemu_pci: "info pci",
  qemu_block: "info block",
  qemu_usb: "info usb",
  qemu_network: "info network",
} as const;
/** Recorded anywhere but at the goal: where it stood. `-a` is every processor. */
const STOPPED_PLACE = {
  qemu_registers: "info registers -a",
  qemu_cpus: "info cpus",
  qemu_mtree: "info mtree -f",
  qemu_blockstats: "info blockstats",
  qemu_status: "info status",
} as const;

/** `mask` takes out what identifies the computer or its owner (image paths under a home folder, MAC addresses). */
export async function saveGuestPages(qmp: QmpClient, directory: string, atGoal: boolean, mask: (text: string) => string): Promise<void> {
  await mkdir(directory, { recursive: true });
  const pages = atGoal ? INVENTORY : { ...INVENTORY, ...STOPPED_PLACE };
  for (const [name, command] of Object.entries(pages)) {
    const text = await qmp.humanMonitor(command).catch((error: Error) => `${command}: ${error.message}\n`);
    await writeFile(join(directory, `${name}.txt`), mask(text));
  }
}
