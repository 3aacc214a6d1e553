import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { command } from "../../src/cli/doctor.ts";
import { runProgram } from "../../src/cli/program.ts";
import { readSystemTools } from "../../src/host/system-packages.ts";
import { keptStreams } from "./streams.ts";

let cache: string;
beforeAll(() => {
  cache = mkdtempSync(join(tmpdir(), "hiperiso-doctor-"));
});
afterAll(() => rmSync(cache, { recursive: true }));

async function doctor(...options: string[]) {
  const streams = keptStreams({ env: { PATH: process.env["PATH"], HOME: cache, XDG_CACHE_HOME: cache } });
  const program = {
    name: "hiperiso",
    description: "",
    examples: [],
    commands: [{ name: "doctor", summary: "", load: async () => ({ command }) }],
  };
  const status = await runProgram(program, ["doctor", ...options], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

test("hiperiso doctor tells of every tool in the list, of KVM and of firmware, and ends by what a boot needs", async () => {
  const { status, stdout, stderr } = await doctor("--json");
  const facts = JSON.parse(stdout);
  expect(stderr).toBe("");
  expect(facts.tools.map(({ id }: { id: string }) => id)).toEqual((await readSystemTools()).map(({ id }) => id));
  for (const tool of facts.tools) expect(tool.found).toBe(tool.path !== null);
  const lacks = facts.tools.filter(
    (tool: { found: boolean; required: boolean; stage: string }) => !tool.found && tool.required && tool.stage === "boot",
  );
  expect(facts.ready).toBe(lacks.length === 0);
  expect(status).toBe(lacks.length === 0 ? 0 : 3);
  expect(["available", "unavailable", "unknown"]).toContain(facts.kvm.state);
  expect(facts.kvm.because).not.toBe("");

  const page = await doctor();
  expect(page.status).toBe(status);
  for (const { id, found, cost_when_missing } of facts.tools) {
    const line = page.stdout.split("\n").find((text) => text.includes(` ${id} `));
    expect(line).toContain(found ? "✓" : cost_when_missing);
  }
});

test("it tells of the parts that QEMU may have been packed without, and what the lack of each costs", async () => {
  const { stdout } = await doctor("--json");
  const { qemu_parts: parts } = JSON.parse(stdout);
  const page = (await doctor()).stdout;
  const qemuIsThere = JSON.parse(stdout).tools.some(
    ({ id, found }: { id: string; found: boolean }) => id === "qemu-system-x86_64" && found,
  );
  expect(parts.map(({ id }: { id: string }) => id)).toEqual(qemuIsThere ? ["window", "TPM device", "shared folders"] : []);
  for (const { id, found, needed_for, cost_when_missing } of parts) {
    const line = page.split("\n").find((text) => text.includes(` ${id} `));
    expect(line).toContain(found ? needed_for : cost_when_missing);
  }
});
