/**
 * Writes docs/test-results.md from vitest's JSON: a row for each file of a full run.
 *
 *   npm run test:full -- --reporter=default --reporter=json --outputFile.json=build/results.json
 *   node scripts/test-table.mjs build/results.json
 */
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { relative, resolve } from "node:path";

const results = JSON.parse(readFileSync(process.argv[2] ?? "build/results.json", "utf8"));
const root = resolve(import.meta.dirname, "..");
const version = (program, ...words) => {
  try {
    return execFileSync(program, words, { encoding: "utf8" }).split("\n")[0].trim();
  } catch {
    return `no ${program}`;
  }
};

const rows = results.testResults
  .map(({ name, assertionResults, startTime, endTime }) => ({
    file: relative(root, name),
    passed: assertionResults.filter(({ status }) => status === "passed").length,
    failed: assertionResults.filter(({ status }) => status === "failed").length,
    skipped: assertionResults.filter(({ status }) => status === "skipped" || status === "pending").length,
    seconds: (endTime - startTime) / 1000,
  }))
  .sort((one, other) => (one.file < other.file ? -1 : 1));
const total = (field) => rows.reduce((sum, row) => sum + row[field], 0);
const kinds = [
  ["Unit tests (no QEMU)", ({ file }) => !file.startsWith("test/real/")],
  ["Real boots, one a capability", ({ file }) => file.startsWith("test/real/") && !file.endsWith(".long.test.ts")],
  ["Real boots, all others", ({ file }) => file.endsWith(".long.test.ts")],
];
const table = (wanted) => [
  "| file | passed | failed | skipped | seconds |",
  "| --- | ---: | ---: | ---: | ---: |",
  ...rows
    .filter(wanted)
    .map(({ file, passed, failed, skipped, seconds }) => `| ${file} | ${passed} | ${failed} | ${skipped} | ${seconds.toFixed(1)} |`),
];
const page = [
  "# Test results",
  "",
  "The last `npm run test:full`, written by `scripts/test-table.mjs`.",
  "",
  `${new Date(results.startTime).toISOString().slice(0, 10)}, ${version("git", "rev-parse", "--short", "HEAD")}, Node ${process.version.slice(1)}, ${version("qemu-system-x86_64", "--version")}, ${cpus().length} processors, ${Math.round(totalmem() / 2 ** 30)} GiB, emulation.`,
  "",
  `**${total("passed")} passed, ${total("failed")} failed, ${total("skipped")} skipped.**`,
  ...kinds.flatMap(([title, wanted]) => ["", `## ${title}`, "", ...table(wanted)]),
  "",
];
const benches = /## Benches[\s\S]*$/.exec(readFileSync(resolve(root, "docs/test-results.md"), "utf8"))?.[0];
writeFileSync(resolve(root, "docs/test-results.md"), [...page, ...(benches === undefined ? [] : [benches])].join("\n"));
