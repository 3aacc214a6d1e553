import { chmod, mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { runProgram } from "../../src/cli/program.ts";
import { command } from "../../src/cli/report.ts";
import { SessionDirectory } from "../../src/session/directory.ts";
import { deadOwner, newSession, setClock } from "../session/fixtures.ts";
import { keptStreams } from "./streams.ts";

let root: string;
let logs: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  logs = join(root, "logs");
  await mkdir(logs);
});
afterEach(() => rm(root, { recursive: true }));

async function run(env: Record<string, string>, ...line: string[]) {
  const streams = keptStreams({ env });
  const commands = [{ name: "report", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "x", commands, examples: [] };
  const status = await runProgram(program, ["report", ...line, "--log-dir", logs], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

async function session(): Promise<SessionDirectory> {
  const directory = await SessionDirectory.create(newSession(logs, { owner: deadOwner() }), setClock());
  await writeFile(directory.file("serial.log"), "[    0.000000] Linux version 6.1.0 <script>\n");
  return directory;
}

const RULES = `- id: board/fpga
  kind: io_error
  severity: error
  stage: reached
  domain: hardware
  pattern: '^fpga: no DONE signal'
  explanation: The FPGA did not take its bitstream.
  hint: Compare the bitstream with the board.
  matches: ['fpga: no DONE signal']
  ignores: ['fpga: configured']
`;

describe("report --rules", () => {
  test("analyses again what was analysed already, and leaves session and index as they are", async () => {
    const directory = await session();
    await writeFile(directory.file("serial.log"), "Linux version 6.1.0 (x)\nfpga: no DONE signal\n");
    expect((await run({}, directory.id)).stdout).toContain('INCOMPLETE at kernel: the log ends at line 2 ("fpga: no DONE signal")');
    const kept = ["session.json", "status.json", "../index.jsonl"];
    const before = await Promise.all(kept.map((name) => readFile(directory.file(name), "utf8")));
    const path = join(root, "rules.yaml");
    await writeFile(path, RULES);
    const { status, stdout, stderr } = await run({}, directory.id, "--rules", path);
    expect(status).toBe(0);
    expect(stdout).toContain("INCOMPLETE at kernel (domain hardware): The FPGA did not take its bitstream\n");
    expect(stderr).toContain("Analysed again");
    expect(await Promise.all(kept.map((name) => readFile(directory.file(name), "utf8")))).toEqual(before);
    // It is the session's report from now on, until somebody analyses again.
    expect((await run({}, directory.id)).stdout).toBe(stdout);
    expect(await readFile(directory.file("report.html"), "utf8")).toContain("The FPGA did not take its bitstream");
  });

  test("a file that cannot be read is wrong usage, and changes nothing", async () => {
    const directory = await session();
    await run({}, directory.id);
    const before = await readFile(directory.file("report.json"), "utf8");
    expect((await run({}, directory.id, "--rules", join(root, "none.yaml"))).status).toBe(2);
    expect(await readFile(directory.file("report.json"), "utf8")).toBe(before);
  });
});

describe("report --open", () => {
  test("makes the page where there is none, and prints its path where nothing can show it", async () => {
    const directory = await session();
    const { status, stdout, stderr } = await run({ PATH: root }, "--open");
    expect(status).toBe(0);
    expect(stdout).toBe(`${directory.file("report.html")}\n`);
    expect(stderr).toContain("Not opened: there is no display here.");
    expect(await readFile(directory.file("report.html"), "utf8")).toContain("6.1.0 &lt;script&gt;");
    await rm(directory.file("report.html"));
    expect((await run({ PATH: root }, "--open")).stdout).toBe(stdout);
    expect(await readFile(directory.file("report.html"), "utf8")).toContain("<!DOCTYPE html>");
  });

  test.skipIf(process.platform === "darwin")("hands it to the desktop's opener", async () => {
    const directory = await session();
    const out = join(root, "out");
    await writeFile(join(root, "xdg-open"), `#!/bin/sh\nprintf '%s' "$*" >'${out}'\n`);
    await chmod(join(root, "xdg-open"), 0o755);
    const { status, stdout, stderr } = await run({ PATH: root, DISPLAY: ":0" }, "--open");
    expect({ status, stdout }).toEqual({ status: 0, stdout: `${directory.file("report.html")}\n` });
    expect(stderr).not.toContain("Not opened");
    expect(await readFile(out, "utf8")).toBe(directory.file("report.html"));
  });
});
