import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  bootWords,
  demoImage,
  eventually,
  indexedIds,
  qemusNaming,
  readRecorded,
  run,
  sessionDirectories,
  start,
  workplace,
} from "./harness.ts";

const KILLS = 10;
const TOGETHER = 20;

describe("whatever dies, and whenever", () => {
  let image = "";
  beforeAll(async () => {
    image = await demoImage();
  });

  it("kill -9 of the program, of QEMU or of both at ten moments, spread over a boot: all is closed at the next start", async () => {
    await using place = await workplace();
    for (let round = 0; round < KILLS; round++) {
      const boot = start(bootWords(image, place.logs, "--until", "login"));
      // Moments from the first milliseconds of the program to its last ones, a random bit beside a fixed grid.
      const afterMs = (round * round * 16_000) / (KILLS * KILLS) + Math.random() * 300;
      await Promise.race([boot.finished, new Promise((resolve) => setTimeout(resolve, afterMs))]);
      const victims = round % 3;
      if (victims !== 1) boot.child.kill("SIGKILL");
      if (victims !== 0) for (const pid of qemusNaming(place.logs)) process.kill(pid, "SIGKILL");
      await boot.finished;
      await eventually(() => qemusNaming(place.logs).length === 0);
    }
    const listed = await run(["sessions", "list", "--log-dir", place.logs]);
    expect(listed.status, listed.stderr).toBe(0);
    const directories = sessionDirectories(place.logs);
    const sessions = directories.map(readRecorded).map(({ session }) => session.session_id);
    expect([...indexedIds(place.logs)].sort()).toEqual([...sessions].sort());
  });

  it("twenty sessions that end in the same moment: each has one whole line in the index", async () => {
    await using place = await workplace();
    const disk = join(place.root, "tiny.img");
    await writeFile(disk, bootSectorThatPowersOff());
    await truncate(disk, 1024 * 1024);
    const words = ["boot", disk, "--log-dir", place.logs, "--firmware", "bios", "--ram", "64", "--cpus", "1"];
    const boots = await Promise.all(Array.from({ length: TOGETHER }, () => run(words)));
    for (const { status, stderr } of boots) expect(status, stderr).toBe(1);
    const ids = sessionDirectories(place.logs)
      .map(readRecorded)
      .map(({ session }) => session.session_id);
    expect(new Set(ids).size).toBe(TOGETHER);
    expect([...indexedIds(place.logs)].sort()).toEqual([...ids].sort());
  });
});

/** Real mode: `out 0x604 <- 0x2000` is the ACPI power-off of QEMU's q35, whose PM block SeaBIOS puts at 0x600. */
function bootSectorThatPowersOff(): Uint8Array {
  const sector = new Uint8Array(512);
  sector.set([0xba, 0x04, 0x06, 0xb8, 0x00, 0x20, 0xef, 0xf4, 0xeb, 0xfd]);
  sector.set([0x55, 0xaa], 510);
  return sector;
}

describe.skipIf(process.getuid?.() !== 0)("a full disk (a small file system on a loop device; needs root)", () => {
  const cleanups: (() => void)[] = [];
  afterAll(() => {
    for (const cleanup of cleanups.reverse()) cleanup();
  });

  const moments: readonly (readonly [string, RegExp | undefined, number])[] = [
    ["before the boot", undefined, 0],
    ["before the boot, but for its first files", undefined, 700],
    ["when the session has begun", /^Recording /, 0],
    ["while the kernel starts", / kernel /, 0],
    ["while userspace starts", / userspace /, 0],
  ];

  it.each(moments)("that fills up %s: an error or a session that can be read, and no QEMU left behind", async (_, line, freeKib) => {
    await using place = await workplace();
    const backing = join(place.root, "fs.img");
    await writeFile(backing, "");
    await truncate(backing, 16 * 1024 * 1024);
    execFileSync("mkfs.ext4", ["-q", "-m", "0", "-O", "^has_journal", backing]);
    const mountPoint = join(place.root, "mnt");
    mkdirSync(mountPoint);
    execFileSync("mount", ["-o", "loop", backing, mountPoint]);
    try {
      const logs = join(mountPoint, "logs");
      const image = await demoImage();
      if (line === undefined) fillUpTo(mountPoint, freeKib);
      const boot = start(bootWords(image, logs));
      if (line !== undefined) {
        await boot.lineMatching(line);
        fillUpTo(mountPoint, freeKib);
      }
      const { status, stderr } = await boot.finished;
      expect([0, 3], stderr).toContain(status);
      if (status === 3) expect(stderr).toMatch(/full|no space/i);
      expect(qemusNaming(logs)).toEqual([]);
      execFileSync("rm", [join(mountPoint, "filler")]);
      // Room again: the next start closes what could not be closed.
      const listed = await run(["sessions", "list", "--json", "--log-dir", logs]);
      expect(listed.status, listed.stderr).toBe(0);
      const sessions = existsSync(logs) ? sessionDirectories(logs).map(readRecorded) : [];
      if (line !== undefined) expect(sessions).toHaveLength(1);
      if (sessions.length > 0) expect(indexedIds(logs)).toEqual(sessions.map(({ session }) => session.session_id));
    } finally {
      execFileSync("umount", [mountPoint]);
    }
  });
});

/** Leaves about `freeKib` KiB. */
function fillUpTo(mountPoint: string, freeKib: number): void {
  const free = Number(execFileSync("df", ["--output=avail", "-k", mountPoint], { encoding: "utf8" }).trim().split("\n").at(-1));
  const words = ["if=/dev/zero", `of=${join(mountPoint, "filler")}`, "bs=1K", `count=${Math.max(0, free - freeKib)}`, "status=none"];
  spawnSync("dd", words); // its own blocks of addresses may be what does not fit: full is full
}
