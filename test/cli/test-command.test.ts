import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { command as boot } from "../../src/cli/boot.ts";
import { runProgram } from "../../src/cli/program.ts";
import { command } from "../../src/cli/test.ts";
import { suiteResultSchema } from "../../src/contract/suite.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
let file: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-cli-test-"));
  file = join(folder, "t.yaml");
  writeFileSync(join(folder, "a.iso"), "no image at all");
});
afterEach(() => rmSync(folder, { recursive: true }));

async function program(...words: readonly string[]) {
  const streams = keptStreams({ env: { PATH: process.env["PATH"], HOME: folder, XDG_CACHE_HOME: join(folder, "cache") } });
  const commands = [
    { name: "test", summary: "", load: async () => ({ command }) },
    { name: "boot", summary: "", load: async () => ({ command: boot }) },
  ];
  const status = await runProgram(
    { name: "hiperiso", description: "", examples: [], commands },
    words,
    streams,
    new AbortController().signal,
  );
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("hiperiso test", () => {
  test("--list says what it would boot, and boots nothing", async () => {
    writeFileSync(file, "image: a.iso\nfirmware: [uefi, bios]\nram: [256, 512]");
    const { status, stdout } = await program("test", file, "--list", "--only", "ram=256");
    expect([status, stdout]).toEqual([0, "a.iso ram=256 firmware=uefi\na.iso ram=256 firmware=bios\n"]);
    expect(JSON.parse((await program("test", file, "--list", "--json")).stdout)).toHaveLength(4);
    expect(readdirSync(folder).sort()).toEqual(["a.iso", "t.yaml"]);
  });

  test("whose boots cannot begin ends with an error for each, told in every form, and status 3", async () => {
    writeFileSync(file, "name: n\nimage: a.iso\nfirmware: [uefi, bios]\naccel: kvm\nfallback: true");
    const to = (name: string) => join(folder, name);
    const { status, stdout, stderr } = await program(
      "test",
      file,
      "--json",
      "--junit",
      to("r.xml"),
      "--html",
      to("r.html"),
      "--log-dir",
      to("logs"),
      "--retry",
      "1",
    );
    expect(status).toBe(3);
    const result = suiteResultSchema.parse(JSON.parse(stdout));
    expect(result).toMatchObject({ name: "n", errors: 2, passed: 0 });
    for (const job of result.jobs) expect(job.runs.map((one) => one.status)).toEqual(["error", "error"]);
    expect(result.jobs[0]!.runs[0]!.why).toContain("--accel kvm or --fallback");
    expect(readFileSync(to("r.xml"), "utf8")).toContain('tests="2" failures="0" errors="2"');
    expect(readFileSync(to("r.html"), "utf8")).toContain("0 of 2 passed, 2 errors");
    expect(stderr).toContain("once more");
  });

  test.each([
    ["image: a.iso\nfirmwar: uefi", [], /t\.yaml:2:1.*did you mean "firmware"/s],
    ["image: a.iso", ["--only", "usb"], /--only/],
    ["image: a.iso", ["--retry", "-1"], /a whole number, 0 to 100/],
    ["image: a.iso", ["--jobs", "0"], /a whole number, 1 to 1000/],
    ["image: a.iso", ["--variable", "=x"], /NAME=VALUE/],
  ])("%j with %j is wrong usage: status 2", async (text, words, message) => {
    writeFileSync(file, text);
    const { status, stderr, stdout } = await program("test", file, ...words);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });
});

describe("hiperiso boot --script", () => {
  test.each([
    ["steps:\n  - expct: x", [], /s\.yaml:2:5.*did you mean "expect"/s],
    ["steps: [reboot]", ["--until", "login"], /--until or --script/],
    ['steps:\n  - send: "{{user}}"', ["--variable", "usr=x"], /s\.yaml:2:11.*no variable "user"; did you mean "usr"/s],
  ])("with %j and %j is wrong usage, told before anything is booted", async (text, words, message) => {
    const script = join(folder, "s.yaml");
    writeFileSync(script, text);
    const { status, stderr } = await program("boot", join(folder, "a.iso"), "--script", script, ...words);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });

  test.each([
    ["--until", "script"],
    ["--variable", "a=b"],
  ])("%s %s without a script is wrong usage", async (...words) => {
    const { status, stderr } = await program("boot", join(folder, "a.iso"), ...words);
    expect(status).toBe(2);
    expect(stderr).toContain("--script");
  });
});
