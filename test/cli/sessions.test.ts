import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { COMMANDS } from "../../src/cli/commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { reportSchema } from "../../src/contract/report.ts";
import { SessionDirectory } from "../../src/session/directory.ts";
import { readIndex } from "../../src/session/session-index.ts";
import { deadOwner, livingOwner, newSession, START_MS, setClock } from "../session/fixtures.ts";
import { keptStreams } from "./streams.ts";

let logs: string;
beforeEach(async () => {
  logs = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(logs, { recursive: true }));

async function run(...line: string[]) {
  const streams = keptStreams();
  const program = { name: "hiperiso", description: "x", commands: COMMANDS, examples: [["x", "y"]] as const };
  const status = await runProgram(program, [...line, "--log-dir", logs], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

async function cutOff(imageBaseName: string, second = 0, owner = deadOwner()): Promise<SessionDirectory> {
  const clock = setClock(START_MS + second * 1000);
  const directory = await SessionDirectory.create(newSession(logs, { imageBaseName, owner }), clock);
  await writeFile(directory.file("serial.log"), "[    0.000000] Linux version 6.1.0 \x9b2J\x1b]0;owned\x07\n");
  return directory;
}

describe("sessions list", () => {
  test("closes what was cut off, says so, and lists it", async () => {
    const { id } = await cutOff("a b.iso");
    const first = await run("sessions", "list");
    expect(first.status).toBe(0);
    expect(first.stderr).toContain(`Session ${id} had been cut off`);
    expect(first.stdout).toMatch(new RegExp(`^${id} +incomplete +kernel .*recorder failed\n$`));
    expect(await run("sessions", "list")).toEqual({ ...first, stderr: "" });
  });

  test("--json is an array of session.json, the state with it", async () => {
    const { id, path } = await cutOff("a.iso");
    await cutOff("b.iso", 5, livingOwner());
    const listed = JSON.parse((await run("sessions", "list", "--json")).stdout) as Record<string, unknown>[];
    expect(listed.map(({ state, status }) => [state, status])).toEqual([
      ["failed", "failed"],
      ["running", "started"],
    ]);
    expect(listed[0]).toMatchObject({ session_id: id, directory: path, result: "incomplete" });
  });

  test("no session is no error", async () => {
    expect(await run("sessions", "list")).toMatchObject({ status: 0, stdout: "", stderr: expect.stringContaining("No sessions") });
    expect((await run("sessions", "list", "--json")).stdout.trim()).toBe("[]");
  });

  test("a session that cannot be closed is a warning, and the list is there all the same", async () => {
    const { id, file } = await cutOff("a.iso").then((directory) => ({ id: directory.id, file: directory.file("FAILURE.txt") }));
    await mkdir(file);
    const { status, stdout, stderr } = await run("sessions", "list");
    expect(status).toBe(0);
    expect(stderr).toMatch(/warning: .*could not be closed.*a\.iso/);
    expect(stdout).toContain(`${id}  cut off`);
  });

  test("a log directory that is a file: status 2", async () => {
    await writeFile(join(logs, "file"), "");
    const streams = keptStreams();
    const program = { name: "hiperiso", description: "x", commands: COMMANDS, examples: [["x", "y"]] as const };
    const status = await runProgram(program, ["sessions", "list", "--log-dir", join(logs, "file")], streams, new AbortController().signal);
    expect(status).toBe(2);
    expect(streams.stderr()).toContain("list sessions");
  });
});

describe("sessions show", () => {
  test("the newest, for a person and for a program", async () => {
    await cutOff("old.iso", 0);
    const { id } = await cutOff("new.iso", 9);
    const { status, stdout } = await run("sessions", "show");
    expect(status).toBe(0);
    expect(stdout).toMatch(new RegExp(`^session +${id}\nstate +failed\n`));
    expect(JSON.parse((await run("sessions", "show", "--json")).stdout)).toMatchObject({ session_id: id, state: "failed" });
  });

  test("text of a session that somebody wrote by hand does nothing to a terminal", async () => {
    const directory = await cutOff("a.iso");
    await directory.writeJson("session.json", { ...directory.started, iso_path: "\x1b]0;owned\x07\x9b", kvm_because: "\u202e\n" });
    const { stdout } = await run("sessions", "show");
    expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    expect(stdout).toContain("\\x1b]0;owned");
  });

  test("one that is not there: status 2 and what to do", async () => {
    expect(await run("sessions", "show", "nothing")).toMatchObject({
      status: 2,
      stdout: "",
      stderr: expect.stringContaining("sessions list"),
    });
  });
});

describe("sessions rm", () => {
  test("removes those named, whose lines in the index stay, though they were cut off", async () => {
    const gone = await cutOff("a.iso");
    const stays = await cutOff("b.iso");
    expect((await run("sessions", "rm", gone.id, "a.iso")).status).toBe(0);
    expect((await readdir(logs)).sort()).toEqual([stays.id, "index.jsonl"].sort());
    expect((await readIndex(logs)).lines.map(({ session_id }) => session_id).sort()).toEqual([gone.id, stays.id]);
  });

  test("a slip in one name removes nothing", async () => {
    const { id } = await cutOff("a.iso");
    expect((await run("sessions", "rm", id, "nothing")).status).toBe(2);
    expect((await run("sessions", "rm", "")).status).toBe(2);
    expect(await readdir(logs)).toContain(id);
  });

  test("a running session: status 2, and it stays", async () => {
    const { id } = await cutOff("a.iso", 0, livingOwner());
    expect(await run("sessions", "rm", id)).toMatchObject({ status: 2, stderr: expect.stringContaining("still being recorded") });
    expect(await readdir(logs)).toEqual([id]);
  });
});

describe("report", () => {
  test("of the newest, harmless on a terminal, also where somebody wrote it by hand", async () => {
    const directory = await cutOff("a.iso");
    const { status, stdout } = await run("report");
    expect(status).toBe(0);
    expect(stdout).toMatch(/^INCOMPLETE at kernel/);
    expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f]/);
    await writeFile(directory.file("report.txt"), "one\n\x1b]0;owned\x07two\n");
    expect((await run("report")).stdout).toBe("one\n\\x1b]0;owned\\x07two\n");
  });

  test("--json is report.json, with nothing in it that a terminal acts on", async () => {
    await cutOff("a.iso");
    const { stdout } = await run("report", "--json");
    expect(reportSchema.parse(JSON.parse(stdout)).boot_stage_final).toBe("kernel");
    expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f]/);
  });

  test("no session: status 2", async () => {
    expect((await run("report")).status).toBe(2);
  });
});
