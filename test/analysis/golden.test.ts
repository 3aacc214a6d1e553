/**
 * Boots that this program recorded, or that QEMU ran with the boot loaders and init systems of Debian's packages, and what the analyser
 * says of each. `golden/<case>/` holds the files of the session that the analyser reads, `serial.log` gzipped, and `expected.json`.
 * With UPDATE_GOLDEN=1 the expectations are written anew: a person reads the difference.
 */
import { readdirSync } from "node:fs";
import { readFile, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, test } from "vitest";
import { analyseConsole } from "../../src/analysis/analyse.ts";
import { readSessionEvidence } from "../../src/analysis/session-evidence.ts";
import type { SessionReport } from "../../src/analysis/session-report.ts";

const UPDATE = process.env["UPDATE_GOLDEN"] === "1";
const GOLDEN = fileURLToPath(new URL("golden/", import.meta.url));
const CASES = readdirSync(GOLDEN).sort();
/** A console log of a boot is text: a case whose archive is larger than this belongs elsewhere. */
const ARCHIVE_BYTES_MAX = 16 * 1024;

async function analyse(name: string): Promise<SessionReport> {
  const [archive, evidence] = await Promise.all([readFile(`${GOLDEN}${name}/serial.log.gz`), readSessionEvidence(GOLDEN + name)]);
  expect(archive.length).toBeLessThan(ARCHIVE_BYTES_MAX);
  return (await analyseConsole([gunzipSync(archive)], evidence)).report;
}

/** What people read and programs rely on. Times are left out: they are the recording machine's. */
const told = ({ boot_result, boot_stage_final, failure_domain, decided_by, stages, findings }: SessionReport) => ({
  boot_result,
  boot_stage_final,
  failure_domain,
  decided_by,
  stages: stages.map(({ boot, stage, line, program, text }) => ({ boot, stage, line, program, text })),
  findings: findings.map(({ id, kind, severity, source, line, cause }) => ({ id, kind, severity, source, line, cause })),
});

describe("golden files", () => {
  test("there are some", () => {
    expect(CASES.length).toBeGreaterThan(0);
  });

  test.each(CASES)("%s", async (name) => {
    const found = told(await analyse(name));
    const path = `${GOLDEN}${name}/expected.json`;
    if (UPDATE) await writeFile(path, `${JSON.stringify(found, undefined, 2)}\n`);
    expect(found).toEqual(JSON.parse(await readFile(path, "utf8")));
    if (found.boot_result === "success") expect(found.findings.filter(({ severity }) => severity !== "info")).toEqual([]);
  });
});
