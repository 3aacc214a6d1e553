/** Machines of parts: several disks on each bus, and a kernel that QEMU starts itself. The guests are a few dozen bytes of our own. */
import { copyFile, open, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { systemClock } from "../../src/host/clock.ts";
import type { Bus } from "../../src/machine/drives.ts";
import { type MachineParts, standardParts } from "../../src/machine/plan-parts.ts";
import { type MachineToRecord, recordMachine } from "../../src/session/new-recording.ts";
import { onlySession, workplace } from "./harness.ts";

const codeOf = (...lines: readonly string[]): Buffer =>
  Buffer.from(lines.map((line) => line.split(";", 1)[0]!.replaceAll(" ", "")).join(""), "hex");

/**
 * A boot sector that reads the first sector of the second disk through the BIOS, writes it to that disk's second sector, prints it on
 * the serial line up to its NUL, and resets the machine by the keyboard controller.
 */
const COPIER = codeOf(
  "fa 31c0 8ed8 8ec0 8ed0 bc007c; cli; every segment 0, stack below us",
  "b80102; read one sector",
  "b90100; cylinder 0, sector 1",
  "ba8100; head 0, drive 81h",
  "bb0080; to 8000h",
  "cd13 7217; on an error: reset",
  "b80103 b102 cd13 720e; write it to sector 2",
  "be0080 baf803; print from 8000h to the UART",
  "ac 84c0 7403 ee ebf8; until a NUL",
  "b0fe e664 f4 ebf9; reset",
);

/** Real-mode code behind a Linux setup header (Documentation/x86/boot.rst): prints its command line and resets. */
const PRINTER = codeOf(
  "66a12802 66c1e804 8ed8 31f6 baf803; ds:si = cmd_line_ptr",
  "ac 84c0 7403 ee ebf8; print until a NUL",
  "b00a ee b0fe e664 f4 ebf9; end of line, reset",
);

const MESSAGE = "from the second disk\n";

async function disk(path: string, ...parts: readonly (readonly [offset: number, bytes: Buffer])[]): Promise<string> {
  const file = await open(path, "w");
  try {
    await file.truncate(1024 * 1024);
    for (const [offset, bytes] of parts) await file.write(bytes, 0, bytes.length, offset);
  } finally {
    await file.close();
  }
  return path;
}

const record = (wish: Omit<MachineToRecord, "parts"> & { readonly parts: Partial<MachineParts> }) =>
  recordMachine(
    { ...wish, parts: { ...standardParts, memoryMb: 64, stopOnReset: true, waiting: "build", ...wish.parts } },
    { env: process.env, clock: systemClock, job: quietJob, onEvent: () => {} },
  );

describe("two disks", () => {
  test.each<Bus>(["ide", "sata", "virtio", "usb"])("on %s: the first is booted, the second is read and written", async (bus) => {
    await using place = await workplace();
    const first = await disk(join(place.root, "first, with a comma.img"), [0, COPIER], [510, Buffer.from("55aa", "hex")]);
    const second = await disk(join(place.root, "second.img"), [0, Buffer.from(MESSAGE)]);
    await copyFile(first, `${first}.before`);
    const { session } = await record({
      parts: {
        disks: [
          { path: first, bus, writable: false },
          { path: second, bus, writable: true },
        ],
      },
      logDir: place.logs,
      goal: "text:from the second disk",
    });
    expect(session.result).toBe("success");
    const { ending, serial } = onlySession(place.logs);
    expect(serial).toContain(MESSAGE);
    // The guest went on behind its goal until its own reset, which is this machine's end.
    expect(ending).toMatchObject({ reason: "goal", resets: 0 });
    const written = await readFile(second);
    expect(written.subarray(512, 512 + MESSAGE.length).toString()).toBe(MESSAGE);
    expect((await readFile(first)).equals(await readFile(`${first}.before`)), "the first is as it was").toBe(true);
  });
});

test("a kernel is started directly, with its whole command line", async () => {
  await using place = await workplace();
  const kernel = join(place.root, "kernel, odd name");
  const setup = Buffer.alloc(4096);
  setup[0x1f1] = 1; // setup sectors behind the first
  setup.write("55aa", 0x1fe, "hex");
  setup.write("eb66", 0x200, "hex"); // over the header
  setup.write("HdrS", 0x202);
  setup.writeUInt16LE(0x0204, 0x206);
  setup[0x211] = 1; // loaded high
  PRINTER.copy(setup, 0x268);
  await writeFile(kernel, setup);
  const append = `console=ttyS0, a="b c",d=,, ${"x".repeat(1500)} last`;
  const { session } = await record({ parts: { kernel: { path: kernel, append } }, logDir: place.logs, goal: "text: last" });
  expect(session).toMatchObject({ result: "success", iso_basename: "kernel, odd name" });
  expect(onlySession(place.logs).serial).toContain(`${append}\n`);
});

test("a reset before the goal ends a machine that is not to start anew, once", async () => {
  await using place = await workplace();
  const first = await disk(join(place.root, "first.img"), [0, COPIER], [510, Buffer.from("55aa", "hex")]);
  const { session } = await record({
    parts: { disks: [{ path: first, bus: "ide", writable: false }] }, // there is no second disk: it resets at once
    logDir: place.logs,
    goal: "text:from the second disk",
  });
  const { ending } = onlySession(place.logs);
  expect(ending).toMatchObject({ reason: "guest_shutdown", detail: expect.stringContaining("reset itself"), goal_reached: false });
  expect(session.status).toBe("complete");
});
