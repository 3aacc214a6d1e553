import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { decodeProcessStat, identityOf, isAlive, ownIdentity } from "../../src/host/process-identity.ts";

/** Fields 3 to 24 of a process that started at tick 4711. */
const AFTER_NAME = "S 1 77 77 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1000 25";
const statOf = (name: string) => `77 (${name}) ${AFTER_NAME}\n`;

describe("/proc/PID/stat", () => {
  test("names with blanks, parentheses and digits do not move the fields", () => {
    const name = fc.stringMatching(/^[ -~]{0,15}$/);
    fc.assert(
      fc.property(name, (text) => {
        expect(decodeProcessStat(statOf(text))).toEqual({ state: "S", startTicks: "4711" });
      }),
    );
    expect(decodeProcessStat(statOf(") S 1 (2) 3 R"))).toEqual({ state: "S", startTicks: "4711" });
  });

  test("a line cut at any byte says nothing", () => {
    const whole = statOf("node");
    for (let length = 0; length < whole.length; length++) expect(decodeProcessStat(whole.slice(0, length))).toBeUndefined();
  });

  test("any other bytes give fields of digits or nothing", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 200 }), (text) => {
        const fields = decodeProcessStat(text);
        expect(fields === undefined || /^\d+$/.test(fields.startTicks)).toBe(true);
      }),
    );
  });
});

describe("processes of this computer", () => {
  test("we are alive", () => {
    expect(ownIdentity().pid).toBe(process.pid);
    expect(isAlive(ownIdentity())).toBe(true);
  });

  test("a child is alive until it ends, and a zombie is not", async () => {
    const child = spawn("sleep", ["1000"], { stdio: "ignore" });
    await once(child, "spawn");
    const identity = identityOf(child.pid!);
    expect(identity !== undefined && isAlive(identity)).toBe(true);
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(identity !== undefined && isAlive(identity)).toBe(false);
  });
});

describe("a made-up /proc", () => {
  let proc: string;
  beforeAll(async () => {
    proc = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
    await mkdir(join(proc, "sys/kernel/random"), { recursive: true });
    await writeFile(join(proc, "sys/kernel/random/boot_id"), "11111111-2222-3333-4444-555555555555\n");
    for (const [pid, stat] of [
      ["77", statOf("x")],
      ["78", statOf("x").replace(") S", ") Z").replace("77", "78")],
    ] as const) {
      await mkdir(join(proc, pid));
      await writeFile(join(proc, pid, "stat"), stat);
    }
  });
  afterAll(() => rm(proc, { recursive: true }));

  const identity = { pid: 77, pid_start_ticks: "4711", boot_id: "11111111-2222-3333-4444-555555555555" };

  test("the same number, start and boot are the same process", () => {
    expect(identityOf(77, proc)).toEqual(identity);
    expect(isAlive(identity, proc)).toBe(true);
  });

  test.each([
    ["another start: the number went to another process", { pid_start_ticks: "4712" }],
    ["another boot", { boot_id: "99999999-2222-3333-4444-555555555555" }],
    ["no such process", { pid: 79 }],
    ["a zombie", { pid: 78 }],
  ])("%s", (_, other) => {
    expect(isAlive({ ...identity, ...other }, proc)).toBe(false);
  });

  test("without /proc an error that says so", () => {
    expect(() => isAlive(identity, join(proc, "none"))).toThrow(/boot id.*none/);
    expect(() => ownIdentity(join(proc, "none"))).toThrow(/Mount \/proc/);
  });
});
