/** Which disks may be written, and why each other one may not: decided from facts alone. */
import type { BlockDevice, ComputerFacts, Mount } from "./block-devices.ts";

export type RefusalId =
  | "running-system"
  | "mounted"
  | "swap"
  | "held"
  | "member"
  | "not-a-disk"
  | "no-medium"
  | "read-only"
  | "too-small"
  | "fixed";

export interface Refusal {
  readonly id: RefusalId;
  /** A sentence's end: "it is mounted at /media/x". */
  readonly text: string;
  /** What a person can do about it, where anything can be done. */
  readonly hint: string | undefined;
}

export interface DeviceVerdict {
  readonly device: BlockDevice;
  /** What is on it, itself and below, for people: `gpt: exfat "DATA", vfat "VTOYEFI"`. */
  readonly contents: string;
  /** The gravest first; none: it may be written. */
  readonly refusals: readonly Refusal[];
}

export interface Wanted {
  /** Disks that are built in too. */
  readonly allowFixed: boolean;
  readonly neededBytes: bigint;
}

/** Where a system runs from: mounted there, a disk carries it. The last ones are of live systems. */
const SYSTEM_MOUNTS =
  /^\/(?:|boot(?:\/efi)?|efi|usr|nix(?:\/store)?|var|etc|cdrom|isodevice|run\/(?:live|initramfs|archiso|miso|mnt)\/.*|run\/live|lib\/live\/mount\/.*|mnt\/(?:live|cdrom)|initrd\/.*|livemnt\/.*|sysroot)$/;

/** File systems that are parts of something bigger, as blkid calls them. */
const MEMBERS: Readonly<Record<string, string>> = {
  LVM2_member: "a volume group of LVM",
  LVM1_member: "a volume group of LVM",
  linux_raid_member: "a Linux RAID",
  isw_raid_member: "a RAID of the firmware (Intel)",
  ddf_raid_member: "a RAID of the firmware (DDF)",
  ddf_raid: "a RAID of the firmware (DDF)",
  nvidia_raid_member: "a RAID of the firmware (Nvidia)",
  promise_fasttrack_raid_member: "a RAID of the firmware (Promise)",
  silicon_medley_raid_member: "a RAID of the firmware (Silicon Image)",
  via_raid_member: "a RAID of the firmware (VIA)",
  zfs_member: "a pool of ZFS",
  crypto_LUKS: "an encrypted volume (LUKS)",
  BitLocker: "an encrypted volume (BitLocker)",
  bcache: "a bcache set",
  mpath_member: "a disk with several paths",
  VMFS_volume_member: "a datastore of VMware",
  ceph_bluestore: "a Ceph store",
  drbd: "a DRBD volume",
  vdo: "a VDO volume",
  stratis: "a Stratis pool",
};

/** Every disk, also those that are refused, in the order of the facts; parts of disks are judged with their disk. */
export function judgeDevices(facts: ComputerFacts, wanted: Wanted): readonly DeviceVerdict[] {
  return facts.devices
    .filter(({ parents }) => parents.length === 0)
    .map((device) => ({
      device,
      contents: contentsOf(facts, device),
      refusals: refusalsOf(facts, device, wanted),
    }));
}

/** The same for one device, whatever it is: a partition that a person named is refused as no disk. */
export function refusalsOf(facts: ComputerFacts, device: BlockDevice, { allowFixed, neededBytes }: Wanted): readonly Refusal[] {
  const below = withDescendants(facts, device);
  const refusals: Refusal[] = [];
  const refuse = (id: RefusalId, text: string, hint?: string) => refusals.push({ id, text, hint });

  const mounts = below.flatMap((part) => mountsOf(facts, part).map((mount) => ({ part, mount })));
  const system = mounts.find(({ mount }) => SYSTEM_MOUNTS.test(mount.mountPoint));
  if (system !== undefined)
    refuse("running-system", `it carries the running system: ${system.part.path} is mounted at ${system.mount.mountPoint}`);
  for (const { part, mount } of mounts)
    if (!SYSTEM_MOUNTS.test(mount.mountPoint))
      refuse(
        "mounted",
        `${part === device ? "it" : part.path} is mounted at ${mount.mountPoint}`,
        `Unmount it: umount ${mount.mountPoint}`,
      );
  for (const { path, number } of facts.swaps)
    if (number !== null && below.some((part) => part.number === number))
      refuse("swap", `${path} on it is swap space in use`, `Turn it off: swapoff ${path}`);
  for (const part of below) {
    const holders = facts.holders.get(part.number) ?? [];
    // What lsblk shows below a device is in `below` itself and judged there; the holder is why the device cannot be opened alone.
    if (holders.length > 0)
      refuse("held", `${part === device ? "it" : part.path} is in use by ${holders.join(", ")}`, "Stop what uses it first.");
    const btrfs = facts.btrfs.find((members) => members.length > 1 && members.includes(part.kernelName));
    if (btrfs !== undefined)
      refuse("member", `${part === device ? "it" : part.path} is part of a btrfs file system of ${btrfs.length} devices`);
    const member = part.fileSystem === null ? undefined : MEMBERS[part.fileSystem];
    if (member !== undefined)
      refuse(
        "member",
        `${part === device ? "it" : part.path} is part of ${member}`,
        "If nothing on it is needed any more, wipe it first: wipefs.",
      );
  }
  if (device.parents.length > 0 || !isDisk(device)) refuse("not-a-disk", `it is no whole disk but a ${nameOfType(device)}`);
  else if (device.sizeBytes === 0n) refuse("no-medium", "it has no medium");
  if (device.readOnly) refuse("read-only", "it is write-protected", "Look for a switch on the card or stick.");
  if (device.sizeBytes > 0n && device.sizeBytes < neededBytes)
    refuse("too-small", `it has ${device.sizeBytes} bytes, needed are ${neededBytes}`);
  if (!allowFixed && refusals.every(({ id }) => id !== "not-a-disk") && !canBeTakenOut(facts, device))
    refuse("fixed", "it is built in", "If it is the right one all the same: --allow-fixed.");
  return refusals;
}

/** A USB disk says that its medium stays in, a SATA disk that it may be unplugged: the bus decides, and for cards what they are. */
export function canBeTakenOut({ cardTypes }: ComputerFacts, { bus, removable, kernelName }: BlockDevice): boolean {
  const card = cardTypes.get(kernelName);
  if (card !== undefined) return card === "SD";
  return bus === "usb" || bus === "ieee1394" || bus === "sbp" || removable;
}

const isDisk = ({ type, kernelName }: BlockDevice): boolean =>
  (type === "disk" && !/^(?:zram|ram|nbd|mtdblock)\d|^mmcblk\d+(?:boot\d|rpmb|gp\d)$|^(?:fd|sr)\d/.test(kernelName)) || type === "loop";

const nameOfType = ({ type, kernelName }: BlockDevice): string => {
  if (type === "part") return "partition";
  if (type === "rom") return "drive for CDs";
  if (/^zram|^ram/.test(kernelName)) return "piece of memory";
  if (/^mmcblk\d+boot/.test(kernelName)) return "boot area of a built-in card";
  return `device of type ${type}`;
};

/** The device and everything that is made of it. */
function withDescendants({ devices }: ComputerFacts, device: BlockDevice): readonly BlockDevice[] {
  const below = [device];
  for (const part of below)
    for (const child of devices) if (child.parents.includes(part.number) && !below.includes(child)) below.push(child);
  return below;
}

/** By number; where the file system has one of its own (btrfs), by what was mounted or by the file system's list of devices. */
function mountsOf({ mounts, btrfs }: ComputerFacts, { number, path, kernelName }: BlockDevice): readonly Mount[] {
  const together = btrfs.find((members) => members.includes(kernelName)) ?? [kernelName];
  const sources = new Set([path, ...together.map((name) => `/dev/${name}`)]);
  return mounts.filter((mount) => mount.number === number || (mount.number.startsWith("0:") && sources.has(mount.source)));
}

function contentsOf(facts: ComputerFacts, device: BlockDevice): string {
  const parts = withDescendants(facts, device).flatMap(({ fileSystem, label }) =>
    fileSystem === null ? [] : [label === null ? fileSystem : `${fileSystem} "${label}"`],
  );
  const table = device.partitionTable;
  if (parts.length === 0) return table ?? "nothing known";
  return table === null ? parts.join(", ") : `${table}: ${parts.join(", ")}`;
}
