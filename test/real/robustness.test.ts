import { readdirSync, readFileSync } from "node:fs";
import { copyFile, mkdir } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { ownerSchema, SESSION_FILES } from "../../src/contract/session.ts";
import {
  bootWords,
  demoImage,
  eventually,
  indexedIds,
  onlySession,
  qemusNaming,
  run,
  sessionDirectories,
  start,
  workplace,
} from "./harness.ts";

describe("a session is never lost", () => {
  it("kill -9 of the program in the middle of a boot: no QEMU stays, the next start closes and analyses the orphan", async () => {
    await using place = await workplace();
    const { child, finished, lineMatching } = start(bootWords(await demoImage(), place.logs));
    await lineMatching(/ kernel /);
    child.kill("SIGKILL");
    expect((await finished).signal).toBe("SIGKILL");
    await eventually(() => qemusNaming(place.logs).length === 0);
    const [directory] = sessionDirectories(place.logs);
    expect(readdirSync(directory!)).not.toContain(SESSION_FILES.complete);

    const listed = await run(["sessions", "list", "--json", "--log-dir", place.logs]);
    expect(listed.status, listed.stderr).toBe(0);
    const { session, report, ending, files } = onlySession(place.logs);
    expect(session).toMatchObject({ status: "failed", result: "incomplete", report_available: 1 });
    expect(report.stages.map(({ stage }) => stage)).toContain("kernel");
    expect(ending.reason).toBe("recorder_died");
    expect(files).toContain("FAILURE.txt");
    expect(indexedIds(place.logs)).toEqual([session.session_id]);
    const { scratch_dir } = ownerSchema.parse(JSON.parse(readFileSync(join(directory!, SESSION_FILES.owner), "utf8")));
    expect(() => readdirSync(scratch_dir)).toThrow("ENOENT");

    // A third start finds nothing left to do.
    await run(["sessions", "list", "--log-dir", place.logs]);
    expect(indexedIds(place.logs)).toEqual([session.session_id]);
  });

  it("kill -9 of QEMU: the recorder ends the session in order", async () => {
    await using place = await workplace();
    const { finished, lineMatching } = start(bootWords(await demoImage(), place.logs));
    await lineMatching(/ kernel /);
    for (const pid of qemusNaming(place.logs)) process.kill(pid, "SIGKILL");
    expect((await finished).status).toBe(1);
    const { session, ending, report } = onlySession(place.logs);
    expect(session.status).toBe("complete");
    expect(ending).toMatchObject({ reason: "qemu_died", qemu_signal: "SIGKILL", qemu_exit_code: null });
    expect(report.findings).toContainEqual(expect.objectContaining({ kind: "qemu_error" }));
  });

  it("names with blanks, quotes, commas, colons, equals signs, $(…) and letters of other scripts work in every place", async () => {
    await using place = await workplace();
    const folder = join(place.root, `a b,c:d=e'f"g$(touch nothing)ж`);
    await mkdir(folder);
    const image = join(folder, `x:y,z=1 'q" $(id) ünï.iso`);
    await copyFile(await demoImage(), image);
    const logs = join(folder, `logs, of = "this" $(kind): ж`);
    const { status, stderr } = await run(bootWords(image, logs, "--until", "kernel", "--as", "usb"));
    expect(status, stderr).toBe(0);
    const { session } = onlySession(logs);
    expect(session.iso_basename).toBe(`x:y,z=1 'q" $(id) ünï.iso`);
    expect(session.session_id).toMatch(/^x_y_z_1_q_id_uni\.iso_\d{8}T\d{6}Z$/);
    expect(indexedIds(logs)).toEqual([session.session_id]);
  });

  it("Ctrl-C: the session is finished in order and says so", async () => {
    await using place = await workplace();
    const { child, finished, lineMatching } = start(bootWords(await demoImage(), place.logs));
    await lineMatching(/ kernel /);
    child.kill("SIGINT");
    expect((await finished).status).toBe(1);
    const { session, ending } = onlySession(place.logs);
    expect(session).toMatchObject({ status: "complete", result: "incomplete" });
    expect(ending.reason).toBe("interrupted");
    expect(qemusNaming(place.logs)).toEqual([]);
  });
});
