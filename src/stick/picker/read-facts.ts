/** What the picker shows, read from a stick's data partition, whichever way that is reached; and the look into one image. */
import { CONFIG_FILE_BYTES_MAX, decodeConfig } from "../../config/config-file.ts";
import { emptyConfig } from "../../config/hiperiso-json.ts";
import type { SettingValues } from "../../config/settings.ts";
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { standardSettings } from "../../contract/parameters.ts";
import { STICK_DATA } from "../../contract/stick.ts";
import type { Volume } from "../../disk/volume.ts";
import type { BlockSource } from "../../image/block-source.ts";
import { STANDARD_RULES } from "../../image/disk-format.ts";
import { openBootMenus } from "../../image/menus/open-menus.ts";
import { readBootMenus } from "../../image/menus/read-menus.ts";
import { openImageFacts, probeImage } from "../../image/probe.ts";
import { readDataFile, type StickData } from "../data.ts";
import { listStick } from "../list.ts";
import { readStickSessions } from "../sessions.ts";
import { type ImageLook, type ListedSetting, type PickerFacts, type PickerWayOut, pickerImages, pickerSessions } from "./facts.ts";

export interface PickerWish {
  readonly title: string;
  readonly said: SettingValues;
  readonly waysOut: readonly PickerWayOut[];
  /** More notes than those of the stick itself. */
  readonly notes?: readonly string[];
}

/** Reads the stick; what is damaged on it is told in the notes. Throws HiperisoError where the partition itself cannot be read. */
export async function readPickerFacts(data: StickData, { title, said, waysOut, notes = [] }: PickerWish, job: Job): Promise<PickerFacts> {
  const { config, findings } = await readStickConfig(data);
  const { images, freeBytes, recordDamage } = await listStick(data, job, config.menu.imageFolders);
  const logs = said.logDir ?? standardSettings.logDir;
  const { sessions } = await readStickSessions(data, logs, job);
  const [first] = findings;
  const more = findings.length > 1 ? ` (and ${findings.length - 1} more)` : "";
  return {
    title,
    images: pickerImages(images, config),
    sessions: pickerSessions(sessions),
    freeBytes,
    files: await filesToChooseFrom(data, job),
    config,
    said,
    notes: [
      ...notes,
      ...(first === undefined ? [] : [`${STICK_DATA.config}:${first.line}:${first.column}: ${first.message}${more}`]),
      ...(recordDamage === undefined ? [] : [`${STICK_DATA.record} cannot be used: ${recordDamage}`]),
    ],
    waysOut,
  };
}

async function readStickConfig(data: StickData): Promise<ReturnType<typeof decodeConfig>> {
  try {
    const bytes = await readDataFile(data, STICK_DATA.config, CONFIG_FILE_BYTES_MAX);
    return bytes === undefined ? { config: emptyConfig, findings: [] } : decodeConfig(bytes, STICK_DATA.config);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    const message = error.found ?? "it cannot be read";
    return { config: emptyConfig, findings: [{ where: STICK_DATA.config, line: 1, column: 1, path: "", message, severity: "error" }] };
  }
}

/** What files of these settings are called. */
const NAMES: Readonly<Partial<Record<ListedSetting, RegExp>>> = {
  autoInstall: /\.(?:cfg|ks|seed|preseed|xml|ya?ml)$/i,
  persistence: /\.dat$/i,
  dud: /(?:^|[-_./])(?:dud|dd)[^/]*\.(?:iso|img)$|\.dud$/i,
  injection: /\.(?:tar\.gz|tgz)$/i,
};
const DEPTH_MAX = 4;
const FILES_MAX = 500;

/** Files on the partition, sessions and our own left out: nobody has to type a path where a list can be shown. */
async function filesToChooseFrom(data: StickData, job: Job): Promise<PickerFacts["files"]> {
  const found: Partial<Record<ListedSetting, string[]>> = {};
  let seen = 0;
  for await (const path of filesBelow(data, "/", 0, job)) {
    seen += 1;
    if (seen > 20 * FILES_MAX) break;
    for (const [setting, name] of Object.entries(NAMES) as [ListedSetting, RegExp][]) {
      if (!name.test(path)) continue;
      const list = found[setting] ?? [];
      if (list.length < FILES_MAX) found[setting] = [...list, path];
    }
  }
  return found;
}

async function* filesBelow(data: StickData, folder: string, depth: number, job: Job): AsyncGenerator<string> {
  job.signal.throwIfAborted();
  const entries: { readonly name: string; readonly kind: string }[] = [];
  try {
    for await (const { name, kind } of data.tree.list(data.at(folder)))
      if (name !== undefined && !name.startsWith(".")) entries.push({ name, kind });
  } catch (error) {
    if (error instanceof HiperisoError) return; // a folder that cannot be read offers nothing
    throw error;
  }
  for (const { name, kind } of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = folder === "/" ? `/${name}` : `${folder}/${name}`;
    if (kind === "file") yield path;
    else if (kind === "directory" && depth < DEPTH_MAX && path !== STICK_DATA.folder) yield* filesBelow(data, path, depth + 1, job);
  }
}

/** Looks into an image of the stick. Throws HiperisoError where it cannot be read. */
export async function lookIntoImage(data: StickData, path: string, signal: AbortSignal): Promise<ImageLook> {
  const { volume } = data;
  if (volume === undefined) {
    const file = data.at(path);
    const facts = await openImageFacts(file, signal);
    return { type: "read", facts, menus: await openBootMenus(file, facts, STANDARD_RULES, signal) };
  }
  const source = volumeFileSource(volume, path, (await volume.stat(path))?.sizeBytes ?? 0n);
  const facts = await probeImage(source, signal);
  return { type: "read", facts, menus: await readBootMenus(source, facts, signal) };
}

/** A file of a volume as a disk. Owns nothing. */
const volumeFileSource = (volume: Volume, path: string, sizeBytes: bigint): BlockSource => ({
  name: path,
  sizeBytes,
  read: async (offset, lengthBytes) => {
    const end = offset + BigInt(lengthBytes);
    const count = (end < sizeBytes ? end : sizeBytes) - offset;
    if (offset < 0n || count <= 0n) return new Uint8Array();
    const bytes = new Uint8Array(Number(count));
    let done = 0;
    for await (const piece of volume.read(path, { offset, lengthBytes: count })) {
      bytes.set(piece.subarray(0, bytes.length - done), done);
      done += piece.length;
    }
    return bytes.subarray(0, Math.min(done, bytes.length));
  },
  [Symbol.asyncDispose]: async () => {},
});
