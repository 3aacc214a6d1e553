/** Facts of an image as a page for people: what it is, how it boots and why, what is inside, what is wrong. Harmless on a terminal. */
import { printable } from "../formats/escape-terminal.ts";
import type {
  BootAnswer,
  DiskNumber,
  ElToritoFacts,
  FileFacts,
  GptPartitionFacts,
  ImageFacts,
  IsoFacts,
  MbrPartitionFacts,
  ProblemFacts,
  VolumeFacts,
} from "./image-facts.ts";

export function renderImageFacts(facts: ImageFacts): string {
  const sections = [
    `${printable(facts.name)}: ${describeImage(facts)}\n`,
    section("Boots", table(bootRows(facts))),
    facts.iso === null ? "" : section("ISO 9660", table(isoRows(facts.iso))),
    facts.iso === null ? "" : section("El Torito", elToritoTable(facts.iso.elTorito, facts.volumes)),
    facts.mbr === null ? "" : section(`MBR${facts.mbr.protective ? " (protective)" : ""}`, mbrTable(facts.mbr.partitions, facts.volumes)),
    facts.gpt === null ? "" : section(gptTitle(facts.gpt), gptTable(facts.gpt.partitions, facts.volumes, facts.gpt.sectorBytes)),
    section("File systems", volumeTable(facts.volumes)),
    section(
      "EFI programs",
      fileTable(facts.efiBootFiles, ({ pe }) => (pe === null ? "no PE image" : `${pe.machine}, ${signature(pe.signed)}`)),
    ),
    section("Kernels", fileTable(facts.kernels, kernelWords)),
    section(
      "Initial RAM file systems",
      fileTable(facts.initrds, ({ format }) => format),
    ),
    section(
      "Boot-loader configurations",
      fileTable(facts.bootConfigs, ({ loader }) => loader),
    ),
    section("Problems", problemLines(facts.problems, facts.problemsOmitted)),
  ];
  return sections.filter((text) => text !== "").join("\n");
}

/** One clause: "ISO 9660 image with a GPT and an MBR, 5.9 MiB (6193152 bytes)". */
export function describeImage(facts: ImageFacts): string {
  const tables = [
    ...(facts.gpt === null ? [] : ["a GPT"]),
    ...(facts.mbr === null ? [] : [facts.mbr.protective ? "a protective MBR" : "an MBR"]),
  ];
  const beside = tables.length === 0 ? "" : ` with ${tables.join(" and ")}`;
  const size = `${sizeText(facts.sizeBytes)}${filesText(facts)}`;
  if (facts.kind === "iso9660") return `ISO 9660 image${beside}, ${size}`;
  if (facts.kind === "disk") return `raw disk${beside === "" ? `, ${printable(facts.because)}` : beside}, ${size}`;
  if (facts.kind === "container") return `not a raw image but ${printable(facts.container ?? "")}, ${size}`;
  return `nothing that we know to boot (${printable(facts.because)}), ${size}`;
}

/** ` in a qcow2 above base.img`, nothing for a raw image. */
function filesText({ diskFiles, kind }: ImageFacts): string {
  if (diskFiles === null || kind === "container") return "";
  const below = diskFiles.backing.map(({ path }) => printable(path)).join(", ");
  return `, in a ${diskFiles.format}${below === "" ? "" : ` above ${below}`}`;
}

type Row = readonly string[];

function bootRows({ boots }: ImageFacts): Row[] {
  const row = (firmware: string, medium: string, { can, because }: BootAnswer): Row => [firmware, medium, can ? "yes" : "no", because];
  return [
    row("BIOS", "CD", boots.bios.cd),
    row("BIOS", "USB", boots.bios.usb),
    row("UEFI", "CD", boots.uefi.cd),
    row("UEFI", "USB", boots.uefi.usb),
  ];
}

function isoRows(iso: IsoFacts): Row[] {
  const names = [
    ...(iso.rockRidge ? ["Rock Ridge"] : []),
    ...(iso.joliet === null ? [] : [`Joliet level ${iso.joliet.level}`]),
    ...(iso.udf === null ? [] : [`UDF (${iso.udf}), not looked into`]),
  ];
  const rows: Row[] = [
    ["volume", iso.volumeId],
    ["publisher", iso.publisher],
    ["prepared by", iso.preparer],
    ["application", iso.application],
    ["UUID", iso.uuid ?? ""],
    ["size", `${sizeText(iso.volumeSizeBytes)} by its descriptor`],
    ["names", names.length === 0 ? "plain" : names.join(", ")],
  ];
  return rows.filter(([, value]) => value !== "");
}

function elToritoTable(entries: readonly ElToritoFacts[], volumes: readonly VolumeFacts[]): string[] {
  if (entries.length === 0) return ["no boot catalogue, or an empty one"];
  return table([
    ["#", "platform", "boots", "emulation", "load", "to", "at byte", "size", "what"],
    ...entries.map((entry) => [
      `${entry.number}`,
      entry.platform === "other" ? `0x${entry.platformId.toString(16)}` : entry.platform,
      entry.bootable ? "yes" : "no",
      entry.emulation,
      `${entry.loadSectors} × 512`,
      `0x${(entry.loadSegment * 16).toString(16)}`,
      `${entry.offset}`,
      shortSize(entry.sizeBytes),
      [contentWords(entry, volumes), ...(entry.path === null ? [] : [entry.path])].join(", "),
    ]),
  ]);
}

function contentWords({ content, bootLoader, volume }: ElToritoFacts, volumes: readonly VolumeFacts[]): string {
  if (content === "outside") return "outside the image";
  if (content === "zeros") return "zeros";
  if (content === "volume") return volumeWords(volume, volumes);
  return bootLoader ?? "boot code";
}

function volumeWords(name: string | null, volumes: readonly VolumeFacts[]): string {
  const volume = volumes.find((candidate) => candidate.name === name);
  if (volume === undefined) return "";
  return volume.label === "" ? volume.fileSystem : `${volume.fileSystem} "${volume.label}"`;
}

function mbrTable(partitions: readonly MbrPartitionFacts[], volumes: readonly VolumeFacts[]): string[] {
  return table([
    ["#", "type", "", "first LBA", "sectors", "holds"],
    ...partitions.map(({ number, type, typeName, active, firstLba, sectors, volume }) => [
      `${number}`,
      [type, ...(typeName === null ? [] : [typeName])].join(" "),
      active ? "active" : "",
      `${firstLba}`,
      `${sectors}`,
      volumeWords(volume, volumes),
    ]),
  ]);
}

function gptTitle({ diskGuid, table: used, backupIntact }: NonNullable<ImageFacts["gpt"]>): string {
  const state = used === "backup" ? "from its backup: the primary one is damaged" : backupIntact ? "backup intact" : "backup damaged";
  return `GPT ${diskGuid} (${state})`;
}

function gptTable(partitions: readonly GptPartitionFacts[], volumes: readonly VolumeFacts[], sectorBytes: number): string[] {
  return table([
    ["#", "type", "name", "LBAs", "size", "holds"],
    ...partitions.map(({ number, typeGuid, typeName, name, firstLba, lastLba, volume }) => [
      `${number}`,
      typeName ?? typeGuid,
      name,
      `${firstLba}-${lastLba}`,
      // A last LBA before the first is among the problems.
      shortSize(Math.max(0, Number(lastLba) - Number(firstLba) + 1) * sectorBytes),
      volumeWords(volume, volumes),
    ]),
  ]);
}

function volumeTable(volumes: readonly VolumeFacts[]): string[] {
  return table(
    volumes.map(({ name, sizeBytes, label, seenAs, walkComplete }) => [
      name,
      shortSize(sizeBytes),
      label,
      `${seenAs.join(", ")}${walkComplete ? "" : "; not walked whole"}`,
    ]),
  );
}

function fileTable<File extends FileFacts>(files: readonly File[], words: (file: File) => string): string[] {
  return table(files.map((file) => [file.path, shortSize(file.sizeBytes), words(file), `in ${file.volume}`]));
}

function kernelWords({ format, version, bootProtocol, machine, efiStub, signed }: ImageFacts["kernels"][number]): string {
  const parts = [
    format,
    ...(machine === null ? [] : [machine]),
    ...(bootProtocol === null ? [] : [`protocol ${bootProtocol}`]),
    ...(efiStub ? [`EFI stub, ${signature(signed)}`] : []),
    ...(version === "" ? [] : [version]),
  ];
  return parts.join(", ");
}

const signature = (signed: boolean): string => (signed ? "signed" : "not signed");

function problemLines(problems: readonly ProblemFacts[], omitted: number): string[] {
  const lines = problems.map(({ offset, structure, expected, found }) =>
    printable(`byte ${offset}: ${structure}: expected ${expected}, found ${found}`),
  );
  return omitted === 0 ? lines : [...lines, `and ${omitted} more`];
}

/** A title and indented lines; empty where there are none. */
export function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${printable(title)}\n${lines.map((line) => `  ${line}\n`).join("")}`;
}

/** Columns as wide as their widest cell, the last one as it is. Every cell is made harmless here. */
export function table(rows: readonly Row[]): string[] {
  const cells = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}

const UNITS = ["bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"] as const;

/** "5.9 MiB". */
function shortSize(bytes: DiskNumber): string {
  let value = Number(bytes);
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : value.toFixed(1)} ${UNITS[unit]}`;
}

const sizeText = (bytes: DiskNumber): string => (Number(bytes) < 1024 ? `${bytes} bytes` : `${shortSize(bytes)} (${bytes} bytes)`);
