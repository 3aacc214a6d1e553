/** A stick's boot partition made anew: the data partition keeps every byte, and a cut in the middle is mended by doing it again. */

import { HiperisoError } from "../contract/error.ts";
import { type Job, silentProgress } from "../contract/job.ts";
import type { StickManifest } from "../contract/stick.ts";
import type { Ids } from "../disk/ids.ts";
import { openVolume } from "../disk/open-volume.ts";
import { isVolumeFormat, recognise } from "../disk/recognise.ts";
import { volumeData } from "./data.ts";
import type { StickRuntime } from "./esp-files.ts";
import { type MenuBefore, NO_MENU_BEFORE, readMenuBefore, readMenuFacts, volumeReader } from "./menu-files.ts";
import type { MakeMenu, MenuFacts } from "./menu-maker.ts";
import type { OpenStick } from "./open-stick.ts";
import { readManifest } from "./verify.ts";
import { checkEspRoom, makeEsp, type StickIdentity } from "./volumes.ts";

export interface UpdateWish {
  readonly runtime: StickRuntime;
  readonly makeMenu: MakeMenu;
  readonly timeMs: number;
  readonly version: string;
  /** For a boot partition whose serial number is lost. */
  readonly ids: Ids;
}

export interface UpdatePlan {
  readonly files: StickRuntime["files"];
  readonly usedBytes: bigint;
  /** What stands there; undefined where it cannot be read, as after an update that was cut off. */
  readonly before: StickManifest | undefined;
}

/** Reads alone. Throws HiperisoError of kind `usage` where the new files do not fit. */
export async function planUpdate(stick: OpenStick, { runtime, makeMenu }: UpdateWish, job: Job): Promise<UpdatePlan> {
  const { manifest, menu } = await readEspBefore(stick, job);
  const files = [...runtime.files, ...makeMenu(await menuFactsOf(stick, menu, job))];
  const usedBytes = await checkEspRoom(files, BigInt(stick.esp.sizeBytes));
  return { files, usedBytes, before: manifest };
}

/** The data partition may be none of ours any more: the boot partition can be made all the same. */
async function menuFactsOf(stick: OpenStick, before: MenuBefore, job: Job): Promise<MenuFacts> {
  const found = await recognise(stick.dataStore);
  if (found !== undefined && isVolumeFormat(found.format)) {
    try {
      await using volume = await openVolume(stick.dataStore, { readOnly: true }, job);
      return await readMenuFacts(volumeData(volume, stick.dataStore), stick.diskGuid, before, job);
    } catch (error) {
      if (!(error instanceof HiperisoError)) throw error;
      job.progress.warn(`the menu lists no images: ${error.message}`);
    }
  } else job.progress.warn(`the menu lists no images: the data partition holds ${found?.format ?? "nothing that is known"}`);
  return { diskGuid: stick.diskGuid, images: [], configBytes: undefined, goodConfig: before.goodConfig, theme: [] };
}

interface EspBefore {
  readonly manifest: StickManifest | undefined;
  readonly menu: MenuBefore;
}

async function readEspBefore({ espStore }: OpenStick, job: Job): Promise<EspBefore> {
  const nothing: EspBefore = { manifest: undefined, menu: NO_MENU_BEFORE };
  const found = await recognise(espStore);
  if (found === undefined || !isVolumeFormat(found.format)) return nothing;
  try {
    await using esp = await openVolume(espStore, { readOnly: true }, { ...job, progress: silentProgress });
    const manifest = await readManifest(esp, espStore.name);
    return { manifest: manifest instanceof HiperisoError ? undefined : manifest, menu: await readMenuBefore(volumeReader(esp)) };
  } catch (error) {
    if (error instanceof HiperisoError) return nothing;
    throw error;
  }
}

/** Writes to the ESP and nowhere else. */
export async function writeUpdate(stick: OpenStick, { files, before }: UpdatePlan, wish: UpdateWish, job: Job): Promise<StickManifest> {
  const { diskGuid, data, esp, espStore } = stick;
  const serial = before === undefined ? wish.ids.serial() : Number.parseInt(before.esp.serial, 16);
  const identity: StickIdentity = {
    diskGuid,
    data: { guid: data.guid ?? "", offset: data.offset, sizeBytes: data.sizeBytes },
    esp: { guid: esp.guid ?? "", offset: esp.offset, sizeBytes: esp.sizeBytes, serial },
  };
  const manifest = await makeEsp(espStore, { files, identity, timeMs: wish.timeMs, version: wish.version }, job);
  await stick.medium.flush();
  return manifest;
}
