import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../src/cli/compare.ts";
import { runProgram } from "../../src/cli/program.ts";
import { GRUB, INITRAMFS, KERNEL, LOGIN, PANIC_NO_ROOT, SYSTEMD } from "../analysis/composed-logs.ts";
import { keptStreams } from "./streams.ts";

const HEALTHY = [...GRUB, ...KERNEL, ...INITRAMFS, ...SYSTEMD, ...LOGIN];
const BROKEN = [...GRUB, ...KERNEL, ...PANIC_NO_ROOT];

let folder: string;
let good: string;
let bad: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-compare-"));
  good = logOf("good", HEALTHY);
  bad = logOf("bad", BROKEN);
});
afterAll(() => rmSync(folder, { recursive: true }));

function logOf(name: string, lines: readonly string[]): string {
  const directory = join(folder, name);
  mkdirSync(directory, { recursive: true });
  writeFileSync(join(directory, "serial.log"), lines.join("\n"));
  return directory;
}

async function compare(...words: string[]) {
  const streams = keptStreams({ env: { XDG_CONFIG_HOME: folder, XDG_STATE_HOME: folder, HOME: folder } });
  const commands = [{ name: "compare", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["compare", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("hiperiso compare", () => {
  test("of two boots that went alike ends with 0", async () => {
    const { status, stdout, stderr } = await compare(good, logOf("again", HEALTHY));
    expect([status, stderr]).toEqual([0, ""]);
    expect(stdout).toContain("A  good\nB  again\nVerdict, stages and findings are the same.\n");
    expect(stdout).toContain("The logs do not part\n");
  });

  test("of two that did not ends with 1 and shows all side by side", async () => {
    const { status, stdout } = await compare(good, bad);
    expect(status).toBe(1);
    expect(stdout).toContain("Different: the verdict, stages, findings.");
    expect(stdout).toMatch(/^ {2}result {2}success {2}failure$/m);
    expect(stdout).toMatch(/^ {2}kernel {6}0\.000 s \(line 6\) {3}0\.000 s \(line 6\) {2}\+0\.000 s$/m);
    expect(stdout).toMatch(/^ {2}login {7}.* not reached$/m);
    expect(stdout).toContain("  only in B: fatal kernel/no-root at line 13\n");
    expect(stdout).toContain("Where the logs part\n  A  line 11, the first of ");
    expect(stdout).toContain("    >        11 | [    1.204421] Run /init as init process\n");
    expect(stdout).toContain("  They do not run together again.\n");
  });

  test("as JSON has the same for programs", async () => {
    const { status, stdout } = await compare(good, bad, "--json");
    expect(status).toBe(1);
    expect(JSON.parse(stdout)).toMatchObject({
      same: false,
      sessions: { a: { id: "good", directory: good }, b: { id: "bad" } },
      verdict: { same: false, a: { boot_result: "success" }, b: { boot_result: "failure" } },
      findings: { went: [] },
      log: { first: { a: { line: 11 }, b: { line: 11 }, together: null } },
    });
  });

  test("finds sessions by the beginning of their id", async () => {
    const sessions = join(folder, "hiperiso", "logs");
    for (const id of ["demo.iso_20261120T000000Z", "demo.iso_20261121T000000Z"]) {
      mkdirSync(join(sessions, id), { recursive: true });
      const started = {
        session_id: id,
        status: "failed",
        iso_path: "/ISOs/demo.iso",
        iso_basename: "demo.iso",
        log_dir: join(sessions, id),
        start_time_utc: "2026-11-21T00:00:00Z",
        kvm: "unknown",
        trace_level: "none",
        guest_ram_mb: 2048,
        guest_cpus: 2,
      };
      writeFileSync(join(sessions, id, "session.json"), JSON.stringify({ ...started, status: "started" }));
      writeFileSync(join(sessions, id, "serial.log"), HEALTHY.join("\n"));
      writeFileSync(join(sessions, id, "SESSION_COMPLETE"), "");
    }
    const { status, stdout, stderr } = await compare("demo.iso_20261120", "demo.iso_20261121");
    expect([status, stderr]).toEqual([0, expect.any(String)]);
    expect(stdout).toContain("A  demo.iso_20261120T000000Z\nB  demo.iso_20261121T000000Z\n");
    expect((await compare("demo.iso", good)).stderr).toContain("one session whose id begins so");
  });

  test("of what is no session ends with 2", async () => {
    for (const [a, b] of [
      [good, join(folder, "none")],
      ["none", good],
      [good, ""],
    ] as const) {
      const { status, stdout, stderr } = await compare(a, b);
      expect([status, stdout, stderr]).toEqual([2, "", expect.stringContaining("cannot find the session")]);
    }
    expect((await compare(good)).status).toBe(2);
  });

  test("text from logs is harmless on a terminal", async () => {
    const evil = logOf("evil\u202e", [
      ...HEALTHY.slice(0, 10),
      "\x9b31m\x07one \x1b]0;title\x07thing\u202e",
      "second",
      "third",
      "fourth",
      ...BROKEN,
    ]);
    const { stdout } = await compare(good, evil);
    expect(stdout).toContain("thing\\u202e");
    expect(stdout).toContain("B  evil\\u202e\n");
    expect(stdout).not.toMatch(/[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
  });

  test("a person's own rules count; what is wrong in them is warned of", async () => {
    const rules = join(folder, "rules.yaml");
    const rule =
      "{id: own/init, kind: oops, severity: warning, stage: reached, domain: kernel, pattern: '^Run /init as', explanation: It runs., hint: Good., matches: [Run /init as init], ignores: [run]}";
    writeFileSync(rules, `- ${rule}\n- {id: own/bad}\n`);
    const { stdout, stderr } = await compare(good, bad, "--rules", rules);
    expect(stdout).toContain("  only in A: warning own/init at line 11\n");
    expect(stderr).toContain(`${rules}:2:3: [1].kind: "kind" is missing`);
  });
});
