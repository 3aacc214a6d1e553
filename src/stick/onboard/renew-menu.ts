/**
 * The boot menu as it should be by the configuration and the images that are there now, on the mounted boot partition: an edit by hand and an image that was copied
 * show at the next start. Nothing is written where nothing has changed.
 */
import { readFile, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Job } from "../../contract/job.ts";
import { syncDirectory, writeFileAtomic } from "../../host/atomic-file.ts";
import { makeFolders } from "../../host/make-folders.ts";
import type { StickData } from "../data.ts";
import { contentOfEspFile } from "../esp-files.ts";
import { type MenuBefore, readMenuBefore, readMenuFacts } from "../menu-files.ts";
import type { MakeMenu } from "../menu-maker.ts";

export interface MountedEsp {
  readonly path: string;
  /** Makes it writable while `use` runs. */
  readonly writable: <T>(use: () => Promise<T>) => Promise<T>;
}

/** What the menu on the boot partition was made from. */
export const mountedMenuBefore = (esp: string): Promise<MenuBefore> =>
  readMenuBefore(async (path, bytesMax) => {
    try {
      const file = join(esp, path);
      return (await stat(file)).size > bytesMax ? undefined : await readFile(file);
    } catch {
      return undefined; // as good as not there: it is made anew
    }
  });

export interface MenuToRenew {
  readonly data: StickData;
  readonly esp: MountedEsp;
  /** For the kernel's line: by it the next start finds this stick. */
  readonly diskGuid: string;
  readonly before: MenuBefore;
  readonly makeMenu: MakeMenu;
}

/** Paths of the files that were written. Throws where the partition cannot be written. */
export async function renewMountedMenu({ data, esp, diskGuid, before, makeMenu }: MenuToRenew, job: Job): Promise<readonly string[]> {
  const stale: { readonly path: string; readonly bytes: Uint8Array }[] = [];
  for (const file of makeMenu(await readMenuFacts(data, diskGuid, before, job))) {
    const pieces: Uint8Array[] = [];
    for await (const piece of contentOfEspFile(file)) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const there = await readFile(join(esp.path, file.path)).catch(() => undefined);
    if (there === undefined || !there.equals(bytes)) stale.push({ path: file.path, bytes });
  }
  if (stale.length === 0) return [];
  await esp.writable(async () => {
    for (const { path, bytes } of stale) {
      const file = join(esp.path, path);
      await makeFolders(dirname(file));
      await writeFileAtomic(file, bytes);
      await syncDirectory(dirname(file));
    }
  });
  return stale.map(({ path }) => path);
}
