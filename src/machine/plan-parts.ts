/**
 * A machine put together part by part: a kernel that QEMU starts itself, or a disk that the firmware boots, and any disks beside it.
 * Where `plan.ts` chooses by what an image can boot, here the caller knows what the guest wants. Pure.
 */
import type { Firmware, Vga } from "../contract/parameters.ts";
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import { type Bus, checkDrives, type DrivePlan, refusedDrives as refused } from "./drives.ts";
import { noExtras } from "./features/extras.ts";
import type { MachineType } from "./features/machine-name.ts";
import { type AskedLimits, planLimits, type Waiting } from "./limits.ts";
import {
  type AcceleratorWish,
  checkMemory,
  chooseAccelerator,
  chooseFirmwareFiles,
  chooseProcessor,
  chooseScreen,
  type DirectKernel,
  type HostToBootOn,
  type MachinePlan,
  memoryWarnings,
  type NetworkCard,
  type NetworkMode,
  planKernel,
} from "./plan.ts";

export interface Disk {
  /** Absolute; its bytes are the disk's (format raw). */
  readonly path: string;
  readonly bus: Bus;
  /** False: a throw-away overlay takes the guest's writes. */
  readonly writable: boolean;
  readonly blockDevice?: boolean;
  /** What it is to the guest, for a person. */
  readonly because?: string;
}

export interface MachineParts extends AcceleratorWish {
  /** Undefined: the firmware boots the first disk. */
  readonly kernel: DirectKernel | undefined;
  readonly disks: readonly Disk[];
  /** Undefined: `pc` where a disk is IDE, which q35 does not have; otherwise q35. */
  readonly machine: MachineType | undefined;
  readonly splitIrqchip: boolean;
  /** For a guest that speaks through the BIOS alone: SeaBIOS repeats on the serial line what is written to the text screen. */
  readonly serialScreen: boolean;
  readonly firmware: Firmware;
  readonly memoryMb: number;
  readonly processors: number;
  /** QEMU's name of a processor model; undefined: the best that the accelerator has. */
  readonly processor: string | undefined;
  readonly vga: Vga;
  readonly network: { readonly mode: NetworkMode; readonly card: NetworkCard; readonly ipv6: boolean };
  /** The first reset ends the boot. */
  readonly stopOnReset: boolean;
  readonly waiting: Waiting;
  readonly limits: AskedLimits;
}

/** A machine without disks, to be given what is special: `{ ...standardParts, kernel, disks }`. */
export const standardParts: MachineParts = {
  kernel: undefined,
  disks: [],
  machine: undefined,
  splitIrqchip: false,
  serialScreen: false,
  firmware: "bios",
  memoryMb: 1024,
  processors: 1,
  processor: undefined,
  vga: "std",
  accelerator: "auto",
  fallback: false,
  network: { mode: "none", card: "virtio-net-pci", ipv6: true },
  stopOnReset: false,
  waiting: "boot",
  limits: { timeLimitS: undefined, hangLimitS: undefined },
};

/** Throws a usage error on parts that no machine has, before anything is made. */
export function planParts(parts: MachineParts, host: HostToBootOn): MachinePlan {
  checkDisks(parts);
  checkMemory(parts.memoryMb, parts.firmware, host);
  const accelerator = chooseAccelerator(parts, host);
  const drives = parts.disks.map((disk, index) => driveOf(disk, index, parts.kernel === undefined));
  checkDrives(drives);
  const image = parts.kernel === undefined ? (drives[0] ?? null) : null;
  const firmware = chooseFirmwareFiles(
    parts.firmware,
    parts.kernel === undefined ? "as asked" : "it hands over to the kernel at once",
    host,
  );
  const smm = firmware.interface === "uefi" && firmware.requiresSmm;
  const { processor } = parts;
  return {
    qemu: host.qemu,
    machine: { ...machineOf(parts), smm, splitIrqchip: parts.splitIrqchip, serialScreen: parts.serialScreen },
    accelerator,
    processor:
      processor === undefined
        ? chooseProcessor(accelerator.use, parts.processors)
        : { model: processor, count: parts.processors, because: "this model was asked for" },
    memoryMb: parts.memoryMb,
    firmware,
    image,
    drives: image === null ? drives : drives.slice(1),
    kernel: planKernel(parts.kernel),
    screen: chooseScreen(parts.vga),
    network: { ...parts.network, forwards: [], dump: false, because: networkBecause(parts.network.mode) },
    reset: parts.stopOnReset
      ? { does: "stop", because: "what this guest does is done once: a reset is its end" }
      : { does: "restart", because: "a guest may start anew" },
    limits: planLimits(accelerator.use, parts.limits, parts.waiting),
    ...noExtras,
    warnings: [
      ...memoryWarnings(parts.memoryMb, host),
      ...parts.disks.filter(({ writable }) => writable).map(({ path }) => `The guest may write to ${path}.`),
    ],
  };
}

function machineOf({ machine, disks, firmware }: MachineParts): {
  readonly type: MachineType;
  readonly name: string;
  readonly because: string;
} {
  const ide = disks.some(({ bus }) => bus === "ide");
  const type = machine ?? (ide ? "pc" : "q35");
  if (ide && type !== "pc") throw refused("machine pc for IDE disks: q35 has none", "q35", "Ask for machine pc, or for SATA disks.");
  if (type === "pc" && firmware === "uefi") {
    throw refused("a BIOS on the machine pc", "UEFI", "UEFI firmware is looked for the machine q35: ask for SATA disks there.");
  }
  if (machine !== undefined) return { type, name: type, because: `${machine} was asked for` };
  return { type, name: type, because: ide ? "the last PC that QEMU gives IDE channels" : "the standard PC with PCI Express" };
}

function driveOf({ path, bus, writable, blockDevice = false, because }: Disk, index: number, boots: boolean): DrivePlan {
  qemuOptionValue(path);
  const isBooted = boots && index === 0;
  return {
    path,
    blockDevice,
    attach: bus,
    writable,
    format: "raw",
    backing: [],
    createBytes: null,
    overlayBytes: null,
    bootIndex: isBooted ? 1 : null,
    because: because ?? (isBooted ? "the disk that is booted" : "a disk beside it"),
  };
}

const networkBecause = (mode: NetworkMode): string => (mode === "none" ? "a guest gets a network only when asked" : `network ${mode}`);

function checkDisks({ disks, kernel }: MachineParts): void {
  if (disks.length === 0 && kernel === undefined)
    throw refused("a kernel, or a disk that the firmware boots", "neither", "Give one of them.");
}
