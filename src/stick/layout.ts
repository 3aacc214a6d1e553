/** Where a stick's two partitions lie: decided here from sizes and ids alone, written by `create.ts`. CONTRACT section 2. */
import { HiperisoError } from "../contract/error.ts";
import { STICK_DATA_NAME, STICK_DATA_START, STICK_ESP_BYTES, STICK_ESP_LABEL } from "../contract/stick.ts";
import type { Ids } from "../disk/ids.ts";
import { type GptTable, planGpt, type SectorBytes } from "../disk/partitions/gpt-layout.ts";

/** Basic data for both: firmware boots from the second all the same, and Windows gives the first a letter. */
const BASIC_DATA_GUID = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
/** Windows shows no drive for the ESP: nobody is invited to format it. */
const NO_DRIVE_LETTER = 1n << 63n;
const MIB = 1n << 20n;
/** Below that a stick holds nothing that boots: room for the ESP, both tables, and a data partition worth the name. */
const STICK_BYTES_MIN = STICK_ESP_BYTES + 16n * MIB;

export interface StickSpan {
  readonly guid: string;
  /** Byte of the disk. */
  readonly offset: bigint;
  readonly sizeBytes: bigint;
  /** Of the volume on it, 32 bits. */
  readonly serial: number;
}

export interface StickLayout {
  readonly sizeBytes: bigint;
  readonly table: GptTable;
  readonly data: StickSpan;
  readonly esp: StickSpan;
}

export interface StickSize {
  readonly sizeBytes: bigint;
  readonly sectorBytes: SectorBytes;
}

/** The same ids give the same layout. Throws HiperisoError of kind `usage` where the disk is too small. */
export function planStick({ sizeBytes, sectorBytes }: StickSize, ids: Ids): StickLayout {
  if (sizeBytes < STICK_BYTES_MIN) {
    throw new HiperisoError({
      what: "plan the stick",
      expected: `at least ${STICK_BYTES_MIN} bytes: ${STICK_ESP_BYTES / MIB} MiB are for the boot partition`,
      found: `${sizeBytes} bytes`,
      kind: "usage",
    });
  }
  const [diskGuid, dataGuid, espGuid] = [ids.guid(), ids.guid(), ids.guid()];
  const table = planGpt({ sizeBytes, sectorBytes, diskGuid }, [
    { typeGuid: BASIC_DATA_GUID, guid: dataGuid, name: STICK_DATA_NAME, size: "rest" },
    { typeGuid: BASIC_DATA_GUID, guid: espGuid, name: STICK_ESP_LABEL, size: STICK_ESP_BYTES, attributes: NO_DRIVE_LETTER },
  ]);
  const [data, esp] = table.partitions.map(({ firstLba, lastLba, uniqueGuid }): StickSpan => {
    const block = BigInt(sectorBytes);
    return { guid: uniqueGuid, offset: firstLba * block, sizeBytes: (lastLba - firstLba + 1n) * block, serial: ids.serial() };
  });
  return { sizeBytes, table, data: data!, esp: esp! };
}

const CLUSTER_BYTES_MOST = 131_072n;
/** For sessions, and the images of tomorrow. */
const ROOM_BYTES = 1024n * MIB;
const ROUND_BYTES = 64n * MIB;

/** A size for an image that nobody gave one: what it shall hold, file system and partition tables, and 1 GiB of room. */
export function usualSize(fileBytes: readonly bigint[]): bigint {
  const content = fileBytes.reduce((sum, bytes) => sum + ((bytes + CLUSTER_BYTES_MOST - 1n) / CLUSTER_BYTES_MOST) * CLUSTER_BYTES_MOST, 0n);
  // Tables of exFAT: 4 bytes and a bit for each cluster of 32 KiB, and its alignment.
  const tables = (content + ROOM_BYTES) / 4096n + 8n * MIB;
  const bytes = STICK_DATA_START + content + tables + ROOM_BYTES + STICK_ESP_BYTES + MIB;
  return ((bytes + ROUND_BYTES - 1n) / ROUND_BYTES) * ROUND_BYTES;
}
