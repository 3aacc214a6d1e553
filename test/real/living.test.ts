/** One guest that lives until it is told to end, and what people do with it meanwhile; then the same boot again. */
import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { demoImage, eventually, type Running, readRecorded, run, sessionDirectories, start, type Workplace, workplace } from "./harness.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/cli/hiperiso.js", import.meta.url));

/** A command on a terminal of its own, which util-linux' script(1) makes; it stays open until it is ended. */
function onTerminal(command: string): { readonly child: ChildProcess; readonly shown: () => string; readonly ended: Promise<void> } {
  const child = spawn("script", ["-qefc", command, "/dev/null"], { stdio: ["pipe", "pipe", "inherit"] });
  let text = "";
  child.stdout!.setEncoding("utf8").on("data", (more: string) => {
    text += more;
  });
  return { child, shown: () => text, ended: new Promise((resolve) => child.once("close", () => resolve())) };
}

describe("a guest that runs until it is stopped", () => {
  let place: Workplace;
  let guest: Running;
  let session = "";
  const serial = () => readFileSync(join(session, "serial.log"), "latin1");
  const hiperiso = (...words: readonly string[]) => run([...words, "--log-dir", place.logs]);
  const quoted = (...words: readonly string[]) => [process.execPath, PROGRAM, ...words].map((word) => `'${word}'`).join(" ");

  beforeAll(async () => {
    place = await workplace();
    const image = await demoImage();
    guest = start([
      "boot",
      image,
      "--firmware",
      "bios",
      "--ram",
      "256",
      "--until",
      "never",
      "--log-dir",
      place.logs,
      "--trace-level",
      "none",
    ]);
    await guest.lineMatching(/ login /);
    session = sessionDirectories(place.logs)[0]!;
  });
  afterAll(async () => {
    guest.child.kill("SIGTERM");
    await guest.finished;
    await place[Symbol.asyncDispose]();
  });

  test("send types into its console: a login, and a command whose answer stands in the log", async () => {
    expect((await hiperiso("send", "root")).status).toBe(0);
    await eventually(() => serial().includes("\n/root # "));
    expect((await hiperiso("send", "echo sum-$((40 + 2))")).status).toBe(0);
    await eventually(() => serial().includes("\nsum-42"));
  });

  test("attach is a terminal: keys go there, the screen comes back, the escape key leaves, and the terminal is as before", async () => {
    const attach = quoted("attach", "--log-dir", place.logs);
    const terminal = onTerminal(`stty -a > '${place.root}/before'; ${attach}; stty -a > '${place.root}/after'; echo left-it`);
    await eventually(() => terminal.shown().includes("leaves."));
    terminal.child.stdin!.write("echo by-hand-$((6 * 7))\r");
    await eventually(() => terminal.shown().includes("by-hand-42"));
    // Only when the shell has left its line editor is Ctrl-C a signal: its own answer tells so, the echo of what is typed does not.
    terminal.child.stdin!.write("echo slee''ping; sleep 1000\r");
    await eventually(() => terminal.shown().includes("sleeping"));
    terminal.child.stdin!.write("\x03echo after-ctrl-c-$((1 + 1))\r"); // Ctrl-C is the guest's
    await eventually(() => terminal.shown().includes("after-ctrl-c-2"));
    terminal.child.stdin!.write("\x1d");
    await eventually(() => terminal.shown().includes("left-it"));
    terminal.child.stdin!.end();
    await terminal.ended;
    expect(terminal.shown()).toContain("Left; the guest runs on.");
    expect(readFileSync(join(place.root, "after"), "utf8")).toBe(readFileSync(join(place.root, "before"), "utf8"));
  });

  test("a killed attach leaves the guest alone; a second one at the same time reads the same", async () => {
    const [one, other] = [
      start(["attach", "--read-only", "--log-dir", place.logs]),
      start(["attach", "--from-start", "--log-dir", place.logs]),
    ];
    await Promise.all([one, other].map(({ lineMatching }) => lineMatching(/^after-ctrl-c-2/)));
    one.child.kill("SIGKILL");
    other.child.kill("SIGTERM");
    expect((await other.finished).status).toBe(0);
    await hiperiso("send", "echo still-$((2 + 3))");
    await eventually(() => serial().includes("\nstill-5"));
  });

  test("screenshot and key: the screen that a key has changed", async () => {
    const before = join(place.root, "before.png");
    const after = join(place.root, "after.png");
    expect((await hiperiso("screenshot", before)).stdout).toBe(`${before}\n`);
    expect((await hiperiso("key", "ret", "--text", "Abc 123")).status).toBe(0);
    expect((await hiperiso("screenshot", after)).status).toBe(0);
    expect(readFileSync(after).subarray(1, 4).toString()).toBe("PNG");
    expect(statSync(after).size).toBeGreaterThan(100);
    expect((await hiperiso("screenshot")).stdout.trim()).toBe(join(session, "screen-asked-1.png"));
    expect((await hiperiso("key", "ctrl-alt-nothing")).status).toBe(2);
  });

  test("stop ends it, and the session is closed as any other", async () => {
    expect((await hiperiso("stop")).status).toBe(0);
    expect((await guest.finished).status).toBe(1);
    const { ending, session: closed, files } = readRecorded(session);
    expect(ending.reason).toBe("guest_shutdown");
    expect(closed).toMatchObject({ status: "complete" });
    expect(files).toContain("screen-asked-1.png");
    for (const words of [["send", "x"], ["attach"], ["stop"]]) {
      const late = await hiperiso(...words);
      expect(late.status, words.join(" ")).toBe(2);
      expect(late.stderr).toContain("one session that runs");
    }
    expect((await hiperiso("send", "x", "--session", session)).stderr).toContain("one that is over");
  });

  test("rerun boots it again, with changes, into a session beside it", async () => {
    const { status, stderr } = await run(["rerun", session, "--ram", "300", "--until", "kernel", "--as", "usb"]);
    expect(status, stderr).toBe(0);
    const [, again] = sessionDirectories(place.logs);
    const recorded = readRecorded(again!);
    expect(recorded.session).toMatchObject({ guest_ram_mb: 300, result: "success", firmware: "bios" });
    expect(readFileSync(join(again!, "qemu.cmdline"), "utf8")).toContain("usb-storage");
    expect((recorded.session as unknown as { request: { options: unknown } }).request.options).toContainEqual({
      flag: "--firmware",
      value: "bios",
    });
  });
});
