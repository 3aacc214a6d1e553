/** A build that is killed, or runs out of disk, at any of the calls by which it changes its store, and the build after it. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { afterAll, beforeAll, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { type Built, buildPlan } from "../../src/live/runner.ts";

const SPEC = `name: cut
epoch: 1767225600
result: { stage: second, file: root.tar }
stages:
  first: { kind: rootfs, files: files }
  second: { kind: rootfs, inputs: { base: first }, hostname: second }
`;

let folder: string;
let program: string;
let reference: Buffer;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-store-cuts-"));
  await mkdir(join(folder, "files/etc"), { recursive: true });
  await writeFile(join(folder, "files/etc/issue"), "hello\n");
  await writeFile(join(folder, "spec.yaml"), SPEC);
  program = join(folder, "program.mjs");
  const bundle = await rolldown({
    input: join(import.meta.dirname, "cut-program.ts"),
    platform: "node",
    external: [/^node:/],
    transform: { target: "node20" },
  });
  await bundle.write({ file: program, format: "esm", codeSplitting: false });
  await bundle.close();
  reference = await readFile((await build(join(folder, "reference"))).output);
});
afterAll(() => rm(folder, { recursive: true }));

const build = (store: string): Promise<Built> => buildPlan(join(folder, "spec.yaml"), { store, env: process.env }, quietJob);

function cutBuild(store: string, cut: "killed" | "full", number: number) {
  const words = [program, join(folder, "spec.yaml"), store, cut, `${number}`];
  return spawnSync(process.execPath, words, { encoding: "utf8" });
}

/** Of a build that is not cut. */
function callsOf(cut: "killed" | "full"): number {
  const { status, stdout, stderr } = cutBuild(join(folder, `counted ${cut}`), cut, Number.MAX_SAFE_INTEGER);
  expect([status, stderr]).toEqual([0, ""]);
  return Number(stdout);
}

/** Whatever has an output's name is whole: the next build may take it without a look. */
async function expectWhole(store: string, call: string): Promise<void> {
  const { output } = await build(store);
  expect((await readFile(output)).equals(reference), call).toBe(true);
  for (const name of ["work", "pins", "failed"]) expect([call, name, await readdir(join(store, name))]).toEqual([call, name, []]);
  for (const name of ["outputs", "recipes", "logs"])
    expect([call, name, await readdir(join(store, name))]).toEqual([call, name, expect.toSatisfy((names: string[]) => names.length === 2)]);
}

test("a build that is killed at any call that changes its store is followed by one that ends well", async () => {
  const calls = callsOf("killed");
  expect(calls).toBeGreaterThan(20);
  for (let call = 1; call <= calls; call += 1) {
    const store = join(folder, `killed ${call}`);
    expect([call, cutBuild(store, "killed", call).signal]).toEqual([call, "SIGKILL"]);
    await expectWhole(store, `killed at call ${call}`);
    await rm(store, { recursive: true });
  }
});

test("a build whose disk is full from any call on says so, and is followed by one that ends well", async () => {
  const calls = callsOf("full");
  expect(calls).toBeGreaterThan(10);
  for (let call = 1; call <= calls; call += 1) {
    const store = join(folder, `full ${call}`);
    const { status, stderr } = cutBuild(store, "full", call);
    expect([call, status]).toEqual([call, 3]);
    expect(stderr, `full at call ${call}`).toMatch(/no space left on device/);
    expect(stderr, `full at call ${call}`).toContain("The file system is full: make room");
    expect([call, await readdir(join(store, "work")).catch(() => [])]).toEqual([call, []]);
    await expectWhole(store, `full at call ${call}`);
    await rm(store, { recursive: true });
  }
});
