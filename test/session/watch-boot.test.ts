import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { createGoal } from "../../src/analysis/goal.ts";
import type { ConsoleEvent } from "../../src/analysis/watch.ts";
import { QmpClient } from "../../src/host/qmp.ts";
import type { Limits } from "../../src/machine/limits.ts";
import type { Guest } from "../../src/session/guest.ts";
import { SerialFollower } from "../../src/session/serial-follower.ts";
import { BootWatch, type Stop } from "../../src/session/watch-boot.ts";

const LIMITS: Limits = {
  bootMs: 600_000,
  stillMs: 60_000,
  idleMs: null,
  stepMs: 120_000,
  settleMs: 4_000,
  leaveMs: 0,
  powerdownMs: 15_000,
  quitMs: 10_000,
};

/** A guest as the test tells it to be: its monitor is a real one, with this behind it in the place of QEMU. */
class Machine {
  status = "running";
  blocks = 0;
  /** Null: no display adapter. */
  screen: { readonly width: number; readonly height: number; readonly white: readonly number[] } | null = {
    width: 64,
    height: 48,
    white: [],
  };
  text = "";
  registers = "CPU#0\r\nEIP=00100000 EFL=00000006 HLT=0\r\nCR0=00000011\r\n";
  looks = 0;
  readonly commands: string[] = [];
  looked = 0;
  readonly guest: Guest;
  readonly stream: Duplex;
  die: (ending: Awaited<Guest["ended"]>) => void = () => {};

  constructor() {
    this.stream = new Duplex({
      read: () => {},
      write: (chunk: Buffer, _, done) => {
        for (const line of chunk.toString().trimEnd().split("\n")) this.#answer(JSON.parse(line));
        done();
      },
    });
    this.guest = {
      qmp: new QmpClient(this.stream, () => {}),
      pid: 1,
      ended: new Promise((resolve) => {
        this.die = resolve;
      }),
      type: async () => {},
      end: async () => {},
      [Symbol.asyncDispose]: async () => {},
    };
  }

  #answer({ execute, arguments: args, id }: { execute: string; arguments?: { filename: string }; id: number }): void {
    const say = (message: object) => this.stream.push(`${JSON.stringify({ ...message, id })}\n`);
    this.commands.push(execute);
    if (execute === "cont") say({ return: {} });
    else if (execute === "query-status") say({ return: { status: this.status } });
    else if (execute === "query-blockstats") {
      this.looked += 1;
      say({ return: [{ device: "image", stats: { rd_bytes: this.blocks, idle_time_ns: this.looked } }] });
    } else if (execute === "screendump") {
      this.looks += 1;
      if (this.screen !== null) writeFileSync(args!.filename, this.#picture());
      say(this.screen === null ? { error: { desc: "There is no console" } } : { return: {} });
    } else if (execute === "pmemsave") {
      const memory = Buffer.alloc(0x8000);
      for (const [row, line] of this.text.split("\n").entries()) {
        for (const [column, letter] of [...line].entries()) memory.writeUInt8(letter.charCodeAt(0), (row * 80 + column) * 2);
      }
      writeFileSync(args!.filename, memory);
      say({ return: {} });
    } else if (execute === "human-monitor-command") say({ return: this.registers });
    else say({ error: { desc: `no ${execute} here` } });
  }

  #picture(): Buffer {
    const { width, height, white } = this.screen!;
    const pixels = Buffer.alloc(width * height * 3);
    for (const pixel of white) pixels.fill(255, pixel * 3, pixel * 3 + 3);
    return Buffer.concat([Buffer.from(`P6\n${width} ${height}\n255\n`), pixels]);
  }
}

let folder: string;
let nowMs: number;
let machine: Machine;
let follower: SerialFollower;
let person: AbortController;
let screenEvents: ConsoleEvent[];
/** What the recorder does with what came on the console. */
let heard: () => void;

beforeEach(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  folder = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
  for (const name of ["serial.log", "serial.times"]) writeFileSync(join(folder, name), "");
  nowMs = 0;
  heard = () => {};
  machine = new Machine();
  follower = new SerialFollower(
    join(folder, "serial.log"),
    join(folder, "serial.times"),
    () => nowMs,
    () => heard(),
  );
  person = new AbortController();
  screenEvents = [];
});
afterEach(() => {
  follower.stop();
  vi.useRealTimers();
  rmSync(folder, { recursive: true });
});

/** A watched boot, and how it ended as far as it has. */
function watched(goal = "login", limits: Partial<Limits> = {}) {
  const watch = new BootWatch({
    guest: machine.guest,
    scratch: folder,
    limits: { ...LIMITS, ...limits },
    memoryMb: 256,
    follower,
    goal: createGoal(goal),
    rules: [],
    elapsedMs: () => nowMs,
    signal: person.signal,
    onScreen: (events) => screenEvents.push(...events),
  });
  const boot: { watch: BootWatch; stop: Stop | undefined; error: unknown } = { watch, stop: undefined, error: undefined };
  watch.untilStopped().then(
    (stop) => {
      boot.stop = stop;
    },
    (error: unknown) => {
      boot.error = error;
    },
  );
  return boot;
}

/** Lets this time go by, second after second; a look at the guest is waited for, since its files are real. */
async function pass(seconds: number): Promise<void> {
  for (let second = 0; second < seconds; second += 1) {
    nowMs += 1000;
    vi.advanceTimersByTime(1000);
    await settled();
  }
}

async function settled(): Promise<void> {
  do for (let turns = 0; turns < 5; turns += 1) await turn();
  while (machine.looks > machine.looked);
}

const console_ = {
  goal: { type: "goal", line: 3, timeMs: 0, text: " demo login: " },
  stage: { type: "stage", stage: "userspace", line: 2, timeMs: 0, text: "Welcome" },
  panic: {
    type: "finding",
    rule: "kernel/panic",
    kind: "panic",
    severity: "fatal",
    ends: true,
    line: 1,
    timeMs: 0,
    text: "Kernel panic - not syncing",
  },
  noRoot: { type: "finding", rule: "x", kind: "no_root", severity: "fatal", ends: true, line: 1, timeMs: 0, text: "no root" },
  oops: { type: "finding", rule: "x", kind: "oops", severity: "error", ends: false, line: 1, timeMs: 0, text: "Oops" },
} as const satisfies Record<string, ConsoleEvent>;

const reset = { event: "RESET", data: { guest: true, reason: "guest-reset" } };
const shutdown = (reason: string) => ({ event: "SHUTDOWN", data: { guest: true, reason } });

describe("what ends a boot at once", () => {
  type Row = readonly [name: string, happens: (watch: BootWatch) => void, reason: Stop["reason"], detail: RegExp];
  const rows: readonly Row[] = [
    ["the goal on the console", (watch) => watch.noteConsole([console_.goal]), "goal", /^login: demo login:$/],
    ["the guest powers itself off", (watch) => watch.noteQmp(shutdown("guest-shutdown")), "guest_shutdown", /powered itself off/],
    ["pvpanic", (watch) => watch.noteQmp({ event: "GUEST_PANICKED", data: { action: "pause" } }), "guest_panic", /pvpanic/],
    ["a shutdown after a panic", (watch) => watch.noteQmp(shutdown("guest-panic")), "guest_panic", /panicked/],
    ["a signal to QEMU", (watch) => watch.noteQmp(shutdown("host-signal")), "interrupted", /host-signal/],
    ["QEMU dies", () => machine.die({ code: null, signal: "SIGKILL" }), "qemu_died", /SIGKILL/],
    ["QEMU ends", () => machine.die({ code: 1, signal: null }), "qemu_died", /status 1/],
    ["the person stops it", () => person.abort(), "interrupted", /person/],
  ];

  test.each(rows)("%s", async (_, happens, reason, detail) => {
    const boot = watched();
    await pass(1);
    expect(boot.stop).toBeUndefined();
    happens(boot.watch);
    await settled();
    expect(boot.stop).toEqual({ reason, detail: expect.stringMatching(detail) });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("stopped by the person before it began", async () => {
    person.abort();
    const boot = watched();
    await settled();
    expect(boot.stop?.reason).toBe("interrupted");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the first thing counts, and nothing after it starts anew", async () => {
    const boot = watched();
    boot.watch.noteConsole([console_.goal]);
    await settled();
    boot.watch.noteConsole([console_.panic]);
    boot.watch.noteQmp(shutdown("guest-shutdown"));
    boot.watch.fail(new Error("late"));
    machine.die({ code: 0, signal: null });
    await pass(10);
    expect(boot.stop?.reason).toBe("goal");
    expect(vi.getTimerCount()).toBe(0);
  });

  test("the time limit, whatever moves", async () => {
    const boot = watched("login", { bootMs: 30_000 });
    for (let second = 0; second < 29; second += 1) {
      appendFileSync(join(folder, "serial.log"), "x");
      follower.poll();
      await pass(1);
    }
    expect(boot.stop).toBeUndefined();
    await pass(1);
    expect(boot.stop).toEqual({ reason: "time_limit", detail: "30 s were over" });
  });
});

describe("a machine that is not to start anew", () => {
  test("its reset is its end, and no loop", async () => {
    const boot = watched();
    boot.watch.noteQmp(shutdown("guest-reset"));
    await settled();
    expect(boot.stop).toEqual({ reason: "guest_shutdown", detail: expect.stringContaining("reset itself") });
    expect(boot.watch.resets).toBe(0);
    await boot.watch.untilShutDown();
  });

  test("behind a fatal line it is that line's end", async () => {
    const boot = watched();
    boot.watch.noteConsole([console_.panic]);
    boot.watch.noteQmp(shutdown("guest-reset"));
    await settled();
    expect(boot.stop).toEqual({ reason: "guest_panic", detail: expect.stringMatching(/Kernel panic.*reset itself/) });
  });
});

describe("what was said just before the end", () => {
  test.each<readonly [string, (watch: BootWatch) => void]>([
    ["a shutdown", (watch) => watch.noteQmp(shutdown("guest-shutdown"))],
    ["the last reset", (watch) => watch.noteQmp(shutdown("guest-reset"))],
    ["QEMU's own end", () => machine.die({ code: 0, signal: null })],
  ])("is read before %s counts: it may be the goal", async (_, happens) => {
    const boot = watched("text:done");
    heard = () => boot.watch.noteConsole([console_.goal]);
    appendFileSync(join(folder, "serial.log"), "done\n");
    happens(boot.watch);
    await settled();
    expect(boot.stop?.reason).toBe("goal");
  });
});

describe("QEMU standing still", () => {
  test.each([
    ["internal-error", /internal-error/],
    ["io-error", /disk/],
  ])("with the status %s is its end: it does not exit by itself", async (status, detail) => {
    const boot = watched();
    machine.status = status;
    boot.watch.noteQmp({ event: "STOP", data: {} });
    await settled();
    expect(boot.stop).toEqual({ reason: "internal_error", detail: expect.stringMatching(detail) });
  });

  test.each(["paused", "running", "debug"])("with the status %s is not", async (status) => {
    const boot = watched();
    machine.status = status;
    boot.watch.noteQmp({ event: "STOP", data: {} });
    await pass(1);
    expect(boot.stop).toBeUndefined();
  });
});

describe("resets", () => {
  test("two are allowed, the third is a loop; those that QEMU was asked for do not count", async () => {
    const boot = watched();
    boot.watch.noteQmp({ event: "RESET", data: { guest: false, reason: "host-qmp-system-reset" } });
    boot.watch.noteQmp(reset);
    boot.watch.noteQmp(reset);
    await settled();
    expect(boot.stop).toBeUndefined();
    boot.watch.noteQmp(reset);
    await settled();
    expect(boot.stop).toEqual({ reason: "reset_loop", detail: "the guest reset itself 3 times" });
    expect(boot.watch.resets).toBe(3);
  });

  test("the first after a fatal line is that line's end", async () => {
    const boot = watched();
    boot.watch.noteConsole([console_.panic]);
    boot.watch.noteQmp(reset);
    await settled();
    expect(boot.stop).toEqual({ reason: "guest_panic", detail: expect.stringContaining("Kernel panic") });
  });
});

describe("a line that ends the boot for good", () => {
  test.each([
    ["panic", "guest_panic"],
    ["noRoot", "fatal_finding"],
  ] as const)("%s: %s, when its report has come in and the console is silent", async (name, reason) => {
    const boot = watched();
    boot.watch.noteConsole([console_[name]]);
    for (let more = 0; more < 5; more += 1) {
      await pass(3);
      boot.watch.noteConsole([]); // the rest of the report
    }
    expect(boot.stop).toBeUndefined();
    await pass(4);
    expect(boot.stop).toEqual({ reason, detail: console_[name].text });
  });

  test("is forgiven when the boot goes on to a later stage", async () => {
    const boot = watched();
    boot.watch.noteConsole([console_.noRoot]);
    await pass(3);
    boot.watch.noteConsole([console_.stage]);
    await pass(20);
    expect(boot.stop).toBeUndefined();
    boot.watch.noteConsole([console_.goal]);
    await settled();
    expect(boot.stop?.reason).toBe("goal");
  });

  test("an error that a boot survives ends nothing", async () => {
    const boot = watched();
    boot.watch.noteConsole([console_.oops]);
    await pass(20);
    expect(boot.stop).toBeUndefined();
  });
});

describe("a hang", () => {
  test("console, disk and screen still for the limit, counted from the first look", async () => {
    const boot = watched();
    await pass(60);
    expect(boot.stop).toBeUndefined();
    expect(boot.watch.stillMs).toBe(55_000);
    await pass(5);
    expect(boot.stop).toEqual({ reason: "hang", detail: "console, disk and screen have been still for 60 s" });
    expect(vi.getTimerCount()).toBe(0);
  });

  const moves: Readonly<Record<string, (second: number) => void>> = {
    "the console speaks": () => {
      appendFileSync(join(folder, "serial.log"), "x");
      follower.poll();
    },
    "the disk is read": (second) => {
      machine.blocks = second;
    },
    "the screen changes": (second) => {
      machine.screen = { width: 64, height: 48, white: [second, second + 40] };
    },
  };
  test.each(Object.keys(moves))("is none while %s", async (name) => {
    const boot = watched();
    for (let second = 1; second <= 120; second += 1) {
      if (second % 20 === 0) moves[name]!(second);
      await pass(1);
    }
    expect(boot.stop).toBeUndefined();
    await pass(70);
    expect(boot.stop?.reason).toBe("hang");
  });

  test("a blinking cursor is no movement", async () => {
    const boot = watched();
    for (let second = 0; second < 65; second += 1) {
      machine.screen = { width: 64, height: 48, white: second % 2 === 0 ? [] : [0, 1, 64, 65] };
      await pass(1);
    }
    expect(boot.stop?.reason).toBe("hang");
  });

  test("a machine without a screen hangs all the same", async () => {
    machine.screen = null;
    const boot = watched("login", { stillMs: 10_000 });
    await pass(15);
    expect(boot.stop?.reason).toBe("hang");
  });
});

describe("a guest that builds", () => {
  const build = { stillMs: 7_200_000, idleMs: 60_000 };

  test("hangs when its processors sleep all the while", async () => {
    machine.registers = machine.registers.replace("HLT=0", "HLT=1");
    const boot = watched("login", build);
    await pass(55);
    expect(boot.stop).toBeUndefined();
    await pass(15);
    expect(boot.stop).toEqual({ reason: "hang", detail: expect.stringMatching(/processors sleep/) });
  });

  test("does not while one works, or wakes up now and then", async () => {
    const asleep = machine.registers.replace("HLT=0", "HLT=1");
    const awake = machine.registers;
    const boot = watched("login", build);
    for (let second = 0; second < 300; second += 1) {
      machine.registers = second % 40 < 10 ? awake : asleep;
      await pass(1);
    }
    expect(boot.stop).toBeUndefined();
  });

  test("is over when a processor runs twice where there is no memory", async () => {
    machine.registers = machine.registers.replace("00100000", "f0433545");
    const boot = watched("login", build);
    await pass(5);
    expect(boot.stop).toBeUndefined();
    await pass(5);
    expect(boot.stop).toEqual({ reason: "processor_lost", detail: expect.stringMatching(/0xf0433545, where there is no memory/) });
  });

  test("any other guest is not asked for its processors", async () => {
    machine.registers = machine.registers.replace("00100000", "f0433545");
    const boot = watched("login", { stillMs: 7_200_000 });
    await pass(60);
    expect(boot.stop).toBeUndefined();
  });
});

describe("the text screen", () => {
  beforeEach(() => {
    machine.screen = { width: 720, height: 400, white: [1, 2, 3] };
  });

  test("shows the goal where the console is silent", async () => {
    machine.text = "SeaBIOS\nWelcome home";
    const boot = watched("text:Welcome home");
    await pass(5);
    expect(boot.stop).toEqual({ reason: "goal", detail: "text:Welcome home, on the screen: Welcome home", onScreen: true });
  });

  test("shows a fatal line, whose silence ends the boot", async () => {
    machine.text = "Booting from Hard Disk...\nBoot failed: not a bootable disk\n\nNo bootable device.";
    const boot = watched();
    await pass(5);
    expect(screenEvents).toContainEqual(expect.objectContaining({ type: "finding", kind: "no_boot_device" }));
    await pass(4);
    expect(boot.stop).toEqual({ reason: "fatal_finding", detail: expect.stringMatching(/No bootable device|Boot failed/) });
  });
});

describe("--until never", () => {
  test("resets, fatal lines and stillness end nothing; the guest itself and the time limit do", async () => {
    const boot = watched("never", { bootMs: 300_000 });
    for (let count = 0; count < 10; count += 1) boot.watch.noteQmp(reset);
    boot.watch.noteConsole([console_.panic]);
    await pass(299);
    expect(boot.stop).toBeUndefined();
    expect(boot.watch.resets).toBe(10);
    await pass(1);
    expect(boot.stop?.reason).toBe("time_limit");
  });

  test("a shutdown ends it", async () => {
    const boot = watched("never");
    boot.watch.noteQmp(shutdown("guest-shutdown"));
    await settled();
    expect(boot.stop?.reason).toBe("guest_shutdown");
  });
});

describe("a guest that a script drives", () => {
  test("may stand still as long as the script waits; the time limit holds", async () => {
    const boot = watched("script", { bootMs: 300_000, stillMs: 10_000, idleMs: 5_000 });
    await pass(299);
    expect(boot.stop).toBeUndefined();
    await pass(1);
    expect(boot.stop?.reason).toBe("time_limit");
  });

  test("ends with the script, as that says", async () => {
    const boot = watched("script");
    boot.watch.noteConsole([{ type: "stage", stage: "login", line: 3, timeMs: 0, text: "login:" }]);
    await pass(1);
    expect(boot.stop).toBeUndefined();
    boot.watch.end({ reason: "script_failed", detail: "step 2" });
    await settled();
    expect(boot.stop).toEqual({ reason: "script_failed", detail: "step 2" });
    expect(vi.getTimerCount()).toBe(0);
  });

  test("whose QEMU died ends by that, though the script said something before it was known", async () => {
    const boot = watched("script");
    machine.stream.destroy();
    await settled();
    boot.watch.end({ reason: "script_failed", detail: "the monitor is closed" });
    await pass(1);
    expect(boot.stop).toBeUndefined();
    machine.die({ code: null, signal: "SIGKILL" });
    await settled();
    expect(boot.stop?.reason).toBe("qemu_died");
  });

  test("may reset itself as often as the script means it, and not more than any other guest besides", async () => {
    const boot = watched("script");
    for (let count = 0; count < 5; count += 1) {
      boot.watch.expectReset();
      // A firmware may make several of one.
      for (let each = 0; each < 3; each += 1) boot.watch.noteQmp(reset);
      boot.watch.noteConsole([{ type: "stage", stage: "kernel", line: 3, timeMs: 0, text: "Linux version" }]);
    }
    boot.watch.noteQmp(reset);
    boot.watch.noteQmp(reset);
    await settled();
    expect(boot.stop).toBeUndefined();
    boot.watch.noteQmp(reset);
    await settled();
    expect(boot.stop?.reason).toBe("reset_loop");
  });

  test("may power itself off where the script means it, and only there", async () => {
    const meant = watched("script");
    meant.watch.expectOff();
    meant.watch.noteQmp(shutdown("guest-shutdown"));
    await settled();
    expect(meant.stop).toBeUndefined();
    await meant.watch.untilShutDown();
    const not = watched("script");
    not.watch.noteQmp(shutdown("guest-shutdown"));
    await settled();
    expect(not.stop?.reason).toBe("guest_shutdown");
  });

  test("may panic where the script waits for it, and goes on then; else it ends as ever", async () => {
    const meant = watched("script");
    meant.watch.expectFatal();
    meant.watch.noteQmp({ event: "GUEST_PANICKED", data: { action: "pause" } });
    machine.status = "guest-panicked";
    meant.watch.noteQmp({ event: "STOP", data: {} });
    meant.watch.noteConsole([console_.panic]);
    await pass(100);
    expect([meant.stop, meant.error]).toEqual([undefined, undefined]);
    expect(machine.commands).toContain("cont");
    const not = watched("script");
    not.watch.noteConsole([console_.panic]);
    await pass(10);
    expect(not.stop?.reason).toBe("guest_panic");
  });
});

describe("a recorder that cannot go on", () => {
  test("the boot is over with its error", async () => {
    const boot = watched();
    boot.watch.fail(new Error("the log cannot be read"));
    boot.watch.fail(new Error("a second one"));
    await pass(2);
    expect(boot.error).toEqual(new Error("the log cannot be read"));
    expect(vi.getTimerCount()).toBe(0);
  });

  test("a monitor that closes because QEMU died: QEMU's death is the reason", async () => {
    const boot = watched();
    machine.stream.destroy();
    await pass(1);
    machine.die({ code: null, signal: "SIGSEGV" });
    await pass(5);
    expect(boot.stop).toEqual({ reason: "qemu_died", detail: "QEMU ended with SIGSEGV" });
    expect(boot.error).toBeUndefined();
  });

  test("a monitor that closes while QEMU lives", async () => {
    const boot = watched();
    machine.stream.push("nonsense\n");
    await pass(3);
    expect(boot.error).toMatchObject({ message: expect.stringContaining("nonsense") });
  });

  test("an error of whoever is told of the screen is not lost", async () => {
    machine.screen = { width: 720, height: 400, white: [1] };
    machine.text = "x";
    screenEvents.push = () => {
      throw new Error("the face fell");
    };
    const boot = watched();
    const fail = vi.spyOn(boot.watch, "fail");
    nowMs = 5000;
    vi.advanceTimersByTime(5000);
    while (fail.mock.calls.length === 0) await turn();
    vi.advanceTimersByTime(2000);
    await turn();
    expect(boot.error).toEqual(new Error("the face fell"));
  });
});

test("the guest's own shutdown is told after the boot was over too", async () => {
  const boot = watched();
  boot.watch.noteConsole([console_.goal]);
  await settled();
  let down = false;
  const waiting = boot.watch.untilShutDown().then(() => {
    down = true;
  });
  await settled();
  expect(down).toBe(false);
  boot.watch.noteQmp(shutdown("guest-shutdown"));
  await waiting;
  expect(boot.stop?.reason).toBe("goal");
});
