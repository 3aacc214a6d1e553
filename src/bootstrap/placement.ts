/**
 * Where the import of the payload stands. The manifest's own line decides. A tree that has none gets one right behind `jump: fiwix`, the
 * first kernel with disks, where the people who designed the payload put it, if everything fits into the memory disk that is the root there
 * and what is kept of it fits into what `jump: linux` packs. Otherwise it stands behind the first later jump where everything fits: behind
 * `jump: linux` the root is a tmpfs, behind `jump: move_disk` it is a partition of the disk. A size that is not known counts as too large.
 */
import { HiperisoError } from "../contract/error.ts";
import type { StepFolder } from "./checkout.ts";
import { IMPORT_PACKAGE, IMPORT_STEP } from "./import-step.ts";
import {
  type Amount,
  amountOf,
  BELOW_PARTITION_BYTES,
  bytesLimit,
  countLimit,
  HANDOVER_BYTES,
  HANDOVER_USED_BYTES,
  known,
  type Limit,
  linuxRootBytes,
  MEMORY_DISK_BYTES,
  mib,
  plus,
  sentenceOf,
} from "./limits.ts";
import { type Manifest, type ManifestLine, parseManifest } from "./manifest.ts";
import type { BootstrapOptions } from "./options.ts";
import type { SourceLine } from "./source-list.ts";
import { importLine, networkLine, splitSources } from "./split.ts";
import { type Story, tellStory } from "./story.ts";

export interface ImportPlacement {
  /** Line of the step in the target's manifest, counted from 1. */
  readonly line: number;
  /** The step behind which it stands, as written; absent where the manifest has the line itself. */
  readonly after?: string;
  readonly decidedBy: "manifest" | "default" | "fit" | "forced";
  readonly because: string;
  /** Earlier places, each with the reason why it is not there. */
  readonly passedOver: readonly string[];
}

export interface PlacedImport {
  /** The manifest of the target. */
  readonly manifest: Manifest;
  readonly placement: ImportPlacement;
  /** Of the place where it now stands. */
  readonly limits: readonly Limit[];
}

export interface PlacementTree {
  readonly manifest: Manifest;
  readonly sources: ReadonlyMap<string, readonly SourceLine[]>;
  readonly guix?: StepFolder | undefined;
}

export interface PlacementFacts {
  /** Sizes of distfiles, where known. */
  readonly sizes: ReadonlyMap<string, number>;
  /** What the first image holds beside distfiles. */
  readonly treeBytes: number;
  readonly configuration: readonly (readonly [name: string, value: string])[];
}

const PREDICATE = "( KERNEL_BOOTSTRAP == True )";
/** Jumps behind which the root is another one, in the order in which it can be met. */
const ERAS = ["fiwix", "linux", "move_disk"] as const;

/** Throws (`usage`) where the manifest leads to no kernel with disks, or `--import-after` names no step or several. */
export function placeImport(tree: PlacementTree, options: BootstrapOptions, facts: PlacementFacts): PlacedImport {
  const { manifest } = tree;
  const own = importLine(manifest);
  const story = tell(manifest, options, facts);
  if (own !== undefined) {
    if (options.importAfter !== undefined)
      throw new HiperisoError({
        what: "place the import",
        where: `${manifest.where}:${own.line}`,
        expected: "a manifest without an import of its own, for --import-after",
        found: `"${own.text}"`,
        hint: "Leave --import-after out, or take the line out of the manifest.",
        kind: "usage",
      });
    const limits = limitsAt(tree, manifest, options, facts, false);
    const because = `line ${own.line} of the tree's own manifest says so`;
    return { manifest, placement: { line: own.line, decidedBy: "manifest", because, passedOver: [] }, limits };
  }
  if (options.importAfter !== undefined) return forced(tree, options, facts, story);
  return fitted(tree, options, facts, story);
}

const tell = (manifest: Manifest, options: BootstrapOptions, { configuration }: PlacementFacts): Story =>
  tellStory(manifest, configuration, { preseeded: options.earlyPreseed !== undefined });

function forced(tree: PlacementTree, options: BootstrapOptions, facts: PlacementFacts, story: Story): PlacedImport {
  const line = namedLine(tree.manifest, options.importAfter!);
  // The importer is built before that jump, by a compiler that is there only then.
  const jump = tree.manifest.lines.find(({ directive, name }) => directive === "jump" && name === "fiwix");
  if (jump === undefined) throw noKernel(tree.manifest);
  const jumps = story.steps.some((step) => step.line === jump.line);
  if (jumps && line.line < jump.line)
    throw new HiperisoError({
      what: "place the import",
      where: "--import-after",
      expected: `"jump: fiwix" in line ${jump.line}, or a step behind it`,
      found: `"${line.text}" in line ${line.line}`,
      hint: "Before that jump no kernel is there that can read a second disk.",
      kind: "usage",
    });
  const manifest = withImport(tree.manifest, line);
  return {
    manifest,
    placement: {
      line: importLine(manifest)!.line,
      after: written(line),
      decidedBy: "forced",
      because: "--import-after says so",
      passedOver: [],
    },
    limits: limitsAt(tree, manifest, options, facts, false),
  };
}

function fitted(tree: PlacementTree, options: BootstrapOptions, facts: PlacementFacts, story: Story): PlacedImport {
  const candidates = ERAS.flatMap((era) => {
    const step = story.steps.find(({ directive, name }) => directive === "jump" && name === era);
    return step === undefined ? [] : [tree.manifest.lines.find(({ line }) => line === step.line)!];
  });
  const [first] = candidates;
  const builds = tree.manifest.lines.some(({ directive, name }) => directive === "jump" && name === "fiwix");
  if (first === undefined || !builds) throw noKernel(tree.manifest);
  const passedOver: string[] = [];
  for (const [index, line] of candidates.entries()) {
    const manifest = withImport(tree.manifest, line);
    const limits = limitsAt(tree, manifest, options, facts, true);
    const broken = limits.find(({ ok }) => ok === false) ?? limits.find(({ ok }) => ok === null);
    if (broken !== undefined && index < candidates.length - 1) {
      const assumed = broken.ok === null ? "; sizes that are not known count as too large" : "";
      passedOver.push(`not behind "${written(line)}": ${sentenceOf(broken)}${assumed}`);
      continue;
    }
    const fits = broken === undefined ? ", and everything fits" : broken.ok === null ? ", if what is not known fits" : "";
    const because =
      index === 0
        ? `right behind the first kernel that can read a second disk${fits}`
        : `the ${broken === undefined ? "earliest" : "last"} place${fits}`;
    const placed = { line: importLine(manifest)!.line, after: written(line), because, passedOver };
    return { manifest, placement: { ...placed, decidedBy: index === 0 ? "default" : "fit" }, limits };
  }
  throw new Error("no candidate was taken");
}

const noKernel = (manifest: Manifest): HiperisoError =>
  new HiperisoError({
    what: "place the import",
    where: manifest.where,
    expected: `a "jump: fiwix", to a kernel that can read a second disk`,
    found: "none",
    hint: "Leave --external-sources out: then the guest downloads what comes late.",
    kind: "usage",
  });

/** The manifest with the build of the importer before `jump: fiwix` and the step behind `after`. */
function withImport(manifest: Manifest, after: ManifestLine): Manifest {
  const jump = manifest.lines.find(({ directive, name }) => directive === "jump" && name === "fiwix") ?? after;
  const hasBuild = manifest.lines.some(({ directive, name }) => directive === "build" && name === IMPORT_PACKAGE);
  const lines = manifest.text
    .split("\n")
    .flatMap((text, index) => [
      ...(index + 1 === jump.line && !hasBuild ? [`build: ${IMPORT_PACKAGE} ${PREDICATE}`] : []),
      text,
      ...(index + 1 === after.line ? [`improve: ${IMPORT_STEP} ${PREDICATE}`] : []),
    ]);
  return parseManifest(lines.join("\n"), manifest.where);
}

const written = (line: ManifestLine): string => `${line.directive}: ${line.name}`;

/** `jump: linux`, the name alone, or the number of a line. */
function namedLine(manifest: Manifest, wanted: string): ManifestLine {
  const found = /^\d+$/.test(wanted)
    ? manifest.lines.filter(({ line }) => line === Number(wanted))
    : manifest.lines.filter((line) => line.directive !== "define" && (written(line) === wanted || line.name === wanted));
  const [line, ...others] = found;
  if (line !== undefined && others.length === 0) return line;
  throw new HiperisoError({
    what: "place the import",
    where: "--import-after",
    expected: 'one step of the manifest, such as "jump: linux", a package, or the number of a line',
    found:
      line === undefined ? `"${wanted}", which is none` : `"${wanted}", which stands in lines ${found.map((one) => one.line).join(", ")}`,
    ...(line === undefined ? {} : { hint: "Give the number of the line." }),
    kind: "usage",
  });
}

/** What must hold where the import stands in `manifest`. */
function limitsAt(
  tree: PlacementTree,
  manifest: Manifest,
  options: BootstrapOptions,
  facts: PlacementFacts,
  stops: boolean,
): readonly Limit[] {
  const line = importLine(manifest)!;
  const story = tell(manifest, options, facts);
  const jumps = story.steps.filter(({ directive }) => directive === "jump");
  const era = ERAS.findLast((name) => jumps.some((step) => step.name === name && step.line < line.line));
  const sized = (files: readonly { readonly name: string }[]): Amount =>
    amountOf(files.map(({ name }) => (facts.sizes.has(name) ? { sizeBytes: facts.sizes.get(name)! } : {})));
  const split = splitSources({ ...tree, manifest }, options);
  const late = sized(split.late);
  switch (era) {
    case undefined:
      return [
        neverReadable(
          line,
          manifest.lines.find(({ directive, name }) => directive === "jump" && name === "fiwix"),
          stops,
        ),
      ];
    case "fiwix": {
      const all = plus(known(facts.treeBytes), sized(split.early), late);
      const inMemory = bytesLimit(
        "memory disk",
        all,
        MEMORY_DISK_BYTES,
        stops,
        "behind jump: fiwix the root is a memory disk, which holds the tree and all distfiles; what the steps unpack and build comes on top",
      );
      const packs = jumps.some((step) => step.name === "linux" && step.line > line.line);
      return packs ? [inMemory, handover(tree, manifest, sized, stops)] : [inMemory];
    }
    case "linux":
      return [
        bytesLimit(
          "root of Linux",
          plus(known(MEMORY_DISK_BYTES), late),
          linuxRootBytes(options.qemuRamMib),
          stops,
          `until jump: move_disk the root of Linux is a tmpfs of half the memory (${options.qemuRamMib} MiB); it came out of the memory disk, so it has at most what that had, and the late distfiles`,
        ),
      ];
    case "move_disk":
      // On bare metal the disk is not known. One that is too small ends the boot there, with a message of its own.
      if (options.targetSizeMib === 0) return [];
      return [
        bytesLimit(
          "partition of the target",
          plus(known(MEMORY_DISK_BYTES), late),
          Math.max(0, mib(options.targetSizeMib) - BELOW_PARTITION_BYTES),
          stops,
          "behind jump: move_disk the root is the partition behind the first GiB; it has at most what the memory disk had, and the late distfiles; what the later steps build comes on top",
        ),
      ];
  }
}

const neverReadable = (line: ManifestLine, jump: ManifestLine | undefined, stops: boolean): Limit =>
  countLimit({
    name: "line of the import",
    value: line.line,
    bound: "at least",
    limit: jump === undefined ? Number.MAX_SAFE_INTEGER : jump.line + 1,
    unit: "line",
    stops,
    because: "no kernel before jump: fiwix can read a second disk",
  });

/**
 * `jump: linux` packs the whole root. `improve: clean_sources` leaves of the distfiles those of the first `build: linux-…` and of all steps
 * behind it; those up to the network are in the 193 MiB that are used without a payload.
 */
function handover(
  tree: PlacementTree,
  manifest: Manifest,
  sized: (files: readonly { readonly name: string }[]) => Amount,
  stops: boolean,
): Limit {
  const linux = manifest.lines.findIndex(({ directive, name }) => directive === "build" && /^linux-\d/.test(name));
  const cleans = manifest.lines.some(({ directive, name }) => directive === "improve" && name === "clean_sources");
  const network = networkLine(manifest);
  const counted = new Set(namesIn(tree, manifest.lines.slice(0, network === undefined ? undefined : manifest.lines.indexOf(network))));
  const kept = namesIn(tree, cleans && linux !== -1 ? manifest.lines.slice(linux) : manifest.lines);
  const guix = tree.guix === undefined || cleans ? [] : namesIn(tree.guix, tree.guix.manifest.lines);
  const more = [...new Set([...kept, ...guix])].filter((name) => !counted.has(name)).map((name) => ({ name }));
  return bytesLimit(
    "hand-over area",
    plus(known(HANDOVER_USED_BYTES), sized(more)),
    HANDOVER_BYTES,
    stops,
    `jump: linux packs the whole root: about ${HANDOVER_USED_BYTES / mib(1)} MiB without a payload, and ${more.length} distfiles of steps behind the network that were imported before it`,
  );
}

function namesIn({ sources }: Pick<PlacementTree, "sources">, lines: readonly ManifestLine[]): readonly string[] {
  return lines.filter(({ directive }) => directive === "build").flatMap(({ name }) => (sources.get(name) ?? []).map((line) => line.name));
}
