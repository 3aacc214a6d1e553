/** What an image is, from its bytes. */
import { decodeBootCatalog, decodeBootRecord, PLATFORM } from "../formats/el-torito.ts";
import {
  DESCRIPTOR_TYPE,
  decodeDescriptorHeader,
  decodeVolumeDescriptor,
  FIRST_DESCRIPTOR_SECTOR,
  ISO_SECTOR_BYTES,
} from "../formats/iso9660.ts";
import { bootLoaderIn, decodeMbr, ESP_TYPE, MBR_BYTES, mbrTypeName, PROTECTIVE_TYPE } from "../formats/mbr.ts";
import { hex, type Place } from "../formats/problem.ts";
import { type BlockSource, cachedSource, openImage } from "./block-source.ts";
import { diskNumber, type ElToritoFacts, type ImageFacts, type IsoFacts, type MbrFacts } from "./image-facts.ts";
import { Problems } from "./problems.ts";

/** Opens the image, probes it and closes it again. Throws as `openImage` and `probeImage` do. */
export async function openImageFacts(path: string, signal: AbortSignal): Promise<ImageFacts> {
  await using source = await openImage(path);
  return await probeImage(source, signal);
}

/**
 * Reads what the image says of itself. Whatever is wrong with its content becomes a problem in the facts; throws HiperisoError
 * only where the medium cannot be read, and the signal's reason when aborted. Takes some milliseconds and a few MiB, whatever the image's size.
 */
export async function probeImage(medium: BlockSource, signal: AbortSignal): Promise<ImageFacts> {
  const source = cachedSource(medium, signal);
  const problems = new Problems();
  const iso = await readIso(source, problems);
  const mbr = await readMbr(source, problems);
  const no = (because: string) => ({ can: false, because });
  const yes = (because: string) => ({ can: true, because });
  const biosEntry = iso?.elTorito.find(({ platform, bootable }) => platform === "bios" && bootable);
  const uefiEntry = iso?.elTorito.find(({ platform, bootable }) => platform === "uefi" && bootable);
  return {
    name: medium.name,
    sizeBytes: diskNumber(medium.sizeBytes),
    kind: iso !== null ? "iso9660" : mbr !== null ? "disk" : "unknown",
    because:
      iso !== null ? "a primary volume descriptor at byte 32768" : mbr !== null ? "a partition table at byte 0" : "no known signature",
    container: null,
    iso,
    mbr,
    gpt: null,
    volumes: [],
    efiBootFiles: [],
    kernels: [],
    initrds: [],
    bootConfigs: [],
    boots: {
      bios: {
        cd: biosEntry ? yes(`El Torito entry ${biosEntry.number}`) : no("no bootable El Torito entry for BIOS"),
        usb: mbr?.bootCode ? yes("boot code in the MBR") : no("no boot code in sector 0"),
      },
      uefi: {
        cd: uefiEntry ? yes(`El Torito entry ${uefiEntry.number}`) : no("no bootable El Torito entry for UEFI"),
        usb: mbr?.partitions.some(({ type }) => Number(type) === ESP_TYPE) ? yes("an EFI system partition") : no("no EFI system partition"),
      },
    },
    ...problems.facts(),
  };
}

const at = (offset: bigint, problems: Problems): Place => ({ offset, report: problems.report });

async function readIso(source: BlockSource, problems: Problems): Promise<IsoFacts | null> {
  const offset = BigInt(FIRST_DESCRIPTOR_SECTOR * ISO_SECTOR_BYTES);
  const sector = await source.read(offset, ISO_SECTOR_BYTES);
  if (decodeDescriptorHeader(sector)?.type !== DESCRIPTOR_TYPE.primary) return null;
  const primary = decodeVolumeDescriptor(sector, at(offset, problems));
  if (primary === undefined) return null;
  const bootSector = await source.read(offset + 2048n, ISO_SECTOR_BYTES);
  const catalogLba = decodeBootRecord(bootSector);
  const elTorito: ElToritoFacts[] = [];
  if (catalogLba !== undefined) {
    const catalogOffset = BigInt(catalogLba) * 2048n;
    for (const entry of decodeBootCatalog(await source.read(catalogOffset, ISO_SECTOR_BYTES), at(catalogOffset, problems))) {
      elTorito.push({
        ...entry,
        platform: entry.platformId === PLATFORM.efi ? "uefi" : entry.platformId === PLATFORM.x86 ? "bios" : "other",
        emulation: "none",
        offset: entry.lba * 2048,
        sizeBytes: entry.loadSectors * 512,
        idString: entry.id,
        holds: "",
        volume: null,
      });
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
    rockRidge: false,
    joliet: null,
    udf: null,
    elTorito,
  };
}

async function readMbr(source: BlockSource, problems: Problems): Promise<MbrFacts | null> {
  const mbr = decodeMbr(await source.read(0n, MBR_BYTES), at(0n, problems));
  if (mbr === undefined) return null;
  return {
    bootCode: mbr.bootCode.some((byte) => byte !== 0),
    bootLoader: bootLoaderIn(mbr.bootCode),
    diskSignature: hex(mbr.diskSignature, 8),
    protective: mbr.entries.length === 1 && mbr.entries[0]!.type === PROTECTIVE_TYPE,
    partitions: mbr.entries.map((entry) => ({
      number: entry.number,
      type: hex(entry.type),
      typeName: mbrTypeName(entry.type),
      active: entry.active,
      firstLba: entry.firstLba,
      sectors: entry.sectors,
      volume: null,
    })),
  };
}
