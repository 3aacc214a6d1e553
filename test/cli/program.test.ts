import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Program, runProgram } from "../../src/cli/program.ts";
import { EXIT, HiperisoError } from "../../src/contract/error.ts";
import { type BuiltProgram, buildProgram } from "./built-program.ts";
import { keptStreams } from "./streams.ts";

const loaded: string[] = [];

/** A program whose command `open` fails as it is told to, and whose command `list` prints. */
const program: Program = {
  name: "prog",
  description: "A program.",
  examples: [["prog list", "what there is"]],
  commands: [
    {
      name: "open",
      summary: "open something",
      load: async () => {
        loaded.push("open");
        return {
          command: () =>
            new Command("open")
              .argument("<how>")
              .option("--json")
              .option("--speed <n>")
              .action((how) => {
                throw thrown[how];
              }),
        };
      },
    },
    {
      name: "list",
      summary: "list things",
      load: async () => {
        loaded.push("list");
        return {
          command: (cli) =>
            new Command("list").option("--json").action(() => {
              cli.out("one\n");
              cli.exit(EXIT.goalMissed);
            }),
        };
      },
    },
  ],
};

const facts = { what: "read the header", where: "/a\x1b[31m@512", expected: '"EFI PART"', found: "zeros", hint: "Look again." } as const;
const thrown: Record<string, unknown> = {
  usage: new HiperisoError({ ...facts, kind: "usage" }),
  failure: new HiperisoError({ ...facts, cause: new Error("EIO") }),
  fault: new TypeError("x is not a function"),
  system: Object.assign(new Error("ENOSPC: no space left on device, write"), { code: "ENOSPC", syscall: "write", path: "/full" }),
};

async function run(line: string, given: Parameters<typeof keptStreams>[0] = {}, signal: AbortSignal = new AbortController().signal) {
  const streams = keptStreams(given);
  const status = await runProgram(
    program,
    line.split(" ").filter((word) => word !== ""),
    streams,
    signal,
  );
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("a command line", () => {
  test("loads the called command alone", async () => {
    loaded.length = 0;
    expect(await run("list")).toEqual({ status: 1, stdout: "one\n", stderr: "" });
    expect(loaded).toEqual(["list"]);
  });

  test("loads no command for --help, which lists them all and leads to examples", async () => {
    loaded.length = 0;
    const { status, stdout } = await run("--help");
    expect(status).toBe(0);
    expect(stdout).toMatch(/open +open something\n +list +list things\n/);
    expect(stdout).toMatch(/Examples:\n {2}prog list {2}what there is\n$/);
    expect(loaded).toEqual([]);
  });

  test("without a command gets the help on stderr, and exit status 2", async () => {
    const { status, stdout, stderr } = await run("");
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toContain("Usage: prog");
  });

  test("of a command's help loads that command for its options", async () => {
    for (const line of ["help open", "open --help"]) {
      const { status, stdout } = await run(line);
      expect([status, stdout]).toEqual([0, expect.stringContaining("--speed <n>")]);
    }
  });

  test.each([
    ["opne usage", "unknown command 'opne'", "Did you mean open? See `prog --help`."],
    ["open usage --sped 3", "unknown option '--sped'", "Did you mean --speed? See `prog open --help`."],
    ["open", "missing required argument 'how'", "See `prog open --help`."],
    ["open usage more", "too many arguments for 'open'. Expected 1 argument but got 2.", "See `prog open --help`."],
    ["open usage --speed", "option '--speed <n>' argument missing", "See `prog open --help`."],
    ["--nonsense", "unknown option '--nonsense'", "See `prog --help`."],
  ])("that is wrong (%s) ends with exit status 2 and says what to do", async (line, message, hint) => {
    expect(await run(line)).toEqual({ status: 2, stdout: "", stderr: `error: ${message}\n  hint      ${hint}\n` });
  });

  test("prints the version of package.json", async () => {
    expect(await run("--version")).toEqual({ status: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/), stderr: "" });
  });
});

describe("an error", () => {
  const lines = 'error: cannot read the header\n  where     /a\\x1b[31m@512\n  expected  "EFI PART"\n  found     zeros\n';

  test("is printed in lines, its text made harmless, with the exit status of its kind", async () => {
    expect(await run("open usage")).toEqual({ status: 2, stdout: "", stderr: `${lines}  hint      Look again.\n` });
    expect(await run("open failure")).toEqual({ status: 3, stdout: "", stderr: `${lines}  because   EIO\n  hint      Look again.\n` });
  });

  test("is one JSON object on stderr with --json, wherever it stands on the line", async () => {
    for (const line of ["open usage --json", "open --json usage", "--json open usage"]) {
      const { status, stderr } = await run(line);
      expect(status).toBe(2);
      expect(JSON.parse(stderr)).toEqual({
        event: "error",
        kind: "usage",
        message: "cannot read the header",
        where: facts.where,
        expected: '"EFI PART"',
        found: "zeros",
        hint: "Look again.",
      });
    }
    const { stderr } = await run("open usage --sped --json");
    expect(JSON.parse(stderr)).toMatchObject({ event: "error", kind: "usage", message: "unknown option '--sped'" });
  });

  test("behind -- does not turn JSON on", async () => {
    const { stderr } = await run("open -- --json");
    expect(stderr).toMatch(/^error: /);
  });

  test("that is a fault of the program says so, and shows its stack only with HIPERISO_DEBUG=1", async () => {
    const quiet = await run("open fault");
    expect(quiet.status).toBe(3);
    expect(quiet.stderr).toMatch(/^error: prog failed in a way it should not: x is not a function\n {2}hint {6}.*report it/);
    expect(quiet.stderr).not.toContain("program.test.ts");
    expect((await run("open fault", { env: { HIPERISO_DEBUG: "1" } })).stderr).toContain("program.test.ts");
  });

  test("of the system names the call and the file, and is no fault of the program", async () => {
    expect(await run("open system")).toEqual({
      status: 3,
      stdout: "",
      stderr: "error: cannot write\n  where     /full\n  found     ENOSPC: no space left on device, write\n",
    });
  });

  test("has colour on a terminal that takes it, and nowhere else", async () => {
    const hasColour = async (given: Parameters<typeof keptStreams>[0]) => (await run("open usage", given)).stderr.includes("\x1b[");
    expect(await hasColour({ interactive: true })).toBe(true);
    expect(await hasColour({ interactive: true, env: { NO_COLOR: "1" } })).toBe(false);
    expect(await hasColour({ interactive: true, env: { TERM: "dumb" } })).toBe(false);
    expect(await hasColour({})).toBe(false);
  });
});

describe("the process", () => {
  let built: BuiltProgram;
  let script: string;

  beforeAll(() => {
    built = buildProgram();
    script = join(built.folder, "waits.mjs");
    writeFileSync(
      script,
      `import { Command } from "@commander-js/extra-typings";
import { main } from ${JSON.stringify(built.module("cli/program.js"))};
const command = (cli) => new Command("wait").option("--stubborn").option("--pour").action(async ({ stubborn, pour }) => {
  cli.out("ready\\n");
  const alive = setInterval(() => pour && cli.out("line\\n".repeat(1000)), 5);
  await new Promise((resolve) => cli.job.signal.addEventListener("abort", resolve));
  cli.err("cleaning up");
  if (stubborn) await new Promise(() => {});
  clearInterval(alive);
  cli.job.signal.throwIfAborted();
});
await main({ name: "waits", description: "", examples: [], commands: [{ name: "wait", summary: "", load: async () => ({ command }) }] });
`,
    );
  });
  afterAll(() => built.remove());

  /** Starts the waiting command, sends each signal when the line before it has come, and gives how it ended. */
  async function signalled(args: readonly string[], signals: readonly (readonly [after: string, name: NodeJS.Signals])[]) {
    const child = spawn(process.execPath, [script, "wait", ...args]);
    let printed = "";
    const read = (chunk: Buffer): void => {
      printed += chunk.toString();
      if (signals[0] !== undefined && printed.includes(signals[0][0])) child.kill(signals[0][1]);
      if (signals[0] !== undefined && printed.includes(signals[0][0])) signals = signals.slice(1);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    const [status, signal] = await once(child, "close");
    return { status, signal, printed };
  }

  test.each(["SIGINT", "SIGTERM", "SIGHUP"] as const)(
    "cancels its work at %s, which can clean up, and ends with status 3",
    async (name) => {
      const { status, printed } = await signalled([], [["ready", name]]);
      expect(status).toBe(3);
      expect(printed).toBe(`ready\ncleaning up\nerror: interrupted by ${name}\n`);
    },
  );

  test("ends at the second signal, whatever it still does", async () => {
    const { status } = await signalled(
      ["--stubborn"],
      [
        ["ready", "SIGINT"],
        ["cleaning up", "SIGINT"],
      ],
    );
    expect(status).toBe(130);
  });

  test("ends without a word when its reader has seen enough", () => {
    const { stdout, stderr } = spawnSync("bash", [
      "--norc",
      "-c",
      `"$0" "$1" wait --pour | head -1; echo "status \${PIPESTATUS[0]}"`,
      process.execPath,
      script,
    ]);
    expect([stdout.toString(), stderr.toString()]).toEqual(["ready\nstatus 0\n", ""]);
  });

  test("ends with status 3 and says why when its output cannot be written", () => {
    const { status, stderr } = spawnSync("bash", ["--norc", "-c", `"$0" "$1" wait --pour > /dev/full`, process.execPath, script]);
    expect([status, stderr.toString()]).toEqual([3, "error: cannot write to standard output: ENOSPC: no space left on device, write\n"]);
  });

  test("runs the compiled hiperiso, whose help names every command", () => {
    const { status, stdout } = spawnSync(process.execPath, [built.module("cli/hiperiso.js"), "--help"]);
    expect(status).toBe(0);
    expect(stdout.toString()).toMatch(/boot .*\n +inspect .*\n/);
  });

  test("loads neither the schemas' nor the parsers' libraries for --help", () => {
    const watch = join(built.folder, "watch.mjs");
    writeFileSync(watch, `export async function load(url, context, next) { process._rawDebug(url); return next(url, context); }\n`);
    const { stderr } = spawnSync(process.execPath, ["--no-warnings", "--loader", watch, built.module("cli/hiperiso.js"), "--help"]);
    const modules = stderr.toString();
    expect(modules).toContain("/cli/program.js");
    expect(modules).not.toMatch(/zod|jsonc-parser|execa|yaml|picomatch|\/(config|host|image|session|analysis)\//);
  });
});
