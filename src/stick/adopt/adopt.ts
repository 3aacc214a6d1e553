/**
 * hiperiso on a Ventoy stick, as a guest: kernel, runtime and menu in `/hiperiso` of the data partition, and an entry in the menu that Ventoy's key F6
 * opens. Partition table and boot partition are never written. All of it can be taken away again, and what the person had is as it was.
 *
 * What a cut leaves: the record is written first, Ventoy's menu last, so Ventoy never shows an entry that leads to half a runtime; but a renewal that was
 * cut off may have left parts of two versions. Doing it again ends with the same stick, and `removeAdoption` takes away whatever is there.
 */
import { createHash } from "node:crypto";
import type { VentoyFinding, VentoyMode } from "../../config/ventoy-json.ts";
import { ADOPTION, type Adoption } from "../../contract/adoption.ts";
import { HiperisoError } from "../../contract/error.ts";
import { type Job, type Step, silentProgress } from "../../contract/job.ts";
import { STICK_DATA, STICK_ESP } from "../../contract/stick.ts";
import { utcOf } from "../../host/clock.ts";
import { makeDataFolders, readDataFile, type StickData, writeDataFile } from "../data.ts";
import { contentOfEspFile, type EspFile, type StickRuntime, sizeOfEspFile } from "../esp-files.ts";
import { readMenuBefore, readMenuFacts } from "../menu-files.ts";
import { parentsOf } from "../plan-add.ts";
import { adoptedMenu } from "./adopted-menu.ts";
import { readVentoy } from "./read-ventoy.ts";
import { readAdoption, writeAdoption } from "./record.ts";
import { encodeTranslation, type TakeoverLine, translateVentoy } from "./translate.ts";
import { holdsOurPart, withOurPart, withoutOurPart } from "./ventoy-menu.ts";

export interface AdoptWish {
  /** Undefined: to look alone, where none is there yet. */
  readonly runtime: StickRuntime | undefined;
  /** As `init` looks for the disk; empty: the only one with our folder. */
  readonly diskId: string;
  readonly mode: VentoyMode;
  /** Also where a `hiperiso.json` is that somebody wrote: it is kept aside. */
  readonly replaceConfig: boolean;
  readonly timeMs: number;
  /** Of this program. */
  readonly version: string;
}

export interface AdoptFile {
  /** On the data partition. */
  readonly path: string;
  readonly sizeBytes: bigint;
  readonly from: EspFile;
}

/** `made`: from `ventoy.json`. `kept`: one that is there, which somebody wrote or changed. */
export type ConfigFate = "made" | "kept";

export interface AdoptPlan {
  readonly files: readonly AdoptFile[];
  readonly totalBytes: bigint;
  /** Of an adoption that is there, whole or cut off. */
  readonly before: Adoption | undefined;
  /** Why the record of an earlier one cannot be used. */
  readonly recordDamage: string | undefined;
  readonly config: { readonly fate: ConfigFate; readonly bytes: Uint8Array };
  readonly ventoyMenu: { readonly bytes: Uint8Array; readonly existed: boolean; readonly original: Uint8Array | undefined };
  readonly lines: readonly TakeoverLine[];
  readonly findings: readonly VentoyFinding[];
  readonly hasVentoyConfig: boolean;
  /** So many images Ventoy's menu shows. */
  readonly images: number;
  /** The stick has more files than were looked at. */
  readonly cut: boolean;
  readonly freeBytes: bigint;
}

/** A menu file of that size nobody wrote. */
const VENTOY_MENU_BYTES_MAX = 4 << 20;
const CONFIG_BYTES_MAX = 8 << 20;
/** For names, folders, menu and our own records. */
const RESERVE_BYTES = 4n << 20n;
const NEEDED = [STICK_ESP.kernel, STICK_ESP.initramfs, STICK_ESP.runtime] as const;
const RUNTIME_FOLDER = "/EFI/hiperiso/";

/** Reads alone. Throws HiperisoError of kind `usage` where the runtime lacks something, or there is no room. */
export async function planAdoption(data: StickData, wish: AdoptWish, job: Job): Promise<AdoptPlan> {
  const { runtime, mode, replaceConfig } = wish;
  const given = runtime?.files ?? [];
  const missing = runtime === undefined ? [] : NEEDED.filter((path) => !given.some((file) => file.path === path));
  if (missing.length > 0) {
    throw new HiperisoError({
      what: "adopt the stick",
      expected: `a runtime with ${missing.join(", ")}`,
      found: "none of that",
      hint: "`hiperiso runtime build --to DIR` makes one.",
      kind: "usage",
    });
  }
  const { adoption: before, damage: recordDamage } = await readAdoption(data);
  const reading = await readVentoy(data, mode, job);
  const translation = translateVentoy(reading.facts);
  const now = await readDataFile(data, ADOPTION.ventoyMenu, VENTOY_MENU_BYTES_MAX);
  const original = now === undefined ? undefined : withoutOurPart(now);
  const existed = before?.menu_existed ?? (original !== undefined && (original.length > 0 || now?.length === 0));
  const files: AdoptFile[] = [];
  // A loader of ours is of no use here, and Ventoy would list it.
  for (const file of given.filter(({ path }) => path.startsWith(RUNTIME_FOLDER)))
    files.push({ path: `${ADOPTION.runtime}${file.path}`, sizeBytes: await sizeOfEspFile(file), from: file });
  const config = await planConfig(data, before, encodeTranslation(translation), replaceConfig);
  const freeBytes = await checkRoom(data, files);
  return {
    files,
    totalBytes: files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n),
    before,
    recordDamage,
    config,
    ventoyMenu: { bytes: withOurPart(now), existed, original },
    lines: translation.lines,
    findings: reading.findings,
    hasVentoyConfig: reading.found,
    images: translation.shown.length,
    cut: reading.cut,
    freeBytes,
  };
}

async function planConfig(data: StickData, before: Adoption | undefined, made: Uint8Array, replace: boolean): Promise<AdoptPlan["config"]> {
  const there = await readDataFile(data, STICK_DATA.config, CONFIG_BYTES_MAX);
  const isOurs = there !== undefined && before?.config_sha256 != null && sumOfBytes(there) === before.config_sha256;
  if (there === undefined || isOurs || replace || sumOfBytes(there) === sumOfBytes(made)) return { fate: "made", bytes: made };
  return { fate: "kept", bytes: there };
}

/** Files that are replaced stay until their new ones are whole, one after the other. */
async function checkRoom({ tree, at, where }: StickData, files: readonly AdoptFile[]): Promise<bigint> {
  const { freeBytes, clusterBytes } = await tree.space(at("/"));
  const cluster = BigInt(clusterBytes);
  const whole = (bytes: bigint) => ((bytes + cluster - 1n) / cluster) * cluster;
  let left = freeBytes - RESERVE_BYTES;
  let lowest = left;
  for (const { path, sizeBytes } of files) {
    left -= whole(sizeBytes);
    if (left < lowest) lowest = left;
    left += whole((await tree.stat(at(path)))?.sizeBytes ?? 0n);
  }
  if (lowest >= 0n) return freeBytes;
  throw new HiperisoError({
    what: "adopt the stick",
    where,
    expected: `room for ${freeBytes - lowest} bytes`,
    found: `${freeBytes} bytes free`,
    hint: "Nothing was written.",
    kind: "usage",
  });
}

export interface AdoptOptions {
  /** Each file is read back from the medium and compared. */
  readonly verify: boolean;
  /** Makes the next reads come from the medium and not from memory; the file on this computer is named where there is one. */
  readonly forget: (path: string | undefined) => Promise<void>;
}

export async function adoptStick(data: StickData, plan: AdoptPlan, wish: AdoptWish, options: AdoptOptions, job: Job): Promise<Adoption> {
  const { timeMs } = wish;
  const quiet: Job = { ...job, progress: { ...silentProgress, warn: (line) => job.progress.warn(line) } };
  const step = job.progress.begin("write the runtime", plan.totalBytes);
  let adoption = await firstRecord(data, plan, wish);
  try {
    await makeDataFolders(data, STICK_DATA.folder, timeMs);
    await writeAdoption(data, adoption, timeMs, quiet);
    await writeIfOther(data, ADOPTION.ignore, new Uint8Array(), timeMs, quiet);
    const files: Adoption["files"] = [];
    for (const { path, from } of plan.files) {
      job.signal.throwIfAborted();
      files.push(await writeRuntimeFile(data, path, from, timeMs, { ...quiet, step }));
    }
    await writeConfig(data, plan, timeMs, quiet);
    files.push(...(await writeMenu(data, wish, quiet)));
    await removeOthers(data, new Set(files.map(({ path }) => path)));
    if (options.verify) await readBack(data, files, options, job);
    await writeVentoyMenu(data, plan, timeMs, quiet);
    adoption = { ...adoption, files: files.sort((a, b) => (a.path < b.path ? -1 : 1)), complete: true };
    await writeAdoption(data, adoption, timeMs, quiet);
    await data.flush();
    return adoption;
  } finally {
    step.end();
  }
}

/** What will be there: enough to take all of it away again, whenever this is cut off. */
async function firstRecord(
  { tree, at }: StickData,
  { files, before, config, ventoyMenu }: AdoptPlan,
  { mode, version, timeMs }: AdoptWish,
): Promise<Adoption> {
  const menu = [STICK_ESP.menu, STICK_ESP.menuPart, STICK_ESP.debianMenu].map((path) => `${ADOPTION.runtime}${path}`);
  const wanted = [...files.map(({ path }) => path), ...menu, `${ADOPTION.before}/x`, ADOPTION.ventoyMenu].flatMap(parentsOf);
  const folders: string[] = [];
  // The one of the record goes when nothing is in it any more, whoever made it.
  for (const folder of new Set(wanted))
    if (folder !== STICK_DATA.folder && (await tree.stat(at(folder))) === undefined) folders.push(folder);
  const hasConfig = (await tree.stat(at(STICK_DATA.config))) !== undefined;
  return {
    version: 1,
    hiperiso_version: version,
    adopted_utc: utcOf(timeMs),
    complete: false,
    mode,
    folders: [...new Set([...(before?.folders ?? []), ...folders])].sort((a, b) => a.length - b.length || (a < b ? -1 : 1)),
    files: [],
    menu_existed: ventoyMenu.existed,
    config_sha256: config.fate === "made" ? sumOfBytes(config.bytes) : null,
    config_existed: config.fate === "made" && (before === undefined ? hasConfig : before.config_existed || before.config_sha256 === null),
  };
}

type AdoptJob = Job & { readonly step: Step };

/** One that is there already with the same bytes stays. */
async function writeRuntimeFile(
  data: StickData,
  path: string,
  from: EspFile,
  timeMs: number,
  { step, ...job }: AdoptJob,
): Promise<Adoption["files"][number]> {
  const { tree, at } = data;
  const sizeBytes = await sizeOfEspFile(from);
  const there = await tree.stat(at(path));
  const generated = from.generated === true;
  if (there?.kind === "file" && there.sizeBytes === sizeBytes) {
    const sha256 = await sumOf(contentOfEspFile(from));
    if ((await sumOf(data.read(path, job.signal))) === sha256) {
      step.advance(Number(sizeBytes));
      return { path, size_bytes: Number(sizeBytes), sha256, generated };
    }
  }
  await makeDataFolders(data, path.slice(0, path.lastIndexOf("/")), timeMs);
  const hash = createHash("sha256");
  const content = (async function* () {
    for await (const piece of contentOfEspFile(from)) {
      hash.update(piece);
      yield piece;
      step.advance(piece.length);
    }
  })();
  await tree.write(
    at(path),
    content,
    { sizeBytes, modifiedMs: timeMs, replace: there !== undefined },
    { ...job, progress: silentProgress },
  );
  return { path, size_bytes: Number(sizeBytes), sha256: hash.digest("hex"), generated };
}

async function writeIfOther(data: StickData, path: string, bytes: Uint8Array, timeMs: number, job: Job): Promise<void> {
  const there = await readDataFile(data, path, bytes.length).catch(() => undefined); // longer: another one
  if (there !== undefined && Buffer.compare(there, bytes) === 0) return;
  await makeDataFolders(data, path.slice(0, path.lastIndexOf("/")), timeMs);
  await writeDataFile(data, path, bytes, timeMs, job);
}

const KEPT_CONFIG = `${ADOPTION.before}/hiperiso.json`;
const KEPT_MENU = `${ADOPTION.before}/ventoy_grub.cfg`;

async function writeConfig(data: StickData, { config, before }: AdoptPlan, timeMs: number, job: Job): Promise<void> {
  if (config.fate === "kept") return;
  const there = await readDataFile(data, STICK_DATA.config, CONFIG_BYTES_MAX);
  const isNew = there !== undefined && sumOfBytes(there) !== sumOfBytes(config.bytes);
  const isPersons = isNew && sumOfBytes(there) !== before?.config_sha256;
  // Of several that were replaced, the one that was there before hiperiso came is kept.
  if (isPersons && (await data.tree.stat(data.at(KEPT_CONFIG))) === undefined) await writeIfOther(data, KEPT_CONFIG, there, timeMs, job);
  await writeIfOther(data, STICK_DATA.config, config.bytes, timeMs, job);
}

/** From the configuration as it stands there now. */
async function writeMenu(data: StickData, { diskId, timeMs }: Pick<AdoptWish, "diskId" | "timeMs">, job: Job): Promise<Adoption["files"]> {
  const before = await readMenuBefore((path, bytesMax) =>
    readDataFile(data, `${ADOPTION.runtime}${path}`, bytesMax).catch((error: unknown) => {
      if (error instanceof HiperisoError) return undefined;
      throw error;
    }),
  );
  const files: Adoption["files"] = [];
  for (const file of adoptedMenu(await readMenuFacts(data, diskId, before, job))) {
    const step: Step = { advance: () => {}, end: () => {} };
    files.push(await writeRuntimeFile(data, `${ADOPTION.runtime}${file.path}`, file, timeMs, { ...job, step }));
  }
  return files;
}

/** After images or configuration of a stick that was adopted have changed. */
export async function refreshAdoptedMenu(data: StickData, diskId: string, timeMs: number, job: Job): Promise<void> {
  const { adoption } = await readAdoption(data);
  if (adoption === undefined) return;
  const quiet: Job = { ...job, progress: { ...silentProgress, warn: (line) => job.progress.warn(line) } };
  const made = await writeMenu(data, { diskId, timeMs }, quiet);
  const names = new Set(made.map(({ path }) => path));
  const files = [...adoption.files.filter(({ path }) => !names.has(path)), ...made].sort((a, b) => (a.path < b.path ? -1 : 1));
  await writeAdoption(data, { ...adoption, files }, timeMs, quiet);
  await data.flush();
}

/** Files of an older version in our folder. */
async function removeOthers(data: StickData, wanted: ReadonlySet<string>): Promise<void> {
  const { tree, at } = data;
  const folded = new Set([...wanted].map(tree.folded));
  const visit = async (folder: string): Promise<void> => {
    const entries = [];
    for await (const entry of tree.list(at(folder))) entries.push(entry);
    for (const { name, kind } of entries) {
      if (name === undefined) continue;
      const path = `${folder}/${name}`;
      if (kind === "directory") await visit(path);
      else if (!folded.has(tree.folded(path))) await data.remove(path);
    }
  };
  await visit(ADOPTION.runtime);
}

async function readBack(data: StickData, files: Adoption["files"], { forget }: AdoptOptions, job: Job): Promise<void> {
  await data.flush();
  const step = job.progress.begin("read back the runtime", files.reduce((sum, { size_bytes: size }) => sum + BigInt(size), 0n)); // biome-ignore format: one thought
  for (const { path, sha256 } of files) {
    await forget(data.at(path));
    const found = await sumOf(data.read(path, job.signal), step.advance);
    if (found === sha256) continue;
    throw new HiperisoError({
      what: "read back the runtime",
      where: data.tree.shown(data.at(path)),
      expected: `SHA-256 ${sha256}`,
      found,
      hint: "The stick does not keep what is written to it: try another port, or another stick.",
    });
  }
  step.end();
}

async function writeVentoyMenu(data: StickData, { ventoyMenu }: AdoptPlan, timeMs: number, job: Job): Promise<void> {
  const { bytes, existed, original } = ventoyMenu;
  if (existed && original !== undefined && (await data.tree.stat(data.at(KEPT_MENU))) === undefined)
    await writeIfOther(data, KEPT_MENU, original, timeMs, job);
  await data.flush(); // all that the entry starts is on the medium before it is there
  await writeIfOther(data, ADOPTION.ventoyMenu, bytes, timeMs, job);
}

async function sumOf(
  pieces: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
  advance: (bytes: number) => void = () => {},
): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of pieces) {
    hash.update(piece);
    advance(piece.length);
  }
  return hash.digest("hex");
}

const sumOfBytes = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

export interface Removal {
  /** Files and folders that were taken away, or put back as they were. */
  readonly removed: readonly string[];
  readonly restored: readonly string[];
  /** What stays in our folder: sessions, and what somebody put there. */
  readonly kept: readonly string[];
}

/** Our own, beside the runtime; a cache is made anew whenever it is missing. */
const OWN = [ADOPTION.runtime, `${STICK_DATA.folder}/cache`] as const;

/**
 * Takes hiperiso off a stick that was adopted, in whatever state it is; sessions stay. `write`: false looks only. Throws HiperisoError of kind `usage` where
 * nothing was added to it.
 */
export async function removeAdoption(
  data: StickData,
  { write, timeMs }: { readonly write: boolean; readonly timeMs: number },
  job: Job,
): Promise<Removal> {
  const { tree, at } = data;
  const quiet: Job = { ...job, progress: silentProgress };
  const { adoption, damage } = await readAdoption(data);
  const menu = await readDataFile(data, ADOPTION.ventoyMenu, VENTOY_MENU_BYTES_MAX);
  const hasPart = menu !== undefined && holdsOurPart(menu);
  if (adoption === undefined && damage === undefined && !hasPart) {
    throw new HiperisoError({
      what: "take hiperiso off the stick",
      where: data.where,
      expected: ADOPTION.record,
      found: "none",
      hint: "Nothing was added to it by `hiperiso stick adopt`.",
      kind: "usage",
    });
  }
  const removed: string[] = [];
  const restored: string[] = [];
  const kept: string[] = [];
  const remove = async (path: string, recursive = false): Promise<void> => {
    if ((await tree.stat(at(path))) === undefined) return;
    removed.push(path);
    if (write) await data.remove(path, { recursive });
  };
  const restore = async (path: string, bytes: Uint8Array): Promise<void> => {
    restored.push(path);
    if (write) await writeIfOther(data, path, bytes, timeMs, quiet);
  };

  // The way to it first: a cut must not leave an entry that leads nowhere.
  if (menu !== undefined && hasPart) {
    const rest = withoutOurPart(menu);
    if (rest.length > 0 || adoption?.menu_existed === true) await restore(ADOPTION.ventoyMenu, rest);
    else await remove(ADOPTION.ventoyMenu);
  }
  if (write) await data.flush();

  const config = await readDataFile(data, STICK_DATA.config, CONFIG_BYTES_MAX);
  const isOurs = config !== undefined && adoption?.config_sha256 != null && sumOfBytes(config) === adoption.config_sha256;
  const keptConfig = await readDataFile(data, KEPT_CONFIG, CONFIG_BYTES_MAX);
  if (isOurs && adoption.config_existed && keptConfig !== undefined) await restore(STICK_DATA.config, keptConfig);
  else if (isOurs) await remove(STICK_DATA.config);

  for (const path of OWN) await remove(path, true);
  await remove(ADOPTION.before, true);
  const gone = new Set(removed);
  for await (const { name } of tree.list(at(STICK_DATA.folder))) {
    const path = `${STICK_DATA.folder}/${name ?? ""}`;
    if (![ADOPTION.record, ADOPTION.ignore, ...gone].includes(path)) kept.push(path);
  }
  // What stays there must not come up in Ventoy's menu.
  if (kept.length === 0) await remove(ADOPTION.ignore);
  for (const folder of (adoption?.folders ?? []).toReversed())
    if (!isGone(folder, removed) && (await isEmptyBut(data, folder, removed))) await remove(folder);
  // The record is what a second try goes by: of all that matters it goes last.
  await remove(ADOPTION.record);
  if (kept.length === 0 && (await isEmptyBut(data, STICK_DATA.folder, removed))) await remove(STICK_DATA.folder);
  if (write) await data.flush();
  return { removed, restored, kept };
}

const isGone = (path: string, removed: readonly string[]): boolean => removed.some((one) => path === one || path.startsWith(`${one}/`));

/** Nothing is in it, or nothing that has not been taken away. */
async function isEmptyBut({ tree, at }: StickData, folder: string, removed: readonly string[]): Promise<boolean> {
  if ((await tree.stat(at(folder)))?.kind !== "directory") return false;
  for await (const { name } of tree.list(at(folder))) if (!removed.includes(`${folder}/${name ?? ""}`)) return false;
  return true;
}
