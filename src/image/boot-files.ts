/**
 * The files in a volume that a boot is made of: EFI programs, kernels, initial RAM file systems, boot-loader configurations.
 * Names choose which files are looked into; what they are is read from their bytes.
 */

import { latin1 } from "../formats/bytes.ts";
import { decodeLinuxKernel, KERNEL_HEAD_BYTES } from "../formats/linux-kernel.ts";
import { decodePe, type PeImage } from "../formats/pe.ts";
import { recogniseArchive } from "../formats/signature.ts";
import { type BootConfigFacts, diskNumber, type EfiBootFile, type FileFacts, type InitrdFacts, type KernelFacts } from "./image-facts.ts";
import { readTreeFile, readTreeFileHead, type TreeNode, type VolumeTree, walkTree } from "./volume-tree.ts";

export interface BootFiles {
  readonly efiBootFiles: readonly EfiBootFile[];
  readonly kernels: readonly KernelFacts[];
  readonly initrds: readonly InitrdFacts[];
  readonly bootConfigs: readonly BootConfigFacts[];
  /** Paths of files by where their data starts in the image: which file an El Torito entry means. */
  readonly pathsByOffset: ReadonlyMap<bigint, string>;
  readonly entriesWalked: number;
  /** False where the walk, or the looking into files, stopped at a limit. */
  readonly complete: boolean;
}

/** Files of each volume that are looked into or listed: a read of some KiB each. */
const FILES_CONSIDERED_MAX = 256;

export const NO_BOOT_FILES: BootFiles = {
  efiBootFiles: [],
  kernels: [],
  initrds: [],
  bootConfigs: [],
  pathsByOffset: new Map(),
  entriesWalked: 0,
  complete: false,
};

/** `volumeOffset`: of the tree's source in the image. */
export async function findBootFiles<Node extends TreeNode>(
  tree: VolumeTree<Node>,
  volume: string,
  volumeOffset: bigint,
): Promise<BootFiles> {
  const efiBootFiles: EfiBootFile[] = [];
  const kernels: KernelFacts[] = [];
  const initrds: InitrdFacts[] = [];
  const bootConfigs: BootConfigFacts[] = [];
  const pathsByOffset = new Map<bigint, string>();
  let considered = 0;
  let entriesWalked = 0;

  async function look({ node, path }: { node: Node; path: string }): Promise<void> {
    const interest = interestOf(path, node.sizeBytes);
    const offset = node.dataOffset === undefined ? null : node.dataOffset + volumeOffset;
    if (offset !== null) pathsByOffset.set(offset, path);
    if (interest === undefined) return;
    considered += 1;
    if (considered > FILES_CONSIDERED_MAX) return;
    const facts: FileFacts = { volume, path, sizeBytes: diskNumber(node.sizeBytes), offset: offset === null ? null : diskNumber(offset) };
    if (interest.config !== undefined) {
      bootConfigs.push({ ...facts, loader: interest.config });
      return;
    }
    const head = await readTreeFileHead(tree, node, 4096);
    const place = { offset: node.dataOffset ?? 0n, report: tree.report };
    const pe = interest.efiBoot || latin1(head.subarray(0, 2)) === "MZ" ? decodePe(head, node.sizeBytes, place) : undefined;
    if (interest.efiBoot) {
      const summary = pe === undefined ? null : { machine: pe.machine, subsystem: pe.subsystem, signed: pe.certificates !== null };
      efiBootFiles.push({ ...facts, pe: summary });
    }
    if (interest.initrd) {
      const format = recogniseArchive(head);
      if (format !== undefined) initrds.push({ ...facts, format });
    }
    if (interest.kernel || interest.efiBoot) {
      const kernel = await decodeKernel(tree, node, head, pe);
      if (kernel !== undefined) kernels.push({ ...facts, ...kernel });
    }
  }

  const walk = walkTree(tree);
  let step = await walk.next();
  for (; step.done !== true; step = await walk.next()) {
    entriesWalked += 1;
    if (!step.value.node.directory && !step.value.node.symbolicLink) await look(step.value);
  }
  return {
    efiBootFiles,
    kernels,
    initrds,
    bootConfigs,
    pathsByOffset,
    entriesWalked,
    complete: step.value && considered <= FILES_CONSIDERED_MAX,
  };
}

interface Interest {
  readonly efiBoot: boolean;
  readonly kernel: boolean;
  readonly initrd: boolean;
  readonly config: BootConfigFacts["loader"] | undefined;
}

/** By path, in small letters; ISO 9660 and FAT know no others. First match wins. */
const CONFIGS: readonly (readonly [path: RegExp, loader: BootConfigFacts["loader"]])[] = [
  [/\/(grub|loopback)\.cfg$/, "grub"],
  [/\/boot\/grub2?\/[^/]+\.cfg$/, "grub"],
  [/\/(isolinux|syslinux|extlinux)\.(cfg|conf)$/, "syslinux"],
  [/\/(isolinux|syslinux|extlinux|pxelinux\.cfg)\/[^/]+\.(cfg|conf)$/, "syslinux"],
  [/^\/loader\/(loader\.conf|entries\/[^/]+\.conf)$/, "systemd-boot"],
  [/\/refind\.conf$/, "refind"],
  [/\/limine\.(cfg|conf)$/, "limine"],
  [/\/(grub\/)?menu\.lst$/, "grub-legacy"],
  [/^(\/efi\/microsoft)?\/boot\/bcd$/, "windows"],
];

const EFI_BOOT_FILE = /^\/efi\/boot\/[^/]+\.efi$/;
const INITRD_NAME = /^(initrd|initramfs|initrfs|minirt|core(pure64)?\.gz)|ucode.*\.(img|cpio)$|\.igz$/;
const KERNEL_NAME = /^(vmlinu[xz]|bzimage|zimage|linux|kernel|image|gentoo|memtest)/;
const KERNEL_PLACE = /^\/([^/]+|(boot|efi|isolinux|syslinux|casper|live|install[^/]*|images|kernels?|arch|loader)\/.*)$/;
/** What lies beside kernels and is none. */
const OTHER_EXTENSION =
  /\.(mod|lst|o|pf2|cfg|conf|c32|cat|png|jpe?g|bmp|txt|img|iso|gz|xz|zst|bz2|squashfs|sfs|erofs|debs?|rpm|udeb|tar|tgz|md5|sha\d*|list|html?|pdf|exe|dll|msi|cab|wim|esd|sdi|ttf|fon|mui|sig|asc)$/;
const KERNEL_BYTES_MIN = 16_384n;

function interestOf(path: string, sizeBytes: bigint): Interest | undefined {
  const lower = path.toLowerCase();
  const base = lower.slice(lower.lastIndexOf("/") + 1);
  const config = CONFIGS.find(([pattern]) => pattern.test(lower))?.[1];
  const initrd = INITRD_NAME.test(base);
  const named = KERNEL_NAME.test(base) || (KERNEL_PLACE.test(lower) && !OTHER_EXTENSION.test(base));
  const kernel = !initrd && sizeBytes >= KERNEL_BYTES_MIN && named;
  const efiBoot = EFI_BOOT_FILE.test(lower);
  return config === undefined && !initrd && !kernel && !efiBoot ? undefined : { efiBoot, kernel, initrd, config };
}

async function decodeKernel<Node extends TreeNode>(
  tree: VolumeTree<Node>,
  node: Node,
  head: Uint8Array,
  pe: PeImage | undefined,
): Promise<Omit<KernelFacts, keyof FileFacts> | undefined> {
  const signed = pe !== undefined && pe.certificates !== null;
  // A unified kernel image: sections of a PE file (UAPI group, UKI specification).
  if (pe?.sections.some(({ name }) => name === ".linux")) {
    const uname = pe.sections.find(({ name }) => name === ".uname");
    const version = uname === undefined ? "" : await readText(tree, node, uname.offset, uname.bytes);
    return { format: "UKI", version, bootProtocol: null, machine: pe.machine, efiStub: true, signed };
  }
  if (decodeLinuxKernel(head) === undefined) return undefined;
  const kernel = decodeLinuxKernel(await readTreeFileHead(tree, node, KERNEL_HEAD_BYTES))!;
  return { ...kernel, machine: kernel.machine ?? pe?.machine ?? null, efiStub: kernel.efiStub && pe !== undefined, signed };
}

const TEXT_BYTES_MAX = 256;

async function readText<Node extends TreeNode>(tree: VolumeTree<Node>, node: Node, offset: number, bytes: number): Promise<string> {
  for await (const piece of readTreeFile(tree, node, BigInt(offset))) {
    return latin1(piece.subarray(0, Math.min(bytes, TEXT_BYTES_MAX)))
      .replace(/\0[\s\S]*$/, "")
      .trim();
  }
  return "";
}
