/**
 * Builds that are killed, or run out of disk, while a stage works in its sandbox, as root and as a normal user: nothing of them is left, not even what
 * other ids own, and the next build ends well.
 */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { type Built, buildPlan } from "../../src/live/runner.ts";
import { removeTree } from "../../src/live/sandbox/tree.ts";
import { fillUp, mayMount, mountSmallDisk, type SmallDisk } from "./full-disk.ts";
import { makeUser, type TestUser } from "./sandbox/bundled.ts";
import { hasSandboxTools, SANDBOX_STAGES, writeSandboxSpec } from "./sandbox-spec.ts";

const isPossible = hasSandboxTools && process.getuid?.() === 0;

let folder: string;
let spec: string;
let user: TestUser;
let program: string;
let reference: Buffer;
beforeAll(async () => {
  if (!isPossible) return;
  folder = await mkdtemp(join(tmpdir(), "hiperiso-sandbox-cuts-"));
  await chmod(folder, 0o755);
  spec = writeSandboxSpec(folder);
  const made = await makeUser();
  if (made === undefined) throw new Error("useradd failed");
  user = made;
  program = await user.bundle(join(import.meta.dirname, "sandbox/build-program.ts"));
  reference = await readFile((await build(join(folder, "reference"))).output);
});
afterAll(async () => {
  if (!isPossible) return;
  await user[Symbol.asyncDispose]();
  await removeTree(folder, { env: process.env, job: quietJob });
});

const build = (store: string, stages?: readonly string[]): Promise<Built> =>
  buildPlan(spec, { store, env: process.env, ...(stages === undefined ? {} : { stages }) }, quietJob);

/** Processes that work for a store: its path is in their words, or they stand in it. */
function processesOf(store: string): readonly string[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && name !== `${process.pid}`)
    .flatMap((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8");
        const isThere = ["cwd", "root"].some((link) => readlinkSync(`/proc/${pid}/${link}`).startsWith(store));
        return words.includes(store) || isThere ? [words.replaceAll("\0", " ")] : [];
      } catch {
        return []; // it has ended meanwhile
      }
    });
}

/** The only workplace of a store, as far as it has come. */
const inWork = (store: string, path: string): string => {
  const [name] = existsSync(join(store, "work")) ? readdirSync(join(store, "work")) : [];
  return join(store, "work", name ?? "none", path);
};
const logIn = (store: string): string => {
  const path = inWork(store, "log.txt");
  return existsSync(path) ? readFileSync(path, "utf8") : "";
};

/** By stage: moments of its work. */
const MOMENTS: readonly (readonly [string, string, (store: string) => boolean])[] = [
  ["debs", "while mmdebstrap runs", (store) => /I: /.test(logIn(store))],
  ["debs", "while packages are unpacked", (store) => /extracting archives/.test(logIn(store))],
  ["tarball", "while the archive is read", (store) => existsSync(inWork(store, "scratch/plain.tar"))],
  ["script", "while the tree is unpacked", (store) => existsSync(inWork(store, "scratch/tree"))],
  ["script", "while the script runs", (store) => /the script has begun/.test(logIn(store))],
];

describe.skipIf(!isPossible).each(["root", "a normal user"])("a build by %s", (who) => {
  const own = (): readonly string[] => (who === "root" ? [] : ["--reuid", user.name, "--regid", user.name, "--init-groups"]);
  const start = (store: string, ...stages: readonly string[]) =>
    // setpriv becomes Node itself: no shell or runuser stands between, which would be what is killed.
    spawn("setpriv", [...own(), "--", process.execPath, program, spec, store, ...stages], {
      cwd: "/",
      env: { ...process.env, HOME: "/" },
      stdio: ["ignore", "ignore", "pipe"],
    });

  test.each(MOMENTS)("that is killed in the stage %s %s leaves nothing, and the next one ends well", async (stage, when, isThen) => {
    const place = join(folder, `${who} ${stage} ${when}`);
    await mkdir(place);
    await chmod(place, 0o777);
    const store = join(place, "store");
    const child = start(store, stage);
    await vi.waitUntil(() => isThen(store) || child.exitCode !== null, { timeout: 60_000, interval: 1 });
    child.kill("SIGKILL");
    await once(child, "exit");
    expect(child.signalCode, "it was killed before it ended").toBe("SIGKILL");
    await vi.waitUntil(() => processesOf(store).length === 0, { timeout: 60_000 });
    expect(readFileSync("/proc/self/mountinfo", "utf8")).not.toContain(store);
    expect((await readdir(join(store, "work"))).length, "a workplace of the killed build").toBeGreaterThan(0);

    const again = start(store, stage, "script");
    let says = "";
    again.stderr.setEncoding("utf8").on("data", (text: string) => {
      says += text;
    });
    await once(again, "close");
    expect([again.exitCode, says]).toEqual([0, ""]);
    for (const name of ["work", "pins", "failed"]) expect([name, await readdir(join(store, name))]).toEqual([name, []]);
    // Root may read whatever another one built.
    expect((await readFile((await build(store)).output)).equals(reference)).toBe(true);
    await rm(place, { recursive: true });
  });
});

describe.skipIf(!isPossible || !mayMount)("a build on a full disk", () => {
  let disk: SmallDisk;
  let store: string;
  beforeAll(async () => {
    disk = await mountSmallDisk(join(folder, "small"), 96);
    store = join(disk.path, "store");
  });
  afterAll(() => disk[Symbol.asyncDispose]());

  test.each(SANDBOX_STAGES)("fails in the sandboxed stage %s in words, and goes on when there is room", async (stage) => {
    const first = await build(store, [stage]);
    const hash = first.stages.find(({ name }) => name === stage)!.hash;
    await rm(join(store, "outputs", hash), { recursive: true });
    const filler = join(disk.path, "filler");
    await fillUp(filler, disk.path, 1024 * 1024);
    const error = await build(store, [stage])
      .then(
        () => undefined,
        (thrown: unknown) => thrown as Error,
      )
      .finally(() => rm(filler));
    expect(error?.message).toMatch(new RegExp(`^cannot build stage ${stage}: `));
    expect(error?.message).toContain("The file system is full: make room (hiperiso live gc), or choose another folder with --store.");
    expect(await readdir(join(store, "work"))).toEqual([]);
    expect(await readdir(join(store, "failed", `sandboxed.${stage}`)), "what takes the room that is needed is not kept").toEqual([
      "log.txt",
    ]);
    expect(processesOf(store)).toEqual([]);

    const again = await build(store, [stage]);
    expect(again.stages.find(({ name }) => name === stage)).toMatchObject({ reused: false, hash });
    expect(await readdir(join(store, "failed"))).toEqual([]);
  });

  test("comes to the same root file system in the end", async () => {
    expect((await readFile((await build(store)).output)).equals(reference)).toBe(true);
  });
});
