/** What an image is, from its bytes: looks at every structure that makes a medium bootable, and never at the image's name. */
import { recogniseBootCode } from "../formats/boot-code.ts";
import { type BootCatalogEntry, decodeBootCatalog, PLATFORM } from "../formats/el-torito.ts";
import { ISO_SECTOR_BYTES } from "../formats/iso9660.ts";
import { decodeLinuxKernel } from "../formats/linux-kernel.ts";
import { MBR_BYTES } from "../formats/mbr.ts";
import { recogniseContainer, recogniseFileSystem, VOLUME_HEAD_BYTES } from "../formats/signature.ts";
import { type BlockSource, cachedSource, openImage, windowSource } from "./block-source.ts";
import { type BootFiles, findBootFiles, NO_BOOT_FILES } from "./boot-files.ts";
import { decideBoots } from "./boots.ts";
import { type DiskFileRules, STANDARD_RULES } from "./disk-format.ts";
import { openDisk } from "./disk-source.ts";
import { fatTree, readFatVolume } from "./fat-tree.ts";
import {
  type BootSectorFacts,
  diskNumber,
  type ElToritoEmulation,
  type ElToritoFacts,
  type ElToritoPlatform,
  type ImageFacts,
  type IsoFacts,
  type VolumeFacts,
} from "./image-facts.ts";
import { type IsoVolume, isoTree, readIsoVolume } from "./iso-tree.ts";
import { type PartitionRange, readGptTable, readMbrTable } from "./partitions.ts";
import { Problems } from "./problems.ts";

/** Opens the image, probes it and closes it again. Throws as `openDisk` and `probeImage` do. */
export async function openImageFacts(path: string, signal: AbortSignal, rules: DiskFileRules = STANDARD_RULES): Promise<ImageFacts> {
  await using disk = await openDisk(path, rules, signal);
  const { files, content } = disk;
  if ("source" in content) {
    const facts = await probeImage(content.source, signal);
    return files.format === "raw" ? facts : { ...facts, diskFiles: files };
  }
  await using source = await openImage(path);
  const facts = await probeImage(source, signal);
  const answer = { can: false, because: `nobody can say what is in it: ${content.obstacle}` };
  const boots = { bios: { cd: answer, usb: answer }, uefi: { cd: answer, usb: answer } };
  return { ...facts, kind: "container", container: files.format, diskFiles: files, boots };
}

/**
 * Reads what the image says of itself. Whatever is wrong with its content becomes a problem in the facts; throws HiperisoError
 * only where the medium cannot be read, and the signal's reason when aborted. Takes milliseconds and a few MiB, whatever the image's size.
 */
export async function probeImage(medium: BlockSource, signal: AbortSignal): Promise<ImageFacts> {
  signal.throwIfAborted();
  const source = cachedSource(medium, signal);
  const problems = new Problems();
  const volumes = new Volumes(source, problems);

  const isoVolume = await readIsoVolume(source, problems.report);
  const iso = isoVolume === undefined ? null : await readIso(source, isoVolume, volumes, problems);
  const container = isoVolume === undefined ? await readContainer(source) : undefined;
  // A superblock in sector 0 means that there is no table there, whatever stands where a table would be.
  const whole = isoVolume === undefined && container === undefined ? await volumes.add(wholeImage(source)) : null;
  const kernel = isoVolume === undefined && container === undefined && decodeLinuxKernel(await source.read(0n, 1024)) !== undefined;
  const partitioned = container === undefined && whole === null && !kernel;

  const mbr = partitioned ? await readMbrTable(source, problems.report, isoVolume !== undefined) : undefined;
  const announced = mbr?.facts.partitions.some(({ type }) => type === "0xee") ?? false;
  const gpt = partitioned ? await readGptTable(source, problems.report, announced) : undefined;
  const namesIn = async (ranges: readonly (PartitionRange | undefined)[]) => {
    const names: (string | null)[] = [];
    for (const range of ranges) names.push(range === undefined ? null : await volumes.add(range));
    return names;
  };
  const mbrNames = await namesIn(mbr?.ranges ?? []);
  const gptNames = await namesIn(gpt?.ranges ?? []);

  const found = {
    container: container ?? null,
    iso,
    // A kernel's first sector was a boot sector once, and ends like one still.
    bootSector: kernel ? KERNEL_BOOT_SECTOR : container === undefined ? await readBootSector(source, whole !== null) : null,
    mbr: mbr === undefined ? null : { ...mbr.facts, partitions: withVolumes(mbr.facts.partitions, mbrNames) },
    gpt: gpt === undefined ? null : { ...gpt.facts, partitions: withVolumes(gpt.facts.partitions, gptNames) },
    ...volumes.facts(),
  };
  const wrong = problems.facts();
  const evidence = { ...kindOf(found, kernel, wrong.problems.length > 0), ...found };
  return {
    name: medium.name,
    sizeBytes: diskNumber(medium.sizeBytes),
    diskFiles: null,
    ...evidence,
    boots: decideBoots(evidence),
    ...wrong,
  };
}

const KERNEL_BOOT_SECTOR: BootSectorFacts = { code: "idle", bootLoader: null };

const withVolumes = <Partition>(partitions: readonly Partition[], names: readonly (string | null)[]): Partition[] =>
  partitions.map((partition, index) => ({ ...partition, volume: names[index] ?? null }));

function kindOf(
  found: Pick<ImageFacts, "container" | "iso" | "mbr" | "gpt" | "volumes" | "bootSector">,
  kernel: boolean,
  damaged: boolean,
): Pick<ImageFacts, "kind" | "because"> {
  if (found.iso !== null) return { kind: "iso9660", because: "a primary volume descriptor at byte 32768" };
  if (found.container !== null) return { kind: "container", because: `the signature of ${found.container}` };
  if (found.gpt !== null) return { kind: "disk", because: `a GPT (${found.gpt.table} header)` };
  const whole = found.volumes.find(({ offset }) => offset === 0);
  if (whole !== undefined) return { kind: "disk", because: `one ${whole.fileSystem} file system without a partition table` };
  if (found.mbr !== null) return { kind: "disk", because: "a partition table in sector 0" };
  if (found.bootSector?.code === "loader") return { kind: "disk", because: "boot code in sector 0" };
  if (kernel) return { kind: "unknown", because: "a Linux kernel, which firmware does not start from a disk" };
  if (damaged) return { kind: "unknown", because: "only structures that are too damaged to be used" };
  return { kind: "unknown", because: "no file system, partition table or boot sector that we know" };
}

const wholeImage = (source: BlockSource): PartitionRange => ({
  offset: 0n,
  bytes: source.sizeBytes,
  title: "the whole image",
  efiSystem: false,
});

async function readContainer(source: BlockSource): Promise<string | undefined> {
  const tailOffset = source.sizeBytes - 512n;
  return recogniseContainer(await source.read(0n, 512), tailOffset < 0n ? new Uint8Array() : await source.read(tailOffset, 512));
}

/** `fileSystem`: it is a file system's, which has code where a partition table would be. */
async function readBootSector(source: BlockSource, fileSystem: boolean): Promise<BootSectorFacts | null> {
  const sector = await source.read(0n, MBR_BYTES);
  if (sector.length < MBR_BYTES || sector[510] !== 0x55 || sector[511] !== 0xaa) return null;
  const { kind, loader } = recogniseBootCode(sector.subarray(0, fileSystem ? 510 : 440));
  return { code: kind, bootLoader: loader };
}

/** Firmware reads one sector of catalogue; media with more entries than fit there have a longer one. */
const CATALOG_BYTES = 4 * ISO_SECTOR_BYTES;
const BOOT_IMAGE_HEAD_BYTES = 32_768;

async function readIso(source: BlockSource, volume: IsoVolume, volumes: Volumes, problems: Problems): Promise<IsoFacts> {
  const { primary, joliet, bootCatalog } = volume;
  const files = await volumes.addIso(volume);
  const elTorito: ElToritoFacts[] = [];
  let elToritoChecksumRight = true;
  if (bootCatalog !== undefined) {
    const offset = BigInt(bootCatalog.lba) * BigInt(ISO_SECTOR_BYTES);
    if (offset >= source.sizeBytes) {
      const expected = `a boot catalogue inside the image of ${source.sizeBytes} bytes`;
      problems.report({
        offset: bootCatalog.offset,
        structure: "El Torito boot record",
        expected,
        found: `LBA ${bootCatalog.lba}, byte ${offset}`,
      });
    } else {
      const catalog = decodeBootCatalog(await source.read(offset, CATALOG_BYTES), { offset, report: problems.report });
      elToritoChecksumRight = catalog.checksumRight;
      for (const entry of catalog.entries) elTorito.push(await readElToritoEntry(source, entry, files, volumes, problems));
    }
  }
  return {
    volumeId: primary.volumeId,
    systemId: primary.systemId,
    publisher: primary.publisher,
    preparer: primary.preparer,
    application: primary.application,
    uuid: primary.modified,
    blockSizeBytes: primary.blockBytes,
    volumeSizeBytes: diskNumber(primary.volumeBytes),
    rockRidge: volume.rockRidgeSkip !== undefined,
    joliet: joliet === undefined ? null : { level: joliet.jolietLevel!, volumeId: joliet.volumeId },
    udf: volume.udf,
    elTorito,
    elToritoChecksumRight,
  };
}

const EMULATIONS: readonly ElToritoEmulation[] = ["none", "floppy 1.2M", "floppy 1.44M", "floppy 2.88M", "hard disk"];

const PLATFORMS: Readonly<Record<number, ElToritoPlatform>> = {
  [PLATFORM.x86]: "bios",
  [PLATFORM.powerPc]: "powerpc",
  [PLATFORM.mac]: "mac",
  [PLATFORM.efi]: "uefi",
};

async function readElToritoEntry(
  source: BlockSource,
  entry: BootCatalogEntry,
  files: BootFiles,
  volumes: Volumes,
  problems: Problems,
): Promise<ElToritoFacts> {
  const offset = BigInt(entry.lba) * BigInt(ISO_SECTOR_BYTES);
  const head = await source.read(offset, BOOT_IMAGE_HEAD_BYTES);
  const facts = {
    number: entry.number,
    platform: PLATFORMS[entry.platformId] ?? "other",
    platformId: entry.platformId,
    bootable: entry.bootable,
    emulation: EMULATIONS[entry.emulation] ?? "reserved",
    loadSegment: entry.loadSegment,
    loadSectors: entry.loadSectors,
    lba: entry.lba,
    offset: diskNumber(offset),
    sizeBytes: entry.loadSectors * 512,
    idString: entry.id,
    path: files.pathsByOffset.get(offset) ?? null,
    bootCode: null,
    bootLoader: null,
    volume: null,
  } as const;
  const structure = `El Torito entry ${entry.number}`;
  if (head.length === 0) {
    const expected = `a boot image inside the image of ${source.sizeBytes} bytes`;
    problems.report({ offset: entry.offset + 8n, structure, expected, found: `LBA ${entry.lba}, byte ${offset}` });
    return { ...facts, content: "outside" };
  }
  if (offset + BigInt(facts.sizeBytes) > source.sizeBytes) {
    const expected = `${entry.loadSectors} sectors from byte ${offset}`;
    problems.report({
      offset: entry.offset + 6n,
      structure,
      expected,
      found: `${source.sizeBytes - offset} bytes, then the end of the image`,
    });
  }
  if (head.every((byte) => byte === 0)) return { ...facts, content: "zeros" };
  const volume = await volumes.add({ offset, bytes: source.sizeBytes - offset, title: structure, efiSystem: false });
  const { kind: bootCode, loader: bootLoader } = recogniseBootCode(volume === null ? head : head.subarray(0, 510));
  if (volume === null) return { ...facts, content: "code", bootCode, bootLoader };
  return { ...facts, sizeBytes: volumes.sizeOf(volume) ?? facts.sizeBytes, content: "volume", volume, bootCode, bootLoader };
}

/** A table may name thousands of partitions; firmware and people stop at fewer. */
const PLACES_MAX = 256;
const WALKED_VOLUMES_MAX = 16;

/** The file systems of an image and the boot files in them, each place looked at once, however many tables lead there. */
class Volumes {
  readonly #source: BlockSource;
  readonly #problems: Problems;
  readonly #byOffset = new Map<bigint, (VolumeFacts & { seenAs: string[] }) | null>();
  readonly #files: BootFiles[] = [];

  constructor(source: BlockSource, problems: Problems) {
    this.#source = source;
    this.#problems = problems;
  }

  /** Name of the volume there; null where no file system is recognised. */
  async add({ offset, bytes, title }: PartitionRange): Promise<string | null> {
    let volume = this.#byOffset.get(offset);
    if (volume === undefined) {
      if (this.#byOffset.size >= PLACES_MAX) {
        this.#problems.report({
          offset,
          structure: title,
          expected: `at most ${PLACES_MAX} places to look for file systems`,
          found: "one more",
        });
        return null;
      }
      volume = (await this.#recogniseFat(offset, bytes)) ?? (await this.#recogniseOther(offset, bytes)) ?? null;
      this.#byOffset.set(offset, volume);
    }
    volume?.seenAs.push(title);
    return volume?.name ?? null;
  }

  /** The ISO 9660 volume of the image itself. */
  async addIso(volume: IsoVolume): Promise<BootFiles> {
    const name = "iso9660@0";
    const files = await findBootFiles(isoTree(volume, this.#problems.report), name, 0n);
    this.#files.push(files);
    this.#byOffset.set(0n, {
      name,
      fileSystem: "iso9660",
      offset: 0,
      sizeBytes: diskNumber(volume.primary.volumeBytes),
      label: volume.primary.volumeId,
      uuid: volume.primary.modified,
      seenAs: ["the whole image"],
      entriesWalked: files.entriesWalked,
      walkComplete: files.complete,
    });
    return files;
  }

  sizeOf(name: string): VolumeFacts["sizeBytes"] | undefined {
    return this.facts().volumes.find((volume) => volume.name === name)?.sizeBytes;
  }

  facts(): Pick<ImageFacts, "volumes" | "efiBootFiles" | "kernels" | "initrds" | "bootConfigs"> {
    return {
      volumes: [...this.#byOffset.values()].filter((volume) => volume !== null),
      efiBootFiles: this.#files.flatMap(({ efiBootFiles }) => efiBootFiles),
      kernels: this.#files.flatMap(({ kernels }) => kernels),
      initrds: this.#files.flatMap(({ initrds }) => initrds),
      bootConfigs: this.#files.flatMap(({ bootConfigs }) => bootConfigs),
    };
  }

  async #recogniseFat(offset: bigint, bytes: bigint): Promise<(VolumeFacts & { seenAs: string[] }) | undefined> {
    const report = this.#problems.reportFrom(offset);
    const fat = await readFatVolume(windowSource(this.#source, offset, bytes), report);
    if (fat === undefined) return undefined;
    const fileSystem = `fat${fat.layout.fatBits}`;
    const name = `${fileSystem}@${offset}`;
    const walked = this.#files.length < WALKED_VOLUMES_MAX;
    const files = walked ? await findBootFiles(fatTree(fat, report), name, offset) : NO_BOOT_FILES;
    if (walked) this.#files.push(files);
    return {
      name,
      fileSystem,
      offset: diskNumber(offset),
      sizeBytes: diskNumber(fat.layout.volumeBytes),
      label: fat.label,
      uuid: fat.layout.serial,
      seenAs: [],
      entriesWalked: files.entriesWalked,
      walkComplete: files.complete,
    };
  }

  async #recogniseOther(offset: bigint, bytes: bigint): Promise<(VolumeFacts & { seenAs: string[] }) | undefined> {
    const window = windowSource(this.#source, offset, bytes);
    const facts = (fileSystem: string, label: string, uuid: string | null, volumeBytes: bigint) => ({
      name: `${fileSystem}@${offset}`,
      fileSystem,
      offset: diskNumber(offset),
      sizeBytes: diskNumber(volumeBytes),
      label,
      uuid,
      seenAs: [],
      entriesWalked: null,
      walkComplete: true,
    });
    const recognised = recogniseFileSystem(await window.read(0n, VOLUME_HEAD_BYTES));
    if (recognised !== undefined) {
      const { fileSystem, label, uuid, volumeBytes = window.sizeBytes } = recognised;
      if (volumeBytes > window.sizeBytes) {
        const expected = `room for the ${volumeBytes} bytes that it says it has`;
        this.#problems.report({ offset, structure: `${fileSystem} superblock`, expected, found: `${window.sizeBytes}` });
      }
      return facts(fileSystem, label, uuid, volumeBytes);
    }
    // A hybrid ISO describes itself a second time from the start of its first partition: the same files, not walked again.
    const iso = await readIsoVolume(window, () => {});
    return iso === undefined ? undefined : facts("iso9660", iso.primary.volumeId, iso.primary.modified, iso.primary.volumeBytes);
  }
}
