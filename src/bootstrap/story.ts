/**
 * The story of a bootstrap: which lines of the manifest will run under a configuration, in which script file, read by which interpreter.
 * It follows the guest's script generator step by step, its oddities included, since a person compares the two on a console:
 *
 * - Lines of the configuration and definitions stand in one list. A lookup takes the first of a name; a definition changes any but the very
 *   first variable of the list, of which it adds a second one that no lookup finds.
 * - `passN` is one more than the lines before that run and have the same argument, whatever their directive.
 * - A new script begins behind each jump and each build of `bash-…`. kaem runs them until the first bash is built.
 */
import type { Manifest, ManifestLine } from "./manifest.ts";
import { encodeLogic, evaluate, holds, variablesOf } from "./predicate.ts";

export type Interpreter = "kaem" | "bash";

export interface StoryStep {
  /** Counted from 1 among the steps that run. */
  readonly number: number;
  /** Line in the manifest of the target, counted from 1. */
  readonly line: number;
  readonly directive: "build" | "improve" | "jump" | "uninstall";
  /** Package or script; all words of an uninstall. */
  readonly name: string;
  /** Of a build: which one of this package. */
  readonly pass?: number;
  /** The script that calls the step, `/steps/0.sh`. */
  readonly script: string;
  readonly interpreter: Interpreter;
  /** What the step runs, as a path in the target; absent for an uninstall, which is a function of the shell. */
  readonly runs?: string;
}

export interface StoryScript {
  readonly path: string;
  readonly interpreter: Interpreter;
  /** Why a new script begins here. */
  readonly because: string;
}

export interface SkippedLine {
  readonly line: number;
  readonly text: string;
  readonly because: string;
}

export interface Story {
  readonly steps: readonly StoryStep[];
  readonly scripts: readonly StoryScript[];
  /** Lines that do not run, and the predicate that says so. */
  readonly skipped: readonly SkippedLine[];
  /** Variables at the end, as the guest writes them back. */
  readonly variables: readonly (readonly [name: string, value: string])[];
  /** Variables that a predicate reads and nothing sets: empty in the guest, and often a slip. */
  readonly unset: readonly { readonly name: string; readonly line: number }[];
}

/** `configuration`: the lines of bootstrap.cfg in their order. */
export function tellStory(
  manifest: Manifest,
  configuration: readonly (readonly [name: string, value: string])[],
  { preseeded = false }: { readonly preseeded?: boolean } = {},
): Story {
  const variables = new Variables(configuration);
  const unset: { name: string; line: number }[] = [];
  const skipped: SkippedLine[] = [];
  const running: ManifestLine[] = [];
  for (const line of manifest.lines) {
    for (const name of [...variablesOf(line.value), ...variablesOf(line.predicate)]) {
      if (!variables.has(name) && !unset.some((seen) => seen.name === name)) unset.push({ name, line: line.line });
    }
    if (!holds(line.predicate, (name) => variables.get(name))) {
      skipped.push({ line: line.line, text: line.text, because: `${encodeLogic(line.predicate!)} does not hold` });
    } else if (line.directive === "define") {
      variables.set(
        line.name,
        evaluate(line.value!, (name) => variables.get(name)),
      );
    } else {
      running.push(line);
    }
  }
  const { steps, scripts, passed } = numbered(running, preseeded);
  return { steps, scripts, skipped: [...skipped, ...passed].sort((a, b) => a.line - b.line), variables: variables.list(), unset };
}

/** The list of the guest's script generator. */
class Variables {
  readonly #list: { readonly name: string; value: string }[];

  constructor(configuration: readonly (readonly [string, string])[]) {
    this.#list = configuration.map(([name, value]) => ({ name, value }));
  }

  has(name: string): boolean {
    return this.#list.some((variable) => variable.name === name);
  }

  get(name: string): string {
    return this.#list.find((variable) => variable.name === name)?.value ?? "";
  }

  set(name: string, value: string): void {
    if (this.#list.length === 0) this.#list.push({ name, value });
    const found = this.#list.slice(1).find((variable) => variable.name === name);
    if (found === undefined) this.#list.push({ name, value });
    else found.value = value;
  }

  list(): readonly (readonly [string, string])[] {
    return this.#list.map(({ name, value }) => [name, value] as const);
  }
}

function numbered(running: readonly ManifestLine[], preseeded: boolean) {
  const steps: StoryStep[] = [];
  const passed: SkippedLine[] = [];
  const timesSeen = new Map<string, number>();
  let interpreter: Interpreter = "kaem";
  const scripts: StoryScript[] = [{ path: "/steps/0.sh", interpreter, because: "the first one" }];
  const begin = (because: string): void => {
    scripts.push({ path: `/steps/${scripts.length}.sh`, interpreter, because });
  };
  for (const line of running) {
    const name = line.directive === "uninstall" ? uninstalled(line) : line.name;
    const pass = (timesSeen.get(name) ?? 0) + 1;
    timesSeen.set(name, pass);
    const directive = line.directive as StoryStep["directive"];
    if (preseeded && interpreter === "kaem") {
      passed.push({ line: line.line, text: line.text, because: "the preseed holds what it makes" });
    } else {
      steps.push({
        number: steps.length + 1,
        line: line.line,
        directive,
        name,
        ...(directive === "build" ? { pass } : {}),
        script: scripts[scripts.length - 1]!.path,
        interpreter,
        ...runsOf(directive, name, pass, interpreter),
      });
    }
    if (directive === "build" && name.startsWith("bash-")) {
      interpreter = "bash";
      begin(`${name} was built`);
    } else if (directive === "jump") {
      begin(`the jump ${name}`);
    }
  }
  return { steps, passed, scripts };
}

const uninstalled = (line: ManifestLine): string => {
  const bracket = line.words.indexOf("(");
  return (bracket === -1 ? line.words : line.words.slice(0, bracket)).join(" ");
};

function runsOf(directive: StoryStep["directive"], name: string, pass: number, interpreter: Interpreter): { runs?: string } {
  if (directive === "uninstall") return {};
  if (directive === "build") return { runs: `/steps/${name}/pass${pass}.${interpreter === "kaem" ? "kaem" : "sh"}` };
  return { runs: `/steps/${directive}/${name}.sh` };
}
