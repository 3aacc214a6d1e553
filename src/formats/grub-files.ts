/** Files as GRUB's scripts name them: `(device)/path`, or `/path` on the root. */
import type { Frame, GrubRun } from "./grub-frame.ts";
import type { GrubFile } from "./grub-menu.ts";
import { matchesName, normalPath } from "./menu-paths.ts";

export function fileOf(path: string, { context }: Frame, { world }: GrubRun): GrubFile {
  const match = /^\(([^()]*)\)(.*)$/s.exec(path);
  const device = match?.[1] ?? context.get("root").replace(/^\((.*)\)$/s, "$1");
  const disk = world.disk(device);
  const normal = normalPath(match?.[2] ?? path);
  return { disk, path: disk === undefined ? `(${device})${normal}` : normal };
}

export async function kindOf({ disk, path }: GrubFile, { world }: GrubRun): Promise<"file" | "directory" | undefined> {
  return disk === undefined ? undefined : await world.kind(disk, path);
}

/** Undefined where there is no such file, or one that is too long. */
export async function readText({ disk, path }: GrubFile, { world, tally }: GrubRun): Promise<string | undefined> {
  tally.countFile();
  if (disk === undefined) return undefined;
  const bytes = await world.read(disk, path, tally.limits.fileBytes);
  tally.countBytes(bytes?.length ?? 0);
  return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
}

const GLOB_PATHS_MAX = 1000;

/** Files whose path fits, sorted; only paths from a disk's root are patterns. */
export async function filesLike(pattern: string, { context }: Frame, { world, tally }: GrubRun): Promise<readonly string[]> {
  const match = /^(?:\(([^()]*)\))?(\/.*)?$/.exec(pattern);
  if (match === null || (match[1] === undefined && match[2] === undefined)) return [];
  const named = match[1];
  const disks =
    named === undefined
      ? [world.disk(context.get("root"))]
      : /[*?]/.test(named)
        ? world.disks.filter(({ name }) => matchesName(named, name))
        : [world.disk(named)];
  const found: string[] = [];
  for (const disk of disks) {
    if (disk === undefined) continue;
    let paths = [""];
    for (const part of (match[2] ?? "").split("/").filter((one) => one !== "")) {
      const next: string[] = [];
      for (const path of paths) {
        if (!/[*?]/.test(part)) next.push(`${path}/${part}`);
        else {
          const names = await world.list(disk, path === "" ? "/" : path);
          tally.countCommands(1 + (names.length >> 4), `more than ${tally.limits.commands} commands and names of files`);
          next.push(...names.filter((name) => matchesName(part, name)).map((name) => `${path}/${name}`));
        }
      }
      paths = next.slice(0, GLOB_PATHS_MAX);
    }
    for (const path of paths) {
      if (path === "" || (await world.kind(disk, path)) !== undefined) found.push(`${named === undefined ? "" : `(${disk.name})`}${path}`);
    }
  }
  return found.sort();
}
