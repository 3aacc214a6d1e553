/** Reaching into a session that runs, with files and processes that stand in for a guest; `test/real/living.test.ts` has a real one. */
import { execFileSync, spawn } from "node:child_process";
import { appendFileSync, constants, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { identityOf, ownIdentity } from "../../src/host/process-identity.ts";
import { findLivingGuest, followConsole, lastLinesOffset, typeInto, untilClosed, withMonitor } from "../../src/session/living.ts";

const top = mkdtempSync(join(tmpdir(), "hiperiso-living-"));
afterAll(() => rmSync(top, { recursive: true }));
let session = "";
const { signal } = new AbortController();

/** A session whose QEMU is this process, or another. */
beforeEach(() => {
  session = mkdtempSync(join(top, "session-"));
  mkdirSync(join(session, "scratch", "attempt-x"), { recursive: true });
  writeFileSync(join(session, "serial.log"), "");
  claim({});
});
function claim(qemu: object): void {
  writeFileSync(join(session, "owner.json"), JSON.stringify({ ...ownIdentity(), scratch_dir: join(session, "scratch") }));
  writeFileSync(join(session, "qemu.json"), JSON.stringify({ ...ownIdentity(), private_folder: "attempt-x", ...qemu }));
}
const refusal = async (): Promise<HiperisoError> => {
  const error = await findLivingGuest(session).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HiperisoError);
  return error as HiperisoError;
};

describe("a guest is found only where its process lives", () => {
  test("by the session's files", async () => {
    expect(await findLivingGuest(session)).toMatchObject({
      consoleInput: join(session, "scratch", "attempt-x", "console-in"),
      monitorSocket: join(session, "scratch", "attempt-x", "monitor.sock"),
    });
    writeFileSync(join(session, "monitor.sock"), "");
    expect((await findLivingGuest(session)).monitorSocket).toBe(join(session, "monitor.sock"));
  });

  test.each([
    ["of another boot of the computer", { boot_id: "another" }],
    ["whose number went to another process", { pid_start_ticks: "1" }],
  ])("not %s", async (_, changes) => {
    claim(changes);
    expect(await refusal()).toMatchObject({ kind: "usage", found: "one whose guest has ended" });
  });

  test.each(["../../../etc", "a/b", "", ".."])("not by a private folder that leads elsewhere: %j", async (name) => {
    claim({ private_folder: name });
    expect((await refusal()).found).toBe("one without a guest");
  });

  test("not where the files are broken, or the session is over", async () => {
    writeFileSync(join(session, "SESSION_COMPLETE"), "");
    writeFileSync(join(session, "qemu.json"), "{");
    expect((await refusal()).found).toBe("one that is over");
  });
});

describe("typing", () => {
  test("goes into the FIFO whole, also when it is more than a pipe holds and is read slowly", async () => {
    const guest = await findLivingGuest(session);
    execFileSync("mkfifo", [guest.consoleInput]);
    await using reader = await open(guest.consoleInput, constants.O_RDWR | constants.O_NONBLOCK);
    const text = Array.from({ length: 30_000 }, (_, index) => `line ${index}\n`).join("");
    const typing = typeInto(guest, Buffer.from(text), signal);
    let read = "";
    const buffer = Buffer.alloc(5000);
    while (read.length < text.length) {
      const { bytesRead } = await reader.read(buffer, 0, buffer.length, null).catch(() => ({ bytesRead: 0 }));
      read += buffer.toString("latin1", 0, bytesRead);
      if (bytesRead === 0) await new Promise((resolve) => setImmediate(resolve));
    }
    await typing;
    expect(read).toBe(text);
  });

  test("where nobody reads, or no FIFO is, is refused", async () => {
    const guest = await findLivingGuest(session);
    await expect(typeInto(guest, Buffer.from("x"), signal)).rejects.toThrow(/ENOENT/);
    execFileSync("mkfifo", [guest.consoleInput]);
    await expect(typeInto(guest, Buffer.from("x"), signal)).rejects.toThrow(/ENXIO/);
    rmSync(guest.consoleInput);
    writeFileSync(guest.consoleInput, "a file");
    await expect(typeInto(guest, Buffer.from("x"), signal)).rejects.toThrow(/no FIFO/);
  });

  test("into a pipe that stays full ends when aborted", async () => {
    const guest = await findLivingGuest(session);
    execFileSync("mkfifo", [guest.consoleInput]);
    await using _reader = await open(guest.consoleInput, constants.O_RDWR | constants.O_NONBLOCK);
    const over = new AbortController();
    const typing = typeInto(guest, new Uint8Array(1024 * 1024), over.signal);
    over.abort();
    await expect(typing).rejects.toThrow(/abort/);
  });
});

describe("following the console", () => {
  test("until the guest has ended, to its last byte", async () => {
    const child = spawn("cat", [], { stdio: ["pipe", "ignore", "inherit"] });
    claim(identityOf(child.pid ?? 0) ?? {});
    writeFileSync(join(session, "serial.log"), "before\n");
    const guest = await findLivingGuest(session);
    let text = "";
    for await (const bytes of followConsole(guest, 3, signal)) {
      text += Buffer.from(bytes).toString();
      if (text === "ore\n") {
        appendFileSync(join(session, "serial.log"), "last words");
        child.stdin.end();
      }
    }
    expect(text).toBe("ore\nlast words");
  });

  test("from the last lines, whole", async () => {
    writeFileSync(join(session, "serial.log"), "one\ntwo\nthree\nprompt# ");
    expect(await lastLinesOffset({ directory: session }, 1000)).toBe(0);
    expect(await lastLinesOffset({ directory: session }, 16)).toBe(8);
    writeFileSync(join(session, "serial.log"), "x".repeat(100));
    expect(await lastLinesOffset({ directory: session }, 10)).toBe(90);
  });
});

describe("the monitor", () => {
  test("is spoken to by a name of any length", async () => {
    const deep = join(session, "d".repeat(120));
    mkdirSync(deep);
    const server = createServer((socket) => {
      socket.write('{"QMP": {}}\n');
      socket.on("data", (text) => {
        for (const line of text.toString().trim().split("\n")) {
          const { execute, id } = JSON.parse(line) as { execute: string; id: number };
          socket.write(`${JSON.stringify({ return: execute, id })}\n`);
        }
      });
    });
    await using folder = await open(deep, "r");
    await new Promise<void>((resolve) => server.listen(`/proc/self/fd/${folder.fd}/monitor.sock`, resolve));
    const guest = { ...(await findLivingGuest(session)), monitorSocket: join(deep, "monitor.sock") };
    expect(await withMonitor(guest, (qmp) => qmp.execute("query-status"))).toBe("query-status");
    await new Promise((resolve) => server.close(resolve));
  });

  test("that is not there is said", async () => {
    const guest = await findLivingGuest(session);
    await expect(withMonitor(guest, async () => {})).rejects.toThrow(/monitor\.sock.*ENOENT/);
  });
});

describe("the session's end", () => {
  test("is waited for", async () => {
    const closed = untilClosed(session, signal);
    writeFileSync(join(session, "SESSION_COMPLETE"), "");
    await closed;
  });

  test("never comes where its recorder is dead", async () => {
    writeFileSync(join(session, "owner.json"), JSON.stringify({ ...ownIdentity(), pid_start_ticks: "1", scratch_dir: session }));
    await expect(untilClosed(session, signal)).rejects.toThrow(/recorder has died/);
  });
});
