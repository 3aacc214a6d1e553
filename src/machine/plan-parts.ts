/**
 * A machine put together part by part: a kernel that QEMU starts itself, or a disk that the firmware boots, and any disks beside it.
 * Where `plan.ts` chooses by what an image can boot, here the caller knows what the guest wants. Pure.
 */
import { HiperisoError } from "../contract/error.ts";
import type { Firmware, Vga } from "../contract/parameters.ts";
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import { type AskedLimits, planLimits, type Waiting } from "./limits.ts";
import {
  type AcceleratorWish,
  type Bus,
  checkMemory,
  chooseAccelerator,
  chooseFirmwareFiles,
  chooseProcessor,
  chooseScreen,
  type DrivePlan,
  type HostToBootOn,
  type MachinePlan,
  type MachineType,
  memoryWarnings,
  type NetworkCard,
  type NetworkMode,
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

export interface DirectKernel {
  readonly path: string;
  /** In the order in which the kernel unpacks them. */
  readonly initrds?: readonly string[];
  readonly append: string;
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

/** What QEMU's controllers take: two IDE channels, the ports of ICH9's AHCI, those of an xHCI; of virtio as many as leave room in the PCI bus. */
const DISKS_MAX: Readonly<Record<Bus, number>> = { ide: 4, sata: 6, usb: 4, virtio: 16 };
/** x86 kernels keep 2,048 bytes with the NUL (COMMAND_LINE_SIZE) and cut the rest without a word. */
const APPEND_BYTES_MAX = 2047;

/** Throws a usage error on parts that no machine has, before anything is made. */
export function planParts(parts: MachineParts, host: HostToBootOn): MachinePlan {
  checkDisks(parts);
  if (parts.kernel !== undefined) checkKernel(parts.kernel);
  checkMemory(parts.memoryMb, parts.firmware, host);
  const accelerator = chooseAccelerator(parts, host);
  const drives = parts.disks.map((disk, index) => driveOf(disk, index, parts.kernel === undefined));
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
    kernel:
      parts.kernel === undefined
        ? null
        : {
            path: parts.kernel.path,
            initrds: parts.kernel.initrds ?? [],
            append: parts.kernel.append,
            because: "a kernel was given: no boot loader is asked",
          },
    screen: chooseScreen(parts.vga),
    network: { ...parts.network, because: networkBecause(parts.network.mode) },
    reset: parts.stopOnReset
      ? { does: "stop", because: "what this guest does is done once: a reset is its end" }
      : { does: "restart", because: "a guest may start anew" },
    limits: planLimits(accelerator.use, parts.limits, parts.waiting),
    warnings: [
      ...memoryWarnings(parts.memoryMb, host),
      ...parts.disks.filter(({ writable }) => writable).map(({ path }) => `The guest may write to ${path}.`),
    ],
  };
}

function machineOf({ machine, disks, firmware }: MachineParts): { readonly type: MachineType; readonly because: string } {
  const ide = disks.some(({ bus }) => bus === "ide");
  const type = machine ?? (ide ? "pc" : "q35");
  if (ide && type !== "pc") throw refused("machine pc for IDE disks: q35 has none", "q35", "Ask for machine pc, or for SATA disks.");
  if (type === "pc" && firmware === "uefi") {
    throw refused("a BIOS on the machine pc", "UEFI", "UEFI firmware is looked for the machine q35: ask for SATA disks there.");
  }
  if (machine !== undefined) return { type, because: `${machine} was asked for` };
  return { type, because: ide ? "the last PC that QEMU gives IDE channels" : "the standard PC with PCI Express" };
}

function driveOf({ path, bus, writable, blockDevice = false, because }: Disk, index: number, boots: boolean): DrivePlan {
  qemuOptionValue(path);
  const standard = boots && index === 0 ? "the disk that is booted" : "a disk beside it";
  return { path, blockDevice, attach: bus, writable, because: because ?? standard };
}

const networkBecause = (mode: NetworkMode): string => (mode === "none" ? "a guest gets a network only when asked" : `network ${mode}`);

function checkDisks({ disks, kernel }: MachineParts): void {
  if (disks.length === 0 && kernel === undefined)
    throw refused("a kernel, or a disk that the firmware boots", "neither", "Give one of them.");
  for (const [bus, max] of Object.entries(DISKS_MAX)) {
    const count = disks.filter((disk) => disk.bus === bus).length;
    if (count > max) throw refused(`at most ${max} disks on ${bus}`, `${count}`, "Put the others on another bus.");
  }
}

export function checkKernel({ path, initrds = [], append }: DirectKernel): void {
  for (const text of [path, ...initrds, append]) qemuOptionValue(text);
  const bytes = Buffer.byteLength(append);
  if (bytes <= APPEND_BYTES_MAX) return;
  throw refused(`a kernel command line of at most ${APPEND_BYTES_MAX} bytes`, `${bytes}`, "The kernel would cut it without a word.");
}

const refused = (expected: string, found: string, hint: string): HiperisoError =>
  new HiperisoError({ what: "plan the machine", expected, found, hint, kind: "usage" });
