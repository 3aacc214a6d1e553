import { readFileSync } from "node:fs";
import { open, truncate } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";

describe("a boot that fails says so, and why", () => {
  it("an init that dies: the kernel panics, and pvpanic tells", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(await demoImage("broken-init"), place.logs));
    expect(status, stderr).toBe(1);
    const { directory, session, report, ending, files } = onlySession(place.logs);
    expect(session).toMatchObject({ status: "complete", result: "failure" });
    expect(session.analysis.kernel_panic_count).toBeGreaterThan(0);
    expect(ending.reason).toBe("guest_panic");
    expect(report.findings.map(({ kind }) => kind)).toContain("init_died");
    const cause = report.findings.find((finding) => finding.cause)!;
    expect(cause.severity).toBe("fatal");
    expect(readFileSync(join(directory, "serial.log"), "utf8").split("\n")[cause.line! - 1]).toContain(cause.text.trim());
    // Anywhere but at the goal: a picture, the registers of every processor, the monitor's pages.
    expect(files).toEqual(expect.arrayContaining(["FAILURE.txt", "screen-guest_panic.png"]));
    const registers = readFileSync(join(directory, "hw/qemu_registers.txt"), "utf8");
    expect(registers).toContain("CPU#0");
    expect(registers).toContain("CPU#1");
    expect(session.hw_inventory.files).toContain("qemu_mtree.txt");
  });

  it("a blank disk under BIOS: no boot device, read from the text screen", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(await blankDisk(place.root), place.logs, "--firmware", "bios"));
    expect(status, stderr).toBe(1);
    const { session, report, files } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "failure", status: "complete" });
    expect(session.analysis).toMatchObject({ boot_stage_final: "firmware", failure_domain: "firmware", has_serial: 0 });
    expect(report.findings).toContainEqual(expect.objectContaining({ kind: "no_boot_device", source: "screen", cause: true }));
    expect(files).toContain("screen.txt");
  });
});

async function blankDisk(folder: string): Promise<string> {
  const path = join(folder, "blank.img");
  await (await open(path, "w")).close();
  await truncate(path, 16 * 1024 * 1024);
  return path;
}
