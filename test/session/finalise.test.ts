import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { indexLineSchema, type SessionEnded, sessionEndedSchema, statusSchema } from "../../src/contract/session.ts";
import { SessionDirectory } from "../../src/session/directory.ts";
import { exists, finaliseSession, readJson, type SessionOutcome } from "../../src/session/finalise.ts";
import { sweepOrphans } from "../../src/session/orphans.ts";
import { readIndex } from "../../src/session/session-index.ts";
import { deadOwner, ENDING, never, newSession, START_MS, setClock } from "./fixtures.ts";

let logs: string;
beforeEach(async () => {
  logs = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(async () => {
  vi.restoreAllMocks();
  await rm(logs, { recursive: true });
});

const HOST: SessionEnded["host"] = {
  kernel_version: "6.1",
  cpu_model: "x",
  cpu_logical_cores: 2,
  total_ram_mb: 2048,
  virt_supported: false,
};

/** A session as it stands when its boot is over and analysed. Its recorder is dead already, so that a sweep may finish it. */
async function analysedSession(): Promise<{ directory: SessionDirectory; outcome: SessionOutcome }> {
  const clock = setClock();
  const directory = await SessionDirectory.create(newSession(logs, { owner: deadOwner() }), clock);
  await writeFile(directory.file("serial.log"), "Linux version 6.1.0 (x)\n");
  await mkdir(directory.file("hw"));
  await writeFile(directory.file("hw/qemu_qtree.txt"), "x");
  await directory.writeJson("ending.json", ENDING);
  const { analysis } = await analyseSession(directory.path);
  clock.ms = START_MS + 30_000;
  return {
    directory,
    outcome: {
      started: directory.started,
      status: "complete",
      stage: "session_complete",
      ending: ENDING,
      endTimeUtc: clock.utc(),
      host: HOST,
      analysis,
      failure: "what went wrong",
    },
  };
}

describe("the end of a session", () => {
  test("all its files, by the contract, its line in the index, and SESSION_COMPLETE", async () => {
    const { directory, outcome } = await analysedSession();
    const session = await finaliseSession(directory, outcome, never);
    expect(sessionEndedSchema.parse(await readJson(directory.file("session.json")))).toEqual(session);
    expect(session).toMatchObject({
      status: "complete",
      report_available: 1,
      host: HOST,
      start_time_utc: "2026-11-21T09:00:00Z",
      end_time_utc: "2026-11-21T09:00:30Z",
      hw_inventory: { available: true, files: "qemu_qtree.txt", has_timing: true, has_network_pcap: false },
      goal: "login",
    });
    expect(statusSchema.parse(await readJson(directory.file("status.json")))).toMatchObject({
      status: "complete",
      stage: "session_complete",
      qemu_exit_code: 0,
    });
    const { lines } = await readIndex(logs);
    expect(lines).toEqual([indexLineSchema.parse(lines[0])]);
    expect(lines[0]).toMatchObject({ session_id: directory.id, log_dir: directory.path, boot_result: session.result });
    const files = await readdir(directory.path);
    expect(files).toEqual(expect.arrayContaining(["SESSION_COMPLETE", "FAILURE.txt", "timing.json"]));
    expect(files.filter((name) => name.startsWith("."))).toEqual([]);
  });

  test("without a failure there is no FAILURE.txt", async () => {
    const { directory, outcome } = await analysedSession();
    await finaliseSession(directory, { ...outcome, failure: undefined }, never);
    expect(await exists(directory.file("FAILURE.txt"))).toBe(false);
  });
});

describe("cut at any step, the next start finishes it: one line in the index, SESSION_COMPLETE last", () => {
  const cut = new Error("the power went");
  type Cut = (directory: SessionDirectory) => void | Promise<void | (() => Promise<void>)>;
  /** Each makes one write fail; what it returns clears the way again. */
  const cuts: Readonly<Record<string, readonly [Cut, left: "started" | "final"]>> = {
    "the reserve": [(directory) => void vi.spyOn(directory, "releaseReserve").mockRejectedValueOnce(cut), "started"],
    "FAILURE.txt": [
      async (directory) => {
        await mkdir(directory.file("FAILURE.txt"));
        return () => rm(directory.file("FAILURE.txt"), { recursive: true });
      },
      "started",
    ],
    "session.json": [
      (directory) => {
        const write = directory.writeJson.bind(directory);
        vi.spyOn(directory, "writeJson").mockImplementation((name, value) =>
          name === "session.json" ? Promise.reject(cut) : write(name, value),
        );
      },
      "started",
    ],
    "status.json": [(directory) => void vi.spyOn(directory, "setStatus").mockRejectedValueOnce(cut), "final"],
    "index.jsonl": [
      async () => {
        await mkdir(join(logs, "index.jsonl"));
        return () => rm(join(logs, "index.jsonl"), { recursive: true });
      },
      "final",
    ],
  };

  test.each(Object.keys(cuts))("%s", async (name) => {
    const [make, left] = cuts[name]!;
    const { directory, outcome } = await analysedSession();
    const clear = await make(directory);
    await expect(finaliseSession(directory, outcome, never)).rejects.toThrow();
    expect(await exists(directory.file("SESSION_COMPLETE"))).toBe(false);
    await clear?.();
    vi.restoreAllMocks();
    await finishedBySweep(directory, left);
  });

  test("SESSION_COMPLETE", async () => {
    const { directory, outcome } = await analysedSession();
    await finaliseSession(directory, outcome, never);
    await rm(directory.file("SESSION_COMPLETE"));
    await finishedBySweep(directory, "final");
  });

  async function finishedBySweep(directory: SessionDirectory, left: "started" | "final"): Promise<void> {
    expect(await readJson(directory.file("session.json"))).toMatchObject({ status: left === "final" ? "complete" : "started" });
    expect(await sweepOrphans(logs, setClock(), never)).toEqual([directory.id]);
    const session = sessionEndedSchema.parse(await readJson(directory.file("session.json")));
    expect(session.status).toBe(left === "final" ? "complete" : "failed");
    expect(statusSchema.parse(await readJson(directory.file("status.json"))).status).toBe(session.status);
    expect((await readIndex(logs)).lines.map(({ session_id, status }) => [session_id, status])).toEqual([[directory.id, session.status]]);
    expect(await exists(directory.file("SESSION_COMPLETE"))).toBe(true);
    expect(await readJson(directory.file("ending.json"))).toEqual(ENDING);
    expect(await readFile(directory.file("FAILURE.txt"), "utf8")).toMatch(/what went wrong|recorder was killed/);
  }
});
