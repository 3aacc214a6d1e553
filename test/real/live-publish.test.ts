/** The demo image is booted by its own spec and published: what a person hands out. */
import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { DEMO_PLAN, defaultStore } from "../../src/live/demo.ts";
import { run } from "./harness.ts";

let folder = "";
let spec = "";
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso publish, "));
  cpSync(dirname(DEMO_PLAN), folder, { recursive: true });
  spec = join(folder, "demo.yaml");
  const test = "  boots:\n    kind: boot-test\n    inputs: { image: iso }\n    tests: [{ name: bios, firmware: bios, as: cd }]\n";
  writeFileSync(spec, readFileSync(spec, "utf8").replace("\nvariants:", `\n${test}\nvariants:`));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

// The parts of the demo are kept already where other tests have built it.
const publish = (...words: string[]) =>
  run(["live", "publish", spec, join(folder, "out"), "--store", defaultStore(process.env), "--log-dir", join(folder, "logs"), ...words]);

it("an image that has booted is published with its report and a screen, and is what was built", async () => {
  const { status, stdout, stderr } = await publish("--sbom");
  expect(status, stderr).toBe(0);
  const release = stdout.trim();
  expect(readdirSync(release).sort()).toEqual([
    ...["SHA256SUMS", "boot-report", "demo.yaml", "hiperiso-demo.iso", "index.html", "manifest.json", "sbom.cdx.json"],
  ]);
  const check = spawnSync("sha256sum", ["--check", "--strict", "SHA256SUMS"], { cwd: join(folder, "out/latest"), encoding: "utf8" });
  expect(check.status, check.stdout).toBe(0);
  const page = readFileSync(join(release, "index.html"), "utf8");
  expect(page).toContain("Boot test passed: 1 boot.");
  expect(page).toContain('<img src="data:image/png;base64,');
  const results = JSON.parse(readFileSync(join(release, "boot-report/boots/results.json"), "utf8"));
  expect(results).toMatchObject({ passed: 1, failed: 0, jobs: [{ status: "passed", runs: [{ stage: "login", session: null }] }] });
  // The session itself stays with who booted.
  expect(readdirSync(join(folder, "logs")).some((name) => name.startsWith("hiperiso-demo"))).toBe(true);
  expect(page.includes(folder) || readFileSync(join(release, "manifest.json"), "utf8").includes(folder)).toBe(false);
});

it("an image whose kernel panics is refused, and nothing of it is seen", async () => {
  const before = readdirSync(join(folder, "out")).sort();
  const { status, stdout, stderr } = await publish("--variant", "wrong-root");
  expect([status, stdout]).toEqual([1, ""]);
  expect(stderr).toMatch(/expected +boot tests that were passed/);
  expect(readdirSync(join(folder, "out")).sort()).toEqual(before);
});
