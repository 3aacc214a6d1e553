/**
 * A machine, decided and not started. Plain data: it is kept in the session as `machine.json`, every choice with the
 * reason for it, and `qemu-arguments.ts` turns it into QEMU's words. Nothing here touches the computer.
 */
import { HiperisoError } from "../contract/error.ts";
import type { Firmware, Settings, Vga } from "../contract/parameters.ts";
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import type { FirmwareMapping, FlashFile } from "../host/firmware.ts";
import { type AskedLimits, type Limits, planLimits } from "./limits.ts";

/** How firmware is given an image that it is to boot. */
export type Attachment = "cd" | "usb";
/** What a disk hangs on. `ide`: the two channels of the old PC, primary master first. */
export type Bus = "ide" | "sata" | "virtio" | "usb";
export type MachineType = "q35" | "pc";
export type AcceleratorName = "kvm" | "tcg";
export type NetworkMode = "none" | "restricted" | "user";
export type NetworkCard = "virtio-net-pci" | "e1000";

/** Each choice of a plan says why it was made, in words for a person. */
interface Choice {
  readonly because: string;
}

export interface FirmwareFiles {
  readonly mapping: FirmwareMapping;
  readonly requiresSmm: boolean;
  readonly because: string;
}

/** A disk or CD of the machine. Those of one bus stand on it in the order of the plan, the booted image first. */
export interface DrivePlan extends Choice {
  readonly path: string;
  readonly blockDevice: boolean;
  readonly attach: "cd" | Bus;
  /** False: a throw-away overlay takes the guest's writes. */
  readonly writable: boolean;
}

/** The file of which every session gets a fresh, private copy to write its variables to; undefined for firmware that keeps none. */
export function variableStoreTemplate({ firmware }: Pick<MachinePlan, "firmware">): FlashFile | undefined {
  if (firmware.interface === "bios" || firmware.mapping.device === "memory") return undefined;
  return firmware.mapping.mode === "combined" ? firmware.mapping.executable : firmware.mapping.nvramTemplate;
}

/** A kernel that QEMU loads. All paths are absolute. */
export interface KernelPlan extends Choice {
  readonly path: string;
  /** In the order in which the kernel unpacks them. Several are joined into one private file, each padded to 4 bytes. */
  readonly initrds: readonly string[];
  readonly append: string;
}

export interface MachinePlan {
  readonly qemu: string;
  readonly machine: Choice & {
    readonly type: MachineType;
    readonly smm: boolean;
    /** The local interrupt controllers in the kernel, the others in QEMU. */
    readonly splitIrqchip: boolean;
    /** The BIOS writes its text screen to the serial line too, as QEMU's -nographic has it. */
    readonly serialScreen: boolean;
  };
  readonly accelerator: Choice & { readonly use: AcceleratorName };
  readonly processor: Choice & { readonly model: string; readonly count: number };
  readonly memoryMb: number;
  readonly firmware: Choice & ({ readonly interface: "bios" } | ({ readonly interface: "uefi" } & FirmwareFiles));
  /** What the firmware boots, or what stands beside a kernel that is started directly; null where there is only such a kernel. */
  readonly image: DrivePlan | null;
  /** Disks beside the image. */
  readonly drives: readonly DrivePlan[];
  /** Started by QEMU itself, in the place of a boot loader, also where an image is attached. */
  readonly kernel: KernelPlan | null;
  readonly screen: Choice & { readonly vga: Vga };
  readonly network: Choice & { readonly mode: NetworkMode; readonly card: NetworkCard; readonly ipv6: boolean };
  /** `stop`: the first reset ends the boot as a shutdown would (QEMU's -no-reboot). */
  readonly reset: Choice & { readonly does: "restart" | "stop" };
  readonly limits: Limits;
  /** What was asked for and is not done, or may surprise; shown to the person and kept in the session. */
  readonly warnings: readonly string[];
}

/** A machine for one image. */
export interface ImageMachinePlan extends MachinePlan {
  readonly image: DrivePlan;
}

/** Whether an image can be booted in one way, and from what that was seen. */
export interface Way {
  readonly can: boolean;
  readonly because: string;
}

/** What the plan needs to know of the image. */
export interface ImageToBoot {
  /** Absolute. */
  readonly path: string;
  readonly blockDevice: boolean;
  /** An optical image (ISO 9660); anything else is a disk. */
  readonly optical: boolean;
  readonly ways: Readonly<Record<Firmware, Readonly<Record<Attachment, Way>>>>;
  /** Damage that makes a boot pointless: a sentence, or undefined. */
  readonly damage: string | undefined;
}

export interface HostToBootOn {
  readonly qemu: string;
  /** Both 0 where the kernel does not tell. */
  readonly totalRamMb: number;
  readonly availableRamMb: number;
  readonly kvm: { readonly state: "available" | "unavailable" | "unknown"; readonly because: string };
  /** UEFI firmware that was found, or why there is none. */
  readonly uefi: { readonly files: FirmwareFiles } | { readonly missing: string; readonly hint: string };
}

export interface BootRequest {
  readonly settings: Settings;
  readonly attach: Attachment | undefined;
  readonly accelerator: "auto" | AcceleratorName;
  readonly network: NetworkMode;
  readonly writable: boolean;
  readonly limits: AskedLimits;
}

/** Throws a HiperisoError of kind `usage` when no sensible machine answers the request. */
export function planMachine(request: BootRequest, image: ImageToBoot, host: HostToBootOn): ImageMachinePlan {
  const { settings } = request;
  qemuOptionValue(image.path); // a name that QEMU cannot be told is refused before a session is made
  const way = chooseWay(request, image);
  const accelerator = chooseAccelerator({ accelerator: request.accelerator, fallback: settings.fallback }, host);
  const firmware = chooseFirmwareFiles(way.firmware, way.firmwareBecause, host);
  checkMemory(settings.guestRam, way.firmware, host);
  const smm = firmware.interface === "uefi" && firmware.requiresSmm;
  return {
    qemu: host.qemu,
    machine: {
      type: "q35",
      smm,
      splitIrqchip: false,
      serialScreen: false,
      because: smm
        ? "this firmware keeps its variables behind SMM and hangs without a word where there is none"
        : "the standard PC with PCI Express",
    },
    accelerator,
    processor: chooseProcessor(accelerator.use, settings.guestCpus),
    memoryMb: settings.guestRam,
    firmware,
    image: {
      path: image.path,
      blockDevice: image.blockDevice,
      attach: way.attach,
      writable: request.writable,
      because: way.attachBecause,
    },
    drives: [],
    kernel: null,
    screen: chooseScreen(settings.vga),
    network: {
      mode: request.network,
      card: "virtio-net-pci",
      ipv6: true,
      because: request.network === "none" ? "a guest gets a network only when asked" : `--network ${request.network}`,
    },
    reset: { does: "restart", because: "firmware and installers reset a machine that goes on; a loop of resets is told apart" },
    limits: planLimits(accelerator.use, request.limits),
    warnings: planWarnings(request, image, host, way),
  };
}

interface ChosenWay {
  readonly firmware: Firmware;
  readonly firmwareBecause: string;
  readonly attach: Attachment;
  readonly attachBecause: string;
  readonly promising: boolean;
}

/**
 * UEFI before BIOS, as computers of today do it; a CD before a stick for an optical image. What the person said is
 * never overruled: with a firmware named, an image that looks unbootable is booted all the same, for the verdict.
 */
function chooseWay({ settings, attach, writable }: BootRequest, image: ImageToBoot): ChosenWay {
  if (writable && attach === "cd") throw readOnlyCd(image);
  const firmwares: readonly Firmware[] = settings.firmware === undefined ? ["uefi", "bios"] : [settings.firmware];
  const attachments: readonly Attachment[] = attach === undefined ? (image.optical && !writable ? ["cd", "usb"] : ["usb"]) : [attach];
  if (image.damage !== undefined && settings.firmware === undefined) throw unbootable(image, image.damage);
  for (const firmware of firmwares) {
    for (const attachment of attachments) {
      const way = image.ways[firmware][attachment];
      if (!way.can) continue;
      return {
        firmware,
        firmwareBecause: settings.firmware === undefined ? way.because : `--firmware ${firmware}; ${way.because}`,
        attach: attachment,
        attachBecause:
          attach === undefined
            ? `as a ${attachment === "cd" ? "CD" : "USB stick"}${writable ? ", which can be written" : ""}: ${way.because}`
            : `--as ${attach}`,
        promising: true,
      };
    }
  }
  const [firmware] = firmwares;
  const [attachment] = attachments;
  if (settings.firmware === undefined || firmware === undefined || attachment === undefined) {
    throw unbootable(image, reasonsAgainst(image, firmwares, attachments));
  }
  return {
    firmware,
    firmwareBecause: `--firmware ${firmware}, although ${image.ways[firmware][attachment].because}`,
    attach: attachment,
    attachBecause:
      attach === undefined
        ? `an image of this kind is ${attachment === "cd" ? "a CD" : "a disk: attached as a USB stick"}`
        : `--as ${attach}`,
    promising: false,
  };
}

function readOnlyCd(image: ImageToBoot): HiperisoError {
  return new HiperisoError({
    what: "attach the image",
    where: image.path,
    expected: "--as cd or --writable",
    found: "both: a CD cannot be written",
    hint: "--as usb attaches it as a disk.",
    kind: "usage",
  });
}

function reasonsAgainst(image: ImageToBoot, firmwares: readonly Firmware[], attachments: readonly Attachment[]): string {
  return firmwares
    .flatMap((firmware) =>
      attachments.map(
        (attachment) => `${firmware.toUpperCase()} from ${attachment === "cd" ? "CD" : "USB"}: ${image.ways[firmware][attachment].because}`,
      ),
    )
    .join("; ");
}

function unbootable(image: ImageToBoot, found: string): HiperisoError {
  return new HiperisoError({
    what: "boot the image",
    where: image.path,
    expected: "a whole image that some firmware can boot",
    found,
    hint: "`hiperiso inspect` shows what is in it; --firmware uefi or --firmware bios boots it all the same.",
    kind: "usage",
  });
}

export interface AcceleratorWish {
  readonly accelerator: "auto" | AcceleratorName;
  /** KVM is not even tried. */
  readonly fallback: boolean;
}

export function chooseAccelerator({ accelerator, fallback }: AcceleratorWish, host: Pick<HostToBootOn, "kvm">): MachinePlan["accelerator"] {
  if (accelerator === "kvm") return { use: "kvm", because: "--accel kvm: tried without asking the probe" };
  if (accelerator === "tcg") return { use: "tcg", because: "--accel tcg" };
  if (fallback) return { use: "tcg", because: "hiperiso_fallback=1: KVM is not even tried" };
  if (host.kvm.state === "available") return { use: "kvm", because: host.kvm.because };
  return { use: "tcg", because: host.kvm.because };
}

export function chooseProcessor(accelerator: AcceleratorName, count: number): MachinePlan["processor"] {
  return accelerator === "kvm"
    ? { model: "host", count, because: "KVM runs the host's own processor" }
    : { model: "max,la57=off", count, because: "all that the emulator can do; five-level page tables would only make it slower" };
}

export const chooseScreen = (vga: Vga): MachinePlan["screen"] => ({
  vga,
  because: vga === "none" ? "no display adapter was asked for" : "screenshots need a display adapter",
});

export function chooseFirmwareFiles(firmware: Firmware, because: string, host: Pick<HostToBootOn, "uefi">): MachinePlan["firmware"] {
  if (firmware === "bios") return { interface: "bios", because: `QEMU's own SeaBIOS: ${because}` };
  if ("files" in host.uefi) {
    return { interface: "uefi", ...host.uefi.files, because: `${because}; ${host.uefi.files.because}` };
  }
  throw new HiperisoError({
    what: "find UEFI firmware for the guest",
    expected: "OVMF, by QEMU's firmware descriptors or in a known place",
    found: host.uefi.missing,
    hint: host.uefi.hint,
    kind: "failure",
  });
}

/** Measured with OVMF of 2022: with 16 MB it prints nothing and hangs, with 32 MB it dies of an exception, with 48 MB it starts. */
const UEFI_RAM_MIN_MB = 64;

/** Throws where a guest with this memory would only hang, or cannot be had. */
export function checkMemory(guestRamMb: number, firmware: Firmware, host: HostToBootOn): void {
  if (firmware === "uefi" && guestRamMb < UEFI_RAM_MIN_MB) {
    throw new HiperisoError({
      what: "give the guest its memory",
      expected: `at least ${UEFI_RAM_MIN_MB} MB for UEFI firmware, which hangs without a word in less`,
      found: `${guestRamMb} MB asked for`,
      hint: "Ask for more with --guest-ram, or boot with --firmware bios.",
      kind: "usage",
    });
  }
  if (guestRamMb <= host.totalRamMb || host.totalRamMb === 0) return;
  throw new HiperisoError({
    what: "give the guest its memory",
    expected: `at most the ${host.totalRamMb} MB that this computer has`,
    found: `${guestRamMb} MB asked for`,
    hint: "Ask for less with --guest-ram.",
    kind: "usage",
  });
}

function planWarnings(request: BootRequest, image: ImageToBoot, host: HostToBootOn, way: ChosenWay): readonly string[] {
  const { settings } = request;
  const warnings: string[] = [];
  if (image.damage !== undefined) warnings.push(`The image is damaged: ${image.damage}.`);
  else if (!way.promising) warnings.push(`The image does not look bootable this way: ${way.firmwareBecause}.`);
  warnings.push(...memoryWarnings(settings.guestRam, host));
  if (request.writable) warnings.push("The guest may write to the image (--writable).");
  return warnings;
}

export const memoryWarnings = (guestRamMb: number, { availableRamMb }: Pick<HostToBootOn, "availableRamMb">): readonly string[] =>
  availableRamMb > 0 && guestRamMb > availableRamMb
    ? [`The guest gets ${guestRamMb} MB and only ${availableRamMb} MB are free: expect swapping.`]
    : [];
