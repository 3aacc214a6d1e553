import { existsSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { scriptFileSchema } from "../../src/contract/session.ts";
import { decodeScript } from "../../src/suite/script-file.ts";
import { type GuestBehaviour, type Ran, ShellGuest } from "./shell-guest.ts";

async function ran(text: string, behaviour: GuestBehaviour = {}): Promise<Ran> {
  const script = await decodeScript(text, "s.yaml");
  await using guest = new ShellGuest(behaviour);
  const done = await guest.run(script);
  scriptFileSchema.parse(done.file);
  expect(done.file.result).toBe(done.passed ? "passed" : "failed");
  expect(done.kept, "kept at the begin and after each step").toBe(done.file.steps.filter(({ result }) => result !== "not_run").length + 1);
  return done;
}

const results = ({ file }: Ran) => file.steps.map(({ result }) => result);

describe("expect", () => {
  test("takes what is on the console in its order, each place once", async () => {
    const done = await ran("steps: [{ expect: b }, { expect: a }, { expect: c }]", { prints: "a\nb\na c" });
    expect(results(done)).toEqual(["passed", "passed", "passed"]);
    expect(done.file.steps.map(({ line }) => line)).toEqual([2, 3, 3]);
  });

  test("does not take the same text twice", async () => {
    const done = await ran("steps: [{ expect: 'login:' }, { expect: 'login:', within: 0.05 }]", { prints: "demo login: " });
    expect(results(done)).toEqual(["passed", "failed"]);
    expect(done.detail).toMatch(
      /^step 2 of 2, expect "login:" \(s\.yaml:1:\d+\): not within 0\.05 s; the console's last line is 1: demo login:$/,
    );
  });

  test("for ever ends at the step's limit, and at the plan's where the step has none", async () => {
    for (const text of ["steps: [{ expect: x, within: 0.05 }, reboot]", "within: 0.05\nsteps: [{ expect: x }, reboot]"]) {
      const done = await ran(text);
      expect(results(done)).toEqual(["failed", "not_run"]);
      expect(done.detail).toContain("not within 0.05 s; the console has printed nothing");
    }
    expect((await ran("steps: [{ expect: x }]", { stepMs: 40 })).detail).toContain("not within 0.04 s");
  });

  test("a pattern is tried on each text by itself, escape sequences taken out; its groups become variables", async () => {
    const text =
      'steps: [{ expect: { pattern: "^IP (?<ip>[\\\\d.]+)$" } }, { send: "ping {{ip}}\\n" }, { expect: { pattern: "^from {{ip}}:" } }]';
    const done = await ran(text, {
      prints: "no IP 1.1.1.1\n\x1b[1mIP 10.0.2.15\x1b[0m\n",
      react: (what, guest) => {
        if (what.startsWith("ping")) guest.print("from 10x0y2z15:\nfrom 10.0.2.15: ok\n");
      },
    });
    expect(results(done)).toEqual(["passed", "passed", "passed"]);
    expect(done.typed).toBe("ping 10.0.2.15\r");
    expect(done.file.steps[2]).toMatchObject({ line: 5, detail: "from 10.0.2.15:" });
  });
});

describe("fail_on", () => {
  test("holds at any time, also while something else is waited for, and for what came between two steps", async () => {
    const done = await ran("fail_on: [{ pattern: 'panic: (\\w+)' }, Oops]\nsteps: [{ expect: never }]", { prints: "fine\nOops: 0002\n" });
    expect(results(done)).toEqual(["failed"]);
    expect(done.detail).toContain('"Oops" was seen at line 2, which must not be: Oops: 0002');
  });

  test("as a step holds from there on", async () => {
    const text = "steps: [{ expect: Oops }, { expect: begin }, { fail_on: Oops }, { send: again }, { expect: end, within: 30 }]";
    const done = await ran(text, { prints: "Oops\nbegin\n", react: (what, guest) => what === "again" && guest.print("\nOops") });
    expect(results(done)).toEqual(["passed", "passed", "passed", "failed", "not_run"]);
  });
});

describe("keys, pictures and stages", () => {
  test("keys are pressed one chord after the other, a text letter by letter", async () => {
    const done = await ran("steps: [{ key: ctrl-alt-f2 }, { key: [down, ret], times: 2 }, { type: 'Ab' }]");
    const chords = ["ctrl-alt-f2", "down", "ret", "down", "ret", "shift-a", "b"];
    expect(done.told).toEqual(chords.map((chord) => `send-key ${chord}`));
  });

  test("a picture that is taken again has another name; where there is no screen the step fails", async () => {
    const done = await ran("steps: [{ screenshot: menu }, { screenshot: menu }, { screenshot: none }]");
    expect(done.file.steps.map(({ screenshot }) => screenshot)).toEqual(["screen-script-menu.png", "screen-script-menu-2.png", undefined]);
    expect(done.detail).toContain("the machine has no screen");
  });

  test("a stage is waited for, a later one is as good, and a reset begins anew", async () => {
    const text = "steps: [{ send: go }, { wait-stage: kernel }, { reboot: { button: reset } }, { wait-stage: kernel, within: 0.05 }]";
    const again = await ran(text, {
      react: (what, guest) => {
        if (what === "go") guest.reach("userspace");
        if (what === "system_reset") guest.reset();
      },
    });
    expect(results(again)).toEqual(["passed", "passed", "passed", "failed"]);
    expect(again.expected).toEqual(["reset"]);
  });
});

describe("reboot and shutdown", () => {
  test("by a command, by a button; what stood on the console before a reboot is read", async () => {
    const done = await ran("steps: [reboot, { expect: 'login:' }, shutdown]", {
      prints: "old login:\n",
      react: (what, guest) => {
        if (what === "reboot\r") {
          guest.reset();
          setTimeout(() => guest.print("new login: "), 10);
        }
        if (what === "system_powerdown") guest.powerOff();
      },
    });
    expect(results(done)).toEqual(["passed", "passed", "passed"]);
    expect(done.file.steps[1]!.line).toBe(3);
    expect([done.expected, done.told]).toEqual([["reset", "off"], ["system_powerdown"]]);
    const typed = await ran("steps: [{ shutdown: poweroff }]", { react: (what, guest) => what === "poweroff\r" && guest.powerOff() });
    expect([results(typed), typed.told]).toEqual([["passed"], []]);
  });

  test("that does not happen fails within its limit", async () => {
    for (const step of ["reboot", "shutdown"]) expect(results(await ran(`within: 0.05\nsteps: [${step}]`))).toEqual(["failed"]);
  });

  test("a script that waits for panics says so to the recorder", async () => {
    expect((await ran("ignore_fatal: true\nsteps: [{ expect: panic }]", { prints: "Kernel panic" })).expected).toEqual(["fatal"]);
  });
});

const SHELLS: readonly (readonly string[])[] = [
  ["/bin/sh", "-i"],
  ["/bin/bash", "--norc", "-i"],
  ["/bin/busybox", "sh", "-i"],
];

describe.each(SHELLS.filter(([program = ""]) => existsSync(program)))("run in %s", (...shell) => {
  const inShell = (text: string) => ran(text, { shell });

  test("gives exit status and output, of one line or several", async () => {
    const done = await inShell(`
steps:
  - run: echo one; echo two >&2
    output: [one, { pattern: "^two$" }]
  - run: |
      for i in 1 2; do
        echo $i   # a comment
      done
      false # the last word
    status: 1
    output: "2"
  - run: printf 'no end'
  - run: exit_with() { return 42; }; exit_with
    status: any
  - run: "true"
`);
    expect(results(done)).toEqual(Array(5).fill("passed"));
    expect(done.file.steps.map(({ exit_status: status }) => status)).toEqual([0, 1, 0, 42, 0]);
    expect(done.file.steps[1]!.output).toContain("1\n2\n");
    expect(done.file.steps[2]!.output).toMatch(/no end$/);
  });

  test("what a command changes in the shell stays; it has no input of its own", async () => {
    const done = await inShell("steps: [{ run: 'cd /usr; X=7' }, { run: 'cat; echo $PWD $X', output: '/usr 7' }]");
    expect(results(done)).toEqual(["passed", "passed"]);
  });

  test("fails by its status, by its output, and by its limit", async () => {
    expect((await inShell("steps: [{ run: 'echo why; false' }]")).detail).toContain(
      "exit status 1, expected 0; the last line of its output: why",
    );
    expect((await inShell("steps: [{ run: 'true', status: 3 }]")).detail).toContain("exit status 0, expected 3; it printed nothing");
    const without = await inShell("steps: [{ run: 'echo abc', output: [abc, { pattern: '^b' }] }]");
    expect(without.detail).toContain("its output does not hold /^b/");
    expect(without.file.steps[0]).toMatchObject({ exit_status: 0, result: "failed" });
    expect((await inShell("steps: [{ run: 'sleep 60', within: 0.2 }]")).detail).toContain("not within 0.2 s");
    expect((await inShell("steps: [{ run: 'echo \"', within: 0.2 }]")).detail, "a quote that is never closed").toContain(
      "not within 0.2 s",
    );
  });

  test("of much output the last is kept, and all of it is read", async () => {
    const done = await inShell("steps: [{ run: 'i=0; while [ $i -lt 4000 ]; do echo line $i; i=$((i+1)); done', output: line 3999 }]");
    expect(results(done)).toEqual(["passed"]);
    expect(done.file.steps[0]!.output!.length).toBeLessThanOrEqual(16_384);
    expect(done.file.steps[0]!.output).toMatch(/line 3999\n$/);
  });
});

test("a boot that is over stops the step that runs", async () => {
  const script = await decodeScript("steps: [{ expect: never }, reboot]", "s.yaml");
  await using guest = new ShellGuest({});
  const running = guest.run(script);
  guest.driver.end();
  expect(results(await running)).toEqual(["stopped", "not_run"]);
  expect((await running).file.result).toBe("stopped");
});
