import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stickPulledSchema } from "../../src/contract/stick-answers.ts";
import { indexedIds, onlySession, readRecorded, run, sessionDirectories, workplace } from "./harness.ts";
import { expectSessionFiles } from "./session-files.ts";
import { DEMO, done, entry, MENU, makeStick, OVER, RECORDING, stickBoot, TRAP_NAMES } from "./stick-guest.ts";

describe("a stick that was made by one command", () => {
  it("boots, records the image that its menu was told, and the session comes home", async () => {
    await using place = await workplace();
    const image = await makeStick(place.root);
    const steps = [...MENU, { screenshot: "menu" }, ...entry("m"), ...RECORDING, { screenshot: "recording" }, ...OVER];
    const outside = await run(await stickBoot(image, { folder: place.root, logs: place.logs, steps }));
    expect(outside.status, outside.stderr).toBe(0);
    // The boot outside is a session, too.
    const outer = onlySession(place.logs);
    expectSessionFiles(outer.directory);
    expect(outer.report).toMatchObject({ script: { result: "passed" } });
    for (const name of TRAP_NAMES) expect(outer.serial).toContain(name.replace(/[^ -~].*/, ""));

    const home = join(place.root, "home");
    const pulled = stickPulledSchema.parse(JSON.parse(await done(["stick", "pull", image, "--to", home, "--json"])));
    expect(pulled).toMatchObject({ sessions: [{ state: "complete", result: "success", imagePath: DEMO }], copied: [{ closed: false }] });
    const [directory] = sessionDirectories(home);
    expectSessionFiles(directory!);
    const inner = readRecorded(directory!);
    expect(inner.session).toMatchObject({
      status: "complete",
      result: "success",
      iso_path: DEMO,
      log_dir: `/hiperiso/logs/${inner.session.session_id}`,
      accelerator: "tcg",
      analysis: { boot_stage_final: "login", reached_login: 1 },
    });
    expect(inner.serial).toContain("hiperiso-demo login:");
    expect(indexedIds(home)).toEqual([inner.session.session_id]);
    const phases = JSON.parse(readFileSync(join(directory!, "timing.json"), "utf8")).phases.map(({ phase }: { phase: string }) => phase);
    expect(phases).toEqual(expect.arrayContaining(["kernel", "stick_found", "program", "qemu_start"]));
    expect((await run(["stick", "verify", image])).stdout).toContain("All is well");
  });
});
