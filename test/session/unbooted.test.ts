import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { silentProgress } from "../../src/contract/job.ts";
import { standardSettings } from "../../src/contract/parameters.ts";
import { endingSchema, sessionEndedSchema, statusSchema, timingSchema } from "../../src/contract/session.ts";
import { systemClock } from "../../src/host/clock.ts";
import type { SessionEvent } from "../../src/session/recording.ts";
import { recordUnbooted, type UnbootedSession } from "../../src/session/unbooted.ts";

let root: string;
let events: SessionEvent[];
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hiperiso-test-"));
  mkdirSync(join(root, "private"));
  events = [];
});
afterEach(() => rmSync(root, { recursive: true }));

const record = (changes: Partial<UnbootedSession>) =>
  recordUnbooted(
    {
      subject: join(root, "usb/ISOs/a b.iso"),
      settings: { ...standardSettings, iso: join(root, "usb/ISOs/a b.iso"), logDir: join(root, "logs") },
      goal: "login",
      rules: [],
      warnings: ["the clock is wrong"],
      shownPath: (path) => path.replace(join(root, "usb"), ""),
      earlierPhases: [{ phase: "kernel", uptimeS: 0, utc: "2026-11-21T10:00:00.000Z" }],
      stage: "fallback_no_kvm",
      failure: undefined,
      reason: "handed_over",
      detail: "the image's own kernel was started instead",
      kvm: { state: "unavailable", because: "there is no /dev/kvm" },
      ...changes,
    },
    {
      env: { ...process.env, TMPDIR: join(root, "private") },
      clock: systemClock,
      job: { signal: new AbortController().signal, progress: silentProgress },
      onEvent: (event) => events.push(event),
    },
  );

const ended = (id: string) => {
  const json = (name: string): unknown => JSON.parse(readFileSync(join(root, "logs", id, name), "utf8"));
  return {
    session: sessionEndedSchema.parse(json("session.json")),
    status: statusSchema.parse(json("status.json")),
    ending: endingSchema.parse(json("ending.json")),
    timing: timingSchema.parse(json("timing.json")),
    files: readdirSync(join(root, "logs", id)),
  };
};

test("a computer that was given to the image's own kernel: complete, incomplete, stage fallback_no_kvm", async () => {
  const { session: told } = await record({});
  const { session, status, ending, timing, files } = ended(told.session_id);
  expect(session).toMatchObject({
    status: "complete",
    result: "incomplete",
    iso_path: "/ISOs/a b.iso",
    kvm: "unavailable",
    warnings: ["the clock is wrong"],
    qemu_exit_code: null,
    hw_inventory: { available: true },
  });
  expect(status).toMatchObject({ status: "complete", stage: "fallback_no_kvm" });
  expect(ending).toMatchObject({ reason: "handed_over", duration_ms: null, accelerator: null });
  expect(timing.phases[0]).toEqual({ phase: "kernel", uptime_s: 0, time_utc: "2026-11-21T10:00:00.000Z", since_previous_ms: null });
  expect(files).toEqual(expect.arrayContaining(["SESSION_COMPLETE", "env.txt", "hw", "report.json", "report.txt"]));
  expect(files).not.toContain("FAILURE.txt");
  expect(readFileSync(join(root, "logs/index.jsonl"), "utf8").trim().split("\n")).toHaveLength(1);
  expect(readdirSync(join(root, "private"))).toEqual([]);
  expect(events.map(({ type }) => type)).toEqual(["session", "ending", "status", "verdict"]);
});

test("an image that cannot be booted: failed, with the reason for a person, and nothing is thrown", async () => {
  const failure = new HiperisoError({ what: "boot the image", where: "/ISOs/a b.iso", found: "half of it" });
  const { session: told } = await record({ stage: "fatal_error", failure, reason: "recorder_died", detail: failure.message });
  const { session, status, ending } = ended(told.session_id);
  expect(session.status).toBe("failed");
  expect(status).toMatchObject({ status: "failed", stage: "fatal_error" });
  expect(ending.detail).toContain("half of it");
  expect(readFileSync(join(root, "logs", told.session_id, "FAILURE.txt"), "utf8")).toContain("half of it");
});
