/** Is this disk or image a Ventoy stick, and may hiperiso be added to it? By its partition table, and by what stands on the second partition. */
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { silentProgress } from "../../contract/job.ts";
import { STICK_ESP_LABEL } from "../../contract/stick.ts";
import type { BlockStore } from "../../disk/block-store.ts";
import { type DiskPartition, readContents } from "../../disk/disk-table.ts";
import { openVolume } from "../../disk/open-volume.ts";
import type { SectorBytes } from "../../disk/partitions/gpt-layout.ts";
import { isVolumeFormat, recognise } from "../../disk/recognise.ts";
import { volumeData } from "../data.ts";
import { judgeStick, type OpenStick } from "../open-stick.ts";
import { partitionStore } from "../volumes.ts";
import { readAdoption } from "./record.ts";

export interface VentoyStick {
  /** As `init` looks for the disk: the GUID of its GPT, or the signature of its MBR in 8 hexadecimal digits; undefined where that is 0, as on many. */
  readonly diskId: string | undefined;
  readonly scheme: "gpt" | "mbr";
  readonly data: DiskPartition;
  readonly dataStore: BlockStore;
}

/** What Ventoy's own loader asks for on the second partition. */
const VENTOY_MARKS = ["/ventoy/ventoy.cpio", "/grub/localboot.cfg"] as const;

/** Throws HiperisoError of kind `usage` where it is none, or its data partition is of a kind that cannot be written here. Does not own `medium`. */
export async function openVentoyStick(medium: BlockStore, sectorBytes: SectorBytes | undefined, job: Job): Promise<VentoyStick> {
  const contents = await readContents(medium, sectorBytes);
  const judgement = judgeStick(contents);
  const refuse = (found: string, hint: string, expected = "a Ventoy stick") =>
    new HiperisoError({ what: "adopt the stick", where: medium.name, expected, found, hint, kind: "usage" });
  if (judgement.kind === "stick") throw refuse("a stick of hiperiso", "It has all that adopting would add.");
  if (judgement.kind !== "ventoy")
    throw refuse(judgement.is, "It was left as it is. Install Ventoy on it first, or make a stick of hiperiso: `hiperiso stick create`.");
  const { table } = contents;
  const [data, esp] = [1, 2].map((number) => table?.partitions.find((one) => one.number === number));
  if (table === undefined || data === undefined || esp === undefined) throw refuse(judgement.is, LEFT);
  if (esp.offset + esp.sizeBytes > medium.sizeBytes)
    throw refuse(
      `${medium.sizeBytes} bytes`,
      "The image was cut, or the copy of it not finished.",
      `${esp.offset + esp.sizeBytes} bytes or more`,
    );
  const lacks = await lackOn(partitionStore(medium, esp, 2), job);
  if (lacks !== undefined) throw refuse(`a disk that is divided like one, but ${lacks}`, LEFT);
  const dataStore = partitionStore(medium, data, 1);
  const found = await recognise(dataStore);
  if (found?.format !== "exfat" && found?.format.startsWith("fat") !== true) {
    const hint = "Ventoy makes it exFAT; other kinds that it boots from, NTFS and ext4, are not written by hiperiso. It was left as it is.";
    throw refuse(found?.format ?? "nothing that is known", hint, "exFAT or FAT on its first partition");
  }
  return { diskId: identityOf(table.scheme, table.id), scheme: table.scheme, data, dataStore };
}

/**
 * One to which hiperiso was added, as a stick of ours: its boot partition is Ventoy's, and refuses to be written. Undefined where it is no Ventoy stick, or
 * nothing was added to it.
 */
export async function openAdoptedStick(medium: BlockStore, sectorBytes: SectorBytes | undefined, job: Job): Promise<OpenStick | undefined> {
  const contents = await readContents(medium, sectorBytes);
  const [data, esp] = [1, 2].map((number) => contents.table?.partitions.find((one) => one.number === number));
  if (judgeStick(contents).kind !== "ventoy" || data === undefined || esp === undefined) return undefined;
  const dataStore = partitionStore(medium, data, 1);
  const found = await recognise(dataStore);
  if (found === undefined || !isVolumeFormat(found.format)) return undefined;
  await using volume = await openVolume(dataStore, { readOnly: true }, { ...job, progress: silentProgress });
  const { adoption } = await readAdoption(volumeData(volume, dataStore));
  if (adoption === undefined) return undefined;
  const refuse = async (): Promise<never> => {
    throw new HiperisoError({
      what: "write to the boot partition",
      where: medium.name,
      found: "Ventoy's own, of a stick that was adopted",
    });
  };
  const espStore: BlockStore = { ...partitionStore(medium, esp, 2), write: refuse };
  const diskGuid = identityOf(contents.table?.scheme ?? "gpt", contents.table?.id ?? "") ?? "";
  return { diskGuid, data, esp, medium, contents, dataStore, espStore };
}

const LEFT = "It was left as it is.";

function identityOf(scheme: "gpt" | "mbr", id: string): string | undefined {
  if (scheme === "gpt") return id.toLowerCase();
  const digits = id.replace(/^0x/, "").toLowerCase();
  return /^0*$/.test(digits) ? undefined : digits;
}

/** What the second partition lacks of Ventoy's; undefined where nothing. */
async function lackOn(store: BlockStore, job: Job): Promise<string | undefined> {
  const found = await recognise(store);
  if (found === undefined || !isVolumeFormat(found.format) || !found.format.startsWith("fat"))
    return `its second partition holds ${found?.format ?? "nothing that is known"} and not FAT`;
  if (found.label.trim() !== STICK_ESP_LABEL)
    return `its second partition is called ${JSON.stringify(found.label)} and not ${STICK_ESP_LABEL}`;
  await using volume = await openVolume(store, { readOnly: true }, { ...job, progress: silentProgress });
  for (const mark of VENTOY_MARKS) if ((await volume.stat(mark)) === undefined) return `there is no ${mark} on its second partition`;
  return undefined;
}
