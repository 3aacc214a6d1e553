import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/contract/job.ts";
import { reportSchema } from "../../src/contract/report.ts";
import {
  endingSchema,
  indexLineSchema,
  type ScriptFile,
  scriptFileSchema,
  sessionEndedSchema,
  statusSchema,
  timingSchema,
} from "../../src/contract/session.ts";
import { systemClock } from "../../src/host/clock.ts";
import { identityOf, ownIdentity } from "../../src/host/process-identity.ts";
import { planMachine } from "../../src/machine/plan.ts";
import type { Drive } from "../../src/session/drive.ts";
import { readJson } from "../../src/session/finalise.ts";
import { recordBoot } from "../../src/session/record.ts";
import type { Recording, SessionEvent } from "../../src/session/recording.ts";
import { readIndex } from "../../src/session/session-index.ts";
import { host, image, request } from "../machine/requests.ts";
import { newSession } from "./fixtures.ts";
import { type Behaviour, toldQemu } from "./told-qemu.ts";

let root: string;
let logs: string;
let scratch: string;
let events: SessionEvent[];
let person: AbortController;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  logs = join(root, "logs");
  scratch = join(root, "private");
  await mkdir(scratch);
  await writeFile(join(root, "demo.iso"), "x");
  events = [];
  person = new AbortController();
});
afterEach(() => rm(root, { recursive: true }));

function recording(
  accelerator: "kvm" | "tcg",
  behaviours: Readonly<Partial<Record<"kvm" | "tcg", Behaviour>>>,
  changes: Partial<Recording> = {},
): Recording {
  const planned = (which: "kvm" | "tcg") =>
    planMachine(
      request({ accelerator: which, settings: { firmware: "bios" } }),
      image("bc", { path: join(root, "demo.iso") }),
      host({ qemu: toldQemu(root, behaviours) }),
    );
  const { owner: _, firstStage: __, ...session } = newSession(logs, { imageBaseName: "demo.iso" });
  return {
    plan: planned(accelerator),
    emulated: planned("tcg"),
    goal: "login",
    rules: [],
    steps: [],
    session,
    host: { kernel_version: "6.1", cpu_model: "x", cpu_logical_cores: 2, total_ram_mb: 2048, virt_supported: false },
    ownIdentity: ownIdentity(),
    scratchRoot: scratch,
    env: process.env,
    mask: (text) => text,
    hostInventory: async function* () {
      yield { name: "host_cpuinfo.txt", text: "x\n" };
    },
    clock: systemClock,
    job: { signal: person.signal, progress: silentProgress },
    onEvent: (event) => events.push(event),
    ...changes,
  };
}

const LOGIN: Behaviour = { prints: "[    0.000000] Linux version 6.1.0 (x)\r\nDebian GNU/Linux 12 demo ttyS0\r\n\r\ndemo login: " };

/** The one session that was made, checked against the contract. */
async function ended() {
  const [id, ...others] = (await readdir(logs)).filter((name) => name !== "index.jsonl");
  expect(others).toEqual([]);
  const file = (name: string) => join(logs, id!, name);
  const session = sessionEndedSchema.parse(await readJson(file("session.json")));
  const { lines, unreadable } = await readIndex(logs);
  expect([lines.length, unreadable.length]).toEqual([1, 0]);
  expect(indexLineSchema.parse(lines[0])).toMatchObject({ session_id: id, status: session.status, result: session.result });
  timingSchema.parse(await readJson(file("timing.json")));
  const files = await readdir(join(logs, id!));
  expect(files).toContain("SESSION_COMPLETE");
  expect(files.filter((name) => name.startsWith("."))).toEqual([]);
  expect(await readdir(scratch), "private files are gone").toEqual([]);
  return {
    file,
    files,
    session,
    status: statusSchema.parse(await readJson(file("status.json"))),
    ending: endingSchema.parse(await readJson(file("ending.json"))),
    report: reportSchema.parse(await readJson(file("report.json"))),
  };
}

/** No process by the number that the session wrote down. */
async function nothingRuns(file: (name: string) => string): Promise<void> {
  const { pid } = (await readJson(file("qemu.json"))) as { pid?: number };
  if (pid !== undefined) expect(identityOf(pid)).toBeUndefined();
}

describe("a boot that reaches its goal", () => {
  test("is a complete session with all its files, and its events tell it in order", async () => {
    const recorded = await recordBoot(recording("tcg", { tcg: LOGIN }));
    const { file, files, session, status, ending } = await ended();
    expect(recorded.session).toEqual(session);
    expect(session).toMatchObject({ status: "complete", result: "success", qemu_exit_code: 0, report_available: 1, kvm: "unavailable" });
    expect(session.hw_inventory).toMatchObject({ available: true, has_timing: true, files: expect.stringContaining("host_cpuinfo.txt") });
    expect(status).toMatchObject({ status: "complete", stage: "session_complete" });
    expect(ending).toMatchObject({ reason: "goal", goal_reached: true, firmware: "bios", accelerator: "tcg" });
    for (const name of [
      "env.txt",
      "machine.json",
      "qemu.cmdline",
      "serial.log",
      "serial.times",
      "timing.dat",
      "report.txt",
      "analysis.meta",
    ]) {
      expect(files).toContain(name);
    }
    expect(files).not.toContain("FAILURE.txt");
    expect(await readFile(file("qemu.cmdline"), "utf8")).toContain(" -accel tcg ");
    expect(await readJson(file("machine.json"))).toMatchObject({ monitor_socket: expect.stringContaining("monitor.sock") });
    const types = events
      .map((event) => (event.type === "status" ? event.stage : event.type))
      .filter((type) => type !== "serial" && type !== "tick");
    expect(types.slice(0, 3)).toEqual(["session", "tcg_emulation", "launching_qemu"]);
    expect(types.slice(-4)).toEqual(["qemu_exited", "ending", "session_complete", "verdict"]);
    await nothingRuns(file);
  });
});

describe("a guest that KVM cannot run", () => {
  test.each<readonly [string, Behaviour, string]>([
    ["stops with an internal error", { prints: "SeaBIOS\n", ends: "internal-error" }, "internal_error"],
    ["is not even started", { refuses: "qemu: failed to initialize kvm" }, "qemu_died"],
  ])("%s: booted once more under emulation, and the session says so", async (_, kvm, reason) => {
    await recordBoot(recording("kvm", { kvm, tcg: LOGIN }));
    const { file, session, ending } = await ended();
    expect(session).toMatchObject({ result: "success", kvm: "unavailable", accelerator: "tcg" });
    expect(ending).toMatchObject({ reason: "goal", accelerator: "tcg", first_attempt: { reason, accelerator: "kvm" } });
    expect(events.filter(({ type }) => type === "restart")).toHaveLength(1);
    expect(await readFile(file("attempt-1-kvm/serial.log"), "utf8")).toBe("prints" in kvm ? kvm.prints : "");
    expect(await readFile(file("serial.log"), "utf8")).toBe("prints" in LOGIN ? LOGIN.prints : "");
    expect(await readFile(file("attempt-1-kvm/qemu.cmdline"), "utf8")).toContain(" -accel kvm ");
  });

  test("only once: an internal error under emulation is the end", async () => {
    const failing: Behaviour = { prints: "SeaBIOS\n", ends: "internal-error" };
    await recordBoot(recording("kvm", { kvm: failing, tcg: failing }));
    const { session, ending } = await ended();
    expect(session).toMatchObject({ status: "complete", result: "failure" });
    expect(ending.reason).toBe("internal_error");
    expect(events.filter(({ type }) => type === "restart")).toHaveLength(1);
  });

  test("one that KVM did run is left as KVM ran it", async () => {
    await recordBoot(recording("kvm", { kvm: LOGIN }));
    expect((await ended()).session).toMatchObject({ result: "success", kvm: "available" });
  });
});

describe("the other endings", () => {
  test("a shutdown before the goal", async () => {
    await recordBoot(recording("tcg", { tcg: { prints: "SeaBIOS\n", ends: "shutdown" } }));
    const { session, ending } = await ended();
    expect(ending).toMatchObject({ reason: "guest_shutdown", goal_reached: false });
    expect(session).toMatchObject({ status: "complete", result: "incomplete" });
  });

  test("QEMU killed in the middle: an orderly end all the same", async () => {
    await recordBoot(recording("tcg", { tcg: { prints: "SeaBIOS\n", ends: "killed" } }));
    const { session, ending, file } = await ended();
    expect(ending).toMatchObject({ reason: "qemu_died", qemu_signal: "SIGKILL", qemu_exit_code: null });
    expect(session.status).toBe("complete");
    await nothingRuns(file);
  });
});

describe("a recorder that fails", () => {
  test("QEMU refuses: an error with QEMU's own words, and a failed session that has them too", async () => {
    const failing = recordBoot(recording("tcg", { tcg: { refuses: "qemu: -drive: cannot open \x1b[31mthis" } }));
    await expect(failing).rejects.toMatchObject({ what: "start QEMU", kind: "failure", found: expect.stringContaining("cannot open") });
    const { file, session, status, ending } = await ended();
    expect(session).toMatchObject({ status: "failed", qemu_exit_code: null });
    expect(status).toMatchObject({ status: "failed", stage: "fatal_error" });
    expect(ending.reason).toBe("recorder_died");
    const words = await readFile(file("FAILURE.txt"), "utf8");
    expect(words).toContain("\\x1b[31mthis");
    expect(words.match(/The command line is in/g)?.length, "said once").toBe(1);
    expect(events.at(-1)?.type).toBe("verdict");
  });

  test("an inventory that fails", async () => {
    const broken = recording(
      "tcg",
      { tcg: LOGIN },
      {
        // biome-ignore lint/correctness/useYield: it fails before it has anything
        hostInventory: async function* () {
          throw new Error("no /sys");
        },
      },
    );
    await expect(recordBoot(broken)).rejects.toThrow("no /sys");
    expect((await ended()).session.status).toBe("failed");
  });

  test("a goal that means nothing: nothing is made", async () => {
    await expect(recordBoot(recording("tcg", { tcg: LOGIN }, { goal: "heaven" }))).rejects.toMatchObject({ kind: "usage" });
    expect(await readdir(root)).not.toContain("logs");
    expect(await readdir(scratch)).toEqual([]);
  });

  test("a log directory that takes none: nothing is left", async () => {
    await writeFile(logs, "mine");
    await expect(recordBoot(recording("tcg", { tcg: LOGIN }))).rejects.toMatchObject({ kind: "failure" });
    expect(await readdir(scratch)).toEqual([]);
  });
});

describe("stopped by the person", () => {
  test("before anything was made", async () => {
    person.abort();
    await expect(recordBoot(recording("tcg", { tcg: LOGIN }))).rejects.toThrow();
    expect(await readdir(root)).not.toContain("logs");
  });

  test("while QEMU does not even greet: it is ended, the session says interrupted", async () => {
    const waiting = recordBoot(
      recording(
        "tcg",
        { tcg: { neverGreets: true } },
        {
          onEvent: (event) => {
            if (event.type === "status" && event.stage === "launching_qemu") setTimeout(() => person.abort(), 300);
          },
        },
      ),
    );
    const { session } = await waiting;
    expect(session).toMatchObject({ status: "complete", result: "no_serial" });
    expect((await ended()).ending.reason).toBe("interrupted");
  });

  test("in the middle of the boot", async () => {
    await recordBoot(
      recording(
        "tcg",
        { tcg: { prints: "SeaBIOS\n" } },
        {
          onEvent: (event) => {
            if (event.type === "serial") person.abort();
          },
        },
      ),
    );
    const { session, ending, file } = await ended();
    expect(session).toMatchObject({ status: "complete", result: "incomplete" });
    expect(ending.reason).toBe("interrupted");
    await nothingRuns(file);
  });
});

describe("a boot that is driven", () => {
  const driven = (drive: Drive, changes: Partial<Recording> = {}, behaviour: Behaviour = LOGIN) =>
    recordBoot(recording("tcg", { tcg: behaviour }, { goal: "script", drive, ...changes }));
  const STEP: ScriptFile["steps"][number] = {
    number: 1,
    step: "expect",
    title: 'expect "login:"',
    where: "s.yaml:1:1",
    result: "passed",
    time_ms: 1,
    duration_ms: 1,
    line: 4,
    detail: "",
  };

  test("is a success when the script has come to its end, and not before: a login is not the goal then", async () => {
    const seen: string[] = [];
    await driven(async (control) => {
      const read = () => [...control.console.unread()].map(({ text }) => text);
      while (!read().includes("demo login: ") || control.stage !== "login") await control.change();
      seen.push(...read());
      await control.keep({ name: "s", result: "passed", steps: [STEP] });
      return { passed: true, detail: "all went well" };
    });
    expect(seen.at(-1)).toBe("demo login: ");
    const { session, ending, report, files, file } = await ended();
    expect(session).toMatchObject({ status: "complete", result: "success" });
    expect(ending).toMatchObject({ reason: "goal", goal: "script", goal_reached: true, detail: "script: all went well" });
    expect(report).toMatchObject({ script: { name: "s", result: "passed", steps: [STEP] } });
    expect(files).toContain("steps.json");
    expect(await readFile(file("report.txt"), "utf8")).toMatch(/^ {2}1\. passed +0 s {2}line 4 +expect "login:"$/m);
  });

  test("is a failure when a step failed; the finding says which", async () => {
    await driven(async () => ({ passed: false, detail: "step 2: nothing came" }));
    const { session, ending, report, file } = await ended();
    expect(session).toMatchObject({ status: "complete", result: "failure" });
    expect(ending).toMatchObject({ reason: "script_failed", goal_reached: false });
    expect(report.findings.find(({ cause }) => cause)).toMatchObject({ kind: "script_failed", text: "script: step 2: nothing came" });
    expect(await readFile(file("FAILURE.txt"), "utf8")).toContain("step 2: nothing came");
    await nothingRuns(file);
  });

  test("by a script that throws: nothing is lost", async () => {
    await driven(async (control) => {
      await control.keep({ name: "s", result: "running", steps: [STEP] });
      while ([...control.console.unread()].length === 0) await control.change();
      throw new Error("a fault of its own");
    });
    const { session, ending, file } = await ended();
    expect(session).toMatchObject({ status: "complete", result: "failure" });
    expect(ending.detail).toBe("script: it could not go on: a fault of its own");
    expect(await readFile(file("serial.log"), "latin1")).toContain("demo login:");
    expect(scriptFileSchema.parse(await readJson(file("steps.json")))).toMatchObject({ result: "running", steps: [STEP] });
  });

  test("by a script that never ends and listens to nothing: the boot's own limit ends it", async () => {
    const planned = recording("tcg", { tcg: LOGIN });
    await driven(() => new Promise(() => {}), { plan: { ...planned.plan, limits: { ...planned.plan.limits, bootMs: 300 } } });
    const { session, ending, file } = await ended();
    expect(session).toMatchObject({ status: "complete", result: "incomplete" });
    expect(ending.reason).toBe("time_limit");
    await nothingRuns(file);
  });

  test("by a script whose QEMU is killed: that is the reason, whatever the script makes of it", async () => {
    let told: unknown;
    await driven(
      async (control) => {
        try {
          for (;;) await control.change();
        } catch (error) {
          told = error;
          throw error;
        }
      },
      {},
      { prints: "SeaBIOS\n", ends: "killed" },
    );
    expect(told).toMatchObject({ found: "the boot is over" });
    const { session, ending } = await ended();
    expect(session.status).toBe("complete");
    expect(ending).toMatchObject({ reason: "qemu_died", qemu_signal: "SIGKILL" });
  });

  test("by a script that sees the guest power itself off, as it meant", async () => {
    await driven(
      async (control) => {
        control.expectOff();
        while (!control.isOff) await control.change();
        return { passed: true, detail: "off" };
      },
      {},
      { prints: "Linux\n", ends: "shutdown" },
    );
    expect((await ended()).ending).toMatchObject({ reason: "goal", detail: "script: off" });
  });
});

test("a disk that is nearly full ends the boot while there is still room for its last files", async () => {
  await recordBoot(recording("tcg", { tcg: { prints: "[    0.000000] Linux version 6.1.0 (x)\r\n" } }, { roomKeptBytes: 1n << 62n }));
  const { session, status, ending, files, report } = await ended();
  expect(session).toMatchObject({ status: "complete", result: "incomplete" });
  expect(status.stage).toBe("session_complete");
  expect(ending).toMatchObject({ reason: "no_room", detail: expect.stringMatching(/only \d+ MiB are free/), qemu_exit_code: 0 });
  expect(report.boot_stage_final).toBe("kernel");
  expect(files).toContain("report.html");
});
