import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { ConsoleEvent } from "../../../src/analysis/watch.ts";
import type { Ending } from "../../../src/contract/session.ts";
import { encodeFrame, frameOf, type Looks } from "../../../src/formats/terminal-frame.ts";
import type { SessionEvent } from "../../../src/session/recording.ts";
import { openRecordingScreen } from "../../../src/stick/screen/recording-screen.ts";
import { guestRows, renderRecording } from "../../../src/stick/screen/render.ts";
import { noteEvent, noteKey, noteLines, openRecording, type RecordingState, showsPicture } from "../../../src/stick/screen/state.ts";
import { SmallTerminal } from "../../formats/small-terminal.ts";
import { FakeConsole, settled } from "../console/fake-console.ts";
import { keys } from "../picker/stick-facts.ts";

const LOOKS: Looks = { colours: 8, unicode: true };
const SIZE = { columns: 80, rows: 25 };

const told = (state: RecordingState, ...events: readonly SessionEvent[]) => events.reduce(noteEvent, state);
const pressed = (state: RecordingState, text: string) => keys(text).reduce((now, key) => noteKey(now, key, 10).state, state);
const seen = (state: RecordingState, size = SIZE, looks = LOOKS): string[] =>
  frameOf(renderRecording(state, size, looks), size, looks).map((row) => row.map(({ text }) => text).join(""));
const fromConsole = (event: ConsoleEvent): SessionEvent => ({ type: "console", event, source: "serial" });
const stage = (name: "firmware" | "kernel" | "login", timeMs: number) =>
  fromConsole({ type: "stage", stage: name, line: 1, timeMs, text: "x" });
const finding = (kind: "oops" | "panic", text: string) =>
  fromConsole({ type: "finding", rule: "r", kind, severity: "error", ends: false, line: 1, timeMs: 1, text });
const tick = (elapsedMs: number): SessionEvent => ({ type: "tick", elapsedMs, lastLine: "" });
const begun = told(
  openRecording("debian.iso", []),
  { type: "session", id: "debian.iso_1", directory: "/nowhere", plan: null },
  { type: "status", stage: "launching_qemu" },
);

describe("the screen of a computer that records", () => {
  test("tells stages, time, findings, the console's last lines and the keys", () => {
    const state = noteLines(
      told(
        begun,
        stage("firmware", 2000),
        stage("kernel", 5000),
        finding("oops", "BUG: bad thing"),
        finding("oops", "BUG: again"),
        tick(65_000),
      ),
      ["[    1.0] one", "[    2.0] two"],
      "login: ",
    );
    expect(seen(state).filter((row) => row !== "")).toEqual([
      ` recording debian.iso${" ".repeat(48)}1 min 05 s `,
      "firmware 2 s » kernel 5 s",
      "oops (2 times): BUG: again",
      "─".repeat(80),
      "[    1.0] one",
      "[    2.0] two",
      "login:",
      "q stop  s screenshot  p picture of its screen  PgUp older lines",
    ]);
  });

  test("before the guest speaks it says what is done; when all is over, how it ended", () => {
    expect(seen(begun)[1]).toBe("QEMU starts");
    const ending = { detail: "the guest powered itself off" } as Ending;
    const over = told(begun, stage("login", 9000), { type: "status", stage: "qemu_exited" }, { type: "ending", ending });
    expect(seen(over)[0]).toContain("recorded debian.iso");
    expect(seen(over)[1]).toBe("login 9 s; the guest powered itself off");
  });

  test("warnings, and where the screen can be seen by VNC, have a line", () => {
    const place = { kind: "vnc" as const, address: "127.0.0.1:5900" };
    expect(seen(told(begun, { type: "display", place }))).toContain("the guest's screen by VNC: 127.0.0.1:5900");
    expect(seen(told(begun, { type: "warning", text: "no KVM" }))).toContain("no KVM");
  });

  test("a boot that is tried again under emulation begins anew", () => {
    const state = told(noteLines(told(begun, stage("kernel", 1)), ["old line"], ""), { type: "restart", because: "KVM could not run it" });
    const text = seen(state).join("\n");
    expect(text).toContain("Once more under emulation: KVM could not run it");
    expect(text).not.toMatch(/old line|kernel/);
  });

  test("q asks first: y stops, anything else goes on", () => {
    const asked = pressed(begun, "q");
    expect(seen(asked).at(-1)).toContain("Stop this boot?");
    expect(noteKey(asked, keys("n")[0]!, 1)).toMatchObject({ state: { stop: "no" } });
    expect(noteKey(asked, keys("n")[0]!, 1).wish).toBeUndefined();
    expect(noteKey(asked, keys("y")[0]!, 1)).toMatchObject({ state: { stop: "ordered" }, wish: "stop" });
    expect(noteKey(pressed(asked, "y"), keys("q")[0]!, 1)).toMatchObject({ state: { stop: "ordered" } });
    expect(noteKey(begun, keys("s")[0]!, 1).wish).toBe("screenshot");
  });

  test("older lines can be read, and stay where they are while more come", () => {
    const many = noteLines(
      begun,
      Array.from({ length: 100 }, (_, index) => `line ${index}`),
      "",
    );
    expect(seen(many)).toContain("line 99");
    const back = pressed(many, "<page up><page up>");
    const first = seen(back)[3];
    expect(seen(back)).not.toContain("line 99");
    expect(seen(noteLines(back, ["line 100", "line 101"], ""))[3]).toBe(first);
    expect(seen(pressed(back, "<end>"))).toContain("line 99");
    expect(seen(pressed(many, "<page up>".repeat(50)))).toContain("line 0");
    expect(seen(pressed(many, "<down>"))).toContain("line 99");
  });

  test("the picture is shown when it is asked for, and by itself while the console is silent", () => {
    expect(showsPicture(told(begun, tick(5_000)))).toBe(false);
    expect(showsPicture(told(begun, tick(10_000)))).toBe(true);
    expect(showsPicture(noteLines(told(begun, tick(10_000)), ["it speaks"], ""))).toBe(false);
    expect(showsPicture(pressed(told(begun, tick(10_000)), "p"))).toBe(false);
    expect(showsPicture(pressed(begun, "p"))).toBe(true);
    expect(showsPicture(pressed(begun, "pp"))).toBe(false);
  });

  test("a text screen of the guest is shown as text, a picture as blocks", () => {
    const rows = ["SeaBIOS", "", "Booting from CD", "", ""];
    expect(seen({ ...pressed(begun, "p"), picture: { type: "text", rows } }).slice(3, 6)).toEqual(rows.slice(0, 3));
    const pixels = { width: 4, height: 2, pixels: new Uint8Array(24).fill(255) };
    expect(seen({ ...pressed(begun, "p"), picture: { type: "pixels", pixels } }).join("")).toContain("██████");
  });

  test("whatever a guest prints is shown and not obeyed, on a screen of any size, with any looks", () => {
    const line = fc.oneof(
      fc.string({ unit: "binary", maxLength: 100 }),
      fc.constantFrom("\x1b[2J\x1b]0;x\x07", "日本語".repeat(40), "\t\ttab"),
    );
    const looks: fc.Arbitrary<Looks> = fc.record({ colours: fc.constantFrom(0 as const, 8 as const, 256 as const), unicode: fc.boolean() });
    const key = fc.constantFrom("p", "<page up>", "<up>", "q", "n", "<end>");
    fc.assert(
      fc.property(
        fc.array(line, { maxLength: 40 }),
        line,
        looks,
        fc.integer({ min: 1, max: 100 }),
        fc.integer({ min: 1, max: 40 }),
        fc.array(key, { maxLength: 5 }),
        (lines, last, looked, columns, rows, typed) => {
          const size = { columns, rows };
          const state = pressed(noteLines(told(begun, finding("panic", lines[0] ?? ""), stage("kernel", 1)), lines, last), typed.join(""));
          const drawn = renderRecording(state, size, looked);
          expect(drawn.length).toBeLessThanOrEqual(rows);
          new SmallTerminal(size).write(encodeFrame(frameOf(drawn, size, looked), size));
          expect(guestRows(state, size)).toBeLessThan(rows + 1);
        },
      ),
      { numRuns: 40 },
    );
  });
});

describe("fed by a session", () => {
  const bytes = (text: string): SessionEvent => ({ type: "serial", bytes: new TextEncoder().encode(text) });
  const until = async (console: FakeConsole, text: string) => {
    while (!console.text().includes(text)) await settled();
  };

  test("its console's lines come as they are written, cut anywhere, and the stop is told by a signal", async () => {
    const console = new FakeConsole();
    await using screen = openRecordingScreen({ title: "demo.iso", notes: ["a note"] }, [console]);
    screen.onEvent({ type: "session", id: "x", directory: "/nowhere", plan: null });
    for (const part of ["Linux ver", "sion 6\r\nwelc", "ome\r\nhost login", ": "]) screen.onEvent(bytes(part));
    await until(console, "host login:");
    expect(console.text()).toMatch(/Linux version 6\nwelcome\nhost login:/);
    expect(console.text()).toContain("a note");
    await console.press("s");
    await until(console, "no picture was taken");
    expect(screen.stopped.aborted).toBe(false);
    await console.press("qy");
    expect(screen.stopped.aborted).toBe(true);
    expect(console.text()).toContain("Stopping");
  });

  test("thousands of lines are drawn a few times, and the last of them are seen", async () => {
    const console = new FakeConsole();
    await using screen = openRecordingScreen({ title: "demo.iso" }, [console]);
    for (let index = 0; index < 20_000; index += 1) screen.onEvent(bytes(`line ${index}\n`));
    await until(console, "line 19999");
    expect(console.writes).toBeLessThan(50);
  });
});
