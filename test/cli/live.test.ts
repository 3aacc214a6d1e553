import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../src/cli/live.ts";
import { runProgram } from "../../src/cli/program.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
let plan: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-cli-live-"));
  // dpkg-deb alone is needed to take a file out of a package; an apt-cache of our own says that there is none.
  plan = join(folder, "plan.yaml");
  writeFileSync(
    plan,
    "name: p\nepoch: 1767225600\nresult: { stage: a, file: f }\nstages:\n  a: { kind: package, first_of: [none] }\nvariants: {}\n",
  );
  mkdirSync(join(folder, "bin"));
  for (const name of ["apt-cache", "apt-get"]) {
    writeFileSync(join(folder, "bin", name), "#!/bin/sh\nexit 100\n");
    chmodSync(join(folder, "bin", name), 0o755);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

async function live(...words: string[]) {
  const streams = keptStreams({ env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin`, HOME: folder } });
  const commands = [{ name: "live", summary: "", load: async () => ({ command }) }];
  const status = await runProgram(
    { name: "hiperiso", description: "", examples: [], commands },
    ["live", ...words],
    streams,
    new AbortController().signal,
  );
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("hiperiso live", () => {
  test.each([
    [["build"], /missing required argument 'plan'/],
    [["build", "/none.yaml"], /\/none\.yaml/],
    [["demo", "--variant", "slient"], /one of normal, broken-init, wrong-root, hang, silent, no-acpi-shutdown/],
  ])("%j is wrong usage: status 2", async (words, message) => {
    const { status, stderr, stdout } = await live(...words);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });

  test.each(["a", "a.first_of", "=1", "a.first_of=["])("--set %s is wrong usage", async (setting) => {
    const { status, stderr } = await live("build", plan, "--set", setting);
    expect(status).toBe(2);
    expect(stderr).toMatch(/STAGE\.OPTION=VALUE/);
  });

  test("--set takes YAML, and a fault in it is named there", async () => {
    const { status, stderr } = await live("build", plan, "--set", "a.first_of=[one, 2]");
    expect(status).toBe(2);
    expect(stderr).toContain("--set a.first_of");
  });

  test("a stage that fails ends with status 3, says which and why, and leaves no file", async () => {
    const { status, stderr, stdout } = await live("build", plan, "--store", join(folder, "store"), "--to", join(folder, "x.iso"));
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/apt-get|find a package/);
    expect(readdirSync(folder)).not.toContain("x.iso");
    expect(readdirSync(join(folder, "store/work"))).toEqual([]);
  });
});
