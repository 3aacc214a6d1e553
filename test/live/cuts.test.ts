/** Builds that are killed, or run out of disk, in each of their stages, and the build after them. Real stages, real tools. */
import { spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { type Built, buildPlan } from "../../src/live/runner.ts";
import { type BuiltProgram, buildProgram } from "../cli/built-program.ts";
import { fillUp, mayMount, mountSmallDisk, type SmallDisk } from "./full-disk.ts";
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
  reference = await digestOf(await build("reference", MEDIA));
});
afterAll(async () => {
  if (!hasQuickTools) return;
  program.remove();
  await rm(folder, { recursive: true });
});

const build = (store: string, stages?: readonly string[]): Promise<Built> =>
  buildPlan(quick.spec, { store: join(folder, store), env: quick.env, ...(stages === undefined ? {} : { stages }) }, quietJob);

/** Each in a file of its own. */
const MEDIA = ["iso", "disk", "netboot"];

/** Of all files of the media. */
async function digestOf({ stages }: Built): Promise<string> {
  const hash = createHash("sha256");
  for (const { output } of stages.filter(({ name }) => MEDIA.includes(name))) {
    for (const name of (await readdir(output)).sort()) hash.update(`${name}\0`).update(await readFile(join(output, name)));
  }
  return hash.digest("hex");
}

/** Nothing under a final name but what is whole: all of a later build comes to the reference's bytes, and nothing is left of the killed one. */
async function expectWhole(store: string): Promise<void> {
  expect(await digestOf(await build(store, MEDIA))).toBe(reference);
  for (const name of ["work", "pins", "failed"]) expect([name, await readdir(join(folder, store, name))]).toEqual([name, []]);
}

const STAGES = [
  "kernel-package",
  "busybox-package",
  "busybox",
  "kernel",
  "root",
  "image",
  "initramfs",
  "loaders",
  "iso",
  "disk",
  "netboot",
];

describe.skipIf(!hasQuickTools)("a build", () => {
  test("has the stages that are cut below", () => {
    expect(quick.stages).toEqual(STAGES);
  });

  test.each(STAGES)("that is killed with SIGKILL in the stage %s is followed by one that ends well", async (stage) => {
    const store = `killed ${stage}`;
    const args = [
      program.module("cli/hiperiso.js"),
      "live",
      "build",
      quick.spec,
      "--store",
      join(folder, store),
      "--stage",
      stage,
      "--json",
    ];
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

// A file system of a test's own can be mounted by root only.
describe.skipIf(!hasQuickTools || !mayMount)("a build on a full disk", () => {
  const store = "small";
  let disk: SmallDisk;
  beforeAll(async () => {
    disk = await mountSmallDisk(join(folder, store), 96);
  });
  afterAll(() => disk[Symbol.asyncDispose]());

  // Netboot takes no room: its files are those of its inputs under other names.
  test.each(STAGES.filter((stage) => stage !== "netboot"))(
    "fails in the stage %s in words, keeps its log, and goes on when there is room",
    async (stage) => {
      const { stages } = await build(store, [stage]);
      const hash = stages.find(({ name }) => name === stage)!.hash;
      await rm(join(folder, store, "outputs", hash), { recursive: true });
      await rm(join(folder, store, "cache"), { recursive: true, force: true });
      await build(store, [stage]).then(() => rm(join(folder, store, "outputs", hash), { recursive: true }));
      const filler = join(folder, store, "filler");
      await fillUp(filler, join(folder, store), LEFT_BYTES);

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
    },
  );

  test("comes to the same image in the end", async () => {
    expect((await stat(join(folder, store))).dev).not.toBe((await stat(folder)).dev);
    await expectWhole(store);
  });
});

/** Room for small files only. */
const LEFT_BYTES = 128 * 1024;
