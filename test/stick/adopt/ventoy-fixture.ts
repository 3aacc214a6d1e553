/**
 * A stick laid out as Ventoy lays one out, written by our own disk code: the partitions' places and sizes, names, types, attributes and labels, the marks in
 * front of the first partition, and the files that its own loader asks for. Nothing of Ventoy itself is in it.
 */
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, sparseStore } from "../../../src/disk/block-store.ts";
import { makeExfat } from "../../../src/disk/exfat/make.ts";
import { makeFat } from "../../../src/disk/fat/make.ts";
import { openVolume } from "../../../src/disk/open-volume.ts";
import type { GptTable } from "../../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../../src/disk/partitions/gpt-writer.ts";
import { planMbr } from "../../../src/disk/partitions/mbr-layout.ts";
import { writeMbr } from "../../../src/disk/partitions/mbr-table.ts";
import { partitionStore } from "../../../src/stick/volumes.ts";

export type Files = Readonly<Record<string, string | Uint8Array>>;

export interface VentoyFixture {
  readonly sizeBytes?: bigint;
  readonly scheme?: "gpt" | "mbr";
  /** On the first partition. */
  readonly files?: Files;
  /** On the second, beside what is always there. */
  readonly bootFiles?: Files;
  /** Where it is written; a sparse one in memory otherwise. */
  readonly medium?: BlockStore;
  readonly dataFormat?: "exfat" | "fat32";
}

const SECTOR = 512n;
const DATA_START = 2048n;
const BOOT_SECTORS = 65_536n;
const BASIC_DATA = "EBD0A0A2-B9E5-4433-87C0-68B6B72699C7";
export const VENTOY_DISK_GUID = "8D2B6A1C-3C50-4E0B-9A7D-0123456789AB";
export const VENTOY_SIGNATURE = 0x1a2b3c4d;
export const FIXTURE_MS = Date.UTC(2025, 4, 6, 7, 8, 10);

const BOOT_FILES: Files = {
  "/EFI/BOOT/BOOTX64.EFI": "loader",
  "/grub/grub.cfg": "# menu\n",
  "/grub/localboot.cfg": "# local\n",
  "/tool/mount.exfat-fuse_aarch64": "tool",
  "/ventoy/ventoy.cpio": "archive",
};

export async function ventoyStick(wish: VentoyFixture = {}): Promise<BlockStore> {
  const { sizeBytes = 128n << 20n, scheme = "gpt", files = {}, bootFiles = {}, dataFormat = "exfat" } = wish;
  const medium = wish.medium ?? sparseStore(sizeBytes, { name: "ventoy.img" });
  const sectors = medium.sizeBytes / SECTOR;
  // The second partition begins at a multiple of 8 sectors, right behind the first, and leaves room for a GPT's copy in both schemes.
  const bootStart = ((sectors - 33n - BOOT_SECTORS) / 8n) * 8n;
  if (scheme === "gpt") await writeGpt(medium, tableOf(sectors, bootStart), bootCode());
  else {
    const plan = planMbr({ sizeBytes: medium.sizeBytes, sectorBytes: 512, diskSignature: VENTOY_SIGNATURE }, [
      { type: 0x07, active: true, offset: DATA_START * SECTOR, size: (bootStart - DATA_START) * SECTOR },
      { type: 0xef, offset: bootStart * SECTOR, size: BOOT_SECTORS * SECTOR },
    ]);
    await writeMbr(medium, plan, { bootCode: bootCode() });
  }
  // Its start-up code stands between table and first partition.
  await medium.write((scheme === "gpt" ? 34n : 1n) * SECTOR, new Uint8Array(4096).fill(0x90));

  const data = partitionStore(medium, { offset: DATA_START * SECTOR, sizeBytes: (bootStart - DATA_START) * SECTOR }, 1);
  if (dataFormat === "exfat")
    await makeExfat(data, { label: "Ventoy", serial: 0x4e21aa01, clusterBytes: 32_768, partitionOffset: DATA_START * SECTOR }, quietJob);
  else
    await makeFat(
      data,
      { label: "VENTOY", serial: 0x4e21aa01, bits: 32, partitionOffset: DATA_START * SECTOR, timeMs: FIXTURE_MS },
      quietJob,
    );
  const boot = partitionStore(medium, { offset: bootStart * SECTOR, sizeBytes: BOOT_SECTORS * SECTOR }, 2);
  const options = { label: "VTOYEFI", serial: 0x4e21aa02, bits: 16 as const, clusterBytes: 512, timeMs: FIXTURE_MS };
  await makeFat(boot, { ...options, partitionOffset: bootStart * SECTOR }, quietJob);
  await fill(data, files);
  await fill(boot, { ...BOOT_FILES, ...bootFiles });
  await medium.flush();
  return medium;
}

function tableOf(sectors: bigint, bootStart: bigint): GptTable {
  const partition = (number: number, uniqueGuid: string, firstLba: bigint, lastLba: bigint, name: string, attributes: bigint) => ({
    number,
    typeGuid: BASIC_DATA,
    uniqueGuid,
    firstLba,
    lastLba,
    attributes,
    name,
  });
  return {
    sectorBytes: 512,
    diskSectors: sectors,
    diskGuid: VENTOY_DISK_GUID,
    entryCount: 128,
    entryBytes: 128,
    firstUsableLba: 34n,
    lastUsableLba: sectors - 34n,
    partitions: [
      partition(1, "11111111-2222-4333-8444-555555555555", DATA_START, bootStart - 1n, "Ventoy", 0n),
      partition(2, "11111111-2222-4333-8444-666666666666", bootStart, bootStart + BOOT_SECTORS - 1n, "VTOYEFI", 1n << 63n),
    ],
  };
}

/** The bytes that its loader looks for in front of the table; its disk UUID at 384. */
function bootCode(): Uint8Array {
  const code = new Uint8Array(440);
  code.set([0xeb, 0x63, 0x90]);
  code[92] = 0x22;
  code.set(
    Uint8Array.from({ length: 16 }, (_, index) => 0xa0 + index),
    384,
  );
  return code;
}

async function fill(store: BlockStore, files: Files): Promise<void> {
  await using volume = await openVolume(store, { readOnly: false }, quietJob);
  for (const [path, content] of Object.entries(files)) {
    const parts = path.split("/").slice(1, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const folder = `/${parts.slice(0, depth).join("/")}`;
      if ((await volume.stat(folder)) === undefined) await volume.makeDirectory(folder, FIXTURE_MS);
    }
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await volume.write(path, [bytes], { sizeBytes: BigInt(bytes.length), modifiedMs: FIXTURE_MS }, quietJob);
  }
}
