/** A machine plan in QEMU's words. Pure: one element per argument, nothing is quoted for a shell. */
import { qemuOptionValue } from "../formats/escape-qemu-option.ts";
import type { MachinePlan } from "./plan.ts";

/** Where the files of one boot stand. All absolute, but the monitor's socket, which may be relative to QEMU's working directory. */
export interface BootPlaces {
  /** Private copy of the variable store, made by the recorder. */
  readonly variables: string;
  readonly firmwareLog: string;
  /** At most 107 bytes: `sockaddr_un` holds no more. */
  readonly monitorSocket: string;
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
    ...imageArguments(plan),
    ...deviceArguments(plan),
    ...monitorArguments(places),
    // A guest that breaks out of its devices finds no new privileges, no processes and no old system calls.
    ...["-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny"],
    // Stopped until the console is attached; and after a shutdown or a panic it stands still for its last screenshot.
    ...["-S", "-action", "shutdown=pause,panic=pause"],
  ];
}

function machineArguments({ machine, accelerator, processor, memoryMb, firmware }: MachinePlan): readonly string[] {
  const secureFlash = firmware.interface === "uefi" && machine.smm ? ["-global", "driver=cfi.pflash01,property=secure,value=on"] : [];
  return [
    ...["-machine", `${machine.type},smm=${machine.smm ? "on" : "off"}`],
    ...["-accel", accelerator.use],
    ...["-cpu", processor.model],
    ...["-smp", String(processor.count)],
    ...["-m", `${memoryMb}M`],
    ...secureFlash,
  ];
}

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

function imageArguments({ image }: MachinePlan): readonly string[] {
  const file = fileNode(image.path, image.blockDevice);
  if (image.attach === "cd") {
    return [
      ...["-drive", `if=none,id=image,media=cdrom,readonly=on,format=raw,${file}`],
      ...["-device", "ide-cd,bus=ide.0,drive=image,bootindex=1"],
    ];
  }
  return [
    ...["-drive", `if=none,id=image,format=raw,snapshot=${image.writable ? "off" : "on"},${file}`],
    ...["-device", "qemu-xhci,id=xhci"],
    ...["-device", "usb-storage,bus=xhci.0,drive=image,removable=on,bootindex=1"],
  ];
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
          ...["-netdev", `user,id=net0,restrict=${network.mode === "restricted" ? "on" : "off"}`],
          ...["-device", "virtio-net-pci,netdev=net0,romfile="],
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
