/** What a plan has to say to the person that stops nothing. */
import type { Checkout } from "./checkout.ts";
import { IMPORT_STEP } from "./import-step.ts";
import { kaemProblems } from "./kaem-script.ts";
import { type Limit, sentenceOf } from "./limits.ts";
import type { BootstrapForm, BootstrapOptions } from "./options.ts";
import type { PlanFacts } from "./plan-facts.ts";
import type { Story } from "./story.ts";

export interface WarningInput {
  readonly form: BootstrapForm;
  readonly options: BootstrapOptions;
  readonly payload: boolean;
  readonly early: readonly { readonly sizeBytes?: number }[];
  readonly late: readonly { readonly sizeBytes?: number }[];
  readonly additions: readonly { readonly path: string }[];
  readonly limits: readonly Limit[];
  readonly story: Story;
}

export function planWarnings(plan: WarningInput, checkout: Checkout, facts: PlanFacts): readonly string[] {
  return [
    ...checkout.warnings,
    ...optionWarnings(plan, facts),
    ...plan.limits.filter(({ ok, stops }) => ok === false && !stops).map((limit) => `Over a limit: ${sentenceOf(limit)}.`),
    ...unknownSizes(plan),
    ...ownStep(plan, checkout),
    ...plan.story.unset.map(({ name, line }) => `manifest:${line}: nothing sets ${name}; it is empty there.`),
    ...lacking(plan, checkout),
  ];
}

function optionWarnings({ options, form, payload, story }: WarningInput, facts: PlanFacts): readonly string[] {
  const warnings: string[] = [];
  if (options.arch !== "x86") warnings.push("Only x86 is supported at the moment, other architectures are for development only.");
  if (!options.externalSources && facts.mirrorUrls === undefined)
    warnings.push("A file:// mirror is served by this computer; its address in bootstrap.cfg is chosen when the media are made.");
  if (!options.createConfig)
    warnings.push(
      `--no-create-config: the guest's configurator decides what runs; the story is that of an empty configuration.${
        payload ? " PAYLOAD_REQUIRED is not set, so nothing is imported." : ""
      }`,
    );
  if (options.configurator) warnings.push("--configurator: what the guest is told there can change the story.");
  if (options.earlyPreseed !== undefined && form === "kernel-bootstrap")
    warnings.push(
      "--early-preseed: steps before the first bash do not run, jump: fiwix among them; what is in the preseed is not counted in sizes.",
    );
  const stop = story.steps.find(({ directive, name }) => directive === "jump" && name === "break");
  if (stop !== undefined) warnings.push(`manifest:${stop.line}: "jump: break" ends this run; the steps behind it run in the next.`);
  if (payload && options.targetSizeMib === 0)
    warnings.push("On bare metal the disk's size is not known: it has to hold 1 GiB and the finished system.");
  return warnings;
}

function unknownSizes({ early, late }: WarningInput): readonly string[] {
  const files = [...early, ...late];
  const unknown = files.filter(({ sizeBytes }) => sizeBytes === undefined).length;
  if (unknown === 0) return [];
  return [`${unknown} of ${files.length} files are not in the folder of distfiles: their sizes are not known, and sums are lower bounds.`];
}

/** A step of the tree's own is used as it is; the known one was written for a shell that is not there yet. */
function ownStep({ payload, story, additions }: WarningInput, { importStep }: Checkout): readonly string[] {
  const path = `steps/improve/${IMPORT_STEP}.sh`;
  if (!payload || importStep === undefined || additions.some((addition) => addition.path === path)) return [];
  const step = story.steps.find(({ directive, name }) => directive === "improve" && name === IMPORT_STEP);
  if (step === undefined) return ["The import of the payload does not run under this configuration: late sources will be missing."];
  const [problem] = step.interpreter === "kaem" ? kaemProblems(importStep) : [];
  if (problem === undefined) return [];
  return [`${path}:${problem.line}:${problem.column}: kaem reads this step, and cannot: ${problem.text}`];
}

/** Steps that will run and have nothing to run. bash has default functions for a package without a script for this pass. */
function lacking({ story, additions }: WarningInput, checkout: Checkout): readonly string[] {
  const there = new Set([...checkout.files, ...additions].map(({ path }) => path));
  for (const path of [...there]) there.add(path.slice(0, path.lastIndexOf("/")));
  return story.steps.flatMap(({ directive, name, runs, interpreter, line }) => {
    if (runs === undefined) return [];
    const path = directive === "build" && interpreter === "bash" ? `steps/${name}` : runs.slice(1);
    return there.has(path) ? [] : [`manifest:${line}: ${path} is not in the checkout, so "${directive}: ${name}" will fail.`];
  });
}
