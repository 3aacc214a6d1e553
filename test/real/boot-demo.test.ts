import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { decodeTiming } from "../../src/session/timing.ts";
import { bootWords, demoImage, indexedIds, onlySession, qemusNaming, run, workplace } from "./harness.ts";

describe("the demo image boots to its login prompt", () => {
  let image = "";
  beforeAll(async () => {
    image = await demoImage();
  });
  const digest = () => createHash("sha256").update(readFileSync(image)).digest("hex");

  it("as a CD under UEFI, and the session holds all that the contract names", async () => {
    await using place = await workplace();
    const before = digest();
    const { status, stdout, stderr } = await run(bootWords(image, place.logs));
    expect(status, stderr).toBe(0);
    const { directory, session, report, ending, serial, files } = onlySession(place.logs);

    expect(session).toMatchObject({ status: "complete", result: "success", firmware: "uefi", qemu_exit_code: 0, report_available: 1 });
    expect(session.analysis).toMatchObject({
      boot_result: "success",
      boot_stage_final: "login",
      failure_domain: "none",
      reached_login: 1,
      has_serial: 1,
    });
    expect(report.stages.map(({ stage }) => stage)).toEqual(["firmware", "bootloader", "kernel", "initramfs", "userspace", "login"]);
    expect(report.findings.filter(({ severity }) => severity === "error" || severity === "fatal")).toEqual([]);
    expect(ending).toMatchObject({ reason: "goal", goal: "login", goal_reached: true, resets: 0 });
    expect(serial).toContain("hiperiso-demo login:");

    const always = ["session.json", "status.json", "env.txt", "serial.log", "serial.times", "qemu.cmdline", "timing.dat", "timing.json"];
    const afterwards = [
      "report.json",
      "report.txt",
      "report.log",
      "analysis.meta",
      "HEARTBEAT",
      "SESSION_COMPLETE",
      "screen-goal.png",
      "machine.json",
    ];
    expect(files).toEqual(expect.arrayContaining([...always, ...afterwards, "hw"]));
    expect(files).not.toContain("FAILURE.txt");
    expect(session.hw_inventory.files.split(",")).toEqual(readdirSync(join(directory, "hw")).sort());
    expect(session.hw_inventory.files).toContain("host_cpuinfo.txt");
    expect(session.hw_inventory.files).toContain("qemu_qtree.txt");
    expect(indexedIds(place.logs)).toEqual([session.session_id]);

    // Without a word about it the standard level is in force.
    expect(session).toMatchObject({ trace_level: "standard", warnings: [], analysis: { has_trace: 1 } });
    expect(files).toEqual(expect.arrayContaining(["trace.bin", "trace.events", "trace.json"]));

    // The guest listens to its power button: it ended by itself, in order.
    expect(serial).toMatch(/reboot: Power down|System halted|power-off|Powering off/i);
    const phases = decodeTiming(readFileSync(join(directory, SESSION_FILES.timing), "utf8")).map(({ phase }) => phase);
    expect(phases).toEqual(expect.arrayContaining(["qemu_start", "kernel", "login", "goal", "qemu_exited", "analysis", "finalised"]));

    expect(stdout).toContain(directory);
    expect(digest()).toBe(before);
    expect(qemusNaming(place.logs)).toEqual([]);
  });

  it("as a USB stick under BIOS; the times of its console count bytes that are there", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", "bios", "--as", "usb"));
    expect(status, stderr).toBe(0);
    const { directory, session, report, files } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "success", firmware: "bios" });
    // The BIOS is silent on the serial port: its own log shows it.
    expect(report.stages.map(({ stage }) => stage)).toEqual(["firmware", "bootloader", "kernel", "initramfs", "userspace", "login"]);
    expect(report.stages[0]).toMatchObject({ stage: "firmware", line: null, program: "SeaBIOS" });
    expect(files).toContain("firmware.log");
    const size = statSync(join(directory, SESSION_FILES.serial)).size;
    const times = readFileSync(join(directory, SESSION_FILES.serialTimes), "utf8")
      .trim()
      .split("\n")
      .map((line) => line.split("\t").map(Number));
    expect(times.length).toBeGreaterThan(10);
    times.forEach(([offset, ms], index) => {
      const [offsetBefore, msBefore] = times[index - 1] ?? [-1, -10];
      expect(offset!).toBeGreaterThan(offsetBefore!);
      expect(offset!).toBeLessThan(size);
      expect(ms! - msBefore!).toBeGreaterThanOrEqual(10);
    });
  });
});
