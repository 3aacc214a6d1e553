/**
 * The disks of this computer, and what uses each: from lsblk, /proc and /sys. Text in, facts out; `readComputer` fetches the text. What
 * follows from the facts is decided in `device-refusals.ts`.
 *
 * Devices are told apart by major:minor. Names are not: "sda" is the start of "sdaa", and the same disk may be mounted as /dev/mapper/x.
 */
import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { execa } from "execa";
import * as z from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { findTool } from "./tools.ts";
import type { Environment } from "./xdg.ts";

export interface BlockDevice {
  /** `major:minor`. */
  readonly number: string;
  /** As the kernel calls it: `sda`, `nvme0n1p2`, `dm-0`. */
  readonly kernelName: string;
  readonly path: string;
  /** lsblk's word: `disk`, `part`, `rom`, `loop`, `crypt`, `lvm`, `raid1`, `mpath`, … */
  readonly type: string;
  readonly sizeBytes: bigint;
  readonly readOnly: boolean;
  /** The medium can be taken out of its drive. A USB disk says no: it goes as a whole. */
  readonly removable: boolean;
  /** The kernel's idea of what may be unplugged; internal SATA disks are told to be that, too. */
  readonly hotplug: boolean;
  /** `usb`, `sata`, `nvme`, `mmc`, …; null where lsblk does not tell. */
  readonly bus: string | null;
  readonly vendor: string | null;
  readonly model: string | null;
  readonly serial: string | null;
  readonly wwn: string | null;
  readonly fileSystem: string | null;
  readonly label: string | null;
  readonly partitionTable: string | null;
  readonly sectorBytes: number;
  /** Numbers of the devices that it is made of; none for a disk. */
  readonly parents: readonly string[];
}

export interface Mount {
  /** Of the device; `0:n` where the file system has none of its own (btrfs, overlay, network). */
  readonly number: string;
  readonly mountPoint: string;
  readonly fileSystem: string;
  /** What was mounted, as it was named. */
  readonly source: string;
}

export interface Swap {
  readonly path: string;
  /** Of the device, or of the one that the file lies on; null where that could not be told. */
  readonly number: string | null;
}

export interface ComputerFacts {
  readonly devices: readonly BlockDevice[];
  readonly mounts: readonly Mount[];
  readonly swaps: readonly Swap[];
  /** By number, names in /sys/class/block/…/holders. */
  readonly holders: ReadonlyMap<string, readonly string[]>;
  /** Kernel names of the devices of each btrfs file system that is in use. */
  readonly btrfs: readonly (readonly string[])[];
  /** By kernel name, what /sys/block/mmcblk…/device/type says: `SD` for a card, `MMC` for what is soldered in. */
  readonly cardTypes: ReadonlyMap<string, string>;
}

const COLUMNS = [
  ["NAME", "KNAME", "PATH", "MAJ:MIN", "TYPE", "SIZE", "RO", "RM", "HOTPLUG", "TRAN", "VENDOR", "MODEL", "SERIAL", "WWN"],
  ["FSTYPE", "LABEL", "PTTYPE", "LOG-SEC"],
].flat();
export const LSBLK_ARGUMENTS = ["-J", "-b", "-o", COLUMNS.join(",")] as const;

/** Versions before 2.33 wrote booleans as "0" and "1", and numbers as text; before 2.33 there is no `path`. */
const flag = z.union([z.boolean(), z.enum(["0", "1"]).transform((text) => text === "1"), z.null().transform(() => false)]);
const count = z.union([z.number(), z.string().regex(/^\d+$/), z.null().transform(() => 0)]);
const words = z.string().nullish();

const node = z.object({
  name: z.string(),
  kname: z.string().nullish(),
  path: words,
  "maj:min": z.string(),
  type: z.string().nullish(),
  size: count,
  ro: flag,
  rm: flag,
  hotplug: flag.optional(),
  tran: words,
  vendor: words,
  model: words,
  serial: words,
  wwn: words,
  fstype: words,
  label: words,
  pttype: words,
  "log-sec": count.optional(),
});
type Node = z.output<typeof node> & { readonly children?: readonly Node[] };
const tree: z.ZodType<Node> = node.extend({
  get children() {
    return z.array(tree).optional();
  },
}) as unknown as z.ZodType<Node>; // zod's type of a schema that holds itself is too wide
const output = z.object({ blockdevices: z.array(tree) });

/** `text` is the output of `lsblk` with `LSBLK_ARGUMENTS`. A device below several others (a RAID) is there once. Throws HiperisoError for other text. */
export function decodeLsblk(text: string): readonly BlockDevice[] {
  let devices: readonly Node[];
  try {
    devices = output.parse(JSON.parse(text)).blockdevices;
  } catch (cause) {
    throw new HiperisoError({ what: "read the list of disks", where: "lsblk", found: reasonOf(cause), cause });
  }
  const found = new Map<string, BlockDevice>();
  const visit = (device: Node, parent: string | undefined): void => {
    const number = device["maj:min"].trim();
    const known = found.get(number);
    const parents = [...(known?.parents ?? []), ...(parent === undefined ? [] : [parent])];
    found.set(number, { ...(known ?? deviceOf(device, number)), parents });
    for (const child of device.children ?? []) visit(child, number);
  };
  for (const device of devices) visit(device, undefined);
  return [...found.values()];
}

function deviceOf(device: Node, number: string): Omit<BlockDevice, "parents"> {
  const text = (value: string | null | undefined) => {
    const trimmed = value?.trim() ?? "";
    return trimmed === "" ? null : trimmed;
  };
  const kernelName = device.kname ?? device.name;
  return {
    number,
    kernelName,
    path: device.path ?? `/dev/${kernelName}`,
    type: device.type ?? "unknown",
    sizeBytes: BigInt(device.size),
    readOnly: device.ro,
    removable: device.rm,
    hotplug: device.hotplug ?? false,
    bus: text(device.tran),
    vendor: text(device.vendor),
    model: text(device.model),
    serial: text(device.serial),
    wwn: text(device.wwn),
    fileSystem: text(device.fstype),
    label: text(device.label),
    partitionTable: text(device.pttype),
    sectorBytes: Number(device["log-sec"] ?? 512) || 512,
  };
}

/** /proc/self/mountinfo: proc(5). Blanks in paths stand as `\040`. */
export function decodeMountInfo(text: string): readonly Mount[] {
  return text.split("\n").flatMap((line) => {
    const fields = line.split(" ");
    const dash = fields.indexOf("-", 6);
    const [, , number, , mountPoint] = fields;
    const [fileSystem, source] = dash === -1 ? [] : fields.slice(dash + 1);
    if (number === undefined || mountPoint === undefined || fileSystem === undefined || source === undefined) return [];
    return [{ number, mountPoint: unescaped(mountPoint), fileSystem, source: unescaped(source) }];
  });
}

/** The kernel escapes blank, tab, LF and backslash; all else stands as it is. */
const unescaped = (text: string): string =>
  text.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));

/** Paths in /proc/swaps. */
export function decodeSwaps(text: string): readonly string[] {
  return text
    .split("\n")
    .slice(1)
    .flatMap((line) => {
      const [path] = line.split(/\s+/);
      return path === undefined || path === "" ? [] : [unescaped(path)];
    });
}

/** What this computer has now. Needs no root; without it lsblk may not know file systems. */
export async function readComputer(env: Environment, signal: AbortSignal, { proc = "/proc", sys = "/sys" } = {}): Promise<ComputerFacts> {
  const lsblk = await findTool("lsblk", env);
  const { stdout } = await execa(lsblk, [...LSBLK_ARGUMENTS], {
    extendEnv: false,
    env: { LC_ALL: "C", PATH: env["PATH"] ?? "" },
    cancelSignal: signal,
  });
  const devices = decodeLsblk(stdout);
  const mounts = decodeMountInfo(await textOf(join(proc, "self/mountinfo")));
  const swaps = await Promise.all(
    decodeSwaps(await textOf(join(proc, "swaps"))).map(async (path): Promise<Swap> => ({ path, number: await numberOf(path, mounts) })),
  );
  const holders = new Map<string, readonly string[]>();
  const cardTypes = new Map<string, string>();
  for (const { number, kernelName } of devices) {
    const names = await namesIn(join(sys, "class/block", kernelName, "holders"));
    if (names.length > 0) holders.set(number, names);
    if (/^mmcblk\d+$/.test(kernelName)) cardTypes.set(kernelName, (await textOf(join(sys, "block", kernelName, "device/type"))).trim());
  }
  const btrfs = await Promise.all((await namesIn(join(sys, "fs/btrfs"))).map((uuid) => namesIn(join(sys, "fs/btrfs", uuid, "devices"))));
  return { devices, mounts, swaps, holders, btrfs: btrfs.filter((members) => members.length > 0), cardTypes };
}

const textOf = (path: string): Promise<string> => readFile(path, "utf8").catch(() => "");
const namesIn = (path: string): Promise<string[]> => readdir(path).catch(() => []);

/** Of a device, itself; of a swap file, the device of its file system. */
async function numberOf(path: string, mounts: readonly Mount[]): Promise<string | null> {
  try {
    const { rdev, dev, mode } = await stat(path, { bigint: true });
    const isBlock = (mode & 0o170000n) === 0o060000n;
    const number = deviceNumber(isBlock ? rdev : dev);
    if (isBlock || mounts.some((mount) => mount.number === number)) return number;
    return null;
  } catch {
    return null;
  }
}

/** dev_t as glibc packs it: 12 + 20 bits of major, 8 + 24 of minor, interleaved. */
export function deviceNumber(device: bigint): string {
  const major = ((device >> 8n) & 0xfffn) | ((device >> 32n) & 0xfffff000n);
  const minor = (device & 0xffn) | ((device >> 12n) & 0xffffff00n);
  return `${major}:${minor}`;
}
