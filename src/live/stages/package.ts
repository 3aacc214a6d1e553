/** Packages of the computer's own distribution, fetched and not installed. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { type AptOptions, AS_ANY_USER, areOwnNewer, ownLists, rememberedAnswer, updateOwnLists } from "../apt-lists.ts";
import { IngredientsChanged, type StageRun, type StageSurroundings, stageKind } from "../stage.ts";
import { askTool } from "../tool.ts";

const Options = z.strictObject({
  first_of: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/))
    .min(1)
    .describe("Names, of which the first one that the distribution has is taken."),
  also: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/))
    .default([])
    .describe("More packages, all of which are taken."),
  follow: z
    .string()
    .refine(isPattern, "expected a regular expression")
    .optional()
    .describe("Regular expression: names of dependencies to take too, and of theirs."),
});
type Options = z.infer<typeof Options>;

function isPattern(text: string): boolean {
  try {
    return new RegExp(text) !== undefined;
  } catch {
    return false;
  }
}

/** Output: the packages as `.deb` files. */
export const packageStage = stageKind({
  kind: "package",
  revision: 2,
  options: Options,
  inputs: {},

  /** Which packages in which version: `package NAME` → `VERSION SHA-256`. */
  async ingredients(options, surroundings) {
    const entries = await rememberedAnswer(options, PackageVersions, surroundings, () => resolved(options, surroundings));
    return Object.fromEntries(entries.map(({ name, version, sha256 }) => [`package ${name}`, `${version} ${sha256}`]));
  },

  async run(_options, run) {
    const entries = Object.entries(run.ingredients).map(([key, value]): PackageVersion => {
      const [version, sha256] = value.split(" ") as [string, string];
      return { name: key.slice("package ".length), version, sha256 };
    });
    if (entries.length > 1) await fetchTogether(entries, run);
    for (const entry of entries) {
      if ((await digestThere(entry, run.output)) !== entry.sha256) await fetchPackage(entry, run.output, run);
    }
  },
});

interface PackageVersion {
  readonly name: string;
  readonly version: string;
  /** Of the `.deb` file, 64 hexadecimal digits. */
  readonly sha256: string;
}

const PackageVersions: z.ZodType<readonly PackageVersion[]> = z.array(
  z.object({ name: z.string(), version: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
);

interface PackageRecord extends PackageVersion {
  readonly depends: readonly string[];
}

/**
 * Asked of the computer's package lists. Where it has none, has never heard of the package, or has older ones than ours, lists of
 * our own are asked, fetched from the same sources, which needs no root.
 */
async function resolved(options: Options, surroundings: StageSurroundings): Promise<readonly PackageRecord[]> {
  const own = await ownLists(surroundings);
  const [system, ours]: readonly AptOptions[] = [[], own.options];
  for (const apt of (await areOwnNewer(surroundings)) ? [ours, system] : [system, ours]) {
    const found = await lookUp(options, surroundings, apt!);
    if (found !== undefined) return found;
  }
  await updateOwnLists(surroundings);
  const found = await lookUp(options, surroundings, own.options);
  if (found !== undefined) return found;
  throw new HiperisoError({
    what: "find a package",
    where: [options.first_of.join(" or "), ...options.also].join(", "),
    expected: "packages that the distribution's sources have",
    found: "none, also after fetching the package lists again",
    hint: "Check the package sources in /etc/apt and the network.",
  });
}

async function lookUp(
  { first_of, also, follow }: Options,
  surroundings: StageSurroundings,
  apt: AptOptions,
): Promise<readonly PackageRecord[] | undefined> {
  const asked = await readRecords([...first_of, ...also], surroundings, apt);
  const name = first_of.find((candidate) => asked.has(candidate));
  if (name === undefined || also.some((other) => !asked.has(other))) return undefined;
  const found = new Map([name, ...also].map((one) => [one, asked.get(one)!]));
  const pattern = follow === undefined ? undefined : new RegExp(follow);
  for (let last = [...found.values()]; last.length > 0; ) {
    const wanted = last.flatMap(({ depends }) => depends).filter((next) => pattern?.test(next) === true && !found.has(next));
    const records = await readRecords([...new Set(wanted)], surroundings, apt);
    if (wanted.some((next) => !records.has(next))) return undefined;
    for (const [next, record] of records) found.set(next, record);
    last = [...records.values()];
  }
  return [...found.values()];
}

/** Of the names, in their order, those that the lists have. One question for all: for each, apt reads all of its lists. */
async function readRecords(
  names: readonly string[],
  { env, job }: StageSurroundings,
  apt: AptOptions,
): Promise<ReadonlyMap<string, PackageRecord>> {
  if (names.length === 0) return new Map();
  const { status, stdout } = await askTool("apt-cache", [...apt, "show", "--no-all-versions", ...names], { env, signal: job.signal });
  const shown = status === 0 ? stdout.split(/\n{2,}/).flatMap((text) => decodePackageRecord(text) ?? []) : [];
  return new Map(
    names.flatMap((name) => {
      const record = shown.find((one) => one.name === name);
      return record === undefined ? [] : [[name, record]];
    }),
  );
}

/** One record of `apt-cache show`. Undefined where it names no version or digest: a virtual package. */
export function decodePackageRecord(text: string): PackageRecord | undefined {
  const field = (key: string): string | undefined => new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1];
  const [name, version, sha256] = [field("Package"), field("Version"), field("SHA256")];
  if (name === undefined || version === undefined || sha256 === undefined || !/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  const depends = `${field("Pre-Depends") ?? ""},${field("Depends") ?? ""}`
    .split(/[,|]/)
    .map((part) => part.trim().split(/[ :(]/)[0]!)
    .filter((part) => part !== "");
  return { name, version, sha256, depends };
}

/** For each question apt reads all of its lists. What does not come this way is fetched alone, where it is told what was wrong. */
async function fetchTogether(entries: readonly PackageVersion[], run: StageRun): Promise<void> {
  const { env, job, output, log } = run;
  const step = job.progress.begin(`download ${entries.length} packages`);
  const growth = growthOf(output);
  const watch = setInterval(() => void growth().then((bytes) => step.advance(bytes)), WATCH_MS);
  try {
    const own = await ownLists(run);
    const names = entries.map(({ name, version }) => `${name}=${version}`);
    for (const apt of [[], own.options]) {
      const words = [...apt, ...AS_ANY_USER, "download", ...names];
      if ((await askTool("apt-get", words, { env, signal: job.signal, cwd: output, log })).status === 0) return;
    }
  } finally {
    clearInterval(watch);
    step.end();
  }
}

async function fetchPackage(entry: PackageVersion, into: string, surroundings: StageSurroundings): Promise<void> {
  const { env, job } = surroundings;
  const step = job.progress.begin(`download ${entry.name} ${entry.version}`);
  const growth = growthOf(into);
  const watch = setInterval(() => void growth().then((bytes) => step.advance(bytes)), WATCH_MS);
  const download = (apt: AptOptions) =>
    askTool("apt-get", [...apt, ...AS_ANY_USER, "download", `${entry.name}=${entry.version}`], { env, signal: job.signal, cwd: into });
  try {
    const own = await ownLists(surroundings);
    for (const apt of [[], own.options]) {
      if ((await download(apt)).status === 0) return await checkDigest(entry, into);
    }
    // Lists that are older than the mirror name files that are gone from it.
    await updateOwnLists(surroundings);
    const { status, lastLines } = await download(own.options);
    if (status === 0) return await checkDigest(entry, into);
    throw new IngredientsChanged({
      what: "download a package",
      where: `${entry.name} ${entry.version}`,
      found: lastLines,
      hint: "The package lists were fetched again. If this persists, check the network.",
    });
  } finally {
    clearInterval(watch);
    step.end();
  }
}

const WATCH_MS = 250;

/** How many bytes a folder has grown by since it was last asked. Never throws: files come and go under apt's hands. */
function growthOf(folder: string): () => Promise<number> {
  let before = 0;
  return async () => {
    const names = await readdir(folder).catch(() => []);
    const sizes = await Promise.all(names.map(async (name) => (await stat(join(folder, name)).catch(() => undefined))?.size ?? 0));
    const now = sizes.reduce((sum, size) => sum + size, 0);
    const grown = Math.max(now - before, 0);
    before = now;
    return grown;
  };
}

/** apt checks signatures of lists and digests of files; this holds what the stage's hash promises. */
async function checkDigest(entry: PackageVersion, folder: string): Promise<void> {
  const { name, version, sha256 } = entry;
  const found = (await digestThere(entry, folder)) ?? "no file";
  if (found === sha256) return;
  throw new HiperisoError({ what: "download a package", where: `${name} ${version}`, expected: `SHA-256 ${sha256}`, found });
}

async function digestThere({ name }: PackageVersion, folder: string): Promise<string | undefined> {
  const file = (await readdir(folder)).find((candidate) => candidate.startsWith(`${name}_`) && candidate.endsWith(".deb"));
  if (file === undefined) return undefined;
  const hash = createHash("sha256");
  await pipeline(createReadStream(join(folder, file)), hash);
  return hash.digest("hex");
}
