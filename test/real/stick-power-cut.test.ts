import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { stickPulledSchema, stickVerifiedSchema } from "../../src/contract/stick-answers.ts";
import { eventually, qemusNaming, readRecorded, run, sessionDirectories, start, workplace } from "./harness.ts";
import { expectSessionFiles } from "./session-files.ts";
import { DEMO, done, entry, MENU, makeStick, RECORDING, stickBoot } from "./stick-guest.ts";

it("a stick loses nothing but the end of a session when the power goes, and closes it at its next boot", async () => {
  await using place = await workplace();
  const image = await makeStick(place.root);
  const inside = [...RECORDING, { expect: { pattern: "kernel \\d+ s" }, within: 1500 }, { screenshot: "cut" }];
  const steps = [...MENU, ...entry("m"), ...inside, { expect: "what no stick says", within: 1500 }];
  const boot = start(await stickBoot(image, { folder: place.root, logs: place.logs, steps }));
  await boot.lineMatching(/bootloader/);
  const [session] = sessionDirectories(place.logs);
  // The kernel of the guest in the guest has spoken.
  await eventually(() => existsSync(join(session!, "screen-script-cut.png")));
  const [qemu] = qemusNaming(image);
  process.kill(qemu!, "SIGKILL");
  await boot.finished;

  const check = await run(["stick", "verify", image, "--json"]);
  const verified = stickVerifiedSchema.parse(JSON.parse(check.stdout));
  expect(verified.problems.filter(({ id }) => id !== "data-file-system")).toEqual([]);
  const home = join(place.root, "home");
  const pulled = stickPulledSchema.parse(JSON.parse(await done(["stick", "pull", image, "--to", home, "--json"])));
  expect(pulled).toMatchObject({ sessions: [{ state: "cut off" }], copied: [{ closed: true }] });
  const [cut] = sessionDirectories(home);
  expectSessionFiles(cut!);
  expect(readRecorded(cut!).session).toMatchObject({ status: "failed", iso_path: DEMO });

  // The second boot finds the session, closes it, and asks what to boot.
  const again = join(place.root, "again");
  const closing = [
    ...MENU,
    { send: "p" },
    { expect: "had been cut off", within: 1500 },
    { expect: "pick an image", within: 600 },
    { shutdown: "\u0003", within: 600 },
  ];
  const second = await run(await stickBoot(image, { folder: place.root, logs: again, steps: closing }));
  expect(second.status, second.stderr).toBe(0);
  const listed = stickPulledSchema.parse(JSON.parse(await done(["stick", "pull", image, "--list", "--json"])));
  expect(listed).toMatchObject({ sessions: [{ state: "failed", result: expect.any(String) }] });
  expect((await run(["stick", "verify", image])).stdout).toContain("All is well");
});
