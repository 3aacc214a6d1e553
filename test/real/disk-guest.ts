/** A disk that is ours from its first block to its last, started by a real GRUB, mounted by a real Linux; and what the two say of it. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, openFileStore, windowStore } from "../../src/disk/block-store.ts";
import { type GptTable, type PartitionWish, planGpt } from "../../src/disk/partitions/gpt-layout.ts";
import { writeGpt } from "../../src/disk/partitions/gpt-writer.ts";
import type { Volume } from "../../src/disk/volume.ts";
import { grubWord } from "../../src/formats/escape-grub.ts";
import { systemClock } from "../../src/host/clock.ts";
import { defaultStore } from "../../src/live/demo.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { Store } from "../../src/live/store.ts";
import type { DirectKernel } from "../../src/machine/plan.ts";
import { type Disk, standardParts } from "../../src/machine/plan-parts.ts";
import { recordMachine } from "../../src/session/new-recording.ts";
import { fsckExfat, fsckFat, sgdiskSays, withFile } from "../disk/file-systems.ts";
import { Model, nextOperation, randomOf, step } from "../disk/volume-model.ts";
import { onlySession, type RecordedSession } from "./harness.ts";

const PLAN = fileURLToPath(new URL("plans/disk-guest.yaml", import.meta.url));
const GRUB = "/usr/lib/grub";

export interface GuestFiles {
  readonly kernel: Uint8Array;
  readonly initrd: Uint8Array;
}

/** Builds them, or takes what is kept. */
export async function guestFiles(): Promise<GuestFiles> {
  const store = defaultStore(process.env);
  const { output, stages } = await buildPlan(PLAN, { store, env: process.env, set: {} }, quietJob);
  const kernel = stages.find(({ name }) => name === "kernel")!.hash;
  return { kernel: await readFile(join((await Store.open(store, process.env)).pathOf(kernel), "vmlinuz")), initrd: await readFile(output) };
}

const guid = (number: number): string => `0d15c0de-0000-4000-8000-${number.toString(16).padStart(12, "0")}`;
export const TYPES = {
  biosBoot: "21686148-6449-6e6f-744e-656564454649",
  efiSystem: "c12a7328-f81f-11d2-ba4b-00a0c93ec93b",
  data: "ebd0a0a2-b9e5-4433-87c0-68b6b72699c7",
} as const;

export interface GuestPartition {
  readonly name: string;
  readonly typeGuid: string;
  readonly megabytes: number;
}

/** A disk in a file; partitions are counted from 1. */
export interface GuestDisk extends AsyncDisposable {
  readonly path: string;
  readonly table: GptTable;
  readonly partition: (number: number) => BlockStore;
}

/** Made with a partition table of ours. */
export async function makeDisk(path: string, partitions: readonly GuestPartition[]): Promise<GuestDisk> {
  const megabytes = partitions.reduce((sum, partition) => sum + partition.megabytes, 2);
  writeFileSync(path, "");
  truncateSync(path, megabytes * 2 ** 20);
  const disk = await openDisk(path, partitions);
  await using store = await openFileStore(path);
  await writeGpt(store, disk.table);
  return disk;
}

/** One that was made so, by us or another: partitions one behind the other at whole MiB. */
export async function openDisk(path: string, partitions: readonly GuestPartition[]): Promise<GuestDisk> {
  const disk = await openFileStore(path);
  const wishes: PartitionWish[] = partitions.map(({ name, typeGuid, megabytes }, index) => ({
    typeGuid,
    guid: guid(index + 1),
    name,
    size: BigInt(megabytes) << 20n,
  }));
  const table = planGpt({ sizeBytes: disk.sizeBytes, sectorBytes: 512, diskGuid: guid(0) }, wishes);
  return {
    path,
    table,
    partition: (number) => {
      const { firstLba, lastLba } = table.partitions[number - 1]!;
      return windowStore(disk, firstLba * 512n, (lastLba - firstLba + 1n) * 512n);
    },
    [Symbol.asyncDispose]: async () => {
      await disk.flush();
      await disk[Symbol.asyncDispose]();
    },
  };
}

/** GRUB for a BIOS: its core in a partition of its own, found by boot code in the first block; `script` is what it runs first. */
export async function installBiosGrub(disk: GuestDisk, partition: number, script: string, modules: readonly string[]): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-grub-"));
  try {
    const core = grubImage(folder, "i386-pc", script, modules);
    const start = disk.table.partitions[partition - 1]!.firstLba;
    const view = new DataView(core.buffer, core.byteOffset);
    // The last list of blocks of the core's first sector (grub/i386/pc/boot.h): where the rest of it lies.
    view.setBigUint64(512 - 12, start + 1n, true);
    view.setUint16(512 - 4, Math.ceil(core.length / 512) - 1, true);
    const padded = new Uint8Array(Math.ceil(core.length / 512) * 512);
    padded.set(core);
    await disk.partition(partition).write(0n, padded);
    const boot = new Uint8Array(readFileSync(join(GRUB, "i386-pc/boot.img")));
    new DataView(boot.buffer).setBigUint64(0x5c, start, true);
    boot.set([0x90, 0x90], 0x66); // a disk, not a floppy: no jump around the check of the drive's number
    await using store = await openFileStore(disk.path);
    await writeGpt(store, disk.table, boot.subarray(0, 440));
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** GRUB for UEFI, to be put into a system partition. */
export function efiGrub(script: string, modules: readonly string[]): Uint8Array {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-grub-"));
  try {
    return grubImage(folder, "x86_64-efi", script, modules);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function grubImage(folder: string, format: string, script: string, modules: readonly string[]): Uint8Array {
  const config = join(folder, "early.cfg");
  writeFileSync(config, script);
  const image = join(folder, "core.img");
  const words = ["--format", format, "--directory", join(GRUB, format), "--prefix", "/boot/grub", "--config", config, "--output", image];
  execFileSync("grub-mkimage", [...words, ...(format === "i386-pc" ? ["biosdisk"] : []), ...modules]);
  return new Uint8Array(readFileSync(image));
}

export interface GuestBoot {
  readonly path: string;
  readonly logs: string;
  readonly firmware?: "bios" | "uefi";
  /** Started by QEMU itself; undefined: the firmware starts the disk. */
  readonly kernel?: DirectKernel;
}

/** Boots it until Linux says that it is done, and reads the session. */
export async function bootDisk({ path, logs, firmware = "bios", kernel }: GuestBoot): Promise<RecordedSession> {
  const disk: Disk = { path, bus: firmware === "bios" ? "ide" : "virtio", writable: true };
  await recordMachine(
    {
      parts: { ...standardParts, memoryMb: 512, firmware, kernel, disks: [disk], stopOnReset: true },
      logDir: logs,
      goal: "text:guest: all is told and unmounted",
    },
    { env: process.env, clock: systemClock, job: quietJob, onEvent: () => {} },
  );
  return onlySession(logs);
}

/** All of a volume as the guest's lines tell it: folders, and files by their SHA-256. */
export async function toldBy(volume: Volume): Promise<string[]> {
  const lines: string[] = [];
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const { name, kind } of volume.list(folder === "" ? "/" : folder)) {
      const path = `${folder}/${name}`;
      if (kind === "directory") {
        folders.push(path);
        lines.push(`folder .${path}`);
        continue;
      }
      const hash = createHash("sha256");
      for await (const piece of volume.read(path)) hash.update(piece);
      lines.push(`file ${hash.digest("hex")}  .${path}`);
    }
  }
  return lines.sort();
}

/** What sgdisk, fsck.exfat and fsck.fat have against the disk. Empty: nothing. */
export async function foreignComplaints(disk: GuestDisk): Promise<readonly string[]> {
  const complaints = [sgdiskSays(disk.path)];
  for (const [index, { typeGuid }] of disk.table.partitions.entries()) {
    if (typeGuid === TYPES.biosBoot.toUpperCase()) continue;
    const store = disk.partition(index + 1);
    const bytes = await store.read(0n, Number(store.sizeBytes));
    const isExfat = Buffer.from(bytes.subarray(3, 8)).toString() === "EXFAT";
    complaints.push(await withFile(bytes, isExfat ? fsckExfat : fsckFat));
  }
  return complaints.filter((complaint) => complaint !== undefined);
}

/** The lines of one partition, `before` or `after` the guest changed it. */
export const guestLines = (serial: string, partition: number, when: "before" | "after"): string[] =>
  serial
    .split(/\r?\n/)
    .filter((line) => line.startsWith(`guest ${partition} ${when} `))
    .map((line) => line.slice(`guest ${partition} ${when} `.length))
    .sort();

export const GRUB_MODULES = [
  "part_gpt",
  "fat",
  "exfat",
  "ls",
  "cat",
  "echo",
  "hashsum",
  "gcry_sha256",
  "linux",
  "serial",
  "terminal",
  "normal",
  "boot",
];

export async function putFile(volume: Volume, path: string, content: Uint8Array): Promise<void> {
  await volume.write(path, [content], { sizeBytes: BigInt(content.length), modifiedMs: Date.UTC(2026, 10, 21), replace: true }, quietJob);
}

/** What the guest's `change` works on, and files that GRUB is asked for. */
export async function fillForGuest(volume: Volume): Promise<void> {
  await volume.makeDirectory("/remove me", 0);
  await putFile(volume, "/remove me/a", new Uint8Array(30_000).fill(1));
  await putFile(volume, "/rename me", Buffer.from("renamed by Linux\n"));
  await putFile(volume, "/append to me", Buffer.from("hiperiso wrote this\n"));
  await putFile(volume, "/overwrite me", new Uint8Array(10_000).fill(0x55));
}

/** Leaves on it what some random operations leave: names of all kinds, holes, files in pieces. */
export async function ageVolume(volume: Volume, seed: number): Promise<void> {
  const model = new Model();
  const random = randomOf(seed);
  const limits = { fileBytesMax: 300_000, dataBytesMax: 4_000_000, entriesMax: 80, rootEntriesMax: 20 };
  for (let number = 0; number < 150; number += 1) {
    const operation = nextOperation(model, random, limits);
    if (operation.kind !== "fill" && operation.kind !== "label") await step(volume, model, random, operation);
  }
}

/** What GRUB runs first; all else is read from a partition of the disk. */
export const earlyScript = (partition: number): string => `serial --unit=0 --speed=115200
terminal_output serial
terminal_input serial
normal (hd0,gpt${partition})/boot/grub.cfg
`;

/** Has GRUB list the roots and reckon the sums of all files, and start Linux from `partition`. `told`: by partition, as `toldBy` gives it. */
export function grubScript(partition: number, told: Readonly<Record<number, readonly string[]>>, append: string): string {
  const lines = Object.entries(told).flatMap(([number, all]) => [
    `ls -l (hd0,gpt${number})/`,
    ...all
      .filter((line) => line.startsWith("file "))
      .flatMap((line) => [`echo "grub ${number}:"`, `sha256sum ${grubWord(`(hd0,gpt${number})${line.slice(5 + 64 + 3)}`)}`]),
  ]);
  return [
    ...lines,
    `linux (hd0,gpt${partition})/boot/vmlinuz console=ttyS0 quiet loglevel=1 panic=-1 ${append}`,
    `initrd (hd0,gpt${partition})/boot/initrd`,
    "boot",
    "",
  ].join("\n");
}

/** The sums that GRUB printed for a partition, in its order. */
export const grubSums = (serial: string, partition: number): string[] =>
  [...serial.matchAll(new RegExp(`grub ${partition}:[\\r\\n]+([0-9a-f]{64})\\b`, "g"))].map(([, sum]) => sum!);
