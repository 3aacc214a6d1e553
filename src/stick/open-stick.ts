/** Is this disk or image a stick of ours, and what are its parts? Everything else is shown, refused, and left as it is. */
import { HiperisoError } from "../contract/error.ts";
import { STICK_DATA_NAME, STICK_DATA_START, STICK_ESP_BYTES, STICK_ESP_LABEL } from "../contract/stick.ts";
import type { BlockStore } from "../disk/block-store.ts";
import { type DiskContents, type DiskPartition, readContents } from "../disk/disk-table.ts";
import type { SectorBytes } from "../disk/partitions/gpt-layout.ts";
import { recognise } from "../disk/recognise.ts";
import { partitionStore } from "./volumes.ts";

export interface StickParts {
  readonly diskGuid: string;
  readonly data: DiskPartition;
  readonly esp: DiskPartition;
}

export type StickJudgement =
  | { readonly kind: "stick"; readonly parts: StickParts }
  /** `is`: what it is instead, for a person. */
  | { readonly kind: "ventoy" | "foreign" | "empty"; readonly is: string };

/** Ventoy's second partition, of 65,536 sectors. */
const VENTOY_ESP_BYTES = 32n << 20n;

/** From the partition table alone: what stands in the partitions may be damaged, and is then mended or told. */
export function judgeStick({ table, whole }: DiskContents): StickJudgement {
  if (table === undefined) {
    return whole === undefined
      ? { kind: "empty", is: "nothing that is known" }
      : { kind: "foreign", is: `${whole.format} without partitions` };
  }
  const { partitions } = table;
  const data = partitions.find(({ number }) => number === 1);
  const esp = partitions.find(({ number }) => number === 2);
  const listed = `${table.scheme.toUpperCase()}: ${partitions.map(partitionText).join(", ") || "no partitions"}`;
  const adjacent =
    data !== undefined && esp !== undefined && data.offset === STICK_DATA_START && esp.offset === data.offset + data.sizeBytes;
  if (adjacent && esp.sizeBytes === VENTOY_ESP_BYTES) return { kind: "ventoy", is: `a Ventoy stick (${listed})` };
  const ours =
    adjacent &&
    table.scheme === "gpt" &&
    partitions.length === 2 &&
    esp.sizeBytes === STICK_ESP_BYTES &&
    data.name === STICK_DATA_NAME &&
    esp.name === STICK_ESP_LABEL;
  return ours ? { kind: "stick", parts: { diskGuid: table.id, data, esp } } : { kind: "foreign", is: listed };
}

const MIB = 1n << 20n;
const partitionText = ({ number, name, typeName, typeId, sizeBytes }: DiskPartition): string =>
  `${number} ${name === "" ? (typeName ?? typeId) : JSON.stringify(name)} of ${sizeBytes / MIB} MiB`;

export interface OpenStick extends StickParts {
  readonly medium: BlockStore;
  readonly contents: DiskContents;
  readonly dataStore: BlockStore;
  readonly espStore: BlockStore;
}

/** Throws HiperisoError of kind `usage` that shows what is there instead. Does not own `medium`. */
export async function openStick(medium: BlockStore, sectorBytes?: SectorBytes): Promise<OpenStick> {
  const contents = await readContents(medium, sectorBytes);
  const judgement = judgeStick(contents);
  if (judgement.kind !== "stick") {
    const hint = { ventoy: VENTOY_HINT, foreign: CREATE_HINT, empty: CREATE_HINT }[judgement.kind];
    const found = `${judgement.is}${await volumesText(medium, contents)}`;
    throw new HiperisoError({ what: "use the stick", where: medium.name, expected: "a stick of hiperiso", found, hint, kind: "usage" });
  }
  const { parts } = judgement;
  if (parts.esp.offset + parts.esp.sizeBytes > medium.sizeBytes) {
    throw new HiperisoError({
      what: "use the stick",
      where: medium.name,
      expected: `${parts.esp.offset + parts.esp.sizeBytes} bytes or more, as its partition table says`,
      found: `${medium.sizeBytes}`,
      hint: "The image was cut, or the copy of it not finished.",
      kind: "usage",
    });
  }
  const sectored = { ...medium, sectorBytes: Math.max(medium.sectorBytes, contents.table?.sectorBytes ?? 512) };
  return {
    ...parts,
    medium,
    contents,
    dataStore: partitionStore(sectored, parts.data, 1),
    espStore: partitionStore(sectored, parts.esp, 2),
  };
}

const VENTOY_HINT = "It was left as it is. `hiperiso stick adopt` adds hiperiso to it.";
const CREATE_HINT = "It was left as it is. `hiperiso stick create` makes a stick of it; all that is on it is lost then.";

async function volumesText(medium: BlockStore, { table }: DiskContents): Promise<string> {
  const found: string[] = [];
  for (const partition of table?.partitions ?? []) {
    if (partition.role === "extended" || partition.sizeBytes === 0n || partition.offset >= medium.sizeBytes) continue;
    const volume = await recognise(partitionStore(medium, partition, partition.number));
    if (volume !== undefined)
      found.push(`${partition.number}: ${volume.format}${volume.label === "" ? "" : ` ${JSON.stringify(volume.label)}`}`);
  }
  return found.length === 0 ? "" : `; on it ${found.join(", ")}`;
}
