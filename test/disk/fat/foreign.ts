/** Volumes of mkfs.fat that we and mtools change in turns. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { memoryStore } from "../../../src/disk/block-store.ts";
import { checkFat } from "../../../src/disk/fat/check.ts";
import { bytesOf, randomOf } from "../exfat/volumes.ts";
import { changed, contentOf, fsckSays, mkfs, mtools, mtoolsContent, namesIn, put } from "./volumes.ts";

export interface Foreign {
  readonly name: string;
  readonly bytes: number;
  readonly options: readonly string[];
  readonly sectorBytes?: number;
  readonly quick?: boolean;
}

const KIB = 1024;

export const FOREIGN: readonly Foreign[] = [
  { name: "FAT12, clusters of 512", bytes: 1440 * KIB, options: ["-F", "12", "-s", "1"], quick: true },
  { name: "FAT12, clusters of 8192, one FAT", bytes: 4096 * KIB, options: ["-F", "12", "-s", "16", "-f", "1"], quick: true },
  { name: "FAT16, clusters of 512", bytes: 8192 * KIB, options: ["-F", "16", "-s", "1"] },
  {
    name: "FAT16, clusters of 4096, 32 reserved sectors, 112 entries of the root",
    bytes: 32_768 * KIB,
    options: ["-F", "16", "-s", "8", "-R", "32", "-r", "112"],
  },
  { name: "FAT16 that starts at sector 2048", bytes: 8192 * KIB, options: ["-F", "16", "-s", "2", "-h", "2048"], quick: true },
  { name: "FAT16, sectors of 4096", bytes: 32_768 * KIB, options: ["-F", "16", "-S", "4096", "-s", "1"], sectorBytes: 4096 },
  { name: "FAT32, clusters of 512", bytes: 34_816 * KIB, options: ["-F", "32", "-s", "1"], quick: true },
  { name: "FAT32, clusters of 4096", bytes: 300 * KIB * KIB, options: ["-F", "32", "-s", "8"] },
];

export async function takeTurns({ bytes, options, sectorBytes = 512 }: Foreign, rounds: number): Promise<void> {
  const volume = mkfs(bytes, "-n", "FOREIGN", ...options);
  const random = randomOf(bytes + options.length);
  const known = new Map<string, Uint8Array>();
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-fat-"));
  try {
    mtools(volume, "mmd", "::/from mtools");
    for (let round = 0; round < rounds; round += 1) {
      const path = `/from mtools/their file ${round} of many.bin`;
      const content = bytesOf(round + 1, 1 + random(20_000));
      writeFileSync(join(folder, "content"), content);
      mtools(volume, "mcopy", join(folder, "content"), `::${path}`);
      known.set(path, content);
      await changed(
        volume,
        async (open) => {
          expect(open.label).toBe("FOREIGN");
          for (const [name, wanted] of known) expect((await contentOf(open, name)).equals(wanted)).toBe(true);
          const ours = `/from mtools/our file ${round}`;
          known.set(ours, bytesOf(round + 100, random(20_000)));
          await put(open, ours, known.get(ours)!);
          if (round === 0) await open.rename(path, "/A moved file");
          if (round === 1) await open.remove(path);
        },
        sectorBytes,
      );
      if (round === 0) known.set("/A moved file", content);
      if (round <= 1) known.delete(path);
      for (const [name, wanted] of known) expect(mtoolsContent(volume, name).equals(wanted), name).toBe(true);
      expect(fsckSays(volume)).toBe("clean");
      expect((await checkFat(memoryStore(volume, sectorBytes), quietJob)).problems).toEqual([]);
    }
    mtools(volume, "mdeltree", "::/from mtools");
    mtools(volume, "mlabel", "::RENAMED");
    await changed(
      volume,
      async (open) => expect([open.label, await namesIn(open, "/")]).toEqual(["RENAMED", ["A moved file"]]),
      sectorBytes,
    );
    expect(fsckSays(volume)).toBe("clean");
  } finally {
    rmSync(folder, { recursive: true });
  }
}
