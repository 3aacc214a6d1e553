/** The first root file system, from which the live medium is looked for: our own small one, or what a distribution's program makes. */
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { z } from "zod";
import { HiperisoError } from "../contract/error.ts";
import { encodeCpio } from "../formats/cpio.ts";
import type { TreeEntry } from "../formats/file-tree.ts";
import { type FileLookup, programClosure } from "./elf-closure.ts";
import { folderLookup } from "./folder-lookup.ts";
import { foreignInitramfs } from "./foreign-initramfs.ts";
import { readLiveJson, writeLiveJson } from "./live-json.ts";
import { chosenModules } from "./module-folder.ts";
import { takeFiles, treeEntriesOf } from "./source-file.ts";
import { readSourceTree, sourcePath, treeDigest } from "./source-files.ts";
import type { StageRun, StageSurroundings } from "./stage.ts";
import { unpackPackages } from "./stages/unpack.ts";
import { openTarTree } from "./tar-tree.ts";
import { BusyboxSchema, busyboxLinks, DevicesSchema, deviceEntries } from "./tree-parts.ts";

const MODULE = z.string().regex(/^[A-Za-z0-9_-]+$/);

export const InitramfsOptions = {
  by: z
    .enum(["own", "stick", "live-boot", "dracut"])
    .default("own")
    .describe(
      "Who makes it, and finds the medium: our own init; the init of a stick's runtime, with the modules that are named and no others; or initramfs-tools with live-boot or dracut, installed in the input `root`.",
    ),
  files: z.string().optional().describe("Folder beside the spec whose files go in as they are; an `init` there replaces ours."),
  busybox: BusyboxSchema.optional(),
  devices: DevicesSchema,
  modules: z
    .union([z.literal("all"), z.array(MODULE)])
    .default([])
    .describe("Of the kernel stage's modules, those that go in beside what most media need; or all of them."),
  modules_if_there: z.array(MODULE).default([]).describe("More of them, where the kernel stage has them."),
  programs: z
    .array(z.string().min(1))
    .default([])
    .describe(
      "Names or paths of programs of the input `root` or `packages`, which go in with their libraries. `veritysetup` is what verity needs.",
    ),
  arguments: z.array(z.string().min(1)).default([]).describe("Further words for mkinitramfs or dracut."),
  network: z.boolean().default(false).describe("Drivers of network cards too, for a root image that comes over the network."),
};
export const InitramfsSchema = z.strictObject(InitramfsOptions);
export type InitramfsWish = z.infer<typeof InitramfsSchema>;

/** Two folders up from both `src/live` and `dist/live`. */
const OWN_INITS = {
  own: fileURLToPath(new URL("../../live/init", import.meta.url)),
  stick: fileURLToPath(new URL("../../guest/stick", import.meta.url)),
} as const;

/** What our init calls, and what a person needs who is given a shell by it. */
const OWN_BUSYBOX: z.infer<typeof BusyboxSchema> = {
  bin: [
    ...[
      "awk",
      "cat",
      "cp",
      "cut",
      "dd",
      "df",
      "dmesg",
      "du",
      "echo",
      "find",
      "findfs",
      "free",
      "grep",
      "ip",
      "kill",
      "losetup",
      "ls",
      "lsmod",
    ],
    ...[
      "mkdir",
      "mkfifo",
      "modprobe",
      "more",
      "mount",
      "mv",
      "od",
      "ping",
      "poweroff",
      "reboot",
      "rm",
      "rmdir",
      "sed",
      "setsid",
      "sh",
      "sleep",
    ],
    ...["sort", "switch_root", "sync", "tail", "touch", "tr", "udhcpc", "umount", "uname", "vi", "wget", "xargs"],
  ],
  // Where the kernel looks for it when it wants a driver itself.
  sbin: ["modprobe"],
};

/** The medium: CD drives, disks, USB sticks, cards, and what they hang on; what is on it; and a keyboard for the shell. */
const MEDIUM_MODULES = [
  ...["sr_mod", "sd_mod", "ata_piix", "ata_generic", "ahci", "nvme", "mmc_block", "sdhci-pci", "sdhci-acpi", "rtsx_pci_sdmmc"],
  ...["usb-storage", "uas", "xhci-pci", "ehci-pci", "uhci-hcd", "ohci-pci", "usbhid", "hid-generic"],
  ...[
    "virtio_pci",
    "virtio_mmio",
    "virtio_blk",
    "virtio_scsi",
    "hv_storvsc",
    "vmw_pvscsi",
    "mptspi",
    "mptsas",
    "megaraid_sas",
    "xen-blkfront",
  ],
  ...["isofs", "udf", "squashfs", "erofs", "loop", "overlay", "dm-verity", "vfat", "nls_cp437", "nls_iso8859-1", "nls_ascii", "nls_utf8"],
  // ext4 asks for a checksum by what it does and not by its module's name.
  ...["exfat", "ntfs3", "ext4", "crc32c_generic", "crc32c-intel"],
];
const NETWORK_MODULES = [
  ...[
    "virtio_net",
    "e1000",
    "e1000e",
    "igb",
    "igc",
    "ixgbe",
    "i40e",
    "ice",
    "r8169",
    "realtek",
    "tg3",
    "bnx2",
    "bnxt_en",
    "atlantic",
    "sky2",
  ],
  ...["vmxnet3", "hv_netvsc", "xen-netfront", "8139cp", "8139too", "pcnet32", "ne2k-pci", "forcedeth", "alx", "atl1c", "ax88179_178a"],
  ...["r8152", "cdc_ether", "asix", "smsc95xx", "af_packet"],
];

export async function initramfsIngredients(
  { by, files }: InitramfsWish,
  { planFolder }: StageSurroundings,
): Promise<Record<string, string>> {
  return {
    ...(files === undefined ? {} : { files: treeDigest(await readSourceTree(sourcePath(planFolder, files))) }),
    ...(by === "own" || by === "stick" ? { init: treeDigest(await readSourceTree(OWN_INITS[by])) } : {}),
    zlib: process.versions.zlib,
  };
}

export interface InitramfsInputs {
  /** Output of the kernel stage. */
  readonly kernel: string;
  /** Output of a stage that has `busybox`. */
  readonly busybox: string | undefined;
  /** Output of a root file system's stage. */
  readonly root: string | undefined;
  /** Output of a stage of kind package. */
  readonly packages: string | undefined;
}

/** Writes `initrd.img` and `live.json` into the stage's output. */
export async function writeInitramfs(wish: InitramfsWish, inputs: InitramfsInputs, run: StageRun): Promise<void> {
  const { release } = await readLiveJson(inputs.kernel);
  const image = join(run.output, "initrd.img");
  const { by } = wish;
  if (by === "own" || by === "stick") await writeFile(image, await ownInitramfs(wish, OWN_INITS[by], release, inputs, run));
  else await writeFile(image, await foreignInitramfs({ ...wish, by, release, kernel: inputs.kernel, root: inputs.root }, run));
  // A stick's is for no medium that a stage makes.
  if (by !== "stick") await writeLiveJson(run.output, { initramfs: by, release, network: by !== "own" || wish.network });
}

async function ownInitramfs(
  wish: InitramfsWish,
  init: string,
  release: string,
  inputs: InitramfsInputs,
  run: StageRun,
): Promise<Uint8Array> {
  const { files, busybox = OWN_BUSYBOX, devices, programs } = wish;
  await using tree = await programTree(inputs, run);
  const entries: readonly TreeEntry[] = [
    ...(await readSourceTree(init)),
    ...(await programEntries(["bin/busybox", ...programs], inputs, tree)),
    ...busyboxLinks(busybox),
    ...deviceEntries({ ...OWN_DEVICES, ...devices }),
    ...(await moduleEntries(wish, release, inputs.kernel, run)),
    ...(files === undefined ? [] : await readSourceTree(sourcePath(run.planFolder, files))),
  ];
  // gzip, because an emulated processor unpacks it in a fraction of what xz takes.
  return gzipSync(encodeCpio(entries, { mtimeS: run.epochS }), { level: 9 });
}

/** Where programs come from: of the root file system and the packages, the first that is given. */
async function programTree({ root, packages }: InitramfsInputs, run: StageRun): Promise<(FileLookup & AsyncDisposable) | undefined> {
  if (root !== undefined) return await openTarTree(join(root, "root.tar"));
  if (packages === undefined) return undefined;
  const folder = join(run.scratch, "programs");
  await mkdir(folder);
  await unpackPackages(packages, folder, run);
  return { ...(await folderLookup(folder)), [Symbol.asyncDispose]: async () => {} };
}

/** The programs with their libraries, at the places where these are looked for. busybox is the stage's where there is one for it. */
async function programEntries(
  programs: readonly string[],
  { busybox }: InitramfsInputs,
  tree: FileLookup | undefined,
): Promise<readonly TreeEntry[]> {
  const own = busybox === undefined ? undefined : await readFile(join(busybox, "busybox"));
  const wanted = own === undefined ? programs : programs.slice(1);
  if (wanted.length > 0 && tree === undefined) {
    throw new HiperisoError({
      what: "make an initramfs",
      where: wanted.join(", "),
      expected: "an input that has these programs: busybox, root or packages",
      found: "none",
      hint: "busybox can be a stage of kind unpack that takes bin/busybox out of busybox-static.",
      kind: "usage",
    });
  }
  const closure = tree === undefined ? [] : await programClosure(wanted, tree);
  return [...(own === undefined ? [] : [{ path: "bin/busybox", content: own }]), ...closure].map(
    ({ path, content }): TreeEntry => ({ kind: "file", path, mode: 0o755, content }),
  );
}

const OWN_DEVICES: z.infer<typeof DevicesSchema> = {
  "dev/console": { type: "character", major: 5, minor: 1, mode: "0600" },
  "dev/null": { type: "character", major: 1, minor: 3, mode: "0666" },
};

async function moduleEntries(
  { by, modules, modules_if_there, network }: InitramfsWish,
  release: string,
  kernel: string,
  run: StageRun,
): Promise<readonly TreeEntry[]> {
  const tree = join(run.scratch, "initramfs");
  await mkdir(tree);
  await takeFiles(join(kernel, "modules.tar"), () => true, tree);
  const ifThere = [...modules_if_there, ...(by === "stick" ? [] : MEDIUM_MODULES), ...(network ? NETWORK_MODULES : [])];
  return await treeEntriesOf(await chosenModules(join(tree, "lib/modules", release), { modules, ifThere }, run));
}
