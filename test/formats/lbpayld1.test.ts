import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import {
  compareBytes,
  decodePayload,
  decodePayloadHead,
  encodePayloadEntry,
  encodePayloadHead,
  isPayload,
  layoutOf,
  PAYLOAD_HEAD_BYTES,
  PAYLOAD_NAME_BYTES_MAX,
  PayloadDamage,
  type PayloadOptions,
  payloadNameProblem,
  streamFeed,
} from "../../src/formats/lbpayld1.ts";

interface Content {
  readonly name: string;
  readonly content: Uint8Array;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const file = (name: string, content = ""): Content => ({ name, content: utf8(content) });

/** A container in memory, put together from the parts that writers use. */
function container(files: readonly Content[], options: PayloadOptions = {}): Uint8Array {
  const layout = layoutOf(
    files.map(({ name, content }) => ({ name, content, sizeBytes: BigInt(content.length) })),
    options,
  );
  const bytes = new Uint8Array(Number(layout.sizeBytes));
  bytes.set(encodePayloadHead(BigInt(layout.entries.length), layout.width));
  for (const entry of layout.entries) {
    bytes.set(encodePayloadEntry(entry, layout.width), Number(entry.headerOffset));
    bytes.set(entry.file.content, Number(entry.dataOffset));
  }
  return bytes;
}

/** `bytes` in pieces of at most `pieceBytes`. */
async function* pieces(bytes: Uint8Array, pieceBytes = 7): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes);
}

/** Everything that is in a container, with where it ended. */
async function read(bytes: Uint8Array, pieceBytes?: number) {
  const feed = streamFeed(pieces(bytes, pieceBytes));
  const files: Content[] = [];
  const walk = decodePayload(feed, "disk");
  for (;;) {
    const next = await walk.next();
    if (next.done === true) return { files, end: feed.offset, width: next.value.width };
    const { nameBytes, sizeBytes } = next.value;
    files.push({
      name: new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(nameBytes),
      content: (await feed.take(Number(sizeBytes))).slice(),
    });
  }
}

const thrownBy = async (work: () => Promise<unknown>): Promise<unknown> =>
  await work().then(
    () => undefined,
    (error: unknown) => error,
  );

const anyName = fc
  .string({ unit: "binary", minLength: 1, maxLength: 60 })
  .filter((name) => !/\p{Surrogate}/u.test(name) && payloadNameProblem(utf8(name)) === undefined);
const anyFiles = fc.uniqueArray(fc.record({ name: anyName, content: fc.uint8Array({ maxLength: 50 }) }), {
  selector: ({ name }) => name,
  minLength: 1,
  maxLength: 12,
});
const sorted = (files: readonly Content[]): Content[] => files.toSorted((one, other) => compareBytes(utf8(one.name), utf8(other.name)));

describe.each([{ wide: false }, { wide: true }])("a payload container, wide: $wide", ({ wide }) => {
  const small = container([file("b", "BB"), file("a.tar", "A"), file("ж", "")], { wide });

  test("is read back as it was written, in whatever pieces it comes", async () => {
    await fc.assert(
      fc.asyncProperty(anyFiles, fc.boolean(), fc.integer({ min: 1, max: 40 }), async (files, pad, pieceBytes) => {
        const bytes = container(files, { wide, pad });
        const back = await read(bytes, pieceBytes);
        expect(back.files).toEqual(sorted(files));
        expect(back.width).toBe(wide ? 64 : 32);
        expect(bytes.length - Number(back.end)).toBe(pad ? (1024 - (Number(back.end) % 1024)) % 1024 : 0);
      }),
    );
  });

  test("is the same whatever order its files come in", () => {
    fc.assert(
      fc.property(
        anyFiles.chain((files) => fc.tuple(fc.constant(files), fc.shuffledSubarray(files, { minLength: files.length }))),
        ([files, shuffled]) => {
          expect(container(shuffled, { wide })).toEqual(container(files, { wide }));
        },
      ),
    );
  });

  test("that is cut before its last file ends is refused, at every byte, with the offset of the cut", async () => {
    const { end } = await read(small);
    for (let length = 0; length < Number(end); length += 1) {
      const error = await thrownBy(() => read(small.subarray(0, length)));
      expect(error, `${length}`).toBeInstanceOf(PayloadDamage);
      expect((error as HiperisoError).where).toMatch(/^disk@\d+$/);
      expect(Number((error as HiperisoError).where?.slice(5)), `${length}`).toBeLessThanOrEqual(length);
    }
    expect((await read(small.subarray(0, Number(end)))).files).toHaveLength(3);
  });

  test("with any bit flipped is read or refused, never worse", async () => {
    const damaged = small.slice(0, 64);
    for (let bit = 0; bit < damaged.length * 8; bit += 1) {
      damaged[bit >> 3]! ^= 1 << (bit & 7);
      const error = await thrownBy(async () => {
        for await (const entry of decodePayload(streamFeed(pieces(damaged)), "disk")) expect(entry.nameBytes.length).toBeGreaterThan(0);
      });
      if (error !== undefined) expect(error).toBeInstanceOf(PayloadDamage);
      damaged[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test("of random bytes behind the magic is read or refused, never worse", async () => {
    await fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 80 }), async (tail) => {
        const error = await thrownBy(() => read(new Uint8Array([...encodePayloadHead(3n, wide ? 64 : 32), ...tail])));
        if (error !== undefined) expect(error).toBeInstanceOf(HiperisoError);
      }),
    );
  });

  test("that promises more entries than it has is refused, and the padding is not taken for them", async () => {
    const lying = small.slice();
    lying[8] = 4;
    const error = (await thrownBy(() => read(lying))) as HiperisoError;
    expect(error.message).toMatch(/disk@\d+: expected entry 4 of 4: a name of 1 to 1024 bytes, found 0/);
    const unpadded = container([file("a", "1")], { wide, pad: false });
    unpadded[8] = 2;
    expect(((await thrownBy(() => read(unpadded))) as HiperisoError).message).toContain(
      `expected entry 2 of 2, found the end of the container, after ${unpadded.length} bytes`,
    );
  });

  test("that promises a name of 4 GiB does not take the memory for it", async () => {
    const lying = small.slice();
    const at = wide ? 16 : 12;
    lying.set([0xff, 0xff, 0xff, 0xff], at);
    expect(((await thrownBy(() => read(lying))) as HiperisoError).message).toMatch(
      /expected entry 1 of 3: a name of 1 to 1024 bytes, found 4294967295/,
    );
  });

  test("that promises a larger file than the disk is refused, with what was promised", async () => {
    const lying = small.slice();
    const at = wide ? 24 : 16;
    lying.set([0xff, 0xff, 0xff, 0x7f], at);
    const error = await thrownBy(async () => {
      for await (const entry of decodePayload(streamFeed(pieces(lying)), "disk")) expect(entry.sizeBytes).toBe(0x7fff_ffffn);
    });
    expect((error as HiperisoError).message).toMatch(
      /entry 1 of 3 \("a\.tar"\) of 2147483647 bytes from \d+ on, found the end of the container, after 1024 bytes/,
    );
  });

  test("is what printf, cat and truncate write", () => {
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-payload-"));
    try {
      // Its own arithmetic, in a shell: bytes of the names by wc, fields by printf, the padding by truncate.
      const script = `set -eu
        field() { value=$1; count=0; while [ $count -lt ${wide ? 8 : 4} ]; do printf "\\\\$(printf %03o $((value % 256)))"; value=$((value / 256)); count=$((count + 1)); done; }
        printf 'one\\n' > 'a file'; : > empty; printf '\\0\\377' > 'жук.bin'; seq 1 5000 > z
        { printf LBPAYLD1; field 4
          for name in 'a file' empty z 'жук.bin'; do
            field $(printf %s "$name" | wc -c); field $(wc -c < "$name"); printf %s "$name"; cat "$name"
          done; } > disk
        truncate -s %1024 disk`;
      const { status, stderr } = spawnSync("sh", ["-c", script], { cwd: folder, encoding: "utf8" });
      expect([status, stderr]).toEqual([0, ""]);
      const files = ["жук.bin", "z", "empty", "a file"].map((name) => ({
        name,
        content: new Uint8Array(readFileSync(join(folder, name))),
      }));
      expect(Buffer.from(container(files, { wide })).equals(readFileSync(join(folder, "disk")))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

/** `OFFSET  BYTES   words` a line; a line with an ellipsis is zeros to 1,024 bytes. */
function bytesOfDump(dump: string): Uint8Array {
  const bytes: number[] = [];
  for (const line of dump.trimEnd().split("\n")) {
    expect(Number.parseInt(line.slice(0, 8), 16), line).toBe(bytes.length);
    if (line.includes("…")) bytes.push(...new Array<number>(1024 - bytes.length).fill(0));
    else
      bytes.push(
        ...[.../^.{8} {2}((?:[0-9a-f]{2} {0,2})+)/.exec(line)![1]!.matchAll(/[0-9a-f]{2}/g)].map(([byte]) => Number.parseInt(byte, 16)),
      );
  }
  return Uint8Array.from(bytes);
}

describe("the two widths", () => {
  const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex");

  test("stand as the page says, byte for byte", () => {
    expect(hexOf(container([file("hi", "!")], { pad: false }))).toBe("4c425041594c4431010000000200000001000000686921");
    expect(hexOf(container([file("hi", "!")], { wide: true, pad: false }))).toBe(
      "4c425041594c4431010000000000000002000000000000000100000000000000686921",
    );
  });

  test("are what the page for other implementers shows: its bytes, and its shell commands", () => {
    const page = readFileSync(resolve(import.meta.dirname, "../../docs/payload-container.md"), "utf8");
    const example = [file("a", "hi"), file("empty")];
    const dumps = [...page.matchAll(/```\n(0{8} [^`]*)```/g)].map(([, dump]) => bytesOfDump(dump!));
    expect(dumps.map(hexOf)).toEqual([hexOf(container(example)), hexOf(container(example, { wide: true }))]);
    const folder = mkdtempSync(join(tmpdir(), "hiperiso-payload-"));
    try {
      const script = /```sh\n(\{ printf[^`]*)```/.exec(page)![1]!;
      expect(spawnSync("sh", ["-euc", script], { cwd: folder }).status).toBe(0);
      expect(hexOf(readFileSync(join(folder, "payload.img")))).toBe(hexOf(container(example)));
    } finally {
      rmSync(folder, { recursive: true });
    }
  });

  test("are told apart by bytes 12 to 15 alone", () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 0xffff_ffff }), fc.integer({ min: 1, max: 0xffff_ffff }), (count, nameBytes) => {
        const head = new Uint8Array(PAYLOAD_HEAD_BYTES);
        head.set(encodePayloadHead(BigInt(count), 32));
        new DataView(head.buffer).setUint32(12, nameBytes, true);
        expect(decodePayloadHead(head, "disk")).toEqual({ width: 32, count: BigInt(count), lengthBytes: 12 });
        expect(decodePayloadHead(encodePayloadHead(BigInt(count), 64), "disk")).toEqual({
          width: 64,
          count: BigInt(count),
          lengthBytes: 16,
        });
      }),
    );
  });

  test.each([
    ["without entries, 32 bits", [0, 0, 0, 0, 9, 0, 0, 0], /disk@8: expected at least one entry, found 0/],
    ["without entries, 64 bits", [0, 0, 0, 0, 0, 0, 0, 0], /disk@8: expected at least one entry, found 0/],
    ["that ends behind its count", [1, 0, 0, 0], /disk@12: expected the number of entries and the first of them, found the end/],
  ])("a container %s is an error", (_, tail, message) => {
    expect(() => decodePayloadHead(new Uint8Array([...utf8("LBPAYLD1"), ...tail]), "disk")).toThrow(message);
  });

  test.each([
    ["nothing", "", "nothing"],
    ["half the magic", "LBPA", '"LBPA"'],
    ["something else", "LBPAYLD2\x1b[31m", '"LBPAYLD2"'],
    ["terminal codes", "\x1b[31mabc", '"\\x1b[31mabc"'],
  ])("%s is no container", (_, bytes, found) => {
    expect(isPayload(utf8(bytes))).toBe(false);
    expect(() => decodePayloadHead(utf8(bytes), "disk")).toThrow(`disk@0: expected "LBPAYLD1", found ${found}`);
  });
});

describe("a layout", () => {
  test("says where each file will stand, before anything is written", () => {
    const { entries, endOffset, sizeBytes, width } = layoutOf([
      { name: "b", sizeBytes: 5n },
      { name: "ab", sizeBytes: 0n },
    ]);
    expect(entries.map(({ name, headerOffset, dataOffset, sizeBytes: size }) => [name, headerOffset, dataOffset, size])).toEqual([
      ["ab", 12n, 22n, 0n],
      ["b", 22n, 31n, 5n],
    ]);
    expect([width, endOffset, sizeBytes]).toEqual([32, 36n, 1024n]);
  });

  test("sorts names by their bytes, which is not the order of UTF-16", () => {
    const names = ["\u{1f600}", "\uff5e", "B", "a", "A.b", "A"];
    expect(layoutOf(names.map((name) => ({ name, sizeBytes: 0n }))).entries.map(({ name }) => name)).toEqual([
      "A",
      "A.b",
      "B",
      "a",
      "\uff5e",
      "\u{1f600}",
    ]);
  });

  test("takes files to the last byte that 32 bits count, and names the way out behind it", () => {
    const files = (sizeBytes: bigint) => [
      { name: "big", sizeBytes },
      { name: "small", sizeBytes: 1n },
    ];
    expect(layoutOf(files(0xffff_ffffn)).endOffset).toBe(12n + 11n + 0xffff_ffffn + 13n + 1n);
    expect(() => layoutOf(files(0x1_0000_0000n))).toThrow(
      /big: expected a file of at most 4294967295 bytes.*found 4294967296 bytes.*--wide/,
    );
    expect(layoutOf(files(0x1_0000_0000n), { wide: true }).endOffset).toBe(16n + 19n + 0x1_0000_0000n + 21n + 1n);
  });

  test.each([32, 64] as const)("of %i bits counts to 2^32 - 1", (width) => {
    expect(encodePayloadHead(0xffff_ffffn, width)).toHaveLength(width === 32 ? 12 : 16);
    expect(() => encodePayloadHead(0x1_0000_0000n, width)).toThrow(/expected at most 4294967295 files, found 4294967296\. .*tar/);
    expect(() => encodePayloadHead(0n, width)).toThrow(/expected at least one file/);
  });

  test("has each name once", () => {
    const twice = ["a", "b", "a"].map((name) => ({ name, sizeBytes: 0n }));
    expect(() => layoutOf(twice)).toThrow(/a: expected each name once, found it twice/);
  });

  test("takes no half characters", () => {
    expect(() => layoutOf([{ name: "a\ud800", sizeBytes: 0n }])).toThrow(/found characters that UTF-8 does not have/);
  });
});

describe("a name", () => {
  test.each(["a", "...", ".hidden", "-rf", "a b", "gcc-13.3.0.tar.xz?x=1", "ж", "\ufeffbom", "x".repeat(PAYLOAD_NAME_BYTES_MAX)])(
    "%j is good",
    (name) => {
      expect(payloadNameProblem(utf8(name))).toBeUndefined();
    },
  );

  test.each([
    ["", "an empty name"],
    [".", "a name that means a folder"],
    ["..", "a name that means a folder"],
    [".payload-import.part", "the name that the importer writes its files under"],
    ["a/b", 'a name with "/"'],
    ["../x", 'a name with "/"'],
    ["a\\b", 'a name with "\\"'],
    ["a\0b", "a name with the control character 0x00"],
    ["a\nb", "a name with the control character 0x0a"],
    ["\x1b[2J", "a name with the control character 0x1b"],
    ["\x7f", "a name with the control character 0x7f"],
    ["ж".repeat(126), "a name of 252 bytes"],
    ["x".repeat(PAYLOAD_NAME_BYTES_MAX + 1), "a name of 251 bytes"],
  ])("%j is refused, and so is a container of it", (name, problem) => {
    expect(payloadNameProblem(utf8(name))).toBe(problem);
    expect(() => layoutOf([{ name, sizeBytes: 0n }])).toThrow(problem);
  });

  test.each([[[0xff]], [[0xc0, 0xaf]], [[0xed, 0xa0, 0x80]], [[0x61, 0xe2, 0x82]]])("of the bytes %j is not UTF-8", (bytes) => {
    expect(payloadNameProblem(new Uint8Array(bytes))).toBe("a name that is not UTF-8");
  });
});

describe("a stream", () => {
  test("is never held: a file of 4 GB passes in the memory of one piece", async () => {
    const sizeBytes = 4_000_000_000n;
    const piece = new Uint8Array(1024 * 1024);
    let given = 0n;
    let held = 0;
    async function* disk(): AsyncGenerator<Uint8Array> {
      yield encodePayloadHead(1n, 64);
      yield encodePayloadEntry({ name: "big", sizeBytes }, 64);
      // The same bytes again and again: whoever kept them would keep a name for them, not 4 GB.
      for (; given < sizeBytes; given += BigInt(piece.length)) {
        if (given % 50n === 0n) held = Math.max(held, process.memoryUsage().arrayBuffers);
        yield piece.subarray(0, Number(sizeBytes - given < BigInt(piece.length) ? sizeBytes - given : BigInt(piece.length)));
      }
    }
    const before = process.memoryUsage().arrayBuffers;
    const feed = streamFeed(disk());
    for await (const { dataOffset } of decodePayload(feed, "disk")) {
      for (let taken = 0; taken < 100; taken += 1) await feed.take(3_000_000);
      expect(feed.offset - dataOffset).toBe(300_000_000n);
    }
    expect(feed.offset).toBe(16n + 19n + sizeBytes);
    expect(held - before).toBeLessThan(400_000_000);
  });

  test("may be left in the middle of a file: the rest is skipped", async () => {
    const bytes = container([file("a", "0123456789"), file("b", "x")]);
    const feed = streamFeed(pieces(bytes, 5));
    const names: string[] = [];
    for await (const { nameBytes } of decodePayload(feed, "disk")) {
      names.push(new TextDecoder().decode(nameBytes));
      await feed.take(1);
    }
    expect(names).toEqual(["a", "b"]);
  });

  test("of which more was taken than the file has is our own fault, and said so", async () => {
    const feed = streamFeed(pieces(container([file("a", "1"), file("b", "2")])));
    const error = await thrownBy(async () => {
      for await (const _ of decodePayload(feed, "disk")) await feed.take(2);
    });
    expect(error).toBeInstanceOf(RangeError);
  });
});
