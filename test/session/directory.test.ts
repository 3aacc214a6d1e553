import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { ownerSchema, sessionStartedSchema, statusSchema, timingSchema } from "../../src/contract/session.ts";
import { decodeUnbornName, SessionDirectory, unbornName } from "../../src/session/directory.ts";
import { readJson } from "../../src/session/finalise.ts";
import { livingOwner, newSession, START_MS, setClock } from "./fixtures.ts";

let root: string;
let logs: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  logs = join(root, 'logs, of "this" $(kind): ж');
});
afterEach(() => rm(root, { recursive: true }));

describe("birth", () => {
  test("the directory has its first files, by the contract, and nothing half-made stands beside it", async () => {
    const directory = await SessionDirectory.create(newSession(logs), setClock());
    expect(directory.id).toBe("demo_image.iso_20261121T090000Z");
    expect(await readdir(logs)).toEqual([directory.id]);
    expect((await readdir(directory.path)).sort()).toEqual([
      ".reserve",
      "HEARTBEAT",
      "env.txt",
      "owner.json",
      "session.json",
      "status.json",
      "timing.dat",
    ]);
    const session = sessionStartedSchema.parse(await readJson(directory.file("session.json")));
    expect(session).toMatchObject({
      session_id: directory.id,
      log_dir: directory.path,
      start_time_utc: "2026-11-21T09:00:00Z",
      goal: "login",
    });
    expect(Object.keys(session).slice(0, 3)).toEqual(["session_id", "status", "iso_path"]);
    expect(statusSchema.parse(await readJson(directory.file("status.json")))).toMatchObject({ status: "started", stage: "mounted" });
    expect(ownerSchema.parse(await readJson(directory.file("owner.json"))).pid).toBe(process.pid);
    expect(await readFile(directory.file("env.txt"), "utf8")).toBe("hiperiso_guest_ram=512\n");
  });

  test("the reserve holds real bytes until it is given back", async () => {
    const directory = await SessionDirectory.create(newSession(logs), setClock());
    const { size, blocks } = await stat(directory.file(".reserve"));
    expect(blocks * 512).toBeGreaterThanOrEqual(size);
    await directory.releaseReserve();
    await directory.releaseReserve();
    expect(await readdir(directory.path)).not.toContain(".reserve");
  });

  test("twenty in the same second have twenty names", async () => {
    const clock = setClock();
    const made = await Promise.all(Array.from({ length: 20 }, () => SessionDirectory.create(newSession(logs), clock)));
    const names = Array.from({ length: 20 }, (_, index) => `demo_image.iso_20261121T090000Z${index === 0 ? "" : `-${index + 1}`}`);
    expect(made.map(({ id }) => id).sort()).toEqual(names.sort());
    expect((await readdir(logs)).sort()).toEqual(names.sort());
    for (const { id, path, started } of made) {
      expect(await readJson(join(path, "session.json"))).toEqual(started);
      expect(started).toMatchObject({ session_id: id, log_dir: path });
    }
  });

  test("a file by its name is in the way as a directory is", async () => {
    await mkdir(logs, { recursive: true });
    await writeFile(join(logs, "demo_image.iso_20261121T090000Z"), "mine");
    const directory = await SessionDirectory.create(newSession(logs), setClock());
    expect(directory.id).toBe("demo_image.iso_20261121T090000Z-2");
    expect(await readFile(join(logs, "demo_image.iso_20261121T090000Z"), "utf8")).toBe("mine");
  });
});

describe("a log directory that takes no session", () => {
  test.each([
    ["is a file", async (path: string) => writeFile(path, "mine")],
    ["is below a file", async (path: string) => writeFile(path, "mine"), "below"],
  ])("one that %s", async (_, prepare, below = "") => {
    await prepare(logs);
    const thrown = await SessionDirectory.create(newSession(join(logs, below)), setClock()).catch((error: unknown) => error);
    expect(thrown).toBeInstanceOf(HiperisoError);
    expect(thrown).toMatchObject({ where: join(logs, below), kind: "failure", hint: expect.stringContaining("--log-dir") });
    expect(await readFile(logs, "utf8")).toBe("mine");
    expect(await readdir(root)).toHaveLength(1);
  });

  test("one in /proc, where nothing can be made", async () => {
    await expect(SessionDirectory.create(newSession("/proc/hiperiso"), setClock())).rejects.toThrow(
      /make a session directory.*\/proc\/hiperiso/,
    );
  });

  test("a birth that fails half-way leaves nothing", async () => {
    const session = newSession(logs, {
      shownPath: () => {
        throw new Error("in the middle");
      },
    });
    await expect(SessionDirectory.create(session, setClock())).rejects.toThrow("in the middle");
    expect(await readdir(logs)).toEqual([]);
  });
});

describe("life", () => {
  test("status, heartbeat and phases", async () => {
    const clock = setClock();
    const directory = await SessionDirectory.create(newSession(logs), clock);
    await directory.markPhase("started");
    clock.ms = START_MS + 61_500;
    await directory.setStatus("running", "launching_qemu");
    await directory.beat();
    await directory.markPhase("kernel");
    await directory.writeTimingJson();
    expect(statusSchema.parse(await readJson(directory.file("status.json")))).toEqual({
      session_id: directory.id,
      status: "running",
      stage: "launching_qemu",
      timestamp_utc: "2026-11-21T09:01:01Z",
    });
    expect((await stat(directory.file("HEARTBEAT"))).mtimeMs).toBe(clock.ms);
    expect(timingSchema.parse(await readJson(directory.file("timing.json"))).phases).toMatchObject([
      { phase: "started", uptime_s: 1000, since_previous_ms: null },
      { phase: "kernel", uptime_s: 1061.5, time_utc: "2026-11-21T09:01:01.500Z", since_previous_ms: 61_500 },
    ]);
    await directory.setStatus("running", "qemu_exited", null);
    expect(await readJson(directory.file("status.json"))).toMatchObject({ qemu_exit_code: null });
  });
});

describe("names of directories that are no sessions", () => {
  test("say whose they are, and differ", () => {
    const owner = livingOwner();
    const names = new Set(Array.from({ length: 50 }, () => unbornName(owner)));
    expect(names.size).toBe(50);
    for (const name of names) expect(decodeUnbornName(name)).toEqual({ pid: owner.pid, startTicks: owner.pid_start_ticks });
  });

  test.each([
    "demo.iso_20261121T090000Z",
    ".unborn-session-",
    ".unborn-session-1-2-xyz",
    ".unborn-session--1-2-01234567",
    "x.unborn-session-1-2-01234567",
    ".unborn-session-1-2-01234567\n",
  ])("%j is not one", (name) => {
    expect(decodeUnbornName(name)).toBeUndefined();
  });
});
