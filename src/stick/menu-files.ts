/** Keeping the menu on the ESP as the data partition is: after images came or went, or the configuration changed. */
import { CONFIG_FILE_BYTES_MAX, decodeConfig } from "../config/config-file.ts";
import { emptyConfig } from "../config/hiperiso-json.ts";
import { HiperisoError } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import { STICK_DATA } from "../contract/stick.ts";
import { openVolume } from "../disk/open-volume.ts";
import { readDataFile, type StickData, volumeData } from "./data.ts";
import type { EspFile } from "./esp-files.ts";
import { listStick } from "./list.ts";
import type { MakeMenu, MenuFacts } from "./menu-maker.ts";
import type { OpenStick } from "./open-stick.ts";
import { writeEspFile } from "./volumes.ts";

/** A configuration that cannot be used is left out, as at a boot. */
export async function readMenuFacts(data: StickData, job: Job): Promise<MenuFacts> {
  let configBytes: Uint8Array | undefined;
  try {
    configBytes = await readDataFile(data, STICK_DATA.config, CONFIG_FILE_BYTES_MAX);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    job.progress.warn(error.message);
  }
  const config = configBytes === undefined ? emptyConfig : decodeConfig(configBytes, STICK_DATA.config).config;
  const { images } = await listStick(data, job);
  return { images: images.filter(({ state }) => state !== "missing"), config, configBytes };
}

/** Writes those generated files that are other than they should be, and says how many. Throws where the ESP cannot be used. */
export async function refreshMenu(stick: OpenStick, makeMenu: MakeMenu, timeMs: number, job: Job): Promise<number> {
  const quiet: Job = { ...job, progress: { ...silentProgress, warn: (line) => job.progress.warn(line) } };
  await using data = await openVolume(stick.dataStore, { readOnly: true }, quiet);
  const files = makeMenu(await readMenuFacts(volumeData(data, stick.dataStore), quiet));
  await using esp = await openVolume(stick.espStore, { readOnly: false }, quiet);
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
