/** Whatever kills the program that builds: nothing that it runs in a sandbox outlives it. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createWriteStream } from "node:fs";
import { chmod, mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { expect, test, vi } from "vitest";
import { lookForTool } from "../../../src/host/tools.ts";
import { makeUser } from "./bundled.ts";
import { archiveOf, unusualFiles } from "./unusual-files.ts";

const busybox = await lookForTool("busybox", process.env);
const isPossible = process.getuid?.() === 0 && busybox !== undefined;

/** By its argument, which is nobody else's. */
const isRunning = (word: string): boolean => spawnSync("pgrep", ["-f", `busybox sleep ${word}`]).status === 0;

test.skipIf(!isPossible).each(["root", "a normal user"])(
  "a command in a tree dies with the program, when %s builds",
  { timeout: 120_000 },
  async (who) => {
    await using user = await makeUser();
    if (user === undefined) throw new Error("useradd failed");
    const program = await user.bundle(join(import.meta.dirname, "repack-program.ts"));
    const archive = join(user.folder, "in.tar");
    await pipeline(Readable.from(archiveOf(unusualFiles(await readFile(busybox!)))), createWriteStream(archive));
    const scratch = join(user.folder, "scratch");
    await mkdir(scratch);
    await chmod(scratch, 0o777);
    const word = `9${process.pid}${who.length}`;
    // A daemon that left its session, and what waits for it.
    const script = `busybox setsid busybox sleep ${word} & busybox sleep ${word}`;
    const words = [program, archive, join(scratch, "out.tar"), scratch, "/bin/sh", "-c", script];
    const own = who === "root" ? [] : ["--reuid", user.name, "--regid", user.name, "--init-groups"];
    // setpriv becomes Node itself: no shell or runuser stands between, which would be what is killed.
    const child = spawn("setpriv", [...own, "--", process.execPath, ...words], {
      cwd: "/",
      env: { ...process.env, HOME: "/" },
      stdio: "ignore",
    });
    await vi.waitUntil(() => isRunning(word) || child.exitCode !== null, { timeout: 60_000 });
    expect(child.exitCode).toBeNull();
    child.kill("SIGKILL");
    await once(child, "exit");
    await vi.waitUntil(() => !isRunning(word), { timeout: 60_000 });
    expect(isRunning(word)).toBe(false);
  },
);
