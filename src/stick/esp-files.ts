/** What stands on a stick's EFI system partition, as a value: paths and where their bytes come from. */
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { STICK_ESP } from "../contract/stick.ts";
import { longNameFault } from "../formats/fat-names.ts";

export interface EspFile {
  /** From the ESP's root, starting with `/`. */
  readonly path: string;
  readonly from: Uint8Array | { readonly file: string };
  /** Made from the images and the configuration, and made anew when they change. */
  readonly generated?: boolean;
}

/** What boots: loader, kernel, initramfs, squashfs. Whoever builds it gives this; it knows nothing of a stick's images. */
export interface StickRuntime {
  readonly files: readonly EspFile[];
}

const DEPTH_MAX = 16;
const FILES_MAX = 1000;

/** A folder laid out as the ESP shall be. Links are followed, as they are when the files are read. Throws HiperisoError of kind `usage`. */
export async function readRuntimeFolder(folder: string): Promise<StickRuntime> {
  const files: EspFile[] = [];
  const bad = (where: string, found: string) => new HiperisoError({ what: "read the stick's runtime", where, found, kind: "usage" });
  const visit = async (path: string, depth: number): Promise<void> => {
    if (depth > DEPTH_MAX) throw bad(join(folder, path), `more than ${DEPTH_MAX} folders in each other`);
    const names = await readdir(join(folder, path)).catch((cause: unknown) => {
      throw bad(join(folder, path), reasonOf(cause));
    });
    for (const name of names.sort()) {
      const fault = longNameFault(name);
      if (fault !== undefined) throw bad(join(folder, path, name), `a name that FAT cannot hold: ${fault}`);
      const there = await stat(join(folder, path, name)).catch((cause: unknown) => {
        throw bad(join(folder, path, name), reasonOf(cause));
      });
      if (there.isDirectory()) await visit(`${path}/${name}`, depth + 1);
      else if (there.isFile()) files.push({ path: `${path}/${name}`, from: { file: join(folder, path, name) } });
      else throw bad(join(folder, path, name), "neither a file nor a folder");
      if (files.length > FILES_MAX) throw bad(folder, `more than ${FILES_MAX} files`);
    }
  };
  await visit("", 0);
  return { files };
}

export async function sizeOfEspFile({ from, path }: EspFile): Promise<bigint> {
  if (from instanceof Uint8Array) return BigInt(from.length);
  const there = await stat(from.file, { bigint: true }).catch((cause: unknown) => {
    throw new HiperisoError({ what: "read a file of the stick's runtime", where: from.file, found: reasonOf(cause), kind: "usage", cause });
  });
  if (there.isFile()) return there.size;
  throw new HiperisoError({ what: "read a file of the stick's runtime", where: from.file, expected: `a file for ${path}`, kind: "usage" });
}

export const contentOfEspFile = ({ from }: EspFile): AsyncIterable<Uint8Array> | Iterable<Uint8Array> =>
  from instanceof Uint8Array ? [from] : (createReadStream(from.file, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>);

/**
 * In the order in which they are written: what starts the computer comes last, so that of a partition that was cut off while it was written
 * nothing starts. The later of two files of one path, in upper or lower case, is the one that counts.
 */
export function orderedEspFiles(files: readonly EspFile[]): readonly EspFile[] {
  const byName = new Map<string, EspFile>();
  for (const file of files) byName.set(file.path.toUpperCase(), file);
  const rank = ({ path }: EspFile) => (path.toUpperCase() === STICK_ESP.loader ? 1 : 0);
  return [...byName.values()].sort((a, b) => rank(a) - rank(b) || (a.path < b.path ? -1 : 1));
}
