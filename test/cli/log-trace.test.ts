import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { LOG_PROGRAM } from "../../src/cli/log-commands.ts";
import { runProgram } from "../../src/cli/program.ts";
import { EXIT } from "../../src/contract/error.ts";
import { SimpletraceEncoder } from "../../src/formats/simpletrace.ts";
import { keptStreams } from "./streams.ts";

let session: string;
let trace: string;
beforeEach(async () => {
  session = await mkdtemp(join(tmpdir(), "hiperiso-log-trace-"));
  trace = join(session, "trace.bin");
  await writeFile(trace, sample());
  await writeFile(join(session, "trace.events"), EVENTS);
});
afterEach(() => rm(session, { recursive: true, force: true }));

const EVENTS = [
  'blk_co_preadv(void *bs, int64_t offset, uint64_t bytes) "bs %p offset %" PRId64 " bytes %" PRIu64',
  'loader_write_rom(const char *name, bool isrom) "%s: ROM=%d"',
  'dump(const char *text) "text:\\n%s"',
  "",
].join("\n");

const ORIGIN_NS = 7_000_000_000n;

function sample(): Uint8Array {
  const encoder = new SimpletraceEncoder();
  encoder.header();
  for (const [id, name] of ["blk_co_preadv", "loader_write_rom", "dump", "undeclared"].entries()) encoder.mapping(id, name);
  encoder.event(1, ORIGIN_NS + 500_000_000n, 42, [Buffer.from('bios-256k.bin, "a"'), 1n]);
  encoder.event(0, ORIGIN_NS + 1_000_000_001n, 43, [0x55aan, 2n ** 64n - 512n, 2n ** 63n]);
  encoder.event(2, ORIGIN_NS + 1_500_000_000n, 42, [Buffer.from("\u001b[2J\u009b ä \xff", "latin1")]);
  encoder.event(3, ORIGIN_NS + 1_600_000_000n, 42, [1n, 2n]);
  encoder.dropped(ORIGIN_NS + 1_700_000_000n, 42, 903_208n);
  encoder.event(0, ORIGIN_NS + 2_000_000_000n, 43, [0n, 4096n, 512n]);
  return encoder.take();
}

async function run(...line: readonly string[]) {
  const streams = keptStreams();
  const status = await runProgram(LOG_PROGRAM, ["trace", ...line], streams, new AbortController().signal);
  return { status, out: streams.stdout(), err: streams.stderr() };
}

describe("hiperiso-log trace", () => {
  test("prints events as QEMU does, harmless for a terminal; times count from the first", async () => {
    expect(await run(trace)).toEqual({
      status: 0,
      err: "",
      out: [
        '    0.000000000 42 loader_write_rom bios-256k.bin, "a": ROM=1',
        "    0.500000001 43 blk_co_preadv bs 0x55aa offset -512 bytes 9223372036854775808",
        "    1.000000000 42 dump text:\\x0a\\x1b[2J\\x9b \\xe4 \\xff",
        "    1.100000000 42 undeclared (not declared, 16 bytes)",
        "    1.200000000 42 (903208 events dropped)",
        "    1.500000000 43 blk_co_preadv bs (nil) offset 4096 bytes 512",
        "",
      ].join("\n"),
    });
  });

  test("counts from QEMU's start where the session tells it, and takes the session for its trace", async () => {
    const none = { over_limit: 0, too_fast: 0, dropped_by_qemu: 0, unread: 0, ambiguous: 0, foreign_lines: 0, clock_steps: 0 };
    const facts = {
      level: "standard",
      source: "text",
      origin_ns: String(ORIGIN_NS),
      ended: true,
      events: 5,
      dropped: 0,
      floods: {},
      ...none,
      trouble: null,
    };
    await writeFile(join(session, "trace.json"), JSON.stringify(facts));
    const { out } = await run(session);
    expect(out.split("\n")[0]).toBe('    0.500000000 42 loader_write_rom bios-256k.bin, "a": ROM=1');
    await writeFile(join(session, "trace.json"), "{ damaged");
    expect((await run(session)).out).toMatch(/^ {4}0\.000000000 42 /);
  });

  test("JSON: an object a line, numbers as their types have them, large ones as text", async () => {
    const { out, status } = await run(trace, "--format", "json");
    expect(status).toBe(0);
    expect(
      out
        .trimEnd()
        .split("\n")
        .map((line) => JSON.parse(line) as unknown),
    ).toEqual([
      { time_ns: 0, pid: 42, event: "loader_write_rom", args: { name: 'bios-256k.bin, "a"', isrom: 1 } },
      { time_ns: 500_000_001, pid: 43, event: "blk_co_preadv", args: { bs: "0x55aa", offset: -512, bytes: "9223372036854775808" } },
      { time_ns: 1_000_000_000, pid: 42, event: "dump", args: { text: expect.stringMatching(/^\u001b\[2J/) } },
      { time_ns: 1_100_000_000, pid: 42, event: "undeclared", raw: "01000000000000000200000000000000" },
      { time_ns: 1_200_000_000, pid: 42, dropped: 903_208 },
      { time_ns: 1_500_000_000, pid: 43, event: "blk_co_preadv", args: { bs: "0x0", offset: 4096, bytes: 512 } },
    ]);
    expect(out).not.toMatch(/[\u001b\u009b]/);
  });

  test("CSV: cells with commas and quotes are quoted", async () => {
    const { out } = await run(trace, "--format", "csv");
    expect(out.split("\n").slice(0, 3)).toEqual([
      "time_ns,pid,event,arguments",
      '0,42,loader_write_rom,"name=bios-256k.bin, ""a"" isrom=1"',
      "500000001,43,blk_co_preadv,bs=0x55aa offset=-512 bytes=9223372036854775808",
    ]);
    expect(out).toContain("1200000000,42,dropped,count=903208\n");
  });

  test("only some events, and only from one moment to another", async () => {
    const names = (out: string) =>
      out
        .trimEnd()
        .split("\n")
        .map((line) => line.trim().split(" ")[2]);
    expect(names((await run(trace, "--event", "blk_*", "--event", "dum?")).out)).toEqual(["blk_co_preadv", "dump", "blk_co_preadv"]);
    expect(names((await run(trace, "--from", "0.5", "--to", "1000ms")).out)).toEqual(["blk_co_preadv", "dump"]);
    expect((await run(trace, "--from", "9s")).out).toBe("");
  });

  test("the summary counts, for people and for programs", async () => {
    const { out } = await run(trace, "--summary");
    expect(out.split("\n").map((line) => line.trim().split(/ +/))).toEqual([
      ["5", "events", "of", "4", "kinds", "in", "1.500", "s,", "903208", "dropped"],
      ["count", "bytes", "first", "s", "last", "s", "event"],
      ["2", "112", "0.500", "1.500", "blk_co_preadv"],
      ["1", "45", "1.000", "1.000", "dump"],
      ["1", "62", "0.000", "0.000", "loader_write_rom"],
      ["1", "48", "1.100", "1.100", "undeclared"],
      [""],
    ]);
    expect(JSON.parse((await run(trace, "--summary", "--format", "json")).out)).toMatchObject({
      records: 5,
      dropped: "903208",
      events: [{ event: "blk_co_preadv", count: 2, first_ns: 500_000_001, last_ns: 1_500_000_000 }, {}, {}, {}],
    });
    expect((await run(trace, "--summary", "--format", "csv")).out.split("\n")[1]).toBe('"blk_co_preadv",2,112,500000001,1500000000');
  });

  test("a damaged trace: whole records, then the offset and the reason, exit status 3", async () => {
    const whole = sample();
    for (const length of [0, 10, 24 + 5, whole.length - 1, whole.length - 30]) {
      await writeFile(trace, whole.subarray(0, length));
      const { status, out, err } = await run(trace);
      expect(status).toBe(EXIT.failure);
      expect(err).toMatch(/trace\.bin@\d+/);
      expect((await run(session, "--summary")).status).toBe(EXIT.failure);
      if (length > 100) expect(out.trimEnd().split("\n")).toHaveLength(5);
    }
    await writeFile(trace, Buffer.concat([whole, Buffer.alloc(100, 7)]));
    const { status, out, err } = await run(trace);
    expect({ status, lines: out.trimEnd().split("\n").length }).toEqual({ status: EXIT.failure, lines: 6 });
    expect(err).toContain(`trace.bin@${whole.length}`);
    expect(err).toContain("record type 0 or 1");
  });

  test("an empty trace prints nothing and is no error", async () => {
    const encoder = new SimpletraceEncoder();
    encoder.header();
    await writeFile(trace, encoder.take());
    expect(await run(trace)).toEqual({ status: 0, out: "", err: "" });
    expect((await run(trace, "--summary")).out).toBe("0 events of 0 kinds in 0.000 s, 0 dropped\n");
  });

  test("other declarations can be given", async () => {
    const other = join(session, "other");
    await writeFile(other, 'undeclared(int a, int b) "a=%d b=%d"\n');
    expect((await run(trace, "--events", other, "--event", "undeclared")).out).toBe("    1.100000000 42 undeclared a=1 b=2\n");
  });

  test.each([
    [[], "missing"],
    [["missing.bin"], "ENOENT"],
    [["FOLDER"], "ENOENT"],
    [["TRACE", "--format", "xml"], "Allowed choices"],
    [["TRACE", "--from", "soon"], "seconds"],
    [["TRACE", "--event", "a b"], "--event"],
    [["TRACE", "--events", "missing"], "nothing by this name"],
  ])("wrong usage ends with 2: %j", async (line, says) => {
    const folder = join(session, "empty");
    await mkdir(folder);
    const { status, err } = await run(...line.map((word) => (word === "TRACE" ? trace : word === "FOLDER" ? folder : word)));
    expect(status).toBe(EXIT.usage);
    expect(err).toContain(says);
  });
});
