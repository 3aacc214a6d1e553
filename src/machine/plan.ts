/**
 * A machine, decided and not started. Plain data: it is kept in the session as `machine.json`, every choice with the
 * reason for it, and `qemu-arguments.ts` turns it into QEMU's words. Nothing here touches the computer.
 */
import { HiperisoError } from "../contract/error.ts";
import type { Firmware, Settings, Vga } from "../contract/parameters.ts";
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import type { FirmwareMapping, FlashFile } from "../host/firmware.ts";
import type { DiskFiles } from "../image/disk-format.ts";
import type { Medium } from "../image/image-facts.ts";
import { checkDrives, type DiskToAttach, type DrivePlan, planDrive } from "./drives.ts";
import { checkForwards, type Extras, type ExtrasWish, extrasWarnings, type HostOffer, planExtras } from "./features/extras.ts";
import type { Forward } from "./features/forward.ts";
import { chooseMachine, type MachineType } from "./features/machine-name.ts";
import { missingFeatures, parseProcessorFeatures, processorWords } from "./features/processor-features.ts";
import { type AskedLimits, type Limits, planLimits } from "./limits.ts";
import type { TracePlan } from "./trace.ts";

/** How firmware is given an image that it is to boot. */
export const ATTACHMENTS = ["cd", "usb", "virtio", "sata", "nvme", "sd"] as const;
export type Attachment = (typeof ATTACHMENTS)[number];
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
  /** It starts nothing that no enrolled key vouches for. */
  readonly secureBoot: boolean;
  readonly because: string;
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

export interface MachinePlan extends Extras {
  readonly qemu: string;
  readonly machine: Choice & {
    readonly type: MachineType;
    /** QEMU's name, of any version of this type. */
    readonly name: string;
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
  readonly network: Choice & {
    readonly mode: NetworkMode;
    readonly card: NetworkCard;
    readonly ipv6: boolean;
    readonly forwards: readonly Forward[];
    /** Every packet goes to `network.pcap` too. */
    readonly dump: boolean;
  };
  /** `stop`: the first reset ends the boot as a shutdown would (QEMU's -no-reboot). */
  readonly reset: Choice & { readonly does: "restart" | "stop" };
  readonly limits: Limits;
  /** Which of QEMU's events are recorded; absent where none are. */
  readonly trace?: TracePlan;
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
export interface ImageToBoot extends DiskFiles {
  /** Of the disk that the guest sees. */
  readonly sizeBytes: bigint;
  /** An optical image (ISO 9660); anything else is a disk. */
  readonly optical: boolean;
  /** A disk boots alike whatever it hangs on. */
  readonly ways: Readonly<Record<Firmware, Readonly<Record<Medium, Way>>>>;
  /** Damage that makes a boot pointless: a sentence, or undefined. */
  readonly damage: string | undefined;
}

export interface HostToBootOn {
  readonly qemu: string;
  /** Both 0 where the kernel does not tell. */
  readonly totalRamMb: number;
  readonly availableRamMb: number;
  /** It is a guest of QEMU's, without KVM: all takes longer. */
  readonly isEmulated?: boolean;
  readonly kvm: { readonly state: "available" | "unavailable" | "unknown"; readonly because: string };
  /** UEFI firmware that was found, or why there is none. */
  readonly uefi: { readonly files: FirmwareFiles } | { readonly missing: string; readonly hint: string };
  readonly offer: HostOffer;
}

export interface BootRequest {
  readonly settings: Settings;
  readonly attach: Attachment | undefined;
  readonly accelerator: "auto" | AcceleratorName;
  /** Undefined: none, but where something is asked for that needs one. */
  readonly network: NetworkMode | undefined;
  readonly writable: boolean;
  readonly limits: AskedLimits;
  /** Disks beside the image. */
  readonly disks: readonly DiskToAttach[];
  /** Started by QEMU in the place of a boot loader, also where an image is attached. */
  readonly kernel: DirectKernel | undefined;
  readonly extras: ExtrasWish;
}

export interface DirectKernel {
  /** Absolute, as are its initrds. */
  readonly path: string;
  /** In the order in which the kernel unpacks them. */
  readonly initrds?: readonly string[];
  readonly append: string;
  /** Why this kernel is started by QEMU; undefined: it was given. */
  readonly because?: string;
}

/** Throws a HiperisoError of kind `usage` when no sensible machine answers the request. */
export function planMachine(request: BootRequest, image: ImageToBoot, host: HostToBootOn): ImageMachinePlan;
export function planMachine(request: BootRequest, image: ImageToBoot | undefined, host: HostToBootOn): MachinePlan;
export function planMachine(request: BootRequest, image: ImageToBoot | undefined, host: HostToBootOn): MachinePlan {
  const { settings } = request;
  const kernel = planKernel(request.kernel);
  const way = chooseWay(request, image);
  const attached = image === undefined ? null : attachImage(image, way, request);
  // Behind the image, and in their order: an installer starts anew from the disk that it has written.
  const drives = request.disks.map((disk, index) => planDrive(disk, attached?.attach === "sd" ? null : index + 2));
  checkDrives([...(attached === null ? [] : [attached]), ...drives]);
  const accelerator = chooseAccelerator({ accelerator: request.accelerator, fallback: settings.fallback }, host);
  const firmware = chooseFirmwareFiles(way.firmware, way.firmwareBecause, host);
  checkMemory(settings.guestRam, way.firmware, host);
  const smm = firmware.interface === "uefi" && firmware.requiresSmm;
  const chosen = chooseMachine(request.extras.machine ?? "q35", host.offer.machines);
  const processor = chooseProcessor(accelerator.use, settings.guestCpus);
  const { words, missing } = askedFeatures(settings, accelerator.use, host);
  const extras = planExtras(request.extras, settings, host.offer);
  return {
    qemu: host.qemu,
    machine: {
      ...chosen,
      smm,
      splitIrqchip: false,
      serialScreen: false,
      because: smm
        ? "this firmware keeps its variables behind SMM and hangs without a word where there is none"
        : request.extras.machine === undefined
          ? "the standard PC with PCI Express"
          : `--machine ${chosen.name}`,
    },
    accelerator,
    processor: words === "" ? processor : { ...processor, model: processor.model + words, because: `${processor.because}; --cpu-features` },
    memoryMb: settings.guestRam,
    firmware,
    image: attached,
    drives,
    kernel,
    screen: chooseScreen(settings.vga),
    network: chooseNetwork(request),
    reset: { does: "restart", because: "firmware and installers reset a machine that goes on; a loop of resets is told apart" },
    limits: planLimits(accelerator.use, request.limits, "boot", host.isEmulated === true),
    warnings: [
      ...planWarnings(request, image, host, way),
      ...missing.map((name) => `${accelerator.use === "kvm" ? "This processor" : "Emulation"} has no ${name}: the guest will not see it.`),
      ...extrasWarnings(extras, request.extras.forwards),
    ],
    ...extras,
  };
}

function askedFeatures(
  { cpuFeatures }: Settings,
  accelerator: AcceleratorName,
  { offer: { processor } }: HostToBootOn,
): { readonly words: string; readonly missing: readonly string[] } {
  if (cpuFeatures === undefined || processor === undefined) return { words: "", missing: [] };
  const features = parseProcessorFeatures(cpuFeatures, processor);
  return { words: processorWords(features), missing: missingFeatures(features, processor.given[accelerator]) };
}

/** What needs a network and was asked for brings the one that leads nowhere, unless another was asked for. */
function chooseNetwork({ network, settings: { netDump }, extras: { forwards } }: BootRequest): MachinePlan["network"] {
  checkForwards(forwards);
  const needs = [...(netDump ? ["--net-dump"] : []), ...(forwards.length > 0 ? ["--forward"] : [])];
  if (network === "none" && needs.length > 0) {
    throw new HiperisoError({
      what: "plan the machine",
      expected: `a network for ${needs.join(" and ")}`,
      found: "--network none",
      hint: "Leave --network away, or take restricted or user.",
      kind: "usage",
    });
  }
  const because =
    network !== undefined && network !== "none"
      ? `--network ${network}`
      : needs.length > 0
        ? `${needs.join(" and ")} needs one; the guest reaches nothing through it`
        : "a guest gets a network only when asked";
  const mode = network ?? (needs.length > 0 ? "restricted" : "none");
  return { mode, card: "virtio-net-pci", ipv6: true, forwards, dump: netDump, because };
}

/** Seen: OVMF of Debian has no driver for SD cards, and ends in its shell. SeaBIOS has one. */
const firmwaresFor = (attach: Attachment | undefined): readonly Firmware[] => (attach === "sd" ? ["bios"] : ["uefi", "bios"]);

function attachImage(image: ImageToBoot, { attach, attachBecause: because }: ChosenWay, { writable }: BootRequest): DrivePlan {
  const drive = planDrive({ ...image, bus: attach === "cd" ? "sata" : attach, writable, isNew: false, because }, 1);
  return { ...drive, attach };
}

/** x86 kernels keep 2,048 bytes with the NUL (COMMAND_LINE_SIZE) and cut the rest without a word. */
const APPEND_BYTES_MAX = 2047;

/** Throws (kind `usage`) on names and lines that cannot be passed on. */
export function planKernel(kernel: DirectKernel | undefined): KernelPlan | null {
  if (kernel === undefined) return null;
  const { path, initrds = [], append, because = "a kernel was given: no boot loader is asked" } = kernel;
  for (const text of [path, ...initrds, append]) qemuOptionValue(text);
  const bytes = Buffer.byteLength(append);
  if (bytes <= APPEND_BYTES_MAX) return { path, initrds, append, because };
  throw new HiperisoError({
    what: "plan the machine",
    expected: `a kernel command line of at most ${APPEND_BYTES_MAX} bytes`,
    found: `${bytes}`,
    hint: "The kernel would cut it without a word.",
    kind: "usage",
  });
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
function chooseWay({ settings, attach, writable, kernel }: BootRequest, image: ImageToBoot | undefined): ChosenWay {
  if (settings.secureBoot && settings.firmware === "bios") throw insecureBios();
  if (image === undefined || kernel !== undefined) {
    return besideKernel(settings.firmware ?? (settings.secureBoot ? "uefi" : undefined), attach, image, writable);
  }
  if (writable && attach === "cd") throw readOnlyCd(image);
  const firmwares: readonly Firmware[] =
    settings.firmware === undefined ? (settings.secureBoot ? ["uefi"] : firmwaresFor(attach)) : [settings.firmware];
  const attachments: readonly Attachment[] = attach === undefined ? (image.optical && !writable ? ["cd", "usb"] : ["usb"]) : [attach];
  if (image.damage !== undefined && settings.firmware === undefined) throw unbootable(image, image.damage);
  for (const firmware of firmwares) {
    for (const attachment of attachments) {
      const way = image.ways[firmware][mediumOf(attachment)];
      if (!way.can) continue;
      return {
        firmware,
        firmwareBecause: settings.firmware === undefined ? way.because : `--firmware ${firmware}; ${way.because}`,
        attach: attachment,
        attachBecause:
          attach === undefined
            ? `as a ${mediumName(attachment)}${writable ? ", which can be written" : ""}: ${way.because}`
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
    firmwareBecause: `--firmware ${firmware}, although ${image.ways[firmware][mediumOf(attachment)].because}`,
    attach: attachment,
    attachBecause:
      attach === undefined
        ? `an image of this kind is ${attachment === "cd" ? "a CD" : "a disk: attached as a USB stick"}`
        : `--as ${attach}`,
    promising: false,
  };
}

const mediumOf = (attachment: Attachment): Medium => (attachment === "cd" ? "cd" : "usb");
const mediumName = (attachment: Attachment): string => (attachment === "cd" ? "CD" : "USB stick");

/** Nothing on the image is asked to boot: what the firmware is matters to the kernel alone, and a BIOS hands over at once. */
function besideKernel(
  asked: Firmware | undefined,
  attach: Attachment | undefined,
  image: ImageToBoot | undefined,
  writable: boolean,
): ChosenWay {
  if (image !== undefined && writable && attach === "cd") throw readOnlyCd(image);
  const standard = image?.optical === true && !writable ? "cd" : "usb";
  return {
    firmware: asked ?? "bios",
    firmwareBecause: asked === undefined ? "it hands over to the kernel at once" : `${asked} was asked for; it hands over to the kernel`,
    attach: attach ?? standard,
    attachBecause: attach === undefined ? `beside the kernel, as a ${mediumName(standard)}` : `beside the kernel, --as ${attach}`,
    promising: true,
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

function insecureBios(): HiperisoError {
  return new HiperisoError({
    what: "boot with Secure Boot",
    expected: "UEFI firmware",
    found: "--firmware bios: a BIOS checks no signatures",
    hint: "Leave --firmware away.",
    kind: "usage",
  });
}

function reasonsAgainst(image: ImageToBoot, firmwares: readonly Firmware[], attachments: readonly Attachment[]): string {
  return firmwares
    .flatMap((firmware) =>
      attachments.map(
        (attachment) =>
          `${firmware.toUpperCase()} from ${attachment === "cd" || attachment === "usb" ? attachment.toUpperCase() : attachment}: ${image.ways[firmware][mediumOf(attachment)].because}`,
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

function planWarnings(request: BootRequest, image: ImageToBoot | undefined, host: HostToBootOn, way: ChosenWay): readonly string[] {
  const { settings } = request;
  const warnings: string[] = [];
  if (image?.damage !== undefined) warnings.push(`The image is damaged: ${image.damage}.`);
  else if (!way.promising) warnings.push(`The image does not look bootable this way: ${way.firmwareBecause}.`);
  warnings.push(...memoryWarnings(settings.guestRam, host));
  if (image !== undefined && request.kernel === undefined && way.attach === "sd" && way.firmware === "uefi") {
    warnings.push("UEFI firmware mostly has no driver for SD cards: --firmware bios starts from one.");
  }
  if (request.writable) warnings.push("The guest may write to the image (--writable).");
  if (settings.secureBoot && request.kernel !== undefined) {
    warnings.push("Secure Boot is on, but the firmware takes the kernel from QEMU unchecked; what is behind it is held to signatures.");
  }
  return warnings;
}

export const memoryWarnings = (guestRamMb: number, { availableRamMb }: Pick<HostToBootOn, "availableRamMb">): readonly string[] =>
  availableRamMb > 0 && guestRamMb > availableRamMb
    ? [`The guest gets ${guestRamMb} MB and only ${availableRamMb} MB are free: expect swapping.`]
    : [];
