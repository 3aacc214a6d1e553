/** A root file system as a compressed image that is only read, the live medium's root: squashfs or erofs, on request with a tree of hashes. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { chmod, copyFile, mkdir, open, readdir, readFile, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { type ByteText, joined, readable } from "../../formats/byte-text.ts";
import { isPlainPath } from "../../formats/file-tree.ts";
import { writeTar } from "../../formats/tar.ts";
import { type TarMember, wholeContent } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";
import { hashVerityTree, VERITY_BLOCK_BYTES } from "../../formats/verity.ts";
import { writtenBehind } from "../../host/write-behind.ts";
import { checkLicences, LicencesSchema } from "../packages/licence-policy.ts";
import { readPackages } from "../packages/package-list.ts";
import { readSandboxFacts } from "../sandbox/facts.ts";
import { runInNamespace } from "../sandbox/namespace.ts";
import { acceptedPlan, planSandbox } from "../sandbox/plan.ts";
import { openTree } from "../sandbox/tree.ts";
import { type StageRun, type StageSurroundings, stageKind } from "../stage.ts";
import { askTool, runTool, toolVersion } from "../tool.ts";

const COMPRESSIONS = { squashfs: ["gzip", "xz", "zstd", "lz4"], erofs: ["lz4", "lz4hc", "none"] } as const;

const LEVELS_MAX: Readonly<Record<string, number>> = { gzip: 9, zstd: 22, lz4hc: 12 };

const compressionOf = ({
  format,
  compression,
}: {
  readonly format: "squashfs" | "erofs";
  readonly compression?: string | undefined;
}): string => compression ?? { squashfs: "zstd", erofs: "lz4hc" }[format];

const Options = z
  .strictObject({
    format: z.enum(["squashfs", "erofs"]).default("squashfs"),
    compression: z
      .enum(["gzip", "xz", "zstd", "lz4", "lz4hc", "none"])
      .optional()
      .describe("Of squashfs: zstd (unless given), xz, gzip, lz4. Of erofs: lz4hc (unless given), lz4, none."),
    level: z
      .int()
      .min(1)
      .max(22)
      .optional()
      .describe("How hard it compresses. zstd: 1 to 22 (unless given 19: small and slow), gzip: 1 to 9, lz4hc: 1 to 12."),
    block_kib: z
      .union([128, 256, 512, 1024].map((size) => z.literal(size)))
      .default(128)
      .describe("Of squashfs, KiB: larger ones are smaller in all, and slower to read at random."),
    verity: z.boolean().default(false).describe("A tree of hashes beside it (dm-verity): what is read is checked against the root hash."),
    licences: LicencesSchema.optional(),
  })
  .refine(({ format, compression }) => compression === undefined || (COMPRESSIONS[format] as readonly string[]).includes(compression), {
    path: ["compression"],
    message: "squashfs is compressed by gzip, xz, zstd or lz4; erofs by lz4, lz4hc or none",
  })
  .refine((options) => options.level === undefined || options.level <= (LEVELS_MAX[compressionOf(options)] ?? 0), {
    path: ["level"],
    message: `expected of ${Object.entries(LEVELS_MAX)
      .map(([name, max]) => `${name} 1 to ${max}`)
      .join(", ")}; others have no level`,
  });
type Options = z.infer<typeof Options>;

const LEVEL = "-Xcompression-level";
const ARGUMENTS: Readonly<Record<(typeof COMPRESSIONS.squashfs)[number], (level?: number) => readonly string[]>> = {
  gzip: (level = 9) => ["-comp", "gzip", LEVEL, `${level}`],
  xz: () => ["-comp", "xz", "-Xbcj", "x86"],
  zstd: (level = 19) => ["-comp", "zstd", LEVEL, `${level}`],
  lz4: () => ["-comp", "lz4", "-Xhc"],
};

/** What `image.json` says. */
interface ImageFacts {
  readonly format: Options["format"];
  readonly file: string;
  readonly sizeBytes: number;
  /** Releases of the kernels whose modules are in it. */
  readonly modules: readonly string[];
  /** All that `veritysetup open` needs; bytes as hexadecimal digits. */
  readonly verity?: {
    readonly file: string;
    readonly rootHash: string;
    readonly salt: string;
    readonly uuid: string;
    readonly algorithm: string;
    readonly dataBlocks: number;
    readonly blockBytes: number;
  };
}

/**
 * Output: `root.squashfs` or `root.erofs`, `image.json`, and with `verity` also `root.verity`. With the input `onto`, the output of another such stage, the
 * root's files come behind what that image has. The kernel stage's modules go into the root file
 * system. The tar that it is made from carries owners and devices, so a squashfs needs no rights.
 */
export const squashfsStage = stageKind({
  kind: "squashfs",
  revision: 2,
  options: Options,
  inputs: { root: "required", kernel: "optional", onto: "optional" },
  needs: { cores: "all", memoryMb: 1024 },

  async ingredients({ format }, surroundings) {
    const { env, job } = surroundings;
    if (format === "squashfs") return { mksquashfs: await toolVersion("mksquashfs", ["-version"], { env, signal: job.signal }) };
    return { "mkfs.erofs": (await erofsTool(surroundings)).version };
  },

  async run(options, run) {
    const input = run.inputs["root"]!;
    if (options.licences !== undefined) checkLicences(await readPackages(input), options.licences);
    const root = join(input, "root.tar");
    const kernel = run.inputs["kernel"];
    const file = `root.${options.format}`;
    const target = join(run.output, file);
    const modules = new Set<string>();
    const onto = run.inputs["onto"];
    if (onto !== undefined) {
      const sizeBytes = await appendTo(onto, root, target, options, run);
      const { modules: there } = await readImageFacts(onto);
      const verity = options.verity ? { verity: await addVerity(target, run) } : {};
      await writeImageFacts(run.output, { format: options.format, file, sizeBytes, modules: there, ...verity });
      return;
    }
    const merged = mergedRoot(root, kernel === undefined ? undefined : join(kernel, "modules.tar"), modules);
    if (options.format === "squashfs") {
      const lost: string[] = [];
      await makeSquashfs(writeTar(heeded(merged, lost)), target, options, run);
      warnOfLost(lost, run);
    } else await makeErofs(writeTar(merged), target, options, run);
    // It may fill the image's last block: the size is asked for after it.
    const verity = options.verity ? { verity: await addVerity(target, run) } : {};
    const sizeBytes = (await stat(target)).size;
    const facts: ImageFacts = { format: options.format, file, sizeBytes, modules: [...modules].sort(), ...verity };
    await writeImageFacts(run.output, facts);
  },
});

const writeImageFacts = (output: string, facts: ImageFacts): Promise<void> =>
  writeFile(join(output, "image.json"), `${JSON.stringify(facts, null, 2)}\n`);

const readImageFacts = async (output: string): Promise<ImageFacts> =>
  JSON.parse(await readFile(join(output, "image.json"), "utf8")) as ImageFacts;

/**
 * The squashfs of the stage `onto`, and behind it what is in `root`, whose folders at the top must be new: what was compressed there is not compressed
 * again. mksquashfs appends no archive, only folders, of which it keeps all but the owners: they are root's. Gives the size.
 */
async function appendTo(onto: string, root: string, target: string, options: Options, run: StageRun): Promise<number> {
  if (options.format !== "squashfs") {
    throw new HiperisoError({ what: "put files behind an image", expected: "a squashfs", found: options.format, kind: "usage" });
  }
  const folder = join(run.scratch, "appended");
  await mkdir(folder);
  for await (const member of readTar(createReadStream(root), { where: root })) {
    const { kind, mode, uid, gid, path } = member.entry;
    const name = readable(path);
    if (name === "") continue;
    if (!isPlainPath(name) || (kind !== "file" && kind !== "directory") || uid !== 0 || gid !== 0) {
      const found = `${kind} of ${uid}:${gid}`;
      throw new HiperisoError({
        what: "put files behind an image",
        where: `/${name}`,
        expected: "files and folders of root",
        found,
        kind: "usage",
      });
    }
    if (kind === "directory") await mkdir(join(folder, name), { recursive: true });
    else await pipeline(Readable.from(wholeContent(member)), createWriteStream(join(folder, name)));
    await chmod(join(folder, name), kind === "directory" ? mode | 0o700 : mode);
  }
  const { epochS, env, job, log, cores } = run;
  const tool = { env, signal: job.signal, log };
  const base = join(onto, "root.squashfs");
  const there = new Set((await runTool("unsquashfs", ["-l", "-d", "", "-max-depth", "1", base], tool)).split("\n"));
  const twice = (await readdir(folder)).filter((name) => there.has(`/${name}`));
  if (twice.length > 0) {
    const where = twice.map((name) => `/${name}`).join(", ");
    throw new HiperisoError({
      what: "put files behind an image",
      where,
      expected: "names that the image has not at its top",
      found: "both have them",
      kind: "usage",
    });
  }
  await copyFile(base, target);
  const times = ["-mkfs-time", `${epochS}`, "-all-time", `${epochS}`, "-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"];
  await runTool(
    "mksquashfs",
    [folder, target, "-all-root", "-no-recovery", ...times, "-processors", `${cores}`, "-no-progress", "-quiet"],
    tool,
  );
  return (await stat(target)).size;
}

/** Where modules are: `lib/modules/<release>/…`, or below usr/lib. */
const MODULES = /^(?:usr\/)?lib\/modules\/([^/]+)\/modules\.dep$/;

/**
 * The root file system as an archive, with the kernel's modules in it: below usr/lib where lib is a link to it (merged /usr), as its own
 * modules would be. Modules of the same release that are there already are left out, as is the folder itself: what comes twice would count twice.
 * Releases of all modules are put into `found` on the way.
 */
async function* mergedRoot(root: string, modules: string | undefined, found: Set<string>): AsyncGenerator<TarMember> {
  const added = modules === undefined ? undefined : await moduleReleases(modules);
  const isReplaced = (path: string): boolean => {
    const release = /^(?:usr\/)?lib\/modules\/([^/]+)(?:\/|$)/.exec(path)?.[1];
    return release !== undefined && added?.has(release) === true;
  };
  const there = new Set<string>();
  let prefix = "";
  for await (const member of readTar(createReadStream(root), { where: root })) {
    const path = readable(member.entry.path);
    const release = MODULES.exec(path)?.[1];
    if (release !== undefined) found.add(release);
    if (isReplaced(path)) continue;
    if (path === "lib" && member.entry.kind === "symlink") prefix = "usr";
    if (member.entry.kind === "directory") there.add(path);
    yield member;
  }
  if (modules === undefined) return;
  for (const release of added ?? []) found.add(release);
  for await (const member of readTar(createReadStream(modules), { where: modules })) {
    const path = joined(prefix as ByteText, member.entry.path);
    if (!there.has(readable(path))) yield { ...member, entry: { ...member.entry, path } };
  }
}

async function moduleReleases(tar: string): Promise<ReadonlySet<string>> {
  const releases = new Set<string>();
  for await (const { entry } of readTar(createReadStream(tar), { where: tar })) {
    const release = MODULES.exec(readable(entry.path))?.[1];
    if (release !== undefined) releases.add(release);
  }
  return releases;
}

/** What squashfs has room for (Linux: fs/squashfs/xattr.c). Access lists are none of these, in either form that an archive has for them. */
const SQUASHFS_XATTRS = /^(?:user|trusted|security)\./;
const ACCESS_LISTS = /^SCHILY\.acl\./;
const NAMED_MAX = 5;

/** The same members; paths of those whose attributes a squashfs does not keep are put into `lost`. mksquashfs tells the attributes, and not whose. */
async function* heeded(members: AsyncIterable<TarMember>, lost: string[]): AsyncGenerator<TarMember> {
  for await (const member of members) {
    const { path, xattrs, records } = member.entry;
    const isKept =
      [...xattrs.keys()].every((name) => SQUASHFS_XATTRS.test(name)) && ![...records.keys()].some((name) => ACCESS_LISTS.test(name));
    if (!isKept) lost.push(`/${readable(path)}`);
    yield member;
  }
}

function warnOfLost(lost: readonly string[], { job, log }: StageRun): void {
  if (lost.length === 0) return;
  const more = lost.length > NAMED_MAX ? ` and ${lost.length - NAMED_MAX} more` : "";
  const files = `${lost.slice(0, NAMED_MAX).join(", ")}${more}`;
  const says = `a squashfs does not hold access lists, and of other attributes only user.*, trusted.* and security.*: lost for ${files}`;
  job.progress.warn(`${says}; an erofs (\`format: erofs\`) holds access lists`);
  log.append(`${says}\n`);
}

async function makeSquashfs(tar: AsyncIterable<Uint8Array>, target: string, options: Options, run: StageRun): Promise<void> {
  const { epochS, env, job, log, cores } = run;
  // The tar names no root folder of its own: without the -root options its mode would be 0777 and its time now.
  // SOURCE_DATE_EPOCH beside these times is a fatal error of mksquashfs, so tools are never given it here.
  const times = ["-mkfs-time", `${epochS}`, "-all-time", `${epochS}`, "-root-mode", "0755", "-root-uid", "0", "-root-gid", "0"];
  const compression = ARGUMENTS[compressionOf(options) as keyof typeof ARGUMENTS](options.level);
  const size = ["-b", `${options.block_kib}K`];
  const words = ["-", target, "-tar", "-noappend", ...compression, ...size, ...times, "-processors", `${cores}`, "-no-progress", "-quiet"];
  await writtenBehind(target, () => runTool("mksquashfs", words, { env, signal: job.signal, input: Readable.from(tar), log }));
}

/** The first release whose mkfs.erofs takes an archive; before it a folder must be laid out, with its owners, in a namespace. */
const EROFS_WITH_TAR = [1, 7] as const;

async function erofsTool({ env, job }: StageSurroundings): Promise<{ readonly version: string; readonly takesTar: boolean }> {
  // Releases that take -V for an unknown option print their version all the same, and the options on the other output.
  const { stdout } = await askTool("mkfs.erofs", ["-V"], { env, signal: job.signal });
  const version = stdout.split("\n")[0] ?? "";
  const [, major, minor] = /(\d+)\.(\d+)/.exec(version) ?? [];
  const number = [Number(major ?? 0), Number(minor ?? 0)] as const;
  const takesTar = number[0] > EROFS_WITH_TAR[0] || (number[0] === EROFS_WITH_TAR[0] && number[1] >= EROFS_WITH_TAR[1]);
  return { version, takesTar };
}

async function makeErofs(tar: AsyncIterable<Uint8Array>, target: string, options: Options, run: StageRun): Promise<void> {
  const { hash, epochS, env, job, log, scratch } = run;
  const compression = compressionOf(options);
  const level = options.level === undefined ? "" : `,${options.level}`;
  const args = [...(compression === "none" ? [] : [`-z${compression}${level}`]), `-T${epochS}`, `-U${uuidText(uuidOf(hash))}`];
  if ((await erofsTool(run)).takesTar) {
    await runTool("mkfs.erofs", ["--tar=f", ...args, target, "-"], { env, signal: job.signal, input: Readable.from(tar), log });
    return;
  }
  const merged = join(scratch, "merged.tar");
  await pipeline(Readable.from(tar), createWriteStream(merged));
  for await (const { entry } of readTar(createReadStream(merged), { where: merged })) {
    if (entry.kind !== "character-device" && entry.kind !== "block-device") continue;
    const hint = "Take squashfs, or a newer mkfs.erofs, which makes it from an archive.";
    const found = `the device node ${readable(entry.path)}, which a folder cannot hold here`;
    throw new HiperisoError({ what: "make an erofs", expected: `mkfs.erofs ${EROFS_WITH_TAR.join(".")} or later`, found, hint });
  }
  const place = join(scratch, "erofs");
  await mkdir(place);
  await using tree = await openTree({ tar: merged, scratch: place, run });
  // The namespace's root may not be able to write where the person may: the image is made beside the tree.
  const plan = acceptedPlan(planSandbox(await readSandboxFacts(env)));
  const { status, tail } = await runInNamespace(plan, ["mkfs.erofs", ...args, target, tree.root], run);
  if (status !== 0) throw new HiperisoError({ what: "run mkfs.erofs", expected: "exit status 0", found: `${status}: ${tail}` });
}

/** Writes the hash tree beside the image. Salt and UUID are the recipe's, so that two builds give the same bytes. */
async function addVerity(image: string, { hash, output }: StageRun): Promise<NonNullable<ImageFacts["verity"]>> {
  await padToBlocks(image);
  const salt = createHash("sha256").update(`verity salt ${hash}`).digest();
  const uuid = uuidOf(hash);
  const { rootHash, file, dataBlocks } = await hashVerityTree(createReadStream(image, { highWaterMark: 1024 * 1024 }), { salt, uuid });
  await writeFile(join(output, "root.verity"), file);
  return {
    ...{ file: "root.verity", rootHash, salt: salt.toString("hex"), uuid: uuidText(uuid) },
    ...{ algorithm: "sha256", dataBlocks, blockBytes: VERITY_BLOCK_BYTES },
  };
}

/** mksquashfs fills its last block with zeros unless it is told not to; this holds where another program does not. */
async function padToBlocks(image: string): Promise<void> {
  const { size } = await stat(image);
  const rest = size % VERITY_BLOCK_BYTES;
  if (rest === 0) return;
  const file = await open(image, "a");
  try {
    await file.write(new Uint8Array(VERITY_BLOCK_BYTES - rest));
  } finally {
    await file.close();
  }
}

/** Of 64 hexadecimal digits the first 32, marked as a UUID of version 8 (RFC 9562, 5.8: whatever its maker likes). */
function uuidOf(hash: string): Uint8Array {
  const bytes = Buffer.from(hash.slice(0, 32), "hex");
  bytes[6] = (bytes[6]! & 0x0f) | 0x80;
  bytes[8] = (bytes[8]! & 0x3f) | 0x80;
  return bytes;
}

const uuidText = (bytes: Uint8Array): string =>
  Buffer.from(bytes)
    .toString("hex")
    .replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
