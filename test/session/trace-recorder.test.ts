import { spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { SESSION_FILES } from "../../src/contract/session.ts";
import { type TraceFacts, traceFactsSchema } from "../../src/contract/trace.ts";
import { SimpletraceDecoder } from "../../src/formats/simpletrace.ts";
import { decodeTraceDeclarations } from "../../src/formats/trace-declarations.ts";
import { systemClock } from "../../src/host/clock.ts";
import type { TracePlan } from "../../src/machine/trace.ts";
import { prepareTrace } from "../../src/session/trace-recorder.ts";

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hiperiso-trace-"));
  writeFileSync(
    join(root, "all"),
    'pic_write(int master, uint64_t addr) "master %d addr 0x%" PRIx64\nother(void) ""\nregion(const char *name) "%s"\n',
  );
  writeFileSync(join(root, "tier"), "# mine\npic_*\nregion\nnot_in_this_qemu\n");
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const plan = (changes: Partial<TracePlan> = {}): TracePlan => ({
  level: "detailed",
  list: join(root, "tier"),
  declarations: join(root, "all"),
  binary: false,
  bytesMax: null,
  because: "a test",
  ...changes,
});

const prepare = (changes: Partial<TracePlan> = {}) =>
  prepareTrace({
    directory: root,
    plan: plan(changes),
    places: { list: join(root, "trace.list"), fifo: join(root, "fifo") },
    variables: join(root, "variables.fd"),
    clock: systemClock,
  });

/** What the session holds of its trace: the names and numbers of the events, in order. */
function recorded(): { readonly facts: TraceFacts; readonly names: readonly string[]; readonly rest: string; readonly events: string } {
  const text = (name: string) => readFileSync(join(root, name), "utf8");
  const events = text(SESSION_FILES.traceEvents);
  const names: string[] = [];
  const decoder = new SimpletraceDecoder(decodeTraceDeclarations(events));
  decoder.push(readFileSync(join(root, SESSION_FILES.trace)), ({ name, dropped }) => names.push(name ?? `dropped ${dropped}`));
  decoder.end();
  expect(decoder.damage).toBeUndefined();
  let rest = "";
  try {
    rest = text(SESSION_FILES.traceRest);
  } catch {
    // Nothing was left over.
  }
  return { facts: traceFactsSchema.parse(JSON.parse(text(SESSION_FILES.traceFacts))), names, rest, events };
}

/** A process that writes this into the FIFO, as QEMU does; resolves when all has gone in. */
const wrote = (script: string): Promise<number | null> =>
  new Promise((resolve) => spawn("/bin/sh", ["-c", script, "sh", join(root, "fifo")], { stdio: "ignore" }).once("close", resolve));

const LINES = `i=0; while [ $i -lt 20000 ]; do echo "pic_write master $((i % 2)) addr 0x$i"; i=$((i + 1)); done > "$1"`;

describe("the trace of a session", () => {
  test("is there from the start, and QEMU gets the list without what it does not know", async () => {
    const recorder = await prepare();
    expect(readFileSync(join(root, "trace.list"), "utf8")).toBe("pic_*\nregion\n");
    expect(traceFactsSchema.parse(JSON.parse(readFileSync(join(root, SESSION_FILES.traceFacts), "utf8")))).toMatchObject({
      ended: false,
      source: null,
    });
    await recorder.end();
    const { facts, names, events } = recorded();
    expect(facts).toMatchObject({ level: "detailed", ended: true, events: 0, dropped: 0 });
    expect(names).toEqual([]);
    expect([...decodeTraceDeclarations(events).events.keys()]).toEqual(["pic_write", "region"]);
  });

  test("takes all that a process writes, more than the pipe and its buffers hold", async () => {
    await using recorder = await prepare();
    expect(await wrote(LINES)).toBe(0);
    await recorder.end();
    const { facts, names } = recorded();
    expect(names).toHaveLength(20_000);
    expect(facts).toMatchObject({ source: "text", events: 20_000, dropped: 0, foreign_lines: 0, trouble: null });
  });

  test("an event that nobody listed is declared too, and what is no event is kept beside", async () => {
    await using recorder = await prepare();
    await wrote(`printf 'other \\nregion a\\nhello\\npic_write master 1 addr 0x1\\nregion b\\n' > "$1"`);
    await recorder.end();
    const { names, rest, events } = recorded();
    expect(names).toEqual(["other", "region", "pic_write", "region"]);
    expect(decodeTraceDeclarations(events).events.has("other")).toBe(true);
    expect(
      rest
        .trim()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([{ kind: "ambiguous", line: "region a\nhello" }]);
  });

  test("ends at its limit, and the guest goes on", async () => {
    await using recorder = await prepare({ bytesMax: 100_000 });
    expect(await wrote(LINES)).toBe(0);
    await recorder.end();
    const { facts, names } = recorded();
    expect(statSync(join(root, SESSION_FILES.trace)).size).toBeLessThan(101_000);
    expect(facts.events + facts.over_limit).toBe(20_000);
    expect(names.at(-1)).toMatch(/^dropped \d+$/);
    const missing = names.filter((name) => name.startsWith("dropped")).reduce((sum, name) => sum + Number(name.split(" ")[1]), 0);
    expect(missing).toBe(facts.over_limit);
  });

  test("a disk that takes no more ends the trace and not the guest", async () => {
    const full = await open("/dev/full", "w").catch(() => undefined);
    if (full === undefined) return;
    await full.close();
    rmSync(join(root, SESSION_FILES.trace), { force: true });
    const { symlinkSync } = await import("node:fs");
    symlinkSync("/dev/full", join(root, SESSION_FILES.trace));
    const recorder = await prepare();
    expect(await wrote(`${LINES}; ${LINES}`)).toBe(0);
    await recorder.end();
    const facts = traceFactsSchema.parse(JSON.parse(readFileSync(join(root, SESSION_FILES.traceFacts), "utf8")));
    expect(facts.trouble).toMatch(/ENOSPC/);
    expect(facts.ended).toBe(true);
  });

  test("what QEMU left unfinished when it was killed is no event", async () => {
    await using recorder = await prepare();
    await wrote(`printf 'pic_write master 1 addr 0x1\\npic_write mas' > "$1"`);
    await recorder.end();
    const { names, rest } = recorded();
    expect(names).toEqual(["pic_write"]);
    expect(JSON.parse(rest)).toEqual({ kind: "unread", line: "pic_write mas" });
  });
});
