import { access, chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Clock, systemClock } from "../../src/host/clock.ts";
import { deviceRefusal, judgeProbeRun, type KvmProbeOptions, type ProbeRun, probeKvm } from "../../src/host/kvm.ts";
import { identityOf } from "../../src/host/process-identity.ts";

/**
 * A folder with made-up things in the place of the computer's: a device, a /proc with a boot id, and a program in the
 * place of QEMU, that writes down each of its starts. The real guest is in test/real/kvm-probe.test.ts.
 */
let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  await mkdir(join(folder, "run"));
  await writeFile(join(folder, "kvm"), "");
  await restart("11111111-2222-3333-4444-555555555555");
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function restart(bootId: string): Promise<void> {
  await mkdir(join(folder, "proc/sys/kernel/random"), { recursive: true });
  await writeFile(join(folder, "proc/sys/kernel/random/boot_id"), `${bootId}\n`);
}

async function madeUpQemu(script: string): Promise<void> {
  await rm(join(folder, "qemu"), { force: true });
  await writeFile(join(folder, "qemu"), `#!/bin/sh\necho $$ >> '${folder}/starts'\n${script}\n`);
  await chmod(join(folder, "qemu"), 0o755);
}

const startedPids = async (): Promise<readonly number[]> =>
  (await readFile(join(folder, "starts"), "utf8").catch(() => "")).split("\n").filter(Boolean).map(Number);

const options = (other: Partial<KvmProbeOptions> = {}): KvmProbeOptions => ({
  qemu: join(folder, "qemu"),
  cacheDir: join(folder, "cache/hiperiso"),
  runtimeDir: join(folder, "run"),
  signal: new AbortController().signal,
  clock: systemClock,
  device: join(folder, "kvm"),
  proc: join(folder, "proc"),
  timeLimitMs: 30_000,
  ...other,
});

const PASSES = "printf RPGLXST; exit 85";
const FAILS = "printf RPGL; echo 'KVM internal error. Suberror: 1' >&2; exec sleep 1000";

async function expectNothingLeft(): Promise<void> {
  expect(await readdir(join(folder, "run"))).toEqual([]);
  for (const pid of await startedPids()) expect(identityOf(pid)).toBeUndefined();
}

describe("a probe guest", () => {
  test("that gets to its end: KVM is available", async () => {
    await madeUpQemu(PASSES);
    const probe = await probeKvm(options());
    expect(probe).toMatchObject({ state: "available", at_boot_id: "11111111-2222-3333-4444-555555555555" });
    expect(probe.because).toMatch(/^a probe guest ran to its end in \d+\.\d s$/);
    await expectNothingLeft();
  });

  test("whose KVM gives up while QEMU goes on: ended at once, with stage and reason", async () => {
    await madeUpQemu(FAILS);
    const probe = await probeKvm(options({ timeLimitMs: 1_000_000 }));
    expect(probe.because).toBe("KVM gave the probe guest up in stage x87 (5 of 7): KVM internal error. Suberror: 1");
    expect(probe.state).toBe("unavailable");
    await expectNothingLeft();
  });

  test("that hangs in a QEMU deaf to SIGTERM: ended by its time limit", async () => {
    await madeUpQemu("trap '' TERM; printf RPGLXS; exec sleep 1000");
    const probe = await probeKvm(options({ timeLimitMs: 400 }));
    expect(probe.because).toMatch(/^after \d+\.\d s the probe guest was still in stage /);
    expect(probe.state).toBe("unavailable");
    await expectNothingLeft();
  });

  test("that is cancelled: the reason of the cancellation, and nothing left behind", async () => {
    await madeUpQemu("trap '' TERM; printf R; exec sleep 1000");
    const cancel = new AbortController();
    const running = probeKvm(options({ signal: cancel.signal }));
    const outcome = expect(running).rejects.toThrow("enough");
    while ((await startedPids()).length === 0) await delay(5);
    cancel.abort(new Error("enough"));
    await outcome;
    await expectNothingLeft();
  });

  test("that is cancelled before it starts: QEMU is not even started", async () => {
    await madeUpQemu(PASSES);
    await expect(probeKvm(options({ signal: AbortSignal.abort(new Error("enough")) }))).rejects.toThrow("enough");
    expect(await startedPids()).toEqual([]);
  });

  test("for which there is no QEMU: unknown, and asked again the next time", async () => {
    expect((await probeKvm(options())).state).toBe("unknown");
    await madeUpQemu(PASSES);
    expect((await probeKvm(options())).state).toBe("available");
  });
});

test("without a place for the ROM: unknown, with the reason", async () => {
  await madeUpQemu(PASSES);
  const probe = await probeKvm(options({ runtimeDir: join(folder, "none") }));
  expect(probe).toMatchObject({ state: "unknown", because: expect.stringMatching(/^the probe guest could not be started: ENOENT/) });
  expect(await startedPids()).toEqual([]);
});

describe("an answer is kept", () => {
  test("until the computer restarts", async () => {
    await madeUpQemu(PASSES);
    const first = await probeKvm(options());
    expect(await probeKvm(options())).toEqual(first);
    expect(await startedPids()).toHaveLength(1);
    await restart("99999999-2222-3333-4444-555555555555");
    expect((await probeKvm(options())).at_boot_id).toBe("99999999-2222-3333-4444-555555555555");
    expect(await startedPids()).toHaveLength(2);
  });

  test("until QEMU is another one", async () => {
    await madeUpQemu(PASSES);
    expect((await probeKvm(options())).state).toBe("available");
    await utimes(join(folder, "qemu"), 1, 1);
    await probeKvm(options());
    expect(await startedPids()).toHaveLength(2);
    await madeUpQemu(FAILS);
    expect((await probeKvm(options())).state).toBe("unavailable");
  });

  test("until the device is another one, or refuses", async () => {
    await madeUpQemu(PASSES);
    await probeKvm(options());
    await writeFile(join(folder, "kvm2"), "");
    await probeKvm(options({ device: join(folder, "kvm2") }));
    expect(await startedPids()).toHaveLength(2);
    expect((await probeKvm(options({ device: join(folder, "none") }))).state).toBe("unavailable");
    expect(await startedPids()).toHaveLength(2);
  });

  test("for an hour only when it rests on a time limit: the computer may have been busy", async () => {
    await madeUpQemu("printf R; exec sleep 1000");
    let uptime = 100;
    const clock: Clock = { ...systemClock, uptimeS: () => uptime };
    await probeKvm(options({ clock, timeLimitMs: 1 }));
    const asked = await keptFile();
    uptime += 3_599;
    await probeKvm(options({ clock, timeLimitMs: 1 }));
    expect(await keptFile()).toBe(asked);
    uptime += 2;
    await probeKvm(options({ clock, timeLimitMs: 1 }));
    expect(await keptFile()).not.toBe(asked);
  });

  test("unless a fresh one is asked for, which then replaces it", async () => {
    await madeUpQemu(PASSES);
    await probeKvm(options());
    await probeKvm(options({ fresh: true }));
    expect(await startedPids()).toHaveLength(2);
    await probeKvm(options());
    expect(await startedPids()).toHaveLength(2);
  });

  test("unless its file is broken at any byte", async () => {
    await madeUpQemu(PASSES);
    const first = await probeKvm(options());
    const path = join(folder, "cache/hiperiso/kvm-probe.json");
    const whole = await readFile(path);
    for (const length of [0, 1, Math.floor(whole.length / 2), whole.length - 2]) {
      await writeFile(path, whole.subarray(0, length));
      expect((await probeKvm(options())).state).toBe(first.state);
      expect(await readFile(path, "utf8")).toContain('"available"');
    }
    expect(await startedPids()).toHaveLength(5);
  });

  test("nowhere when there is no place for it", async () => {
    await madeUpQemu(PASSES);
    await writeFile(join(folder, "file"), "");
    expect((await probeKvm(options({ cacheDir: join(folder, "file/cache") }))).state).toBe("available");
  });

  test("once for all who ask together", async () => {
    await madeUpQemu(`sleep 0.2; ${PASSES}`);
    const probes = await Promise.all(Array.from({ length: 8 }, () => probeKvm(options())));
    expect(new Set(probes.map(({ state }) => state))).toEqual(new Set(["available"]));
    expect(await startedPids()).toHaveLength(1);
  });
});

/** Tells one writing of the kept answer from the next: each makes a new file. */
const keptFile = async (): Promise<bigint> => (await stat(join(folder, "cache/hiperiso/kvm-probe.json"), { bigint: true })).ino;

describe("a device that cannot be opened", () => {
  test("is missing", async () => {
    const probe = await probeKvm(options({ device: join(folder, "none") }));
    expect(probe).toMatchObject({ state: "unavailable", durationMs: 0 });
    expect(probe.because).toContain("there is no ");
  });

  test("has nothing behind it", async () => {
    const path = join(folder, "socket");
    const server = createServer().listen(path);
    await expect.poll(() => access(path).then(() => true)).toBe(true);
    expect((await probeKvm(options({ device: path }))).because).toContain("nothing stands behind ");
    server.close();
  });

  test("is not ours: the group is named", () => {
    for (const code of ["EACCES", "EPERM"])
      expect(deviceRefusal("/dev/kvm", Object.assign(new Error("no"), { code }))).toContain("usermod -aG kvm");
  });

  test("is something else: the system's words", () => {
    expect(deviceRefusal("/dev/kvm", Object.assign(new Error("EISDIR: a directory"), { code: "EISDIR" }))).toContain("EISDIR: a directory");
  });
});

describe("the judgement", () => {
  const run = (facts: Partial<ProbeRun>): ProbeRun => ({
    letters: "",
    ending: "exited",
    code: 0,
    signal: null,
    stderr: "",
    durationMs: 120,
    ...facts,
  });

  test.each<[string, Partial<ProbeRun>, string, string]>([
    ["to the end", { letters: "RPGLXST", code: 85 }, "available", "a probe guest ran to its end in 0.1 s"],
    ["all letters, another status", { letters: "RPGLXST", code: 1 }, "unavailable", "QEMU ended with status 1 after its last stage"],
    ["the right status, a letter short", { letters: "RPGLXS", code: 85 }, "unavailable", "stage ten million loop turns"],
    ["a wrong result", { letters: "RPGLX!", code: 3 }, "unavailable", "computes wrongly: in stage SSE2 (6 of 7)"],
    [
      "too slow",
      { letters: "RPGLXS", ending: "time limit", code: null, durationMs: 3000 },
      "unavailable",
      "after 3.0 s the probe guest was still in stage ten million loop turns (7 of 7)",
    ],
    ["a triple fault", { letters: "RP", code: 0 }, "unavailable", "the probe guest was reset in stage paging (3 of 7)"],
    [
      "a KVM that refuses",
      { code: 1, stderr: "qemu-system-x86_64: failed to initialize kvm: Device or resource busy\n" },
      "unavailable",
      "failed to initialize kvm: Device or resource busy",
    ],
    [
      "a QEMU without KVM",
      { code: 1, stderr: "qemu-system-x86_64: -accel kvm: invalid accelerator kvm\n" },
      "unavailable",
      "invalid accelerator kvm",
    ],
    [
      "a QEMU that fails otherwise",
      { code: 1, stderr: "qemu-system-x86_64: cannot set up guest memory 'pc.ram': Cannot allocate memory\n" },
      "unknown",
      "Cannot allocate memory",
    ],
    ["no QEMU", { code: 127, stderr: "/bin/sh: 1: exec: /x/qemu: not found\n" }, "unknown", "not found"],
    ["a QEMU that was killed", { letters: "RP", code: null, signal: "SIGKILL" }, "unknown", "SIGKILL"],
    ["not started", { ending: "not started", code: null, stderr: "spawn setpriv ENOENT" }, "unknown", "spawn setpriv ENOENT"],
    [
      "warnings, which are no reason",
      {
        letters: "RPGL",
        ending: "stopped",
        code: null,
        stderr: "qemu-system-x86_64: warning: host doesn't support requested feature: CPUID.01H\nKVM internal error. Suberror: 3\n",
      },
      "unavailable",
      ": KVM internal error. Suberror: 3",
    ],
  ])("%s", (_, facts, state, because) => {
    const judged = judgeProbeRun(run(facts));
    expect(judged.state).toBe(state);
    expect(judged.because).toContain(because);
  });

  test("available only by all letters and the status, whatever else a run looks like", () => {
    const runs = fc.record({
      letters: fc.oneof(fc.constant("RPGLXST"), fc.string({ maxLength: 9 })),
      ending: fc.constantFrom("exited" as const, "stopped" as const, "time limit" as const, "not started" as const),
      code: fc.option(fc.oneof(fc.constant(85), fc.nat(255)), { nil: null }),
      signal: fc.option(fc.constant("SIGKILL"), { nil: null }),
      stderr: fc.string(),
      durationMs: fc.nat(5_000),
    });
    fc.assert(
      fc.property(runs, (any) => {
        const { state, because } = judgeProbeRun(any);
        if (state === "available") expect([any.letters, any.code]).toEqual(["RPGLXST", 85]);
        expect(because).not.toBe("");
      }),
    );
  });
});
