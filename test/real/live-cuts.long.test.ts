/** A build that is killed while its image boots in the recorder: no QEMU is left, and the next build boots again and ends well. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { eventually, qemusNaming, readRecorded, run, sessionDirectories, start, workplace } from "./harness.ts";
import { demoWith } from "./live-medium-spec.ts";

const TEST = `  test:
    kind: boot-test
    inputs: { image: iso }
    firmware: bios
    ram: 512
    until: login
`;

it("a build that is killed with SIGKILL in the stage that boots is followed by one that ends well", async () => {
  await using place = await workplace();
  const spec = await demoWith(place.root, { stage: "iso", file: "hiperiso-demo.iso" }, TEST);
  const store = join(place.root, "store");
  const words = ["live", "build", spec, "--store", store, "--log-dir", place.logs];
  expect((await run([...words, "--no-test"])).status).toBe(0);

  const killed = start(words);
  await eventually(() => qemusNaming(store).length > 0 || killed.child.exitCode !== null);
  killed.child.kill("SIGKILL");
  expect((await killed.finished).signal).toBe("SIGKILL");
  await eventually(() => qemusNaming(store).length === 0);
  expect(readdirSync(join(store, "work")).length, "a workplace of the killed build").toBeGreaterThan(0);

  const { status, stderr } = await run(words);
  expect([status, stderr]).toEqual([0, expect.stringMatching(/test: passed/)]);
  expect(stderr).toMatch(/ 1 built/);
  for (const name of ["work", "pins", "failed"]) expect([name, readdirSync(join(store, name))]).toEqual([name, []]);
  // How far the killed boot had come is another's matter; that its session says how it ended is the point.
  const [first, second, ...more] = sessionDirectories(place.logs).map(readRecorded);
  expect([first?.ending.reason, second?.session.result, more]).toEqual(["recorder_died", "success", []]);
});
