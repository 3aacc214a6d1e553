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
