/** Disk images in a folder of their own, made by foreign tools or by us, for tests of whatever looks into disks. */
import { execFileSync, spawnSync } from "node:child_process";
import { closeSync, ftruncateSync, openSync, readFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, openFileStore, windowStore } from "../../src/disk/block-store.ts";
import { makeExfat } from "../../src/disk/exfat/make.ts";
import { makeFat } from "../../src/disk/fat/make.ts";
import { seededIds } from "../../src/disk/ids.ts";
import { planGpt } from "../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../src/disk/partitions/gpt-writer.ts";

export const MIB = 1 << 20;
export const DATA_TYPE = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";

export const hasTool = (name: string): boolean => spawnSync(name, ["--version"], { stdio: "ignore" }).error === undefined;

/** A sparse file of zeros. */
export function blankImage(path: string, bytes: number): string {
  const file = openSync(path, "w");
  ftruncateSync(file, bytes);
  closeSync(file);
  return path;
}

/** Runs a tool that has to succeed. */
export const ran = (tool: string, ...words: string[]): string =>
  execFileSync(tool, words, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"], cwd: tmpdir() });

/** Puts a file's bytes into an image, from `offset` on. */
export function putInto(image: string, offset: number, bytes: Uint8Array): void {
  const file = openSync(image, "r+");
  writeSync(file, bytes, 0, bytes.length, offset);
  closeSync(file);
}

/** A GPT with an exFAT volume of 8 MiB, DATA, and a FAT16 one of 6 MiB, EFI; 16 MiB in all. */
export async function stickImage(path: string): Promise<string> {
  blankImage(path, 16 * MIB);
  await using store = await openFileStore(path);
  const ids = seededIds(path.replace(/^.*\//, ""));
  const table = planGpt({ sizeBytes: store.sizeBytes, sectorBytes: 512, diskGuid: ids.guid() }, [
    { typeGuid: DATA_TYPE, guid: ids.guid(), name: "DATA", size: BigInt(8 * MIB) },
    { typeGuid: DATA_TYPE, guid: ids.guid(), name: "EFI", size: BigInt(6 * MIB), attributes: 1n << 63n },
  ]);
  await writeGpt(store, table);
  const [data, efi] = table.partitions.map(({ firstLba, lastLba }): BlockStore => windowStore(store, firstLba * 512n, (lastLba - firstLba + 1n) * 512n)); // biome-ignore format: one thought
  await makeExfat(data!, { label: "DATA", serial: 0x1234abcd, partitionOffset: 1n << 20n }, quietJob);
  await makeFat(efi!, { label: "EFI", serial: 0x42, bits: 16 }, quietJob);
  return path;
}

/** Bytes of an image, for tools that take a partition as a file of its own. */
export const bytesOf = (image: string, offset: number, length: number): Uint8Array => readFileSync(image).subarray(offset, offset + length);
