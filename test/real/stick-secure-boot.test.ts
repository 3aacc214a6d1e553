import { join } from "node:path";
import { expect, it } from "vitest";
import { onlySession, readRecorded, run, sessionDirectories, workplace } from "./harness.ts";
import { expectSessionFiles } from "./session-files.ts";
import { DEMO, done, entry, MENU, makeStick, OVER, RECORDING, stickBoot } from "./stick-guest.ts";

it("a stick starts under Secure Boot, with the keys that computers have", async () => {
  await using place = await workplace();
  const image = await makeStick(place.root);
  const steps = [...MENU, ...entry("m"), ...RECORDING, ...OVER];
  const { status, stderr } = await run(await stickBoot(image, { folder: place.root, logs: place.logs, steps, more: ["--secure-boot"] }));
  expect(status, stderr).toBe(0);
  expect(onlySession(place.logs).serial).not.toMatch(/prohibited by secure boot policy|bad shim signature/);
  const home = join(place.root, "home");
  await done(["stick", "pull", image, "--to", home, "--no-open"]);
  const [directory] = sessionDirectories(home);
  expectSessionFiles(directory!);
  expect(readRecorded(directory!).session).toMatchObject({ result: "success", iso_path: DEMO });
});
