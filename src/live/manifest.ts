/** What a built image is made of: its packages with their licences, every stage with the hashes of what went in and came out, and how it was tested. */
import { readdir, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { writeFileAtomic } from "../host/atomic-file.ts";
import type { Environment } from "../host/xdg.ts";
import { fileDigest } from "./file-digest.ts";
import type { InstalledPackage } from "./packages/installed-package.ts";
import { type PackageList, readPackages } from "./packages/package-list.ts";
import { readPlan } from "./plan.ts";
import type { Built, BuiltStage } from "./runner.ts";
import { Store } from "./store.ts";

export interface FileFact {
  /** Below the stage's output, or beside the manifest. */
  readonly path: string;
  readonly size_bytes: number;
  readonly sha256: string;
}

export interface ManifestStage {
  readonly name: string;
  readonly kind: string;
  /** Of everything that made it: options, inputs, ingredients. */
  readonly recipe: string;
  /** Name of an input: the stage that it came from. */
  readonly inputs: Readonly<Record<string, string>>;
  /** Digests of source files, versions of tools and packages: what the stage said of itself. */
  readonly ingredients: Readonly<Record<string, string>>;
  readonly files: readonly FileFact[];
  /** Packages that were there to build with, and are not in the image by this stage. */
  readonly packages?: readonly InstalledPackage[];
}

export interface Manifest {
  readonly format: 1;
  readonly made_by: string;
  readonly name: string;
  readonly spec: FileFact;
  /** Seconds since 1970: the time of every file. */
  readonly epoch: number;
  readonly image: FileFact;
  /** In the image's root file system. Null: it has no database of packages. */
  readonly packages: readonly InstalledPackage[] | null;
  /** Package managers whose database is in the image and was not read. */
  readonly unread_packages: readonly string[];
  readonly tests: readonly { readonly stage: string; readonly passed: boolean }[];
  readonly stages: readonly ManifestStage[];
}

export interface ManifestOptions {
  readonly planPath: string;
  readonly built: Built;
  /** Folder of the store that it was built in. */
  readonly store: string;
  readonly env: Environment;
  /** Name and version of this program. */
  readonly program: string;
}

/** The same build gives the same manifest, in any store and at any time: no clock, no path of this computer. */
export async function readManifest({ planPath, built, store: root, env, program }: ManifestOptions): Promise<Manifest> {
  const plan = await readPlan(planPath);
  const store = await Store.open(root, env);
  const cache = join(root, "cache");
  const byHash = new Map(built.stages.map(({ name, hash }) => [hash, name]));
  const lists = new Map<string, PackageList>();
  const stages: ManifestStage[] = [];
  for (const stage of built.stages) {
    const recipe = await store.recipe(stage.hash);
    const list = await readPackages(stage.output);
    if (list !== undefined) lists.set(stage.name, list);
    const inputs = Object.fromEntries(Object.entries(recipe?.inputs ?? {}).map(([name, hash]) => [name, byHash.get(hash) ?? hash]));
    // What tests wrote tells of times and of this computer.
    const files = built.tests.some(({ stage: name }) => name === stage.name) ? [] : await outputFiles(stage, cache);
    stages.push({ name: stage.name, kind: stage.kind, recipe: stage.hash, inputs, ingredients: recipe?.ingredients ?? {}, files });
  }
  const rootStage = stageOfRoot(stages, lists, plan.result.stage);
  const inImage = lists.get(rootStage ?? "");
  // What the image's root was made from is in it; the packages of all other stages were only there to build with.
  const below = ancestors(stages, rootStage);
  return {
    format: 1,
    made_by: program,
    name: plan.name,
    spec: { ...(await factOf(planPath, cache)), path: releaseFile(planPath, "spec.yaml") },
    epoch: plan.epochS,
    image: { ...(await factOf(built.output, cache)), path: releaseFile(built.output, "image") },
    packages: inImage?.packages ?? null,
    unread_packages: inImage?.unread ?? [],
    tests: built.tests.map(({ stage, passed }) => ({ stage, passed })),
    stages: stages.map((stage) => {
      const list = below.has(stage.name) ? undefined : lists.get(stage.name);
      return list === undefined ? stage : { ...stage, packages: list.packages };
    }),
  };
}

/** What a release holds beside the image and the spec. */
const OWN_NAMES = /^(?:SHA256SUMS.*|manifest\.json|sbom\.cdx\.json|index\.html|boot-report)$/i;

/** The file's own name where that can stand in a list of sums, in an address and beside what is ours; else `otherwise`. */
function releaseFile(path: string, otherwise: string): string {
  const name = basename(path);
  return /^[A-Za-z0-9][A-Za-z0-9 ._+-]*$/.test(name) && !OWN_NAMES.test(name) ? name : otherwise;
}

/** From the result along the inputs that are called `root`, down to the stage that knows its packages. */
function stageOfRoot(stages: readonly ManifestStage[], lists: ReadonlyMap<string, PackageList>, from: string): string | undefined {
  const inputsOf = new Map(stages.map(({ name, inputs }) => [name, inputs]));
  for (let name: string | undefined = from; name !== undefined; name = inputsOf.get(name)?.["root"]) if (lists.has(name)) return name;
  return undefined;
}

/** With the stage itself. */
function ancestors(stages: readonly ManifestStage[], from: string | undefined): ReadonlySet<string> {
  const inputsOf = new Map(stages.map(({ name, inputs }) => [name, Object.values(inputs)]));
  const all = new Set(from === undefined ? [] : [from]);
  // A set hands out what is added while it is walked.
  for (const name of all) for (const input of inputsOf.get(name) ?? []) all.add(input);
  return all;
}

async function outputFiles({ output }: BuiltStage, cache: string): Promise<readonly FileFact[]> {
  const entries = await readdir(output, { recursive: true, withFileTypes: true });
  const paths = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(output.length + 1));
  const facts: FileFact[] = [];
  for (const path of paths.sort()) facts.push({ ...(await factOf(join(output, path), cache)), path });
  return facts;
}

async function factOf(path: string, cache: string): Promise<Omit<FileFact, "path">> {
  return { size_bytes: (await stat(path)).size, sha256: await fileDigest(path, cache) };
}

/**
 * Writes `<image>.manifest.json` and `<image>.sha256` (as `sha256sum --check` reads it) beside a copy of the image. `image`: that copy's path, of a name
 * without line feeds and backslashes.
 */
export async function writeManifestBeside(image: string, manifest: Manifest): Promise<readonly string[]> {
  const name = basename(image);
  const told: Manifest = { ...manifest, image: { ...manifest.image, path: name } };
  const [json, sums] = [`${image}.manifest.json`, `${image}.sha256`];
  await writeFileAtomic(json, `${JSON.stringify(told, null, 2)}\n`);
  await writeFileAtomic(sums, `${manifest.image.sha256}  ${name}\n`);
  return [json, sums];
}
