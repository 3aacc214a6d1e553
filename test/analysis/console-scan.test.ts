import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { analyseConsole } from "../../src/analysis/analyse.ts";
import { ConsoleScan } from "../../src/analysis/console-scan.ts";
import { createGoal } from "../../src/analysis/goal.ts";
import { PASSED_STAGES } from "../../src/contract/verdict.ts";
import { GRUB, HEALTHY, INITRAMFS, KERNEL, LOGIN, log, OOPS, OVMF, PANIC_NO_ROOT, SYSTEMD } from "./composed-logs.ts";

const analyse = async (text: string | Uint8Array) => (await analyseConsole([Buffer.from(text)])).report;

function scan(text: string | Uint8Array, chunk = Number.MAX_SAFE_INTEGER): ConsoleScan {
  const reader = new ConsoleScan({ goal: createGoal("login") });
  const bytes = Buffer.from(text);
  for (let at = 0; at < bytes.length; at += chunk) reader.push(bytes.subarray(at, at + chunk));
  reader.end();
  return reader;
}

const seen = (reader: ConsoleScan) =>
  reader.boots.map(({ stages, findings }) => ({
    stages: stages.map(({ stage, line }) => [stage, line]),
    findings: findings.map(({ rule, line, count }) => [rule.id, line, count]),
  }));

describe("stages", () => {
  test("a healthy boot passes all six, each with its line", () => {
    expect(seen(scan(HEALTHY))).toEqual([
      {
        stages: [
          ["firmware", 1],
          ["bootloader", 3],
          ["kernel", 8],
          ["initramfs", 13],
          ["userspace", 17],
          ["login", 23],
        ],
        findings: [],
      },
    ]);
  });

  test("the kernel's own clock gives the times where nobody wrote them down", async () => {
    const { stages } = await analyse(HEALTHY);
    expect(stages.map(({ time_ms: timeMs }) => timeMs)).toEqual([null, null, 0, 1204, 3500, 3500]);
  });

  test("a quiet kernel is seen by the time in front of any line of its", () => {
    expect(scan("[    1.300000] sd 0:0:0:0: [sda] Attached SCSI disk\n").reached).toBe("kernel");
  });

  test("the menu that GRUB draws letter by letter is read", () => {
    const drawn = [..."GNU GRUB  version 2.06"].map((letter, column) => `\x1b[2;${column + 20}H${letter}`).join("");
    expect(scan(drawn).reached).toBe("bootloader");
  });
});

describe("dirty logs", () => {
  test("a kernel message in the midst of a prompt's line is one of its own", () => {
    const reader = scan("box login: [   60.489793] BUG: workqueue lockup - pool cpus=0 node=0 flags=0x0 nice=0 stuck for 38s!\n");
    expect(seen(reader)[0]).toEqual({ stages: [["login", 1]], findings: [["kernel/workqueue-lockup", 1, 1]] });
  });

  test("a line that a kernel message broke is put together by what its parts say", () => {
    const reader = scan("[\x1b[0;1;31mFAILED[    5.810001] wdt: started\n\x1b[0m] Failed to start Load Kernel Modules.\n");
    expect(reader.boots[0]!.findings.map(({ rule, line }) => [rule.id, line])).toEqual([["init/service-failed", 2]]);
  });

  test("colours written out as text, NULs and returns do not hide a word", () => {
    const reader = scan(
      "[^[[0;1;31mFAILED^[[0m] Failed to start ^[[0;1;39mFoo^[[0m.\r\r\nfoo\rKernel pa\0nic - not syncing: Fatal exc\0eption\r\n",
    );
    expect(reader.boots[0]!.findings.map(({ rule, line }) => [rule.id, line])).toEqual([
      ["init/service-failed", 1],
      ["kernel/panic", 2],
    ]);
  });

  test("the same words at the same microsecond are a copy by dmesg, and no second boot", async () => {
    const kernel = log(KERNEL, INITRAMFS, OOPS);
    const {
      boots,
      findings,
      boot_result: result,
    } = await analyse(`${kernel}\n${log(SYSTEMD, LOGIN)}\nroot@box:~# dmesg\n${kernel}\nroot@box:~# `);
    expect({ boots, result, findings: findings.map(({ id, count }) => [id, count]) }).toEqual({
      boots: 1,
      result: "success",
      findings: [["kernel/null-dereference", 1]],
    });
  });

  test("another boot in the same log begins anew", async () => {
    const later = KERNEL.map((line) =>
      line.replace(/\.(\d)(\d{4})(\d)/, (_, a: string, b: string, c: string) => `.${a}${b}${(Number(c) + 1) % 10}`),
    );
    const { boots, boot_stage_final: stage } = await analyse(`${HEALTHY}\n${log(later)}\n`);
    expect({ boots, stage }).toEqual({ boots: 2, stage: "login" });
    expect((await analyse(`${log(KERNEL, PANIC_NO_ROOT, OVMF, GRUB)}`)).boots).toBe(2);
  });
});

describe("reports of the kernel", () => {
  const { findings } = scan(log(KERNEL, ["[    4.100000] ------------[ cut here ]------------"], OOPS)).boots[0]!;

  test("are one finding with place, process and calls", () => {
    expect(findings).toHaveLength(1);
    const [{ firstLine, line, lastLine, report }] = findings as [(typeof findings)[0]];
    expect([firstLine, line, lastLine]).toEqual([6, 7, 18]);
    expect(report).toEqual({
      function: "foo_probe+0x12/0x80 [foo]",
      process: "modprobe",
      pid: 77,
      cpu: 1,
      kernel: "6.1.0-18-amd64",
      callTrace: ["bar_register+0x20/0x60 [foo]", "do_one_initcall+0x44/0x200"],
    });
  });

  test("carry what stands around them", () => {
    expect(findings[0]!.before.at(-1)).toContain("cut here");
    expect(findings[0]!.after[0]).toContain("#PF: supervisor read access");
  });

  test("that come again are counted", () => {
    const line = "[    9.000001] WARNING: CPU: 0 PID: 1 at kernel/irq/manage.c:1200 enable_irq+0x50/0x80\n";
    const again = scan(line + line.replace("9.000001", "9.500001"));
    expect(again.boots[0]!.findings.map(({ count }) => count)).toEqual([2]);
  });
});

describe("properties", () => {
  const logs = [
    HEALTHY,
    log(OVMF, GRUB, KERNEL, PANIC_NO_ROOT),
    log(KERNEL, INITRAMFS, OOPS, ["[    5.000000] Kernel panic - not syncing: Fatal exception"]),
  ];
  const anyLog = fc.constantFrom(...logs);

  test("however the bytes are cut into chunks, the same is seen", () => {
    fc.assert(
      fc.property(anyLog, fc.integer({ min: 1, max: 97 }), (text, chunk) => {
        expect(seen(scan(text, chunk))).toEqual(seen(scan(text)));
      }),
    );
  });

  test("a log cut at any byte never claims more than the whole", async () => {
    for (const text of logs) {
      const whole = await analyse(text);
      const reached = PASSED_STAGES.indexOf(whole.stages.at(-1)!.stage);
      for (let at = 0; at <= text.length; at += 7) {
        const cut = await analyse(text.slice(0, at));
        const last = cut.stages.at(-1);
        if (last !== undefined) expect(PASSED_STAGES.indexOf(last.stage)).toBeLessThanOrEqual(reached);
        if (cut.boot_result === "success") expect(whole.boot_result).toBe("success");
        if (cut.boot_result === "failure") expect(whole.boot_result).toBe("failure");
      }
    }
  });

  test("prefixes of capture tools and colours change no verdict", async () => {
    const prefix = fc.constantFrom("", "[15:50:43.179] ", "2024-01-02T03:04:05.678Z ", "<6>", "\x1b[0m", "\0\0", "\x1b[37m\x1b[40m");
    await fc.assert(
      fc.asyncProperty(anyLog, fc.array(prefix, { minLength: 1, maxLength: 40 }), async (text, prefixes) => {
        const dirty = text
          .split("\n")
          .map((line, index) => `${prefixes[index % prefixes.length]}${line}`)
          .join("\n");
        const [clean, found] = [await analyse(text), await analyse(dirty)];
        expect([found.boot_result, found.boot_stage_final, found.failure_domain]).toEqual([
          clean.boot_result,
          clean.boot_stage_final,
          clean.failure_domain,
        ]);
        expect(found.findings.map(({ id }) => id)).toEqual(clean.findings.map(({ id }) => id));
      }),
    );
  });

  test("what a shell prints after the login changes no result", async () => {
    const output = fc.constantFrom(
      "Kernel panic - not syncing: Fatal exception",
      "[    1.000000] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)",
      "total 12",
      "Linux version 6.1.0-18-amd64 (build@example.org) (gcc-12 (Example 12.2.0) 12.2.0) #1 SMP",
      "[FAILED] Failed to start Foo.",
      "reboot: Power down",
      "grub rescue>",
    );
    await fc.assert(
      fc.asyncProperty(fc.array(output, { maxLength: 20 }), async (lines) => {
        const { boot_result: result, boot_stage_final: stage } = await analyse(
          `${HEALTHY}root\r\nroot@box:~# cat notes\r\n${lines.join("\r\n")}\r\nroot@box:~# `,
        );
        expect([result, stage]).toEqual(["success", "login"]);
      }),
    );
  });

  test("any bytes are read to their end", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 2000 }), fc.integer({ min: 1, max: 200 }), (bytes, chunk) => {
        scan(bytes, chunk);
      }),
    );
  });

  test("a line that never ends is judged in pieces", () => {
    const reader = new ConsoleScan({ goal: createGoal("login") });
    for (let index = 0; index < 64; index += 1) reader.push(Buffer.from("x ".repeat(32 * 1024)));
    reader.push(Buffer.from("\r[    1.000000] Kernel panic - not syncing: at last\n"));
    reader.end();
    expect(reader.boots[0]!.findings.map(({ rule, line }) => [rule.id, line])).toEqual([["kernel/panic", 1]]);
  });
});
