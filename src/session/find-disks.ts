/** From the disks that a person asks for to disks whose files are known, and found to be such that a guest can be given them. */
import { constants } from "node:fs";
import { access, lstat, stat } from "node:fs/promises";
import { dirname, resolve } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { type OpenDisk, openDisk } from "../image/disk-source.ts";
import type { DiskWish } from "../machine/disk-wish.ts";
import type { DiskToAttach } from "../machine/drives.ts";

/** Throws (kind `usage`) where a file is not there, is none, leans on what it may not, or where a new one would stand on something. */
export async function findDisks(
  wishes: readonly DiskWish[],
  backingAnywhere: boolean,
  signal: AbortSignal,
): Promise<readonly DiskToAttach[]> {
  const disks: DiskToAttach[] = [];
  for (const [index, wish] of wishes.entries()) {
    disks.push(wish.sizeBytes === undefined ? await findDisk(wish, backingAnywhere, signal) : await newDisk(wish, wish.sizeBytes, index));
  }
  return disks;
}

async function findDisk({ path = "", bus, keep, format }: DiskWish, backingAnywhere: boolean, signal: AbortSignal): Promise<DiskToAttach> {
  const absolute = resolve(path);
  await using disk = await openDisk(absolute, { format, backingAnywhere }, signal);
  const { files } = disk;
  if (keep) await checkKeepable(absolute, files.blockDevice);
  const lean = files.backing.length === 0 ? "" : ` above ${files.backing.length} more`;
  return {
    ...files,
    bus,
    writable: keep,
    isNew: false,
    sizeBytes: sizeOfDisk(disk),
    because: `--disk: ${files.format}${lean}, ${keep ? "what the guest writes is kept" : "what the guest writes is thrown away"}`,
  };
}

/** Where only QEMU knows the size, the file's own has to do: nothing but an SD card's overlay asks for it. */
export const sizeOfDisk = ({ content, fileBytes }: OpenDisk): bigint => ("source" in content ? content.source.sizeBytes : fileBytes);

async function checkKeepable(path: string, blockDevice: boolean): Promise<void> {
  const refuse = (expected: string, found: string, cause?: unknown) =>
    new HiperisoError({
      what: "let the guest write to a disk",
      where: path,
      expected,
      found,
      hint: "Without `keep` the guest writes into a throw-away overlay.",
      kind: "usage",
      cause,
    });
  if (blockDevice) throw refuse("a file: this computer's own disks are not for a guest", "a block device");
  await access(path, constants.W_OK).catch((error: unknown) => {
    throw refuse("a file that can be written", reasonOf(error), error);
  });
}

async function newDisk({ path, bus, format = "qcow2" }: DiskWish, sizeBytes: bigint, index: number): Promise<DiskToAttach> {
  if (path !== undefined) await checkFreePlace(resolve(path));
  return {
    path: path === undefined ? `disk${index}.${format === "raw" ? "img" : format}` : resolve(path),
    blockDevice: false,
    format,
    backing: [],
    sizeBytes,
    bus,
    writable: true,
    isNew: true,
    because: `--disk: new and empty, kept ${path === undefined ? "in the session" : "where it was asked for"}`,
  };
}

async function checkFreePlace(path: string): Promise<void> {
  const refuse = (expected: string, found: string, hint: string) =>
    new HiperisoError({ what: "make a new disk", where: path, expected, found, hint, kind: "usage" });
  if ((await lstat(path).catch(() => undefined)) !== undefined) {
    throw refuse("a name that is free", "something stands there", `--disk ${printable(path)},keep takes the file as it is.`);
  }
  const folder = await stat(dirname(path)).catch(() => undefined);
  if (folder?.isDirectory() !== true) throw refuse("a folder that is there", `none: ${printable(dirname(path))}`, "Make it first.");
}
