import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { findSession, listSessions, readSession, removeSession, sessionSize } from "../../src/session/catalogue.ts";
import { SessionDirectory } from "../../src/session/directory.ts";
import { sweepOrphans } from "../../src/session/orphans.ts";
import { deadOwner, livingOwner, never, newSession, START_MS, setClock } from "./fixtures.ts";

let logs: string;
beforeEach(async () => {
  logs = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(logs, { recursive: true }));

/** A session of this image, so many seconds after nine o'clock. */
async function session(imageBaseName: string, second: number, owner = deadOwner()): Promise<SessionDirectory> {
  return await SessionDirectory.create(newSession(logs, { imageBaseName, owner }), setClock(START_MS + second * 1000));
}

describe("the list", () => {
  test("oldest first, each in its state; what is no session is left out", async () => {
    await session("b", 2, livingOwner());
    await session("a", 3);
    const closed = await session("z", 1);
    await mkdir(join(logs, "photos"));
    await mkdir(join(logs, "odd"));
    await writeFile(join(logs, "odd/session.json"), "{}");
    await writeFile(join(logs, "file"), "");
    expect((await listSessions(logs)).map(({ id, state }) => `${id.slice(0, 1)} ${state}`)).toEqual([
      "z cut off",
      "b running",
      "a cut off",
    ]);
    await sweepOrphans(logs, setClock(), never);
    expect((await listSessions(logs)).map(({ id, state }) => `${id.slice(0, 1)} ${state}`)).toEqual(["z failed", "b running", "a failed"]);
    expect((await readSession(closed.path))?.session).toMatchObject({ status: "failed", result: "no_serial" });
  });

  test("of a directory that is not there is empty, of a file an error of usage", async () => {
    expect(await listSessions(join(logs, "missing"))).toEqual([]);
    await writeFile(join(logs, "file"), "");
    await expect(listSessions(join(logs, "file"))).rejects.toMatchObject({ kind: "usage" });
  });
});

describe("the session that a person means", () => {
  test("the newest, an id, a beginning, a directory", async () => {
    const first = await session("debian.iso", 1);
    const second = await session("debian.iso", 2);
    const same = await session("debian.iso", 2);
    expect(same.id).toBe(`${second.id}-2`);
    expect((await findSession(logs, undefined)).id).toBe(same.id);
    expect((await findSession(logs, second.id)).id).toBe(second.id);
    expect((await findSession(logs, "debian.iso_20261121T090001")).id).toBe(first.id);
    expect((await findSession("/nonexistent", first.path)).id).toBe(first.id);
  });

  test.each([
    ["a beginning of two", "debian.iso_20261121T09", /2: debian/],
    ["nothing of that name", "ubuntu", /none/],
    ["the empty word of a shell variable that was not set", "", /nothing/],
    ["a directory that is none", "/", /none in it/],
    ["a directory that is not there", "./missing", /no such directory/],
    ["the way up", "..", /none/],
  ])("%s is an error of usage", async (_, reference, found) => {
    await session("debian.iso", 1);
    await session("debian.iso", 2);
    await expect(findSession(logs, reference)).rejects.toMatchObject({ kind: "usage", found: expect.stringMatching(found) });
  });

  test("no session at all", async () => {
    await expect(findSession(logs, undefined)).rejects.toMatchObject({ kind: "usage", found: "none" });
  });

  test("an empty word means none, also where there is only one", async () => {
    await session("debian.iso", 1);
    await expect(findSession(logs, "")).rejects.toMatchObject({ kind: "usage" });
  });
});

describe("removing", () => {
  test("takes the directory and nothing else", async () => {
    const gone = await session("a", 1);
    const stays = await session("b", 2);
    await removeSession((await readSession(gone.path))!);
    expect(await readdir(logs)).toEqual([stays.id]);
  });

  test("a running session stays", async () => {
    const running = await session("a", 1, livingOwner());
    await expect(removeSession((await readSession(running.path))!)).rejects.toMatchObject({ kind: "usage" });
    expect(await readdir(logs)).toEqual([running.id]);
  });
});

test("its size is the sum of its files, also of those in folders", async () => {
  const directory = join(logs, "s");
  await mkdir(join(directory, "hw"), { recursive: true });
  await writeFile(join(directory, "a"), "12345");
  await writeFile(join(directory, "hw/b"), "678");
  expect(await sessionSize(directory)).toBe(8);
});
