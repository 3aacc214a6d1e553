/** `hiperiso disk show`: the partitions of a disk or image, what is in them, and what is wrong with the table. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { EXIT, HiperisoError } from "../contract/error.ts";
import type { DiskPartition, DiskTable, TableProblem } from "../disk/disk-table.ts";
import { openPlace, openVolume } from "../disk/open-volume.ts";
import { compareGpt } from "../disk/partitions/gpt-check.ts";
import { isVolumeFormat, type Recognised, recognise, recogniseNoDisk } from "../disk/recognise.ts";
import type { VolumeSpace } from "../disk/volume.ts";
import { printable } from "../formats/escape-terminal.ts";
import { diskNumber } from "../image/image-facts.ts";
import type { Cli } from "./cli.ts";
import { type OpenedTarget, openTarget } from "./disk-target.ts";
import { examplesText } from "./program.ts";
import { byteSize } from "./terminal.ts";

export function showCommand(cli: Cli): CommandUnknownOpts {
  return new Command("show")
    .summary("show partitions, file systems and free space")
    .description("Show the partitions of a disk or image, the file systems in them, and what is wrong with the partition table.")
    .argument("<place>", "IMAGE-OR-DEVICE[:PARTITION]")
    .option("--compare <other>", "say how the partition table of another disk or image differs; exit status 1: it does")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk show stick.img", "what is on an image"],
        ["sudo hiperiso disk show /dev/sdb", "what is on a stick"],
        ["hiperiso disk show stick.img --compare copy.img", "have both the same partitions"],
      ]),
    )
    .action(async (place, { compare, json }) => {
      await using opened = await openTarget(place, { needsVolume: false });
      if (opened.target.path !== undefined && opened.target.path !== "/") throw noPath(place, opened.target.path);
      const facts = await factsOf(cli, opened);
      const differences = compare === undefined ? undefined : await differencesTo(opened, compare);
      if (json === true) cli.json({ ...asJson(facts), ...(differences === undefined ? {} : { differences }) });
      else cli.out(pageOf(facts, differences, picocolors.createColors(cli.colourOut)));
      if (differences !== undefined && differences.length > 0) cli.exit(EXIT.goalMissed);
    });
}

const noPath = (where: string, found: string): HiperisoError =>
  new HiperisoError({
    what: "show a disk",
    where,
    expected: "a disk, an image or a partition",
    found: `the path ${found}`,
    hint: "hiperiso disk ls shows what is in a folder.",
    kind: "usage",
  });

interface VolumeFacts extends Omit<Recognised, "volumeBytes"> {
  readonly space: VolumeSpace | undefined;
  /** Why it could not be read, where it should have been. */
  readonly damage: string | undefined;
}

interface ShownPartition {
  readonly partition: DiskPartition;
  readonly volume: VolumeFacts | undefined;
}

interface DiskFacts {
  readonly name: string;
  readonly sizeBytes: bigint;
  readonly sectorBytes: number;
  readonly table: DiskTable | undefined;
  readonly whole: VolumeFacts | undefined;
  readonly partitions: readonly ShownPartition[];
  /** Of what is no disk byte for byte. */
  readonly container: string | undefined;
}

async function factsOf(cli: Cli, { store, contents, partition, medium, target }: OpenedTarget): Promise<DiskFacts> {
  const common = { name: store.name, sizeBytes: store.sizeBytes, sectorBytes: store.sectorBytes };
  if (partition !== undefined) {
    const whole = await volumeFacts(cli, store);
    return { ...common, table: undefined, whole, partitions: [], container: undefined };
  }
  const { table } = contents;
  const whole = contents.whole === undefined ? undefined : await volumeFacts(cli, store);
  const partitions: ShownPartition[] = [];
  for (const one of table?.partitions ?? []) {
    const holdsData = one.role !== "extended" && one.offset < medium.sizeBytes && one.sizeBytes > 0n;
    const place = holdsData ? await openPlace(medium, { ...target, partition: one.number }, { needsVolume: false }) : undefined;
    partitions.push({ partition: one, volume: place === undefined ? undefined : await volumeFacts(cli, place.store) });
  }
  const container = table === undefined && whole === undefined ? await recogniseNoDisk(medium) : undefined;
  return { ...common, table, whole, partitions, container };
}

async function volumeFacts(cli: Cli, store: OpenedTarget["store"]): Promise<VolumeFacts | undefined> {
  const found = await recognise(store);
  if (found === undefined) return undefined;
  const { format, label, id } = found;
  if (!isVolumeFormat(format)) return { format, label, id, space: undefined, damage: undefined };
  try {
    await using volume = await openVolume(store, { readOnly: true }, cli.job);
    return { format: volume.format, label: volume.label, id, space: await volume.space(), damage: undefined };
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { format, label, id, space: undefined, damage: error.message };
  }
}

async function differencesTo(opened: OpenedTarget, other: string): Promise<readonly string[]> {
  await using with_ = await openTarget(other, { needsVolume: false });
  const tables = [opened, with_].map(({ contents, target }) => {
    const gpt = contents.table?.gpt;
    const copy = gpt?.used === "primary" ? gpt.primary : gpt?.backup;
    if (copy !== undefined) return copy;
    const found = contents.table === undefined ? "no partition table" : contents.table.scheme;
    throw new HiperisoError({ what: "compare partition tables", where: target.text, expected: "a GPT", found, kind: "usage" });
  });
  return compareGpt(tables[0]!, tables[1]!);
}

type Colours = ReturnType<typeof picocolors.createColors>;

function pageOf(facts: DiskFacts, differences: readonly string[] | undefined, colours: Colours): string {
  const { name, sizeBytes, sectorBytes, table, whole, container } = facts;
  const { bold, dim, yellow } = colours;
  const lines = [`${bold(printable(name))}  ${byteSize(Number(sizeBytes))}, sectors of ${sectorBytes} bytes`];
  if (whole !== undefined) lines.push(`  ${volumeText(whole)}`);
  if (table !== undefined)
    lines.push(`  ${table.scheme.toUpperCase()}  ${table.id}`, "", ...tableLines(facts, table).map((line) => `  ${line}`));
  else if (whole === undefined)
    lines.push(
      `  ${container === undefined ? "no partition table and no file system that is known" : `no disk byte for byte: ${container}`}`,
    );
  for (const { text, mending } of table?.problems ?? [])
    lines.push(`  ${yellow("problem:")} ${printable(text)}${mending === undefined ? "" : dim(` (repair: ${mending})`)}`);
  if (differences !== undefined) {
    lines.push(differences.length === 0 ? "  The partition tables are the same." : "  The partition tables differ:");
    lines.push(...differences.map((text) => `    ${printable(text)}`));
  }
  return `${lines.join("\n")}\n`;
}

/** Partitions and the free room between them, in the order of their places. */
function tableLines({ partitions }: DiskFacts, { free }: DiskTable): readonly string[] {
  const rows = [
    ...partitions.map(({ partition, volume }) => ({ offset: partition.offset, cells: partitionCells(partition, volume) })),
    ...free.map(({ offset, sizeBytes }) => ({ offset, cells: ["", `${offset}`, byteSize(Number(sizeBytes)), "free", ""] })),
  ].sort((a, b) => (a.offset < b.offset ? -1 : a.offset > b.offset ? 1 : 0));
  const all = [["#", "byte", "size", "type", "holds"], ...rows.map(({ cells }) => cells)];
  const widths = [0, 1, 2, 3].map((column) => Math.max(...all.map((cells) => cells[column]!.length)));
  return all.map(([number = "", offset = "", size = "", type = "", holds = ""]) =>
    [number.padStart(widths[0]!), offset.padStart(widths[1]!), size.padStart(widths[2]!), type.padEnd(widths[3]!), holds]
      .join("  ")
      .trimEnd(),
  );
}

function partitionCells(partition: DiskPartition, volume: VolumeFacts | undefined): string[] {
  const { number, role, offset, sizeBytes, typeId, typeName, name, attributes } = partition;
  const type = typeName ?? typeId;
  const words = [
    ...(name === "" ? [] : [JSON.stringify(name)]),
    ...(attributes.length === 0 ? [] : [`[${attributes.join(", ")}]`]),
    ...(volume === undefined ? (role === "extended" ? [] : ["nothing that is known"]) : [volumeText(volume)]),
  ];
  const kind = role === "logical" ? `logical ${type}` : type;
  return [`${number}`, `${offset}`, byteSize(Number(sizeBytes)), kind, printable(words.join("  "))];
}

function volumeText({ format, label, id, space, damage }: VolumeFacts): string {
  const name = label === "" ? "" : ` ${JSON.stringify(label)}`;
  const serial = id === null ? "" : `, ${id}`;
  const room = space === undefined ? "" : `, ${byteSize(Number(space.freeBytes))} of ${byteSize(Number(space.totalBytes))} free`;
  const broken = damage === undefined ? "" : `, damaged: ${damage}`;
  return printable(`${format}${name}${serial}${room}${broken}`);
}

const volumeJson = (volume: VolumeFacts | undefined) =>
  volume === undefined
    ? null
    : {
        format: volume.format,
        label: volume.label,
        id: volume.id,
        totalBytes: volume.space === undefined ? null : diskNumber(volume.space.totalBytes),
        freeBytes: volume.space === undefined ? null : diskNumber(volume.space.freeBytes),
        clusterBytes: volume.space?.clusterBytes ?? null,
        damage: volume.damage ?? null,
      };

export const problemJson = ({ id, offset, text, mending }: TableProblem) => ({
  id,
  offset: diskNumber(offset),
  text,
  mending: mending ?? null,
});

function asJson({ name, sizeBytes, sectorBytes, table, whole, partitions, container }: DiskFacts) {
  return {
    name,
    sizeBytes: diskNumber(sizeBytes),
    sectorBytes,
    volume: volumeJson(whole),
    container: container ?? null,
    table:
      table === undefined
        ? null
        : {
            scheme: table.scheme,
            id: table.id,
            problems: table.problems.map(problemJson),
            free: table.free.map((range) => ({ offset: diskNumber(range.offset), sizeBytes: diskNumber(range.sizeBytes) })),
            partitions: partitions.map(({ partition, volume }) => ({
              number: partition.number,
              role: partition.role,
              offset: diskNumber(partition.offset),
              sizeBytes: diskNumber(partition.sizeBytes),
              type: partition.typeId,
              typeName: partition.typeName,
              name: partition.name,
              guid: partition.guid,
              attributes: partition.attributes,
              volume: volumeJson(volume),
            })),
          },
  };
}
