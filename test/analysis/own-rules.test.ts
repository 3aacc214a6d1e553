import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { stringify as stringifyYaml } from "yaml";
import { analyseConsole } from "../../src/analysis/analyse.ts";
import { hiddenExamples, OWN_RULES_MAX, parseOwnRules, patternText, readOwnRules } from "../../src/analysis/own-rules.ts";
import type { Rule } from "../../src/analysis/rule.ts";
import { RULES } from "../../src/analysis/rules.ts";
import { createConsoleWatch } from "../../src/analysis/watch.ts";

const GOOD = `# mine
- id: own/widget-lost
  kind: io_error
  severity: error
  stage: reached
  domain: hardware
  pattern: '^widget (?<name>\\w{1,20}): link lost'
  explanation: The widget {name} lost its link.
  hint: Look at the cable of {name}.
  matches:
    - 'widget w0: link lost'
    - '[    1.500000] widget w1: link lost'
  ignores:
    - 'widget w0: link up'
`;
const FIELDS = {
  id: "own/one",
  kind: "io_error",
  severity: "error",
  stage: "reached",
  domain: "hardware",
  pattern: "^widget gone",
  explanation: "It is gone.",
  hint: "Look.",
  matches: ["widget gone"],
  ignores: ["widget there"],
};
/** Without anchors, which a person would not write. */
const stringify = (value: unknown) => stringifyYaml(value, { aliasDuplicateObjects: false, lineWidth: 0 });
const parse = (text: string) => parseOwnRules(text, "rules.yaml");
/** The findings of a file with this one rule, as `line:column severity path: message`. */
const told = (text: string) =>
  parse(text).findings.map(({ line, column, severity, path, message }) => `${line}:${column} ${severity} ${path}: ${message}`);
const toldOf = (changes: Record<string, unknown>) => told(stringify([{ ...FIELDS, ...changes }]));

describe("a file of rules", () => {
  test("becomes rules of the table's form", () => {
    const { rules, findings } = parse(GOOD);
    expect(findings).toEqual([]);
    expect(rules).toHaveLength(1);
    const { pattern, ...rest } = rules[0]!;
    expect(pattern.source).toBe("^widget (?<name>\\w{1,20}): link lost");
    expect(rest).toEqual({
      id: "own/widget-lost",
      kind: "io_error",
      severity: "error",
      stage: "reached",
      domain: "hardware",
      explanation: "The widget {name} lost its link.",
      hint: "Look at the cable of {name}.",
      matches: ["widget w0: link lost", "[    1.500000] widget w1: link lost"],
      ignores: ["widget w0: link up"],
    });
  });

  test("may be empty, or hold only comments", () => {
    for (const text of ["", "# nothing yet\n", "[]", "---\n"]) expect(parse(text)).toEqual({ rules: [], findings: [] });
  });

  test("keeps the rules that are right beside those that are not", () => {
    const { rules, findings } = parse(`${GOOD}- id: own/bad\n`);
    expect(rules.map(({ id }) => id)).toEqual(["own/widget-lost"]);
    expect(findings.every(({ severity, line }) => severity === "error" && line === 15)).toBe(true);
  });

  test("whose rules have all fields of the table takes them all", () => {
    const changes = { survived: "info", except: "gone fishing", ends: true, prompt: false, waits: true, follows: ["oops"], gathers: true };
    const { rules, findings } = parse(stringify([{ ...FIELDS, ...changes }]));
    expect(findings).toEqual([]);
    expect(rules[0]).toMatchObject({ ...changes, except: /gone fishing/ });
  });

  /** The table's own rules, written as a person would write them. */
  test("can say all that the program's own table says", () => {
    const own = (rule: Rule) => ({
      ...rule,
      id: `own/${rule.id}`,
      pattern: patternText(rule.pattern),
      ...(rule.except ? { except: patternText(rule.except) } : {}),
    });
    const { rules, findings } = parse(stringify(RULES.map(own)));
    const refusedForCost = findings.filter(({ message }) => message.includes("busy for ever"));
    const refused = new Set(refusedForCost.map(({ path }) => path.split(".")[0]));
    expect(findings.filter(({ path }) => !refused.has(path.split(".")[0])).map(({ path, message }) => `${path}: ${message}`)).toEqual([]);
    expect(rules.length + refused.size).toBe(RULES.length);
    expect(rules.length).toBeGreaterThan(RULES.length / 2);
  });
});

test("the example in the guide is right, and speaks in an analysis", () => {
  const guide = readFileSync(join(import.meta.dirname, "../../docs/writing-a-rule.md"), "utf8");
  const { rules, findings } = parse(/```yaml\n([\s\S]*?)```/.exec(guide)![1]!);
  expect([rules.length, findings, hiddenExamples(rules)]).toEqual([1, [], []]);
});

describe("what is wrong is told by line and column", () => {
  test.each([
    ["a missing field", { hint: undefined }, '1:3 error [0].hint: "hint" is missing'],
    ["a misspelt word", { kind: "panik" }, '2:9 error [0].kind: "panik" is none of the known words; did you mean "panic"?'],
    ["a word far from all", { domain: "kitchen" }, "5:11 error [0].domain: expected one of none, firmware, bootloader"],
    ["an unknown field", { patern: "x" }, '13:11 error [0].patern: unknown field "patern"; did you mean "pattern"?'],
    ["another type", { matches: [1] }, "10:7 error [0].matches[0]: expected a text (put it in quotes), found 1"],
    ["no counter-example", { ignores: [] }, "11:12 error [0].ignores: expected at least one line"],
    ["an id without a slash", { id: "one" }, '1:7 error [0].id: expected small letters, digits and "-" with at least one "/"'],
    ["an id of the program's", { id: "kernel/panic" }, '1:7 error [0].id: the id "kernel/panic" is there already'],
    ["no regular expression", { pattern: "widget gone(" }, "6:12 error [0].pattern: Invalid regular expression"],
    [
      "an example that does not match",
      { matches: ["widget gone", "gone"] },
      '11:7 error [0].matches[1]: the pattern does not take this line, and must: "gone"',
    ],
    [
      "a counter-example that matches",
      { ignores: ["widget gone!"] },
      "12:7 error [0].ignores[0]: the pattern takes this line, and must not",
    ],
    [
      "a place without a group",
      { explanation: "{name} is gone." },
      "7:16 error [0].explanation: {name} has no group (?<name>…) in the pattern",
    ],
    ["no fixed text", { pattern: "^\\w{3,9}\\s\\w{4}$" }, "6:12 warning [0].pattern: no fixed text is in every match"],
    ["syntax that the sieve does not read", { pattern: "^\\p{L}idget gone" }, "6:12 error [0].pattern: the analyser does not read"],
    ["a text that a terminal would act on", { kind: "\x1b[31m" }, "2:9 error [0].kind: expected one of"],
  ])("%s", (_, changes, start) => {
    const findings = toldOf(changes);
    expect(findings).toEqual([expect.stringMatching(new RegExp(`^${start.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`))]);
    expect(findings.join("")).not.toContain("\x1b");
  });

  test.each([
    ["a repetition inside a repetition", "^widget (?:a+)+ gone"],
    ["a choice inside a repetition", "^widget (?:a|a)* gone"],
    ["a back reference", "^(?<w>widget) \\k<w> gone"],
    ["a counted repetition inside a counted one", "^widget (?:a{1,30}){1,30} gone"],
    ["something that may be missing inside a counted repetition", "^widget (?:a?){40} gone"],
    ["a counted repetition inside an unbounded one", "^widget (?:a{1,3})* gone"],
    ["a choice inside a counted repetition", "^widget (?:a|a){20} gone"],
    ["two unbounded repetitions that may begin anywhere", "widget.*or.*gone"],
    ["three unbounded repetitions", "^widget.*a.*b.*gone"],
    ["many unbounded repetitions", "widget.*a.*b.*c.*gone"],
  ])("a pattern that a line can keep busy: %s", (_, pattern) => {
    expect(toldOf({ pattern })).toEqual([
      expect.stringMatching(/^6:12 error \[0\]\.pattern: a line could keep this pattern busy|the analyser does not read/),
    ]);
    expect(parse(stringify([{ ...FIELDS, pattern }])).rules).toEqual([]);
  });

  test("two rules of one id: the second is left out", () => {
    const { rules, findings } = parse(stringify([FIELDS, { ...FIELDS, pattern: "gone" }]));
    expect([rules.length, findings.map(({ path }) => path)]).toEqual([1, ["[1].id"]]);
  });

  test("YAML that does not parse, by its place", () => {
    expect(told("- id: own/a\n  kind: [x\n- id: b\n")).toContainEqual(expect.stringMatching(/^3:1 error : Flow sequence/));
    expect(told("just words")).toEqual(['1:1 error : expected a list of rules, each beginning with "- id:", found "just words"']);
    expect(told(GOOD.replace("  kind: io_error\n", "  kind: io_error\n  kind: oops\n"))).toEqual([
      expect.stringMatching(/^4:3 error : Map keys must be unique/),
    ]);
  });

  test("more rules than any file has", () => {
    const many = Array.from({ length: OWN_RULES_MAX + 2 }, (_, index) => ({ ...FIELDS, id: `own/r${index}` }));
    const { rules, findings } = parse(stringify(many));
    expect([rules.length, findings.map(({ path }) => path)]).toEqual([OWN_RULES_MAX, [`[${OWN_RULES_MAX}]`]]);
  });

  test("more fixed text than the sieve should look for", () => {
    const letters = "abcdefghijklmnopqrstuvwxyz";
    const many = Array.from({ length: 100 }, (_, index) => {
      const words = Array.from(
        { length: 20 },
        (_, at) => `${letters[at]}${letters[index % 26]}${letters[Math.floor(index / 26)]}-widget-gone`,
      );
      return { ...FIELDS, id: `own/r${index}`, pattern: `^(?:${words.join("|")})`, matches: [words[0]], ignores: ["widget"] };
    });
    const { rules, findings } = parse(stringify(many));
    expect(rules.length).toBeGreaterThan(30);
    expect(rules.length).toBeLessThan(100);
    expect(findings[0]!.message).toContain("characters of fixed text");
  });
});

describe("no file stops anything", () => {
  test("aliases that would grow without end, and nesting without end", () => {
    const bomb = `a: &a [x,x,x,x,x,x,x,x,x]\n${[..."bcdefghij"].map((name, index) => `${name}: &${name} [${Array(9).fill(`*${"abcdefghi"[index]}`).join(",")}]`).join("\n")}`;
    expect(parse(bomb)).toMatchObject({ rules: [], findings: [{ severity: "error" }] });
    for (const text of ["[".repeat(100_000), "- ".repeat(100_000), "{a: ".repeat(50_000)]) expect(parse(text).rules).toEqual([]);
  });

  test("cut at any byte, only whole rules are left", () => {
    const [whole] = parse(GOOD).rules;
    for (let end = 0; end <= GOOD.length; end += 1) {
      for (const rule of parse(GOOD.slice(0, end)).rules) {
        expect(rule.id).toBe("own/widget-lost");
        expect(rule.pattern.source).toBe(whole!.pattern.source);
      }
    }
  });

  test("with any character changed", () => {
    fc.assert(
      fc.property(fc.nat(GOOD.length - 1), fc.string({ unit: "binary", maxLength: 3 }), (at, piece) => {
        const { rules, findings } = parse(GOOD.slice(0, at) + piece + GOOD.slice(at + 1));
        expect(rules.length + findings.length).toBeGreaterThan(0);
        for (const { line, column, message } of findings) {
          expect(line >= 1 && column >= 1).toBe(true);
          expect(message).not.toMatch(/[\x00-\x08\x0b-\x1f\x7f]/);
        }
      }),
    );
  });

  test("of any text", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        expect(Array.isArray(parse(text).rules)).toBe(true);
      }),
    );
  });
});

describe("read from a disk", () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-own-rules-"));
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  test("a good file, one that is not UTF-8, one that is too long, none", async () => {
    const path = join(folder, "rules.yaml");
    writeFileSync(path, GOOD);
    expect((await readOwnRules(path)).rules).toHaveLength(1);
    writeFileSync(path, Buffer.from(GOOD.replace("#", "\ufeff#"), "utf16le"));
    expect(await readOwnRules(path)).toMatchObject({
      rules: [],
      findings: [{ where: path, message: "the file is not UTF-8; save it as UTF-8" }],
    });
    writeFileSync(path, new Uint8Array(2_000_000).fill(0x20));
    expect((await readOwnRules(path)).findings).toMatchObject([{ message: expect.stringContaining("too long") }]);
    await expect(readOwnRules(join(folder, "none"))).rejects.toMatchObject({ kind: "usage", where: join(folder, "none") });
  });
});

describe("in an analysis", () => {
  const { rules } = parse(GOOD);
  const logOf = (text: string) => [Buffer.from(text)];

  test("a person's rule finds what the program's do not know, with its group in the sentence", async () => {
    const log = "[    1.000000] Linux version 6.1.0\n[    1.500000] widget w7: link lost\n";
    expect((await analyseConsole(logOf(log))).report.findings).toEqual([]);
    expect((await analyseConsole(logOf(log), undefined, rules)).report.findings).toMatchObject([
      { id: "own/widget-lost", kind: "io_error", severity: "error", stage: "kernel", line: 2, explanation: "The widget w7 lost its link." },
    ]);
  });

  test("it speaks before the program's rule of its kind, wherever the line has its word", async () => {
    const own = parse(stringify([{ ...FIELDS, kind: "panic", pattern: "widgets stopped$", matches: ["x widgets stopped"] }])).rules;
    const log = "Linux version 6.1.0\nKernel panic - not syncing: widgets stopped\n";
    expect((await analyseConsole(logOf(log), undefined, own)).report.findings.map(({ id }) => id)).toEqual(["own/one"]);
    expect((await analyseConsole(logOf(log))).report.findings.map(({ id }) => id)).toEqual(["kernel/panic"]);
  });

  test("the live watch knows it too", () => {
    const watch = createConsoleWatch({ rules });
    expect(watch.push(Buffer.from("widget w1: link lost\n"), 5)).toMatchObject([{ type: "finding", rule: "own/widget-lost", line: 1 }]);
  });

  test("its pattern sees no more of a line than a goal's does", () => {
    const [own] = parse(stringify([{ ...FIELDS, pattern: "widget gone" }])).rules;
    expect(own!.pattern.test(`${"x".repeat(501)} widget gone`)).toBe(false);
    expect(own!.pattern.test(`${"x".repeat(400)} widget gone`)).toBe(true);
  });

  test("examples for which an earlier rule of the person's own speaks are told", () => {
    const both = parse(
      stringify([FIELDS, { ...FIELDS, id: "own/two", pattern: "^widget gone for good", matches: ["widget gone for good"] }]),
    ).rules;
    expect(hiddenExamples(both)).toEqual([{ rule: "own/two", example: "widget gone for good", speaks: ["own/one"] }]);
    expect(hiddenExamples(rules)).toEqual([]);
  });
});
