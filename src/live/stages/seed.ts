/** A root file system to begin with: out of a distribution's packages, an archive, a folder, a container image. */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, readFile, writeFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { fileDigest } from "../file-digest.ts";
import { checkLicences, LicencesSchema } from "../packages/licence-policy.ts";
import { writePackages } from "../packages/package-list.ts";
import { ArchiveFiles } from "../sandbox/archive-files.ts";
import { decompressed } from "../seed/compressed.ts";
import { MmdebstrapSchema, mmdebstrapIngredients, runMmdebstrap } from "../seed/mmdebstrap.ts";
import { readOciImage } from "../seed/oci.ts";
import { publishedDigests } from "../seed/stage-digests.ts";
import { readSourceTree, sourcePath, treeDigest } from "../source-files.ts";
import { type StageRun, type StageSurroundings, stageKind } from "../stage.ts";
import { runTool, sha256 } from "../tool.ts";

const FILE = z.string().min(1);

const Tarball = z
  .strictObject({
    file: FILE.describe("Beside the spec; plain or packed with gzip, xz, zstd or bzip2."),
    sha256: z
      .string()
      .regex(/^[0-9a-f]{64}$/)
      .optional()
      .describe("What the file must come to."),
  })
  .describe("An archive of a root file system.");

const StageTarball = z
  .strictObject({
    file: FILE.describe("Beside the spec; plain or packed."),
    digests: FILE.describe("The distribution's list of digests (.DIGESTS, .sha256, SHA512SUMS), beside the spec."),
    signature: FILE.optional().describe("Detached signature of the list. Unless given, the list itself is signed."),
    keyring: FILE.optional().describe(
      "Public keys, binary or armoured, of which one must have signed. Unless given, no signature is looked at.",
    ),
  })
  .refine(({ signature, keyring }) => signature === undefined || keyring !== undefined, {
    path: ["keyring"],
    message: "a signature needs the keys to check it with",
  })
  .describe("A distribution's own archive of a root file system, with the digests that it publishes.");

const Directory = z
  .strictObject({
    path: FILE.describe("Folder beside the spec."),
    owners: z
      .enum(["root", "kept"])
      .default("root")
      .describe(
        "root: all belongs to root, and of the modes only whether a file may be run counts. kept: owners, modes, attributes as they are.",
      ),
  })
  .describe("A folder with a root file system.");

const Oci = z
  .strictObject({
    image: FILE.describe("Archive of an OCI image or of `docker save`, or the folder of an OCI layout, beside the spec."),
    reference: z.string().min(1).optional().describe("NAME:TAG, where several images are in it."),
    architecture: z.string().min(1).default("amd64"),
  })
  .describe("A container image. It has no kernel: another stage brings that.");

const SOURCES = ["mmdebstrap", "tarball", "stage_tarball", "directory", "oci"] as const;

const Options = z
  .strictObject({
    mmdebstrap: MmdebstrapSchema.optional(),
    tarball: Tarball.optional(),
    stage_tarball: StageTarball.optional(),
    directory: Directory.optional(),
    oci: Oci.optional(),
    licences: LicencesSchema.optional(),
  })
  .refine((options) => SOURCES.filter((source) => options[source] !== undefined).length === 1, `expected one of ${SOURCES.join(", ")}`);
type Options = z.infer<typeof Options>;

/** Output: `root.tar`, `packages.json` where the tree has a database of packages, `apt-lists.tar` where mmdebstrap made it. */
export const seedStage = stageKind({
  kind: "seed",
  revision: 1,
  options: Options,
  inputs: {},
  // dpkg unpacks one package at a time; xz and apt take some memory.
  needs: { cores: 1, memoryMb: 512 },

  async ingredients({ mmdebstrap, tarball, stage_tarball, directory, oci }, surroundings) {
    if (mmdebstrap !== undefined) return await mmdebstrapIngredients(mmdebstrap, surroundings);
    if (tarball !== undefined) return await digestsOf([tarball.file], surroundings);
    if (stage_tarball !== undefined) {
      const { file, digests, signature, keyring } = stage_tarball;
      return await digestsOf(
        [file, digests, signature, keyring].filter((name) => name !== undefined),
        surroundings,
      );
    }
    if (directory !== undefined) return { [directory.path]: await directoryDigest(directory, surroundings) };
    return await imageDigest(oci!.image, surroundings);
  },

  async run(options, run) {
    await writeRoot(options, run);
    checkLicences(await writePackages(run.output), options.licences);
  },
});

async function writeRoot({ mmdebstrap, tarball, stage_tarball, directory, oci }: Options, run: StageRun): Promise<void> {
  const { planFolder, output, scratch, epochS, env, job } = run;
  if (mmdebstrap !== undefined) return await runMmdebstrap(mmdebstrap, run);
  if (directory !== undefined) return await writeDirectory(directory, run);
  if (oci !== undefined) {
    const layers = join(scratch, "layers");
    await mkdir(layers);
    const image = sourcePath(planFolder, oci.image);
    const { reference, architecture } = oci;
    await readOciImage({ image, reference, architecture, scratch: layers, target: join(output, "root.tar"), epochS, env, job });
    return;
  }
  if (stage_tarball !== undefined) await checkStageTarball(stage_tarball, run);
  if (tarball?.sha256 !== undefined) await checkDigest(tarball.file, { algorithm: "sha256", hex: tarball.sha256 }, run);
  await writeTarball(sourcePath(planFolder, (tarball ?? stage_tarball!).file), run);
}

/** Sorted, whatever it is packed with. */
async function writeTarball(path: string, { output, scratch, epochS, env, job }: StageRun): Promise<void> {
  const plain = join(scratch, "plain.tar");
  const bytes = decompressed(createReadStream(path), { where: path, env, signal: job.signal });
  await pipeline(Readable.from(bytes, { objectMode: true }), createWriteStream(plain, { flags: "wx" }), { signal: job.signal });
  const files = await ArchiveFiles.open(plain, { mtimeS: epochS, named: path });
  await files.write(join(output, "root.tar"), { epochS, scratch, signal: job.signal });
}

async function writeDirectory({ path, owners }: z.infer<typeof Directory>, run: StageRun): Promise<void> {
  const { planFolder, output, scratch, epochS, env, job, log } = run;
  const folder = sourcePath(planFolder, path);
  const target = join(output, "root.tar");
  if (owners === "root") {
    const files = await ArchiveFiles.open(undefined, { mtimeS: epochS });
    await files.put(await readSourceTree(folder));
    await files.write(target, { epochS, scratch, signal: job.signal });
    return;
  }
  const raw = join(scratch, "folder.tar");
  const form = ["--format=posix", "--numeric-owner", "--xattrs", "--xattrs-include=*", "--sparse", "--hole-detection=raw"];
  await runTool("tar", ["--create", `--file=${raw}`, ...form, "--one-file-system", "--directory", folder, "."], {
    env,
    signal: job.signal,
    log,
  });
  const files = await ArchiveFiles.open(raw, { mtimeS: epochS });
  await files.write(target, { epochS, scratch, signal: job.signal });
}

async function directoryDigest({ path, owners }: z.infer<typeof Directory>, { planFolder, env, job }: StageSurroundings): Promise<string> {
  const folder = sourcePath(planFolder, path);
  if (owners === "root") return treeDigest(await readSourceTree(folder));
  // ctime changes with content, owner, mode and attributes alike, so no file has to be read.
  const format = "%y %m %U %G %s %T@ %C@ %P\\0%l\\0";
  return sha256(await runTool("find", [folder, "-xdev", "-printf", format], { env, signal: job.signal }));
}

async function digestsOf(files: readonly string[], { planFolder, cacheFolder }: StageSurroundings): Promise<Record<string, string>> {
  const digests = files.map(async (file) => [file, await fileDigest(sourcePath(planFolder, file), cacheFolder)] as const);
  return Object.fromEntries(await Promise.all(digests));
}

/** An archive, or a folder in which every file but two is named by its digest. */
async function imageDigest(image: string, surroundings: StageSurroundings): Promise<Record<string, string>> {
  const index = join(image, "index.json");
  const isFolder = await readFile(sourcePath(surroundings.planFolder, index)).then(
    () => true,
    () => false,
  );
  return await digestsOf([isFolder ? index : image], surroundings);
}

async function checkStageTarball({ file, digests, signature, keyring }: z.infer<typeof StageTarball>, run: StageRun): Promise<void> {
  const list = sourcePath(run.planFolder, digests);
  const text = keyring === undefined ? await readFile(list, "utf8") : await signedText({ list, signature, keyring }, run);
  const published = publishedDigests(text, basename(file));
  if (published.length === 0) {
    throw new HiperisoError({
      what: "check a stage tarball",
      where: digests,
      expected: `a SHA-256, SHA-512 or BLAKE2b digest of ${basename(file)}`,
      found: "none",
      hint: "The tarball must have the name under which the distribution published it.",
    });
  }
  for (const digest of published) await checkDigest(file, digest, run);
}

async function checkDigest(file: string, { algorithm, hex }: { algorithm: string; hex: string }, { planFolder }: StageRun): Promise<void> {
  const hash = createHash(algorithm);
  await pipeline(createReadStream(sourcePath(planFolder, file)), hash);
  const found = hash.digest("hex");
  if (found === hex) return;
  const hint = "The file is damaged, or is not the one that was meant: fetch it again.";
  throw new HiperisoError({ what: "check a seed", where: file, expected: `${algorithm} ${hex}`, found, hint });
}

/** What the signature vouches for, and nothing else that may stand in the same file. */
async function signedText(
  { list, signature, keyring }: { readonly list: string; readonly signature: string | undefined; readonly keyring: string },
  { planFolder, scratch, env, job, log }: StageRun,
): Promise<string> {
  const keys = join(scratch, "keys.gpg");
  await writeFile(keys, binaryKeys(await readFile(sourcePath(planFolder, keyring))));
  const tool = { env, signal: job.signal, log };
  const words = ["--keyring", keys];
  try {
    if (signature === undefined) return await runTool("gpgv", [...words, "--output", "-", list], tool);
    await runTool("gpgv", [...words, sourcePath(planFolder, signature), list], tool);
    return await readFile(list, "utf8");
  } catch (error) {
    const expected = `a signature by a key of ${keyring}`;
    throw new HiperisoError({
      what: "check the signature of a list of digests",
      where: list,
      expected,
      found: (error as Error).message,
      cause: error,
    });
  }
}

/** gpgv takes keys in binary form only. RFC 9580, 6.2: base64 between a header, which ends with an empty line, and a checksum or the tail. */
export function binaryKeys(bytes: Uint8Array): Uint8Array {
  const text = Buffer.from(bytes).toString("latin1");
  const blocks = [
    ...text.matchAll(
      /-----BEGIN PGP PUBLIC KEY BLOCK-----\r?\n(?:[^\r\n]+: [^\r\n]*\r?\n)*\r?\n([A-Za-z0-9+/=\r\n]+?)(?:\r?\n=[A-Za-z0-9+/]{4})?\r?\n-----END/g,
    ),
  ];
  return blocks.length === 0 ? bytes : Buffer.concat(blocks.map((block) => Buffer.from(block[1]!, "base64")));
}
