/**
 * What hardware a session was recorded on: small text files for `hw/`, from /proc and /sys alone. Nothing in them
 * identifies the computer or its owner: serial numbers are not read, and all text is masked.
 */
import { closeSync, existsSync, openSync, readdirSync, readlinkSync, readSync } from "node:fs";
import { basename, join } from "node:path";
import { type Identity, maskIdentity } from "./mask.ts";

export interface InventoryFile {
  /** `host_….txt` */
  readonly name: string;
  /** At most 65,536 characters; ends with a newline. */
  readonly text: string;
}

export interface InventoryOptions {
  /** Who is hidden: `readIdentity`. */
  readonly identity: Identity;
  readonly signal: AbortSignal;
  readonly proc?: string;
  readonly sys?: string;
}

const TEXT_MAX = 65_536;
const DEVICES_MAX = 512;

/** Files for which this computer tells nothing are left out. Throws only when aborted. */
export async function* collectHostInventory({
  identity,
  signal,
  proc = "/proc",
  sys = "/sys",
}: InventoryOptions): AsyncGenerator<InventoryFile> {
  for (const [name, describe] of SECTIONS) {
    signal.throwIfAborted();
    const text = maskIdentity(describe({ proc, sys }), identity).trimEnd();
    if (text !== "") yield { name, text: `${text.slice(0, TEXT_MAX - 1)}\n` };
  }
}

interface Roots {
  readonly proc: string;
  readonly sys: string;
}

const SECTIONS: readonly (readonly [string, (roots: Roots) => string])[] = [
  ["host_cpuinfo.txt", ({ proc, sys }) => processors(read(join(proc, "cpuinfo")), read(join(sys, "devices/system/cpu/online")))],
  ["host_meminfo.txt", ({ proc }) => read(join(proc, "meminfo"))],
  ["host_kernel.txt", ({ proc }) => read(join(proc, "version"))],
  ["host_cmdline.txt", ({ proc }) => read(join(proc, "cmdline"))],
  ["host_pci.txt", ({ sys }) => eachDevice(join(sys, "bus/pci/devices"), plain, pciDevice)],
  ["host_usb.txt", ({ sys }) => eachDevice(join(sys, "bus/usb/devices"), numbered, usbDevice)],
  ["host_block.txt", ({ sys }) => eachDevice(join(sys, "block"), numbered, blockDevice)],
  ["host_dmi.txt", ({ sys }) => DMI_FIELDS.map((field) => keyed(field, value(join(sys, "class/dmi/id", field)))).join("")],
  ["host_firmware.txt", ({ sys }) => firmware(sys)],
];

/** The first processor in full; all of them are alike, and a big computer has hundreds. */
function processors(cpuinfo: string, online: string): string {
  const [first = ""] = cpuinfo.split("\n\n");
  return first === "" ? "" : `${first}\n\nonline\t\t: ${online.trim() || "?"}\n`;
}

/** `0000:00:1f.2 class 010601 8086:2922 subsystem 1af4:1100 driver ahci` */
function pciDevice(folder: string): string {
  const id = (name: string) => value(join(folder, name)).replace(/^0x/, "");
  if (id("vendor") === "") return "";
  return `${basename(folder)} class ${id("class")} ${id("vendor")}:${id("device")} subsystem ${id("subsystem_vendor")}:${id("subsystem_device")} driver ${link(join(folder, "driver"))}\n`;
}

/** `1-1.2 0781:5583 USB 3.20, 5000 Mb/s, class 00`. No names: what a person calls a telephone is in there. */
function usbDevice(folder: string): string {
  const field = (name: string) => value(join(folder, name));
  if (field("idVendor") === "") return ""; // an interface
  return `${basename(folder)} ${field("idVendor")}:${field("idProduct")} USB ${field("version")}, ${field("speed")} Mb/s, class ${field("bDeviceClass")}\n`;
}

const SECTOR_BYTES = 512n;
const MIB = 1_048_576n;

/** `sda 476940 MiB, rotational 0, removable 0, read-only 0, block 512, model Samsung SSD 870`. */
function blockDevice(folder: string): string {
  const field = (name: string) => value(join(folder, name));
  const sectors = /^\d+$/.test(field("size")) ? BigInt(field("size")) : 0n;
  if (sectors === 0n) return ""; // an unused loop device, a drive without a medium
  const facts = [
    `${(sectors * SECTOR_BYTES) / MIB} MiB`,
    `rotational ${field("queue/rotational")}`,
    `removable ${field("removable")}`,
    `read-only ${field("ro")}`,
    `block ${field("queue/logical_block_size")}`,
    `model ${field("device/model") || "-"}`,
  ];
  return `${basename(folder)} ${facts.join(", ")}\n`;
}

/** Neither serial numbers nor the UUID nor asset tags. */
const DMI_FIELDS = [
  "sys_vendor",
  "product_name",
  "product_version",
  "board_vendor",
  "board_name",
  "chassis_type",
  "bios_vendor",
  "bios_version",
  "bios_date",
];

/** `SecureBoot`, in the global variable GUID (UEFI 2.10, 3.3): four bytes of attributes, then 0 or 1. */
const SECURE_BOOT = "firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c";

function firmware(sys: string): string {
  if (!existsSync(join(sys, "firmware"))) return "";
  if (!existsSync(join(sys, "firmware/efi"))) return keyed("interface", "bios");
  const secureBoot = { "\x00": "off", "\x01": "on" }[read(join(sys, SECURE_BOOT), "latin1").charAt(4)];
  return (
    keyed("interface", "efi") + keyed("bits", value(join(sys, "firmware/efi/fw_platform_size"))) + keyed("secure boot", secureBoot ?? "")
  );
}

const keyed = (key: string, text: string): string => (text === "" ? "" : `${key}: ${text}\n`);

type Order = (a: string, b: string) => number;
/** `1-9` before `1-10`. */
const numbered: Order = (a, b) => a.localeCompare(b, "en", { numeric: true });
/** PCI addresses are hexadecimal and equally long. */
const plain: Order = (a, b) => (a < b ? -1 : 1);

function eachDevice(folder: string, order: Order, describe: (folder: string) => string): string {
  return names(folder)
    .sort(order)
    .slice(0, DEVICES_MAX)
    .map((name) => describe(join(folder, name)))
    .join("");
}

function names(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

const link = (path: string): string => {
  try {
    return basename(readlinkSync(path));
  } catch {
    return "-";
  }
};

/** A line of sysfs: printable, without blanks around it. */
const value = (path: string): string =>
  read(path)
    .replace(/[\0-\x20\x7f]+/g, " ")
    .trim();

const scratch = Buffer.allocUnsafe(TEXT_MAX);

/**
 * The beginning of a file, or nothing. Synchronous on purpose: these are hundreds of files that the kernel makes up in
 * microseconds, and each would cost more on its way through the thread pool.
 */
function read(path: string, encoding: "utf8" | "latin1" = "utf8"): string {
  let file: number | undefined;
  try {
    file = openSync(path, "r");
    let length = 0;
    for (let got = -1; got !== 0 && length < scratch.length; length += got)
      got = readSync(file, scratch, length, scratch.length - length, null);
    return scratch.toString(encoding, 0, length);
  } catch {
    return "";
  } finally {
    if (file !== undefined) closeSync(file);
  }
}
