/** What all `hiperiso disk` commands share: the place that a person names, opened for reading, or for writing with all that this asks for. */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import type { Command, OptionValues } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { type BlockStore, openFileStore } from "../disk/block-store.ts";
import { identityOf, openExclusive } from "../disk/device/exclusive-device.ts";
import { type OpenedPlace, openForReading, openPlace, openVolume } from "../disk/open-volume.ts";
import { type DiskTarget, readTarget } from "../disk/target.ts";
import type { Volume } from "../disk/volume.ts";
import { type BlockDevice, type ComputerFacts, deviceNumber, readComputer } from "../host/block-devices.ts";
import { judgeDevices, refusalsOf } from "../host/device-refusals.ts";
import type { Cli } from "./cli.ts";
import { type ConfirmFlags, confirmDevice } from "./confirm-device.ts";

export interface WriteFlags extends ConfirmFlags {
  readonly allowFixed?: boolean | undefined;
}

/** The options of every command that can write to a disk of this computer. */
export const withWriteFlags = <Args extends unknown[], Opts extends OptionValues, Globals extends OptionValues>(
  command: Command<Args, Opts, Globals>,
) =>
  command
    .option("--allow-fixed", "also a disk that is built in")
    .option("--yes", "without asking; for a disk together with one of the next two")
    .option("--expect-serial <serial>", "only the disk with this serial number")
    .option("--expect-size <bytes>", "only a disk of exactly so many bytes");

export interface OpenedTarget extends OpenedPlace, AsyncDisposable {
  readonly target: DiskTarget;
  readonly medium: BlockStore;
}

export interface OpenedVolume extends OpenedTarget {
  readonly volume: Volume;
  /** Starts with `/`; the root where none was written. */
  readonly path: string;
}

export async function openTarget(text: string | DiskTarget, { needsVolume }: { readonly needsVolume: boolean }): Promise<OpenedTarget> {
  const target = typeof text === "string" ? await readTarget(text) : text;
  return await placeOn(await openForReading(target), target, needsVolume);
}

export async function openVolumeAt(cli: Cli, text: string | DiskTarget): Promise<OpenedVolume> {
  return await volumeOn(cli, await openTarget(text, { needsVolume: true }), true);
}

export interface WriteWish {
  readonly flags: WriteFlags;
  /** What will be done, for the person who is asked: "copy files to it". */
  readonly change: string;
  readonly needsVolume: boolean;
}

/** For writing: an image at once; a disk when it may be written, is confirmed, and nobody else has it open. */
export async function openTargetForWriting(cli: Cli, text: string | DiskTarget, wish: WriteWish): Promise<OpenedTarget> {
  const target = typeof text === "string" ? await readTarget(text) : text;
  // Looked up before anybody is asked: a partition that is not there is told first.
  await using looked = await openTarget(target, wish);
  const { sectorBytes } = looked.store;
  const medium = target.isDevice ? await openDevice(cli, target, wish) : await openImageFile(target.medium, sectorBytes);
  return await placeOn(medium, target, wish.needsVolume);
}

export async function openVolumeForWriting(cli: Cli, text: string | DiskTarget, flags: WriteFlags, change: string): Promise<OpenedVolume> {
  const opened = await volumeOn(cli, await openTargetForWriting(cli, text, { flags, change, needsVolume: true }), false);
  const { readOnlyBecause } = opened.volume;
  if (readOnlyBecause === undefined) return opened;
  await opened[Symbol.asyncDispose]();
  const where = opened.store.name;
  throw new HiperisoError({
    what: "write to the volume",
    where,
    expected: "one that can be written",
    found: readOnlyBecause,
    kind: "usage",
  });
}

async function placeOn(medium: BlockStore, target: DiskTarget, needsVolume: boolean): Promise<OpenedTarget> {
  try {
    const place = await openPlace(medium, target, { needsVolume });
    return { ...place, target, medium, [Symbol.asyncDispose]: () => medium[Symbol.asyncDispose]() };
  } catch (error) {
    await medium[Symbol.asyncDispose]();
    throw error;
  }
}

async function volumeOn(cli: Cli, opened: OpenedTarget, readOnly: boolean): Promise<OpenedVolume> {
  try {
    const volume = await openVolume(opened.store, { readOnly }, cli.job);
    const close = async () => {
      try {
        await volume[Symbol.asyncDispose]();
      } finally {
        await opened[Symbol.asyncDispose]();
      }
    };
    return { ...opened, volume, path: opened.target.path ?? "/", [Symbol.asyncDispose]: close };
  } catch (error) {
    await opened[Symbol.asyncDispose]();
    throw error;
  }
}

/** An image that a loop device shows to the system may be mounted: two writers that know nothing of each other destroy it. */
async function openImageFile(path: string, sectorBytes: number): Promise<BlockStore> {
  const loop = await loopDeviceOf(path);
  if (loop !== undefined) {
    throw new HiperisoError({
      what: "write to the image",
      where: path,
      found: `it is attached to /dev/${loop}`,
      hint: `Detach it first: losetup -d /dev/${loop}; or name the device instead of the file.`,
      kind: "usage",
    });
  }
  return await openFileStore(path, sectorBytes);
}

async function loopDeviceOf(path: string): Promise<string | undefined> {
  const image = await realpath(path);
  const names = await readdir("/sys/block").catch(() => []);
  for (const name of names.filter((block) => block.startsWith("loop"))) {
    const backing = await readFile(`/sys/block/${name}/loop/backing_file`, "utf8").catch(() => "");
    if (backing.replace(/\n$/, "") === image) return name;
  }
  return undefined;
}

async function openDevice(cli: Cli, target: DiskTarget, { flags, change }: WriteWish): Promise<BlockStore> {
  const facts = await readComputer(cli.env, cli.job.signal);
  const number = deviceNumber((await stat(target.medium, { bigint: true })).rdev);
  const device = facts.devices.find((one) => one.number === number);
  if (device === undefined) throw refused(target, "no disk that lsblk knows");
  const allowFixed = flags.allowFixed === true;
  const [refusal] = refusalsOf(facts, device, { allowFixed, neededBytes: 0n });
  if (refusal !== undefined)
    throw refused(target, refusal.text, refusal.id === "not-a-disk" ? wholeDiskHint(facts, device, target) : refusal.hint);
  const contents = judgeDevices(facts, { allowFixed, neededBytes: 0n }).find((verdict) => verdict.device.number === number)?.contents;
  const identity = identityOf(device);
  await confirmDevice(cli, { identity, contents: contents ?? "nothing known", change }, flags);
  return await openExclusive(identity, { env: cli.env, signal: cli.job.signal, allowFixed, neededBytes: 0n });
}

const refused = ({ medium }: DiskTarget, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: "write to the disk", where: medium, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });

/** Whoever says /dev/sdb1 means a place that is called /dev/sdb:1 here: only a whole disk can be opened so that nobody else mounts it. */
function wholeDiskHint({ devices }: ComputerFacts, { parents, path }: BlockDevice, { path: inside }: DiskTarget): string | undefined {
  const disk = devices.find(({ number }) => number === parents[0]);
  const number = /(\d+)$/.exec(path)?.[1];
  return disk === undefined || number === undefined
    ? undefined
    : `Name the disk and the partition's number: ${disk.path}:${number}${inside ?? ""}`;
}
