import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { Rule } from "../../src/analysis/rule.ts";
import { endingSchema, indexLineSchema, type Owner, sessionEndedSchema, statusSchema } from "../../src/contract/session.ts";
import { identityOf } from "../../src/host/process-identity.ts";
import { SessionDirectory, unbornName } from "../../src/session/directory.ts";
import { exists, readJson } from "../../src/session/finalise.ts";
import { sweepOrphans } from "../../src/session/orphans.ts";
import { makeScratch } from "../../src/session/scratch.ts";
import { readIndex } from "../../src/session/session-index.ts";
import { deadOwner, ENDING, livingOwner, never, newSession, START_MS, setClock } from "./fixtures.ts";

let logs: string;
beforeEach(async () => {
  logs = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(logs, { recursive: true }));

const sweep = () => sweepOrphans(logs, setClock(START_MS + 86_400_000), never);

async function born(owner: Owner = deadOwner(), imageBaseName = "demo.iso"): Promise<SessionDirectory> {
  return await SessionDirectory.create(newSession(logs, { owner, imageBaseName }), setClock());
}

/** Every file in a directory and below. */
async function contents(directory: string): Promise<Readonly<Record<string, string>>> {
  const names = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  return Object.fromEntries(
    await Promise.all(
      names.map(async ({ parentPath, name }) => [join(parentPath, name), await readFile(join(parentPath, name), "base64")]),
    ),
  );
}

async function endOf(directory: SessionDirectory) {
  const session = sessionEndedSchema.parse(await readJson(directory.file("session.json")));
  const status = statusSchema.parse(await readJson(directory.file("status.json")));
  const lines = (await readIndex(logs)).lines.filter(({ session_id }) => session_id === directory.id);
  for (const line of lines) indexLineSchema.parse(line);
  expect(lines).toHaveLength(1);
  expect(await exists(directory.file("SESSION_COMPLETE"))).toBe(true);
  return { session, status };
}

describe("what a killed recorder leaves", () => {
  test("a directory that was not yet a session, of a process that is gone, with its private files", async () => {
    const dead = deadOwner();
    const scratch = await makeScratch(tmpdir(), dead);
    const unborn = join(logs, unbornName(dead));
    await mkdir(unborn);
    await writeFile(join(unborn, "owner.json"), JSON.stringify({ ...dead, scratch_dir: scratch }));
    expect(await sweep()).toEqual([]);
    expect(await readdir(logs)).toEqual([]);
    expect(await exists(scratch)).toBe(false);
  });

  test("an empty one, killed before a byte was written", async () => {
    await mkdir(join(logs, unbornName(deadOwner())));
    expect(await sweep()).toEqual([]);
    expect(await readdir(logs)).toEqual([]);
  });

  test("is analysed by a person's own rules too, asked for once, and only where something is to be closed", async () => {
    const rule: Rule = {
      id: "board/fpga",
      kind: "io_error",
      severity: "error",
      stage: "reached",
      domain: "hardware",
      pattern: /^fpga: no DONE signal/,
      explanation: "x.",
      hint: "y.",
      matches: ["fpga: no DONE signal"],
      ignores: ["fpga: configured"],
    };
    let asked = 0;
    const rules = async () => {
      asked += 1;
      return [rule];
    };
    expect(await sweepOrphans(logs, setClock(), never, rules)).toEqual([]);
    expect(asked).toBe(0);
    const [first, second] = [await born(), await born()];
    for (const { file } of [first, second].map((directory) => ({ file: directory.file("serial.log") })))
      await writeFile(file, "Linux version 6.1.0 (x)\nfpga: no DONE signal\n");
    expect(await sweepOrphans(logs, setClock(), never, rules)).toEqual([first.id, second.id]);
    expect(asked).toBe(1);
    const report = JSON.parse(await readFile(second.file("report.json"), "utf8"));
    expect(report.findings).toMatchObject([{ id: "board/fpga", line: 2 }]);
  });

  test("a session that had only begun: failed, analysed, indexed", async () => {
    const directory = await born();
    expect(await sweep()).toEqual([directory.id]);
    const { session, status } = await endOf(directory);
    expect(session).toMatchObject({
      status: "failed",
      result: "no_serial",
      qemu_exit_code: null,
      report_available: 1,
      analysis: { has_serial: 0 },
    });
    expect(status).toMatchObject({ status: "failed", stage: "fatal_error" });
    expect(endingSchema.parse(await readJson(directory.file("ending.json")))).toMatchObject({
      reason: "recorder_died",
      goal: "login",
      firmware: null,
    });
    expect(await readFile(directory.file("FAILURE.txt"), "utf8")).toMatch(/recorder was killed/);
    expect(await readdir(directory.path)).not.toContain(".reserve");
  });

  test("one in the middle of a boot: what the log shows counts, the end is its last heartbeat", async () => {
    const directory = await born();
    const log = "[    0.000000] Linux version 6.1.0 (x)\n[    1.000000] Run /init as init process\n";
    await writeFile(directory.file("serial.log"), log);
    await writeFile(directory.file("machine.json"), JSON.stringify({ firmware: { interface: "uefi" }, accelerator: { use: "tcg" } }));
    const beat = (START_MS + 42_000) / 1000;
    await utimes(directory.file("HEARTBEAT"), beat, beat);
    await sweep();
    const { session } = await endOf(directory);
    expect(session).toMatchObject({
      status: "failed",
      result: "incomplete",
      end_time_utc: "2026-11-21T09:00:42Z",
      analysis: { boot_stage_final: "initramfs" },
    });
    expect(await readJson(directory.file("ending.json"))).toMatchObject({ firmware: "uefi", accelerator: "tcg", serial_bytes: log.length });
  });

  test("one whose boot was over: its ending is kept", async () => {
    const directory = await born();
    await directory.writeJson("ending.json", ENDING);
    await sweep();
    await endOf(directory);
    expect(await readJson(directory.file("ending.json"))).toEqual(ENDING);
  });

  test("half an ending is none", async () => {
    const directory = await born();
    await writeFile(directory.file("ending.json"), JSON.stringify(ENDING).slice(0, 40));
    await sweep();
    await endOf(directory);
    expect(await readJson(directory.file("ending.json"))).toMatchObject({ reason: "recorder_died" });
  });

  test("evidence that cannot be read: the session is closed all the same, and so are the others", async () => {
    const [first, second] = [await born(deadOwner(), "a.iso"), await born(deadOwner(), "b.iso")];
    await mkdir(first.file("serial.log"));
    expect(await sweep()).toEqual([first.id, second.id]);
    const { session } = await endOf(first);
    expect(session).toMatchObject({ status: "failed", result: "incomplete" });
    await endOf(second);
  });

  test("one that cannot be closed keeps no other from it, and is told", async () => {
    const [first, second] = [await born(deadOwner(), "a.iso"), await born(deadOwner(), "b.iso")];
    await mkdir(first.file("FAILURE.txt"));
    await expect(sweep()).rejects.toThrow(/close a session that was cut off.*a\.iso_2026/);
    await endOf(second);
    await rm(first.file("FAILURE.txt"), { recursive: true });
    expect(await sweep()).toEqual([first.id]);
    await endOf(first);
  });
});

describe("what is no orphan stays as it is", () => {
  test("a session whose recorder lives, and what a living process is about to make", async () => {
    const directory = await born(livingOwner());
    const unborn = join(logs, unbornName(livingOwner()));
    await mkdir(unborn);
    const before = await contents(logs);
    expect(await sweep()).toEqual([]);
    expect(await contents(logs)).toEqual(before);
    expect(await exists(unborn)).toBe(true);
    expect(await exists(directory.file("SESSION_COMPLETE"))).toBe(false);
  });

  test("one that is complete, whoever was its owner", async () => {
    const directory = await born();
    await writeFile(directory.file("SESSION_COMPLETE"), "");
    const before = await contents(logs);
    expect(await sweep()).toEqual([]);
    expect(await contents(logs)).toEqual(before);
  });

  test("directories and files of others", async () => {
    for (const name of ["photos", ".unborn-session-x", "with-session"]) await mkdir(join(logs, name));
    await writeFile(join(logs, "with-session/session.json"), "{}");
    await writeFile(join(logs, "photos/owner.json"), '{"pid": "root"}');
    await writeFile(join(logs, "notes.txt"), "mine");
    const before = await contents(logs);
    expect(await sweep()).toEqual([]);
    expect(await contents(logs)).toEqual(before);
    expect((await readdir(logs)).sort()).toEqual([".unborn-session-x", "notes.txt", "photos", "with-session"]);
  });

  test("a directory of a dead owner without a readable session.json", async () => {
    await mkdir(join(logs, "odd"));
    await writeFile(join(logs, "odd/owner.json"), JSON.stringify(deadOwner()));
    await writeFile(join(logs, "odd/session.json"), '{"session_id": ');
    const before = await contents(logs);
    expect(await sweep()).toEqual([]);
    expect(await contents(logs)).toEqual(before);
  });

  test("a log directory that is not there", async () => {
    expect(await sweepOrphans(join(logs, "missing"), setClock(), never)).toEqual([]);
  });
});

describe("once and for all", () => {
  test("a second sweep changes nothing", async () => {
    await born();
    await sweep();
    const before = await contents(logs);
    expect(await sweep()).toEqual([]);
    expect(await contents(logs)).toEqual(before);
  });

  test("five sweeps at once close each session once and add one line", async () => {
    const made = [];
    for (const name of ["a", "b", "c"]) made.push(await born(deadOwner(), name));
    const closed = await Promise.all([sweep(), sweep(), sweep(), sweep(), sweep()]);
    expect(closed.flat().sort()).toEqual(made.map(({ id }) => id).sort());
    for (const directory of made) await endOf(directory);
    expect((await readIndex(logs)).lines).toHaveLength(3);
  });
});

describe("leftovers", () => {
  test("a QEMU that outlived its recorder is ended; a process that is not it any more is not", async () => {
    const qemu = spawn("sleep", ["1000"], { stdio: "ignore" });
    const bystander = spawn("sleep", ["1000"], { stdio: "ignore" });
    await Promise.all([once(qemu, "spawn"), once(bystander, "spawn")]);
    const [first, second] = [await born(deadOwner(), "a"), await born(deadOwner(), "b")];
    await first.writeJson("qemu.json", identityOf(qemu.pid!));
    await second.writeJson("qemu.json", { ...identityOf(bystander.pid!), pid_start_ticks: "1" });
    const ended = once(qemu, "exit");
    expect(await sweep()).toHaveLength(2);
    expect(await ended).toEqual([null, "SIGKILL"]);
    expect(identityOf(bystander.pid!)).toBeDefined();
    bystander.kill("SIGKILL");
  });

  test("a socket that nobody listens to, and a file that was being replaced, go", async () => {
    const directory = await born();
    for (const name of ["monitor.sock", ".session.json.0123abcd.tmp", ".mine.tmp"]) await writeFile(directory.file(name), "");
    await sweep();
    expect((await readdir(directory.path)).filter((name) => /sock|tmp/.test(name))).toEqual([".mine.tmp"]);
  });

  test("its private directory goes; one that only owner.json calls so stays", async () => {
    const dead = deadOwner();
    const scratch = await makeScratch(tmpdir(), dead);
    const precious = await mkdtemp(join(tmpdir(), "hiperiso-"));
    await writeFile(join(precious, "work"), "years");
    await born({ ...dead, scratch_dir: scratch }, "a");
    await born({ ...dead, scratch_dir: precious }, "b");
    expect(await sweep()).toHaveLength(2);
    expect(await exists(scratch)).toBe(false);
    expect(await readdir(precious)).toEqual(["work"]);
    await rm(precious, { recursive: true });
  });
});
