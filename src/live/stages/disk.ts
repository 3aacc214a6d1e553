/** The medium as a disk image: what is written onto a stick or given to a virtual machine, with room for changes that are kept. */
import { createReadStream } from "node:fs";
import { chmod, open, readFile, stat, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { type BlockStore, openFileStore, windowStore } from "../../disk/block-store.ts";
import { makeFat } from "../../disk/fat/make.ts";
import { FILE_BYTES_MAX, openFat } from "../../disk/fat/volume.ts";
import { writeGpt } from "../../disk/partitions/gpt-writer.ts";
import { decodeSize } from "../../disk/partitions/partition-words.ts";
import type { Volume } from "../../disk/volume.ts";
import { contentsOf, mediumContent } from "../medium/content.ts";
import { type ByteSpan, guidOf, placedGrub, planDiskImage } from "../medium/disk-image.ts";
import type { MediumFile } from "../medium/medium-file.ts";
import { checkMedium, MediumOptions } from "../medium/medium-options.ts";
import { sourceFolderDigest } from "../medium/source-folder.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { runTool, toolVersion } from "../tool.ts";

const SIZE = z.string().regex(/^[1-9]\d{0,6}[MGT]$/, "expected a size like 512M or 4G");

const Options = z
  .strictObject({
    ...MediumOptions,
    file: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._-]*\.(img|raw)$/, "expected a name that ends in .img or .raw, of A-Z, a-z, 0-9, dot, _ and -")
      .describe("Name of the image."),
    label: z
      .string()
      .regex(/^[A-Z0-9_-]{1,11}$/, "expected 1 to 11 of A-Z, 0-9, _ and -")
      .default("LIVE")
      .describe("Of the FAT volume."),
    bios: z.enum(["grub", "none"]).default("grub").describe("Boot loader for BIOS."),
    free: SIZE.optional().describe("Room for a person's own files on the FAT volume."),
    persistence: SIZE.optional().describe("Size of a partition on which changes are kept (menu entry `persistence`)."),
  })
  .superRefine(checkMedium);

/** Output: the image, under the name of `file`, and `contents.json`. */
export const diskStage = stageKind({
  kind: "disk",
  revision: 2,
  options: Options,
  inputs: { root: "required", kernel: "required", initramfs: "optional", payloads: "optional" },

  async ingredients({ files, persistence }, surroundings) {
    const { env, job } = surroundings;
    return {
      ...(files === undefined ? {} : { files: await sourceFolderDigest(files, surroundings) }),
      ...(persistence === undefined ? {} : { mke2fs: await mke2fsVersion(env, job) }),
    };
  },

  async run(options, run) {
    const { hash, output, job } = run;
    const serial = Number.parseInt(hash.slice(0, 8), 16);
    const uuid = fatUuid(serial);
    const content = await mediumContent({ options, run, uuid, hardLinks: false });
    const files = [...new Map([...content.files, ...content.efi].map((file) => [file.path, file])).values()];
    const plan = planDiskImage({
      hash,
      espBytes: (await roomFor(files)) + (options.free === undefined ? 0n : decodeSize(options.free, "free")),
      persistenceBytes: options.persistence === undefined ? undefined : decodeSize(options.persistence, "persistence"),
    });

    const target = join(output, options.file);
    await writeFile(target, "");
    const image = await open(target, "r+");
    await image.truncate(Number(plan.sizeBytes)).finally(() => image.close());
    if (plan.persistence !== undefined) await makePersistence(target, plan.persistence, run);
    await using store = await openFileStore(target);
    let bootCode: Uint8Array | undefined;
    if (options.bios === "grub") {
      const hybrid = await readFile(await content.payloads.need("grub/boot_hybrid.img", "bios: grub"));
      const grub = placedGrub(hybrid, await readFile(await content.payloads.need("grub/bios.img", "bios: grub")), plan.biosBoot);
      bootCode = grub.bootCode;
      await store.write(plan.biosBoot.offset, grub.image);
    }
    const { offset, sizeBytes } = plan.esp;
    await makeFilledFat(windowStore(store, offset, sizeBytes), files, { label: options.label, serial, partitionOffset: offset, run });
    await writeGpt(store, plan.table, bootCode);
    job.signal.throwIfAborted();
    await writeFile(join(output, "contents.json"), `${JSON.stringify(contentsOf(options.file, uuid, content), null, 2)}\n`);
  },
});

/** As /dev/disk/by-uuid has it: `1234-ABCD`. */
const fatUuid = (serial: number): string => {
  const digits = serial.toString(16).toUpperCase().padStart(8, "0");
  return `${digits.slice(0, 4)}-${digits.slice(4)}`;
};

const MIB = 1n << 20n;

/** A volume that holds the files: both FATs and what is lost to whole clusters counted in, and never so small that few drivers know it. */
async function roomFor(files: readonly MediumFile[]): Promise<bigint> {
  const CLUSTER = 32_768n;
  let bytes = 0n;
  for (const file of files) bytes += ((await sizeOf(file)) / CLUSTER + 2n) * CLUSTER;
  const room = bytes + bytes / 50n + 8n * MIB;
  return room < 64n * MIB ? 64n * MIB : room;
}

async function sizeOf({ path, from }: MediumFile): Promise<bigint> {
  const size = from instanceof Uint8Array ? BigInt(from.length) : (await stat(from.file, { bigint: true })).size;
  if (size <= FILE_BYTES_MAX) return size;
  throw new HiperisoError({
    what: "put a file onto a FAT volume",
    where: path,
    expected: "less than 4 GiB",
    found: `${size} bytes`,
    hint: "A stage of kind iso holds larger ones; or make the root image smaller.",
  });
}

interface FatWish {
  readonly label: string;
  readonly serial: number;
  readonly partitionOffset: bigint;
  readonly run: StageRun;
}

async function makeFilledFat(
  store: BlockStore,
  files: readonly MediumFile[],
  { label, serial, partitionOffset, run }: FatWish,
): Promise<void> {
  const { job, epochS } = run;
  const timeMs = epochS * 1000;
  await makeFat(store, { label, serial, partitionOffset, timeMs }, job);
  await using volume = await openFat(store, {}, job);
  const made = new Set<string>([""]);
  for (const file of [...files].sort((a, b) => (a.path < b.path ? -1 : 1))) {
    const parts = file.path.split("/").slice(0, -1);
    for (let depth = 1; depth <= parts.length; depth += 1) {
      const folder = parts.slice(0, depth).join("/");
      if (made.has(folder)) continue;
      await volume.makeDirectory(`/${folder}`, timeMs);
      made.add(folder);
    }
    await writeInto(volume, file, timeMs, job);
  }
}

async function writeInto(volume: Volume, file: MediumFile, modifiedMs: number, job: Job): Promise<void> {
  const { path, from } = file;
  const content =
    from instanceof Uint8Array ? [from] : (createReadStream(from.file, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>);
  await volume.write(`/${path}`, content, { sizeBytes: await sizeOf(file), modifiedMs }, job);
}

/** What persistence of live-boot reads (persistence.conf(5)): the whole root is kept. Our own init needs none. */
const PERSISTENCE_CONF = "/ union\n";

/** As e2fsprogs 1.47 comes with it, but for checksums of all metadata and a hidden file of orphans, which older kernels cannot read. */
const MKE2FS_CONF = `[defaults]
base_features = sparse_super,large_file,filetype,resize_inode,dir_index,ext_attr
inode_size = 256
inode_ratio = 16384
[fs_types]
ext4 = {
  features = has_journal,extent,huge_file,flex_bg,64bit,dir_nlink,extra_isize
}
small = {
  inode_ratio = 4096
}
`;

/**
 * An ext4 file system in the image, empty but for `persistence.conf`. All that would be random or now is given to the tools, and they copy no
 * owner of ours: it is the same each time, whoever makes it.
 */
async function makePersistence(
  image: string,
  { offset, sizeBytes }: ByteSpan,
  { hash, scratch, epochS, env, job, log }: StageRun,
): Promise<void> {
  const uuid = guidOf(hash, "persistence volume").toLowerCase();
  // The computer's own settings must not decide what is in the image.
  const config = join(scratch, "mke2fs.conf");
  await writeFile(config, MKE2FS_CONF);
  const variables = { E2FSPROGS_FAKE_TIME: `${epochS}`, SOURCE_DATE_EPOCH: `${epochS}`, MKE2FS_CONFIG: config };
  const options = { env, signal: job.signal, variables, log };
  const extended = `offset=${offset},hash_seed=${uuid},root_owner=0:0,nodiscard,lazy_itable_init=1,lazy_journal_init=1`;
  const words = ["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "persistence", "-U", uuid, "-E", extended];
  await runTool("mke2fs", [...words, image, `${sizeBytes / 4096n}`], options);
  const conf = join(scratch, "persistence.conf");
  await writeFile(conf, PERSISTENCE_CONF);
  await chmod(conf, 0o644);
  // It tells of no failure by its status.
  const said = await runTool("debugfs", ["-w", "-R", `write ${basename(conf)} ${basename(conf)}`, `${image}?offset=${offset}`], {
    ...options,
    cwd: scratch, // its commands are split at blanks, and nothing quotes them
  });
  if (!/^Allocated inode: \d+$/m.test(said)) {
    throw new HiperisoError({ what: "make the partition for changes", where: image, expected: "a file in it", found: said.trim() });
  }
}

async function mke2fsVersion(env: StageRun["env"], job: Job): Promise<string> {
  return await toolVersion("sh", ["-c", "mke2fs -V 2>&1"], { env, signal: job.signal });
}
