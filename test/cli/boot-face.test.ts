import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { bootFace } from "../../src/cli/boot-face.ts";
import { openTerminal } from "../../src/cli/terminal.ts";
import { planMachine } from "../../src/machine/plan.ts";
import type { SessionEvent } from "../../src/session/recording.ts";
import { host, image, request } from "../machine/requests.ts";
import { ENDING } from "../session/fixtures.ts";
import { keptStreams } from "./streams.ts";

const plan = planMachine(request(), image("uc"), host());
const HOSTILE = "\x1b]0;owned\x07\x9b2J\u202eevil\r\n";
const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

/** A boot whose image, guest and paths are all ill-willed. */
const BOOT: readonly SessionEvent[] = [
  { type: "session", id: "demo", directory: `/logs/${HOSTILE}`, plan },
  { type: "warning", text: HOSTILE },
  { type: "status", stage: "launching_qemu" },
  { type: "serial", bytes: bytes(`login: ${HOSTILE}`) },
  { type: "console", event: { type: "stage", stage: "login", line: 1, timeMs: 5, text: HOSTILE }, source: "serial" },
  {
    type: "console",
    event: { type: "finding", rule: "x", kind: "oops", severity: "error", ends: false, line: 2, timeMs: 6, text: HOSTILE },
    source: "screen",
  },
  { type: "tick", elapsedMs: 6.7, lastLine: HOSTILE },
  { type: "restart", because: HOSTILE },
  { type: "ending", ending: { ...ENDING, detail: HOSTILE } },
];

function shown(events: readonly SessionEvent[], options: Parameters<typeof bootFace>[1], terminal = false) {
  const streams = keptStreams({ interactive: terminal, outInteractive: terminal });
  const { cli } = openTerminal(streams, { asJson: options.json === true, signal: new AbortController().signal, exit: () => {} });
  const face = bootFace(cli, options);
  for (const event of events) face(event);
  return { stdout: streams.stdout(), stderr: streams.stderr() };
}

const objects = (stdout: string) =>
  stdout
    .split("\n")
    .slice(0, -1)
    .map((line) => JSON.parse(line) as Record<string, unknown>);

describe("to a person", () => {
  test("a stage that a console says again and again is told five times, another one each time it is another", () => {
    const stage = (name: "firmware" | "kernel", text: string): SessionEvent => ({
      type: "console",
      event: { type: "stage", stage: name, line: 1, timeMs: 5, text },
      source: "serial",
    });
    const flicker = Array.from({ length: 50 }, () => [stage("firmware", "SeaBIOS"), stage("kernel", "Linux version")]).flat();
    const { stderr } = shown([...flicker, stage("kernel", "Linux version, once more")], {});
    expect(stderr.match(/SeaBIOS/g)).toHaveLength(5);
    expect(stderr.match(/\(not told again\)/g)).toHaveLength(2);
    expect(stderr).toContain("once more");
  });
});

describe("--json", () => {
  test("is one object a line on standard output and nothing else", () => {
    const { stdout, stderr } = shown(BOOT, { json: true });
    expect(stdout.endsWith("\n")).toBe(true);
    expect(objects(stdout).map(({ type }) => type)).toEqual([
      "session",
      "warning",
      "status",
      "serial",
      "stage",
      "finding",
      "tick",
      "restart",
      "ending",
    ]);
    expect(stderr).toBe("");
  });

  test("means nothing to a terminal and gives a program the text as it was", () => {
    const { stdout } = shown(BOOT, { json: true });
    expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    expect(objects(stdout)[1]).toEqual({ type: "warning", text: HOSTILE });
    expect(objects(stdout)[4]).toEqual({ type: "stage", stage: "login", line: 1, timeMs: 5, text: HOSTILE, source: "serial" });
    expect(objects(stdout)[6]).toEqual({ type: "tick", elapsed_ms: 7, last_line: HOSTILE });
  });

  test("a character that arrives in pieces is one character, and half of one is not lost", () => {
    const text = "größe ж 🙂 ok";
    const pieces = fc.array(fc.integer({ min: 1, max: 5 }), { maxLength: 20 });
    fc.assert(
      fc.property(pieces, (sizes) => {
        const whole = bytes(text);
        const events: SessionEvent[] = [];
        let at = 0;
        for (const size of [...sizes, whole.length]) {
          events.push({ type: "serial", bytes: whole.subarray(at, at + size) });
          at += size;
        }
        const told = objects(shown(events, { json: true }).stdout).map((object) => object["text"]);
        expect(told.join("")).toBe(text);
      }),
    );
    const cut: SessionEvent[] = [{ type: "serial", bytes: bytes("ok ж").subarray(0, 4) }, BOOT.at(-1)!];
    expect(objects(shown(cut, { json: true }).stdout).map((object) => object["text"])).toEqual(["ok ", "\ufffd", undefined]);
  });
});

describe("for a person", () => {
  test.each([false, true])("nothing that a terminal acts on, whoever said it (terminal: %s)", (terminal) => {
    const { stdout, stderr } = shown(BOOT, {}, terminal);
    const ownSequences = /\x1b\[(?:\d+m|K)|\r(?=.*\x1b\[K)/g;
    expect(`${stdout}${stderr}`.replace(ownSequences, "").replaceAll("\r", "")).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    expect(`${stdout}${stderr}`).not.toMatch(/\x1b\]|\x9b/);
    expect(stderr).toContain("\\x1b]0;owned");
  });

  test("elsewhere than on a terminal there are no ticks and no console", () => {
    const { stdout, stderr } = shown(BOOT, {});
    expect(stdout).toBe("");
    expect(stderr).not.toContain("\x1b");
    expect(stderr).toMatch(/Recording demo/);
    expect(stderr).toMatch(/Once more under emulation/);
    expect(stderr).toMatch(/ended: /);
  });

  test("a very long line is cut", () => {
    const event: SessionEvent = {
      type: "console",
      event: { type: "stage", stage: "kernel", line: 1, timeMs: 5, text: "x".repeat(5000) },
      source: "serial",
    };
    expect(shown([event], {}).stderr.length).toBeLessThan(200);
  });
});

describe("--serial", () => {
  test("passes the console to standard output, made harmless; the rest stays on standard error", () => {
    const { stdout, stderr } = shown(BOOT, { serial: true });
    expect(stdout).toContain("login: ");
    expect(stdout).not.toMatch(/[\0-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e]/);
    expect(stderr).toContain("Recording demo");
  });

  test("colours are ended and the line too before the boot's end is told", () => {
    const events: SessionEvent[] = [{ type: "serial", bytes: bytes("\x1b[31mlogin: ") }, BOOT.at(-1)!];
    expect(shown(events, { serial: true }, true).stdout).toMatch(/\x1b\[31mlogin: \x1b\[0?m\n$/);
    const plain: SessionEvent[] = [{ type: "serial", bytes: bytes("off\n") }, BOOT.at(-1)!];
    expect(shown(plain, { serial: true }).stdout).toBe("off\n");
  });
});
