import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openStageLog } from "../../src/live/stage-log.ts";
import { askTool, runTool } from "../../src/live/tool.ts";

const signal = new AbortController().signal;
const options = { env: process.env, signal };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-tool-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

describe("a tool", () => {
  test("gives its standard output, and in an error the end of both", async () => {
    expect(await runTool("sh", ["-c", "echo one; echo two >&2"], options)).toBe("one");
    const lines = Array.from({ length: 30 }, (_, index) => `line ${index}`);
    const failing = runTool("sh", ["-c", `printf '%s\\n' ${lines.map((line) => `'${line}'`).join(" ")} >&2; exit 3`], options);
    await expect(failing).rejects.toMatchObject({ what: "run sh", found: `3: ${lines.slice(-12).join("\n")}` });
  });

  test("sees no variable of the person but those that tools need", async () => {
    const env = { ...process.env, SECRET: "x", http_proxy: "http://proxy" };
    const lines = (await runTool("env", [], { ...options, env, variables: { OWN: "y" } })).split("\n");
    expect(lines).toEqual(expect.arrayContaining(["LC_ALL=C.UTF-8", "TZ=UTC", "OWN=y", "http_proxy=http://proxy"]));
    expect(lines.some((line) => line.startsWith("SECRET="))).toBe(false);
  });

  test("reads its input, and may stop reading it", async () => {
    expect(await runTool("wc", ["-c"], { ...options, input: Readable.from([Buffer.alloc(1_000_000)]) })).toBe("1000000");
    const endless = Readable.from(
      (function* () {
        for (;;) yield Buffer.alloc(65_536);
      })(),
    );
    expect(await runTool("head", ["-c", "3"], { ...options, input: endless })).toBe("\0\0\0");
  });

  test("whose input cannot be read fails, though the tool does not notice", async () => {
    const broken = new Readable({ read: (): void => void broken.destroy(new Error("the medium is gone")) });
    await expect(runTool("cat", [], { ...options, input: broken })).rejects.toThrow(/its input: the medium is gone/);
  });

  test("that is killed, or is not there, is told", async () => {
    await expect(askTool("sh", ["-c", "echo before; kill -KILL $$"], options)).rejects.toThrow(/killed by SIGKILL: before/);
    await expect(askTool("no-such-tool", [], options)).rejects.toThrow(/find a program: no-such-tool/);
  });

  test("that says more than fits in memory is ended", async () => {
    await expect(askTool("cat", ["/dev/zero"], options)).rejects.toThrow(/more than 64 MiB on its standard output/);
  });

  test("takes with it what it left running", async () => {
    const pid = await runTool("sh", ["-c", "sleep 1000000 >/dev/null 2>&1 & echo $!"], options);
    // SIGKILL is under way when the tool is reported: the process is gone once it is scheduled.
    const state = async (): Promise<string> =>
      (await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")).replace(/^.*\) /s, "").slice(0, 1);
    await expect.poll(async () => ["", "Z", "X"].includes(await state()), { timeout: 60_000 }).toBe(true);
  });

  test("at an abort is ended with all it started, also what does not want to", async () => {
    const abort = new AbortController();
    const pidFile = join(folder, "pid");
    const tool = askTool(
      "sh",
      ["-c", `sh -c 'trap "" TERM; echo $$ >"$0.new"; mv "$0.new" "$0"; while :; do sleep 1000000; done' "$0"`, pidFile],
      {
        ...options,
        signal: abort.signal,
      },
    );
    let pid = "";
    while (pid === "") pid = (await readFile(pidFile, "utf8").catch(() => "")).trim();
    abort.abort(new Error("Ctrl-C"));
    await expect(tool).rejects.toThrow("Ctrl-C");
    // SIGKILL is under way when the tool is reported: the process is gone once it is scheduled.
    const state = async (): Promise<string> =>
      (await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "")).replace(/^.*\) /s, "").slice(0, 1);
    await expect.poll(async () => ["", "Z", "X"].includes(await state()), { timeout: 60_000 }).toBe(true);
  });

  test("writes its command and both outputs into the log", async () => {
    using log = openStageLog(join(folder, "log"));
    await askTool("sh", ["-c", "echo out; echo err >&2; exit 1"], { ...options, log });
    const text = await readFile(log.path, "utf8");
    expect(text.split("\n")[0]).toBe("$ sh -c 'echo out; echo err >&2; exit 1'");
    expect(text.split("\n").slice(1, 3).sort()).toEqual(["err", "out"]);
  });
});

describe("a log", () => {
  test("grows at its end, and knows its last lines", async () => {
    using log = openStageLog(join(folder, "log"));
    log.append("one\ntw");
    log.append(Buffer.from("o\nthree\n"));
    expect(log.lastLines(2)).toEqual(["two", "three"]);
    expect(await readFile(log.path, "utf8")).toBe("one\ntwo\nthree\n");
  });

  test("keeps a letter that comes in two pieces whole", () => {
    using log = openStageLog(join(folder, "log"));
    const bytes = Buffer.from("ä\n");
    log.append(bytes.subarray(0, 1));
    log.append(bytes.subarray(1));
    expect(log.lastLines(1)).toEqual(["ä"]);
  });

  test.each(["/dev/full", "/proc/none/log"])("that cannot be written (%s) stops nothing", (path) => {
    using log = openStageLog(path);
    log.append("still known\n");
    expect(log.lastLines(5)).toEqual(["still known"]);
  });

  test("of a stage that has said nothing has no lines", async () => {
    await writeFile(join(folder, "log"), "");
    using log = openStageLog(join(folder, "log"));
    expect(log.lastLines(5)).toEqual([]);
  });
});
