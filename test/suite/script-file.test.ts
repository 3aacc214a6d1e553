import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { STEP_OPTIONS, scriptSchema, VERBS } from "../../src/contract/script.ts";
import { askedSeconds, type Script, titleOf } from "../../src/suite/script.ts";
import { decodeScript, readScript, type Variables } from "../../src/suite/script-file.ts";

/** Files by their names, in place of a disk. */
const decoded = (text: string, files: Readonly<Record<string, string>> = {}, variables: Variables = {}): Promise<Script> =>
  decodeScript(text, "s.yaml", {
    variables,
    read: async (path) => {
      const content = files[path];
      if (content !== undefined) return content;
      throw new HiperisoError({ what: "read a script", where: path, found: "nothing by this name", kind: "usage" });
    },
  });

async function faultsOf(text: string, files?: Readonly<Record<string, string>>): Promise<string> {
  const error: unknown = await decoded(text, files).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HiperisoError);
  const { where, found, kind } = error as HiperisoError;
  expect(kind).toBe("usage");
  return found?.includes("\n") === true ? found : `${where}: ${found}`;
}

describe("a script", () => {
  test("has every verb, each with what it may take", async () => {
    const script = await decoded(`
name: whole
within: 5
fail_on: [Oops, { pattern: "segfault at [0-9a-f]+" }]
ignore_fatal: true
steps:
  - expect: "login:"
    within: 30
  - expect: { pattern: "kernel (?<release>\\\\S+)" }
  - send: "root\\n"
  - key: ctrl-alt-f2
  - key: [down, down, ret]
    times: 2
  - type: "Hello!"
  - screenshot: menu
  - wait-stage: login
  - run: id -u
    status: any
    output: ["0", { text: x }]
    within: 0.5
  - fail_on: panic
  - reboot
  - reboot: systemctl reboot
  - reboot: { button: reset }
  - shutdown:
`);
    expect([script.name, script.ignoreFatal]).toEqual(["whole", true]);
    expect(script.steps.map(titleOf)).toEqual([
      'expect "login:"',
      "expect /kernel (?<release>\\S+)/",
      'send "root\\n"',
      "press ctrl-alt-f2",
      "press down down ret 2 times",
      'type "Hello!"',
      "take the picture menu",
      "wait for the stage login",
      "run id -u",
      'fail from here on where "panic" is seen',
      'reboot by "reboot"',
      'reboot by "systemctl reboot"',
      "press the reset button",
      "press the power button",
    ]);
    expect(script.failOn).toEqual([{ text: ["Oops"] }, { pattern: ["segfault at [0-9a-f]+"] }]);
    expect(script.steps[0]).toEqual({ where: "s.yaml:7:5", does: "expect", matcher: { text: ["login:"] }, withinS: 30 });
    expect(script.steps[1]).toMatchObject({ withinS: 5 });
    expect(script.steps[4]).toMatchObject({ chords: [["down"], ["down"], ["ret"], ["down"], ["down"], ["ret"]] });
    expect(script.steps[8]).toMatchObject({ status: null, output: [{ text: ["0"] }, { text: ["x"] }], withinS: 0.5 });
    // 30 and 0.5 of their own, 5 for each other step that waits.
    expect(askedSeconds(script)).toBe(30 + 0.5 + 7 * 5);
    expect(JSON.parse(JSON.stringify(script)), "plain data").toEqual(script);
  });

  test("is named after its file unless it has a name", async () => {
    expect((await decoded('steps: [{ send: "x" }]')).name).toBe("s");
  });

  test("may say so little that a schema takes it too", () => {
    expect(scriptSchema.safeParse({ steps: ["reboot", { expect: "x", within: 3 }] }).success).toBe(true);
    expect(scriptSchema.safeParse({ steps: [{ expects: "x" }] }).success).toBe(false);
    for (const verb of VERBS) expect(STEP_OPTIONS[verb]).toBeDefined();
  });
});

describe("variables", () => {
  test("stand for what the file says, or whoever runs it; in a pattern for themselves", async () => {
    const text =
      'variables: { user: root, dots: "a.b-c", n: 3 }\nsteps: [{ send: "{{user}} {{ n }}\\n" }, { expect: { pattern: "^{{dots}}$" } }]';
    expect((await decoded(text)).steps).toMatchObject([{ text: ["root 3\n"] }, { matcher: { pattern: ["^a\\.b\\x2dc$"] } }]);
    expect((await decoded(text, {}, { user: "bob" })).steps[0]).toMatchObject({ text: ["bob 3\n"] });
  });

  test("that the console gives are left for later", async () => {
    const script = await decoded('steps: [{ expect: { pattern: "(?<ip>[\\\\d.]+)" } }, { run: "ping {{ip}}" }]');
    expect(script.steps[1]).toMatchObject({ command: ["ping ", { caught: "ip" }] });
  });

  test("that nobody gives are a fault, with what may have been meant", async () => {
    expect(await faultsOf('variables: { user: root }\nsteps:\n  - send: "{{usr}}"')).toBe(
      's.yaml:3:11: there is no variable "usr"; did you mean "user"?',
    );
    expect(await faultsOf('steps:\n  - run: "echo {{ip}}"\n  - expect: { pattern: "(?<ip>.)" }'), "before it is caught").toContain(
      's.yaml:2:10: there is no variable "ip"',
    );
  });
});

describe("included scripts", () => {
  test("stand where they are included; their faults and steps have their own places", async () => {
    const files = { "login.yaml": 'variables: { user: root, prompt: "# " }\nsteps:\n  - send: "{{user}}\\n"\n  - expect: "{{prompt}}"\n' };
    const text = 'variables: { user: bob }\nsteps:\n  - include: login.yaml\n    variables: { prompt: "{{user}}$ " }\n  - run: "true"';
    expect((await decoded(text, files)).steps).toMatchObject([
      { where: "login.yaml:3:5", text: ["bob\n"] },
      { where: "login.yaml:4:5", matcher: { text: ["bob$ "] } },
      { where: "s.yaml:5:5" },
    ]);
    expect(await faultsOf("steps:\n  - include: login.yaml", { "login.yaml": "steps:\n  - expct: x" })).toBe(
      'login.yaml:2:5: unknown key "expct"; did you mean "expect"?',
    );
    expect(await faultsOf("steps:\n  - include: login.yaml", { "login.yaml": "steps: [" })).toMatch(/^s\.yaml:2:14: login\.yaml:1:\d+: /);
    expect(await faultsOf("steps:\n  - include: none.yaml")).toBe("s.yaml:2:14: none.yaml: nothing by this name");
  });

  test("are looked for beside the file that includes them", async () => {
    const files = { "sub/a.yaml": "steps: [{ include: b.yaml }]", "sub/b.yaml": "steps: [reboot]" };
    expect((await decoded("steps: [{ include: sub/a.yaml }]", files)).steps).toHaveLength(1);
  });

  test("that include themselves are a fault, directly, in a ring, or by ever other names", async () => {
    expect(await faultsOf("steps:\n  - include: s.yaml")).toBe("s.yaml:2:14: it includes itself: s.yaml → s.yaml");
    const ring = { "a.yaml": "steps: [{ include: b.yaml }]", "b.yaml": "steps: [{ include: a.yaml }]" };
    expect(await faultsOf("steps: [{ include: a.yaml }]", ring)).toBe("b.yaml:1:20: it includes itself: a.yaml → b.yaml → a.yaml");
    const endless = Object.fromEntries(
      Array.from({ length: 20 }, (_, index) => [`${index}.yaml`, `steps: [{ include: ${index + 1}.yaml }]`]),
    );
    expect(await faultsOf("steps: [{ include: 0.yaml }]", endless)).toContain("scripts include scripts more than 10 deep");
  });

  test("cannot grow without end", async () => {
    const many = (file: string) => `steps: [${Array.from({ length: 40 }, () => `{ include: ${file} }`).join(", ")}]`;
    const files = { "a.yaml": many("b.yaml"), "b.yaml": many("c.yaml"), "c.yaml": "steps: [reboot]" };
    expect(await faultsOf("steps: [{ include: a.yaml }]", files)).toContain("expected at most 1000 steps in all");
  });
});

describe("what is wrong is told by line and column", () => {
  test.each([
    ["", 's.yaml:1:1: expected a script with its "steps:", found null'],
    ["- expect: x", 's.yaml:1:1: expected a script with its "steps:", found [{"expect":"x"}]'],
    ["steps: []", 's.yaml:1:8: expected "steps:" with a list of steps, found []'],
    ["stepps: [reboot]\nsteps: [reboot]", 's.yaml:1:1: unknown key "stepps"; did you mean "steps"?'],
    ["within: -1\nsteps: [reboot]", "s.yaml:1:9: expected seconds, more than 0, at most 604800, found -1"],
    ["variables: { 1a: x }\nsteps: [reboot]", 's.yaml:1:14: expected letters, digits and _ in the name of a variable, found "1a"'],
    ["steps:\n  - 7", 's.yaml:2:5: expected a step such as "expect: …", found 7'],
    ["steps:\n  - rebot", 's.yaml:2:5: unknown key "rebot"; did you mean "reboot"?'],
    ["steps:\n  - within: 3", "s.yaml:2:5: expected one of expect, send"],
    ["steps:\n  - expect: x\n    send: y", "found expect and send"],
    ["steps:\n  - expect: [x]", "s.yaml:2:13: expected a text, { text: … } or { pattern: … }"],
    ["steps:\n  - expect: { patern: x }", "s.yaml:2:13: expected a text"],
    ["steps:\n  - send: 7", "s.yaml:2:11: expected a text of at most 4000 characters (in quotes), found 7"],
    ["steps:\n  - send: x\n    times: 2", 's.yaml:3:5: send has no "times"; it takes within'],
    ["steps:\n  - type: x\n    within: 2", 's.yaml:3:5: type has no "within"'],
    ["steps:\n  - wait-stage: logn", "s.yaml:2:17: expected one of firmware, bootloader, kernel, initramfs, userspace, login"],
    ["steps:\n  - key: ctrl-foo", "s.yaml:2:10: expected names of keys joined by -"],
    ["steps:\n  - key:\n      - down\n      - dwn", "s.yaml:4:9: expected names of keys"],
    ["steps:\n  - type: größer", "s.yaml:2:11: expected characters that a keyboard of the US layout has"],
    ["steps:\n  - screenshot: ../../x", "s.yaml:2:17: expected a name of small letters"],
    ['steps:\n  - expect: { pattern: "(" }', "s.yaml:2:24: Invalid regular expression"],
    ['steps:\n  - expect: { pattern: "(a+)+" }', "s.yaml:2:24: expected a pattern that no line can keep busy for long"],
    ["steps:\n  - run: x\n    status: 256", 's.yaml:3:13: expected a number, 0 to 255, or "any", found 256'],
    ["steps:\n  - shutdown\n  - reboot", "s.yaml:3:5: no step can follow a shutdown: the guest is off"],
    ["steps:\n  - send: {{user}}", "s.yaml:2:"],
    ["steps: [reboot, reboot", "s.yaml:1:"],
    ["steps: [reboot]\nsteps: [reboot]", "s.yaml:2:1: Map keys must be unique"],
  ])("%j", async (text, fault) => {
    expect(await faultsOf(text)).toContain(fault);
  });

  test("all at once, in the order of the file", async () => {
    const found = await faultsOf("steps:\n  - expct: x\n  - send: 1\n  - key: nokey\n");
    expect(found.split("\n").map((line) => /^s\.yaml:(\d+):/.exec(line)?.[1])).toEqual(["2", "3", "4"]);
  });

  test("whatever the file holds, it is a script or a fault with its place", async () => {
    const word = fc.constantFrom(
      "steps",
      "expect",
      "send",
      "key",
      "run",
      "within",
      "{{x}}",
      "- ",
      ": ",
      "\n  ",
      "[",
      "]",
      "{",
      "}",
      '"',
      "&a",
      "*a",
      "!!",
      "null",
      "reboot",
      "(?<a>",
      "\0",
      "\u2028",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(word, fc.string({ maxLength: 4 })), { maxLength: 25 }), async (words) => {
        const outcome = await decoded(words.join("")).catch((error: unknown) => error);
        if (outcome instanceof Error) {
          expect(outcome).toBeInstanceOf(HiperisoError);
          expect((outcome as HiperisoError).where).toMatch(/^s\.yaml:\d+:\d+$/);
        } else expect((outcome as Script).steps.length).toBeGreaterThan(0);
      }),
      { numRuns: 500 },
    );
  });
});

describe("a file", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-script-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test.each([
    ["that is not there", undefined, "nothing by this name"],
    ["that is no UTF-8", Buffer.from([0xff, 0xfe]), "bytes that are none"],
    ["that is too long", Buffer.alloc(1_048_577, 0x20), "more"],
  ])("%s is a fault", async (_, content, found) => {
    const path = join(folder, "s.yaml");
    if (content !== undefined) writeFileSync(path, content);
    await expect(readScript(path)).rejects.toMatchObject({ kind: "usage", where: path, found });
  });

  test("that grows by aliases is a fault", async () => {
    const lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"];
    for (let index = 1; index < 9; index += 1)
      lines.push(
        `a${index}: &a${index} [${Array(9)
          .fill(`*a${index - 1}`)
          .join(", ")}]`,
      );
    expect(await faultsOf(`${lines.join("\n")}\nsteps: *a8\n`)).toMatch(/^s\.yaml:\d+:\d+: .*alias/i);
  });
});
