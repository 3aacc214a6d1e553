/**
 * A person's own rules: a YAML file (1.2, core schema) with a list of rules in the form of `Rule`, the pattern as text.
 * `docs/writing-a-rule.md` explains each field.
 *
 * Nothing in the file can stop a boot: a rule that is not right is told by line and column and left out, the others hold.
 */
import { type Document, isMap, isNode, isPair, isScalar, LineCounter, type Node, parseDocument } from "yaml";
import * as z from "zod";
import type { ConfigFinding } from "../config/hiperiso-json.ts";
import { nearestWord } from "../config/nearest-word.ts";
import { reasonOf } from "../contract/error.ts";
import { BOOT_STAGES, FAILURE_DOMAINS, FINDING_KINDS, SEVERITIES } from "../contract/verdict.ts";
import { printable } from "../formats/escape-terminal.ts";
import { decodePrintk } from "../formats/printk.ts";
import { readBounded } from "../host/bounded-file.ts";
import { backtrackingRisk, PATTERN_TEXT_MAX } from "./backtracking.ts";
import { ConsoleScan, textsOf } from "./console-scan.ts";
import { createGoal } from "./goal.ts";
import { MACHINE_RULES } from "./machine-findings.ts";
import { needlesOf } from "./needles.ts";
import { patternWays } from "./pattern-ways.ts";
import type { Rule } from "./rule.ts";
import { RULES } from "./rules.ts";

/** As of a configuration: `path` is `[2].pattern`, of the third rule. An error leaves its rule out, a warning does not. */
export type OwnRuleFinding = ConfigFinding;

export interface OwnRules {
  /** Those that are right, in the order of the file. */
  readonly rules: readonly Rule[];
  /** In the order of the file. */
  readonly findings: readonly OwnRuleFinding[];
}

/** Limits that no real file comes near; they bound the time that a file can take. */
const BYTES_MAX = 1_048_576;
export const OWN_RULES_MAX = 500;
/** Of all texts that the sieve looks for: its table grows with them. */
const NEEDLE_CHARACTERS_MAX = 24_576;

/** Throws a usage error where the file cannot be read; what is wrong in it is told in `findings`. */
export async function readOwnRules(path: string): Promise<OwnRules> {
  const bytes = await readBounded(path, BYTES_MAX, "read a person's own rules");
  const unusable = (message: string): OwnRules => ({
    rules: [],
    findings: [{ where: path, line: 1, column: 1, path: "", message, severity: "error" }],
  });
  if (bytes.length > BYTES_MAX) return unusable(`the file is too long: expected at most ${BYTES_MAX} bytes`);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return unusable("the file is not UTF-8; save it as UTF-8");
  }
  return parseOwnRules(text, path);
}

/** `where` names the file in the findings. */
export function parseOwnRules(text: string, where: string): OwnRules {
  const reader = new RuleReader(text, where);
  const rules = reader.rules();
  return { rules, findings: reader.findings() };
}

/**
 * Examples for which another rule speaks, tried as the analyser tries them: of the rules of one kind that fit a line, one speaks. Takes
 * some milliseconds an example: for a check that a person asks for.
 */
export function hiddenExamples(
  rules: readonly Rule[],
): readonly { readonly rule: string; readonly example: string; readonly speaks: readonly string[] }[] {
  return rules.flatMap((rule) =>
    rule.matches.flatMap((example) => {
      const scan = new ConsoleScan({ goal: createGoal("never"), rules });
      scan.push(Buffer.from(`${example}\n`));
      scan.end();
      const speaks = scan.boots.flatMap(({ findings }) => findings).map((finding) => finding.rule);
      if (speaks.some(({ id }) => id === rule.id)) return [];
      return [{ rule: rule.id, example, speaks: speaks.filter(({ kind }) => kind === rule.kind).map(({ id }) => id) }];
    }),
  );
}

/** A pattern that a stranger wrote sees no more of a line than a person's goal does: no line can keep it busy for long. */
class BoundedPattern extends RegExp {
  override exec(text: string): RegExpExecArray | null {
    return super.exec(text.slice(0, PATTERN_TEXT_MAX));
  }
}

const sentence = z.string().trim().min(1);
const line = z.string().min(1).max(PATTERN_TEXT_MAX);
const kind = z.enum(FINDING_KINDS);

const ruleSchema = z.strictObject({
  id: z.string().regex(/^[a-z0-9][a-z0-9-]{0,39}(?:\/[a-z0-9][a-z0-9-]{0,39}){1,3}$/),
  kind,
  severity: z.enum(SEVERITIES),
  survived: z.enum(SEVERITIES).optional(),
  stage: z.enum([...BOOT_STAGES, "reached"]),
  domain: z.enum(FAILURE_DOMAINS),
  pattern: z.string().min(1).max(2000),
  except: z.string().min(1).max(2000).optional(),
  ends: z.boolean().optional(),
  denies: z.boolean().optional(),
  prompt: z.boolean().optional(),
  waits: z.boolean().optional(),
  follows: z.array(kind).optional(),
  gathers: z.boolean().optional(),
  explanation: sentence,
  hint: sentence,
  matches: z.array(line).min(1).max(100),
  ignores: z.array(line).min(1).max(100),
});
type RuleFields = z.infer<typeof ruleSchema>;

type Key = string | number;

class RuleReader {
  readonly #where: string;
  readonly #lines = new LineCounter();
  readonly #document: Document;
  readonly #found: { readonly offset: number; readonly finding: OwnRuleFinding }[] = [];
  /** The program's own, and those of the rules so far. */
  readonly #ids = new Set([...RULES, ...MACHINE_RULES].map(({ id }) => id));
  #needleCharacters = 0;

  constructor(text: string, where: string) {
    this.#where = where;
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, logLevel: "error" });
  }

  findings(): OwnRuleFinding[] {
    return this.#found.sort((one, other) => one.offset - other.offset).map(({ finding }) => finding);
  }

  rules(): readonly Rule[] {
    for (const { message, pos } of this.#document.errors) this.#report(pos[0], [], message);
    for (const { message, pos } of this.#document.warnings) this.#report(pos[0], [], message, "warning");
    const content = this.#content();
    if (content === null || content === undefined) return [];
    if (!Array.isArray(content)) {
      this.#fault([], `expected a list of rules, each beginning with "- id:", found ${excerpt(content)}`);
      return [];
    }
    if (content.length > OWN_RULES_MAX)
      this.#fault([OWN_RULES_MAX], `expected at most ${OWN_RULES_MAX} rules; this and those after it are left out`);
    return content.slice(0, OWN_RULES_MAX).flatMap((entry: unknown, index) => {
      const rule = this.#rule(entry, index);
      return rule === undefined ? [] : [rule];
    });
  }

  #content(): unknown {
    try {
      return this.#document.toJS({ maxAliasCount: 100 });
    } catch (error) {
      this.#fault([], reasonOf(error));
      return undefined;
    }
  }

  #rule(entry: unknown, index: number): Rule | undefined {
    const parsed = ruleSchema.safeParse(entry);
    if (!parsed.success) {
      for (const issue of parsed.error.issues) this.#schemaFault(issue, entry, index);
      return undefined;
    }
    const before = this.#found.length;
    const fields = parsed.data;
    if (this.#ids.has(fields.id)) this.#fault([index, "id"], `the id ${excerpt(fields.id)} is there already`);
    const pattern = this.#pattern(fields.pattern, [index, "pattern"]);
    const except = fields.except === undefined ? undefined : this.#pattern(fields.except, [index, "except"]);
    if (pattern === undefined || (except === undefined && fields.except !== undefined)) return undefined;
    this.#checkPlaces(fields, index);
    this.#checkExamples(fields, { pattern, except }, index);
    if (this.#found.length > before) return undefined;
    this.#checkNeedles(pattern, fields, index);
    if (this.#found.slice(before).some(({ finding }) => finding.severity === "error")) return undefined;
    this.#ids.add(fields.id);
    return ruleOf(fields, pattern, except);
  }

  #pattern(written: string, path: readonly Key[]): RegExp | undefined {
    const [, inSlashes] = WITHOUT_CASE.exec(written) ?? [];
    const source = inSlashes ?? written;
    const unknown = UNKNOWN_SYNTAX.exec(source)?.[0];
    if (unknown !== undefined) {
      this.#fault(path, `the analyser does not read ${excerpt(unknown)} in a pattern: write the characters themselves`);
      return undefined;
    }
    const risk = backtrackingRisk(source) ?? costOf(source);
    if (risk !== undefined) {
      this.#fault(path, `a line could keep this pattern busy for ever: it has ${risk}`);
      return undefined;
    }
    try {
      return new BoundedPattern(source, inSlashes === undefined ? "u" : "iu");
    } catch (error) {
      this.#fault(path, reasonOf(error));
      return undefined;
    }
  }

  /** `{name}` in a sentence is a named group. */
  #checkPlaces({ pattern, explanation, hint }: RuleFields, index: number): void {
    for (const [field, text] of Object.entries({ explanation, hint })) {
      for (const [place, name] of text.matchAll(/\{(\w+)\}/g)) {
        if (!pattern.includes(`(?<${name}>`)) this.#fault([index, field], `${place} has no group (?<${name}>…) in the pattern`);
      }
    }
  }

  #checkExamples({ matches, ignores }: RuleFields, row: Row, index: number): void {
    for (const [at, example] of matches.entries())
      if (!hits(row, example)) this.#fault([index, "matches", at], `the pattern does not take this line, and must: ${excerpt(example)}`);
    for (const [at, example] of ignores.entries())
      if (hits(row, example)) this.#fault([index, "ignores", at], `the pattern takes this line, and must not: ${excerpt(example)}`);
  }

  /** The analyser looks for fixed texts first and tries a pattern only where it finds one of the pattern's. */
  #checkNeedles(pattern: RegExp, { matches }: RuleFields, index: number): void {
    const needles = needlesOf(pattern).map((text) => text.toLowerCase());
    const path = [index, "pattern"];
    if (needles.length === 0) {
      this.#fault(path, "no fixed text is in every match: the pattern is tried on each line, which makes the analysis slow", "warning");
      return;
    }
    const missed = matches.findIndex(
      (example) => !messagesOf(example).some((text) => needles.some((needle) => text.toLowerCase().includes(needle))),
    );
    if (missed !== -1)
      this.#fault(path, `the analyser cannot tell which fixed text the pattern needs: it would miss ${excerpt(matches[missed]!)}`);
    this.#needleCharacters += needles.reduce((sum, { length }) => sum + length, 0);
    if (this.#needleCharacters > NEEDLE_CHARACTERS_MAX)
      this.#fault(path, `the patterns up to here have more than ${NEEDLE_CHARACTERS_MAX} characters of fixed text; this rule is left out`);
  }

  #schemaFault(issue: z.core.$ZodIssue, entry: unknown, index: number): void {
    const path = [index, ...(issue.path as Key[])];
    if (issue.code === "unrecognized_keys") {
      for (const key of issue.keys) {
        const meant = nearestWord(key, FIELDS);
        this.#fault([...path, key], `unknown field ${excerpt(key)}${meant === undefined ? "" : `; did you mean "${meant}"?`}`);
      }
      return;
    }
    const found = (issue.path as Key[]).reduce<unknown>(childOf, entry);
    if (found === undefined) this.#fault(path, `"${String(path.at(-1))}" is missing`);
    else this.#fault(path, suggestionFor(issue, found) ?? `${expectedOf(issue)}, found ${excerpt(found)}`);
  }

  /** At the value that `path` leads to, or the nearest around it. */
  #fault(path: readonly Key[], message: string, severity: OwnRuleFinding["severity"] = "error"): void {
    this.#report(this.#offsetOf(path), path, message, severity);
  }

  #offsetOf(path: readonly Key[]): number {
    for (let length = path.length; length > 0; length -= 1) {
      const offset = startOf(this.#document, path.slice(0, length));
      if (offset !== undefined) return offset;
    }
    return this.#document.contents?.range?.[0] ?? 0;
  }

  #report(offset: number, path: readonly Key[], message: string, severity: OwnRuleFinding["severity"] = "error"): void {
    const { line: row, col } = this.#lines.linePos(offset);
    this.#found.push({
      offset,
      finding: {
        where: this.#where,
        line: Math.max(row, 1),
        column: Math.max(col, 1),
        path: printable(
          path
            .map((key) => (typeof key === "number" ? `[${key}]` : `.${key}`))
            .join("")
            .replace(/^\./, ""),
        ),
        message: printable(message),
        severity,
      },
    });
  }
}

/**
 * As the end of a sentence that begins with "a pattern with". Stricter than for a goal: a rule is tried on every line of a log that holds
 * its text, and a guest can print hundreds of thousands of them.
 */
function costOf(source: string): string | undefined {
  const { unbounded } = patternWays(source);
  const max = source.startsWith("^") ? 2 : 1;
  return unbounded > max ? `more than ${max} unbounded ${max === 1 ? "repetition" : "repetitions"} (write {0,80} for *)` : undefined;
}

/** `/pattern/i`: capitals and small letters are the same. */
const WITHOUT_CASE = /^\/(.+)\/i$/s;

/** The text by which a rule of the file would write this pattern. */
export const patternText = ({ source, ignoreCase }: RegExp): string => (ignoreCase ? `/${source}/i` : source);

/** What `needlesOf` would take for literal text: \p, \u, \c, and groups of a later JavaScript such as (?i:…). */
const UNKNOWN_SYNTAX = /(?<!\\)(?:\\\\)*(?:\\[pPucx0k]|\(\?(?![:=!]|<[=!]|<[A-Za-z]\w*>)\S?)/;

interface Row {
  readonly pattern: RegExp;
  readonly except: RegExp | undefined;
}

const messagesOf = (example: string): readonly string[] => textsOf(example).map((text) => decodePrintk(text).message);

const hits = ({ pattern, except }: Row, example: string): boolean =>
  messagesOf(example).some((message) => pattern.test(message) && except?.test(message) !== true);

/** Fields that were not given stay away: an undefined one is not the same. */
function ruleOf(fields: RuleFields, pattern: RegExp, except: RegExp | undefined): Rule {
  const { except: _, ...rest } = fields;
  const given = Object.fromEntries(Object.entries(rest).filter(([, value]) => value !== undefined)) as typeof rest;
  return { ...(given as Omit<Rule, "pattern" | "except">), pattern, ...(except === undefined ? {} : { except }) };
}

const FIELDS: ReadonlyMap<string, string> = new Map(Object.keys(ruleSchema.shape).map((name) => [name, name]));

function expectedOf(issue: z.core.$ZodIssue): string {
  switch (issue.code) {
    case "invalid_value":
      return `expected one of ${issue.values.map(String).join(", ")}`;
    case "invalid_type":
      return `expected ${TYPES[issue.expected] ?? issue.expected}`;
    case "invalid_format":
      return 'expected small letters, digits and "-" with at least one "/": "own/disk-gone"';
    case "too_small":
      return issue.origin === "array" ? "expected at least one line" : "expected a text";
    case "too_big":
      return issue.origin === "array" ? `expected at most ${issue.maximum} lines` : `expected at most ${issue.maximum} characters`;
    default:
      return issue.message;
  }
}

const TYPES: Readonly<Record<string, string>> = {
  string: "a text (put it in quotes)",
  array: "a list",
  object: "a rule with its fields",
  boolean: "true or false",
};

function suggestionFor(issue: z.core.$ZodIssue, found: unknown): string | undefined {
  if (issue.code !== "invalid_value" || typeof found !== "string") return undefined;
  const meant = nearestWord(found, new Map(issue.values.map((value) => [String(value), String(value)])));
  return meant === undefined ? undefined : `${excerpt(found)} is none of the known words; did you mean "${meant}"?`;
}

const childOf = (value: unknown, key: Key): unknown =>
  typeof value === "object" && value !== null && Object.hasOwn(value, key) ? (value as Record<Key, unknown>)[key] : undefined;

/** Of the value at `path`, or of its key where the value is empty; undefined where there is none. */
function startOf(document: Document, path: readonly Key[]): number | undefined {
  const parent = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (isMap(parent)) {
    const pair = parent.items.find((item) => isPair(item) && isScalar(item.key) && item.key.value === path.at(-1));
    const [key, value] = [pair?.key, pair?.value] as readonly (Node | undefined)[];
    return (isScalar(value) && value.value === null ? key : (value ?? key))?.range?.[0];
  }
  const node = document.getIn(path, true);
  return isNode(node) ? node.range?.[0] : undefined;
}

const EXCERPT_MAX = 80;

function excerpt(value: unknown): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length > EXCERPT_MAX ? `${text.slice(0, EXCERPT_MAX - 1)}…` : text;
}
