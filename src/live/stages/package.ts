/** Packages of the computer's own distribution, unpacked and not installed. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { access, mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { type StageSurroundings, stageKind } from "../stage.ts";
import { runTool } from "../tool.ts";

const Options = z.strictObject({
  first_of: z
    .array(z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/))
    .min(1)
    .describe("Names of which the first one that the distribution has is taken."),
  follow: z.string().optional().describe("Regular expression: names of dependencies to take too, again and again."),
});

/** Output: all files of the packages, as they would be installed. */
export const packageStage = stageKind({
  kind: "package",
  revision: 1,
  options: Options,
  inputs: {},

  async ingredients(options, surroundings) {
    return Object.fromEntries(
      (await resolved(options, surroundings)).map(({ name, version, sha256 }) => [`package ${name}`, `${version} ${sha256}`]),
    );
  },

  async run(options, run) {
    for (const entry of await resolved(options, run)) {
      const file = await fetched(entry, run);
      run.job.progress.say(`unpack ${entry.name} ${entry.version}`);
      await runTool("dpkg-deb", ["--extract", file, run.output], { env: run.env, signal: run.job.signal });
    }
  },
});

interface PackageEntry {
  readonly name: string;
  readonly version: string;
  readonly sha256: string;
  readonly depends: readonly string[];
}

/**
 * Which packages, in which version: asked of the computer's package lists. Where it has none, or has never heard of the package,
 * lists of our own are fetched from the same sources, which needs no root.
 */
async function resolved(options: z.infer<typeof Options>, surroundings: StageSurroundings): Promise<readonly PackageEntry[]> {
  const known = await lookUp(options, surroundings, []);
  if (known !== undefined) return known;
  const own = await ownLists(surroundings);
  const fresh = (await lookUp(options, surroundings, own)) ?? (await update(surroundings, own), await lookUp(options, surroundings, own));
  if (fresh !== undefined) return fresh;
  throw new HiperisoError({
    what: "find a package",
    where: options.first_of.join(", "),
    expected: "one that the distribution's package sources have",
    found: "none, also after fetching the package lists again",
    hint: "Check the package sources (/etc/apt/sources.list.d) and the network.",
  });
}

async function lookUp(
  { first_of, follow }: z.infer<typeof Options>,
  surroundings: StageSurroundings,
  apt: readonly string[],
): Promise<readonly PackageEntry[] | undefined> {
  for (const name of first_of) {
    const first = await show(name, surroundings, apt);
    if (first === undefined) continue;
    const found = new Map([[name, first]]);
    const pattern = follow === undefined ? undefined : new RegExp(follow);
    for (const entry of found.values()) {
      for (const next of pattern === undefined ? [] : entry.depends.filter((candidate) => pattern.test(candidate))) {
        if (found.has(next)) continue;
        const dependency = await show(next, surroundings, apt);
        if (dependency === undefined) return undefined;
        found.set(next, dependency);
      }
    }
    return [...found.values()];
  }
  return undefined;
}

async function show(name: string, { env, job }: StageSurroundings, apt: readonly string[]): Promise<PackageEntry | undefined> {
  let text: string;
  try {
    text = await runTool("apt-cache", [...apt, "show", "--no-all-versions", name], { env, signal: job.signal });
  } catch (error) {
    job.signal.throwIfAborted();
    if (error instanceof HiperisoError && error.what.startsWith("run ")) return undefined; // no such package
    throw error;
  }
  return decodePackageRecord(text);
}

/** One record of `apt-cache show`. Undefined where it names no version or digest: a virtual package. */
export function decodePackageRecord(text: string): PackageEntry | undefined {
  const field = (key: string): string | undefined => new RegExp(`^${key}: (.*)$`, "m").exec(text)?.[1];
  const [name, version, sha256] = [field("Package"), field("Version"), field("SHA256")];
  if (name === undefined || version === undefined || sha256 === undefined || !/^[0-9a-f]{64}$/.test(sha256)) return undefined;
  const depends = `${field("Pre-Depends") ?? ""},${field("Depends") ?? ""}`
    .split(/[,|]/)
    .map((part) => part.trim().split(/[ :(]/)[0]!)
    .filter((part) => part !== "");
  return { name, version, sha256, depends };
}

/** The package's file, from the cache where its digest still fits. */
async function fetched(entry: PackageEntry, run: StageSurroundings & { readonly scratch: string }): Promise<string> {
  const folder = join(run.cacheFolder, "packages");
  await mkdir(folder, { recursive: true });
  const kept = join(folder, `${entry.name}_${entry.sha256.slice(0, 16)}.deb`);
  if (await hasDigest(kept, entry.sha256)) return kept;
  const own = await ownLists(run);
  const download = async (apt: readonly string[]): Promise<string> => {
    await runTool("apt-get", [...apt, "-o", "APT::Sandbox::User=", "-qq", "download", `${entry.name}=${entry.version}`], {
      env: run.env,
      signal: run.job.signal,
      cwd: run.scratch,
    });
    const name = (await readdir(run.scratch)).find((candidate) => candidate.startsWith(`${entry.name}_`) && candidate.endsWith(".deb"));
    if (name === undefined)
      throw new HiperisoError({ what: "download a package", where: entry.name, expected: "a .deb file", found: "none" });
    return join(run.scratch, name);
  };
  const step = run.job.progress.begin(`download ${entry.name} ${entry.version}`);
  try {
    const file = await download([]).catch(async () => {
      // Lists that are older than the mirror name files that are gone from it.
      await update(run, own);
      return await download(own);
    });
    if (!(await hasDigest(file, entry.sha256))) {
      throw new HiperisoError({
        what: "download a package",
        where: entry.name,
        expected: `SHA-256 ${entry.sha256}`,
        found: "other bytes",
        hint: "Run apt-get update, then try again.",
      });
    }
    await rename(file, kept).catch(async () => {
      await runTool("cp", [file, `${kept}.tmp`], { env: run.env, signal: run.job.signal });
      await rename(`${kept}.tmp`, kept);
    });
    return kept;
  } finally {
    step.end();
    await rm(join(run.scratch, entry.name), { force: true, recursive: true });
  }
}

async function hasDigest(path: string, sha256: string): Promise<boolean> {
  if (
    !(await access(path).then(
      () => true,
      () => false,
    ))
  )
    return false;
  const hash = createHash("sha256");
  await pipeline(createReadStream(path), hash);
  return hash.digest("hex") === sha256;
}

/** apt's options for package lists of our own, which any user may fetch. */
async function ownLists({ cacheFolder }: StageSurroundings): Promise<readonly string[]> {
  const state = join(cacheFolder, "apt");
  await mkdir(join(state, "lists", "partial"), { recursive: true });
  await mkdir(join(state, "cache", "archives", "partial"), { recursive: true });
  return [
    "-o",
    `Dir::State::lists=${state}/lists`,
    "-o",
    `Dir::Cache=${state}/cache`,
    "-o",
    "Debug::NoLocking=1",
    "-o",
    "APT::Sandbox::User=",
  ];
}

async function update({ env, job }: StageSurroundings, apt: readonly string[]): Promise<void> {
  const step = job.progress.begin("fetch the distribution's package lists");
  try {
    await runTool("apt-get", [...apt, "-qq", "update"], { env, signal: job.signal });
  } finally {
    step.end();
  }
}
