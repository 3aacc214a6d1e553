import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { analyseSession } from "../../src/analysis/analyse.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { reportSchema } from "../../src/contract/report.ts";
import { sessionAnalysisSchema } from "../../src/contract/session.ts";
import { GRUB, HEALTHY, KERNEL, log, OOPS, OVMF, PANIC_NO_ROOT } from "./composed-logs.ts";

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), "hiperiso-analyse-"));
});
afterEach(async () => {
  await rm(directory, { recursive: true, force: true });
});

const put = (name: string, content: string) => writeFile(join(directory, name), content);
const read = (name: string) => readFile(join(directory, name), "utf8");
const REPORTS = ["analysis.meta", "report.html", "report.json", "report.log", "report.txt"];

describe("a directory with nothing but a serial.log", () => {
  test("gets its reports, in the contract's form, and no other file", async () => {
    await put("serial.log", HEALTHY);
    const { report, analysis } = await analyseSession(directory);
    expect((await readdir(directory)).sort()).toEqual([...REPORTS, "serial.log"]);
    expect(reportSchema.parse(JSON.parse(await read("report.json")))).toEqual(JSON.parse(JSON.stringify(report)));
    expect(sessionAnalysisSchema.parse(analysis)).toMatchObject({
      boot_result: "success",
      reached_login: 1,
      has_serial: 1,
      has_trace: 0,
      boot_duration_ms: 3500,
      graphics_drivers: "efifb",
      graphics_resolution: "1024x768",
    });
    expect(await read("analysis.meta")).toContain("BOOT_RESULT=success\nBOOT_STAGE_FINAL=login\nFAILURE_DOMAIN=none\nREACHED_LOGIN=1\n");
  });

  test("the same bytes come out again, wherever it lies", async () => {
    const elsewhere = join(directory, "elsewhere");
    await mkdir(elsewhere);
    await writeFile(join(elsewhere, "serial.log"), log(KERNEL, OOPS, PANIC_NO_ROOT));
    await put("serial.log", log(KERNEL, OOPS, PANIC_NO_ROOT));
    await analyseSession(directory);
    const first = await Promise.all(REPORTS.map(read));
    await analyseSession(directory);
    await analyseSession(elsewhere);
    expect(await Promise.all(REPORTS.map(read))).toEqual(first);
    expect(await Promise.all(REPORTS.map((name) => readFile(join(elsewhere, name), "utf8")))).toEqual(first);
    for (const content of first) expect(content).not.toContain(directory);
  });

  test("writes nothing when it is not asked to", async () => {
    await put("serial.log", HEALTHY);
    await analyseSession(directory, { write: false });
    expect(await readdir(directory)).toEqual(["serial.log"]);
  });
});

test("a directory without a log, or none at all, is wrong usage", async () => {
  await expect(analyseSession(directory)).rejects.toMatchObject({ kind: "usage", where: directory });
  await expect(analyseSession(join(directory, "missing"))).rejects.toBeInstanceOf(HiperisoError);
});

test("a damaged ending counts as none", async () => {
  await put("serial.log", HEALTHY);
  await put("ending.json", '{"reason":');
  expect((await analyseSession(directory)).report.boot_result).toBe("success");
});

test("times come from serial.times: of the bytes that show a stage, not of the line they end in", async () => {
  const text = `${log(OVMF, GRUB, KERNEL)}\nbox login: \nlater`;
  await put("serial.log", text);
  const arrivals: readonly (readonly [string, number])[] = [
    ["", 4000],
    ["Welcome to GRUB", 5000],
    ["[    0.000000] Linux", 9000],
    ["box login", 15_000],
    ["\nlater", 20_000],
  ];
  await put(
    "serial.times",
    `${arrivals.map(([start, ms]) => `${Buffer.byteLength(text.slice(0, text.indexOf(start)))}\t${ms}\n`).join("")}half a li`,
  );
  const { report, analysis } = await analyseSession(directory);
  expect(report.stages.map(({ stage, time_ms: ms }) => [stage, ms])).toEqual([
    ["firmware", 4000],
    ["bootloader", 5000],
    ["kernel", 9000],
    ["login", 15_000],
  ]);
  expect(analysis.boot_duration_ms).toBe(15_000);
});

describe("report.txt", () => {
  test("says the verdict, the timeline, what went wrong with its lines, and what to try", async () => {
    await put("serial.log", log(OVMF, GRUB, KERNEL, OOPS, ["[    5.000000] Kernel panic - not syncing: Fatal exception"]));
    const { text } = await analyseSession(directory);
    const lines = text.split("\n");
    expect(lines[0]).toBe("FAILURE at kernel (domain kernel): The kernel used a wrong address and killed the task that it happened in");
    expect(lines.filter((line) => /^[A-Z]/.test(line)).slice(1)).toEqual([
      "Timeline",
      "What went wrong",
      "What to try",
      "What was recorded",
    ]);
    expect(text).toContain("    >      13 | [    4.100001] BUG: kernel NULL pointer dereference, address: 0000000000000010");
    expect(text).toContain("in foo_probe+0x12/0x80 [foo], process modprobe (pid 77), kernel 6.1.0-18-amd64");
    expect(text).toContain("called from bar_register [foo] < do_one_initcall");
    expect(text).toContain("fatal panic at line 25 (follows from it): The kernel stopped for good: Fatal exception");
    expect(text).toContain("by rule 3-fatal-finding on line 13, 25 (docs/verdict.md)");
  });

  test("lets nothing through that a terminal acts on", async () => {
    await put("serial.log", `${log(KERNEL)}\n[    1.300000] Kernel panic - not syncing: \u202eevil\u009b31m\n`);
    await put("qemu.stderr", "\x1b]0;title\x07 \x1b[31mred\n");
    const { text } = await analyseSession(directory);
    expect(text).toContain("\\u202eevil\\x9b31m");
    expect(text.replaceAll("\n", "")).not.toMatch(/[\0-\x08\x0a-\x1f\x7f-\x9f\u202e]/);
  });
});
