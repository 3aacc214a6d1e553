/**
 * Carries a plan out: makes its target. Every image is made under a temporary name and renamed when it is whole. A run that was cut leaves
 * a record that says so, whole images and temporary names; the next run makes all of them anew.
 */
import { chmod, mkdir, readdir, readFile, realpath, rename, rm, stat, statfs } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import { shellCommand } from "../formats/escape-shell.ts";
import type { SrcfsLoss } from "../formats/srcfs.ts";
import { makeFolders } from "../host/make-folders.ts";
import { isAlive, ownIdentity } from "../host/process-identity.ts";
import type { Environment } from "../host/xdg.ts";
import { runTool } from "../live/tool.ts";
import { type Checkout, STAGE0 } from "./checkout.ts";
import { isPartialName } from "./distfiles.ts";
import { makeFileSystemDisk } from "./file-system-disk.ts";
import { guestFilePath } from "./import-step.ts";
import { type ImageOptions, type InitImageLayout, planInitImage, TEMPORARY_NAME, temporaryName, writeInitImage } from "./init-image.ts";
import { createPayload } from "./payload/create.ts";
import { spaceHint } from "./payload/space-hint.ts";
import { type BootstrapPlan, refuseBrokenLimits } from "./plan.ts";
import { isTreeForm, type PreparedOutput, type PreparedRecord, RECORD_NAME, readRecord, writeRecord } from "./prepared.ts";
import { listTree, madeFile, planTargetTrees, type TargetEntry, type TargetTrees } from "./target-tree.ts";
import { writeTree } from "./tree-writer.ts";

export interface PrepareInput extends ImageOptions {
  readonly plan: BootstrapPlan;
  readonly checkout: Checkout;
  /** Absolute, as all paths here. */
  readonly tree: string;
  readonly distfiles: string;
  readonly target: string;
  /** See `PreparedRecord`. */
  readonly mirrors?: PreparedRecord["mirrors"];
  /** Makes a target anew that is complete, and may have been booted since. */
  readonly replace?: boolean;
  readonly env: Environment;
}

export interface Prepared {
  readonly record: PreparedRecord;
  /** What the first image cannot carry. */
  readonly losses: readonly SrcfsLoss[];
}

const MIB = 1024 * 1024;

/**
 * Throws (`usage`) where a limit of the early code does not hold, where the checkout lacks what is needed, and on a target that holds something
 * else, is being made, or is complete already; (`failure`) with the reason where writing fails.
 */
export async function prepareBootstrap(input: PrepareInput, job: Job): Promise<Prepared> {
  const { plan, target } = input;
  refuseBrokenLimits(plan);
  await refuseOwnSources(input);
  if (isReuse(plan)) return await addDistfiles(input, job);
  const before = await inspectTarget(input);
  await using scratch = scratchOf(target);
  const trees = await planTrees(input, scratch, job);
  const layout = initImageOf(input, trees);
  await refuseLittleRoom(input, trees, layout);

  const record: PreparedRecord = {
    version: 1,
    state: "making",
    owner: ownIdentity(),
    tree: input.tree,
    distfiles: input.distfiles,
    outputs: outputsOf(plan, trees, layout),
    mirrors: input.mirrors ?? [],
    plan,
  };
  await writeRecord(target, record);
  for (const name of before.leftovers) await removed(join(target, name));
  const outputs = isTreeForm(plan.form)
    ? await makeRoot(input, trees, before.present, scratch, record, job)
    : await makeImages(input, trees, layout, before.present, scratch, job);
  job.signal.throwIfAborted();
  const made = { ...record, state: "complete", outputs } as const;
  await writeRecord(target, made);
  return { record: made, losses: layout?.losses ?? [] };
}

/** Later passes of the original's own tests go on in the sandbox of the first; only distfiles are put there. */
const isReuse = ({ form, options }: BootstrapPlan): boolean =>
  form === "bwrap" && options.internalCi !== undefined && options.internalCi !== "pass1";

async function addDistfiles(input: PrepareInput, job: Job): Promise<Prepared> {
  const record = await readRecord(input.target);
  if (record?.state !== "complete" || record.plan.form !== "bwrap") {
    throw new HiperisoError({
      what: "go on in a sandbox",
      where: input.target,
      expected: "the target that --internal-ci pass1 made",
      found: record === undefined ? "no record of one" : "another",
      kind: "usage",
    });
  }
  await using scratch = scratchOf(input.target);
  const { guest } = await planTrees(input, scratch, job);
  await makeFolders(join(input.target, "external"));
  const distfiles = guest.filter(({ path }) => path === "external/distfiles" || path.startsWith("external/distfiles/"));
  await writeTree(input.target, distfiles, job);
  return { record, losses: [] };
}

interface TargetState {
  /** Names that this run replaces or removes: outputs of an earlier one. */
  readonly present: readonly string[];
  /** Names of files that an earlier run was making when it was cut. */
  readonly leftovers: readonly string[];
}

async function inspectTarget({ target, plan, replace = false, env }: PrepareInput): Promise<TargetState> {
  const refuse = (expected: string, found: string, hint: string) =>
    new HiperisoError({ what: "make the target", where: target, expected, found, hint, kind: "usage" });
  await makeTarget(target, plan, env);
  const record = await readRecord(target);
  const names = await readdir(target);
  const leftovers = names.filter((name) => TEMPORARY_NAME.test(name));
  // What a new file system has at its root.
  const present = names.filter((name) => !TEMPORARY_NAME.test(name) && name !== RECORD_NAME && name !== "lost+found");
  if (record?.state === "making" && isAlive(record.owner)) {
    throw refuse(
      "a target that nobody else works on",
      `process ${record.owner.pid} making it`,
      "Wait for it, or choose another with --target.",
    );
  }
  if (present.length === 0) return { present, leftovers };
  if (record !== undefined && isTreeForm(record.plan.form) !== isTreeForm(plan.form)) {
    throw refuse("a target of the same form", `one of the form ${record.plan.form}`, "Choose another with --target, or remove this one.");
  }
  const known = new Set(record?.outputs.map(({ name }) => name));
  // A system that has run has made files of its own at its root.
  const isOwnSystem = record?.state === "complete" && isTreeForm(record.plan.form) && replace;
  const foreign = isOwnSystem ? [] : present.filter((name) => !known.has(name));
  if (record === undefined || (foreign.length > 0 && record.state === "making"))
    throw foreignFound(target, record === undefined ? present : foreign);
  if (record.state === "complete" && !replace) {
    throw refuse(
      "a target that is not made yet",
      "one that is complete; if it was booted, the guest's work is in it",
      "--replace makes it anew; --target makes another.",
    );
  }
  if (foreign.length > 0) throw foreignFound(target, foreign);
  await refuseMounts(target, isTreeForm(record.plan.form));
  return { present, leftovers };
}

const foreignFound = (target: string, names: readonly string[]): HiperisoError =>
  new HiperisoError({
    what: "make the target",
    where: target,
    expected: "an empty folder, or one that `hiperiso bootstrap prepare` made",
    found: `${names.slice(0, 5).join(", ")}${names.length > 5 ? ` and ${names.length - 5} more` : ""}, which it did not make`,
    hint: "Choose another folder with --target. Nothing was changed.",
    kind: "usage",
  });

async function makeTarget(target: string, { options }: BootstrapPlan, env: Environment): Promise<void> {
  try {
    await makeFolders(target);
    if (!(await stat(target)).isDirectory()) throw new Error("a file stands there");
  } catch (cause) {
    throw new HiperisoError({
      what: "make the target",
      where: target,
      found: reasonOf(cause),
      hint: spaceHint(cause),
      kind: "usage",
      cause,
    });
  }
  if (options.tmpfs) await mountTmpfs(target, options.tmpfsSize, env);
}

/** `f_type` of a tmpfs, statfs(2). */
const TMPFS_MAGIC = 0x0102_1994;

async function mountTmpfs(target: string, size: string, env: Environment): Promise<void> {
  const isOwnMount = (await stat(target)).dev !== (await stat(join(target, ".."))).dev;
  if (isOwnMount && (await statfs(target)).type === TMPFS_MAGIC) return;
  const command = ["mount", "tmpfs", target, "-t", "tmpfs", "-o", `size=${size}`];
  if (process.geteuid?.() === 0) {
    await runTool("mount", command.slice(1), { env, signal: new AbortController().signal });
    return;
  }
  throw new HiperisoError({
    what: "mount a tmpfs",
    where: target,
    expected: "to be root, who alone can do that",
    found: "another user",
    hint: `Run \`sudo ${shellCommand(command)}\`, then this again.`,
    kind: "usage",
  });
}

/** What would be removed must not reach into another file system: /proc, /dev, a home folder that somebody mounted there. */
async function refuseMounts(target: string, isRoot: boolean): Promise<void> {
  if (!isRoot) return;
  const prefix = `${await realpath(target)}/`;
  const table = await readFile("/proc/self/mountinfo", "utf8").catch(() => "");
  const mounts = table
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8))),
    );
  const inside = mounts.filter((mount) => mount.startsWith(prefix));
  if (inside.length === 0) return;
  throw new HiperisoError({
    what: "make the target anew",
    where: target,
    expected: "nothing mounted in it",
    found: inside.join(", "),
    hint: "Unmount that first.",
    kind: "usage",
  });
}

/** A target among its own sources would be copied into itself, and would change the checkout. */
async function refuseOwnSources({ target, tree, distfiles, plan }: PrepareInput): Promise<void> {
  const sources = [
    join(tree, "seed"),
    join(tree, "steps"),
    join(tree, "builder-hex0"),
    distfiles,
    ...(plan.options.repo === undefined ? [] : [plan.options.repo]),
  ];
  const real = await nearestReal(target);
  for (const source of sources) {
    const folder = await realpath(source).catch(() => source);
    if (real !== folder && !real.startsWith(`${folder}/`) && !(target === tree)) continue;
    throw new HiperisoError({
      what: "make the target",
      where: target,
      expected: "a folder apart from what it is made of",
      found: target === tree ? "the checkout" : `one in ${source}`,
      hint: "Choose another with --target.",
      kind: "usage",
    });
  }
}

/** The path with its links resolved, as far as it exists. */
async function nearestReal(path: string): Promise<string> {
  const there = await realpath(path).catch(() => undefined);
  if (there !== undefined) return there;
  const parent = join(path, "..");
  return parent === path ? path : join(await nearestReal(parent), basename(path));
}

/** A folder in the target for what is made in several steps; gone at the end, however that comes. */
interface Scratch extends AsyncDisposable {
  /** Made when it is first asked for. */
  path(): Promise<string>;
}

function scratchOf(target: string): Scratch {
  const path = join(target, temporaryName());
  return {
    path: async () => {
      await makeFolders(path);
      return path;
    },
    [Symbol.asyncDispose]: () => removed(path),
  };
}

/** Also where it has folders that their owner may not write to. */
async function removed(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true, maxRetries: 3 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    await makeWritable(path);
    await rm(path, { recursive: true, force: true });
  }
}

async function makeWritable(folder: string): Promise<void> {
  await chmod(folder, 0o700);
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    if (entry.isDirectory()) await makeWritable(join(folder, entry.name));
  }
}

async function planTrees(input: PrepareInput, scratch: Scratch, job: Job): Promise<TargetTrees> {
  const { plan, tree, distfiles } = input;
  const { repo, earlyPreseed, buildGuixAlso } = plan.options;
  const [stage0, seed, steps, stepsGuix, sources, repoEntries] = await Promise.all([
    listTree(join(tree, STAGE0), job),
    plainFiles(join(tree, "seed"), job),
    listTree(join(tree, "steps"), job),
    buildGuixAlso ? listTree(join(tree, "steps-guix"), job) : undefined,
    plan.early.length + plan.late.length === 0 && !plan.options.externalSources ? [] : listTree(distfiles, job),
    repo === undefined ? undefined : listTree(repo, job),
  ]);
  const preseed =
    earlyPreseed !== undefined && plan.form === "kernel-bootstrap"
      ? await listTree(await unpacked(earlyPreseed, join(await scratch.path(), "preseed"), input.env, job), job, "walk")
      : undefined;
  const additions = await Promise.all(
    plan.additions.map(async ({ path, mode, guestFile }) => madeFile(path, await readFile(guestFilePath(guestFile)), mode)),
  );
  return planTargetTrees(plan, {
    stage0,
    seed,
    steps,
    ...(stepsGuix === undefined ? {} : { stepsGuix }),
    distfiles: sources.filter(({ path }) => !isPartialName(path)),
    ...(repoEntries === undefined ? {} : { repo: repoEntries }),
    ...(preseed === undefined ? {} : { preseed }),
    additions,
  });
}

/** Without looking into the folders: stage0-posix is listed on its own. */
async function plainFiles(folder: string, job: Job): Promise<readonly TargetEntry[]> {
  const names = await readdir(folder, { withFileTypes: true }).catch((cause: unknown) => {
    throw new HiperisoError({ what: "list a folder for the target", where: folder, found: reasonOf(cause), kind: "usage", cause });
  });
  const lists = await Promise.all(
    names.map(async ({ name }) =>
      (await stat(join(folder, name))).isFile() ? (await listTree(join(folder, name), job)).map((entry) => ({ ...entry, path: name })) : [],
    ),
  );
  return lists.flat();
}

/** An archive of any compression, as GNU tar sees it. It lets no entry out of the folder. */
async function unpacked(archive: string, folder: string, env: Environment, job: Job): Promise<string> {
  await makeFolders(folder);
  job.progress.say(`unpack ${archive}`);
  // Without --force-local a colon in the path would name another computer.
  await runTool("tar", ["--force-local", "-x", "-p", "-f", resolve(archive), "-C", folder], { env, signal: job.signal });
  return folder;
}

const initImageOf = ({ plan, checkout }: PrepareInput, trees: TargetTrees): InitImageLayout | undefined =>
  plan.form === "kernel-bootstrap" && checkout.bootSector !== undefined
    ? planInitImage({
        bootSector: checkout.bootSector,
        entries: trees.guest,
        targetSizeBytes: BigInt(plan.options.targetSizeMib) * BigInt(MIB),
      })
    : undefined;

const bytesOf = (entries: readonly TargetEntry[]): bigint => entries.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0n);

async function refuseLittleRoom({ target, plan }: PrepareInput, trees: TargetTrees, layout: InitImageLayout | undefined): Promise<void> {
  const payload = plan.late.reduce((sum, { sizeBytes = 0 }) => sum + BigInt(sizeBytes), 0n);
  // A file system is made from a folder of files: for a while they are there twice.
  const needed =
    plan.form === "kernel-bootstrap"
      ? (layout?.endOffset ?? 0n) + (trees.payload === undefined ? 0n : payload) + 2n * bytesOf(trees.external ?? [])
      : bytesOf(trees.guest) * (plan.form === "kernel" ? 2n : 1n);
  const { bavail, bsize } = await statfs(target, { bigint: true });
  if (needed <= bavail * bsize) return;
  throw new HiperisoError({
    what: "make the target",
    where: target,
    expected: `room for ${needed} bytes`,
    found: `${bavail * bsize}`,
    hint: "Make room, or choose another place with --target.",
  });
}

function outputsOf(plan: BootstrapPlan, trees: TargetTrees, layout: InitImageLayout | undefined): readonly PreparedOutput[] {
  if (layout === undefined && plan.form !== "kernel") {
    const tops = new Set(trees.guest.map(({ path }) => path.split("/")[0]!));
    return [...tops].map((name) => ({ name, kind: "tree", sizeBytes: 0 }));
  }
  return plan.disks.map(({ name, kind }) => ({ name, kind, sizeBytes: 0 }));
}

async function makeImages(
  input: PrepareInput,
  trees: TargetTrees,
  layout: InitImageLayout | undefined,
  present: readonly string[],
  scratch: Scratch,
  job: Job,
): Promise<readonly PreparedOutput[]> {
  const { target, plan, env, sync = true } = input;
  const outputs: PreparedOutput[] = [];
  for (const { name, kind, from, partitionOffsetBytes, sizeBytes = 0 } of plan.disks) {
    const path = join(target, name);
    if (kind === "boot-sector-and-sources") await writeInitImage(layout!, path, { sync }, job);
    else if (kind === "payload-container") await createPayload(trees.payload ?? [], path, { sync }, job);
    else {
      const folder = join(await scratch.path(), from ?? name);
      await makeRootFolder(input, from === "external" ? (trees.external ?? []) : trees.guest, folder, from === "disk", job);
      const disk = { folder, sizeBytes: BigInt(sizeBytes), partitionOffsetBytes: BigInt(partitionOffsetBytes), name };
      await makeFileSystemDisk(disk, path, { env, sync }, job);
      await removed(folder);
    }
    outputs.push({ name, kind, sizeBytes: (await stat(path)).size });
  }
  // Of an earlier plan, which had another disk.
  for (const name of present.filter((name) => !outputs.some((output) => output.name === name))) await removed(join(target, name));
  return outputs;
}

/** A tree in a folder of its own; with the early preseed below it where that is unpacked as it is. */
async function makeRootFolder(
  input: PrepareInput,
  entries: readonly TargetEntry[],
  folder: string,
  withPreseed: boolean,
  job: Job,
): Promise<void> {
  await makeFolders(folder);
  const { earlyPreseed } = input.plan.options;
  if (withPreseed && earlyPreseed !== undefined) {
    await unpacked(earlyPreseed, folder, input.env, job);
    // The checkout's own take their places.
    for (const name of ["steps", "external"]) await removed(join(folder, name));
  }
  await writeTree(folder, entries, job);
}

/** The root of a chroot or a sandbox. What starts it goes last: a root that was cut cannot be entered. */
async function makeRoot(
  input: PrepareInput,
  trees: TargetTrees,
  present: readonly string[],
  scratch: Scratch,
  record: PreparedRecord,
  job: Job,
): Promise<readonly PreparedOutput[]> {
  const { target, env, sync = true } = input;
  const work = await scratch.path();
  const [root, old] = [join(work, "root"), join(work, "old")];
  await makeRootFolder(input, trees.guest, root, true, job);
  if (sync) await runTool("sync", ["-f", root], { env, signal: job.signal });
  await mkdir(old);
  for (const name of present) await moved(join(target, name), join(old, name));
  const names = await readdir(root);
  // What a preseed brought is known only now, and whoever finds half of it has to know whose it is.
  const outputs = names.map((name): PreparedOutput => ({ name, kind: "tree", sizeBytes: 0 }));
  await writeRecord(target, { ...record, outputs });
  const startsIt = (name: string): number => (name === "bootstrap-seeds" || name === "init" ? 1 : 0);
  for (const name of names.sort((one, other) => startsIt(one) - startsIt(other))) await moved(join(root, name), join(target, name));
  return outputs;
}

/** A folder that its owner may not write to cannot be given another parent either. */
async function moved(from: string, to: string): Promise<void> {
  try {
    await rename(from, to);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EACCES") throw error;
    const { mode } = await stat(from);
    await chmod(from, mode | 0o200);
    await rename(from, to);
    await chmod(to, mode);
  }
}
