/** Reads a test file: a matrix of boots becomes jobs. All that is wrong is told at once, by line and column. */
import { access, constants } from "node:fs/promises";
import { basename, dirname, isAbsolute, resolve } from "node:path";
import { createGoal } from "../analysis/goal.ts";
import { compileGlob } from "../config/glob.ts";
import { nearestWord } from "../config/nearest-word.ts";
import { expectedOf, parseParameter } from "../config/setting-value.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { standardSettings } from "../contract/parameters.ts";
import { variablesSchema } from "../contract/script.ts";
import {
  type Expectation,
  expectationSchema,
  JOBS_MAX,
  SUITE_FIELDS,
  TEST_FIELDS,
  TEST_KEYS,
  type TestKey,
  VALUES_MAX,
  type WrittenTest,
} from "../contract/suite.ts";
import { ATTACHMENTS } from "../machine/plan.ts";
import type { BootJob } from "./job.ts";
import type { Script } from "./script.ts";
import { readScript, scriptWithin, type Variables } from "./script-file.ts";
import { excerpt, type Fault, faultsError, type Path, readText, YamlSource } from "./yaml-source.ts";

const WHAT = "read a test file";

export interface Suite {
  readonly name: string;
  readonly jobs: readonly BootJob[];
}

export interface SuiteOptions {
  /** Win over those in the file. */
  readonly variables?: Variables;
  /** A leading `~` of a path. */
  readonly expandHome: (path: string) => string;
}

/** Throws a usage error that names every fault of the file and of its scripts. */
export async function readSuite(path: string, options: SuiteOptions): Promise<Suite> {
  return await decodeSuite(await readText(path, WHAT), path, options);
}

/** As `readSuite`, of a text that is there already; `path` names it, and its paths are relative to its folder. */
export async function decodeSuite(text: string, path: string, options: SuiteOptions): Promise<Suite> {
  return await new SuiteReader(new YamlSource(text, path, WHAT), options).suite();
}

/** A value of one key: as it tells a job from others, and the words that it comes to. */
interface Choice {
  readonly shown: string;
  readonly words: readonly string[];
}

/** One dimension of a test's matrix. */
interface Axis {
  readonly key: string;
  readonly choices: readonly Choice[];
}

interface ScriptChoice extends Choice {
  readonly script: Script | null;
}

class SuiteReader {
  readonly #source: YamlSource;
  readonly #options: SuiteOptions;
  readonly #folder: string;
  readonly #faults: Fault[] = [];
  /** A script is read once, however many tests use it. */
  readonly #scripts = new Map<string, Script>();

  constructor(source: YamlSource, options: SuiteOptions) {
    this.#source = source;
    this.#options = options;
    this.#folder = dirname(resolve(source.where));
  }

  async suite(): Promise<Suite> {
    const { content } = this.#source;
    if (!isRecord(content)) throw faultsError(WHAT, [this.#faultAt([], `expected a matrix with its "image:", found ${excerpt(content)}`)]);
    this.#checkKeys(content, [], SUITE_FIELDS);
    const { tests, ...common } = content;
    const jobs: BootJob[] = [];
    if (tests === undefined) jobs.push(...(await this.#test({ own: common, path: [], common: {} })));
    else if (!Array.isArray(tests) || tests.length === 0) this.#fault(["tests"], `expected a list of tests, found ${excerpt(tests)}`);
    else {
      const { name: _, ...shared } = common;
      for (const [index, test] of tests.entries()) {
        const path: Path = ["tests", index];
        if (!isRecord(test)) this.#fault(path, `expected a test with its settings, found ${excerpt(test)}`);
        else {
          this.#checkKeys(test, path, TEST_FIELDS);
          jobs.push(...(await this.#test({ own: test, path, common: shared })));
        }
      }
    }
    if (jobs.length > JOBS_MAX) this.#fault([], `expected at most ${JOBS_MAX} boots, found ${jobs.length}`);
    if (this.#faults.length > 0) throw faultsError(WHAT, this.#faults);
    const name = typeof content["name"] === "string" ? content["name"] : basename(this.#source.where).replace(/\.ya?ml$/i, "");
    return { name, jobs: withUniqueIds(jobs) };
  }

  #checkKeys(content: Readonly<Record<string, unknown>>, path: Path, known: readonly string[]): void {
    for (const key of Object.keys(content)) {
      if (known.includes(key)) continue;
      const meant = OTHER_WORDS[key] ?? nearestWord(key, new Map(known.map((name) => [name, name])));
      this.#faults.push({
        at: this.#source.placeOf([...path, key], "key"),
        says: `unknown key ${excerpt(key)}${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
      });
    }
  }

  /** The jobs of one test: every combination of its values but the excluded ones. */
  async #test(written: Written): Promise<readonly BootJob[]> {
    const before = this.#faults.length;
    const images = await this.#images(written);
    const scripts = await this.#scriptChoices(written);
    const expect = this.#expectation(written);
    const axes: Axis[] = [];
    for (const key of TEST_KEYS) {
      const [value, path] = at(written, key.key);
      if (value !== undefined) axes.push({ key: key.key, choices: await this.#choices(key, value, path) });
    }
    const isExcluded = this.#exclusions(written, axes);
    const [kernel] = at(written, "kernel");
    if (images.some(({ shown }) => shown === "") && kernel === undefined)
      this.#fault(written.path, 'expected an "image:", or a "kernel:" to boot without one');
    if (this.#faults.length > before) return [];
    const combinations = [{ key: "image", choices: images }, ...axes, { key: "script", choices: scripts }].reduce<
      readonly Readonly<Record<string, Choice>>[]
    >(
      (rows, { key, choices }) => {
        if (rows.length * choices.length > JOBS_MAX) return rows;
        return rows.flatMap((row) => choices.map((choice) => ({ ...row, [key]: choice })));
      },
      [{}],
    );
    const count = [images, scripts, ...axes.map(({ choices }) => choices)].reduce((product, { length }) => product * length, 1);
    if (count > JOBS_MAX) {
      this.#fault(written.path, `expected at most ${JOBS_MAX} boots, found ${count} combinations`);
      return [];
    }
    const varied = ["image", ...axes.map(({ key }) => key), "script"].filter(
      (key) => new Set(combinations.map((row) => row[key]?.shown)).size > 1,
    );
    const name = written.own["name"];
    const test = typeof name === "string" ? name : images[0]!.shown === "" ? "kernel" : images[0]!.shown;
    return combinations
      .filter((row) => !isExcluded(row))
      .map((row) =>
        jobOf(row, {
          test: typeof name !== "string" && varied.includes("image") ? row["image"]!.shown : test,
          varied,
          expect,
          nameOfTest: typeof name === "string",
        }),
      );
  }

  async #images(written: Written): Promise<readonly Choice[]> {
    const [value, path] = at(written, "image");
    if (value === undefined || value === null) return [{ shown: "", words: [] }];
    const images = Array.isArray(value) ? value : [value];
    if (images.length === 0 || images.length > VALUES_MAX) this.#fault(path, `expected an image, or a list of at most ${VALUES_MAX}`);
    const choices: Choice[] = [];
    for (const [index, image] of images.entries()) {
      const place = Array.isArray(value) ? [...path, index] : path;
      if (typeof image !== "string" || image === "") this.#fault(place, `expected the path of an image, found ${excerpt(image)}`);
      else choices.push({ shown: basename(image), words: [await this.#file(image, place)] });
    }
    return choices;
  }

  async #scriptChoices(written: Written): Promise<readonly ScriptChoice[]> {
    const [value, path] = at(written, "script");
    const none: ScriptChoice = { shown: "", words: [], script: null };
    if (value === undefined || value === null) return [none];
    const scripts = Array.isArray(value) ? value : [value];
    const choices: ScriptChoice[] = [];
    for (const [index, script] of scripts.entries()) {
      const place = Array.isArray(value) ? [...path, index] : path;
      if (script === null) choices.push(none);
      else {
        const read = await this.#script(script, place, this.#variables(written));
        if (read !== undefined) choices.push({ shown: read.name, words: [], script: read });
      }
    }
    const [until, untilPath] = at(written, "until");
    if (until !== undefined && choices.some(({ script }) => script !== null))
      this.#fault(untilPath, 'a script ends the boot with its last step: take "until" away, or "script"');
    return choices;
  }

  async #script(written: unknown, path: Path, variables: Variables): Promise<Script | undefined> {
    try {
      if (isRecord(written)) return await scriptWithin(this.#source, path, written, { variables });
      if (typeof written !== "string" || written === "") {
        this.#fault(path, `expected the path of a script, or its steps, found ${excerpt(written)}`);
        return undefined;
      }
      const file = this.#resolve(written);
      const key = JSON.stringify([file, Object.entries(variables)]);
      const script = this.#scripts.get(key) ?? (await readScript(file, { variables }));
      this.#scripts.set(key, script);
      return script;
    } catch (error) {
      if (!(error instanceof HiperisoError)) throw error;
      // Faults of a script name their own places.
      const [first = "", ...more] = (error.found ?? reasonOf(error)).split("\n");
      const place =
        error.where !== undefined && /:\d+:\d+$/.test(error.where) && more.length === 0
          ? `${error.where}: `
          : error.where === undefined || more.length > 0
            ? ""
            : `${error.where}: `;
      this.#fault(path, [`${place}${first}`, ...more].join("\n"));
      return undefined;
    }
  }

  #variables(written: Written): Variables {
    const read = (content: Readonly<Record<string, unknown>>, path: Path): Record<string, string> => {
      const value = content["variables"];
      if (value === undefined) return {};
      const parsed = variablesSchema.safeParse(value);
      if (!parsed.success) this.#fault([...path, "variables"], `expected names with texts or numbers, found ${excerpt(value)}`);
      return Object.fromEntries(Object.entries(parsed.data ?? {}).map(([name, text]) => [name, String(text)]));
    };
    return { ...read(written.common, []), ...read(written.own, written.path), ...this.#options.variables };
  }

  #expectation(written: Written): Expectation {
    const [value, path] = at(written, "expect");
    if (value === undefined) return {};
    const parsed = expectationSchema.safeParse(value);
    if (parsed.success) return parsed.data;
    for (const issue of parsed.error.issues) {
      const keys = issue.code === "unrecognized_keys" ? issue.keys : [];
      for (const key of keys) this.#fault([...path, key], `unknown key ${excerpt(key)}; expected result, stage, finding`);
      if (keys.length === 0) this.#fault([...path, ...issue.path.map(String)], issue.message);
    }
    return {};
  }

  async #choices(key: TestKey, value: unknown, path: Path): Promise<readonly Choice[]> {
    const values: readonly unknown[] = Array.isArray(value) ? value : [value];
    if (values.length === 0 || values.length > VALUES_MAX) this.#fault(path, `expected a value, or a list of at most ${VALUES_MAX}`);
    const choices: Choice[] = [];
    for (const [index, one] of values.entries()) {
      const place = Array.isArray(value) ? [...path, index] : path;
      const together: readonly unknown[] = key.several === true && Array.isArray(one) ? one : [one];
      const texts = together.map((part) => this.#valueOf(key, part, place)).filter((text) => text !== undefined);
      if (MUST_BE_THERE.includes(key.key)) for (const text of texts) await this.#file(String(text), place);
      choices.push({
        shown: together.map(shownValue).join("+") || "none",
        words: texts.map((text) => (text === true ? key.flag : `${key.flag}=${text}`)),
      });
    }
    return choices;
  }

  /** What stands behind the flag; true: the flag alone; undefined: no flag at all. */
  #valueOf(key: TestKey, value: unknown, path: Path): string | true | undefined {
    if (value === null || value === "") return undefined;
    if (key.takes === "switch") {
      if (typeof value !== "boolean") this.#fault(path, `expected true or false, found ${excerpt(value)}`);
      return value === true ? true : undefined;
    }
    const isNumber = typeof value === "number" && Number.isInteger(value) && value >= 1;
    if (key.takes === "number" ? !isNumber : typeof value !== "string" && typeof value !== "number") {
      this.#fault(path, `expected ${key.takes === "number" ? "a whole number" : "a text"}, found ${excerpt(value)}`);
      return undefined;
    }
    const text = String(value);
    this.#checkValue(key, text, path);
    if (key.takes === "path") return this.#resolve(text);
    return key.takes === "disk" ? this.#diskWord(text) : text;
  }

  #checkValue({ key, parameter }: TestKey, text: string, path: Path): void {
    const known = CHOICES[key];
    if (known !== undefined && !known.includes(text)) {
      const meant = nearestWord(text, new Map(known.map((word) => [word, word])));
      this.#fault(
        path,
        `expected one of ${known.join(", ")}, found ${excerpt(text)}${meant === undefined ? "" : `; did you mean "${meant}"?`}`,
      );
    }
    try {
      if (parameter !== undefined) parseParameter(parameter, text, key);
      if (key === "until") createGoal(text);
    } catch (error) {
      if (!(error instanceof HiperisoError)) throw error;
      this.#fault(path, `expected ${parameter === undefined ? error.expected : expectedOf(parameter)}, found ${excerpt(text)}`);
    }
  }

  /** True of a combination that is left out. */
  #exclusions(written: Written, axes: readonly Axis[]): (row: Readonly<Record<string, Choice>>) => boolean {
    const [value, path] = at(written, "exclude");
    if (value === undefined) return () => false;
    if (!Array.isArray(value)) {
      this.#fault(path, `expected a list of combinations, found ${excerpt(value)}`);
      return () => false;
    }
    const keys = ["image", "script", ...axes.map(({ key }) => key)];
    const rows = value.map((row: unknown, index): Readonly<Record<string, unknown>> => {
      const place = [...path, index];
      if (isRecord(row) && Object.keys(row).length > 0) {
        for (const key of Object.keys(row))
          if (!keys.includes(key)) this.#fault([...place, key], `${excerpt(key)} is no key of this test's matrix`);
        return row;
      }
      this.#fault(place, `expected keys with their values, found ${excerpt(row)}`);
      return {};
    });
    return (combination) =>
      rows.some((row) => Object.entries(row).every(([key, wanted]) => combination[key]?.shown === shownValue(wanted)));
  }

  #resolve(path: string): string {
    const expanded = this.#options.expandHome(path);
    return isAbsolute(expanded) ? expanded : resolve(this.#folder, expanded);
  }

  /** Absolute; a file that is not there is a fault. */
  async #file(path: string, place: Path): Promise<string> {
    const absolute = this.#resolve(path);
    await access(absolute, constants.R_OK).catch((error: NodeJS.ErrnoException) => {
      this.#fault(place, error.code === "ENOENT" ? `there is no file ${excerpt(absolute)}` : reasonOf(error));
    });
    return absolute;
  }

  /** `old.img,keep`, `8G`, `8G,file=new.img`: names of files become absolute, their commas doubled. */
  #diskWord(text: string): string {
    const whole = (name: string) => this.#resolve(name.replaceAll(",,", ",")).replaceAll(",", ",,");
    const [, first = "", rest = ""] = /^((?:,,|[^,])*)(.*)$/s.exec(text) ?? [];
    if (!/^\d{1,9}[KMGTP](?:i?B)?$/i.test(first)) return whole(first) + rest;
    return first + rest.replace(/(?<=,file=)((?:,,|[^,])*)/, (name) => whole(name));
  }

  #faultAt(path: Path, says: string): Fault {
    return { at: this.#source.placeOf(path), says };
  }

  #fault(path: Path, says: string): void {
    this.#faults.push(this.#faultAt(path, says));
  }
}

interface Written {
  readonly own: Readonly<Record<string, unknown>>;
  readonly path: Path;
  /** What stands beside `tests`. */
  readonly common: Readonly<Record<string, unknown>>;
}

/** The test's own value wins. */
function at({ own, path, common }: Written, key: keyof WrittenTest | string): readonly [value: unknown, path: Path] {
  return own[key] === undefined ? [common[key], [key]] : [own[key], [...path, key]];
}

const CHOICES: Readonly<Record<string, readonly string[]>> = {
  as: ATTACHMENTS,
  accel: ["auto", "kvm", "tcg"],
  network: ["none", "restricted", "user"],
};

/** Keys whose files are looked for before anything is booted. */
const MUST_BE_THERE: readonly string[] = ["kernel", "initrd", "rules", "config"];

/** Words that people try. */
const OTHER_WORDS: Readonly<Record<string, string>> = {
  memory: "ram",
  processors: "cpus",
  cores: "cpus",
  bus: "as",
  arguments: "append",
  iso: "image",
  images: "image",
  scripts: "script",
};

const shownValue = (value: unknown): string => (value === null || value === false || value === "" ? "none" : String(value));

/** What QEMU takes beside the guest's memory: itself, its cache of translated code, the recorder's share. */
const OWN_MEMORY_MB = 256;

interface TestFacts {
  readonly test: string;
  readonly nameOfTest: boolean;
  readonly varied: readonly string[];
  readonly expect: Expectation;
}

function jobOf(row: Readonly<Record<string, Choice>>, { test, nameOfTest, varied, expect }: TestFacts): BootJob {
  const { image, script, ...settings } = row;
  const told = varied.filter((key) => key !== "image" || nameOfTest);
  const number = (key: string, standard: number) => {
    const shown = Number(row[key]?.shown);
    return Number.isInteger(shown) && shown > 0 ? shown : standard;
  };
  return {
    id: [test, ...told.map((key) => `${key}=${row[key]!.shown || "none"}`)].join(" "),
    test,
    image: image?.words[0] ?? null,
    words: Object.values(settings).flatMap(({ words }) => words),
    script: (script as ScriptChoice | undefined)?.script ?? null,
    expect,
    needs: {
      memoryMb: number("ram", standardSettings.guestRam) + OWN_MEMORY_MB,
      processors: number("cpus", standardSettings.guestCpus),
    },
    settings: Object.fromEntries(varied.map((key) => [key, row[key]!.shown || "none"])),
  };
}

/** Two tests of one file may come to the same: then the second has a number. */
function withUniqueIds(jobs: readonly BootJob[]): readonly BootJob[] {
  const seen = new Map<string, number>();
  return jobs.map((job) => {
    const count = (seen.get(job.id) ?? 0) + 1;
    seen.set(job.id, count);
    return count === 1 ? job : { ...job, id: `${job.id} #${count}` };
  });
}

/** Those whose id holds one of these texts, or fits one as a glob. Throws a usage error where one of them fits nothing. */
export function chosenJobs(jobs: readonly BootJob[], only: readonly string[]): readonly BootJob[] {
  if (only.length === 0) return jobs;
  const chosen = new Set<BootJob>();
  for (const word of only) {
    const fits = compileGlob(word);
    const found = jobs.filter(({ id }) => id.includes(word) || fits(id));
    if (found.length === 0) {
      throw new HiperisoError({
        what: "choose jobs",
        where: "--only",
        expected: "a part of a job's name, or a glob that fits one",
        found: `"${word}", which fits none of ${jobs.length}`,
        hint: "--list shows their names.",
        kind: "usage",
      });
    }
    for (const job of found) chosen.add(job);
  }
  return jobs.filter((job) => chosen.has(job));
}

const isRecord = (value: unknown): value is Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value);
