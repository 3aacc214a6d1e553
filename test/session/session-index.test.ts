import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { indexLineSchema } from "../../src/contract/session.ts";
import { appendIndexLine, readIndex } from "../../src/session/session-index.ts";
import { buildProgram } from "../cli/built-program.ts";
import { indexLine, never } from "./fixtures.ts";

let logs: string;
let path: string;
beforeEach(async () => {
  logs = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  path = join(logs, "index.jsonl");
});
afterEach(() => rm(logs, { recursive: true }));

const ids = async () => (await readIndex(logs)).lines.map(({ session_id }) => session_id);
const append = (id: string) => appendIndexLine(logs, indexLine(id), never);

describe("appending", () => {
  test("one compact object a line, in order; a session has one line whatever happens", async () => {
    for (const id of ["a", "b", "a", "a-2", "b"]) await append(id);
    expect(await ids()).toEqual(["a", "b", "a-2"]);
    const text = await readFile(path, "utf8");
    expect(text).toBe(["a", "b", "a-2"].map((id) => `${JSON.stringify(indexLine(id))}\n`).join(""));
  });

  test("an id that stands in another field is no duplicate", async () => {
    await appendIndexLine(logs, indexLine("a", { iso_basename: "b" }), never);
    await append("b");
    expect(await ids()).toEqual(["a", "b"]);
  });

  test("text with line ends and quotes stays one line", async () => {
    await appendIndexLine(logs, indexLine("a", { iso_path: '/x\n{"session_id":"b"}\u2028"' }), never);
    await append("b");
    const { lines, unreadable } = await readIndex(logs);
    expect(lines[0]!.iso_path).toBe('/x\n{"session_id":"b"}\u2028"');
    expect([lines.length, unreadable.length]).toEqual([2, 0]);
  });

  test("fifty sessions of five processes that end at the same moment: fifty whole lines", async () => {
    const built = buildProgram();
    const script = `
      import { appendIndexLine } from ${JSON.stringify(pathToFileURL(built.module("session/session-index.js")).href)};
      const [logs, line, from] = process.argv.slice(1);
      const never = new AbortController().signal;
      await Promise.all(Array.from({ length: 10 }, (_, index) =>
        appendIndexLine(logs, { ...JSON.parse(line), session_id: "s" + (Number(from) + index) }, never)));`;
    const children = [0, 10, 20, 30, 40].map((from) =>
      spawn(process.execPath, ["--input-type=module", "-e", script, logs, JSON.stringify(indexLine("x")), String(from)], {
        stdio: ["ignore", "ignore", "inherit"],
      }),
    );
    const ended = await Promise.all(children.map((child) => once(child, "exit")));
    built.remove();
    expect(ended.map(([code]) => code)).toEqual([0, 0, 0, 0, 0]);
    const text = await readFile(path, "utf8");
    const lines = text.trimEnd().split("\n");
    expect(lines.map((line) => indexLineSchema.parse(JSON.parse(line)).session_id).sort()).toEqual(
      Array.from({ length: 50 }, (_, index) => `s${index}`).sort(),
    );
    expect(text.endsWith("\n")).toBe(true);
  });
});

describe("a last line without its end", () => {
  const whole = JSON.stringify(indexLine("größe"));
  const bytes = Buffer.from(whole);

  test("cut at any byte it goes, and its session can be added again", async () => {
    for (let length = 1; length < bytes.length; length += 7) {
      await writeFile(path, Buffer.concat([Buffer.from(`${JSON.stringify(indexLine("first"))}\n`), bytes.subarray(0, length)]));
      await append("größe");
      expect(await ids(), `${length} bytes`).toEqual(["first", "größe"]);
      expect((await readIndex(logs)).unreadable).toEqual([]);
    }
  });

  test("whole, it gets its end and counts", async () => {
    await writeFile(path, whole);
    await append("größe");
    await append("next");
    expect(await ids()).toEqual(["größe", "next"]);
  });

  test("one that another version wrote stays", async () => {
    await writeFile(path, '{"session_id":"of tomorrow","status":"paused"}');
    await append("next");
    expect(await readFile(path, "utf8")).toBe(`{"session_id":"of tomorrow","status":"paused"}\n${JSON.stringify(indexLine("next"))}\n`);
  });

  test("bytes that are no text, in a line before it, do not move the cut", async () => {
    const garbage = Buffer.from([0xff, 0xfe, 0x80, 0x00, 0xc3, 0x0a]);
    await writeFile(path, Buffer.concat([garbage, bytes.subarray(0, 20)]));
    await append("next");
    const content = await readFile(path);
    expect(content.subarray(0, garbage.length)).toEqual(garbage);
    expect(content.subarray(garbage.length).toString()).toBe(`${JSON.stringify(indexLine("next"))}\n`);
  });
});

describe("reading", () => {
  test("no index is an empty one", async () => {
    expect(await readIndex(logs)).toEqual({ lines: [], unreadable: [] });
  });

  test("lines that are none are told by number, and stop nothing", async () => {
    const line = JSON.stringify(indexLine("a"));
    await writeFile(path, `nonsense\n${line}\n\n{"session_id":"b"}\nnull\n${line.slice(0, 50)}`);
    const { lines, unreadable } = await readIndex(logs);
    expect(lines.map(({ session_id }) => session_id)).toEqual(["a"]);
    expect(unreadable).toEqual([1, 4, 5, 6]);
  });

  test("a folder in its place is an error that names it, for readers and writers", async () => {
    await mkdir(path);
    await expect(readIndex(logs)).rejects.toThrow(HiperisoError);
    await expect(append("a")).rejects.toThrow(/EISDIR/);
  });
});
