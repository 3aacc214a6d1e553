import { access, constants, mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "../../src/host/clock.ts";
import { judgeProbeRun, probeKvm, runProbe } from "../../src/host/kvm.ts";
import { findTool } from "../../src/host/tools.ts";

let folder: string;
let qemu: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  qemu = await findTool("qemu-system-x86_64", process.env);
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const options = (signal = new AbortController().signal) => ({
  qemu,
  cacheDir: join(folder, "cache"),
  runtimeDir: folder,
  signal,
  clock: systemClock,
});

describe("the probe guest", () => {
  test("passes every stage under emulation", async () => {
    const run = await runProbe({ ...options(), timeLimitMs: 60_000 }, "tcg");
    expect(run).toMatchObject({ letters: "RPGLXST", ending: "exited", code: 0x55, stderr: "" });
    expect(judgeProbeRun(run).state).toBe("available");
  });

  test("ends by its time limit, and leaves no file behind", async () => {
    const run = await runProbe({ ...options(), timeLimitMs: 1 }, "tcg");
    expect(run.ending).toBe("time limit");
    expect(judgeProbeRun(run).state).toBe("unavailable");
    expect((await readdir(folder)).filter((name) => name.includes("kvm-probe-"))).toEqual([]);
  });

  test("ends when it is cancelled", async () => {
    const cancel = new AbortController();
    const running = runProbe({ ...options(cancel.signal), timeLimitMs: 60_000 }, "tcg");
    setImmediate(() => cancel.abort(new Error("enough")));
    await expect(running).rejects.toThrow("enough");
    expect((await readdir(folder)).filter((name) => name.includes("kvm-probe-"))).toEqual([]);
  });
});

describe("KVM on this computer", () => {
  test("gets an answer with its reason, whatever the device is, and the same one when asked again", async () => {
    const first = await probeKvm(options());
    expect(["available", "unavailable"]).toContain(first.state);
    expect(first.because).not.toBe("");
    expect(await probeKvm(options())).toEqual(first);
    const opens = await access("/dev/kvm", constants.R_OK | constants.W_OK).then(
      () => true,
      () => false,
    );
    expect(first.durationMs > 0).toBe(opens);
    process.stderr.write(`KVM here: ${first.state}: ${first.because}\n`);
  });
});
