import { readFileSync } from "node:fs";
import { open, truncate } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { bootWords, builtImage, demoImage, onlySession, run, workplace } from "./harness.ts";

describe("faults, each with the verdict that it deserves", () => {
  it("a root that does not exist", async () => {
    await using place = await workplace();
    const { status } = await run(bootWords(await demoImage("wrong-root"), place.logs));
    expect(status).toBe(1);
    const { session, report } = onlySession(place.logs);
    expect(session.analysis).toMatchObject({ boot_result: "failure", boot_stage_final: "kernel", failure_domain: "kernel" });
    expect(report.findings.find((finding) => finding.cause)).toMatchObject({ kind: "no_root" });
  });

  it("an init that does nothing: a hang is incomplete, not a failure", async () => {
    await using place = await workplace();
    const { status } = await run(bootWords(await demoImage("hang"), place.logs, "--hang-limit", "30"));
    expect(status).toBe(1);
    const { session, report, ending } = onlySession(place.logs);
    expect(ending).toMatchObject({ reason: "hang", still: true });
    expect(session.result).toBe("incomplete");
    expect(report.findings).toContainEqual(expect.objectContaining({ kind: "hang" }));
    expect(report.findings.find(({ kind }) => kind === "hang")!.severity).not.toBe("fatal");
  });

  it("a silent serial line under BIOS: the login is seen on the text screen", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(await demoImage("silent"), place.logs, "--firmware", "bios"));
    expect(status, stderr).toBe(0);
    const { session, serial } = onlySession(place.logs);
    expect(serial).toBe("");
    expect(session.analysis).toMatchObject({ boot_result: "success", boot_stage_final: "login", has_serial: 0, reached_login: 1 });
  });

  it("a silent serial line under UEFI: nobody can say how far it got", async () => {
    await using place = await workplace();
    const { status } = await run(bootWords(await demoImage("silent"), place.logs, "--hang-limit", "40"));
    expect(status).toBe(1);
    expect(onlySession(place.logs).session.result).toBe("incomplete");
  });

  it("memtest86+ under BIOS prints nothing: no_serial, neither a success nor a failure", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(
      bootWords(await builtImage("memtest.yaml"), place.logs, "--firmware", "bios", "--time-limit", "60"),
    );
    expect(status, stderr).toBe(1);
    const { session, ending, files } = onlySession(place.logs);
    expect(ending.reason).toBe("time_limit");
    expect(session).toMatchObject({ status: "complete", result: "no_serial" });
    expect(session.analysis).toMatchObject({ has_serial: 0, failure_domain: "none" });
    expect(files).toContain("screen-time_limit.png");
  });

  it("a blank disk under UEFI: the firmware finds nothing to boot", async () => {
    await using place = await workplace();
    const path = join(place.root, "blank.img");
    await (await open(path, "w")).close();
    await truncate(path, 16 * 1024 * 1024);
    const { status } = await run(bootWords(path, place.logs, "--firmware", "uefi"));
    expect(status).toBe(1);
    const { session, report } = onlySession(place.logs);
    expect(session.analysis).toMatchObject({ boot_result: "failure", boot_stage_final: "firmware", failure_domain: "firmware" });
    expect(report.findings.find((finding) => finding.cause)).toMatchObject({ kind: "no_boot_device", source: "serial" });
  });

  it("a guest that resets for ever: a reset loop", async () => {
    await using place = await workplace();
    // A boot sector that jumps to the reset vector: EA F0 FF 00 F0 is `jmp f000:fff0`.
    const path = join(place.root, "resetting.img");
    const file = await open(path, "w");
    const sector = new Uint8Array(512);
    // out 0xcf9 <- 6: a hard reset through the chipset's reset register.
    sector.set([0xba, 0xf9, 0x0c, 0xb0, 0x06, 0xee, 0xf4]);
    sector.set([0x55, 0xaa], 510);
    await file.write(sector);
    await file.truncate(1024 * 1024);
    await file.close();
    const { status } = await run(bootWords(path, place.logs, "--firmware", "bios"));
    expect(status).toBe(1);
    const { ending, report } = onlySession(place.logs);
    expect(ending).toMatchObject({ reason: "reset_loop", resets: 3 });
    expect(report.findings).toContainEqual(expect.objectContaining({ kind: "reset_loop" }));
  });

  it("KVM that cannot run the guest: once more under emulation, where the boot succeeds", async ({ skip }) => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(await demoImage(), place.logs, "--accel", "kvm"));
    expect(status, stderr).toBe(0);
    const { session, ending, directory } = onlySession(place.logs);
    if (ending.accelerator === "kvm") return skip("KVM works on this computer: nothing to fall back from");
    expect(session).toMatchObject({ result: "success", kvm: "unavailable" });
    expect(ending["first_attempt"]).toMatchObject({ accelerator: "kvm" });
    expect(readFileSync(join(directory, "attempt-1-kvm/qemu.cmdline"), "utf8")).toContain("-accel kvm");
    expect(readFileSync(join(directory, "qemu.cmdline"), "utf8")).toContain("-accel tcg");
  });
});
