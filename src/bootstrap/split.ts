/**
 * Which source file travels where: the heart of small first images. A pure function of manifest, lists and options. Like the tree's own
 * generator it looks at no predicate, so that one set of media serves every configuration that the guest may still be given.
 *
 *   payload                      early: builds before `improve: import_payload`         late: the rest, in the container
 *   kernel bootstrap, a repo     early: builds before the first improve with "network"  late: with external sources the rest, on the ext3 disk
 *   kernel bootstrap, neither    early: the same                                        network: the rest
 *   chroot, bwrap, kernel        early: everything with external sources, else the same; network: the rest
 */
import type { StepFolder } from "./checkout.ts";
import { IMPORT_STEP } from "./import-step.ts";
import type { Manifest, ManifestLine } from "./manifest.ts";
import { type BootstrapOptions, hasPayload, isKernelBootstrap } from "./options.ts";
import { type Distfile, distfilesOf, type PackageSources, type SourceLine } from "./source-list.ts";

export interface PlacedFile extends Distfile {
  /** Why it stands where it does. */
  readonly because: string;
}

export interface SourceSplit {
  /** In `external/distfiles` of the tree that boots first. In manifest order, as all three. */
  readonly early: readonly PlacedFile[];
  /** On the second disk alone. */
  readonly late: readonly PlacedFile[];
  /** Downloaded in the guest. */
  readonly network: readonly PlacedFile[];
  /** The line of the manifest that parts them; absent where everything is early. */
  readonly boundary?: { readonly line: number; readonly step: string };
}

/** The manifest and lists of the main steps, and those of `steps-guix` where they are built too. */
export interface SplitSources {
  readonly manifest: Manifest;
  readonly sources: ReadonlyMap<string, readonly SourceLine[]>;
  readonly guix?: StepFolder | undefined;
}

/** Throws (`usage`) where two lists want different files under one name. */
export function splitSources(tree: SplitSources, options: BootstrapOptions): SourceSplit {
  const { manifest, guix } = tree;
  const boundary = hasPayload(options) ? importLine(manifest) : networkLine(manifest);
  const behind = boundary === undefined ? manifest.lines.length : manifest.lines.indexOf(boundary);
  const before = packagesOf(tree, manifest.lines.slice(0, behind));
  const after = packagesOf(tree, manifest.lines.slice(behind));
  const more = guix === undefined ? [] : packagesOf(guix, guix.manifest.lines);
  // Merged over everything, so that a file knows all its addresses and all who want it.
  const all = distfilesOf([...before, ...after, ...more]);
  if (options.externalSources && !isKernelBootstrap(options))
    return { early: all.map((file) => ({ ...file, because: "--external-sources: the target holds everything" })), late: [], network: [] };
  const early = new Set(before.flatMap(({ lines }) => lines.map(({ name }) => name)));
  const parted = boundary && { boundary: { line: boundary.line, step: `${boundary.directive}: ${boundary.name}` } };
  const stop = boundary === undefined ? "the end of the manifest" : `line ${boundary.line}, "${boundary.directive}: ${boundary.name}"`;
  const first = firstBuilds([...manifest.lines.filter(isBuild)], tree);
  const built = (file: Distfile): string => {
    const line = first.get(file.name);
    return line === undefined ? "wanted by steps-guix" : `wanted in line ${line.line} by ${line.name}`;
  };
  const rest = all.filter(({ name }) => !early.has(name));
  const onDisk = options.externalSources ? rest : [];
  const fetched = options.externalSources ? [] : rest;
  return {
    early: all.filter(({ name }) => early.has(name)).map((file) => ({ ...file, because: `${built(file)}, before ${stop}` })),
    late: onDisk.map((file) => ({ ...file, because: `${built(file)}, behind ${stop}` })),
    network: fetched.map((file) => ({ ...file, because: `${built(file)}, behind ${stop}, where the guest can download` })),
    ...parted,
  };
}

const isBuild = (line: ManifestLine): boolean => line.directive === "build";

/** The line of the import; undefined where the manifest has none. */
export const importLine = (manifest: Manifest): ManifestLine | undefined =>
  manifest.lines.find((line) => line.directive === "improve" && line.name === IMPORT_STEP);

/** The first improve whose line has "network" anywhere in it, its comment included: that is how the original looks for it. */
export const networkLine = (manifest: Manifest): ManifestLine | undefined =>
  manifest.lines.find((line) => line.directive === "improve" && line.text.includes("network"));

function packagesOf({ sources }: Pick<SplitSources, "sources">, lines: readonly ManifestLine[]): readonly PackageSources[] {
  return lines.filter(isBuild).map(({ name }) => ({ package: name, lines: sources.get(name) ?? [] }));
}

/** The line that first wants each file. */
function firstBuilds(builds: readonly ManifestLine[], { sources }: SplitSources): ReadonlyMap<string, ManifestLine> {
  const first = new Map<string, ManifestLine>();
  for (const build of builds) for (const { name } of sources.get(build.name) ?? []) if (!first.has(name)) first.set(name, build);
  return first;
}
