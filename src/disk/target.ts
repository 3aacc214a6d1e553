/**
 * How a person names a place on a disk: `IMAGE-OR-DEVICE[:PARTITION][/PATH]`.
 *
 *   stick.img              the image, or the volume that fills it
 *   stick.img/ISOs         a folder on the volume that fills the image
 *   stick.img:1/ISOs/x     a file on its first partition
 *   /dev/sdb:2             a partition of a disk
 *
 * Names of files may hold `:` and `/` themselves: the longest beginning that is a file or a device is the medium.
 */
import type { Stats } from "node:fs";
import { stat } from "node:fs/promises";
import { posix } from "node:path";
import { HiperisoError } from "../contract/error.ts";

export interface DiskTarget {
  /** As it was written. */
  readonly text: string;
  /** Of the image or device, as it was written. */
  readonly medium: string;
  readonly isDevice: boolean;
  /** From 1; undefined: the whole medium. */
  readonly partition: number | undefined;
  /** From the volume's root, starting with `/` and without one at its end; undefined where none was written. */
  readonly path: string | undefined;
  /** It was written with a `/` at its end: what is meant is a folder. */
  readonly endsWithSlash: boolean;
}

export type FoundMedium = "file" | "device" | "folder" | undefined;

/** Throws HiperisoError of kind `usage` where no beginning of `text` is a file or a device, or what follows it is none of the forms above. */
export async function readTarget(text: string): Promise<DiskTarget> {
  const target = await findTarget(text);
  if (target !== undefined) return target;
  const kind = await mediumAt(text);
  throw new HiperisoError({
    what: "find the image or disk",
    where: text,
    expected: "an image or a disk, and behind it :PARTITION, /PATH or both",
    found: kind === "folder" ? "a folder of this computer" : "no such file",
    kind: "usage",
  });
}

/** The same; undefined where no beginning of `text` is a file or a device: it is then a path of this computer, if anything. */
export async function findTarget(text: string, look: (path: string) => Promise<FoundMedium> = mediumAt): Promise<DiskTarget | undefined> {
  for (let end = text.length; end > 0; end -= 1) {
    if (end < text.length && text[end] !== ":" && text[end] !== "/") continue;
    const medium = text.slice(0, end);
    const found = medium.endsWith("/") ? undefined : await look(medium);
    if (found === "file" || found === "device") return decodeRest(text, medium, found === "device");
  }
  return undefined;
}

const PARTITION_MAX = 65_535;

function decodeRest(text: string, medium: string, isDevice: boolean): DiskTarget {
  const rest = text.slice(medium.length);
  const bad = (expected: string, found: string) =>
    new HiperisoError({ what: "understand what is meant", where: text, expected, found, kind: "usage" });
  // Errors write "stick.img:1:/ISOs": what was copied from there is understood.
  const parts = /^(?::(\d+))?(?::(?=\/))?(\/.*)?$/s.exec(rest);
  if (parts === null) throw bad(`behind ${medium}: the number of a partition, and a path that starts with /`, rest);
  const [, digits, path] = parts;
  const partition = digits === undefined ? undefined : Number(digits);
  if (partition !== undefined && (partition < 1 || partition > PARTITION_MAX)) throw bad(`a partition from 1 to ${PARTITION_MAX}`, digits!);
  if (path?.includes("\0") === true) throw bad("a path without NUL characters", "one with them");
  return { text, medium, isDevice, partition, path: path === undefined ? undefined : tidied(path), endsWithSlash: rest.endsWith("/") };
}

function tidied(path: string): string {
  const normal = posix.normalize(path);
  return normal.length > 1 && normal.endsWith("/") ? normal.slice(0, -1) : normal;
}

async function mediumAt(path: string): Promise<FoundMedium> {
  let found: Stats;
  try {
    found = await stat(path);
  } catch {
    return undefined; // what is wrong with it is told by whoever opens it
  }
  if (found.isBlockDevice()) return "device";
  return found.isDirectory() ? "folder" : found.isFile() ? "file" : undefined;
}
