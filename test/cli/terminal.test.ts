import { describe, expect, test } from "vitest";
import { byteSize, duration, openTerminal } from "../../src/cli/terminal.ts";
import { keptStreams } from "./streams.ts";

function open(given: Parameters<typeof keptStreams>[0], asJson = false) {
  const streams = keptStreams(given);
  return { streams, ...openTerminal(streams, { asJson, signal: new AbortController().signal, exit: () => {} }) };
}

/** What stands on a terminal after `text`: \r goes to the line's start, CSI K clears to its end. */
function screenOf(text: string): string[] {
  const lines = [""];
  let column = 0;
  for (const [token] of text.matchAll(/\x1b\[K|\x1b\[[0-9;]*m|[\s\S]/gu)) {
    const line = lines.at(-1)!;
    if (token === "\n") {
      lines.push("");
      column = 0;
    } else if (token === "\r") column = 0;
    else if (token === "\x1b[K") lines[lines.length - 1] = line.slice(0, column);
    else if (!token.startsWith("\x1b")) {
      lines[lines.length - 1] = line.slice(0, column) + token + line.slice(column + 1);
      column += 1;
    }
  }
  return lines;
}

describe("progress on a terminal", () => {
  test("is one line below what was said, and gone when the work has ended", () => {
    const { streams, cli } = open({ interactive: true });
    const step = cli.job.progress.begin("write /dev/sdx", 1000n);
    cli.job.progress.say("checking");
    expect(screenOf(streams.stderr())).toEqual(["checking", "write /dev/sdx"]);
    step.advance(500);
    cli.job.progress.warn("slow");
    expect(screenOf(streams.stderr()).slice(0, 2)).toEqual(["checking", "warning: slow"]);
    expect(screenOf(streams.stderr())[2]).toMatch(/^write \/dev\/sdx {2}500 B of 1000 B {2}50 % {2}.*\/s$/);
    step.end();
    step.end();
    expect(screenOf(streams.stderr())).toEqual(["checking", "warning: slow", ""]);
  });

  test("shows the youngest of several steps, then the one before", () => {
    const { streams, cli } = open({ interactive: true });
    const outer = cli.job.progress.begin("outer");
    const inner = cli.job.progress.begin("inner");
    expect(screenOf(streams.stderr())).toEqual(["inner"]);
    inner.end();
    expect(screenOf(streams.stderr())).toEqual(["outer"]);
    outer.end();
  });

  test("never wraps, and never lets a name speak to the terminal", () => {
    const { streams, cli } = open({ interactive: true });
    cli.job.progress.begin(`光${"x".repeat(200)}\x1b]0;title\x07`);
    expect(screenOf(streams.stderr())[0]).toHaveLength(78); // 79 columns, the first letter takes two
    cli.job.progress.say("a\x1b[2Jb\rc");
    expect(streams.stderr()).not.toMatch(/\x1b\]|\x1b\[2J/);
  });

  test("gives way to a result", () => {
    const { streams, cli } = open({ interactive: true });
    cli.job.progress.begin("work");
    cli.out("result\n");
    expect(screenOf(streams.stderr())).toEqual([""]);
    expect(streams.stdout()).toBe("result\n");
  });
});

describe("progress elsewhere", () => {
  test("is plain lines", () => {
    const { streams, cli } = open({});
    const step = cli.job.progress.begin("write a.img", 1000n);
    step.advance(500);
    step.end();
    cli.job.progress.say("said\x1b[1m");
    cli.job.progress.warn("careful");
    expect(streams.stderr()).toBe("write a.img\nsaid\\x1b[1m\nwarning: careful\n");
  });

  test("is plain lines on a terminal that cannot move its cursor", () => {
    const { streams, cli } = open({ interactive: true, env: { TERM: "dumb" } });
    cli.job.progress.begin("write a.img");
    expect(streams.stderr()).toBe("write a.img\n");
  });

  test("is one JSON object a line where JSON was asked for", () => {
    const { streams, cli } = open({ interactive: true }, true);
    const step = cli.job.progress.begin("write a.img", 1000n);
    step.advance(500);
    step.end();
    cli.job.progress.say("said");
    cli.job.progress.warn("careful");
    const events = streams
      .stderr()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events).toEqual([
      { event: "step_begin", step: 1, title: "write a.img", total: 1000 },
      { event: "step_end", step: 1, done: 500, elapsed_ms: expect.any(Number) },
      { event: "message", text: "said" },
      { event: "warning", text: "careful" },
    ]);
    cli.json({ a: 1 });
    expect(streams.stdout()).toBe('{\n  "a": 1\n}\n');
  });
});

test.each([
  [0, "0 B"],
  [1023, "1023 B"],
  [1024, "1.0 KiB"],
  [1_572_864, "1.5 MiB"],
  [107_374_182_400, "100 GiB"],
])("%d bytes are %s", (bytes, text) => {
  expect(byteSize(bytes)).toBe(text);
});

test.each([
  [900, "1 s"],
  [59_400, "59 s"],
  [185_000, "3 min 05 s"],
  [7_800_000, "2 h 10 min"],
])("%d ms are %s", (milliseconds, text) => {
  expect(duration(milliseconds)).toBe(text);
});
