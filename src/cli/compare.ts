import { stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { type ComparedFinding, type Comparison, compareSessions, type Pair } from "../analysis/compare.ts";
import type { LogDifference, Parting, PartingSide, QuotedLine } from "../analysis/log-parting.ts";
import { EXIT } from "../contract/error.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { printable } from "../formats/escape-terminal.ts";
import { findSession } from "../session/catalogue.ts";
import type { Cli } from "./cli.ts";
import { sweep } from "./cut-off-sessions.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("compare")
    .description(
      "Shows two recorded boots side by side: verdict, stages with times, findings that came or went, settings, and the first line where the logs part. Exit status 0 when verdict, stages and findings are the same, 1 when they differ.",
    )
    .argument("<a>", "a session: its id, the beginning of it, or a directory with a serial.log")
    .argument("<b>", "the one to compare it with")
    .option("--log-dir <path>", "folder that holds the sessions (default: hiperiso/logs in the XDG state folder)")
    .option(...RULES_OPTION)
    .option("--json", "print the comparison as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso compare debian.iso_20261120T debian.iso_20261121T", "yesterday's boot and today's"],
        ["hiperiso compare ./good ./bad", "two folders with a serial.log each"],
      ]),
    )
    .action(async (a, b, { logDir, rules: file, json }) => {
      const logDirectory = logDirectoryOf(logDir, cli.env);
      await sweep(cli, logDirectory);
      const [directoryA, directoryB] = [await directoryOf(a, logDirectory), await directoryOf(b, logDirectory)];
      const comparison = await compareSessions(directoryA, directoryB, { job: cli.job, rules: await ownRulesFor(cli, file) });
      if (json === true) cli.json(comparison);
      else cli.out(pageOf(comparison, cli.colourOut));
      cli.exit(comparison.same ? EXIT.goalReached : EXIT.goalMissed);
    });
}

/** A directory with a console log needs no session in it; a name without a slash is a session's first. */
async function directoryOf(reference: string, logDirectory: string): Promise<string> {
  if (reference.includes("/") && (await hasLog(reference))) return resolve(reference);
  try {
    return (await findSession(logDirectory, reference)).directory;
  } catch (error) {
    if (reference !== "" && (await hasLog(reference))) return resolve(reference);
    throw error;
  }
}

const hasLog = (directory: string): Promise<boolean> =>
  stat(join(directory, SESSION_FILES.serial)).then(
    (facts) => facts.isFile(),
    () => false,
  );

type Paint = ReturnType<typeof picocolors.createColors>;

function pageOf(comparison: Comparison, colour: boolean): string {
  const paint = picocolors.createColors(colour);
  const { sessions, same } = comparison;
  const sections: readonly (readonly string[])[] = [
    [
      `A  ${printable(sessions.a.id)}`,
      `B  ${printable(sessions.b.id)}`,
      same ? paint.green("Verdict, stages and findings are the same.") : paint.yellow(`Different: ${whatDiffers(comparison).join(", ")}.`),
    ],
    table(paint.bold("Verdict"), verdictRows(comparison.verdict)),
    table(paint.bold("Stages"), stageRows(comparison)),
    findingLines(comparison.findings, paint),
    table(
      paint.bold("Settings that differ"),
      comparison.settings.map(({ setting, a, b }) => [setting, a ?? "-", b ?? "-"]),
    ),
    table(
      paint.bold("Phases"),
      comparison.phases.map((row) => [row.phase, seconds(row.a_ms), seconds(row.b_ms), change(row.difference_ms)]),
    ),
    logLines(comparison.log, paint),
  ];
  return `${sections
    .filter(({ length }) => length > 0)
    .map((lines) => lines.join("\n"))
    .join("\n\n")}\n`;
}

function whatDiffers({ verdict, stages, findings }: Comparison): readonly string[] {
  return [
    ...(verdict.same ? [] : ["the verdict"]),
    ...(stages.every(({ a, b }) => a !== null && b !== null) ? [] : ["stages"]),
    ...(findings.came.length + findings.went.length + findings.weighed.length === 0 ? [] : ["findings"]),
  ];
}

/** A log of many boots has thousands of stages; a person reads the first. */
const ROWS_MAX = 60;
const FINDINGS_MAX = 40;

const andMore = (count: number, max: number): readonly string[] => (count > max ? [`  and ${count - max} more (--json has them all)`] : []);

/** Rows in columns, below a title and the two letters; nothing where there are no rows. */
function table(title: string, rows: readonly (readonly string[])[]): readonly string[] {
  if (rows.length === 0) return [];
  const harmless = [["", "A", "B"], ...rows.slice(0, ROWS_MAX)].map((row) => row.map((cell) => printable(cell)));
  const widths = [0, 1, 2, 3].map((column) => Math.max(...harmless.map((row) => row[column]?.length ?? 0)));
  return [
    title,
    ...harmless.map((row) => `  ${row.map((cell, column) => cell.padEnd(widths[column]!)).join("  ")}`.trimEnd()),
    ...andMore(rows.length, ROWS_MAX),
  ];
}

const verdictRows = ({ a, b }: Pair<Comparison["verdict"]["a"]>): readonly (readonly string[])[] => [
  ["result", a.boot_result, b.boot_result],
  ["stage", a.boot_stage_final, b.boot_stage_final],
  ["domain", a.failure_domain, b.failure_domain],
];

function stageRows({ stages }: Comparison): readonly (readonly string[])[] {
  const many = stages.some(({ boot }) => boot > 1);
  return stages.map(({ boot, stage, a, b, difference_ms }) => [
    many ? `boot ${boot} ${stage}` : stage,
    ...[a, b].map((seen) =>
      seen === null ? "not reached" : `${seconds(seen.time_ms)}${seen.line === null ? "" : ` (line ${seen.line})`}`,
    ),
    change(difference_ms),
  ]);
}

const seconds = (ms: number | null): string => (ms === null ? "?" : `${(ms / 1000).toFixed(3)} s`);
const change = (ms: number | null): string => (ms === null ? "" : `${ms < 0 ? "-" : "+"}${(Math.abs(ms) / 1000).toFixed(3)} s`);

function findingLines({ went, came, weighed, alike }: Comparison["findings"], paint: Paint): readonly string[] {
  const lines = [
    ...went.slice(0, FINDINGS_MAX).flatMap((finding) => findingLine(paint.green("only in A"), finding)),
    ...andMore(went.length, FINDINGS_MAX),
    ...came.slice(0, FINDINGS_MAX).flatMap((finding) => findingLine(paint.red("only in B"), finding)),
    ...andMore(came.length, FINDINGS_MAX),
    ...weighed.slice(0, FINDINGS_MAX).flatMap(({ a, b }) => findingLine(`${a.severity} in A, ${b.severity} in B`, b)),
    ...andMore(weighed.length, FINDINGS_MAX),
    ...(alike > 0 ? [`  ${alike} alike in both`] : []),
  ];
  return lines.length === 0 ? [] : [paint.bold("Findings"), ...lines];
}

const findingLine = (where: string, { id, severity, line, text, count }: ComparedFinding): readonly string[] => [
  `  ${where}: ${severity} ${printable(id)}${line === null ? "" : ` at line ${line}`}${count > 1 ? `, ${count} times` : ""}`,
  `      ${quote(text)}`,
];

const QUOTE_MAX = 200;
function quote(text: string): string {
  const harmless = printable(text.trimEnd());
  return harmless.length > QUOTE_MAX ? `${harmless.slice(0, QUOTE_MAX - 1)}…` : harmless;
}

function logLines(log: LogDifference | null, paint: Paint): readonly string[] {
  if (log === null) return [paint.bold("Logs"), "  One of the two has no serial.log."];
  const { first, last, onlyA, onlyB, moved, numbers } = log;
  const counts = `  ${onlyA} ${onlyA === 1 ? "line" : "lines"} only in A, ${onlyB} only in B, ${moved} in another order, ${numbers.count} with other numbers`;
  const ofNumbers =
    numbers.first === null
      ? []
      : ["  The first with other numbers:", ...quotes("A", [numbers.first.a], undefined), ...quotes("B", [numbers.first.b], undefined)];
  if (first === null) return [paint.bold("The logs do not part"), counts, ...ofNumbers];
  return [
    paint.bold("Where the logs part"),
    ...partingLines(first),
    ...(last === null ? [] : [paint.bold("From where they never run together again"), ...partingLines(last)]),
    counts,
    ...ofNumbers,
  ];
}

const partingLines = ({ a, b, together }: Parting): readonly string[] => [
  ...sideLines("A", a),
  ...sideLines("B", b),
  together === null ? "  They do not run together again." : `  They run together again at line ${together.a} of A, ${together.b} of B.`,
];

function sideLines(name: string, { line, text, own, before, after }: PartingSide): readonly string[] {
  const head =
    line === null
      ? "has ended here"
      : own === 0
        ? `has nothing of its own here, and goes on with line ${line}`
        : `line ${line}${own > 1 ? `, the first of ${own} of its own` : ""}`;
  const middle = line === null || text === null ? [] : [{ line, text }];
  return [`  ${name}  ${head}`, ...quotes("", [...before, ...middle, ...after], line ?? undefined)];
}

const quotes = (name: string, lines: readonly QuotedLine[], marked: number | undefined): readonly string[] =>
  lines.map(({ line, text }) => `    ${line === marked ? ">" : " "} ${name.padEnd(2)}${String(line).padStart(7)} | ${quote(text)}`);
