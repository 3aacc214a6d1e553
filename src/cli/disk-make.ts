/** `hiperiso disk mkfs`, `mkgpt` and `mkmbr`: empty volumes and new partition tables, on disks and images or on images that are made for it. */
import { stat } from "node:fs/promises";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type BlockStore, openFileStore } from "../disk/block-store.ts";
import { makeExfat } from "../disk/exfat/make.ts";
import { makeFat } from "../disk/fat/make.ts";
import { type Ids, seededIds } from "../disk/ids.ts";
import { openForReading, openPlace, openVolume, sectorsOf } from "../disk/open-volume.ts";
import { type ByteExtent, eraseEnds } from "../disk/partitions/erase.ts";
import { planGpt, type SectorBytes } from "../disk/partitions/gpt-layout.ts";
import { writeGpt } from "../disk/partitions/gpt-writer.ts";
import { planMbr } from "../disk/partitions/mbr-layout.ts";
import { writeMbr } from "../disk/partitions/mbr-table.ts";
import { decodePartitions, decodePrimaries, decodeSize, PARTITION_TYPE_WORDS } from "../disk/partitions/partition-words.ts";
import { isVolumeFormat, recognise, recogniseNoDisk } from "../disk/recognise.ts";
import { type DiskTarget, findTarget } from "../disk/target.ts";
import { printable } from "../formats/escape-terminal.ts";
import { makeFileAtomic } from "../host/atomic-stream.ts";
import { randomIds } from "../host/random-ids.ts";
import { diskNumber } from "../image/image-facts.ts";
import type { Cli } from "./cli.ts";
import { type OpenedTarget, openTarget, openTargetForWriting, type WriteFlags, withWriteFlags } from "./disk-target.ts";
import { examplesText } from "./program.ts";
import { byteSize } from "./terminal.ts";

const VOLUME_TYPES = ["fat12", "fat16", "fat32", "fat", "exfat"] as const;

export function makeVolumeCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("mkfs")
      .summary("make an empty volume")
      .description("Make an empty FAT or exFAT volume on a partition, an image, or an image that is made for it.")
      .argument("<place>", "IMAGE-OR-DEVICE[:PARTITION]")
      .addOption(
        new Option("--type <type>", "what to make; fat chooses between its three by the size").choices(VOLUME_TYPES).makeOptionMandatory(),
      )
      .option("--label <label>", "at most 11 characters")
      .option("--cluster <size>", "bytes of a cluster: 4096, 32K, …; otherwise by the volume's size")
      .option("--serial <hex>", "serial number, 8 hexadecimal digits, with or without a dash in the middle")
      .option("--ids-from <seed>", "serial number from this text: the same text and place give the same bytes")
      .option("--size <size>", "make the image, of so many bytes: 64M, 8G")
      .option("-f, --force", "also where something is that would be lost"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk mkfs stick.img:1 --type exfat --label DATA", "the first partition of an image"],
        ["hiperiso disk mkfs floppy.img --type fat12 --size 1440K", "an image that is not there yet"],
        ["sudo hiperiso disk mkfs /dev/sdb:2 --type fat16", "a partition of a stick; the disk's name is asked for first"],
      ]),
    )
    .action(async (place, options) => {
      const { type, label, cluster, size, force, json, ...flags } = options;
      const volume = {
        type,
        label: label ?? "",
        serial: serialOf(options, place),
        clusterBytes: cluster === undefined ? undefined : Number(decodeSize(cluster, "--cluster")),
      };
      const what = `make an empty ${type} volume`;
      const target = await placeToMake(place, size, what);
      if (target === undefined) await makeImage(place, size!, 512, what, (store) => makeVolume(cli, store, volume, 0n));
      else {
        await refuseLoss(cli, target, what, force === true);
        await using opened = await openTargetForWriting(cli, target, {
          flags,
          change: `${what}: what is there is lost`,
          needsVolume: false,
        });
        // A table at either end of a disk, or the mark of an old volume, would be found by others in front of the new one.
        await eraseEnds(opened.store);
        await makeVolume(cli, opened.store, volume, opened.partition?.offset ?? 0n);
        await warnOfType(cli, opened, type);
      }
      await using made = await openTarget(place, { needsVolume: false });
      await using there = await openVolume(made.store, { readOnly: true }, cli.job);
      const { freeBytes, clusterBytes } = await there.space();
      if (json === true)
        cli.json({
          place,
          format: there.format,
          label: there.label,
          serial: volume.serial,
          clusterBytes,
          freeBytes: diskNumber(freeBytes),
        });
      else cli.out(`${printable(place)}: ${there.format}, clusters of ${byteSize(clusterBytes)}, ${byteSize(Number(freeBytes))} free\n`);
    });
}

interface VolumeWish {
  readonly type: (typeof VOLUME_TYPES)[number];
  readonly label: string;
  readonly serial: number;
  readonly clusterBytes: number | undefined;
}

async function makeVolume(cli: Cli, store: BlockStore, { type, label, serial, clusterBytes }: VolumeWish, offset: bigint): Promise<void> {
  const common = { label, serial, partitionOffset: offset, ...(clusterBytes === undefined ? {} : { clusterBytes }) };
  const bits = { fat12: 12, fat16: 16, fat32: 32, fat: undefined } as const;
  if (type === "exfat") await makeExfat(store, common, cli.job);
  else {
    const wanted = bits[type];
    await makeFat(store, wanted === undefined ? common : { ...common, bits: wanted }, cli.job);
  }
}

/** Volumes on the partitions of one disk get other numbers from the same seed. */
function serialOf(
  { serial, idsFrom }: { readonly serial?: string | undefined; readonly idsFrom?: string | undefined },
  place: string,
): number {
  if (serial === undefined) return idsOf(idsFrom === undefined ? undefined : `${idsFrom}${/:\d+$/.exec(place)?.[0] ?? ""}`).serial();
  const digits = /^(?:0x)?([0-9a-f]{4})-?([0-9a-f]{4})$/i.exec(serial);
  if (digits !== null) return Number.parseInt(`${digits[1]}${digits[2]}`, 16);
  throw new HiperisoError({ what: "read an option", where: "--serial", expected: "8 hexadecimal digits", found: serial, kind: "usage" });
}

const idsOf = (seed: string | undefined): Ids => (seed === undefined ? randomIds : seededIds(seed));

/** Systems go by the type in the table before they look into the partition. */
async function warnOfType(cli: Cli, { partition, target }: OpenedTarget, type: string): Promise<void> {
  if (partition === undefined || partition.typeName === null) return;
  const fits = /basic data|EFI system|FAT|NTFS or exFAT/.test(partition.typeName);
  if (!fits)
    cli.job.progress.warn(`partition ${target.partition} has the type "${partition.typeName}": systems may not look for ${type} in it`);
}

interface TableFlags extends WriteFlags {
  readonly size?: string | undefined;
  readonly sector?: string | undefined;
  readonly force?: boolean | undefined;
  readonly idsFrom?: string | undefined;
  readonly json?: boolean | undefined;
}

const tableCommand = (name: string) =>
  withWriteFlags(
    new Command(name)
      .argument("<image-or-device>", "the disk")
      .argument("[partition...]", "SIZE:TYPE[:NAME[:ATTRIBUTES]], one behind the other; a size of `rest` takes what the others leave")
      .option("--size <size>", "make the image, of so many bytes: 64M, 8G")
      .option("--sector <bytes>", "of an image: 512 or 4096 bytes; a disk says it itself")
      .option("--ids-from <seed>", "GUIDs and signature from this text: the same text gives the same bytes")
      .option("-f, --force", "also where something is that would be lost"),
  ).option("--json", "as JSON");

export function makeGptCommand(cli: Cli): CommandUnknownOpts {
  return tableCommand("mkgpt")
    .summary("make a new partition table (GPT)")
    .description(
      `Make a new GUID partition table. Types: ${PARTITION_TYPE_WORDS.join(", ")}, or a GUID. Attributes, joined by +:\nrequired, legacy-boot, read-only, hidden, no-drive-letter, or a number. What lies inside the new partitions stays as it is.`,
    )
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk mkgpt stick.img --size 8G rest:data:DATA 64M:esp:EFI", "an image with two partitions"],
        ["hiperiso disk mkgpt stick.img rest:data:DATA 32M:data:VTOYEFI:no-drive-letter", "with an attribute"],
        ["sudo hiperiso disk mkgpt /dev/sdb --force rest:data", "a stick; its name is asked for first"],
      ]),
    )
    .action(async (place, words, flags) => {
      const ids = idsOf(flags.idsFrom);
      const diskGuid = ids.guid();
      const wishes = decodePartitions(words, () => ids.guid());
      await makeTable(cli, place, flags, "make a new partition table (GPT)", (sizeBytes, sectorBytes) => {
        const table = planGpt({ sizeBytes, sectorBytes, diskGuid }, wishes);
        const block = BigInt(sectorBytes);
        return {
          extents: table.partitions.map(({ firstLba, lastLba }) => ({
            offset: firstLba * block,
            bytes: (lastLba - firstLba + 1n) * block,
          })),
          write: (store) => writeGpt(store, table, new Uint8Array(440)),
        };
      });
    });
}

export function makeMbrCommand(cli: Cli): CommandUnknownOpts {
  return tableCommand("mkmbr")
    .summary("make a new partition table (MBR)")
    .description(
      "Make a new MBR with up to four primary partitions, for computers that know no GPT. Types: data, esp, fat, linux, swap, lvm, raid,\nrecovery, or a number. The only attribute is active; names there are none.",
    )
    .addHelpText("after", () =>
      examplesText([["hiperiso disk mkmbr card.img --size 4G 64M:fat::active rest:linux", "an image for a small board"]]),
    )
    .action(async (place, words, flags) => {
      const diskSignature = idsOf(flags.idsFrom).serial();
      const wishes = decodePrimaries(words);
      await makeTable(cli, place, flags, "make a new partition table (MBR)", (sizeBytes, sectorBytes) => {
        const plan = planMbr({ sizeBytes, sectorBytes, diskSignature }, wishes);
        const block = BigInt(sectorBytes);
        return {
          extents: plan.partitions.map(({ firstLba, sectors }) => ({ offset: firstLba * block, bytes: sectors * block })),
          write: (store) => writeMbr(store, plan, { bootCode: new Uint8Array(440), replaceGpt: true }),
        };
      });
    });
}

interface PlannedTable {
  /** Of the partitions. */
  readonly extents: readonly ByteExtent[];
  readonly write: (store: BlockStore) => Promise<void>;
}

/** `plan` is asked before a person is, and before anything is written. */
async function makeTable(
  cli: Cli,
  place: string,
  flags: TableFlags,
  what: string,
  plan: (sizeBytes: bigint, sectorBytes: SectorBytes) => PlannedTable,
): Promise<void> {
  const wanted = sectorOf(flags.sector);
  const target = await placeToMake(place, flags.size, what);
  let planned: PlannedTable;
  if (target === undefined) {
    planned = plan(decodeSize(flags.size!, "--size"), wanted ?? 512);
    await makeImage(place, flags.size!, wanted ?? 512, what, planned.write);
  } else {
    if (target.partition !== undefined || target.path !== undefined) throw usage(what, place, "a whole disk or image", "a place on one");
    await refuseLoss(cli, target, what, flags.force === true);
    planned = await plannedOn(target, wanted, what, plan);
    await using opened = await openTargetForWriting(cli, target, { flags, change: `${what}: what is there is lost`, needsVolume: false });
    await eraseEnds(opened.medium, planned.extents);
    await planned.write(opened.medium);
    if (target.isDevice)
      cli.job.progress.say(`The system sees the new partitions when the disk is plugged in again, or after: blockdev --rereadpt ${place}`);
  }
  const partitions = planned.extents.length;
  if (flags.json === true) cli.json({ place, partitions });
  else cli.out(`${printable(place)}: ${partitions === 1 ? "1 partition" : `${partitions} partitions`}\n`);
}

async function plannedOn(
  target: DiskTarget,
  wanted: SectorBytes | undefined,
  what: string,
  plan: (sizeBytes: bigint, sectorBytes: SectorBytes) => PlannedTable,
): Promise<PlannedTable> {
  await using medium = await openForReading(target);
  const own = sectorsOf(target, medium);
  if (own !== undefined && wanted !== undefined && wanted !== own)
    throw usage(what, target.text, `sectors of ${own} bytes, as the disk has`, `${wanted}`);
  return plan(medium.sizeBytes, own ?? wanted ?? 512);
}

function sectorOf(text: string | undefined): SectorBytes | undefined {
  if (text === undefined) return undefined;
  if (text === "512") return 512;
  if (text === "4096") return 4096;
  throw usage("read an option", "--sector", "512 or 4096", text);
}

const usage = (what: string, where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what, where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

/** Undefined: it is not there, and `--size` says how large to make it. */
async function placeToMake(place: string, size: string | undefined, what: string): Promise<DiskTarget | undefined> {
  const target = await findTarget(place);
  if (target !== undefined) {
    if (size !== undefined)
      throw usage(what, place, "with --size an image that is not there yet", "one that is there", "Leave out --size.");
    if (target.path !== undefined && target.path !== "/")
      throw usage(what, place, "a disk, an image or a partition", `the path ${target.path}`);
    return target;
  }
  const there = await stat(place).catch(() => undefined);
  if (there !== undefined) throw usage(what, place, "an image or a disk", there.isDirectory() ? "a folder" : "something else");
  if (size === undefined) throw usage(what, place, "an image or a disk", "no such file", "--size makes the image.");
  return undefined;
}

/** A sparse image under its name when it is whole. */
async function makeImage(
  path: string,
  size: string,
  sectorBytes: SectorBytes,
  what: string,
  make: (store: BlockStore) => Promise<void>,
): Promise<void> {
  const bytes = decodeSize(size, "--size");
  if (bytes < 1n || bytes > BigInt(Number.MAX_SAFE_INTEGER)) throw usage(what, "--size", "1 byte or more", size);
  try {
    await makeFileAtomic(path, async (file, temporary) => {
      await file.truncate(Number(bytes));
      await using store = await openFileStore(temporary, sectorBytes);
      await make({ ...store, name: path });
    });
  } catch (cause) {
    if (cause instanceof HiperisoError || !(cause instanceof Error && "code" in cause)) throw cause;
    throw new HiperisoError({ what, where: path, found: reasonOf(cause), kind: "usage", cause });
  }
}

/** Throws HiperisoError of kind `usage` naming what would be lost. */
async function refuseLoss(cli: Cli, target: DiskTarget, what: string, force: boolean): Promise<void> {
  if (force) return;
  await using opened = await openTarget(target, { needsVolume: false });
  const lost = await atRisk(cli, opened);
  if (lost.length > 0)
    throw usage(what, target.text, "a place with nothing on it", lost.join("\n"), "--force makes it all the same: all of that is lost.");
}

async function atRisk(cli: Cli, { store, contents, partition, medium, target }: OpenedTarget): Promise<readonly string[]> {
  const { table } = contents;
  if (partition !== undefined || table === undefined) {
    const volume = await volumeAtRisk(cli, store);
    if (volume !== undefined) return [volume];
    if (partition !== undefined) return [];
    const container = await recogniseNoDisk(store);
    if (container !== undefined) return [container];
    // What is no disk at all, but somebody's document. Of a real disk, the person is asked.
    const head = await store.read(0n, 4096);
    return !target.isDevice && head.some((byte) => byte !== 0) ? ["data of a kind that is not known"] : [];
  }
  const lost = [`a partition table (${table.scheme.toUpperCase()}) with ${table.partitions.length} partitions`];
  for (const { number, role, offset, sizeBytes } of table.partitions) {
    if (role === "extended" || offset >= medium.sizeBytes || sizeBytes === 0n) continue;
    const place = await openPlace(medium, { ...target, partition: number }, { needsVolume: false });
    lost.push(`partition ${number}: ${(await volumeAtRisk(cli, place.store)) ?? "nothing that is known"}`);
  }
  return lost;
}

async function volumeAtRisk(cli: Cli, store: BlockStore): Promise<string | undefined> {
  const found = await recognise(store);
  if (found === undefined) return undefined;
  const named = `${found.format}${found.label === "" ? "" : ` ${JSON.stringify(found.label)}`}`;
  if (!isVolumeFormat(found.format)) return named;
  try {
    await using volume = await openVolume(store, { readOnly: true }, cli.job);
    const { totalBytes, freeBytes } = await volume.space();
    const label = volume.label === "" ? "" : ` ${JSON.stringify(volume.label)}`;
    return `${volume.format}${label}, ${byteSize(Number(totalBytes - freeBytes))} in use`;
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return `${named}, damaged`;
  }
}
