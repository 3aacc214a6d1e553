import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOG_PROGRAM } from "../../src/cli/log-commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { EXIT } from "../../src/contract/error.ts";
import { GRUB, HEALTHY, KERNEL, log, OVMF, PANIC_NO_ROOT } from "../analysis/composed-logs.ts";
import { keptStreams } from "./streams.ts";

let directory: string;
let serial: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hiperiso-log-"));
  serial = join(directory, "serial.log");
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

async function run(...line: readonly string[]) {
  const streams = keptStreams();
  const status = await runProgram(LOG_PROGRAM, line, streams, new AbortController().signal);
  return { status, out: streams.stdout(), err: streams.stderr() };
}

describe("hiperiso-log analyze", () => {
  test("prints the report and tells by its exit status whether the goal was reached", async () => {
    await writeFile(serial, HEALTHY);
    expect(await run("analyze", directory)).toMatchObject({ status: EXIT.goalReached, err: "" });
    await writeFile(serial, log(OVMF, GRUB, KERNEL, PANIC_NO_ROOT));
    const { status, out } = await run("analyze", directory);
    expect(status).toBe(EXIT.goalMissed);
    expect(out).toMatch(/^FAILURE at kernel \(domain kernel\): The kernel could not mount a root file system/);
    expect(JSON.parse((await run("analyze", directory, "--json")).out)).toMatchObject({ boot_result: "failure" });
  });

  test("wrong usage ends with 2", async () => {
    expect(await run("analyze", join(directory, "missing"))).toMatchObject({ status: EXIT.usage, out: "" });
    expect((await run("analyze")).status).toBe(EXIT.usage);
  });
});

describe("hiperiso-log serial", () => {
  test("prints the whole report, or stages and findings line by line", async () => {
    await writeFile(serial, log(OVMF, KERNEL, PANIC_NO_ROOT));
    expect((await run("serial", serial)).out).toContain("What to try");
    expect((await run("serial", serial, "--stages")).out.split("\n").map((line) => line.trim().split(/ {2,}/).slice(0, 3))).toEqual([
      ["1", "stage", "firmware"],
      ["3", "stage", "kernel"],
      [""],
    ]);
    expect((await run("serial", serial, "--findings")).out).toMatch(/^ {5}10 {2}fatal +kernel\/no-root +\[ {4}1\.310003\]/m);
    expect(Object.keys(JSON.parse((await run("serial", serial, "--stages", "--json")).out))).toEqual(["stages"]);
  });

  test("knows a person's own rules, here and in the reports of a directory", async () => {
    const rules = join(directory, "rules.yaml");
    await writeFile(serial, log(OVMF, KERNEL, ["[    1.500000] fpga-loader: top.bit: no DONE signal"]));
    await writeFile(
      rules,
      `- id: board/fpga
  kind: io_error
  severity: error
  stage: reached
  domain: hardware
  pattern: '^fpga-loader: (?<file>\\S{1,80}): no DONE signal'
  explanation: The FPGA did not take {file}.
  hint: Compare the builds.
  matches: ['fpga-loader: top.bit: no DONE signal']
  ignores: ['fpga-loader: top.bit: configured']
`,
    );
    expect((await run("serial", serial, "--findings")).out).not.toContain("board/fpga");
    expect((await run("serial", serial, "--findings", "--rules", rules)).out).toContain("board/fpga");
    expect((await run("analyze", directory, "--rules", rules)).out).toContain("The FPGA did not take top.bit.");
  });

  test("follows a log while it grows, and ends when it is interrupted", async () => {
    await writeFile(serial, `${log(OVMF)}\n`);
    const streams = keptStreams();
    const abort = new AbortController();
    const running = runProgram(LOG_PROGRAM, ["serial", serial, "--follow", "--json"], streams, abort.signal);
    await until(() => streams.stdout().includes('"firmware"'));
    await appendFile(serial, "box login: ");
    await until(() => streams.stdout().includes('"login"'));
    abort.abort();
    await running;
    expect(
      streams
        .stdout()
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line)),
    ).toEqual([
      expect.objectContaining({ type: "stage", stage: "firmware", line: 1 }),
      expect.objectContaining({ type: "stage", stage: "login", line: 3, text: "box login:" }),
    ]);
  });

  test("a file that is not there is wrong usage", async () => {
    for (const options of [[], ["--follow"]]) expect((await run("serial", join(directory, "missing"), ...options)).status).toBe(EXIT.usage);
  });
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await sleep(5);
}
