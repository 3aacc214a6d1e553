import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { endProcess, startGuarded } from "../../src/host/guarded-process.ts";
import { identityOf } from "../../src/host/process-identity.ts";
import { type BuiltProgram, buildProgram } from "../cli/built-program.ts";

const options = { cwd: "/", env: process.env, stdio: "ignore" } as const;
const shell = (script: string, ...args: string[]) => startGuarded("/bin/sh", ["-c", script, "sh", ...args], options);

describe("how it ended", () => {
  test("with a status, with a signal", async () => {
    expect(await shell("exit 7").ended).toEqual({ code: 7, signal: null });
    expect(await shell("kill -ABRT $$").ended).toEqual({ code: null, signal: "SIGABRT" });
  });

  test("a program that is not there ends with the shell's 127", async () => {
    expect(await startGuarded("/nonexistent/qemu", [], options).ended).toEqual({ code: 127, signal: null });
  });

  test("a guard that cannot be started is an error and no rejection", async () => {
    const { child, ended } = startGuarded("/bin/true", [], { ...options, cwd: "/nonexistent" });
    const { code, signal, error } = await ended;
    expect({ code, signal }).toEqual({ code: null, signal: null });
    expect(error?.message).toContain("ENOENT");
    await endProcess({ child, ended }, 1000);
  });
});

test("arguments arrive as they are: no shell reads them", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  const words = ["a b", "$(touch x)", "`id`", "'", '"', "-c", "--", "", "ж\n", "*", ";exit 3"];
  const script = 'out="$1"; shift; for word; do printf "%s\\0" "$word"; done > "$out"';
  expect(await startGuarded("/bin/sh", ["-c", script, "sh", join(folder, "out"), ...words], options).ended).toEqual({
    code: 0,
    signal: null,
  });
  expect((await readFile(join(folder, "out"), "utf8")).split("\0").slice(0, -1)).toEqual(words);
  await rm(folder, { recursive: true });
});

describe("ending it", () => {
  test("one that listens to SIGTERM", async () => {
    const process = shell("exec sleep 1000");
    await endProcess(process, 60_000);
    expect(await process.ended).toEqual({ code: null, signal: "SIGTERM" });
  });

  test("one that is deaf to it is killed", async () => {
    const deaf = startGuarded("/bin/sh", ["-c", "trap '' TERM; echo ready; while :; do sleep 1000; done"], {
      ...options,
      stdio: ["ignore", "pipe", "ignore"],
    });
    await once(deaf.child.stdout!, "data");
    await endProcess(deaf, 50);
    expect(await deaf.ended).toEqual({ code: null, signal: "SIGKILL" });
  });

  test("one that has ended already, twice", async () => {
    const process = shell("exit 0");
    await process.ended;
    await endProcess(process, 1000);
    await endProcess(process, 1000);
    expect(await process.ended).toEqual({ code: 0, signal: null });
  });
});

test("what a terminal sends to the foreground does not reach it: it has a process group of its own", async () => {
  const guarded = shell("exec sleep 1000");
  await vi.waitFor(async () => {
    const stat = await readFile(`/proc/${guarded.child.pid}/stat`, "latin1");
    expect(Number(stat.slice(stat.lastIndexOf(")")).split(" ")[3])).toBe(guarded.child.pid);
  });
  await endProcess(guarded, 1000);
});

describe("when its parent is killed with SIGKILL", () => {
  let built: BuiltProgram;
  beforeAll(() => {
    built = buildProgram();
  });
  afterAll(() => built.remove());

  test("it dies too", async () => {
    const script = `
      import { startGuarded } from ${JSON.stringify(pathToFileURL(built.module("host/guarded-process.js")).href)};
      const { child } = startGuarded("/bin/sh", ["-c", "trap '' TERM HUP; echo ready; exec sleep 1000"], {
        cwd: "/", env: process.env, stdio: ["ignore", "pipe", "ignore"],
      });
      child.stdout.once("data", () => console.log(child.pid));
      setInterval(() => {}, 1000);`;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", script], { stdio: ["ignore", "pipe", "inherit"] });
    const [line] = (await once(parent.stdout!, "data")) as [Buffer];
    const pid = Number(line.toString());
    expect(identityOf(pid)).toBeDefined();
    parent.kill("SIGKILL");
    await vi.waitFor(() => expect(identityOf(pid)).toBeUndefined(), { timeout: 20_000 });
  });
});
