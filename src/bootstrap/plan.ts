/** The plan of a bootstrap: everything that is decided before a byte is written. Plain data; `--json` prints it as it is. */
import { HiperisoError } from "../contract/error.ts";
import { measureSecondStage } from "./boot-sector.ts";
import { BOOT_SECTOR, type Checkout } from "./checkout.ts";
import { decodeConfiguration, encodeConfiguration } from "./configuration.ts";
import { firstImageEntries, type ImageEntry, measureFirstImage } from "./first-image.ts";
import { IMPORT_PACKAGE, IMPORT_PACKAGE_FILES, IMPORT_STEP, type ImportStepFile, importStepFile } from "./import-step.ts";
import { type Limit, sentenceOf } from "./limits.ts";
import type { Manifest } from "./manifest.ts";
import { type BootstrapForm, type BootstrapMode, type BootstrapOptions, formOf, hasPayload } from "./options.ts";
import { type ImportPlacement, placeImport } from "./placement.ts";
import type { PlanFacts } from "./plan-facts.ts";
import { bootLimits, configurationLimits, diskLimits } from "./plan-limits.ts";
import { planWarnings } from "./plan-warnings.ts";
import { type PlannedDisk, planDisks } from "./planned-disks.ts";
import { requiredGuix, requireParts } from "./required-parts.ts";
import { type PlacedFile, splitSources } from "./split.ts";
import { type Story, tellStory } from "./story.ts";

export interface PlannedFile extends PlacedFile {
  /** Absent where the file is not in the folder of distfiles. */
  readonly sizeBytes?: number;
}

/** A file of this program that the target gets and the checkout does not have. */
export interface Addition extends ImportStepFile {
  readonly because: string;
}

export interface BootstrapPlan {
  readonly mode: BootstrapMode;
  readonly form: BootstrapForm;
  readonly arch: string;
  readonly archDir: string;
  readonly options: BootstrapOptions;
  /** The late files travel in a container on a second raw disk. */
  readonly payload: boolean;
  /** `steps/bootstrap.cfg`, whole. */
  readonly configuration: string;
  /** `steps/manifest` as it will stand in the target. */
  readonly manifest: string;
  /** Whether that is another text than the checkout's. */
  readonly manifestChanged: boolean;
  readonly additions: readonly Addition[];
  readonly import?: ImportPlacement;
  readonly story: Story;
  /** In `external/distfiles` of the tree that boots first, in manifest order. */
  readonly early: readonly PlannedFile[];
  /** On the second disk alone, in manifest order. A container holds them sorted by the bytes of their names. */
  readonly late: readonly PlannedFile[];
  /** Fetched by the guest itself, once it has a network. */
  readonly network: readonly PlannedFile[];
  /** The line of the target's manifest that parts the three; absent where everything is early. */
  readonly boundary?: { readonly line: number; readonly step: string };
  /** Files of the folder of distfiles that no step names, and whether they are copied too, as the original does. */
  readonly strays: { readonly names: readonly string[]; readonly copied: boolean };
  readonly disks: readonly PlannedDisk[];
  readonly limits: readonly Limit[];
  readonly warnings: readonly string[];
}

/** Pure. Throws (`usage`) where the checkout lacks what this form of bootstrap needs, or an option has no meaning in it. */
export function planBootstrap(checkout: Checkout, options: BootstrapOptions, facts: PlanFacts): BootstrapPlan {
  const form = formOf(options);
  requireParts(checkout, options, form);
  const payload = hasPayload(options);
  const guix = options.buildGuixAlso ? requiredGuix(checkout) : undefined;
  // The address of a server that does not run yet: the port is chosen when the media are made.
  const mirrors = facts.mirrorUrls ?? options.mirrors.map((mirror) => (mirror.startsWith("file://") ? "http://127.0.0.1:0" : mirror));
  const configuration = encodeConfiguration(options, mirrors);
  const variables = decodeConfiguration(configuration);
  const tree = { manifest: checkout.manifest, sources: checkout.sources, guix };
  const placed = payload
    ? placeImport(tree, options, { sizes: facts.distfiles, treeBytes: treeBytes(checkout, options), configuration: variables })
    : undefined;
  const manifest = placed?.manifest ?? checkout.manifest;
  const story = tellStory(manifest, variables, { preseeded: options.earlyPreseed !== undefined });
  const additions = placed === undefined ? [] : additionsFor(checkout, manifest, story, placed.placement);
  const split = splitSources({ ...tree, manifest }, options);
  const sized = (files: readonly PlacedFile[]): readonly PlannedFile[] =>
    files.map((file) => {
      const sizeBytes = facts.distfiles.get(file.name);
      return sizeBytes === undefined ? file : { ...file, sizeBytes };
    });
  const [early, late, network] = [sized(split.early), sized(split.late), sized(split.network)];
  const named = new Set([...early, ...late, ...network].map(({ name }) => name));
  const strays = {
    names: [...facts.distfiles.keys()].filter((name) => !named.has(name)).sort(),
    copied: options.externalSources && !payload,
  };
  const stage =
    form === "kernel-bootstrap" && checkout.bootSector !== undefined
      ? measureSecondStage(checkout.bootSector.stage2, `${BOOT_SECTOR.folder}/${BOOT_SECTOR.stage2}`)
      : undefined;
  const made = madeEntries({ configuration, manifest, additions, early, facts });
  const image = stage && measureFirstImage(firstImageEntries(checkout, made, options), stage.srcfsSector);
  const disks = planDisks({ form, options, payload, early, late, strays, treeBytes: treeBytes(checkout, options), image, facts });
  const limits = [
    ...(stage === undefined || image === undefined ? [] : bootLimits(stage, options, story, image)),
    ...(placed?.limits ?? []),
    ...diskLimits(form, options, disks, placed?.placement, story),
    ...configurationLimits(configuration),
  ];
  const plan = {
    mode: options.mode,
    form,
    arch: options.arch,
    archDir: options.archDir,
    options,
    payload,
    configuration,
    manifest: manifest.text,
    manifestChanged: manifest.text !== checkout.manifest.text,
    additions,
    ...(placed === undefined ? {} : { import: placed.placement }),
    story,
    early,
    late,
    network,
    ...(split.boundary === undefined ? {} : { boundary: split.boundary }),
    strays,
    disks,
    limits,
  };
  return { ...plan, warnings: planWarnings(plan, checkout, facts) };
}

/** Throws (`usage`) where a limit that must hold does not: whoever makes media asks this first. */
export function refuseBrokenLimits(plan: BootstrapPlan): void {
  const broken = plan.limits.filter(({ ok, stops }) => ok === false && stops);
  if (broken.length === 0) return;
  throw new HiperisoError({
    what: "make media that the early code can boot",
    expected: "every limit of it to hold",
    found: broken.map(sentenceOf).join("; "),
    hint: "`hiperiso bootstrap plan` shows what goes where.",
    kind: "usage",
  });
}

/** What the target holds without distfiles and additions. */
function treeBytes(checkout: Checkout, options: BootstrapOptions): number {
  if (formOf(options) !== "kernel-bootstrap") return checkout.files.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  return firstImageEntries(checkout, [], options).reduce((sum, { sizeBytes }) => sum + (sizeBytes ?? 0), 0);
}

/** What the tree does not bring itself. */
function additionsFor(checkout: Checkout, manifest: Manifest, story: Story, placement: ImportPlacement): readonly Addition[] {
  const files = new Set(checkout.files.map(({ path }) => path));
  // A step of the tree's own knows its own importer, and where that is built.
  const hasStep = files.has(`steps/improve/${IMPORT_STEP}.sh`);
  const buildsOurs = manifest.lines.some(({ directive, name }) => directive === "build" && name === IMPORT_PACKAGE);
  const hasPackage = [...files].some((path) => path.startsWith(`steps/${IMPORT_PACKAGE}/`));
  const interpreter = story.steps.find(({ line }) => line === placement.line)?.interpreter ?? "kaem";
  return [
    ...(buildsOurs && !hasPackage ? IMPORT_PACKAGE_FILES.map((file) => ({ ...file, because: "the importer; the checkout has none" })) : []),
    ...(hasStep
      ? []
      : [{ ...importStepFile(interpreter), because: `calls the importer; ${interpreter} reads it in line ${placement.line}` }]),
  ];
}

/** What stands in the first image beside the checkout's own files, or in their place. */
function madeEntries(given: {
  configuration: string;
  manifest: Manifest;
  additions: readonly Addition[];
  early: readonly PlannedFile[];
  facts: PlanFacts;
}): readonly ImageEntry[] {
  const file = (path: string, sizeBytes: number | undefined): ImageEntry => ({ path, kind: "file", sizeBytes });
  const bytesOf = (text: string): number => new TextEncoder().encode(text).length;
  return [
    file("steps/bootstrap.cfg", bytesOf(given.configuration)),
    file("steps/manifest", bytesOf(given.manifest.text)),
    ...given.additions.map(({ path, guestFile }) => file(path, given.facts.guestFiles.get(guestFile))),
    { path: "external/distfiles", kind: "directory", sizeBytes: 0 },
    ...given.early.map(({ name, sizeBytes }) => file(`external/distfiles/${name}`, sizeBytes)),
  ];
}
