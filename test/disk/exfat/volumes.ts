/** exFAT volumes for tests, what is on them, and the foreign tools that judge them. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Job, quietJob, silentProgress } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore, sparseStore } from "../../../src/disk/block-store.ts";
import type { ExfatOptions } from "../../../src/disk/exfat/layout.ts";
import { makeExfat } from "../../../src/disk/exfat/make.ts";
import { openExfat } from "../../../src/disk/exfat/volume.ts";
import type { Volume } from "../../../src/disk/volume.ts";
import { decodeExfatBootSector } from "../../../src/formats/exfat-boot.ts";
import { encodeFileSet, NO_ALLOCATION } from "../../../src/formats/exfat-entries.ts";
import { recommendedUpcaseTable } from "../../../src/formats/exfat-upcase.ts";

export const TIME_MS = Date.UTC(2026, 10, 21, 11, 30, 2);
export const hasExfatprogs = spawnSync("fsck.exfat", ["-V"]).error === undefined;

/** An empty volume in memory. */
export async function freshVolume(megabytes: number, options: Partial<ExfatOptions> = {}, sectorBytes = 512): Promise<Uint8Array> {
  const bytes = new Uint8Array(megabytes << 20);
  await makeExfat(memoryStore(bytes, sectorBytes), { serial: 0x1234abcd, label: "TEST", ...options }, quietJob);
  return bytes;
}

/** A job that keeps what it is warned of. */
export function listeningJob(): Job & { readonly warnings: string[] } {
  const warnings: string[] = [];
  return { ...quietJob, warnings, progress: { ...silentProgress, warn: (line) => warnings.push(line) } };
}

/** Opens the volume in `bytes`, changes it, closes it. */
export async function changed(bytes: Uint8Array, change: (volume: Volume) => Promise<void>, sectorBytes = 512): Promise<Uint8Array> {
  await using volume = await openExfat(memoryStore(bytes, sectorBytes), {}, quietJob);
  await change(volume);
  return bytes;
}

export async function put(volume: Volume, path: string, content: string | Uint8Array, replace = false): Promise<void> {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  await volume.write(path, [bytes], { sizeBytes: BigInt(bytes.length), modifiedMs: TIME_MS, replace }, quietJob);
}

export async function contentOf(volume: Volume, path: string, offset?: bigint, lengthBytes?: bigint): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  const range = offset === undefined || lengthBytes === undefined ? undefined : { offset, lengthBytes };
  for await (const piece of volume.read(path, range)) pieces.push(piece);
  return Buffer.concat(pieces);
}

export async function namesIn(volume: Volume, path: string): Promise<string[]> {
  const names: string[] = [];
  for await (const entry of volume.list(path)) names.push(entry.name);
  return names;
}

/** Every file by its path, with its content as text of base 64; folders with null. */
export async function treeOf(store: BlockStore): Promise<Map<string, string | null>> {
  const volume = await openExfat(store, { readOnly: true }, quietJob);
  const tree = new Map<string, string | null>();
  const visit = async (folder: string): Promise<void> => {
    for await (const entry of volume.list(folder === "" ? "/" : folder)) {
      const path = `${folder}/${entry.name}`;
      if (entry.kind === "directory") {
        tree.set(path, null);
        await visit(path);
      } else tree.set(path, (await contentOf(volume, path)).toString("base64"));
    }
  };
  await visit("");
  return tree;
}

/** A volume whose root, one cluster, is filled with entries of one name. */
export async function folderOfOneName(clusterBytes: number): Promise<BlockStore> {
  const store = sparseStore(BigInt(clusterBytes) * 32n);
  await makeExfat(store, { serial: 1, clusterBytes }, quietJob);
  const boot = decodeExfatBootSector(await store.read(0n, 512), store.name);
  const set = encodeFileSet({ name: "same", directory: false, timeMs: TIME_MS, allocation: NO_ALLOCATION }, recommendedUpcaseTable());
  const sets = new Uint8Array(clusterBytes - set.length);
  for (let at = 0; at + set.length <= sets.length; at += set.length) sets.set(set, at);
  // Behind the three entries of the root's own.
  await store.write((BigInt(boot.heapSector) << 9n) + BigInt(boot.rootCluster - 2) * BigInt(clusterBytes) + 96n, sets);
  return store;
}

/** Pseudo-random bytes: the same for the same seed. */
export function bytesOf(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  let state = seed >>> 0 || 1;
  for (let at = 0; at < length; at += 1) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    bytes[at] = state >>> 24;
  }
  return bytes;
}

/** Numbers from 0 to `below`, the same for the same seed. */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0 || 1;
  return (below) => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

/** What `fsck.exfat -n` says of a volume: exit status 0 and the word clean, or all its words. */
export function fsckSays(bytes: Uint8Array): string {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-exfat-"));
  try {
    const image = join(folder, "volume.img");
    writeFileSync(image, bytes);
    const { status, stdout, stderr } = spawnSync("fsck.exfat", ["-n", image], { encoding: "utf8" });
    return status === 0 && /: clean\./.test(stdout) ? "clean" : `${status}: ${stdout}${stderr}`;
  } finally {
    rmSync(folder, { recursive: true });
  }
}
