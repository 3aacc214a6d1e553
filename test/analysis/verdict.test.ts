import { readFile } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { analyseConsole } from "../../src/analysis/analyse.ts";
import { NO_EVIDENCE, type SessionEvidence } from "../../src/analysis/session-evidence.ts";
import { VERDICT_RULES } from "../../src/analysis/verdict.ts";
import type { Ending } from "../../src/contract/session.ts";
import { GRUB, HEALTHY, INITRAMFS, KERNEL, LOGIN, log, OOPS, OVMF, PANIC_NO_ROOT, SYSTEMD } from "./composed-logs.ts";

const ENDING: Ending = {
  reason: "time_limit",
  detail: "600 s have passed",
  goal: "login",
  goal_reached: false,
  duration_ms: 600_000,
  firmware: "bios",
  accelerator: "tcg",
  resets: 0,
  qemu_exit_code: 0,
  qemu_signal: null,
  serial_bytes: 0,
  screen: "text 80x25",
  screen_drawn: 100,
  still: false,
};

const SEABIOS_SCREEN =
  "SeaBIOS (version 1.16.2-debian-1.16.2-1)\n\nBooting from Hard Disk...\nBoot failed: not a bootable disk\n\nNo bootable device.\n";

async function verdict(text: string, evidence: Partial<Omit<SessionEvidence, "ending">> & { readonly ending?: Partial<Ending> } = {}) {
  const ending = evidence.ending === undefined ? undefined : { ...ENDING, ...evidence.ending };
  const { report, text: told, analysis } = await analyseConsole([Buffer.from(text)], { ...NO_EVIDENCE, ...evidence, ending });
  const { boot_result: result, boot_stage_final: stage, failure_domain: domain, decided_by: by, findings } = report;
  return {
    result,
    stage,
    domain,
    rule: by.rule,
    lines: by.lines,
    cause: findings.find(({ cause }) => cause)?.id,
    first: told.split("\n")[0],
    findings,
    analysis,
  };
}

describe("the goal", () => {
  test("login in the log is success", async () => {
    expect(await verdict(HEALTHY)).toMatchObject({
      result: "success",
      stage: "login",
      domain: "none",
      rule: "2-goal-reached",
      lines: [23],
      cause: undefined,
    });
  });

  test("another stage, a text, a pattern", async () => {
    const text = log(OVMF, GRUB, KERNEL);
    expect(await verdict(text, { ending: { goal: "kernel" } })).toMatchObject({ result: "success", stage: "kernel", lines: [8] });
    expect(await verdict(text, { ending: { goal: "text:efifb: mode" } })).toMatchObject({
      result: "success",
      stage: "kernel",
      lines: [11],
    });
    expect(await verdict(text, { ending: { goal: "pattern:^\\[ +0\\.31\\d+\\] efifb" } })).toMatchObject({
      result: "success",
      lines: [11],
    });
    expect(await verdict(HEALTHY, { ending: { goal: "never" } })).toMatchObject({ result: "incomplete", stage: "login" });
  });

  test("a login prompt on the screen counts for a silent console", async () => {
    expect(await verdict("", { screen: "Example GNU/Linux 12 box tty1\n\nbox login:\n", ending: {} })).toMatchObject({
      result: "success",
      stage: "login",
      rule: "2-goal-reached",
    });
  });

  test("a kernel that stops after the login is a failure, unless the recorder had what it wanted", async () => {
    const text = `${HEALTHY}root\nroot@box:~# ./stress\n[   60.000001] Kernel panic - not syncing: Fatal exception\n`;
    expect(await verdict(text)).toMatchObject({ result: "failure", stage: "login", rule: "1-stopped-after-goal", lines: [25] });
    expect(await verdict(text, { ending: { reason: "goal", goal_reached: true } })).toMatchObject({ result: "success" });
  });
});

describe("what went wrong", () => {
  test("no root: the cause is the missing root and not the panic", async () => {
    const { first, ...rest } = await verdict(log(OVMF, GRUB, KERNEL, PANIC_NO_ROOT));
    expect(rest).toMatchObject({
      result: "failure",
      stage: "kernel",
      domain: "kernel",
      rule: "3-fatal-finding",
      lines: [15],
      cause: "kernel/no-root",
    });
    expect(first).toBe("FAILURE at kernel (domain kernel): The kernel could not mount a root file system from unknown-block(0,0)");
  });

  test("an oops before the panic is its cause, though an init that died stands between", async () => {
    const text = log(KERNEL, INITRAMFS, OOPS, ["[    5.000000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000009"]);
    const found = await verdict(text);
    expect(found).toMatchObject({
      result: "failure",
      stage: "initramfs",
      domain: "kernel",
      cause: "kernel/null-dereference",
      lines: [9, 21],
    });
    expect(found.findings.map(({ id, consequence_of: of }) => [id, of])).toEqual([
      ["kernel/null-dereference", null],
      ["kernel/init-died", 0],
      ["kernel/panic", 1],
    ]);
  });

  test("an init that dies by itself is user space's fault", async () => {
    const text = log(KERNEL, [
      "[    1.200000] Run /init as init process",
      "/init: line 3: mount: not found",
      "[    1.300000] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00007f00",
    ]);
    expect(await verdict(text)).toMatchObject({
      result: "failure",
      stage: "initramfs",
      domain: "userspace",
      cause: "init/missing-library",
    });
  });

  test("a blank disk under SeaBIOS is told by the screen, and by the firmware's own log", async () => {
    for (const evidence of [{ screen: SEABIOS_SCREEN }, { firmwareLog: SEABIOS_SCREEN }]) {
      expect(await verdict("", { ...evidence, ending: { reason: "hang", still: true } })).toMatchObject({
        result: "failure",
        stage: "firmware",
        domain: "firmware",
        cause: "firmware/no-bootable-device",
        rule: "3-fatal-finding",
        lines: [],
      });
    }
  });

  test("a blank disk under UEFI ends in the shell, or without one", async () => {
    const failed =
      'BdsDxe: failed to load Boot0001 "UEFI QEMU HARDDISK QM00001 " from PciRoot(0x0)/Pci(0x1F,0x2)/Sata(0x0,0xFFFF,0x0): Not Found\r\n';
    expect(
      await verdict(
        `${failed}BdsDxe: starting Boot0002 "EFI Internal Shell" from Fv(7CB8BDC9)\r\n\x1b[2JUEFI Interactive Shell v2.2\r\n\x1b[1mShell> \x1b[0m`,
      ),
    ).toMatchObject({
      result: "failure",
      stage: "firmware",
      domain: "firmware",
      cause: "firmware/efi-shell",
    });
    expect(await verdict(`${failed}BdsDxe: No bootable option or device was found.\r\n`)).toMatchObject({
      result: "failure",
      cause: "firmware/uefi-no-bootable-option",
    });
  });

  test("a firmware's failed entry, a loader's error and a fatal finding that the boot gets past stop nothing", async () => {
    const failed = [
      'BdsDxe: failed to load Boot0001 "UEFI Floppy" from PciRoot(0x0): Not Found',
      ...OVMF,
      "error: file `/boot/grub/fonts/unicode.pf2' not found.",
      ...GRUB,
    ];
    const { result, findings } = await verdict(log(failed, KERNEL, INITRAMFS, SYSTEMD, LOGIN));
    expect(result).toBe("success");
    expect(findings.map(({ id, severity }) => [id, severity])).toEqual([
      ["firmware/uefi-entry-failed", "info"],
      ["bootloader/grub-error", "info"],
    ]);
  });

  test("a boot loader's prompt is a failure where its own error led there, and none where a key did", async () => {
    const countdown = ["U-Boot 2023.01 (Jan 01 2024 - 00:00:00 +0000)", "Net:   No ethernet found.", "Hit any key to stop autoboot:  0 "];
    expect(await verdict([...countdown, "=> "].join("\n"))).toMatchObject({
      result: "incomplete",
      stage: "bootloader",
      cause: "bootloader/u-boot-prompt",
    });
    expect(await verdict([...countdown, "** File not found /boot.scr **", "=> "].join("\n"))).toMatchObject({
      result: "failure",
      domain: "bootloader",
      rule: "3-fatal-finding",
      lines: [4, 5],
      cause: "bootloader/u-boot-load",
    });
    expect(await verdict([...countdown, "** File not found /boot.scr **", ""].join("\n"))).toMatchObject({ result: "incomplete" });
  });

  test("of a loader's attempts the one decides that had something to boot", async () => {
    const attempts = [
      "U-Boot 2025.01 (Jan 01 2025 - 00:00:00 +0000)",
      "Loading Boot0000 'virtio 0' failed",
      "EFI boot manager: Cannot load any image",
      "Boot failed (err=-14)",
      "Retrieving file: /boot/Image-6.1",
      "Skipping linux for failure retrieving kernel",
      "Boot failed (err=-14)",
      "No more bootdevs",
      "=> ",
    ];
    expect(await verdict(attempts.join("\n"))).toMatchObject({ result: "failure", cause: "bootloader/u-boot-entry", lines: [6] });
  });

  test("an init's end is told as wait(2) has it", async () => {
    const died = async (code: string) => (await verdict(`Kernel panic - not syncing: Attempted to kill init! ${code}\n`)).first;
    expect(await died("exitcode=0x00000100")).toContain("ended (exit status 1), which");
    expect(await died("exitcode=0x00007f00")).toContain("ended (exit status 127), which");
    expect(await died("exitcode=0x0000000b")).toContain("ended (signal 11, segmentation fault), which");
    expect(await died("exitcode=0x0000008b")).toContain("ended (signal 11, segmentation fault), which");
    expect(await died("")).toContain("The first process ended, which");
  });

  test("an oops that the boot survives is a warning and no failure", async () => {
    const { result, findings } = await verdict(log(KERNEL, INITRAMFS, OOPS, SYSTEMD, LOGIN));
    expect([result, findings[0]!.severity, findings[0]!.cause]).toEqual(["success", "warning", false]);
  });

  test("the machine: KVM's error, QEMU's end, pvpanic, endless resets", async () => {
    expect(await verdict("", { ending: { reason: "internal_error" } })).toMatchObject({
      result: "failure",
      domain: "hardware",
      cause: "machine/kvm-internal-error",
    });
    expect(await verdict("", { ending: { reason: "qemu_died", qemu_exit_code: 1 }, qemuErrors: "qemu: cannot open\n" })).toMatchObject({
      result: "failure",
      cause: "machine/qemu-died",
    });
    expect(await verdict("", { ending: { reason: "guest_panic" } })).toMatchObject({
      result: "failure",
      domain: "kernel",
      cause: "machine/pvpanic",
    });
    expect(await verdict(log(OVMF), { ending: { reason: "reset_loop", resets: 3 } })).toMatchObject({
      result: "failure",
      cause: "machine/reset-loop",
    });
  });

  test("the log names the panic that pvpanic only reports, and the one behind endless resets", async () => {
    const text = log(KERNEL, PANIC_NO_ROOT);
    expect((await verdict(text, { ending: { reason: "guest_panic" } })).findings.map(({ source }) => source)).not.toContain("qemu");
    expect(await verdict(log(KERNEL, PANIC_NO_ROOT, OVMF), { ending: { reason: "reset_loop", resets: 3 } })).toMatchObject({
      result: "failure",
      domain: "kernel",
      cause: "kernel/no-root",
    });
  });

  test("a boot that failed before the log's last one, which tells nothing yet", async () => {
    expect(await verdict(log(KERNEL, PANIC_NO_ROOT, OVMF))).toMatchObject({
      result: "failure",
      stage: "kernel",
      rule: "4-earlier-boot-failed",
      cause: "kernel/no-root",
    });
  });

  test("attempts that failed before one that came through are no longer fatal", async () => {
    const { result, findings } = await verdict(log(KERNEL, PANIC_NO_ROOT, [HEALTHY]));
    expect(result).toBe("success");
    expect(findings.every(({ severity }) => severity !== "fatal")).toBe(true);
  });
});

describe("no evidence", () => {
  test("a silent console is told as such, also when it hangs", async () => {
    expect(await verdict("", { ending: { reason: "time_limit" } })).toMatchObject({
      result: "no_serial",
      stage: "unknown",
      domain: "none",
      rule: "5-silent-console",
    });
    expect(
      await verdict("", { ending: { reason: "hang", still: true }, firmwareLog: "SeaBIOS (version 1.16.2)\nBooting from DVD/CD...\n" }),
    ).toMatchObject({
      result: "no_serial",
      stage: "firmware",
    });
    expect(await verdict("\x1b[2J\x1b[01;01H\r\n", { ending: {} })).toMatchObject({ result: "no_serial" });
  });

  test("a hang in the kernel is incomplete", async () => {
    expect(await verdict(log(OVMF, GRUB, KERNEL), { ending: { reason: "hang", still: true } })).toMatchObject({
      result: "incomplete",
      stage: "kernel",
      domain: "unknown",
      rule: "7-no-evidence",
      lines: [12],
    });
  });

  test("a log that ends where something waits names what it waits for", async () => {
    const waiting = `[  *** ] A start job is running for /dev/disk/by-uuid/0000 (42s / 1min 30s)`;
    expect(await verdict(log(KERNEL, INITRAMFS, SYSTEMD.slice(0, 2), [waiting]))).toMatchObject({
      result: "incomplete",
      rule: "6-ends-in-error",
      cause: "init/job-running",
    });
    expect(
      (await verdict(log(KERNEL, INITRAMFS, SYSTEMD.slice(0, 2), [waiting], SYSTEMD, LOGIN))).findings.map(({ severity }) => severity),
    ).toEqual(["info"]);
  });
});

test("docs/verdict.md explains every rule, in this order", async () => {
  const page = await readFile(new URL("../../docs/verdict.md", import.meta.url), "utf8");
  const places = VERDICT_RULES.map(({ id }) => page.indexOf(`\`${id}\``));
  expect(places).not.toContain(-1);
  expect([...places].sort((a, b) => a - b)).toEqual(places);
});
