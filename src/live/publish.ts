/**
 * A folder that an image is handed out from:
 *
 *   <name>-<day>-<12 hex>/    one release: whole when it gets this name, by one rename
 *       IMAGE  SPEC  manifest.json  sbom.cdx.json  index.html  SHA256SUMS  SHA256SUMS.minisig|.asc
 *       boot-report/<stage>/  results.html, .json, .xml and screenshots/
 *   latest                    a link to the release that was published last, replaced by one rename
 */
import { createHash, randomBytes } from "node:crypto";
import { constants, createReadStream } from "node:fs";
import { copyFile, mkdir, readdir, readFile, rename, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { suiteResultSchema } from "../contract/suite.ts";
import { isPlainPath } from "../formats/file-tree.ts";
import { syncDirectory, syncTree } from "../host/atomic-file.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "../host/process-identity.ts";
import type { Environment } from "../host/xdg.ts";
import { junitXml } from "../suite/junit.ts";
import { resultsHtml } from "../suite/results-html.ts";
import { encodeCycloneDx } from "./cyclonedx.ts";
import { type Manifest, readManifest } from "./manifest.ts";
import { type BootReport, type Picture, publishPage, REPORT_FOLDER } from "./publish-page.ts";
import type { Built } from "./runner.ts";
import { SIGNATURE_SUFFIX, type SigningKey, signFile } from "./signatures.ts";

export interface PublishOptions {
  readonly planPath: string;
  readonly built: Built;
  readonly store: string;
  /** The folder of all releases; made when missing. */
  readonly target: string;
  /** Publish what no boot test has passed, and say so on its page. */
  readonly untested: boolean;
  readonly key?: SigningKey | undefined;
  /** A bill of materials (CycloneDX) beside the manifest. */
  readonly bill: boolean;
  readonly env: Environment;
  /** Name and version of this program. */
  readonly program: string;
}

export interface Published {
  /** The release's folder. */
  readonly folder: string;
  readonly image: string;
  readonly manifest: Manifest;
  /** It was published before, with the same bytes. */
  readonly isKept: boolean;
}

/** The image is as it was built, but nothing says that it boots. */
export class NotTested extends HiperisoError {}

/** Nothing new is seen in `target` unless all of it is there. Throws `NotTested` where the image has passed no boot test, unless told. */
export async function publishBuild(options: PublishOptions, job: Job): Promise<Published> {
  const { built, target, untested } = options;
  const manifest = await readManifest(options);
  if (!untested) checkTested(built, manifest);
  const name = releaseName(manifest);
  const part = join(target, partName());
  try {
    await mkdir(target, { recursive: true });
    await removeRemains(target);
    await mkdir(part);
    await writeRelease(part, manifest, options, job);
    job.signal.throwIfAborted();
    await syncTree(part);
    const { folder, isKept } = await named(part, join(target, name));
    await setLatest(target, basename(folder), job);
    return { folder, image: join(folder, manifest.image.path), manifest, isKept };
  } catch (error) {
    job.signal.throwIfAborted();
    if (error instanceof HiperisoError) throw error;
    const hint = "Make room or change the folder's permissions, or choose another folder.";
    throw new HiperisoError({ what: "publish an image", where: target, found: reasonOf(error), hint, cause: error });
  } finally {
    await rm(part, { recursive: true, force: true });
  }
}

/** Every test was passed, and one of them booted this image and not only another form of it. */
function checkTested({ tests, stages, output }: Built, manifest: Manifest): void {
  const refuse = (expected: string, found: string): NotTested =>
    new NotTested({
      what: "publish an image",
      where: manifest.image.path,
      expected,
      found,
      hint: "With --untested it is published as it is, and its page says so.",
    });
  const failed = tests.filter(({ passed }) => !passed);
  if (failed.length > 0) {
    throw refuse("boot tests that were passed", failed.map(({ stage, says }) => `${stage} was not: ${says}`).join("\n"));
  }
  const made = stages.find((stage) => dirname(output) === stage.output)?.name;
  const tested = manifest.stages.filter(({ name }) => tests.some(({ stage }) => stage === name));
  if (!tested.some(({ inputs }) => Object.values(inputs).includes(made ?? ""))) {
    throw refuse(`a stage of kind boot-test with the input image: ${made}`, tests.length === 0 ? "no boot test" : "tests of other stages");
  }
}

/** The day of the epoch and the image's digest: the same image has the same name. */
function releaseName({ name, epoch, image }: Manifest): string {
  const day = new Date(epoch * 1000).toISOString().slice(0, "YYYY-MM-DD".length).replaceAll("-", "");
  return `${name}-${day}-${image.sha256.slice(0, 12)}`;
}

const SUMS = "SHA256SUMS";

async function writeRelease(part: string, manifest: Manifest, options: PublishOptions, job: Job): Promise<void> {
  const { built, planPath, key, bill, env } = options;
  const files: string[] = [];
  const put = async (path: string, content: string | Uint8Array): Promise<void> => {
    await mkdir(dirname(join(part, path)), { recursive: true });
    await writeFile(join(part, path), content);
    files.push(path);
  };
  const copy = async (from: string, { path, sha256 }: Manifest["image"]): Promise<void> => {
    await mkdir(dirname(join(part, path)), { recursive: true });
    // Where the file system can, no byte is copied.
    await copyFile(from, join(part, path), constants.COPYFILE_FICLONE);
    files.push(path);
    const found = await digestOf(join(part, path), job.signal);
    if (found !== sha256) throw new HiperisoError({ what: "publish an image", where: path, expected: `SHA-256 ${sha256}`, found });
  };
  await copy(built.output, manifest.image);
  if (manifest.spec.path !== manifest.image.path) await copy(planPath, manifest.spec);
  await put("manifest.json", `${JSON.stringify(manifest, null, 2)}\n`);
  if (bill) await put("sbom.cdx.json", encodeCycloneDx(manifest));
  const reports: BootReport[] = [];
  for (const { stage, output } of built.tests) {
    const report = await readBootReport(stage, output);
    const folder = join(REPORT_FOLDER, stage);
    await put(join(folder, "results.json"), `${JSON.stringify(report.result, null, 2)}\n`);
    await put(join(folder, "results.xml"), junitXml(report.result));
    await put(join(folder, "results.html"), resultsHtml(report.result, "/"));
    for (const { path, png } of report.pictures) await put(join(folder, path), png);
    reports.push(report);
  }
  const signature = key === undefined ? undefined : { by: key.by, file: `${SUMS}${SIGNATURE_SUFFIX[key.by]}` };
  const shown = [...files, SUMS, ...(signature === undefined ? [] : [signature.file])];
  await put("index.html", publishPage({ manifest, reports, files: shown, signature }));
  await writeFile(join(part, SUMS), await sumsOf(part, files, job.signal));
  const comment = `${manifest.name} ${manifest.image.path} ${manifest.image.sha256}`;
  if (key !== undefined) await signFile(join(part, SUMS), key, { env, signal: job.signal, comment });
}

/** What a boot-test stage left, without paths of this computer: sessions stay with who recorded them. */
async function readBootReport(stage: string, output: string): Promise<BootReport> {
  const path = join(output, "results.json");
  try {
    const read = ResultSchema.parse(JSON.parse(await readFile(path, "utf8")));
    const { screenshots, ...result } = read;
    const jobs = result.jobs.map((one) => ({
      ...one,
      image: null,
      script: one.script === null ? null : basename(one.script),
      runs: one.runs.map((run) => ({ ...run, session: null })),
    }));
    const pictures: Picture[] = [];
    for (const [boot, names] of Object.entries(screenshots)) {
      for (const name of names) pictures.push({ boot, path: name, png: await readFile(join(output, name)) });
    }
    return { stage, result: { ...result, jobs }, pictures };
  } catch (error) {
    throw new HiperisoError({ what: "read the results of a boot test", where: path, found: reasonOf(error), cause: error });
  }
}

const ResultSchema = suiteResultSchema.extend({
  screenshots: z.record(z.string(), z.array(z.string().refine(isPlainPath, "expected a path below the results"))).default({}),
});

/** As `sha256sum` writes them, sorted by name. Our names hold no backslash and no line feed, which it would escape. */
async function sumsOf(folder: string, files: readonly string[], signal: AbortSignal): Promise<string> {
  const lines: string[] = [];
  for (const path of [...files].sort()) lines.push(`${await digestOf(join(folder, path), signal)}  ${path}\n`);
  return lines.join("");
}

async function digestOf(path: string, signal: AbortSignal): Promise<string> {
  const hash = createHash("sha256");
  await pipeline(createReadStream(path, { highWaterMark: 1024 * 1024 }), hash, { signal });
  return hash.digest("hex");
}

/** Gives the finished folder its name. Where a release of that name holds the same, that one stays; where it holds something else, a number is added. */
async function named(part: string, wanted: string): Promise<{ readonly folder: string; readonly isKept: boolean }> {
  for (let number = 1; ; number += 1) {
    const folder = number === 1 ? wanted : `${wanted}-${number}`;
    try {
      // rename(2) takes the place of an empty folder, and of no other.
      await rename(part, folder);
      await syncDirectory(dirname(folder));
      return { folder, isKept: false };
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code !== "ENOTEMPTY" && code !== "EEXIST" && code !== "ENOTDIR") throw error;
      if (await holdsSame(part, folder)) return { folder, isKept: true };
    }
  }
}

/** The sums tell of all files but the signature, which may be another each time it is made. */
async function holdsSame(one: string, other: string): Promise<boolean> {
  const sums = async (folder: string) => await readFile(join(folder, SUMS), "utf8").catch(() => undefined);
  const names = async (folder: string) => (await readdir(folder).catch(() => [])).sort().join("/");
  return (await sums(one)) === (await sums(other)) && (await names(one)) === (await names(other));
}

async function setLatest(target: string, name: string, { progress }: Job): Promise<void> {
  const temporary = join(target, partName());
  try {
    await symlink(name, temporary);
    await rename(temporary, join(target, "latest"));
    await syncDirectory(target);
  } catch (error) {
    await rm(temporary, { force: true });
    // FAT and exFAT have no links: the release is there all the same.
    progress.warn(`no link \`latest\` in ${target}: ${reasonOf(error)}`);
  }
}

const PART = ".part-";

/** Says whose it is, so that another publication can tell whether we still live. */
function partName(): string {
  const { pid, pid_start_ticks, boot_id } = ownIdentity();
  return [`${PART}${pid}`, pid_start_ticks, boot_id.replaceAll("-", "_"), randomBytes(4).toString("hex")].join("-");
}

function ownerOf(name: string): ProcessIdentity | undefined {
  const [, pid, ticks, boot] = /^\.part-(\d+)-([^-]+)-([^-]+)-/.exec(name) ?? [];
  if (pid === undefined || ticks === undefined || boot === undefined) return undefined;
  return { pid: Number(pid), pid_start_ticks: ticks, boot_id: boot.replaceAll("_", "-") };
}

/** Of publications that were killed. */
async function removeRemains(target: string): Promise<void> {
  for (const name of await readdir(target)) {
    const owner = ownerOf(name);
    if (owner !== undefined && !isAlive(owner)) await rm(join(target, name), { recursive: true, force: true });
  }
}
