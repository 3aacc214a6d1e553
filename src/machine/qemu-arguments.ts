/** A machine plan in QEMU's words. Pure: one element per argument, nothing is quoted for a shell. */
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import type { DiskFile, DiskFormat } from "../image/disk-format.ts";
import type { DrivePlan } from "./drives.ts";
import { deviceExtras, displayArguments, type ExtrasPlaces } from "./features/arguments.ts";
import { forwardOption } from "./features/forward.ts";
import type { MachinePlan } from "./plan.ts";
import { type TracePlaces, traceArguments } from "./trace.ts";

/** Where the files of one boot stand. All absolute, but the monitor's socket, which may be relative to QEMU's working directory. */
export interface BootPlaces extends ExtrasPlaces {
  /** Private copy of the variable store, made by the recorder. */
  readonly variables: string;
  readonly firmwareLog: string;
  /** At most 107 bytes: `sockaddr_un` holds no more. */
  readonly monitorSocket: string;
  /** Private files of this run. Overlays that the recorder makes itself stand there, named by `overlayPath`. */
  readonly privateFolder: string;
  /** Where the recorder joins the kernel's initrds, if there are several. */
  readonly joinedInitrds: string;
  readonly networkCapture: string;
  readonly trace: TracePlaces;
}

/** Names by which the recorder speaks of devices to QMP. */
export const SERIAL_CHARDEV = "serial0";
/** The descriptor that the recorder passes on as QEMU's own monitor (a socket pair: no path, no length limit). */
export const MONITOR_FD = 3;

export function qemuArguments(plan: MachinePlan, places: BootPlaces): readonly string[] {
  return [
    "-nodefaults",
    "-no-user-config",
    ...machineArguments(plan),
    ...firmwareArguments(plan, places),
    ...driveArguments(plan, places),
    ...kernelArguments(plan, places),
    ...deviceArguments(plan, places),
    ...monitorArguments(places),
    ...(plan.trace === undefined ? [] : traceArguments(plan.trace, places.trace)),
    // A guest that breaks out of its devices finds no new privileges, no processes and no old system calls.
    // A window's toolkit starts helpers of its own (GTK: accessibility, image loaders), and the sandbox would kill QEMU for it.
    ...["-sandbox", `on,obsolete=deny,elevateprivileges=deny,spawn=${plan.display.kind === "gtk" ? "allow" : "deny"},resourcecontrol=deny`],
    // Stopped until the console is attached; and after a shutdown or a panic it stands still for its last screenshot.
    ...["-S", "-action", `${plan.reset.does === "stop" ? "reboot=shutdown," : ""}shutdown=pause,panic=pause`],
    ...plan.extraArguments,
  ];
}

function machineArguments({ machine, accelerator, processor, memoryMb, firmware }: MachinePlan): readonly string[] {
  const secureFlash = firmware.interface === "uefi" && machine.smm ? ["-global", "driver=cfi.pflash01,property=secure,value=on"] : [];
  return [
    ...["-machine", machineOption(machine)],
    ...["-accel", accelerator.use],
    ...["-cpu", processor.model],
    ...["-smp", String(processor.count)],
    ...["-m", `${memoryMb}M`],
    ...secureFlash,
  ];
}

/** `graphics=off` takes no display away; it tells SeaBIOS to use the serial line as well. */
const machineOption = ({ name, smm, splitIrqchip, serialScreen }: MachinePlan["machine"]): string =>
  [name, `smm=${smm ? "on" : "off"}`, ...(splitIrqchip ? ["kernel-irqchip=split"] : []), ...(serialScreen ? ["graphics=off"] : [])].join(
    ",",
  );

function firmwareArguments({ firmware }: MachinePlan, places: BootPlaces): readonly string[] {
  if (firmware.interface === "bios") {
    // SeaBIOS says on its debug port what it boots and why not; on the serial line it says nothing.
    return [
      ...["-chardev", `file,id=firmware,path=${qemuOptionValue(places.firmwareLog)}`],
      ...["-device", "isa-debugcon,iobase=0x402,chardev=firmware"],
    ];
  }
  const { mapping } = firmware;
  if (mapping.device === "memory") return ["-bios", mapping.filename];
  const flash = (unit: number, format: string, file: string, readOnly: boolean) => [
    "-drive",
    `if=pflash,unit=${unit},readonly=${readOnly ? "on" : "off"},format=${format},${fileNode(file)}`,
  ];
  const { executable } = mapping;
  if (mapping.mode === "combined") return flash(0, executable.format, places.variables, false);
  return [...flash(0, executable.format, executable.filename, true), ...flash(1, mapping.nvramTemplate.format, places.variables, false)];
}

/** Where a drive hangs: QEMU's word for the device behind `-device`, and what has to be there for it before. */
interface Place {
  readonly device: string;
  readonly controller: readonly string[];
}

/** The image first: it has the first place of its bus, and the firmware is told to boot it. */
function driveArguments({ machine, image, drives }: MachinePlan, places: BootPlaces): readonly string[] {
  const controllers = new Set<string>();
  const taken = new Map<DrivePlan["attach"], number>();
  return namedDrives({ image, drives }).flatMap(({ id, drive }) => {
    // A CD stands on the same controller as IDE or SATA disks do.
    const bus = drive.attach === "cd" ? (machine.type === "pc" ? "ide" : "sata") : drive.attach;
    const place = taken.get(bus) ?? 0;
    taken.set(bus, place + 1);
    const { device, controller } = placeOf(drive.attach, place, machine.type);
    const missing = controllers.has(controller.join(" ")) ? [] : controller;
    controllers.add(controller.join(" "));
    const bootIndex = drive.bootIndex === null ? "" : `,bootindex=${drive.bootIndex}`;
    return [
      ...["-drive", `if=none,id=${id},${mediumOptions(id, drive, places)}`],
      ...missing,
      ...["-device", `${device},drive=${id}${bootIndex}`],
    ];
  });
}

/** By the names that QEMU knows them by: the image, and the disks beside it in their order. */
export const namedDrives = ({ image, drives }: Pick<MachinePlan, "image" | "drives">): readonly NamedDrive[] => [
  ...(image === null ? [] : [{ id: "image", drive: image }]),
  ...drives.map((drive, index) => ({ id: `disk${index}`, drive })),
];

export interface NamedDrive {
  readonly id: string;
  readonly drive: DrivePlan;
}

export const overlayPath = ({ privateFolder }: Pick<BootPlaces, "privateFolder">, id: string): string =>
  `${privateFolder}/${id}-overlay.qcow2`;

/** QEMU's names of formats where they are not ours. */
const QEMU_FORMATS: Partial<Record<DiskFormat, string>> = { vhd: "vpc" };
export const qemuFormat = (format: DiskFormat): string => QEMU_FORMATS[format] ?? format;

/** Every file of the chain by hand, from the top down: the names inside the files count for nothing then. */
function mediumOptions(id: string, drive: DrivePlan, places: BootPlaces): string {
  const overlay: DiskFile = { path: overlayPath(places, id), blockDevice: false, format: "qcow2" };
  const [top, ...below] = [...(drive.overlayBytes === null ? [] : [overlay]), drive, ...drive.backing] as [DiskFile, ...DiskFile[]];
  const chain = below.map((file, index) => {
    const prefix = "backing.".repeat(index + 1);
    return `,${prefix}driver=${qemuFormat(file.format)},${fileNode(file.path, file.blockDevice, prefix)}`;
  });
  const writes = drive.writable || drive.overlayBytes !== null ? "snapshot=off" : "snapshot=on";
  const options = drive.attach === "cd" ? "media=cdrom,readonly=on" : writes;
  return `${options},format=${qemuFormat(top.format)},${fileNode(top.path, top.blockDevice)}${chain.join("")}`;
}

/** q35 has six SATA ports of its own, named ide.0 to ide.5; pc has two IDE channels with two units each. */
function placeOf(attach: DrivePlan["attach"], place: number, machine: MachinePlan["machine"]["type"]): Place {
  const kind = attach === "cd" ? "ide-cd" : "ide-hd";
  switch (attach) {
    case "usb":
      return { device: "usb-storage,bus=xhci.0,removable=on", controller: ["-device", "qemu-xhci,id=xhci"] };
    case "nvme":
      return { device: `nvme,serial=hiperiso${place}`, controller: [] };
    case "sd":
      // Each reader takes one card, and QEMU puts a card into the first that is empty: their buses all have the same name.
      return { device: "sd-card", controller: ["-device", `sdhci-pci,id=sdhci${place}`] };
    case "virtio":
      return { device: "virtio-blk-pci", controller: [] };
    case "sata":
      if (machine === "pc") return { device: `${kind},bus=sata.${place}`, controller: ["-device", "ich9-ahci,id=sata"] };
      return { device: `${kind},bus=ide.${place}`, controller: [] };
    default:
      if (machine === "pc") return { device: `${kind},bus=ide.${place >> 1},unit=${place & 1}`, controller: [] };
      return { device: `${kind},bus=ide.${place}`, controller: [] };
  }
}

/** Whole words, not lists of options: a comma in them is a comma. */
function kernelArguments({ kernel }: MachinePlan, { joinedInitrds }: BootPlaces): readonly string[] {
  if (kernel === null) return [];
  const [first] = kernel.initrds;
  const initrd = first === undefined ? [] : ["-initrd", kernel.initrds.length === 1 ? first : joinedInitrds];
  return ["-kernel", kernel.path, ...initrd, ...(kernel.append === "" ? [] : ["-append", kernel.append])];
}

/** `file=` would read "name:" as a protocol and "json:" as a description; the node's own option takes any name. */
function fileNode(path: string, blockDevice = false, prefix = ""): string {
  return `${prefix}file.driver=${blockDevice ? "host_device" : "file"},${prefix}file.filename=${qemuOptionValue(path)}`;
}

const ADAPTERS = { std: "VGA", virtio: "virtio-vga" } as const;

function deviceArguments(plan: MachinePlan, places: BootPlaces): readonly string[] {
  const { screen } = plan;
  const adapter = screen.vga === "none" ? [] : ["-device", ADAPTERS[screen.vga]];
  return [
    ...displayArguments(plan.display, places),
    ...adapter,
    ...networkArguments(plan, places),
    ...deviceExtras(plan, places),
    ...["-device", "pvpanic"],
    ...["-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"],
    ...["-chardev", `null,id=${SERIAL_CHARDEV}`, "-serial", `chardev:${SERIAL_CHARDEV}`],
  ];
}

function networkArguments({ network }: MachinePlan, { networkCapture }: BootPlaces): readonly string[] {
  if (network.mode === "none") return [];
  const user = [
    "user,id=net0",
    `restrict=${network.mode === "restricted" ? "on" : "off"}`,
    ...(network.ipv6 ? [] : ["ipv6=off"]),
    ...network.forwards.map(forwardOption),
  ];
  return [
    ...["-netdev", user.join(",")],
    // Without its option ROM: a firmware that tried the network would only add minutes to a boot from the image.
    ...["-device", `${network.card},netdev=net0,romfile=`],
    ...(network.dump ? ["-object", `filter-dump,id=capture,netdev=net0,file=${qemuOptionValue(networkCapture)}`] : []),
  ];
}

function monitorArguments({ monitorSocket }: BootPlaces): readonly string[] {
  return [
    ...["-chardev", `socket,id=recorder,fd=${MONITOR_FD}`, "-mon", "chardev=recorder,mode=control"],
    ...["-chardev", `socket,id=monitor,path=${qemuOptionValue(monitorSocket)},server=on,wait=off`, "-mon", "chardev=monitor,mode=control"],
  ];
}
