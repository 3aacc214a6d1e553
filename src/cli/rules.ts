import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { MACHINE_RULES } from "../analysis/machine-findings.ts";
import { hiddenExamples, type OwnRuleFinding, patternText, readOwnRules } from "../analysis/own-rules.ts";
import type { Rule } from "../analysis/rule.ts";
import { RULES } from "../analysis/rules.ts";
import { nearestWord } from "../config/nearest-word.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { FINDING_KINDS } from "../contract/verdict.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("rules")
    .description("Lists and shows the rules by which boots are judged, and tests a person's own.")
    .addCommand(listCommand(cli))
    .addCommand(showCommand(cli))
    .addCommand(testCommand(cli))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso rules list --kind no_root", "what can tell that there is no root file system"],
        ["hiperiso rules show kernel/no-root", "a rule whole: pattern, explanation, hint, examples"],
        ["hiperiso rules test my-rules.yaml", "before you rely on them"],
      ]),
    );
}

/** A rule of any sort, as it is told: the fields of its form that it has. */
type ToldRule = Readonly<Record<string, unknown>> & { readonly id: string; readonly kind: string; readonly severity: string };
type Origin = "own" | "console" | "machine";

function listCommand(cli: Cli): CommandUnknownOpts {
  return new Command("list")
    .description("Lists the rules: your own first, as they are tried.")
    .addOption(new Option("--kind <kind>", "of this kind of finding only").choices(FINDING_KINDS))
    .option(...RULES_OPTION)
    .option("--json", "print them whole, as an array")
    .action(async ({ kind, rules: file, json }) => {
      const rules = (await everyRule(cli, file)).filter((rule) => kind === undefined || rule.kind === kind);
      if (json === true) return cli.json(rules);
      const width = Math.max(...rules.map(({ id }) => id.length));
      const { dim } = picocolors.createColors(cli.colourOut);
      for (const { id, kind: ofKind, severity, explanation, origin } of rules)
        cli.out(
          `${id.padEnd(width)}  ${ofKind.padEnd(KIND_WIDTH)}  ${severity.padEnd(7)}  ${origin === "own" ? "(own) " : ""}${dim(printable(String(explanation)))}\n`,
        );
    });
}

const KIND_WIDTH = Math.max(...FINDING_KINDS.map(({ length }) => length));

function showCommand(cli: Cli): CommandUnknownOpts {
  return new Command("show")
    .description("Shows a rule whole, in the form in which your own are written.")
    .argument("<id>", "as in a report: kernel/no-root")
    .option(...RULES_OPTION)
    .option("--json", "print it as JSON")
    .action(async (id, { rules: file, json }) => {
      const rules = await everyRule(cli, file);
      const rule = rules.find((one) => one.id === id);
      if (rule === undefined) throw unknownRule(id, rules);
      if (json === true) cli.json(rule);
      else cli.out(pageOf(rule));
    });
}

function unknownRule(id: string, rules: readonly ToldRule[]): HiperisoError {
  const meant = nearestWord(id, new Map(rules.map((rule) => [rule.id, rule.id])));
  return new HiperisoError({
    what: "find the rule",
    where: id,
    expected: "the id of a rule",
    found: "none by this name",
    hint: `${meant === undefined ? "" : `Did you mean ${meant}? `}\`hiperiso rules list\` shows them all.`,
    kind: "usage",
  });
}

function testCommand(cli: Cli): CommandUnknownOpts {
  return new Command("test")
    .description(
      "Tests a YAML file of your own rules: form, patterns, that each rule takes its examples and leaves its counter-examples, and that no other rule speaks for them. Exit status 2 when there are errors.",
    )
    .argument("<file>", "the rules")
    .option("--json", "print the findings as JSON")
    .action(async (file, { json }) => {
      const { rules, findings } = await readOwnRules(file);
      const errors = findings.filter(({ severity }) => severity === "error").length;
      const hidden = hiddenExamples(rules);
      if (json === true) cli.json({ file, rules: rules.map(({ id }) => id), errors, warnings: findings.length - errors, findings, hidden });
      else cli.out(testText(file, rules, findings, hidden, cli.colourOut));
      if (errors + hidden.length > 0) cli.exit(EXIT.usage);
    });
}

/** One line a finding, `file:line:column:` first, as editors and compilers know it. */
function testText(
  file: string,
  rules: readonly Rule[],
  findings: readonly OwnRuleFinding[],
  hidden: ReturnType<typeof hiddenExamples>,
  colour: boolean,
): string {
  const name = printable(file);
  const { bold, red, yellow } = picocolors.createColors(colour);
  const label = (severity: OwnRuleFinding["severity"]) => (severity === "error" ? red("error:") : yellow("warning:"));
  const lines = [
    ...findings.map(
      ({ line, column, path, message, severity }) =>
        `${bold(`${name}:${line}:${column}:`)} ${label(severity)} ${path === "" ? "" : `${path}: `}${message}`,
    ),
    ...hidden.map(({ rule, example, speaks }) => {
      const others = speaks.length === 0 ? "no rule speaks" : `${speaks.join(", ")} speaks`;
      return `${bold(`${name}:`)} ${red("error:")} ${rule}: in an analysis ${others} for its example ${printable(JSON.stringify(example))}`;
    }),
    `${name}: ${rules.length} ${rules.length === 1 ? "rule holds" : "rules hold"}${findings.length + hidden.length === 0 ? "; nothing is wrong" : ""}.`,
  ];
  return lines.map((line) => `${line}\n`).join("");
}

async function everyRule(cli: Cli, file: string | undefined): Promise<readonly (ToldRule & { readonly origin: Origin })[]> {
  const told = (rules: readonly (Rule | (typeof MACHINE_RULES)[number])[], origin: Origin) =>
    rules.map((rule) => ({ origin, ...toldRule(rule) }));
  return [...told(await ownRulesFor(cli, file), "own"), ...told(RULES, "console"), ...told(MACHINE_RULES, "machine")];
}

/** Patterns as a rule of a person's own has them. */
function toldRule(rule: Rule | (typeof MACHINE_RULES)[number]): ToldRule {
  const fields = Object.entries(rule).map(([name, value]) => [name, value instanceof RegExp ? patternText(value) : value]);
  return Object.fromEntries(fields) as ToldRule;
}

function pageOf({ origin, ...rule }: ToldRule & { readonly origin: Origin }): string {
  const rows = Object.entries(rule).map(([name, value]) => {
    if (!Array.isArray(value)) return `${name.padEnd(NAME_WIDTH)} ${printable(String(value))}\n`;
    return value.map((item, index) => `${(index === 0 ? name : "").padEnd(NAME_WIDTH)} ${printable(String(item))}\n`).join("");
  });
  const from = { own: "your own", console: "read from the console", machine: "what QEMU and the recorder tell of the end" }[origin];
  return `${rows.join("")}${"from".padEnd(NAME_WIDTH)} ${from}\n`;
}

const NAME_WIDTH = "explanation".length + 1;
