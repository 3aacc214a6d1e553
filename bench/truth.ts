/**
 * `npm run bench:truth -- FOLDER`: the analyser against logs whose truth is known.
 *
 * FOLDER holds an `index.json`: an array of { file, healthy, expected: { result?, stage?, domain?, findings, lines? }, also? }; files may be
 * gzipped. A list in result, stage or domain means that any of them is right; what is missing is not judged. Kinds in `also` may be found or not.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { gunzipSync } from "node:zlib";
import { analyseConsole } from "../src/analysis/analyse.ts";
import type { SessionReport } from "../src/analysis/session-report.ts";

interface Labelled {
  readonly file: string;
  readonly healthy: boolean;
  readonly also?: readonly string[];
  readonly expected: {
    readonly result?: string | readonly string[];
    readonly stage?: string | readonly string[];
    readonly domain?: string | readonly string[];
    readonly findings: readonly string[];
    readonly lines?: readonly number[];
  };
}

interface Tally {
  right: number;
  judged: number;
}

interface Score {
  readonly result: Tally;
  readonly stage: Tally;
  readonly domain: Tally;
  readonly lines: Tally;
  /** By kind: found and expected, expected, found but neither expected nor allowed. */
  readonly kinds: Map<string, { found: number; expected: number; wrong: number }>;
  healthy: number;
  healthyWithAlarm: number;
  readonly misses: string[];
}

const folder = process.argv[2];
if (folder === undefined) {
  process.stderr.write("usage: npm run bench:truth -- FOLDER\n");
  process.exit(2);
}
const score: Score = {
  result: { right: 0, judged: 0 },
  stage: { right: 0, judged: 0 },
  domain: { right: 0, judged: 0 },
  lines: { right: 0, judged: 0 },
  kinds: new Map(),
  healthy: 0,
  healthyWithAlarm: 0,
  misses: [],
};
const logs = JSON.parse(await readFile(join(folder, "index.json"), "utf8")) as readonly Labelled[];
for (const log of logs) {
  const bytes = await readFile(join(folder, log.file));
  const { report } = await analyseConsole([log.file.endsWith(".gz") ? gunzipSync(bytes) : bytes]);
  judge(log, report, score);
}
print(logs.length, score);

function judge({ file, healthy, expected, also = [] }: Labelled, report: SessionReport, into: Score): void {
  const miss = (text: string) => into.misses.push(`${file}: ${text} [rule ${report.decided_by.rule}]`);
  const one = (name: "result" | "stage" | "domain", found: string) => {
    const wanted = expected[name];
    if (wanted === undefined) return;
    into[name].judged += 1;
    if ([wanted].flat().includes(found)) into[name].right += 1;
    else miss(`${name} is ${found}, expected ${[wanted].flat().join(" or ")}`);
  };
  one("result", report.boot_result);
  one("stage", report.boot_stage_final);
  one("domain", report.failure_domain);
  judgeKinds(expected.findings, also, report, into, miss);
  for (const line of expected.lines ?? []) {
    into.lines.judged += 1;
    if (tells(report, line)) into.lines.right += 1;
    else miss(`line ${line} is in no finding or stage`);
  }
  if (!healthy) return;
  into.healthy += 1;
  const alarms = report.findings.filter(
    ({ severity, kind }) => severity !== "info" && !also.includes(kind) && !expected.findings.includes(kind),
  );
  if (alarms.length > 0) into.healthyWithAlarm += 1;
}

function judgeKinds(
  expected: readonly string[],
  also: readonly string[],
  report: SessionReport,
  into: Score,
  miss: (text: string) => void,
): void {
  const kindOf = (kind: string) => {
    const row = into.kinds.get(kind) ?? { found: 0, expected: 0, wrong: 0 };
    into.kinds.set(kind, row);
    return row;
  };
  for (const kind of expected) {
    kindOf(kind).expected += 1;
    if (report.findings.some((finding) => finding.kind === kind)) kindOf(kind).found += 1;
    else miss(`no ${kind} found`);
  }
  const alarms = new Set(report.findings.filter(({ severity }) => severity !== "info").map(({ kind }) => kind));
  for (const kind of alarms) {
    if (expected.includes(kind) || also.includes(kind)) continue;
    kindOf(kind).wrong += 1;
    const first = report.findings.find((finding) => finding.kind === kind)!;
    miss(
      `${kind} found and not expected: ${first.severity} ${first.id} at line ${first.line}: ${JSON.stringify(first.text.slice(0, 120))}`,
    );
  }
}

/** The line is told: by the verdict, by a stage, or it stands in a finding's report. */
function tells({ findings, stages, decided_by: by }: SessionReport, line: number): boolean {
  return (
    by.lines.includes(line) ||
    stages.some((stage) => stage.line === line) ||
    findings.some(
      (finding) => finding.first_line !== null && finding.last_line !== null && finding.first_line <= line && line <= finding.last_line,
    )
  );
}

function print(count: number, { result, stage, domain, lines, kinds, healthy, healthyWithAlarm, misses }: Score): void {
  const share = (right: number, all: number) => (all === 0 ? "    –" : `${((100 * right) / all).toFixed(1).padStart(5)} %`);
  const rows = [`${count} logs`, ""];
  for (const [name, { right, judged }] of Object.entries({ result, stage, domain, lines })) {
    rows.push(`${name.padEnd(18)} ${share(right, judged)}  ${right} of ${judged}`);
  }
  rows.push(`${"false alarms".padEnd(18)} on ${healthyWithAlarm} of ${healthy} healthy logs`, "");
  rows.push(`${"kind".padEnd(18)} ${"recall".padStart(7)}  ${"precision".padStart(9)}`);
  const total = { found: 0, expected: 0, wrong: 0 };
  for (const [kind, row] of [...kinds].sort()) {
    rows.push(
      `${kind.padEnd(18)} ${share(row.found, row.expected)}    ${share(row.found, row.found + row.wrong)}  ${row.found} of ${row.expected}, ${row.wrong} wrong`,
    );
    for (const key of ["found", "expected", "wrong"] as const) total[key] += row[key];
  }
  rows.push(`${"all".padEnd(18)} ${share(total.found, total.expected)}    ${share(total.found, total.found + total.wrong)}`);
  rows.push("", `${misses.length} misses`, ...misses.map((text) => `  ${text}`), "");
  process.stdout.write(rows.join("\n"));
}
