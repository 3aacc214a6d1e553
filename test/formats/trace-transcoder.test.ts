import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { SimpletraceDecoder, SimpletraceEncoder } from "../../src/formats/simpletrace.ts";
import { ArgumentPrinter } from "../../src/formats/trace-arguments.ts";
import { decodeTraceDeclarations } from "../../src/formats/trace-declarations.ts";
import { TraceTranscoder, type TranscoderStart } from "../../src/formats/trace-transcoder.ts";

const DECLARATIONS = [
  'blk_co_pwritev(void *blk, void *bs, int64_t offset, int64_t bytes, int flags) "blk %p bs %p offset %" PRId64 " bytes %" PRId64 " flags 0x%x"',
  'bdrv_open_common(void *bs, const char *filename, int flags, const char *format_name) "bs %p filename \\"%s\\" flags 0x%x format_name \\"%s\\""',
  'region_read(uint64_t addr, const char *name) "addr 0x%" PRIx64 " name \'%s\'"',
  'pic_write(int master, uint64_t addr) "master %d addr 0x%" PRIx64',
  'dump(const char *direction, const char *text) "direction: %s\\n%s"',
  'pair(const char *a, const char *b) "%s %s"',
  'none(void) ""',
  'disable off(int a) "%d"',
].join("\n");

const ORIGIN_US = 1_769_860_800_000_000;
const START: TranscoderStart = {
  declarations: DECLARATIONS,
  expected: (name) => name !== "pair",
  floods: [
    { name: "flash", events: ["blk_co_pwritev"], argument: "bs", is: { nodeOf: "/tmp/variables.fd" } },
    { name: "timer", events: ["region_read"], argument: "name", is: { text: "acpi-tmr" } },
  ],
  originNs: 5_000_000_000n,
  originUs: ORIGIN_US,
  bytesMax: undefined,
};

const latin1 = (text: string): Uint8Array => Buffer.from(text, "latin1");
/** In the form of `-msg timestamp=on`, `us` after QEMU's start. */
const line = (us: number, text: string): string => {
  const time = ORIGIN_US + us;
  return `17@${Math.floor(time / 1e6)}.${String(time % 1e6).padStart(6, "0")}:${text}\n`;
};

/** `NANOSECONDS PROCESS NAME ARGUMENTS` of each record of a trace. */
function records(trace: Uint8Array): readonly string[] {
  const rows: string[] = [];
  const decoder = new SimpletraceDecoder(decodeTraceDeclarations(DECLARATIONS));
  decoder.push(trace, (record) => {
    const text = record.declaration === undefined ? "" : ` ${new ArgumentPrinter(record.declaration).print(record)}`;
    rows.push(`${record.timeNs - START.originNs} ${record.pid} ${record.name ?? `dropped ${record.dropped}`}${text}`);
  });
  decoder.end();
  expect(decoder.damage).toBeUndefined();
  return rows;
}

function transcoded(pieces: readonly Uint8Array[], changes: Partial<TranscoderStart> = {}, nowUs = 2_000_000) {
  const transcoder = new TraceTranscoder({ ...START, ...changes });
  transcoder.setProcess(17);
  for (const piece of pieces) transcoder.push(piece, nowUs);
  transcoder.end(nowUs);
  const trace = transcoder.take();
  return { rows: records(trace), trace, counts: transcoder.counts, notes: transcoder.takeNotes(), transcoder };
}

describe("QEMU's text log as a trace", () => {
  test("has all events with their times and threads, in three forms", () => {
    const text = `${line(1_500_000, "pic_write master 1 addr 0x21")}${line(1_500_007, "none ")}`;
    expect(transcoded([latin1(text)]).rows).toEqual(["1500000000 17 pic_write master 1 addr 0x21", "1500007000 17 none "]);
    expect(transcoded([latin1("2026-01-31T12:00:01.500000Z pic_write master 1 addr 0x21\n2026-01-31T12:00:02Z none \n")]).rows).toEqual([
      "1500000000 17 pic_write master 1 addr 0x21",
      "2000000000 17 none ",
    ]);
    expect(transcoded([latin1("pic_write master -1 addr 0x21\nnone \n")]).rows).toEqual([
      "2000000000 17 pic_write master -1 addr 0x21",
      "2000000000 17 none ",
    ]);
  });

  test("in any pieces it is the same", () => {
    const text = latin1(
      [
        line(1, "dump direction: out\none\ntwo\n"),
        line(2, "none "),
        line(3, "region_read addr 0x408 name 'acpi-tmr'"),
        "qemu: a message of something else\n",
        line(4, "pair a b c"),
        line(5, "pic_write master x addr 0x1"),
        line(6, "none "),
      ].join(""),
    );
    const whole = transcoded([text]);
    expect(whole.counts).toMatchObject({ events: 5, unread: 1, ambiguous: 2, foreignLines: 1 });
    fc.assert(
      fc.property(fc.array(fc.nat(text.length)), (cuts) => {
        const places = [0, ...cuts.sort((one, other) => one - other), text.length];
        const { trace, notes } = transcoded(places.slice(1).map((end, index) => text.subarray(places[index], end)));
        expect(trace).toEqual(whole.trace);
        expect(notes).toEqual(whole.notes);
      }),
      { numRuns: 50 },
    );
  });

  test("an event of many lines is one event; a line of something else is kept beside the trace", () => {
    const { rows, notes, counts } = transcoded([
      latin1(`${line(1, "dump direction: in\n00 01\n02 03")}${line(2, "none ")}warning: unimplemented\n${line(3, "none ")}`),
    ]);
    expect(rows).toEqual(["1000 17 dump direction: in\n00 01\n02 03", "2000 17 none ", "3000 17 none "]);
    // A string may hold line feeds, and so may what is not of the event: the longest reading counts, and is told.
    expect(notes).toEqual([
      { kind: "ambiguous", line: "dump direction: in\n00 01\n02 03" },
      { kind: "foreign", line: "warning: unimplemented" },
    ]);
    expect(counts).toMatchObject({ events: 3, ambiguous: 1, foreignLines: 1, unread: 0 });
  });

  test("a line that could be read otherwise is in the trace and marked beside it", () => {
    const { rows, notes } = transcoded([latin1(`${line(1, "pair a b")}${line(2, "pair a b c")}`)]);
    expect(rows).toEqual(["1000 17 pair a b", "2000 17 pair a b c"]);
    expect(notes).toEqual([{ kind: "ambiguous", line: "pair a b c" }]);
  });

  test("a line that does not fit its event is counted as dropped and kept beside the trace", () => {
    const { rows, notes, counts } = transcoded([latin1(line(9, "pic_write master one addr 0x21"))]);
    expect(rows).toEqual(["0 17 dropped 1"]);
    expect(notes).toEqual([{ kind: "unread", line: "pic_write master one addr 0x21" }]);
    expect(counts.unread).toBe(1);
  });

  test("a line cut by QEMU's death is kept beside the trace", () => {
    const text = line(9, "pic_write master 1 addr 0x21");
    const { rows, notes } = transcoded([latin1(`${text}${text.slice(0, 30)}`)]);
    expect(rows).toHaveLength(1);
    expect(notes).toEqual([{ kind: "unread", line: text.slice(0, 30) }]);
  });

  test("of a known flood the first are kept and the others counted; of other disks and regions all", () => {
    const open = (node: string, file: string) => line(0, `bdrv_open_common bs ${node} filename "${file}" flags 0x2 format_name "raw"`);
    const write = (node: string, offset: number) => line(1, `blk_co_pwritev blk 0x1 bs ${node} offset ${offset} bytes 512 flags 0x0`);
    const text = [
      open("0xf1", "/tmp/variables.fd"),
      open("0xd1", "/images/disk.img"),
      ...Array.from({ length: 1000 }, (_, index) => write("0xf1", index) + write("0xd1", index)),
      ...Array.from({ length: 500 }, () => line(2, "region_read addr 0x608 name 'acpi-tmr'")),
      ...Array.from({ length: 500 }, () => line(2, "region_read addr 0x608 name 'serial'")),
    ].join("");
    const { rows, counts } = transcoded([latin1(text)]);
    const count = (pattern: RegExp) => rows.filter((row) => pattern.test(row)).length;
    expect(count(/bs 0xf1 offset/)).toBe(256);
    expect(count(/bs 0xd1 offset/)).toBe(1000);
    expect(count(/acpi-tmr/)).toBe(256);
    expect(count(/serial/)).toBe(500);
    expect(rows.at(-1)).toBe(`2000 17 dropped ${744 + 244}`);
    expect(Object.fromEntries(counts.floods)).toEqual({ flash: { kept: 256, dropped: 744 }, timer: { kept: 256, dropped: 244 } });
  });

  test("an address that is used again for another file is no longer the flood's", () => {
    const open = (file: string) => line(0, `bdrv_open_common bs 0xf1 filename "${file}" flags 0x2 format_name "raw"`);
    const writes = line(1, "blk_co_pwritev blk 0x1 bs 0xf1 offset 0 bytes 512 flags 0x0").repeat(300);
    const { counts } = transcoded([latin1(`${open("/tmp/variables.fd")}${writes}${open("/images/disk.img")}${writes}`)]);
    expect(Object.fromEntries(counts.floods)).toEqual({ flash: { kept: 256, dropped: 44 } });
  });

  test("over its limit the trace ends with the number of what is missing", () => {
    const { rows, trace, counts } = transcoded([latin1(line(1, "none ").repeat(1000))], { bytesMax: 2000 });
    expect(trace.length).toBeLessThan(2000 + 2 * 64);
    expect(counts.events + counts.overLimit).toBe(1000);
    expect(rows.at(-1)).toBe(`1000 17 dropped ${counts.overLimit}`);
  });

  test("in a hurry events are counted and not kept", () => {
    const transcoder = new TraceTranscoder(START);
    transcoder.push(latin1(line(1, "none ")), 10);
    transcoder.hurried = true;
    transcoder.push(latin1(line(2, "none ").repeat(5)), 10);
    transcoder.hurried = false;
    transcoder.push(latin1(line(3, "none ")), 10);
    transcoder.end(10);
    expect(records(transcoder.take())).toEqual(["1000 17 none ", "3000 17 none ", "3000 0 dropped 5"]);
    expect(transcoder.counts.tooFast).toBe(5);
  });

  test("a wall clock that is set does not move the trace's time", () => {
    const transcoder = new TraceTranscoder(START);
    transcoder.push(latin1(line(1_000_000, "none ")), 1_000_000);
    transcoder.push(latin1(line(3_602_000_000, "none ")), 2_000_000); // an hour on
    transcoder.push(latin1(line(3_602_500_000, "none ")), 2_500_000);
    transcoder.push(latin1(line(-9_000_000, "none ")), 3_000_000); // and back
    transcoder.end(3_000_000);
    expect(records(transcoder.take()).map((row) => row.split(" ")[0])).toEqual(["1000000000", "2000000000", "2500000000", "3000000000"]);
    expect(transcoder.counts.clockSteps).toBe(2);
  });

  test("a line without an end is given up, and memory stays bounded", () => {
    const transcoder = new TraceTranscoder(START);
    for (let index = 0; index < 100; index++) transcoder.push(latin1("x".repeat(10_000)), 0);
    transcoder.push(latin1(`\n${line(1, "none ")}`), 10);
    transcoder.end(10);
    expect(records(transcoder.take())).toEqual(["1000 17 none "]);
    const notes = transcoder.takeNotes();
    expect(notes.map(({ kind }) => kind)).toEqual(["foreign"]);
    expect(notes[0]!.line.length).toBeLessThanOrEqual(4096);
  });

  test("any bytes are taken without a throw, and make a whole trace", () => {
    const piece = fc.oneof(
      fc.constantFrom(line(1, "none "), line(2, "pair a b"), line(3, "dump direction: x\ny"), "none \n", "2026-01-31T12:00:00Z none \n"),
      fc.string({ unit: "binary-ascii" }),
    );
    fc.assert(
      fc.property(fc.array(piece), (pieces) => {
        const { rows, counts } = transcoded(pieces.map(latin1));
        expect(rows.length).toBeGreaterThanOrEqual(counts.events);
      }),
    );
  });
});

describe("QEMU's own binary trace", () => {
  /** As QEMU writes it: all its events named, in its own numbers. */
  function binary(): Uint8Array {
    const encoder = new SimpletraceEncoder();
    encoder.header();
    for (const [id, name] of [...decodeTraceDeclarations(DECLARATIONS).events.keys(), "of_another_version"].entries())
      encoder.mapping(900 + id, name);
    encoder.event(903, START.originNs + 1n, 4711, [2n ** 64n - 1n, 0x21n]);
    encoder.dropped(START.originNs + 2n, 4711, 7n);
    encoder.event(901, START.originNs + 3n, 4711, [0xf1n, latin1("/tmp/variables.fd"), 2n, latin1("raw")]);
    for (let index = 0; index < 300; index++) encoder.event(900, START.originNs + 4n, 4711, [1n, 0xf1n, BigInt(index), 512n, 0n]);
    encoder.event(908, START.originNs + 5n, 4711, []);
    encoder.event(905, START.originNs + 6n, 4711, [latin1("a b"), latin1("c")]);
    return encoder.take();
  }

  test("is taken record by record: what it says is missing, and floods, are counted", () => {
    const { rows, counts, transcoder } = transcoded([binary()]);
    expect(transcoder.source).toBe("binary");
    expect(rows[0]).toBe("1 4711 pic_write master -1 addr 0x21");
    expect(rows.at(-2)).toBe("6 4711 pair a b c");
    expect(rows.at(-1)).toBe("6 17 dropped 52"); // 7 by QEMU, 44 of the flood, 1 of an event that nobody declares
    expect(rows).toHaveLength(1 + 1 + 256 + 1 + 1);
    expect(counts).toMatchObject({ events: 259, droppedByQemu: 7, unread: 1 });
  });

  test("cut at any byte it is taken up to there, and the damage is told", () => {
    const trace = binary();
    const whole = transcoded([trace]).rows;
    for (let length = 1; length < trace.length; length += 487) {
      const { rows, notes } = transcoded([trace.subarray(0, length)]);
      const kept = rows.filter((row) => !row.includes(" dropped "));
      expect(kept).toEqual(whole.slice(0, kept.length));
      if (notes.length > 0) expect(notes).toMatchObject([{ kind: "damage" }]);
    }
  });
});
