/**
 * The real first kernel, where HIPERISO_LIVE_BOOTSTRAP names a checkout of live-bootstrap: a small script that makes hex0 anew from its
 * source boots in seconds, and shows what that kernel says and does when something is missing.
 */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { planInitImage, writeInitImage } from "../../src/bootstrap/init-image.ts";
import type { TargetEntry } from "../../src/bootstrap/target-tree.ts";
import { quietJob } from "../../src/contract/job.ts";
import { systemClock } from "../../src/host/clock.ts";
import { standardParts } from "../../src/machine/plan-parts.ts";
import { recordMachine } from "../../src/session/new-recording.ts";
import { onlySession, workplace } from "./harness.ts";

const TREE = process.env["HIPERISO_LIVE_BOOTSTRAP"];

/** Boots `script` as `kaem.x86` with the seeds' sources beside it. */
async function bootScript(script: string) {
  await using place = await workplace();
  const stage0 = join(TREE!, "seed/stage0-posix");
  const file = async (path: string, bytes: Uint8Array | string): Promise<TargetEntry> => {
    const from = Buffer.from(bytes);
    return { path, kind: "file", mode: 0o644, mtimeMs: 0, sizeBytes: BigInt(from.length), from: { bytes: from } };
  };
  const folder: TargetEntry = { path: "x86", kind: "directory", mode: 0o755, mtimeMs: 0, sizeBytes: 0n, from: { bytes: new Uint8Array() } };
  const entries = [
    await file("kaem.x86", script),
    folder,
    ...(await Promise.all(
      ["x86/hex0_x86.hex0", "x86/kaem-minimal.hex0"].map(async (path) => file(path, await readFile(join(stage0, path)))),
    )),
  ];
  const source = (stage: number) => readFile(join(TREE!, `builder-hex0/builder-hex0-x86-stage${stage}.hex0`), "utf8");
  const bootSector = { stage1: await source(1), stage2: await source(2) };
  const image = join(place.root, "init.img");
  await writeInitImage(planInitImage({ bootSector, entries, targetSizeBytes: 0n }), image, {}, quietJob);
  await recordMachine(
    {
      parts: {
        ...standardParts,
        disks: [{ path: image, bus: "ide", writable: true }],
        splitIrqchip: true,
        serialScreen: true,
        processor: "qemu64",
        memoryMb: 4096,
        stopOnReset: true,
        waiting: "build",
      },
      logDir: place.logs,
      goal: "text:Build finished.",
    },
    { env: process.env, clock: systemClock, job: quietJob, onEvent: () => {} },
  );
  return onlySession(place.logs);
}

const AGAIN = "./bootstrap-seeds/POSIX/x86/hex0-seed ./x86/hex0_x86.hex0 ./x86/hex0-again\n";

describe.skipIf(TREE === undefined)("the real first kernel", () => {
  test("makes hex0 anew and comes to its end", async () => {
    const { session, ending, serial } = await bootScript(`${AGAIN}# done\n`);
    expect(session.result).toBe("success");
    expect(ending).toMatchObject({ reason: "goal", goal_reached: true });
    expect(serial).toMatch(/ \+> \.\/bootstrap-seeds\/POSIX\/x86\/hex0-seed .*\r\nBuild finished\.\r\nERROR: no hda writes!/);
  });

  test("hangs for ever at a program that is not there, which is seen within seconds", async () => {
    const { session, ending, report, serial } = await bootScript(`${AGAIN}./x86/nowhere a b\n${AGAIN}`);
    expect(session.result).toBe("failure");
    expect(ending).toMatchObject({ reason: "processor_lost", detail: expect.stringContaining("where there is no memory") });
    expect(report.findings.find(({ cause }) => cause)?.id).toBe("machine/processor-lost");
    expect(serial).toContain("./x86/nowhere");
  });
});
