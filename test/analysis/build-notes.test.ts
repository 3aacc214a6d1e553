import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { analyseConsole } from "../../src/analysis/analyse.ts";
import { BUILD_MARKS } from "../../src/analysis/build-marks.ts";
import { describeStep, type ExpectedStep } from "../../src/analysis/build-notes.ts";
import { textsOf } from "../../src/analysis/console-scan.ts";
import { needlesOf } from "../../src/analysis/needles.ts";
import { NO_EVIDENCE } from "../../src/analysis/session-evidence.ts";
import { type ConsoleEvent, createConsoleWatch } from "../../src/analysis/watch.ts";
import type { Ending } from "../../src/contract/session.ts";
import { ENDING } from "../session/fixtures.ts";

const STEPS: readonly ExpectedStep[] = [
  { number: 1, directive: "build", name: "sum-1.0", pass: 1 },
  { number: 2, directive: "build", name: "maker-1.2", pass: 1 },
  { number: 3, directive: "jump", name: "small" },
  { number: 4, directive: "improve", name: "quiet" },
  { number: 5, directive: "build", name: "bash-2.05b", pass: 1 },
  { number: 6, directive: "build", name: "maker-1.2", pass: 2 },
  { number: 7, directive: "uninstall", name: "maker-1.2 other-1.0" },
  { number: 8, directive: "improve", name: "after" },
];

const KAEM = [
  " +> pkg=sum-1.0 ",
  " +> kaem --file pass1.kaem ",
  " +> checksum-transcriber sources ",
  "/external/distfiles/sum-1.0.tar: OK",
  " +> pkg=maker-1.2 ",
  " +> kaem --file pass1.kaem ",
  " +> tcc -c main.c ",
];

const bash = (name: string, pass: number, ...phases: readonly string[]) => [
  `${name}: beginning build using script pass${pass}.sh`,
  ...phases.map((phase) => `${name}: ${phase}`),
];

interface Given {
  readonly steps?: readonly ExpectedStep[];
  readonly ending?: Partial<Ending>;
}

async function analysed(lines: readonly string[], { steps = STEPS, ending }: Given = {}) {
  const evidence = { ...NO_EVIDENCE, steps, ending: ending === undefined ? undefined : { ...ENDING, goal: "never", ...ending } };
  return await analyseConsole([Buffer.from(lines.map((line) => `${line}\r\n`).join(""))], evidence);
}

const buildOf = async (lines: readonly string[], given: Given = {}) => (await analysed(lines, given)).report.build!;

describe.each(BUILD_MARKS)("$id", ({ pattern, matches, ignores }) => {
  const hits = (line: string) => textsOf(line).some((text) => pattern.test(text));
  test("matches its examples, and not those that look like it", () => {
    expect(matches.filter((line) => !hits(line))).toEqual([]);
    expect(ignores.filter(hits)).toEqual([]);
    expect(ignores.length).toBeGreaterThan(0);
    expect(pattern.global || pattern.sticky).toBe(false);
  });

  test("names a text that the sieve can look for, and no word of every log", () => {
    const needles = needlesOf(pattern);
    expect(Math.min(...needles.map(({ length }) => length))).toBeGreaterThanOrEqual(4);
    for (const line of matches) expect(needles.some((needle) => line.toLowerCase().includes(needle.toLowerCase()))).toBe(true);
  });
});

describe("the steps", () => {
  test("are told in order, each with its number in the plan, what was done last, and its end", async () => {
    const lines = [
      ...KAEM,
      " +> kaem --file /steps/jump/small.sh ",
      "kexec-fiwix: jumping to trampoline...",
      "  Fiwix kernel v1.5.0 for i386 architecture",
      " +> pkg=bash-2.05b ",
      ...bash("maker-1.2", 2, "compiling source.", "build successful"),
      "maker-1.2: uninstalling.",
      "other-1.0: uninstalling.",
    ];
    const { total, steps, handovers } = await buildOf(lines);
    expect(total).toBe(8);
    expect(steps.map(({ number, name, pass, phase, result }) => [number, name, pass, phase, result])).toEqual([
      [1, "sum-1.0", 1, "check the sources", "done"],
      [2, "maker-1.2", 1, "compile", "done"],
      [3, "small", null, null, "done"],
      [5, "bash-2.05b", null, null, "done"],
      [6, "maker-1.2", 2, "compile", "done"],
      [7, "maker-1.2 other-1.0", null, null, "running"],
    ]);
    expect(handovers.map(({ to, line }) => [to, line])).toEqual([["Fiwix", 9]]);
  });

  test("without a plan have no numbers, and the rest is the same", async () => {
    const { total, steps } = await buildOf(KAEM, { steps: [] });
    expect(total).toBeNull();
    expect(steps.map(({ number, name }) => [number, name])).toEqual([
      [null, "sum-1.0"],
      [null, "maker-1.2"],
    ]);
  });

  test("that the plan does not know are told without a number; one that comes again after a restart is found", async () => {
    const { steps } = await buildOf([" +> pkg=stranger-9 ", ...KAEM, " +> pkg=sum-1.0 ", " +> pkg=maker-1.2 "]);
    expect(steps.map(({ number, name }) => [number, name])).toEqual([
      [null, "stranger-9"],
      [1, "sum-1.0"],
      [2, "maker-1.2"],
      [1, "sum-1.0"],
      [2, "maker-1.2"],
    ]);
  });

  test("a package that was built before is installed, and no other package's phase is its own", async () => {
    const { steps } = await buildOf(["maker-1.2: installing prebuilt package.", ...bash("maker-1.2", 2), "other-1.0: compiling source."]);
    expect(steps.map(({ number, result, phase }) => [number, result, phase])).toEqual([
      [2, "installed", null],
      [6, "running", null],
    ]);
  });

  test("of any other log there are none", async () => {
    const { report, text } = await analysed(["Linux version 6.1.0 (x)", "x: OK", "[  OK  ] Reached target Basic System."], { steps: [] });
    expect(report).not.toHaveProperty("build");
    expect(text).not.toContain("The build");
  });
});

describe("where it stopped", () => {
  const failing: readonly (readonly [name: string, lines: readonly string[], rule: string, place: string])[] = [
    [
      "a program that is not there",
      [...KAEM, "WHILE EXECUTING cc NOT FOUND!", "ABORTING HARD", "Subprocess error 1", "ABORTING HARD", "Build finished."],
      "bootstrap/command-not-found",
      "step 2 of 8, package maker-1.2, phase compile",
    ],
    [
      "a source file with another checksum",
      [
        ...KAEM.slice(0, 3),
        "/external/distfiles/sum-1.0.tar: FAILED",
        `Wanted:   ${"a".repeat(64)}`,
        "Subprocess error 1",
        "ABORTING HARD",
      ],
      "bootstrap/checksum-mismatch",
      "step 1 of 8, package sum-1.0, phase check the sources",
    ],
    [
      "a source file that is not there",
      [...KAEM.slice(0, 3), "/external/distfiles/sum-1.0.tar: No such file or directory", "Subprocess error 1", "ABORTING HARD"],
      "bootstrap/source-missing",
      "step 1 of 8, package sum-1.0, phase check the sources",
    ],
    [
      "make, in a shell that stops without a word: the kernel loses its first process",
      [
        ...KAEM,
        "Linux version 4.14.336 (x)",
        ...bash("maker-1.2", 2, "configuring source.", "compiling source."),
        "main.c:3: error: no such thing",
        "make: *** [Makefile:9: main.o] Error 1",
        "[  300.1] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000200",
      ],
      "bootstrap/make-failed",
      "step 6 of 8, package maker-1.2 (pass 2), phase compile",
    ],
    [
      "an interactive build that waits for a person",
      [...bash("maker-1.2", 2, "preparing source."), "patch: **** malformed patch", "[TRAP] /steps/maker-1.2/build # "],
      "bootstrap/trap-shell",
      "step 6 of 8, package maker-1.2 (pass 2), phase prepare",
    ],
    [
      "the payload's import",
      [...KAEM, "payload-import: FAILED: no device starts with the magic (status 2)", "Subprocess error 2", "ABORTING HARD"],
      "bootstrap/payload-import",
      "step 2 of 8, package maker-1.2, phase compile",
    ],
    [
      "Fiwix",
      [
        ...KAEM,
        " +> kaem --file /steps/jump/small.sh ",
        "kexec-fiwix: jumping to trampoline...",
        "Fiwix kernel v1.5.0",
        "",
        "PANIC: in mount_root()",
        "root device not defined.",
      ],
      "bootstrap/fiwix-panic",
      "step 3 of 8, jump small",
    ],
  ];

  test.each(failing)("%s", async (_, lines, rule, place) => {
    const { report, text } = await analysed(lines, { ending: { reason: "guest_shutdown", detail: "the guest reset itself" } });
    expect(report.boot_result).toBe("failure");
    expect(report.findings.find(({ cause }) => cause)?.id).toBe(rule);
    expect(text.split("\n", 1)[0]).toContain(`failed in ${place}: `);
    expect(text).toMatch(/^The build\n/m);
    expect(report.build?.stopped?.last_lines.length).toBeGreaterThan(1);
  });

  test("the last lines are those before the first trouble, not of what follows from it", async () => {
    const trouble = ["main.c:3: error: no such thing", "make: *** [Makefile:9: main.o] Error 1"];
    const later = Array.from({ length: 40 }, (_, index) => `cleaning ${index}`);
    const lines = [...bash("maker-1.2", 2), ...trouble, ...later, "Kernel panic - not syncing: Attempted to kill init!"];
    const { stopped } = await buildOf(lines, { ending: {} });
    expect(stopped?.last_lines.slice(-2)).toEqual(trouble);
    expect(stopped?.line).toBe(3);
  });

  test("without any trouble that is told: the last step, and the log's last lines", async () => {
    const { report, text } = await analysed([...KAEM, "still compiling"], { ending: { reason: "time_limit" } });
    expect(report.boot_result).toBe("incomplete");
    expect(text.split("\n", 1)[0]).toContain("stopped in step 2 of 8, package maker-1.2, phase compile: ");
    expect(report.build?.stopped?.last_lines.at(-1)).toBe("still compiling");
  });

  test("before any step: said so", async () => {
    const { text } = await analysed([" +> ./x86/artifact/hex0 a b ", "Subprocess error 1"], { ending: {} });
    expect(text.split("\n", 1)[0]).toContain("failed before the first step that the console tells: ");
  });

  test("trouble of a step that came to its end is not the trouble of a later one", async () => {
    const lines = [
      ...bash("sum-1.0", 1, "configuring source."),
      "configure: error: tried and not needed",
      "sum-1.0: build successful",
      ...bash("maker-1.2", 2, "compiling source."),
      "cc1: out of luck",
    ];
    const { stopped } = await buildOf(lines, { ending: { reason: "program_failed", detail: "it ended with status 1" } });
    expect(stopped?.step?.name).toBe("maker-1.2");
    expect(stopped?.last_lines.at(-1)).toBe("cc1: out of luck");
  });
});

describe("a goal that is said whether the build failed or not", () => {
  const goal = { goal: "text:Build finished.", goal_reached: false, reason: "guest_shutdown" } as const;

  test("is reached where nothing failed before", async () => {
    expect((await analysed([...KAEM, "Build finished.", "ERROR: no hda writes!"], { ending: goal })).report.boot_result).toBe("success");
  });

  test("is not where the shell gave up, and the watch is told neither", async () => {
    const lines = [...KAEM, "Subprocess error 1", "ABORTING HARD", "Build finished."];
    expect((await analysed(lines, { ending: goal })).report.boot_result).toBe("failure");
    const watch = createConsoleWatch({ goal: { type: "text", spec: goal.goal, text: "Build finished." }, steps: STEPS });
    const events = watch.push(Buffer.from(`${lines.join("\n")}\n`), 5);
    expect(events.filter(({ type }) => type === "goal")).toEqual([]);
    expect(events.find(({ type }) => type === "finding")).toMatchObject({ rule: "bootstrap/subprocess-failed", ends: true });
  });

  test("is reached in a later boot, after the hand-over to another kernel", async () => {
    const lines = [...KAEM, "Subprocess error 1", "kexec-fiwix: jumping to trampoline...", " +> pkg=maker-1.2 ", "Build finished."];
    expect((await analysed(lines, { ending: goal })).report.boot_result).toBe("success");
  });
});

test("the watch tells each step, in whatever pieces the console comes, and the same as the analysis", async () => {
  const lines = [...KAEM, ...bash("maker-1.2", 2, "getting sources.", "compiling source.", "build successful")];
  const bytes = Buffer.from(`${lines.join("\r\n")}\r\n`);
  const { steps } = await buildOf(lines);
  fc.assert(
    fc.property(fc.array(fc.integer({ min: 1, max: 40 }), { maxLength: 60 }), (sizes) => {
      const watch = createConsoleWatch({ steps: STEPS });
      const events: ConsoleEvent[] = [];
      let at = 0;
      for (const size of [...sizes, bytes.length]) {
        events.push(...watch.push(bytes.subarray(at, at + size), 1));
        at += size;
      }
      const last = new Map(events.flatMap((event) => (event.type === "step" ? [[event.step.line, event.step.phase] as const] : [])));
      expect([...last]).toEqual(steps.map(({ line, phase }) => [line, phase]));
    }),
  );
});

test("a console that repeats itself for ever does not fill the memory", async () => {
  const { steps } = await buildOf(
    Array.from({ length: 6_000 }, (_, index) => ` +> pkg=p-${index} `),
    { steps: [] },
  );
  expect(steps.length).toBe(5_000);
});

test.each([
  [{ number: 3, directive: "build", name: "gcc-4.0.4", pass: 1, phase: null }, 158, "step 3 of 158, package gcc-4.0.4"],
  [
    { number: 3, directive: "build", name: "gcc-4.0.4", pass: 2, phase: "compile" },
    158,
    "step 3 of 158, package gcc-4.0.4 (pass 2), phase compile",
  ],
  [{ number: null, directive: "jump", name: "linux", pass: null, phase: null }, null, "jump linux"],
  [{ number: 9, directive: "improve", name: "after", pass: null, phase: null }, null, "step 9, improve after"],
] as const)("%j in words", (step, total, words) => {
  expect(describeStep({ ...step, result: "running", line: 1, time_ms: null, duration_ms: null }, total)).toBe(words);
});
