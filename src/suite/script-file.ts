/** Reads the script that a person wrote. All that is wrong is told at once, by line and column, before anything is booted. */
import { basename, dirname, isAbsolute, join, resolve } from "node:path";
import type * as z from "zod";
import { backtrackingRisk } from "../analysis/backtracking.ts";
import { nearestWord } from "../config/nearest-word.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import {
  matcherSchema,
  STEP_FIELDS,
  STEP_OPTIONS,
  STEPS_MAX,
  scriptSchema,
  stepSchema,
  VARIABLE_NAME,
  VERBS,
  type Verb,
  type WrittenMatcher,
  type WrittenStep,
} from "../contract/script.ts";
import { type Chord, keysOf, keysOfText } from "../machine/keys.ts";
import { literal, type Matcher, type Script, type ScriptStep, type Text } from "./script.ts";
import { excerpt, type Fault, faultsError, type Path, readText, YamlSource } from "./yaml-source.ts";

const WHAT = "read a script";
/** Of scripts that include scripts; it ends those that include themselves by ever other names, too. */
const DEPTH_MAX = 10;

export type Variables = Readonly<Record<string, string>>;

export interface ScriptOptions {
  /** Win over those in the file. */
  readonly variables?: Variables;
  /** How a file is read; from the disk unless given. Throws a usage error where it cannot be. */
  readonly read?: (path: string) => Promise<string>;
}

/** Throws a usage error that names every fault of the script and of those that it includes. */
export async function readScript(path: string, { variables = {}, read = readFromDisk }: ScriptOptions = {}): Promise<Script> {
  return await decodeScript(await read(path), path, { variables, read });
}

const readFromDisk = (path: string): Promise<string> => readText(path, WHAT);

/** As `readScript`, of a text that is there already; `path` names it, and what it includes is looked for beside it. */
export async function decodeScript(
  text: string,
  path: string,
  { variables = {}, read = readFromDisk }: ScriptOptions = {},
): Promise<Script> {
  const reader = new ScriptReader(read);
  const source = new YamlSource(text, path, WHAT);
  return await reader.script(source, source.content, [], variables);
}

/** A script that stands inside another file, at `at`. */
export async function scriptWithin(
  source: YamlSource,
  at: Path,
  content: unknown,
  { variables = {}, read = readFromDisk }: ScriptOptions = {},
): Promise<Script> {
  return await new ScriptReader(read).script(source, content, at, variables);
}

/** What holds where a step is read. */
interface Scope {
  readonly source: YamlSource;
  readonly variables: ReadonlyMap<string, string>;
  /** Names that patterns of earlier steps catch. */
  readonly caught: Set<string>;
  readonly withinS: number | null;
  /** Absolute paths of the files that lead here, the innermost last. */
  readonly files: readonly string[];
}

class ScriptReader {
  readonly #read: (path: string) => Promise<string>;
  readonly #faults: Fault[] = [];
  readonly #steps: ScriptStep[] = [];
  #ignoreFatal = false;
  #failOn: readonly Matcher[] = [];

  constructor(read: (path: string) => Promise<string>) {
    this.#read = read;
  }

  async script(source: YamlSource, content: unknown, at: Path, variables: Variables): Promise<Script> {
    const given = new Map(Object.entries(variables));
    const name = await this.#file(source, content, at, { given, caught: new Set(), withinS: null, files: [resolve(source.where)] });
    const early = this.#steps.findIndex(({ does }, index) => does === "shutdown" && index < this.#steps.length - 1);
    if (early !== -1) this.#fault(this.#steps[early + 1]!.where, "no step can follow a shutdown: the guest is off");
    if (this.#faults.length > 0) throw faultsError(WHAT, this.#faults);
    return { name, ignoreFatal: this.#ignoreFatal, failOn: this.#failOn, steps: this.#steps };
  }

  /** Reads one file's script into the steps. Returns its name. */
  async #file(
    source: YamlSource,
    content: unknown,
    at: Path,
    outer: {
      readonly given: ReadonlyMap<string, string>;
      readonly caught: Set<string>;
      readonly withinS: number | null;
      readonly files: readonly string[];
    },
  ): Promise<string> {
    const standard = basename(source.where).replace(/\.ya?ml$/i, "");
    if (!isRecord(content)) {
      this.#fault(source.placeOf(at), `expected a script with its "steps:", found ${excerpt(content)}`);
      return standard;
    }
    const { steps, ...head } = content;
    const parsed = scriptSchema.omit({ steps: true }).safeParse(head);
    if (!parsed.success) this.#headFaults(source, at, parsed.error, content);
    if (!Array.isArray(steps) || steps.length === 0) {
      this.#fault(source.placeOf([...at, "steps"]), `expected "steps:" with a list of steps, found ${excerpt(steps)}`);
      return standard;
    }
    if (!parsed.success) return standard;
    const { name = standard, variables = {}, within, fail_on: failOn, ignore_fatal: ignoreFatal = false } = parsed.data;
    this.#ignoreFatal ||= ignoreFatal;
    const own = new Map([...Object.entries(variables)].map(([key, value]) => [key, String(value)] as const));
    const scope: Scope = {
      source,
      variables: new Map([...own, ...outer.given]),
      caught: outer.caught,
      withinS: within ?? outer.withinS,
      files: outer.files,
    };
    if (failOn !== undefined) {
      const path = [...at, "fail_on"];
      const matchers = this.#matchers(failOn, path, scope);
      // What an included script forbids is forbidden from there on.
      if (outer.files.length === 1) this.#failOn = matchers;
      else this.#push({ where: source.placeOf(path), does: "fail_on", matchers });
    }
    for (const [index, step] of steps.entries()) await this.#step(step, [...at, "steps", index], scope);
    return name;
  }

  #headFaults(source: YamlSource, at: Path, error: z.ZodError, content: unknown): void {
    for (const issue of error.issues) {
      const path = [...at, ...issue.path.map(keyOf)];
      if (issue.code === "unrecognized_keys") {
        for (const key of issue.keys) this.#fault(source.placeOf([...path, key], "key"), unknownKey(key, Object.keys(scriptSchema.shape)));
      } else {
        const field = String(issue.path[0]);
        if (issue.code === "invalid_key") {
          this.#fault(
            source.placeOf(path, "key"),
            `expected letters, digits and _ in the name of a variable, found ${excerpt(issue.path.at(-1))}`,
          );
          continue;
        }
        this.#fault(source.placeOf(path), `expected ${EXPECTED[field] ?? issue.message}, found ${excerpt(valueAt(content, issue.path))}`);
      }
    }
  }

  async #step(written: unknown, path: Path, scope: Scope): Promise<void> {
    const { source } = scope;
    const step = typeof written === "string" ? { [written]: null } : written;
    if (!isRecord(step)) {
      this.#fault(source.placeOf(path), `expected a step such as "expect: …", found ${excerpt(written)}`);
      return;
    }
    const verbs = Object.keys(step).filter((key): key is Verb => VERBS.includes(key as Verb));
    const unknown = Object.keys(step).filter((key) => !STEP_FIELDS.includes(key));
    for (const key of unknown) this.#fault(source.placeOf([...path, key], "key"), unknownKey(key, STEP_FIELDS));
    if (unknown.length > 0) return;
    const verb = verbs[0];
    if (verb === undefined || verbs.length > 1) {
      const found = verb === undefined ? excerpt(written) : verbs.join(" and ");
      this.#fault(source.placeOf(path), `expected one of ${VERBS.join(", ")}; found ${found}`);
      return;
    }
    const before = this.#faults.length;
    for (const [key, value] of Object.entries(step)) this.#field(verb, key, value, path, scope);
    if (this.#faults.length > before) return;
    if (verb === "include") await this.#include(step as WrittenStep, path, scope);
    else for (const read of this.#planned(verb, step as WrittenStep, path, scope)) this.#push(read);
  }

  #push(step: ScriptStep): void {
    this.#steps.push(step);
    if (this.#steps.length === STEPS_MAX + 1) this.#fault(step.where, `expected at most ${STEPS_MAX} steps in all`);
  }

  #field(verb: Verb, key: string, value: unknown, path: Path, { source }: Scope): void {
    const at = [...path, key];
    if (key !== verb && !(STEP_OPTIONS[verb] as readonly string[]).includes(key)) {
      const takes = STEP_OPTIONS[verb];
      this.#fault(source.placeOf(at, "key"), `${verb} has no "${key}"${takes.length === 0 ? "" : `; it takes ${takes.join(", ")}`}`);
      return;
    }
    const parsed = fieldSchema(key).safeParse(value);
    if (parsed.success) return;
    const inner = parsed.error.issues[0]?.path.map(keyOf) ?? [];
    this.#fault(
      source.placeOf([...at, ...inner]),
      `expected ${EXPECTED[key] ?? "something else"}, found ${excerpt(valueAt(value, inner))}`,
    );
  }

  /** The step, its fields right by themselves. */
  *#planned(verb: Exclude<Verb, "include">, step: WrittenStep, path: Path, scope: Scope): Generator<ScriptStep> {
    const where = scope.source.placeOf(path);
    const withinS = step.within ?? scope.withinS;
    const text = (written: string, key: string): Text => this.#text(written, [...path, key], scope);
    switch (verb) {
      case "expect":
        for (const matcher of this.#matchers(step.expect!, [...path, verb], scope)) yield { where, does: verb, matcher, withinS };
        break;
      case "send":
        yield { where, does: verb, text: text(step.send!, verb), withinS };
        break;
      case "key":
        yield { where, does: verb, ...this.#chords(step, [...path, verb], scope) };
        break;
      case "type":
        yield { where, does: verb, text: this.#typed(step.type!, [...path, verb], scope) };
        break;
      case "screenshot":
        yield { where, does: verb, name: step.screenshot! };
        break;
      case "wait-stage":
        yield { where, does: verb, stage: step["wait-stage"]!, withinS };
        break;
      case "run": {
        const output = step.output === undefined ? [] : this.#matchers(step.output, [...path, "output"], scope);
        const status = step.status === "any" ? null : (step.status ?? 0);
        yield { where, does: verb, command: text(step.run!, verb), status, output, withinS };
        break;
      }
      case "fail_on":
        yield { where, does: verb, matchers: this.#matchers(step.fail_on!, [...path, verb], scope) };
        break;
      case "reboot":
        yield {
          where,
          does: verb,
          command: typeof step.reboot === "object" ? (step.reboot === null ? ["reboot"] : null) : text(step.reboot!, verb),
          withinS,
        };
        break;
      case "shutdown":
        yield { where, does: verb, command: typeof step.shutdown === "object" ? null : text(step.shutdown!, verb), withinS };
        break;
    }
  }

  async #include({ include, variables = {} }: WrittenStep, path: Path, scope: Scope): Promise<void> {
    const { source, files } = scope;
    const at = [...path, "include"];
    const named = plain(this.#text(include!, at, scope));
    if (named === undefined) {
      this.#fault(source.placeOf(at), "the name of a script cannot hold what the console gives later");
      return;
    }
    const file = isAbsolute(named) ? named : join(dirname(source.where), named);
    const absolute = resolve(file);
    if (files.includes(absolute) || files.length >= DEPTH_MAX) {
      const says = files.includes(absolute)
        ? `it includes itself: ${[...files.slice(files.indexOf(absolute)), absolute].map((one) => basename(one)).join(" → ")}`
        : `scripts include scripts more than ${DEPTH_MAX} deep`;
      this.#fault(source.placeOf(at), says);
      return;
    }
    const given = new Map(scope.variables);
    for (const [name, value] of Object.entries(variables)) {
      const put = plain(this.#text(String(value), [...path, "variables", name], scope));
      if (put === undefined)
        this.#fault(
          source.placeOf([...path, "variables", name]),
          "what the console gives later is known to included scripts by its own name",
        );
      else given.set(name, put);
    }
    try {
      const inner = new YamlSource(await this.#read(file), file, WHAT);
      await this.#file(inner, inner.content, [], { given, caught: scope.caught, withinS: scope.withinS, files: [...files, absolute] });
    } catch (error) {
      // A file that cannot be read, or is no YAML: told where it is included, beside all else that is wrong.
      if (!(error instanceof HiperisoError)) throw error;
      this.#fault(source.placeOf(at), `${error.where ?? file}: ${error.found ?? reasonOf(error)}`);
    }
  }

  #matchers(written: WrittenMatcher | readonly WrittenMatcher[], path: Path, scope: Scope): readonly Matcher[] {
    const isList = (value: unknown): value is readonly WrittenMatcher[] => Array.isArray(value);
    if (!isList(written)) return [this.#matcher(written, path, scope)];
    return written.map((matcher, index) => this.#matcher(matcher, [...path, index], scope));
  }

  #matcher(written: WrittenMatcher, path: Path, scope: Scope): Matcher {
    if (typeof written === "string") return { text: this.#text(written, path, scope) };
    if ("text" in written) return { text: this.#text(written.text, [...path, "text"], scope) };
    return { pattern: this.#pattern(written.pattern, [...path, "pattern"], scope) };
  }

  #pattern(written: string, path: Path, scope: Scope): Text {
    const parts = this.#text(written, path, scope, literal);
    const source = parts.map((part) => (typeof part === "string" ? part : "x")).join("");
    const risk = backtrackingRisk(source);
    if (risk !== undefined)
      this.#fault(scope.source.placeOf(path), `expected a pattern that no line can keep busy for long, found one with ${risk}`);
    try {
      new RegExp(source, "u");
    } catch (error) {
      this.#fault(scope.source.placeOf(path), reasonOf(error));
    }
    for (const [, name] of source.matchAll(/\(\?<(\w+)>/g)) if (VARIABLE_NAME.test(name!)) scope.caught.add(name!);
    return parts;
  }

  #chords({ key, times = 1 }: WrittenStep, path: Path, scope: Scope): { chords: readonly Chord[]; title: string } {
    const names = typeof key === "string" ? [key] : (key ?? []);
    const chords: Chord[] = [];
    for (const [index, name] of names.entries()) {
      const at = typeof key === "string" ? path : [...path, index];
      const put = plain(this.#text(name, at, scope)) ?? "";
      this.#try(at, scope, () => chords.push(keysOf(put)));
    }
    return { chords: Array.from({ length: times }, () => chords).flat(), title: `${names.join(" ")}${times > 1 ? ` ${times} times` : ""}` };
  }

  #typed(written: string, path: Path, scope: Scope): Text {
    const parts = this.#text(written, path, scope);
    for (const part of parts) if (typeof part === "string") this.#try(path, scope, () => keysOfText(part));
    return parts;
  }

  #try(path: Path, { source }: Scope, what: () => void): void {
    try {
      what();
    } catch (error) {
      if (!(error instanceof HiperisoError)) throw error;
      this.#fault(source.placeOf(path), `expected ${error.expected}, found ${error.found}`);
    }
  }

  /** `{{name}}` is a variable of the script, or what an earlier step catches. */
  #text(written: string, path: Path, { source, variables, caught }: Scope, put: (value: string) => string = (value) => value): Text {
    const parts: (string | { readonly caught: string })[] = [];
    const add = (text: string) => {
      if (typeof parts.at(-1) === "string") parts[parts.length - 1] += text;
      else if (text !== "") parts.push(text);
    };
    let from = 0;
    for (const match of written.matchAll(/\{\{ *(\w*) *\}\}/g)) {
      const [place, name = ""] = match;
      add(written.slice(from, match.index));
      from = match.index + place.length;
      const value = variables.get(name);
      if (value !== undefined) add(put(value));
      else if (caught.has(name)) parts.push({ caught: name });
      else {
        const meant = nearestWord(name, new Map([...variables.keys(), ...caught].map((known) => [known, known])));
        this.#fault(source.placeOf(path), `there is no variable "${name}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`);
      }
    }
    add(written.slice(from));
    return parts;
  }

  #fault(at: string, says: string): void {
    this.#faults.push({ at, says });
  }
}

/** What a field holds, as the end of a sentence that begins with "expected". */
const EXPECTED: Readonly<Record<string, string>> = {
  name: "a name of at most 200 characters",
  expect: "a text, { text: … } or { pattern: … }",
  send: "a text of at most 4000 characters (in quotes)",
  key: "names of keys such as ctrl-alt-f2, down, ret: one, or a list of at most 100",
  type: "a text of at most 4000 characters (in quotes)",
  screenshot: "a name of small letters, digits and -, at most 40",
  "wait-stage": "one of firmware, bootloader, kernel, initramfs, userspace, login",
  run: "a command of at most 4000 characters (in quotes)",
  fail_on: "a text, { text: … } or { pattern: … }, or a list of them",
  reboot: "a command, { button: reset }, or nothing",
  shutdown: "a command, { button: power }, or nothing",
  include: "the path of a script",
  within: "seconds, more than 0, at most 604800",
  times: "a whole number, 1 to 1000",
  status: 'a number, 0 to 255, or "any"',
  output: "a text, { text: … } or { pattern: … }, or a list of them",
  variables: "names with texts or numbers",
  ignore_fatal: "true or false",
};

const STEP_SCHEMAS: Readonly<Record<string, z.ZodType>> = stepSchema.options[1].shape;
const fieldSchema = (key: string): z.ZodType => (key === "expect" ? matcherSchema : STEP_SCHEMAS[key]!);

const keyOf = (key: PropertyKey): string | number => (typeof key === "number" ? key : String(key));
const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const valueAt = (value: unknown, path: readonly PropertyKey[]): unknown =>
  path.reduce<unknown>(
    (inner, key) => (typeof inner === "object" && inner !== null ? (inner as Record<PropertyKey, unknown>)[key] : undefined),
    value,
  );

function unknownKey(key: string, known: readonly string[]): string {
  const meant = nearestWord(key, new Map(known.map((name) => [name, name])));
  return `unknown key ${excerpt(key)}${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
}

/** A text without what is caught later; undefined where it holds some. */
function plain(text: Text): string | undefined {
  return text.every((part) => typeof part === "string") ? text.join("") : undefined;
}
