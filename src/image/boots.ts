/** What an image can boot from: decided from its facts alone, each answer with its reason. */
import type { BootAnswer, Boots, ElToritoFacts, ImageFacts, VolumeFacts } from "./image-facts.ts";

/** What the decision looks at. */
export type BootEvidence = Pick<ImageFacts, "kind" | "container" | "iso" | "bootSector" | "mbr" | "gpt" | "volumes" | "efiBootFiles">;

export function decideBoots(evidence: BootEvidence): Boots {
  if (evidence.container !== null) {
    const answer = no(`the image is packed (${evidence.container}): firmware would see the wrapping`);
    return { bios: { cd: answer, usb: answer }, uefi: { cd: answer, usb: answer } };
  }
  return {
    bios: { cd: biosFromCd(evidence), usb: biosFromDisk(evidence) },
    uefi: { cd: uefiFromCd(evidence), usb: uefiFromDisk(evidence) },
  };
}

const yes = (because: string): BootAnswer => ({ can: true, because });
const no = (because: string): BootAnswer => ({ can: false, because });

const NO_CD = "not ISO 9660: a CD drive's firmware looks for nothing else";

/** SeaBIOS, like most, starts the default entry alone, and that only where the validation entry is for its platform. */
function biosFromCd({ iso }: BootEvidence): BootAnswer {
  if (iso === null) return no(NO_CD);
  const entry = iso.elTorito.find(({ platform }) => platform === "bios");
  if (entry === undefined) return no(noEntry(iso.elTorito, "BIOS"));
  return entry.number === 1 ? biosEntry(entry) : no(`El Torito entry ${entry.number} is for BIOS, but a BIOS looks at the first one alone`);
}

function biosEntry(entry: ElToritoFacts): BootAnswer {
  const title = `El Torito entry ${entry.number}`;
  if (!entry.bootable) return no(`${title} is marked as not bootable`);
  if (entry.content === "outside") return no(`${title} points outside the image, to byte ${entry.offset}`);
  if (entry.content === "zeros") return no(`${title} points at zeros, at byte ${entry.offset}`);
  if (entry.bootCode === "idle" || (entry.bootCode === "none" && entry.content === "volume")) {
    return no(`${title} holds a file system without boot code, at byte ${entry.offset}`);
  }
  const what = entry.bootLoader ?? (entry.emulation === "none" ? "boot code" : `a ${entry.emulation} image`);
  return yes(`${title} loads ${what}${entry.path === null ? "" : ` (${entry.path})`} from byte ${entry.offset}`);
}

function uefiFromCd(evidence: BootEvidence): BootAnswer {
  return evidence.iso === null ? no(NO_CD) : uefiFromCatalog(evidence);
}

/** EDK II starts from any entry that holds a FAT volume, whatever its platform says; those that say UEFI come first. */
function uefiFromCatalog(evidence: BootEvidence): BootAnswer {
  const all = evidence.iso?.elTorito ?? [];
  if (evidence.iso?.elToritoChecksumRight === false)
    return no("the El Torito boot catalogue has a wrong checksum, which UEFI does not forgive");
  const entries = all.filter(({ platform }) => platform === "uefi");
  const others = all.filter((entry) => entry.platform !== "uefi" && entry.content === "volume");
  const lenient = others
    .map((entry) => uefiEntry(evidence, entry))
    .filter(({ can }) => can)
    .map(({ because }) => yes(`${because}, though not marked as UEFI's`));
  return firstYes([...entries.map((entry) => uefiEntry(evidence, entry)), ...lenient], no(noEntry(all, "UEFI")));
}

function uefiEntry(evidence: BootEvidence, entry: ElToritoFacts): BootAnswer {
  const title = `El Torito entry ${entry.number}`;
  if (!entry.bootable) return no(`${title} is marked as not bootable`);
  if (entry.content === "outside") return no(`${title} points outside the image, to byte ${entry.offset}`);
  if (entry.content === "zeros") return no(`${title} points at zeros, at byte ${entry.offset}`);
  const volume = evidence.volumes.find(({ name }) => name === entry.volume);
  if (volume === undefined || !isFat(volume)) return no(`${title} holds no FAT file system, which is what UEFI reads`);
  return bootFileIn(evidence, volume, title);
}

function noEntry(entries: readonly ElToritoFacts[], firmware: string): string {
  return entries.length === 0 ? "no El Torito boot catalogue" : `no entry for ${firmware} in the El Torito boot catalogue`;
}

/** A BIOS reads sector 0, looks for 0x55 0xAA at its end and jumps to its start. */
function biosFromDisk({ bootSector, mbr, kind }: BootEvidence): BootAnswer {
  if (bootSector === null)
    return no(`no boot sector: bytes 510 and 511 are not 0x55 0xaa${kind === "iso9660" ? " (not a hybrid image)" : ""}`);
  if (bootSector.code === "none") return no("sector 0 holds no boot code, only zeros");
  if (bootSector.code === "idle") return no("the code in sector 0 belongs to no boot loader: it only says that there is nothing to boot");
  if (bootSector.code === "next") {
    const active = mbr?.partitions.find((partition) => partition.active);
    if (active === undefined) return no("the code in sector 0 looks for an active partition, and none is");
    return yes(`the code in sector 0 starts the active partition ${active.number}`);
  }
  return yes(`boot code${bootSector.bootLoader === null ? "" : ` of ${bootSector.bootLoader}`} in sector 0`);
}

/**
 * In the order in which UEFI looks for partitions on any block device (UEFI 2.10, 13.3.2): GPT, El Torito, MBR. The first that is
 * there counts alone. No partitions at all: the whole disk may be one FAT volume.
 */
function uefiFromDisk(evidence: BootEvidence): BootAnswer {
  const { gpt, mbr, iso, volumes } = evidence;
  if (gpt !== null)
    return fromVolumes(
      evidence,
      gpt.partitions.map(({ volume, number }) => ({
        volume,
        title: `${gpt.table === "backup" ? "backup GPT" : "GPT"} partition ${number}`,
      })),
      "in the GPT",
    );
  if (iso !== null && iso.elTorito.length > 0) {
    const answer = uefiFromCatalog(evidence);
    if (answer.can || mbr === null) return answer;
  }
  if (mbr !== null)
    return fromVolumes(
      evidence,
      mbr.partitions.map(({ volume, number }) => ({ volume, title: `MBR partition ${number}` })),
      "in the MBR",
    );
  const whole = volumes.find((volume) => volume.offset === 0 && isFat(volume));
  return whole === undefined
    ? no("no partition table, no El Torito catalogue, no FAT file system")
    : bootFileIn(evidence, whole, "the whole image");
}

function fromVolumes(evidence: BootEvidence, places: readonly { volume: string | null; title: string }[], where: string): BootAnswer {
  const answers = places.flatMap(({ volume, title }) => {
    const found = evidence.volumes.find(({ name }) => name === volume);
    return found === undefined || !isFat(found) ? [] : [bootFileIn(evidence, found, title)];
  });
  return firstYes(answers, no(`no partition with a FAT file system ${where}`));
}

const isFat = ({ fileSystem }: VolumeFacts): boolean => fileSystem.startsWith("fat");

/** What x86-64 firmware starts from a medium that it has no boot entry for (UEFI 2.10, 3.5.1.1). */
const DEFAULT_FILE = "/EFI/BOOT/BOOTX64.EFI";

function bootFileIn(evidence: BootEvidence, volume: VolumeFacts, title: string): BootAnswer {
  const files = evidence.efiBootFiles.filter((file) => file.volume === volume.name);
  const file = files.find(({ path }) => path.toUpperCase() === DEFAULT_FILE);
  if (file === undefined) {
    const others = files.map(({ path }) => path).join(", ");
    return no(`${title} (${volume.fileSystem}) holds no ${DEFAULT_FILE}${others === "" ? "" : `, only ${others}`}`);
  }
  if (file.pe === null) return no(`${file.path} in ${title} is no EFI program`);
  if (file.pe.machine !== "x86-64") return no(`${file.path} in ${title} is for ${file.pe.machine}, not x86-64`);
  return yes(`${file.path} in ${title} (${volume.fileSystem})`);
}

/** The first answer that is yes, else the first reason, else `otherwise`. */
const firstYes = (answers: readonly BootAnswer[], otherwise: BootAnswer): BootAnswer =>
  answers.find(({ can }) => can) ?? answers[0] ?? otherwise;
