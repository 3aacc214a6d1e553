/** A stick in memory, and images for it on this computer. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, sparseStore } from "../../src/disk/block-store.ts";
import { openExfat } from "../../src/disk/exfat/volume.ts";
import { seededIds } from "../../src/disk/ids.ts";
import { planNewStick, writeStick } from "../../src/stick/create.ts";
import { type StickData, volumeData } from "../../src/stick/data.ts";
import type { EspFile } from "../../src/stick/esp-files.ts";
import { type ImageSource, readImageSources } from "../../src/stick/image-sources.ts";
import { openStick } from "../../src/stick/open-stick.ts";

export const MIB = 1 << 20;
export const NOW_MS = Date.UTC(2026, 10, 21, 9);

export const ESP_FILES: readonly EspFile[] = [
  { path: "/EFI/BOOT/BOOTX64.EFI", from: Buffer.from("loader") },
  { path: "/EFI/hiperiso/vmlinuz", from: Buffer.from("kernel".repeat(1000)) },
  { path: "/EFI/BOOT/grub.cfg", from: Buffer.from("menu"), generated: true },
];

export async function memoryStick(images: readonly ImageSource[] = [], megabytes = 96): Promise<BlockStore> {
  const medium = sparseStore(BigInt(megabytes * MIB), { name: "stick.img" });
  const wish = {
    sizeBytes: medium.sizeBytes,
    sectorBytes: 512 as const,
    ids: seededIds("x"),
    images,
    allowDamaged: false,
    espFiles: ESP_FILES,
    config: Buffer.from("{}\n"),
    timeMs: NOW_MS,
    fixedTimes: false,
    version: "1.0.0",
  };
  await writeStick(medium, await planNewStick(wish, quietJob), { isDevice: false }, quietJob);
  return medium;
}

export async function onData<T>(medium: BlockStore, use: (data: StickData) => Promise<T>): Promise<T> {
  const { dataStore } = await openStick(medium);
  await using volume = await openExfat(dataStore, {}, quietJob);
  return await use(volumeData(volume, dataStore));
}

export class ImageFolder implements Disposable {
  readonly path = mkdtempSync(join(tmpdir(), "hiperiso-images-"));

  async image(name: string, content: Uint8Array | string): Promise<ImageSource> {
    writeFileSync(join(this.path, name), content);
    const [source] = await readImageSources({ names: [join(this.path, name)], into: "/ISOs", sums: undefined }, quietJob.signal);
    return source!;
  }

  [Symbol.dispose](): void {
    rmSync(this.path, { recursive: true });
  }
}
