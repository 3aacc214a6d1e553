/**
 * What lsblk, /proc and /sys say on computers of many kinds, as their formats have it: composed, not taken from anyone's. `disks` says of each whole
 * disk what a person should be told: nothing when it may be written, else the refusals in the order in which they are given.
 */
import type { RefusalId } from "../../src/host/device-refusals.ts";

type Json = string | number | boolean | null;

export interface LsblkNode {
  readonly [column: string]: Json | readonly LsblkNode[] | undefined;
  readonly children?: readonly LsblkNode[];
}

export interface Computer {
  readonly about: string;
  readonly lsblk: readonly LsblkNode[];
  /** `number mountPoint fileSystem source` a line. */
  readonly mounts: readonly string[];
  /** `path number` a line. */
  readonly swaps?: readonly string[];
  /** number → names */
  readonly holders?: Readonly<Record<string, readonly string[]>>;
  readonly btrfs?: readonly (readonly string[])[];
  readonly cardTypes?: Readonly<Record<string, string>>;
  /** By path. */
  readonly disks: Readonly<Record<string, readonly RefusalId[]>>;
  /** The same where built-in disks are allowed. */
  readonly disksAllowingFixed?: Readonly<Record<string, readonly RefusalId[]>>;
}

const GB = 1_000_000_000;

interface DiskShape {
  readonly size?: number;
  readonly bus?: string | null;
  readonly rm?: boolean;
  readonly hotplug?: boolean;
  readonly ro?: boolean;
  readonly model?: string;
  readonly fs?: string;
  readonly label?: string;
  readonly table?: string | null;
  readonly sector?: number;
  readonly type?: string;
}

function entry(name: string, number: string, shape: DiskShape, children: readonly LsblkNode[] = []): LsblkNode {
  const base = {
    name,
    kname: name,
    path: `/dev/${name}`,
    "maj:min": number,
    type: shape.type ?? "disk",
    size: Math.round((shape.size ?? 500) * GB),
    ro: shape.ro ?? false,
    rm: shape.rm ?? false,
    hotplug: shape.hotplug ?? false,
    tran: shape.bus ?? null,
    vendor: null,
    model: shape.model ?? null,
    serial: null,
    wwn: null,
    fstype: shape.fs ?? null,
    label: shape.label ?? null,
    pttype: shape.table === undefined ? (children.length > 0 ? "gpt" : null) : shape.table,
    "log-sec": shape.sector ?? 512,
  };
  return children.length === 0 ? base : { ...base, children };
}

const disk = entry;
const part = (name: string, number: string, fs: string | null, children: readonly LsblkNode[] = [], label?: string): LsblkNode =>
  entry(
    name,
    number,
    { type: "part", size: 100, table: "gpt", ...(fs === null ? {} : { fs }), ...(label === undefined ? {} : { label }) },
    children,
  );
const made = (
  kernelName: string,
  number: string,
  type: string,
  mapperName: string,
  fs: string | null,
  children: readonly LsblkNode[] = [],
) => ({
  ...entry(kernelName, number, { type, size: 90, ...(fs === null ? {} : { fs }), table: null }, children),
  name: mapperName,
  path: mapperName === kernelName ? `/dev/${kernelName}` : `/dev/mapper/${mapperName}`,
});

const usbStick = (name: string, number: string, children: readonly LsblkNode[] = [], shape: DiskShape = {}): LsblkNode =>
  disk(name, number, { size: 32, bus: "usb", rm: true, hotplug: true, model: "Flash Drive", ...shape }, children);
const nvmeSystem = disk("nvme0n1", "259:0", { bus: "nvme", model: "NVMe SSD" }, [
  part("nvme0n1p1", "259:1", "vfat"),
  part("nvme0n1p2", "259:2", "ext4"),
]);
const nvmeMounts = ["259:2 / ext4 /dev/nvme0n1p2", "259:1 /boot/efi vfat /dev/nvme0n1p1"];
const NVME: Readonly<Record<string, readonly RefusalId[]>> = { "/dev/nvme0n1": ["running-system", "fixed"] };

/** As util-linux before 2.33 has it: text for numbers and truth, no paths. */
function aged({ path: _, children, ...node }: LsblkNode): LsblkNode {
  const old: Record<string, Json> = {};
  for (const [key, value] of Object.entries(node))
    old[key] = typeof value === "boolean" ? (value ? "1" : "0") : typeof value === "number" ? `${value}` : (value as Json);
  return children === undefined ? old : { ...old, children: children.map(aged) };
}

export const COMPUTERS: readonly Computer[] = [
  {
    about: "a laptop with an NVMe disk and a USB stick",
    lsblk: [nvmeSystem, usbStick("sda", "8:0", [part("sda1", "8:1", "exfat", [], "DATA")])],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": [] },
    disksAllowingFixed: { "/dev/nvme0n1": ["running-system"], "/dev/sda": [] },
  },
  {
    about: "the same, with the stick mounted by the desktop at a path with a blank",
    lsblk: [nvmeSystem, usbStick("sda", "8:0", [part("sda1", "8:1", "exfat")])],
    mounts: [...nvmeMounts, "8:1 /media/jo/USB\\040STICK exfat /dev/sda1"],
    disks: { ...NVME, "/dev/sda": ["mounted"] },
  },
  {
    about: "a laptop whose card reader holds an SD card, on the PCI bus",
    lsblk: [nvmeSystem, disk("mmcblk0", "179:0", { size: 64, bus: "mmc" }, [part("mmcblk0p1", "179:1", "vfat")])],
    mounts: nvmeMounts,
    cardTypes: { mmcblk0: "SD" },
    disks: { ...NVME, "/dev/mmcblk0": [] },
  },
  {
    about: "a Chromebook that runs from soldered eMMC, with its boot areas",
    lsblk: [
      disk("mmcblk0", "179:0", { size: 32, bus: "mmc" }, [part("mmcblk0p1", "179:1", "ext4"), part("mmcblk0p2", "179:2", "vfat")]),
      disk("mmcblk0boot0", "179:8", { size: 0.5, bus: "mmc", ro: true }),
      disk("mmcblk0boot1", "179:16", { size: 0.5, bus: "mmc", ro: true }),
    ],
    mounts: ["179:1 / ext4 /dev/mmcblk0p1"],
    cardTypes: { mmcblk0: "MMC" },
    disks: {
      "/dev/mmcblk0": ["running-system", "fixed"],
      "/dev/mmcblk0boot0": ["not-a-disk", "read-only"],
      "/dev/mmcblk0boot1": ["not-a-disk", "read-only"],
    },
  },
  {
    about: "a USB card reader with four slots, one of them full",
    lsblk: [
      nvmeSystem,
      usbStick("sda", "8:0", [], { size: 0 }),
      usbStick("sdb", "8:16", [part("sdb1", "8:17", "vfat")]),
      usbStick("sdc", "8:32", [], { size: 0 }),
    ],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": ["no-medium"], "/dev/sdb": [], "/dev/sdc": ["no-medium"] },
  },
  {
    about: "a USB SSD that calls itself not removable",
    lsblk: [
      nvmeSystem,
      disk("sda", "8:0", { size: 1000, bus: "usb", hotplug: true, model: "Portable SSD" }, [part("sda1", "8:1", "ntfs")]),
    ],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": [] },
  },
  {
    about: "a tower with SATA disks that the controller calls hot-pluggable",
    lsblk: [
      disk("sda", "8:0", { bus: "sata", hotplug: true }, [part("sda1", "8:1", "ext4")]),
      disk("sdb", "8:16", { bus: "sata", hotplug: true, size: 4000 }, [part("sdb1", "8:17", "ext4", [], "archive")]),
    ],
    mounts: ["8:1 / ext4 /dev/sda1"],
    disks: { "/dev/sda": ["running-system", "fixed"], "/dev/sdb": ["fixed"] },
    disksAllowingFixed: { "/dev/sda": ["running-system"], "/dev/sdb": [] },
  },
  {
    about: "twenty-seven disks: sda is idle, sdaa is mounted",
    lsblk: [
      usbStick("sda", "8:0", [part("sda1", "8:1", "vfat")]),
      disk("sdaa", "65:160", { bus: "sas" }, [part("sdaa1", "65:161", "xfs")]),
    ],
    mounts: ["65:161 / xfs /dev/sdaa1"],
    disks: { "/dev/sda": [], "/dev/sdaa": ["running-system", "fixed"] },
  },
  {
    about: "a server with a mirror of two disks (md), mounted",
    lsblk: ["a", "b"].map((letter, index) =>
      disk(`sd${letter}`, `8:${16 * index}`, { bus: "sas" }, [
        part(`sd${letter}1`, `8:${16 * index + 1}`, "linux_raid_member", [made("md0", "9:0", "raid1", "md0", "ext4")]),
      ]),
    ),
    mounts: ["9:0 / ext4 /dev/md0"],
    holders: { "8:1": ["md0"], "8:17": ["md0"] },
    disks: { "/dev/sda": ["running-system", "held", "member", "fixed"], "/dev/sdb": ["running-system", "held", "member", "fixed"] },
  },
  {
    about: "a disk of a RAID that is not assembled, in a USB dock",
    lsblk: [nvmeSystem, disk("sda", "8:0", { bus: "usb", fs: "linux_raid_member", table: null })],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": ["member"] },
  },
  {
    about: "RAID of the firmware on two SATA disks",
    lsblk: [
      disk("sda", "8:0", { bus: "sata", fs: "isw_raid_member", table: null }),
      disk("sdb", "8:16", { bus: "sata", fs: "ddf_raid_member", table: null }),
    ],
    mounts: [],
    disks: { "/dev/sda": ["member", "fixed"], "/dev/sdb": ["member", "fixed"] },
  },
  {
    about: "LVM on LUKS, as distributions install it",
    lsblk: [
      disk("sda", "8:0", { bus: "sata" }, [
        part("sda1", "8:1", "ext4"),
        part("sda2", "8:2", "crypto_LUKS", [
          made("dm-0", "254:0", "crypt", "sda2_crypt", "LVM2_member", [
            made("dm-1", "254:1", "lvm", "vg-root", "ext4"),
            made("dm-2", "254:2", "lvm", "vg-swap", "swap"),
          ]),
        ]),
      ]),
    ],
    mounts: ["254:1 / ext4 /dev/mapper/vg-root", "8:1 /boot ext4 /dev/sda1"],
    swaps: ["/dev/dm-2 254:2"],
    holders: { "8:2": ["dm-0"], "254:0": ["dm-1", "dm-2"] },
    disks: { "/dev/sda": ["running-system", "swap", "held", "member", "held", "member", "fixed"] },
  },
  {
    about: "a volume group on a USB disk, inactive",
    lsblk: [nvmeSystem, disk("sda", "8:0", { bus: "usb" }, [part("sda1", "8:1", "LVM2_member")])],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": ["member"] },
  },
  {
    about: "an encrypted USB stick, locked",
    lsblk: [nvmeSystem, usbStick("sda", "8:0", [part("sda1", "8:1", "crypto_LUKS")])],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": ["member"] },
  },
  {
    about: "a stick with swap in use",
    lsblk: [nvmeSystem, usbStick("sda", "8:0", [part("sda1", "8:1", "swap")])],
    mounts: nvmeMounts,
    swaps: ["/dev/sda1 8:1"],
    disks: { ...NVME, "/dev/sda": ["swap"] },
  },
  {
    about: "a swap file on a mounted data disk",
    lsblk: [nvmeSystem, disk("sda", "8:0", { bus: "usb" }, [part("sda1", "8:1", "ext4")])],
    mounts: [...nvmeMounts, "8:1 /srv/data ext4 /dev/sda1"],
    swaps: ["/srv/data/swapfile 8:1"],
    disks: { ...NVME, "/dev/sda": ["mounted", "swap"] },
  },
  {
    about: "btrfs over two USB disks; only one is named in the mount",
    lsblk: [
      nvmeSystem,
      disk("sda", "8:0", { bus: "usb", fs: "btrfs", table: null }),
      disk("sdb", "8:16", { bus: "usb", fs: "btrfs", table: null }),
    ],
    mounts: [...nvmeMounts, "0:44 /srv/pool btrfs /dev/sda"],
    btrfs: [["sda", "sdb"]],
    disks: { ...NVME, "/dev/sda": ["mounted", "member"], "/dev/sdb": ["mounted", "member"] },
  },
  {
    about: "a laptop whose root is a btrfs subvolume, mounted twice",
    lsblk: [disk("nvme0n1", "259:0", { bus: "nvme" }, [part("nvme0n1p3", "259:3", "btrfs")]), usbStick("sda", "8:0")],
    mounts: ["0:25 / btrfs /dev/nvme0n1p3", "0:25 /home btrfs /dev/nvme0n1p3"],
    btrfs: [["nvme0n1p3"]],
    disks: { "/dev/nvme0n1": ["running-system", "mounted", "fixed"], "/dev/sda": [] },
  },
  {
    about: "a pool of ZFS, whose mounts name no device",
    lsblk: [
      disk("sda", "8:0", { bus: "sata" }, [part("sda1", "8:1", "zfs_member"), part("sda9", "8:9", null)]),
      disk("sdb", "8:16", { bus: "usb" }, [part("sdb1", "8:17", "zfs_member")]),
    ],
    mounts: ["0:30 / zfs rpool/ROOT/debian"],
    disks: { "/dev/sda": ["member", "fixed"], "/dev/sdb": ["member"] },
  },
  {
    about: "bcache: a cache disk and a backing disk",
    lsblk: [
      disk("sda", "8:0", { bus: "sata", fs: "bcache", table: null }, [made("bcache0", "252:0", "disk", "bcache0", "xfs")]),
      disk("nvme0n1", "259:0", { bus: "nvme", fs: "bcache", table: null }, [made("bcache0", "252:0", "disk", "bcache0", "xfs")]),
    ],
    mounts: ["252:0 / xfs /dev/bcache0"],
    holders: { "8:0": ["bcache0"], "259:0": ["bcache0"] },
    disks: { "/dev/sda": ["running-system", "held", "member", "fixed"], "/dev/nvme0n1": ["running-system", "held", "member", "fixed"] },
  },
  {
    about: "a disk with two paths (multipath)",
    lsblk: ["a", "b"].map((letter, index) =>
      disk(`sd${letter}`, `8:${16 * index}`, { bus: "fc", fs: "mpath_member", table: null }, [
        made("dm-0", "253:0", "mpath", "mpatha", "xfs"),
      ]),
    ),
    mounts: ["253:0 /srv xfs /dev/mapper/mpatha"],
    holders: { "8:0": ["dm-0"], "8:16": ["dm-0"] },
    disks: { "/dev/sda": ["mounted", "held", "member", "fixed"], "/dev/sdb": ["mounted", "held", "member", "fixed"] },
  },
  {
    about: "a virtual machine: virtio system disk, an empty second one, a CD drive",
    lsblk: [
      disk("vda", "254:0", {}, [part("vda1", "254:1", "ext4")]),
      disk("vdb", "254:16", { size: 20 }),
      disk("sr0", "11:0", { type: "rom", bus: "ata", rm: true, hotplug: true, fs: "iso9660", size: 0.6, table: null }),
    ],
    mounts: ["254:1 / ext4 /dev/vda1"],
    disks: { "/dev/vda": ["running-system", "fixed"], "/dev/vdb": ["fixed"], "/dev/sr0": ["not-a-disk"] },
    disksAllowingFixed: { "/dev/vda": ["running-system"], "/dev/vdb": [], "/dev/sr0": ["not-a-disk"] },
  },
  {
    about: "a virtual machine of Xen and a cloud's NVMe disks",
    lsblk: [disk("xvda", "202:0", {}, [part("xvda1", "202:1", "ext4")]), disk("nvme1n1", "259:0", { bus: "nvme", size: 100 })],
    mounts: ["202:1 / ext4 /dev/xvda1"],
    disks: { "/dev/xvda": ["running-system", "fixed"], "/dev/nvme1n1": ["fixed"] },
  },
  {
    about: "Debian live, run from the stick by the partition of its hybrid ISO",
    lsblk: [
      usbStick("sda", "8:0", [part("sda1", "8:1", "iso9660"), part("sda2", "8:2", "vfat")], { fs: "iso9660", table: "dos" }),
      disk("sdb", "8:16", { bus: "sata" }, [part("sdb1", "8:17", "ntfs")]),
      { ...entry("loop0", "7:0", { type: "loop", size: 1.2, ro: true, fs: "squashfs", table: null }) },
    ],
    mounts: [
      "8:1 /run/live/medium iso9660 /dev/sda1",
      "7:0 /run/live/rootfs/filesystem.squashfs squashfs /dev/loop0",
      "0:28 / overlay overlay",
    ],
    disks: { "/dev/sda": ["running-system"], "/dev/sdb": ["fixed"], "/dev/loop0": ["running-system", "read-only", "fixed"] },
  },
  {
    about: "Ubuntu live from the whole stick, mounted as /cdrom",
    lsblk: [usbStick("sda", "8:0", [part("sda1", "8:1", null)], { fs: "iso9660", table: "gpt" }), usbStick("sdb", "8:16")],
    mounts: ["8:0 /cdrom iso9660 /dev/sda", "0:30 / overlay /cow"],
    disks: { "/dev/sda": ["running-system"], "/dev/sdb": [] },
  },
  {
    about: "a live system copied to memory: its stick is free again",
    lsblk: [
      usbStick("sda", "8:0", [part("sda1", "8:1", "iso9660")], { fs: "iso9660" }),
      entry("loop0", "7:0", { type: "loop", size: 1, ro: true }),
    ],
    mounts: ["0:28 / overlay overlay", "7:0 /run/live/rootfs squashfs /dev/loop0"],
    disks: { "/dev/sda": [], "/dev/loop0": ["running-system", "read-only", "fixed"] },
  },
  {
    about: "a Ventoy stick whose image is mapped by device-mapper",
    lsblk: [
      usbStick("sda", "8:0", [
        part("sda1", "8:1", "exfat", [made("dm-0", "254:0", "dm", "ventoy", "iso9660")], "Ventoy"),
        part("sda2", "8:2", "vfat", [], "VTOYEFI"),
      ]),
    ],
    mounts: ["254:0 /run/archiso/bootmnt iso9660 /dev/mapper/ventoy"],
    holders: { "8:1": ["dm-0"] },
    disks: { "/dev/sda": ["running-system", "held"] },
  },
  {
    about: "a write-protected SD card",
    lsblk: [nvmeSystem, disk("mmcblk0", "179:0", { size: 16, bus: "mmc", ro: true })],
    mounts: nvmeMounts,
    cardTypes: { mmcblk0: "SD" },
    disks: { ...NVME, "/dev/mmcblk0": ["read-only"] },
  },
  {
    about: "a stick that is too small",
    lsblk: [nvmeSystem, usbStick("sda", "8:0", [], { size: 0.25 })],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": ["too-small"] },
  },
  {
    about: "an old distribution: lsblk of util-linux 2.31 writes text for numbers and truth",
    lsblk: [nvmeSystem, usbStick("sda", "8:0", [part("sda1", "8:1", "vfat")])].map(aged),
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": [] },
  },
  {
    about: "compressed memory as swap, snaps on loops, and no other disk",
    lsblk: [
      nvmeSystem,
      entry("zram0", "253:0", { size: 8, table: null }),
      entry("loop0", "7:0", { type: "loop", size: 0.7, ro: true, fs: "squashfs", table: null }),
    ],
    mounts: [...nvmeMounts, "7:0 /snap/core20/2015 squashfs /dev/loop0"],
    swaps: ["/dev/zram0 253:0"],
    disks: { ...NVME, "/dev/zram0": ["swap", "not-a-disk"], "/dev/loop0": ["mounted", "read-only", "fixed"] },
  },
  {
    about: "a NAS with disks in trays that can be pulled while it runs",
    lsblk: [
      disk("sda", "8:0", { bus: "sata", hotplug: true }, [
        part("sda1", "8:1", "linux_raid_member", [made("md0", "9:0", "raid5", "md0", "ext4")]),
      ]),
      disk("sdb", "8:16", { bus: "usb", rm: true, hotplug: true, size: 8 }, [part("sdb1", "8:17", "vfat")]),
    ],
    mounts: ["9:0 /volume1 ext4 /dev/md0", "8:17 / vfat /dev/sdb1"],
    holders: { "8:1": ["md0"] },
    disks: { "/dev/sda": ["mounted", "held", "member", "fixed"], "/dev/sdb": ["running-system"] },
  },
  {
    about: "a Raspberry Pi that runs from its SD card, with a USB stick",
    lsblk: [
      disk("mmcblk0", "179:0", { size: 32, bus: "mmc" }, [part("mmcblk0p1", "179:1", "vfat"), part("mmcblk0p2", "179:2", "ext4")]),
      usbStick("sda", "8:0"),
    ],
    mounts: ["179:2 / ext4 /dev/mmcblk0p2", "179:1 /boot/firmware vfat /dev/mmcblk0p1"],
    cardTypes: { mmcblk0: "SD" },
    disks: { "/dev/mmcblk0": ["running-system", "mounted"], "/dev/sda": [] },
  },
  {
    about: "a FireWire disk and a floppy in a USB drive",
    lsblk: [
      nvmeSystem,
      disk("sda", "8:0", { bus: "sbp", size: 250 }),
      disk("sdb", "8:16", { bus: "usb", rm: true, size: 0.00144 }),
      disk("fd0", "2:0", { rm: true, size: 0.00144 }),
    ],
    mounts: nvmeMounts,
    disks: { ...NVME, "/dev/sda": [], "/dev/sdb": ["too-small"], "/dev/fd0": ["not-a-disk", "too-small"] },
  },
];

/** The texts as the programs and files give them. */
export function textsOf({ lsblk, mounts, swaps = [] }: Computer) {
  return {
    lsblk: JSON.stringify({ blockdevices: lsblk }, null, 3),
    mountInfo: mounts
      .map((line, index) => {
        const [number, point, fileSystem, source] = line.split(" ");
        return `${30 + index} 1 ${number} / ${point} rw,relatime shared:${index} - ${fileSystem} ${source} rw`;
      })
      .join("\n"),
    swaps: `Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n${swaps.map((line) => `${line.split(" ")[0]}   partition\t8388604\t\t0\t\t-2\n`).join("")}`,
  };
}
