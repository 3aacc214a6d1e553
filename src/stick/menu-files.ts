/** Keeping the menu on the ESP as the data partition is: after images came or went, or the configuration changed. */
import { join } from "node:path";
import { CONFIG_FILE_BYTES_MAX } from "../config/config-file.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import { STICK_DATA, STICK_ESP, type StickMenuFacts, stickMenuFactsSchema } from "../contract/stick.ts";

import { openVolume } from "../disk/open-volume.ts";
import type { Volume } from "../disk/volume.ts";
import { readBounded } from "../host/bounded-file.ts";
import { type BlockSource, openImage } from "../image/block-source.ts";
import { readDataFile, type StickData, volumeData } from "./data.ts";
import type { EspFile } from "./esp-files.ts";
import { isImageName } from "./image-sources.ts";
import { type ListedImage, listStick } from "./list.ts";
import { type ImageLook, lookAtSource } from "./menu/image-look.ts";
import { type DatedImage, keptTime, type MakeMenu, type MenuFacts, menuConfig } from "./menu-maker.ts";
import type { OpenStick } from "./open-stick.ts";
import { writeEspFile } from "./volumes.ts";

/** Of an ESP: what the menu that stands there was made from. */
export interface MenuBefore {
  readonly facts: StickMenuFacts | undefined;
  readonly goodConfig: Uint8Array | undefined;
}

export const NO_MENU_BEFORE: MenuBefore = { facts: undefined, goodConfig: undefined };

/** Seven times what a stick with ten thousand images has. */
const FACTS_BYTES_MAX = 16 << 20;

/** `read`: the bytes of a file of the ESP of at most so many; undefined where it is not there, or longer. Damage is as good as nothing. */
export async function readMenuBefore(read: (path: string, bytesMax: number) => Promise<Uint8Array | undefined>): Promise<MenuBefore> {
  const bytes = await read(STICK_ESP.menuFacts, FACTS_BYTES_MAX);
  return { facts: decodeMenuFacts(bytes), goodConfig: await read(STICK_ESP.goodConfig, CONFIG_FILE_BYTES_MAX) };
}

function decodeMenuFacts(bytes: Uint8Array | undefined): StickMenuFacts | undefined {
  if (bytes === undefined) return undefined;
  try {
    const parsed = stickMenuFactsSchema.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    return parsed.success ? parsed.data : undefined;
  } catch {
    return undefined; // made anew
  }
}

export const volumeReader =
  (volume: Volume) =>
  async (path: string, bytesMax: number): Promise<Uint8Array | undefined> => {
    try {
      const there = await volume.stat(path);
      if (there?.kind !== "file" || there.sizeBytes > BigInt(bytesMax)) return undefined;
      const pieces: Uint8Array[] = [];
      for await (const piece of volume.read(path)) pieces.push(piece);
      return Buffer.concat(pieces);
    } catch (error) {
      if (error instanceof HiperisoError) return undefined;
      throw error;
    }
  };

/** As `readMenuBefore` asks, of a folder at which an ESP is mounted. */
export const folderReader =
  (folder: string) =>
  async (path: string, bytesMax: number): Promise<Uint8Array | undefined> => {
    try {
      const bytes = await readBounded(join(folder, path), bytesMax, "read a file of the boot partition");
      return bytes.length > bytesMax ? undefined : bytes;
    } catch (error) {
      if (error instanceof HiperisoError) return undefined;
      throw error;
    }
  };

/** All that the menu is made from. Images that are as they were when the menu was made last are not looked into again. */
export async function readMenuFacts(data: StickData, diskGuid: string, before: MenuBefore, job: Job): Promise<MenuFacts> {
  const configBytes = await readConfigBytes(data);
  const { config } = menuConfig(configBytes, before.goodConfig);
  const { images } = await listStick(data, job, config.menu.imageFolders);
  const shown = images.filter(({ path, state }) => state !== "missing" && isImageName(path.slice(path.lastIndexOf("/") + 1)));
  const known = new Map(before.facts?.images.map((image) => [image.path, image]));
  const looked: DatedImage[] = [];
  for (const image of shown) {
    job.signal.throwIfAborted();
    const { path, sizeBytes, modifiedMs } = image;
    looked.push({ path, sizeBytes, modifiedMs, look: lookBefore(image, known.get(path)) ?? (await lookAt(data, image, job)) });
  }
  return { diskGuid, images: looked, configBytes, goodConfig: before.goodConfig, theme: await readTheme(data, config.theme.file, job) };
}

/** Where a stick's images are looked for, by the configuration that stands there. */
export async function imageFoldersOf(data: StickData): Promise<readonly string[]> {
  return menuConfig(await readConfigBytes(data), undefined).config.menu.imageFolders;
}

/** One that is too long to be a configuration is read as far as shows that: it is told with the menu. */
async function readConfigBytes(data: StickData): Promise<Uint8Array | undefined> {
  const there = await data.tree.stat(data.at(STICK_DATA.config));
  if (there?.kind === "file" && there.sizeBytes > BigInt(CONFIG_FILE_BYTES_MAX)) return new Uint8Array(CONFIG_FILE_BYTES_MAX + 1);
  try {
    return await readDataFile(data, STICK_DATA.config, CONFIG_FILE_BYTES_MAX);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return new Uint8Array(CONFIG_FILE_BYTES_MAX + 1);
  }
}

function lookBefore({ sizeBytes, modifiedMs }: ListedImage, before: StickMenuFacts["images"][number] | undefined): ImageLook | undefined {
  if (before?.direct == null || modifiedMs === null) return undefined;
  if (BigInt(before.size_bytes) !== sizeBytes || before.modified_ms !== keptTime(modifiedMs)) return undefined;
  return { refusal: before.refusal ?? undefined, direct: before.direct };
}

async function lookAt(data: StickData, { path, sizeBytes }: ListedImage, { signal }: Job): Promise<ImageLook> {
  if (sizeBytes === 0n) return { refusal: "it is empty", direct: { can: false, because: "it is empty" } };
  try {
    await using source = data.volume === undefined ? await openImage(data.at(path)) : volumeFile(data.volume, path, sizeBytes);
    return await lookAtSource(source, signal);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    const because = `it cannot be read: ${reasonOf(error)}`;
    return { refusal: because, direct: { can: false, because } };
  }
}

function volumeFile(volume: Volume, path: string, sizeBytes: bigint): BlockSource {
  return {
    name: path,
    sizeBytes,
    read: async (offset, lengthBytes) => {
      const wanted = offset >= sizeBytes ? 0n : sizeBytes - offset < BigInt(lengthBytes) ? sizeBytes - offset : BigInt(lengthBytes);
      const pieces: Uint8Array[] = [];
      if (wanted > 0n) for await (const piece of volume.read(path, { offset, lengthBytes: wanted })) pieces.push(piece.slice());
      return Buffer.concat(pieces);
    },
    [Symbol.asyncDispose]: async () => {},
  };
}

/** Of what a theme's folder holds: the boot partition has little room. */
const THEME_BYTES_MAX = 4 << 20;
const THEME_FILES_MAX = 64;

/** The theme's own folder, without what is below it; nothing, and a warning, where it cannot be used. */
async function readTheme(data: StickData, file: string | undefined, { progress }: Job): Promise<MenuFacts["theme"]> {
  if (file === undefined) return [];
  const path = file.startsWith("/") ? file : `${STICK_DATA.folder}/${file}`;
  const without = (because: string): MenuFacts["theme"] => {
    progress.warn(`the menu has no theme: ${path}: ${because}`);
    return [];
  };
  const slash = path.lastIndexOf("/");
  const [folder, first] = [path.slice(0, slash) || "/", path.slice(slash + 1)];
  try {
    const { tree, at } = data;
    if ((await tree.stat(at(path)))?.kind !== "file") return without("there is no such file");
    const names = [first];
    for await (const { name, kind } of tree.list(at(folder)))
      if (kind === "file" && name !== undefined && name !== first && /\.(png|jpe?g|tga|pf2)$/i.test(name)) names.push(name);
    if (names.length > THEME_FILES_MAX) return without(`more than ${THEME_FILES_MAX} files stand beside it`);
    const files: { readonly name: string; readonly bytes: Uint8Array }[] = [];
    let left = THEME_BYTES_MAX;
    for (const name of names.slice(0, 1).concat(names.slice(1).sort())) {
      const bytes = await readDataFile(data, `${folder === "/" ? "" : folder}/${name}`, left);
      if (bytes === undefined) continue;
      left -= bytes.length;
      files.push({ name, bytes });
    }
    return files;
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return without(`with what stands beside it, it has more than ${THEME_BYTES_MAX} bytes, or cannot be read (${reasonOf(error)})`);
  }
}

/** Writes those generated files that are other than they should be, and says how many. Throws where the ESP cannot be used. */
export async function refreshMenu(stick: OpenStick, makeMenu: MakeMenu, timeMs: number, job: Job): Promise<number> {
  const quiet: Job = { ...job, progress: { ...silentProgress, warn: (line) => job.progress.warn(line) } };
  await using data = await openVolume(stick.dataStore, { readOnly: true }, quiet);
  await using esp = await openVolume(stick.espStore, { readOnly: false }, quiet);
  const before = await readMenuBefore(volumeReader(esp));
  const files = makeMenu(await readMenuFacts(volumeData(data, stick.dataStore), stick.diskGuid, before, quiet));
  let written = 0;
  for (const file of files) {
    if (await isThere(esp, file)) continue;
    await writeEspFile(esp, file, timeMs, quiet);
    written += 1;
  }
  await esp.flush();
  return written;
}

async function isThere(esp: Awaited<ReturnType<typeof openVolume>>, { path, from }: EspFile): Promise<boolean> {
  const there = await esp.stat(path);
  if (!(from instanceof Uint8Array) || there?.sizeBytes !== BigInt(from.length)) return false;
  const pieces: Uint8Array[] = [];
  for await (const piece of esp.read(path)) pieces.push(piece);
  return Buffer.concat(pieces).equals(from);
}
