import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { scriptFileSchema } from "../../src/contract/session.ts";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";

const LOGIN = `
steps:
  - expect: "login: "
  - send: "{{user}}\\n"
  - expect: "# "
`;

const SCRIPT = `
name: two logins
variables: { user: nobody }
fail_on: [Kernel panic, { pattern: "segfault at [0-9a-f]+" }]
steps:
  - wait-stage: kernel
  - include: login.yaml
  - run: id -u
    output: { pattern: "^0$" }
  - run: cd /tmp && echo kept > here
  - run: |
      pwd
      uname -r
    output: [/tmp, { pattern: "^(?<release>\\\\d+\\\\.\\\\d+)" }]
  - run: "echo the kernel is {{release}}; exec_status() { return 7; }; exec_status"
    status: 7
    output: the kernel is {{release}}
  - screenshot: before
  - reboot
  - include: login.yaml
  - run: test -e /tmp/here
    status: 1
  - key: ctrl-alt-f2
  - shutdown
`;

describe("a boot that is driven by a script", () => {
  it("logs in, runs commands, reboots, logs in again, and shuts down", async () => {
    await using place = await workplace();
    const script = join(place.root, "script.yaml");
    writeFileSync(script, SCRIPT);
    writeFileSync(join(place.root, "login.yaml"), LOGIN);
    const { status, stderr } = await run(
      bootWords(await demoImage(), place.logs, "--script", script, "--variable", "user=root", "--firmware", "bios"),
    );
    expect(status, stderr).toBe(0);
    const { directory, session, report, ending, serial, files } = onlySession(place.logs);
    expect(session).toMatchObject({ status: "complete", result: "success", goal: "script" });
    expect(ending).toMatchObject({ reason: "goal", goal: "script" });
    expect(ending.resets).toBeGreaterThan(0);
    expect(serial.match(/hiperiso-demo login: /g)).toHaveLength(2);
    const steps = scriptFileSchema.parse(JSON.parse(readFileSync(join(directory, "steps.json"), "utf8")));
    expect(steps.result).toBe("passed");
    expect(steps.steps.map(({ result }) => result)).toEqual(Array(16).fill("passed"));
    expect(steps.steps.filter(({ step }) => step === "run").map(({ exit_status: exit }) => exit)).toEqual([0, 0, 0, 7, 1]);
    // The lines that it names are lines of serial.log.
    const lines = serial.split("\n");
    for (const { step, line, detail } of steps.steps) if (step === "expect") expect(lines[line! - 1]).toContain(detail.trim());
    expect(files).toContain("screen-script-before.png");
    expect(report).toMatchObject({ script: steps, boots: 2 });
    const text = readFileSync(join(directory, "report.txt"), "utf8");
    expect(text).toContain("two logins: all 16 steps passed");
    expect(readFileSync(join(directory, "report.html"), "utf8")).toContain("The script</h2>");
    // Again at any time, with the same bytes.
    const before = ["report.json", "report.txt", "report.html"].map((name) => readFileSync(join(directory, name), "utf8"));
    expect((await run(["report", directory, "--rules", "/dev/null"])).status).toBe(0);
    expect(["report.json", "report.txt", "report.html"].map((name) => readFileSync(join(directory, name), "utf8"))).toEqual(before);
  });

  it("whose script waits for what never comes is a failure that names the step, with all that was recorded", async () => {
    await using place = await workplace();
    const script = join(place.root, "script.yaml");
    writeFileSync(script, "steps:\n  - expect: 'login: '\n  - expect: what no guest says\n    within: 3\n  - reboot\n");
    const { status, stdout } = await run(bootWords(await demoImage(), place.logs, "--script", script, "--firmware", "bios"));
    expect(status).toBe(1);
    expect(stdout).toContain("FAILURE at login");
    const { directory, session, report, ending, files } = onlySession(place.logs);
    expect(session).toMatchObject({ status: "complete", result: "failure" });
    expect(ending).toMatchObject({ reason: "script_failed", goal_reached: false });
    expect(report.findings.find(({ cause }) => cause)).toMatchObject({ id: "machine/script-failed", kind: "script_failed" });
    expect(report).toMatchObject({
      script: { result: "failed", steps: [{ result: "passed" }, { result: "failed" }, { result: "not_run" }] },
    });
    expect(readFileSync(join(directory, "FAILURE.txt"), "utf8")).toContain('expect "what no guest says"');
    expect(files).toEqual(expect.arrayContaining(["screen-script_failed.png", "steps.json"]));
  });

  it("waits for a panic where the script says so, and goes on behind it", async () => {
    await using place = await workplace();
    const script = join(place.root, "script.yaml");
    writeFileSync(script, "ignore_fatal: true\nsteps:\n  - expect: Kernel panic\n  - reboot: { button: reset }\n  - wait-stage: kernel\n");
    const { status, stderr } = await run(bootWords(await demoImage("broken-init"), place.logs, "--script", script, "--firmware", "bios"));
    expect(status, stderr).toBe(0);
    const { report, ending } = onlySession(place.logs);
    expect(ending).toMatchObject({ reason: "goal", goal_reached: true });
    expect(report.stages.filter(({ stage }) => stage === "kernel")).toHaveLength(2);
  });
});
