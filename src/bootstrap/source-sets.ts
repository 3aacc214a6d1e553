/** Which distfiles a person may mean: sets of them, named after what they are for, and the list that the tree's own tools print. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Job } from "../contract/job.ts";
import type { Checkout } from "./checkout.ts";
import { checkOptions } from "./options.ts";
import { planBootstrap } from "./plan.ts";
import { readPlanFacts } from "./plan-facts.ts";
import { type Distfile, distfilesOf, type PackageSources, parseSources } from "./source-list.ts";
import { splitSources } from "./split.ts";

/**
 * `full`: of the whole manifest. `pre-network`: what a guest needs before it can download. `early`, `late`: the two halves of media with a
 * payload disk. `all`: of every list in `steps/`, also of packages that the manifest does not build.
 */
export const SOURCE_SETS = ["full", "pre-network", "early", "late", "all"] as const;
export type SourceSetName = (typeof SOURCE_SETS)[number];

export interface SourceSetOptions {
  /** Sizes of files there decide where the import stands, and with it what is early. */
  readonly distfiles: string;
  /** With the packages of `steps-guix`. */
  readonly guix: boolean;
  readonly importAfter?: string | undefined;
}

export interface SourceSet {
  readonly distfiles: readonly Distfile[];
  /** `SHA256 distfiles URL NAME`, each once, in the order of the manifest: what `source_manifest.py` prints of the full set. */
  readonly lines: readonly string[];
}

/** Throws (`usage`) where the checkout has no such set, or two lists want different files under one name. */
export async function readSourceSet(checkout: Checkout, name: SourceSetName, options: SourceSetOptions, job: Job): Promise<SourceSet> {
  const packages = [...packagesOf(checkout, options), ...(name === "all" ? await unbuiltPackages(checkout) : [])];
  const distfiles = name === "all" ? distfilesOf(packages) : await distfilesIn(checkout, name, options, job);
  const names = new Set(distfiles.map((file) => file.name));
  const lines = packages
    .flatMap((wanting) => wanting.lines)
    .filter((line) => names.has(line.name))
    .map(({ sha256, url, name: file }) => `${sha256} distfiles ${url ?? "_"} ${file}`);
  return { distfiles, lines: [...new Set(lines)] };
}

async function distfilesIn(
  checkout: Checkout,
  name: Exclude<SourceSetName, "all">,
  { distfiles, guix, importAfter }: SourceSetOptions,
  job: Job,
): Promise<readonly Distfile[]> {
  // No address of a mirror has a part in what is decided here.
  const given = { buildGuixAlso: guix, mirrors: ["http://127.0.0.1"] };
  if (name === "full" || name === "pre-network") {
    const tree = { ...checkout, guix: guix ? checkout.guix : undefined };
    return splitSources(tree, checkOptions({ ...given, chroot: true, externalSources: name === "full" })).early;
  }
  const options = checkOptions({ ...given, qemu: true, externalSources: true, importAfter });
  return planBootstrap(checkout, options, await readPlanFacts(distfiles, options, job))[name];
}

function packagesOf({ manifest, sources, guix }: Checkout, options: SourceSetOptions): readonly PackageSources[] {
  const folders = [{ manifest, sources }, ...(options.guix && guix !== undefined ? [guix] : [])];
  return folders.flatMap((folder) =>
    folder.manifest.lines
      .filter(({ directive }) => directive === "build")
      .map((line) => ({ package: line.name, lines: folder.sources.get(line.name) ?? [] })),
  );
}

/** Packages that have a list and that no line of the manifest builds, by name. */
async function unbuiltPackages({ root, files, sources }: Checkout): Promise<readonly PackageSources[]> {
  const packages = files.flatMap(({ path }) => /^steps\/([^/]+)\/sources$/.exec(path)?.[1] ?? []).filter((name) => !sources.has(name));
  return Promise.all(
    packages.map(async (name) => {
      const path = `steps/${name}/sources`;
      return { package: name, lines: parseSources(await readFile(join(root, path), "utf8"), path) };
    }),
  );
}
