import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { quietJob } from "../../src/contract/job.ts";
import { sessionEndedSchema } from "../../src/contract/session.ts";
import { copyFiles } from "../../src/disk/copy/copy-files.ts";
import { hostTree } from "../../src/disk/copy/host-tree.ts";
import { planCopy } from "../../src/disk/copy/plan-copy.ts";
import { listSessions } from "../../src/session/catalogue.ts";
import { SessionDirectory } from "../../src/session/directory.ts";
import { finaliseSession, readJson } from "../../src/session/finalise.ts";
import { readIndex } from "../../src/session/session-index.ts";
import { openMountedData, type StickData } from "../../src/stick/data.ts";
import { pullSessions, RECORDED_FOLDER } from "../../src/stick/pull.ts";
import { chosenSessions, readStickSessions } from "../../src/stick/sessions.ts";
import { deadOwner, ENDING, indexLine, livingOwner, never, newSession, START_MS, setClock } from "../session/fixtures.ts";
import { memoryStick, onData } from "./memory-stick.ts";

let folder: string;
let stick: string;
let logs: string;
let home: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-pull-"));
  stick = join(folder, "stick");
  logs = join(stick, "hiperiso/logs");
  home = join(folder, "home");
  await mkdir(logs, { recursive: true });
});
afterEach(() => rm(folder, { recursive: true }));

const HOST = { kernel_version: "6.1", cpu_model: "x", cpu_logical_cores: 2, total_ram_mb: 2048, virt_supported: false };
/** What another computer wrote: nobody here is its owner. */
const elsewhere = () => ({ ...deadOwner(), boot_id: "00000000-0000-0000-0000-000000000000" });

async function started(name: string, owner = elsewhere()): Promise<SessionDirectory> {
  const directory = await SessionDirectory.create(newSession(logs, { owner, imageBaseName: name }), setClock());
  await writeFile(directory.file("serial.log"), "Linux version 6.1.0 (x)\r\ndebian login: ");
  return directory;
}

async function ended(name: string): Promise<SessionDirectory> {
  const directory = await started(name);
  await directory.writeJson("ending.json", ENDING);
  const { analysis } = await analyseSession(directory.path);
  const end = { status: "complete", stage: "session_complete", ending: ENDING, endTimeUtc: "2026-11-21T09:01:00Z" } as const;
  await finaliseSession(directory, { ...end, started: directory.started, host: HOST, analysis, failure: "" }, never);
  return directory;
}

async function pull(data: StickData, options: { again?: boolean; reanalyse?: boolean } = {}) {
  const { sessions } = await readStickSessions(data, "/hiperiso/logs", quietJob);
  const wish = { sessions, target: home, again: false, reanalyse: false, rules: async () => [], ...options };
  return await pullSessions(data, wish, setClock(START_MS + 86_400_000), quietJob);
}

/** Names and bytes of all files. */
async function treeOf(path: string): Promise<ReadonlyMap<string, string>> {
  const entries = (await readdir(path, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
  const files = entries.map(({ parentPath, name }) => join(parentPath, name)).sort();
  return new Map(await Promise.all(files.map(async (file) => [file.slice(path.length), await readFile(file, "base64")] as const)));
}

describe("sessions come home", () => {
  test("whole, with their line in the index, once; with --all again", async () => {
    const { id, path } = await ended("debian.iso");
    await using data = await openMountedData(stick);
    const before = await treeOf(stick);
    expect(await pull(data)).toEqual({ sessions: [{ id, directory: join(home, id), closed: false }], here: [], running: [] });
    expect(await treeOf(join(home, id))).toEqual(await treeOf(path));
    expect((await readIndex(home)).lines).toMatchObject([{ session_id: id, result: "success" }]);
    expect((await listSessions(home)).map(({ state }) => state)).toEqual(["complete"]);
    expect(await pull(data)).toEqual({ sessions: [], here: [id], running: [] });
    await writeFile(join(home, id, "note.txt"), "x");
    expect((await pull(data, { again: true })).sessions).toHaveLength(1);
    expect(await treeOf(join(home, id))).toEqual(await treeOf(path));
    expect((await readIndex(home)).lines).toHaveLength(1);
    expect(await treeOf(stick)).toEqual(before);
  });

  test("one that was cut off is marked failed and analysed here; the stick keeps it as it is", async () => {
    const { id, path } = await started("cut.iso");
    const beat = new Date(START_MS + 40_000);
    await writeFile(join(path, "HEARTBEAT"), "");
    await utimes(join(path, "HEARTBEAT"), beat, beat);
    await using data = await openMountedData(stick);
    expect((await readStickSessions(data, "/hiperiso/logs", quietJob)).sessions).toMatchObject([{ id, state: "cut off" }]);
    const before = await treeOf(stick);
    expect((await pull(data)).sessions).toMatchObject([{ id, closed: true }]);
    expect(sessionEndedSchema.parse(await readJson(join(home, id, "session.json")))).toMatchObject({
      status: "failed",
      end_time_utc: "2026-11-21T09:00:40Z",
    });
    expect((await readIndex(home)).lines).toMatchObject([{ session_id: id, status: "failed" }]);
    expect(await readFile(join(home, id, "FAILURE.txt"), "utf8")).toMatch(/recorder was killed/);
    expect(await treeOf(stick)).toEqual(before);
  });

  test("one that is being recorded here and now stays where it is", async () => {
    const { id } = await started("live.iso", livingOwner());
    await using data = await openMountedData(stick);
    expect(await pull(data)).toEqual({ sessions: [], here: [], running: [id] });
    expect(await readdir(home)).toEqual([]);
  });

  test("analysed by this version, the stick's own reports beside", async () => {
    const { id, path } = await ended("debian.iso");
    await writeFile(join(path, "report.txt"), "what an older version found\n");
    await using data = await openMountedData(stick);
    await pull(data, { reanalyse: true });
    expect(await readFile(join(home, id, RECORDED_FOLDER, "report.txt"), "utf8")).toBe("what an older version found\n");
    expect(await readFile(join(home, id, "report.txt"), "utf8")).toMatch(/debian\.iso|login/);
    await pull(data, { reanalyse: true, again: true });
    expect(await readFile(join(home, id, RECORDED_FOLDER, "report.txt"), "utf8")).toBe("what an older version found\n");
  });

  test("what a pull that was killed left is taken away, and nothing else", async () => {
    await ended("debian.iso");
    await mkdir(join(home, ".pull-0123456789abcdef"), { recursive: true });
    await mkdir(join(home, ".pull-mine"));
    await using data = await openMountedData(stick);
    const { sessions } = await pull(data);
    expect((await readdir(home)).sort()).toEqual([".pull-mine", "index.jsonl", sessions[0]!.id].sort());
  });

  test("out of the volume of a stick that is not mounted", async () => {
    const { id, path } = await ended("ä b.iso");
    const medium = await memoryStick();
    await onData(medium, async ({ tree }) => {
      const sources = [{ tree: hostTree, path: logs, name: "" }];
      const plan = await planCopy(
        { sources, target: tree, destination: "/hiperiso/logs", intoFolder: false, recursive: true, force: true },
        never,
      );
      await copyFiles(plan, tree, quietJob);
    });
    await onData(medium, async (data) => {
      expect((await pull(data)).sessions).toMatchObject([{ id }]);
    });
    expect(await treeOf(join(home, id))).toEqual(await treeOf(path));
  });
});

describe("what is on the stick is not believed", () => {
  test("an index with lines that are none, of sessions that are gone, and with ids that are paths", async () => {
    const { id } = await ended("debian.iso");
    const bad = indexLine("../../../etc", { start_time_utc: "2020-01-01T00:00:00Z" });
    const index = await readFile(join(logs, "index.jsonl"), "utf8");
    await writeFile(join(logs, "index.jsonl"), `${JSON.stringify(bad)}\n{"session_id":\n${index}\0\xff`);
    await using data = await openMountedData(stick);
    const { sessions, unreadableLines } = await readStickSessions(data, "/hiperiso/logs", quietJob);
    expect(unreadableLines).toEqual([2, 4]);
    expect(sessions.map((session) => [session.id, session.state])).toEqual([
      ["../../../etc", "gone"],
      [id, "complete"],
    ]);
    expect((await pull(data)).sessions).toHaveLength(1);
    expect((await readdir(home)).sort()).toEqual(["index.jsonl", id].sort());
    expect(() => chosenSessions(sessions, ["../"], stick)).toThrow(/its line in the index alone/);
    expect(chosenSessions(sessions, ["debian", id], stick)).toHaveLength(1);
    expect(() => chosenSessions(sessions, ["none"], stick)).toThrow(/one session whose id begins with "none"/);
  });

  test("folders that are no sessions, a session.json that is none, and an owner who names somebody's folder", async () => {
    await mkdir(join(logs, "holiday"));
    await mkdir(join(logs, "half"));
    await writeFile(join(logs, "half/session.json"), '{"session_id":');
    const mine = join(folder, "hiperiso-mine");
    await mkdir(mine);
    await started("evil.iso", { ...elsewhere(), scratch_dir: mine });
    await using data = await openMountedData(stick);
    expect((await pull(data)).sessions).toHaveLength(1);
    expect(await readdir(mine)).toEqual([]);
    expect(await readdir(folder)).toContain("hiperiso-mine");
  });

  test("no logs at all", async () => {
    await rm(logs, { recursive: true });
    await using data = await openMountedData(stick);
    expect(await pull(data)).toEqual({ sessions: [], here: [], running: [] });
  });
});
