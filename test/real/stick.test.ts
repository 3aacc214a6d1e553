import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { stickPulledSchema, stickVerifiedSchema } from "../../src/contract/stick-answers.ts";
import { eventually, indexedIds, onlySession, qemusNaming, readRecorded, run, sessionDirectories, start, workplace } from "./harness.ts";
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

  it("starts under Secure Boot, with the keys that computers have", async () => {
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

  it("loses nothing but the end of a session when the power goes, and closes it at its next boot", async () => {
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
});
