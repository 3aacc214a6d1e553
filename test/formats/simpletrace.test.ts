import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  SimpletraceDecoder,
  SimpletraceEncoder,
  type TraceDamage,
  type TraceNames,
  type TraceVersion,
} from "../../src/formats/simpletrace.ts";
import { argumentValues, typedValue } from "../../src/formats/trace-arguments.ts";
import { encodeTraceDeclarations } from "../../src/formats/trace-declarations.ts";
import type { TraceValue } from "../../src/formats/trace-line.ts";
import { CLASSES, declared } from "./trace-events.ts";

const NUMBERS = declared('numbers(int a, uint64_t b) "%d %" PRIu64');
const STRINGS = declared('strings(const char *a, void *p, const char *b) "%s %p %s"');
const NAMES: TraceNames = {
  events: new Map([NUMBERS, STRINGS].map((declaration) => [declaration.name, declaration])),
  order: ["numbers", "strings"],
};

interface Seen {
  readonly name: string | undefined;
  readonly offset: number;
  readonly timeNs: bigint;
  readonly pid: number;
  readonly dropped: bigint;
  readonly values: readonly (bigint | string)[];
}

/** All that is read of a trace that comes in these pieces. */
function read(pieces: readonly Uint8Array[], names = NAMES): { readonly seen: readonly Seen[]; readonly damage: TraceDamage | undefined } {
  const seen: Seen[] = [];
  const decoder = new SimpletraceDecoder(names);
  for (const piece of pieces) {
    decoder.push(piece, (record) => {
      const { name, offset, timeNs, pid, dropped } = record;
      const values = argumentValues(record).map((value) => (typeof value === "bigint" ? value : Buffer.from(value).toString("latin1")));
      seen.push({ name, offset, timeNs, pid, dropped, values });
    });
  }
  decoder.end();
  return { seen, damage: decoder.damage };
}

function sample(): Uint8Array {
  const encoder = new SimpletraceEncoder();
  encoder.header();
  encoder.mapping(7, "numbers");
  encoder.event(7, 1000n, 42, [2n ** 64n - 1n, 5n]);
  encoder.mapping(900_000, "strings");
  encoder.event(900_000, 999n, 43, [Buffer.from("first"), 0n, Buffer.from("")]);
  encoder.mapping(7, "numbers");
  encoder.dropped(2000n, 42, 1_000_000n);
  encoder.event(7, 3000n, 42, [1n, 2n ** 64n - 1n]);
  return encoder.take();
}

const SEEN = [
  { name: "numbers", timeNs: 1000n, pid: 42, dropped: 0n, values: [2n ** 64n - 1n, 5n] },
  { name: "strings", timeNs: 999n, pid: 43, dropped: 0n, values: ["first", 0n, ""] },
  { name: undefined, timeNs: 2000n, pid: 42, dropped: 1_000_000n, values: [] },
  { name: "numbers", timeNs: 3000n, pid: 42, dropped: 0n, values: [1n, 2n ** 64n - 1n] },
];

/** Bytes by hand: `q` u64, `l` u32, text as it is. */
function packed(parts: readonly (readonly ["q" | "l", bigint | number] | string)[], littleEndian = true): Uint8Array {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(part);
      const bytes = new DataView(new ArrayBuffer(part[0] === "q" ? 8 : 4));
      if (part[0] === "q") bytes.setBigUint64(0, BigInt(part[1]), littleEndian);
      else bytes.setUint32(0, Number(part[1]), littleEndian);
      return Buffer.from(bytes.buffer);
    }),
  );
}

const header = (version: number) =>
  [
    ["q", 2n ** 64n - 1n],
    ["q", 0xf2b177cb0aa429b4n],
    ["q", version],
  ] as const;

describe("a trace of QEMU's simple back-end", () => {
  test("version 4 is laid out as QEMU writes it", () => {
    const encoder = new SimpletraceEncoder();
    encoder.header();
    encoder.mapping(3, "strings");
    encoder.event(3, 17n, 99, [Buffer.from("ab"), 5n, Buffer.from("")]);
    encoder.dropped(18n, 99, 4n);
    const expected = packed([
      ...header(4),
      ...([["q", 0], ["q", 3], ["l", 7], "strings"] as const),
      ...([["q", 1], ["q", 3], ["q", 17], ["l", 24 + 4 + 2 + 8 + 4], ["l", 99], ["l", 2], "ab", ["q", 5], ["l", 0]] as const),
      ...([
        ["q", 1],
        ["q", 2n ** 64n - 2n],
        ["q", 18],
        ["l", 32],
        ["l", 99],
        ["q", 4],
      ] as const),
    ]);
    expect(Buffer.from(encoder.take())).toEqual(expected);
    expect(encoder.take()).toHaveLength(0);
  });

  test("mappings anywhere, sparse and repeated; records out of time order; dropped events", () => {
    const { seen, damage } = read([sample()]);
    expect(damage).toBeUndefined();
    expect(seen).toMatchObject(SEEN);
  });

  test.each([2, 3] as const)("version %i: ids are places among the declarations", (version: TraceVersion) => {
    const trace = packed([
      ...header(version),
      ...([["q", 1], ["q", 17], ["l", 24 + 5 + 8 + 4], ["l", 99], ["l", 1], "x", ["q", 5], ["l", 0]] as const),
      ...([
        ["q", 77],
        ["q", 18],
        ["l", 32],
        ["l", 99],
        ["q", 5],
      ] as const),
      ...([
        ["q", 2n ** 64n - 2n],
        ["q", 19],
        ["l", 32],
        ["l", 99],
        ["q", 4],
      ] as const),
    ]);
    const pid = version === 2 ? 0 : 99;
    expect(read([trace])).toMatchObject({
      damage: undefined,
      seen: [
        { name: "strings", timeNs: 17n, pid, values: ["x", 5n, ""] },
        { name: "event-77", pid, values: [] },
        { name: undefined, dropped: 4n },
      ],
    });
  });

  test("of a computer with the other byte order", () => {
    const trace = packed(
      [...header(4), ["q", 0], ["q", 3], ["l", 7], "numbers", ["q", 1], ["q", 3], ["q", 17], ["l", 40], ["l", 99], ["q", 1], ["q", 2]],
      false,
    );
    expect(read([trace])).toMatchObject({ damage: undefined, seen: [{ name: "numbers", timeNs: 17n, pid: 99, values: [1n, 2n] }] });
  });

  test("an event that nobody declares is given by its name", () => {
    expect(
      read([sample()], { events: new Map([["numbers", NUMBERS]]), order: [] }).seen.map(({ name, values }) => [name, values.length]),
    ).toEqual([
      ["numbers", 2],
      ["strings", 0],
      [undefined, 0],
      ["numbers", 2],
    ]);
  });

  test("in any pieces it is read the same", () => {
    const trace = sample();
    fc.assert(
      fc.property(fc.array(fc.nat(trace.length)), (cuts) => {
        const places = [0, ...cuts.sort((one, other) => one - other), trace.length];
        const pieces = places.slice(1).map((end, index) => trace.subarray(places[index], end));
        expect(read(pieces)).toEqual(read([trace]));
      }),
    );
  });

  test("any values come back", () => {
    const value = fc.oneof<fc.Arbitrary<TraceValue>[]>(fc.bigInt(0n, 2n ** 64n - 1n));
    fc.assert(
      fc.property(
        value,
        value,
        fc.uint8Array({ maxLength: 512 }),
        fc.bigInt(0n, 2n ** 64n - 1n),
        fc.nat(0xffff_ffff),
        (a, b, text, time, pid) => {
          const encoder = new SimpletraceEncoder();
          encoder.header();
          encoder.mapping(0, "numbers");
          encoder.mapping(1, "strings");
          encoder.event(0, time, pid, [a, b]);
          encoder.event(1, time, pid, [text, a, text]);
          const string = Buffer.from(text).toString("latin1");
          expect(read([encoder.take()])).toMatchObject({
            damage: undefined,
            seen: [
              { timeNs: time, pid, values: [a, b] },
              { timeNs: time, pid, values: [string, a, string] },
            ],
          });
        },
      ),
    );
    expect(typedValue(2n ** 64n - 1n, NUMBERS.arguments[0]!)).toBe(-1n);
    expect(typedValue(2n ** 64n - 1n, NUMBERS.arguments[1]!)).toBe(2n ** 64n - 1n);
  });

  test("a string is cut at 512 bytes, as QEMU cuts it", () => {
    const encoder = new SimpletraceEncoder();
    encoder.header();
    encoder.mapping(1, "strings");
    encoder.event(1, 0n, 0, [Buffer.alloc(100_000, 0x61), 0n, Buffer.alloc(513, 0x62)]);
    expect(read([encoder.take()]).seen[0]!.values.map((value) => (typeof value === "string" ? value.length : 0))).toEqual([512, 0, 512]);
  });
});

describe("a damaged trace", () => {
  test("cut at every byte: whole records, then where it ends", () => {
    const trace = sample();
    const whole = read([trace]).seen;
    // Where a record or a mapping ends a cut is no damage.
    const ends = new Set<number>();
    for (let length = 0; length <= trace.length; length++) {
      const { seen, damage } = read([trace.subarray(0, length)]);
      expect(seen).toEqual(whole.slice(0, seen.length));
      if (damage === undefined) ends.add(length);
      else {
        expect(damage.offset).toBeLessThanOrEqual(length);
        expect(damage.found).toMatch(/byte/);
        const next = whole[seen.length];
        if (next !== undefined) expect(damage.offset).toBeLessThanOrEqual(next.offset);
      }
    }
    expect([...ends]).toEqual([24, 51, 99, 126, 179, 206, 246, 294]);
    expect(trace).toHaveLength(294);
  });

  test("any bit flipped: records as they were, or damage with its place; never a throw", () => {
    const trace = sample();
    const whole = read([trace]).seen;
    for (let bit = 0; bit < trace.length * 8; bit++) {
      const flipped = trace.slice();
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      const { seen, damage } = read([flipped]);
      for (const [index, record] of whole.entries()) {
        const end = whole[index + 1]?.offset ?? trace.length;
        if (end <= bit >> 3) expect(seen[index]).toEqual(record);
      }
      if (damage !== undefined) expect(`${damage.offset} ${damage.expected} ${damage.found}`).not.toMatch(/undefined|NaN/);
      if (bit < 128) expect(damage?.offset, `bit ${bit}`).toBeLessThan(16); // of the first two words nothing may differ
    }
  });

  test.each([
    ["another version", packed([...header(5)]), 16],
    ["no trace", Buffer.from("#!/bin/sh\nexit 0; this is a script\n"), 0],
    ["a record of another type", packed([...header(4), ["q", 2]]), 24],
    ["an event without a name", packed([...header(4), ["q", 1], ["q", 5], ["q", 0], ["l", 24], ["l", 0]]), 32],
    ["a record shorter than its head", packed([...header(4), ["q", 1], ["q", 5], ["q", 0], ["l", 23], ["l", 0]]), 48],
    ["a record of four gigabytes", packed([...header(4), ["q", 1], ["q", 5], ["q", 0], ["l", 0xffff_ffff], ["l", 0]]), 48],
    ["a name of four gigabytes", packed([...header(4), ["q", 0], ["q", 5], ["l", 0xffff_ffff]]), 40],
    ["an id of 64 bits", packed([...header(4), ["q", 0], ["q", 2n ** 60n], ["l", 1], "a"]), 32],
    [
      "too few arguments",
      packed([...header(4), ["q", 0], ["q", 5], ["l", 7], "numbers", ["q", 1], ["q", 5], ["q", 0], ["l", 32], ["l", 0], ["q", 1]]),
      83,
    ],
    [
      "a string longer than its record",
      packed([
        ...header(4),
        ["q", 0],
        ["q", 5],
        ["l", 7],
        "strings",
        ["q", 1],
        ["q", 5],
        ["q", 0],
        ["l", 40],
        ["l", 0],
        ["l", 100],
        ["q", 1],
        ["l", 0],
      ]),
      83,
    ],
    ["dropped events without their number", packed([...header(4), ["q", 1], ["q", 2n ** 64n - 2n], ["q", 0], ["l", 24], ["l", 0]]), 48],
  ])("%s is told with its place", (_, trace, offset) => {
    const { seen, damage } = read([trace]);
    expect(seen).toEqual([]);
    expect(damage?.offset).toBe(offset);
  });

  test("any bytes behind a header are read without a throw, in bounded time", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => {
        const { seen } = read([packed([...header(4)]), bytes]);
        expect(seen.length).toBeLessThanOrEqual(bytes.length / 32);
      }),
    );
  });
});

const PYTHON = spawnSync("python3", ["--version"]).status === 0;

describe.skipIf(!PYTHON)("another reader, by the rules of QEMU's", () => {
  test("takes what we write, with the declarations as we write them: every class of event", () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-simpletrace-"));
    try {
      const declarations = CLASSES.map(declared);
      const encoder = new SimpletraceEncoder();
      encoder.header();
      for (const [id, { name, arguments: all }] of declarations.entries()) {
        encoder.mapping(id * 7, name);
        encoder.event(
          id * 7,
          1_000_000n * BigInt(id),
          42,
          all.map(({ kind }, index) => (kind === "string" ? Buffer.from(`s${index}`) : BigInt(index + 10))),
        );
      }
      encoder.dropped(0n, 42, 3n);
      writeFileSync(join(folder, "trace.bin"), encoder.take());
      writeFileSync(join(folder, "trace.events"), encodeTraceDeclarations(declarations));
      const reader = fileURLToPath(new URL("./simpletrace-reader.py", import.meta.url));
      const printed = execFileSync("python3", [reader, join(folder, "trace.events"), join(folder, "trace.bin")], { encoding: "utf8" });
      const expected = declarations.map(({ name, arguments: all }, id) => {
        const values = all.map(
          ({ kind, name: argument }, index) => `${argument}=${kind === "string" ? `b's${index}'` : `0x${(index + 10).toString(16)}`}`,
        );
        return [name, id === 0 ? "0.000" : "1000.000", "pid=42", ...values].join(" ");
      });
      expect(printed.trimEnd().split("\n")).toEqual([
        ...expected,
        `dropped -${(declarations.length - 1) * 1000}.000 pid=42 num_events_dropped=0x3`,
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
