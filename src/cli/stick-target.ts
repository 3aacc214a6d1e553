/** What all `hiperiso stick` commands share: the stick that a person names, opened for reading or writing, or its data partition where it is mounted. */
import { lstat } from "node:fs/promises";
import type { Command, OptionValues } from "@commander-js/extra-typings";
import { execa } from "execa";
import { HiperisoError } from "../contract/error.ts";
import type { BlockStore } from "../disk/block-store.ts";
import type { DeviceStore } from "../disk/device/exclusive-device.ts";
import { type Ids, seededIds } from "../disk/ids.ts";
import { openForReading, openVolume, sectorsOf } from "../disk/open-volume.ts";
import { type DiskTarget, findTarget } from "../disk/target.ts";
import type { Volume } from "../disk/volume.ts";
import { systemClock } from "../host/clock.ts";
import { randomIds } from "../host/random-ids.ts";
import { lookForTool } from "../host/tools.ts";
import type { Environment } from "../host/xdg.ts";
import { refreshAdoptedMenu } from "../stick/adopt/adopt.ts";
import { openAdoptedStick } from "../stick/adopt/ventoy-stick.ts";
import { openMountedData, type StickData, volumeData } from "../stick/data.ts";
import { readRuntimeFolder, type StickRuntime } from "../stick/esp-files.ts";
import { mendAfterCut } from "../stick/mend.ts";
import { refreshMenu } from "../stick/menu-files.ts";
import { stickMenu } from "../stick/menu-maker.ts";
import { type OpenStick, openStick } from "../stick/open-stick.ts";
import { buildRuntime, isRuntimeKept, stickRuntime } from "../stick/runtime/build-runtime.ts";
import type { Cli } from "./cli.ts";
import { openTargetForWriting, type WriteFlags } from "./disk-target.ts";

export interface MountedFlag {
  readonly mounted?: string | undefined;
}

export const withMounted = <Args extends unknown[], Opts extends OptionValues, Globals extends OptionValues>(
  command: Command<Args, Opts, Globals>,
) => command.option("--mounted <folder>", "the stick's data partition, where the system has mounted it; then no stick is named");

/** The stick itself and the words behind it; with `--mounted` all words are those. */
export function stickAndWords(
  words: readonly string[],
  { mounted }: MountedFlag,
): { readonly stick: string | undefined; readonly rest: readonly string[] } {
  if (mounted !== undefined) return { stick: undefined, rest: words };
  const [stick, ...rest] = words;
  if (stick !== undefined) return { stick, rest };
  throw new HiperisoError({
    what: "find the stick",
    expected: "an image file, a device, or --mounted and a folder",
    found: "none of them",
    kind: "usage",
  });
}

/** Throws HiperisoError of kind `usage` where no image or device is called so. */
export async function stickTarget(text: string): Promise<DiskTarget> {
  const target = await findTarget(text);
  if (target !== undefined && target.partition === undefined && target.path === undefined) return target;
  const there = await lstat(text).catch(() => undefined);
  throw new HiperisoError({
    what: "find the stick",
    where: text,
    expected: "the image or device of a whole stick",
    found: target !== undefined ? "a place on one" : there?.isDirectory() === true ? "a folder" : "no such file",
    ...(there?.isDirectory() === true && { hint: `If the stick's data partition is mounted there: --mounted '${text}'` }),
    kind: "usage",
  });
}

export interface OpenedStick extends OpenStick, AsyncDisposable {
  readonly target: DiskTarget;
  /** A stick of Ventoy to which hiperiso was added: only its data partition is ever written. */
  readonly isAdopted: boolean;
}

export async function openStickForReading(text: string): Promise<OpenedStick> {
  const target = await stickTarget(text);
  return await stickOn(await openForReading(target), target);
}

/** Also one that was adopted. */
async function openDataStickForReading(cli: Cli, text: string): Promise<OpenedStick> {
  const target = await stickTarget(text);
  return await dataStickOn(cli, await openForReading(target), target);
}

/** Asks before a disk of this computer is written. */
export async function openStickForWriting(cli: Cli, text: string, flags: WriteFlags, change: string): Promise<OpenedStick> {
  const target = await stickTarget(text);
  // What is no stick is told before anybody is asked.
  await (await openStickForReading(text))[Symbol.asyncDispose]();
  const { medium } = await openTargetForWriting(cli, target, { flags, change, needsVolume: false });
  return await stickOn(medium, target);
}

async function openDataStickForWriting(cli: Cli, text: string, flags: WriteFlags, change: string): Promise<OpenedStick> {
  const target = await stickTarget(text);
  await (await openDataStickForReading(cli, text))[Symbol.asyncDispose]();
  const { medium } = await openTargetForWriting(cli, target, { flags, change, needsVolume: false });
  return await dataStickOn(cli, medium, target);
}

async function dataStickOn(cli: Cli, medium: BlockStore, target: DiskTarget): Promise<OpenedStick> {
  const adopted = await openAdoptedStick(medium, sectorsOf(target, medium), cli.job).catch(() => undefined); // told below
  if (adopted === undefined) return await stickOn(medium, target);
  return { ...adopted, target, isAdopted: true, [Symbol.asyncDispose]: () => medium[Symbol.asyncDispose]() };
}

async function stickOn(medium: BlockStore, target: DiskTarget): Promise<OpenedStick> {
  try {
    const stick = await openStick(medium, sectorsOf(target, medium));
    return { ...stick, target, isAdopted: false, [Symbol.asyncDispose]: () => medium[Symbol.asyncDispose]() };
  } catch (error) {
    await medium[Symbol.asyncDispose]();
    throw error;
  }
}

export interface OpenedData extends AsyncDisposable {
  readonly data: StickData;
  /** Undefined where the data partition is mounted. */
  readonly stick: OpenedStick | undefined;
}

export async function openDataForReading(cli: Cli, stick: string | undefined, { mounted }: MountedFlag): Promise<OpenedData> {
  if (stick === undefined) return await onFolder(mounted ?? "");
  return await dataOn(cli, await openDataStickForReading(cli, stick), true);
}

/** Undefined where it is no stick that was adopted. */
export async function openAdoptedForReading(cli: Cli, text: string): Promise<OpenedData | undefined> {
  const target = await stickTarget(text);
  const medium = await openForReading(target);
  const adopted = await openAdoptedStick(medium, sectorsOf(target, medium), cli.job).catch(() => undefined);
  if (adopted !== undefined)
    return await dataOn(cli, { ...adopted, target, isAdopted: true, [Symbol.asyncDispose]: () => medium[Symbol.asyncDispose]() }, true);
  await medium[Symbol.asyncDispose]();
  return undefined;
}

export async function openDataForWriting(
  cli: Cli,
  stick: string | undefined,
  flags: MountedFlag & WriteFlags,
  change: string,
): Promise<OpenedData> {
  if (stick === undefined) return await onFolder(flags.mounted ?? "");
  return await dataOn(cli, await openDataStickForWriting(cli, stick, flags, change), false);
}

async function onFolder(folder: string): Promise<OpenedData> {
  const data = await openMountedData(folder);
  return { data, stick: undefined, [Symbol.asyncDispose]: () => data[Symbol.asyncDispose]() };
}

/** `where`: the data partition. Throws HiperisoError of kind `usage` where the volume can only be read. */
export function requireWritable({ readOnlyBecause }: Pick<Volume, "readOnlyBecause">, where: string): void {
  if (readOnlyBecause === undefined) return;
  const expected = "a data partition that can be written";
  throw new HiperisoError({ what: "write to the stick", where, expected, found: readOnlyBecause, kind: "usage" });
}

async function dataOn(cli: Cli, stick: OpenedStick, readOnly: boolean): Promise<OpenedData> {
  try {
    if (!readOnly) await mendAfterCut(stick.dataStore, cli.job);
    const volume = await openVolume(stick.dataStore, { readOnly }, cli.job);
    if (!readOnly) requireWritable(volume, stick.dataStore.name);
    const close = async () => {
      try {
        await volume[Symbol.asyncDispose]();
      } finally {
        await stick[Symbol.asyncDispose]();
      }
    };
    return { data: volumeData(volume, stick.dataStore), stick, [Symbol.asyncDispose]: close };
  } catch (error) {
    await stick[Symbol.asyncDispose]();
    throw error;
  }
}

/** After a change of the data partition. A boot partition that cannot be used stops nothing: it is told. */
export async function renewMenu(cli: Cli, { stick, data }: OpenedData): Promise<void> {
  if (stick?.isAdopted === true) {
    await refreshAdoptedMenu(data, stick.diskGuid, timeOf(cli.env).ms, cli.job);
    return;
  }
  if (stick === undefined) {
    cli.job.progress.say(
      "The boot partition was not opened: its menu follows when the stick is booted next, or at the next command that names the stick.",
    );
    return;
  }
  try {
    await refreshMenu(stick, stickMenu, timeOf(cli.env).ms, cli.job);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    cli.job.progress.warn(`the menu was not written: ${error.message}. \`hiperiso stick update\` makes the boot partition anew.`);
  }
}

/** What time files of ours get: SOURCE_DATE_EPOCH where it is set (https://reproducible-builds.org/specs/source-date-epoch/). */
export function timeOf(env: Environment): { readonly ms: number; readonly fixed: boolean } {
  const text = env["SOURCE_DATE_EPOCH"];
  if (text === undefined || text === "") return { ms: systemClock.nowMs(), fixed: false };
  const seconds = Number(text);
  // FAT knows no year before 1980 or after 2107.
  if (/^\d{1,10}$/.test(text) && seconds >= 315_532_800 && seconds < 4_354_819_200) return { ms: seconds * 1000, fixed: true };
  throw new HiperisoError({
    what: "read the environment",
    where: "SOURCE_DATE_EPOCH",
    expected: "seconds since 1970, of the years 1980 to 2107",
    found: text,
    kind: "usage",
  });
}

export const idsOf = (seed: string | undefined): Ids => (seed === undefined ? randomIds : seededIds(seed));

/** What `--runtime FOLDER` and `--no-runtime` come to. */
export type RuntimeFlag = string | boolean | undefined;

/** The folder's; this program's own, built where it is not kept, unless a folder is given; undefined where none is wanted. */
export async function runtimeOf(cli: Cli, given: RuntimeFlag): Promise<StickRuntime | undefined> {
  if (given === false) return undefined;
  if (typeof given === "string") return await readRuntimeFolder(given);
  return await stickRuntime(await buildRuntime({ env: cli.env }, cli.job).catch((error: unknown) => Promise.reject(withOtherWays(error))));
}

/** For a dry run, which builds nothing: undefined where the program's own is not kept. */
export async function keptRuntimeOf(cli: Cli, given: RuntimeFlag): Promise<StickRuntime | undefined> {
  if (given === false || typeof given === "string" || (await isRuntimeKept({ env: cli.env }, cli.job))) return await runtimeOf(cli, given);
  cli.job.progress.warn(
    "what boots is not built yet, and so not in what follows: `hiperiso runtime build`, or the command itself, builds it",
  );
  return undefined;
}

function withOtherWays(error: unknown): unknown {
  if (!(error instanceof HiperisoError)) return error;
  const { what, where, expected, found, kind } = error;
  const ways =
    "A runtime that was built on another computer can be given with --runtime FOLDER (there: hiperiso runtime build --to FOLDER).";
  const hint = error.hint === undefined ? ways : `${error.hint}\n${ways}`;
  const rest = {
    ...(where === undefined ? {} : { where }),
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
  };
  return new HiperisoError({ what, ...rest, hint, kind, cause: error });
}

/** Makes the next reads come from the medium: of a disk by the kernel's leave, of a file by dd, which can say that to the kernel. */
export function forgetterOf(cli: Cli, medium: BlockStore | undefined, file: string | undefined): (path?: string) => Promise<void> {
  const device = medium as Partial<DeviceStore> | undefined;
  return async (path) => {
    if (device?.forgetCache !== undefined) await device.forgetCache();
    else await forgetFile(file ?? path, cli);
  };
}

/** Where there is no dd that knows how, the comparison sees what the computer has in memory: better than none. */
async function forgetFile(path: string | undefined, { env, job }: Cli): Promise<void> {
  const dd = path === undefined ? undefined : await lookForTool("dd", env);
  if (dd === undefined) return;
  await execa(dd, [`if=${path}`, "iflag=nocache", "count=0", "status=none"], {
    extendEnv: false,
    env: { LC_ALL: "C" },
    cancelSignal: job.signal,
    reject: false,
  });
  job.signal.throwIfAborted();
}
