import { beforeAll, describe, expect, it } from "vitest";
import { bootWords, demoImage, onlySession, run, workplace } from "./harness.ts";

describe("the demo image boots to its login prompt in the other ways too", () => {
  let image = "";
  beforeAll(async () => {
    image = await demoImage();
  });

  it.each([
    ["bios", "cd"],
    ["uefi", "usb"],
  ])("under %s as %s", async (firmware, as) => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(image, place.logs, "--firmware", firmware, "--as", as));
    expect(status, stderr).toBe(0);
    const { session, report } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "success", firmware });
    expect(report.boot_stage_final).toBe("login");
  });

  it("until an earlier stage, a text or a pattern, and says which", async () => {
    for (const [goal, stage] of [
      ["kernel", "kernel"],
      ["text:Linux version", "kernel"],
      ["pattern:Run /(init|sbin/init) as init", "initramfs"],
    ] as const) {
      await using place = await workplace();
      const { status, stderr } = await run(bootWords(image, place.logs, "--until", goal));
      expect(status, stderr).toBe(0);
      const { ending, report } = onlySession(place.logs);
      expect(ending).toMatchObject({ reason: "goal", goal });
      expect(report).toMatchObject({ boot_result: "success", boot_stage_final: stage });
    }
  });

  it("with a network card and without one, as asked", async () => {
    for (const network of ["restricted", "user"]) {
      await using place = await workplace();
      const { status, stderr } = await run(bootWords(image, place.logs, "--network", network));
      expect(status, stderr).toBe(0);
    }
  });

  it("to login also where nobody listens to the power button: QEMU is quit", async () => {
    await using place = await workplace();
    const { status, stderr } = await run(bootWords(await demoImage("no-acpi-shutdown"), place.logs));
    expect(status, stderr).toBe(0);
    const { session, serial } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "success", qemu_exit_code: 0 });
    expect(serial).not.toMatch(/Power down/);
  });
});
