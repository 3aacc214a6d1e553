import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { withDirectoryLock } from "../../src/host/lock.ts";
import { type BuiltProgram, buildProgram } from "../cli/built-program.ts";

const never = new AbortController().signal;
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
});
afterEach(() => rm(folder, { recursive: true }));

/** Reads a number, waits, writes it one higher: loses counts unless nobody else does the same meanwhile. */
async function count(times: number): Promise<void> {
  for (let round = 0; round < times; round += 1) {
    await withDirectoryLock(folder, never, async () => {
      const path = join(folder, "count");
      const before = Number(await readFile(path, "utf8").catch(() => "0"));
      await new Promise((resolve) => setImmediate(resolve));
      await writeFile(path, String(before + 1));
    });
  }
}

describe("within a process", () => {
  test("one at a time", async () => {
    await Promise.all([count(5), count(5), count(5)]);
    expect(await readFile(join(folder, "count"), "utf8")).toBe("15");
  });

  test("gives the value, and is free again after an error", async () => {
    expect(await withDirectoryLock(folder, never, async () => 7)).toBe(7);
    const failing = withDirectoryLock(folder, never, () => Promise.reject(new Error("inside")));
    await expect(failing).rejects.toThrow("inside");
    expect(await withDirectoryLock(folder, never, async () => 8)).toBe(8);
  });

  test("another purpose and another directory have locks of their own", async () => {
    const other = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
    const inner = async () => await withDirectoryLock(other, never, async () => "inside");
    expect(await withDirectoryLock(folder, never, () => withDirectoryLock(folder, never, inner, "index"), "sweep")).toBe("inside");
    await rm(other, { recursive: true });
  });

  test("whoever waits can be called off", async () => {
    const abort = new AbortController();
    await withDirectoryLock(folder, never, async () => {
      const waiting = withDirectoryLock(folder, abort.signal, async () => "got it");
      abort.abort(new Error("enough"));
      await expect(waiting).rejects.toThrow();
    });
  });

  test("a directory that is not there is an error", async () => {
    await expect(withDirectoryLock(join(folder, "missing"), never, async () => 1)).rejects.toThrow("ENOENT");
  });
});

describe("across processes", () => {
  let built: BuiltProgram;
  const children: ChildProcess[] = [];
  beforeAll(() => {
    built = buildProgram();
  });
  afterAll(() => built.remove());
  afterEach(() => {
    for (const child of children.splice(0)) child.kill("SIGKILL");
  });

  /** A process that takes the lock, says so, and keeps it until it is killed. */
  async function holder(): Promise<ChildProcess> {
    const script = `
      import { withDirectoryLock } from ${JSON.stringify(pathToFileURL(built.module("host/lock.js")).href)};
      await withDirectoryLock(process.argv[1], new AbortController().signal, () => new Promise((resolve) => {
        console.log("held");
        setInterval(() => {}, 1000);
      }));`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", script, folder], { stdio: ["ignore", "pipe", "inherit"] });
    children.push(child);
    await once(child.stdout!, "data");
    return child;
  }

  test("excludes others while its holder lives, and is free when the holder is killed with SIGKILL", async () => {
    const child = await holder();
    let got = false;
    const waiting = withDirectoryLock(folder, never, async () => {
      got = true;
    });
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(got).toBe(false);
    child.kill("SIGKILL");
    await waiting;
    expect(got).toBe(true);
  });
});
