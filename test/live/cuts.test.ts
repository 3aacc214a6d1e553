/** Builds that are killed, or run out of disk, in each of their stages, and the build after them. Real stages, real tools. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { type Built, buildPlan } from "../../src/live/runner.ts";
import { type BuiltProgram, buildProgram } from "../cli/built-program.ts";
import { hasQuickTools, type QuickSpec, writeQuickSpec } from "./quick-spec.ts";

let program: BuiltProgram;
let folder: string;
let quick: QuickSpec;
let reference: string;
beforeAll(async () => {
  if (!hasQuickTools) return;
  program = buildProgram();
  folder = await mkdtemp(join(tmpdir(), "hiperiso-cuts-"));
  quick = writeQuickSpec(folder);
  reference = await digestOf(await build("reference"));
});
afterAll(async () => {
  if (!hasQuickTools) return;
  program.remove();
  await rm(folder, { recursive: true });
});

const build = (store: string, stages?: readonly string[]): Promise<Built> =>
  buildPlan(quick.spec, { store: join(folder, store), env: quick.env, ...(stages === undefined ? {} : { stages }) }, quietJob);
const digestOf = async ({ output }: Built): Promise<string> =>
  createHash("sha256")
    .update(await readFile(output))
    .digest("hex");

/** Nothing under a final name but what is whole: all of a later build comes to the reference's bytes, and nothing is left of the killed one. */
async function expectWhole(store: string): Promise<void> {
  expect(await digestOf(await build(store))).toBe(reference);
  for (const name of ["work", "pins", "failed"]) expect([name, await readdir(join(folder, store, name))]).toEqual([name, []]);
}

const STAGES = ["kernel-package", "busybox-package", "busybox", "kernel", "root", "image", "initramfs", "loaders", "iso"];

describe.skipIf(!hasQuickTools)("a build", () => {
  test("has the stages that are cut below", () => {
    expect(quick.stages).toEqual(STAGES);
  });

  test.each(STAGES)("that is killed with SIGKILL in the stage %s is followed by one that ends well", async (stage) => {
    const store = `killed ${stage}`;
    const args = [program.module("cli/hiperiso.js"), "live", "build", quick.spec, "--store", join(folder, store), "--json"];
    const child = spawn(process.execPath, args, { env: quick.env, stdio: ["ignore", "ignore", "pipe"] });
    const ended = new Promise<NodeJS.Signals | null>((resolve) => child.once("exit", (_code, signal) => resolve(signal)));
    for await (const line of createInterface({ input: child.stderr })) {
      const { event, title } = JSON.parse(line) as { event: string; title?: string };
      if (event === "step_begin" && title === `build ${stage}`) child.kill("SIGKILL");
    }
    expect(await ended).toBe("SIGKILL");
    const work = await readdir(join(folder, store, "work"));
    expect(work.length, "a workplace of the killed build").toBeGreaterThan(0);
    await expectWhole(store);
  });

  test("that is killed leaves no tool of its behind", async () => {
    // The tool kills its build, and would then never end.
    const bin = join(folder, "bin");
    await mkdir(bin, { recursive: true });
    const killer = `#!/bin/sh\ncase "$*" in *-version*) exec /usr/bin/mksquashfs "$@";; esac\necho $$ >"${bin}/pid"\nkill -9 $PPID\nexec sleep 1000000\n`;
    await writeFile(join(bin, "mksquashfs"), killer, { mode: 0o755 });
    const args = [program.module("cli/hiperiso.js"), "live", "build", quick.spec, "--store", join(folder, "killed by a tool")];
    const { signal } = spawnSync(process.execPath, args, { env: { ...quick.env, PATH: `${bin}:${quick.env["PATH"]}` }, stdio: "ignore" });
    expect(signal).toBe("SIGKILL");
    const pid = (await readFile(join(bin, "pid"), "utf8")).trim();
    await gone(pid);
    await expectWhole("killed by a tool");
  });
});

/** Returns when the process is no more; it is the kernel that ends it, right behind its parent. */
async function gone(pid: string): Promise<void> {
  const state = async (): Promise<string> =>
    (await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")).replace(/^.*\) /s, "").slice(0, 1);
  while (!["", "Z", "X"].includes(await state())) await new Promise((resolve) => setImmediate(resolve));
}

const mayMount = hasQuickTools && process.getuid?.() === 0 && canMount();

function canMount(): boolean {
  return spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;
}

// A file system of a test's own can be mounted by root only.
describe.skipIf(!mayMount)("a build on a full disk", () => {
  const store = "small";
  beforeAll(async () => {
    await mkdir(join(folder, store));
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=64m", "none", join(folder, store)]).status).toBe(0);
  });
  afterAll(() => {
    expect(spawnSync("umount", ["--lazy", join(folder, store)]).status).toBe(0);
  });

  test.each(STAGES)("fails in the stage %s in words, keeps its log, and goes on when there is room", async (stage) => {
    const { stages } = await build(store, [stage]);
    const hash = stages.find(({ name }) => name === stage)!.hash;
    await rm(join(folder, store, "outputs", hash), { recursive: true });
    await rm(join(folder, store, "cache"), { recursive: true, force: true });
    await build(store, [stage]).then(() => rm(join(folder, store, "outputs", hash), { recursive: true }));
    const filler = join(folder, store, "filler");
    await fillUp(filler, join(folder, store));

    const error = await build(store, [stage])
      .then(
        () => undefined,
        (thrown: unknown) => thrown as Error,
      )
      .finally(() => rm(filler));
    expect(error?.message).toMatch(new RegExp(`^cannot build stage ${stage}: `));
    expect(error?.message).toContain("The file system is full: make room (hiperiso live gc), or choose another folder with --store.");
    expect(await readdir(join(folder, store, "work"))).toEqual([]);
    expect(await readdir(join(folder, store, "outputs"))).not.toContain(hash);
    const kept = await readdir(join(folder, store, "failed", `quick.${stage}`));
    expect(kept, "what takes the room that is needed is not kept").toEqual(["log.txt"]);

    const again = await build(store, [stage]);
    expect(again.stages.find(({ name }) => name === stage)).toMatchObject({ reused: false, hash });
    expect(await readdir(join(folder, store, "failed"))).toEqual([]);
  });

  test("comes to the same image in the end", async () => {
    expect((await stat(join(folder, store))).dev).not.toBe((await stat(folder)).dev);
    await expectWhole(store);
  });
});

const LEFT_BYTES = 128 * 1024;

/** A file that leaves the file system with room for small files only. */
async function fillUp(path: string, where: string): Promise<void> {
  const { bavail, bsize } = await statfs(where);
  await writeFile(path, Buffer.alloc(bavail * bsize - LEFT_BYTES));
}
