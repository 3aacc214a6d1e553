/** A machine plan in QEMU's words. Pure: one element per argument, nothing is quoted for a shell. */
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import type { DrivePlan, MachinePlan } from "./plan.ts";

/** Where the files of one boot stand. All absolute, but the monitor's socket, which may be relative to QEMU's working directory. */
export interface BootPlaces {
  /** Private copy of the variable store, made by the recorder. */
  readonly variables: string;
  readonly firmwareLog: string;
  /** At most 107 bytes: `sockaddr_un` holds no more. */
  readonly monitorSocket: string;
  /** Where the recorder joins the kernel's initrds, if there are several. */
  readonly joinedInitrds: string;
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
    ...driveArguments(plan),
    ...kernelArguments(plan, places),
    ...deviceArguments(plan),
    ...monitorArguments(places),
    // A guest that breaks out of its devices finds no new privileges, no processes and no old system calls.
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    // Stopped until the console is attached; and after a shutdown or a panic it stands still for its last screenshot.
    ...["-S", "-action", `${plan.reset.does === "stop" ? "reboot=shutdown," : ""}shutdown=pause,panic=pause`],
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
const machineOption = ({ type, smm, splitIrqchip, serialScreen }: MachinePlan["machine"]): string =>
  [type, `smm=${smm ? "on" : "off"}`, ...(splitIrqchip ? ["kernel-irqchip=split"] : []), ...(serialScreen ? ["graphics=off"] : [])].join(
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
function driveArguments({ machine, image, drives }: MachinePlan): readonly string[] {
  const controllers = new Set<string>();
  const taken = new Map<DrivePlan["attach"], number>();
  return [...(image === null ? [] : [image]), ...drives].flatMap((drive, index) => {
    const isImage = drive === image;
    const id = isImage ? "image" : `disk${image === null ? index : index - 1}`;
    // A CD stands on the same controller as IDE or SATA disks do.
    const bus = drive.attach === "cd" ? (machine.type === "pc" ? "ide" : "sata") : drive.attach;
    const place = taken.get(bus) ?? 0;
    taken.set(bus, place + 1);
    const { device, controller } = placeOf(drive.attach, place, machine.type);
    const missing = controllers.has(controller.join(" ")) ? [] : controller;
    controllers.add(controller.join(" "));
    const file = fileNode(drive.path, drive.blockDevice);
    const medium = drive.attach === "cd" ? "media=cdrom,readonly=on,format=raw" : `format=raw,snapshot=${drive.writable ? "off" : "on"}`;
    return [
      ...["-drive", `if=none,id=${id},${medium},${file}`],
      ...missing,
      ...["-device", `${device},drive=${id}${drive.attach === "usb" ? ",removable=on" : ""}${isImage ? ",bootindex=1" : ""}`],
    ];
  });
}

/** q35 has six SATA ports of its own, named ide.0 to ide.5; pc has two IDE channels with two units each. */
function placeOf(attach: DrivePlan["attach"], place: number, machine: MachinePlan["machine"]["type"]): Place {
  const kind = attach === "cd" ? "ide-cd" : "ide-hd";
  switch (attach) {
    case "usb":
      return { device: "usb-storage,bus=xhci.0", controller: ["-device", "qemu-xhci,id=xhci"] };
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
function fileNode(path: string, blockDevice = false): string {
  return `file.driver=${blockDevice ? "host_device" : "file"},file.filename=${qemuOptionValue(path)}`;
}

const ADAPTERS = { std: "VGA", virtio: "virtio-vga" } as const;

function deviceArguments({ screen, network }: MachinePlan): readonly string[] {
  const adapter = screen.vga === "none" ? [] : ["-device", ADAPTERS[screen.vga]];
  const card =
    network.mode === "none"
      ? []
      : [
          // Without its option ROM: a firmware that tried the network would only add minutes to a boot from the image.
          ...["-netdev", `user,id=net0,restrict=${network.mode === "restricted" ? "on" : "off"}${network.ipv6 ? "" : ",ipv6=off"}`],
          ...["-device", `${network.card},netdev=net0,romfile=`],
        ];
  return [
    ...["-display", "none"],
    ...adapter,
    ...card,
    ...["-device", "pvpanic"],
    ...["-object", "rng-random,id=rng0,filename=/dev/urandom", "-device", "virtio-rng-pci,rng=rng0"],
    ...["-chardev", `null,id=${SERIAL_CHARDEV}`, "-serial", `chardev:${SERIAL_CHARDEV}`],
  ];
}

function monitorArguments({ monitorSocket }: BootPlaces): readonly string[] {
  return [
    ...["-chardev", `socket,id=recorder,fd=${MONITOR_FD}`, "-mon", "chardev=recorder,mode=control"],
    ...["-chardev", `socket,id=monitor,path=${qemuOptionValue(monitorSocket)},server=on,wait=off`, "-mon", "chardev=monitor,mode=control"],
  ];
}
