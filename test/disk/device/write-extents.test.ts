import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../../src/contract/error.ts";
import { type Job, quietJob, type Step } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore } from "../../../src/disk/block-store.ts";
import {
  DeviceWriteError,
  type PlacedPiece,
  staleRanges,
  verifyWritten,
  writePieces,
  zeroPieces,
} from "../../../src/disk/device/write-extents.ts";

const MIB = 1 << 20;

/** A disk that fails a write or a flush when `fails` says so, by the count of calls before it. */
function failing(bytes: Uint8Array, fails: { readonly write?: number; readonly flush?: number }): BlockStore {
  const store = memoryStore(bytes, 512, "/dev/sdx");
  let [writes, flushes] = [0, 0];
  return {
    ...store,
    write: async (offset, piece) => {
      if (writes === fails.write) throw new HiperisoError({ what: "write", found: "the disk is gone" });
      writes += 1;
      await store.write(offset, piece);
    },
    flush: async () => {
      if (flushes === fails.flush) throw new HiperisoError({ what: "flush", found: "the disk is gone" });
      flushes += 1;
    },
  };
}

function* pieces(count: number, bytes = 8 * MIB): Generator<PlacedPiece> {
  for (let index = 0; index < count; index += 1)
    yield { offset: BigInt(index) * BigInt(bytes), bytes: new Uint8Array(bytes).fill(index + 1) };
}

/** A job that keeps what its progress was told. */
function watchedJob(signal: AbortSignal = new AbortController().signal): Job & { readonly advanced: number[] } {
  const advanced: number[] = [];
  const step: Step = { advance: (amount) => advanced.push(amount), end: () => {} };
  return { signal, advanced, progress: { begin: () => step, say: () => {}, warn: () => {} } };
}

async function failureOf(work: Promise<unknown>): Promise<DeviceWriteError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!(error instanceof DeviceWriteError)) throw new Error(`no DeviceWriteError but ${String(error)}`);
  return error;
}

describe("writing", () => {
  test("puts each piece in its place, flushes as it goes, and tells only what is on the disk", async () => {
    const bytes = new Uint8Array(80 * MIB);
    const job = watchedJob();
    const { runs, bytes: written } = await writePieces(memoryStore(bytes), pieces(10), BigInt(80 * MIB), job);
    expect(written).toBe(BigInt(80 * MIB));
    expect(job.advanced).toEqual([32 * MIB, 32 * MIB, 16 * MIB]);
    expect(runs.map(({ offset, bytes: length }) => [offset, length])).toEqual([
      [0n, BigInt(64 * MIB)],
      [BigInt(64 * MIB), BigInt(16 * MIB)],
    ]);
    await verifyWritten(memoryStore(bytes), { runs, bytes: written }, quietJob);
  });

  test("a write that fails says where, and how far the disk can be trusted: to the last flush", async () => {
    const failure = await failureOf(writePieces(failing(new Uint8Array(80 * MIB), { write: 6 }), pieces(10), 0n, quietJob));
    expect(failure).toMatchObject({ failedAt: BigInt(48 * MIB), trustedBytes: BigInt(32 * MIB), found: "the disk is gone" });
    expect(failure.hint).toContain("The first 33554432 bytes are on it");
  });

  test("a flush that fails leaves in doubt what it should have brought", async () => {
    const first = await failureOf(writePieces(failing(new Uint8Array(80 * MIB), { flush: 0 }), pieces(10), 0n, quietJob));
    expect(first).toMatchObject({ failedAt: 0n, trustedBytes: 0n });
    expect(first.hint).toContain("Nothing on it can be trusted");
    const second = await failureOf(writePieces(failing(new Uint8Array(80 * MIB), { flush: 1 }), pieces(10), 0n, quietJob));
    expect(second).toMatchObject({ failedAt: BigInt(32 * MIB), trustedBytes: BigInt(32 * MIB) });
  });

  test("what the source throws is not the disk's fault", async () => {
    function* broken(): Generator<PlacedPiece> {
      yield* pieces(1);
      throw new Error("the image cannot be read");
    }
    await expect(writePieces(memoryStore(new Uint8Array(80 * MIB)), broken(), 0n, quietJob)).rejects.toThrow("the image cannot be read");
  });

  test("stops between pieces when it is cancelled", async () => {
    const abort = new AbortController();
    function* cancelling(): Generator<PlacedPiece> {
      for (const piece of pieces(10)) {
        if (piece.offset > 0n) abort.abort(new Error("enough"));
        yield piece;
      }
    }
    const bytes = new Uint8Array(80 * MIB);
    await expect(writePieces(memoryStore(bytes), cancelling(), 0n, watchedJob(abort.signal))).rejects.toThrow("enough");
    expect([bytes[0], bytes[8 * MIB]]).toEqual([1, 0]);
  });

  test("refuses pieces that run backwards", async () => {
    const backwards = [...pieces(2)].reverse();
    await expect(writePieces(memoryStore(new Uint8Array(80 * MIB)), backwards, 0n, quietJob)).rejects.toThrow(RangeError);
  });
});

describe("reading back", () => {
  test("finds one bit that is other than it was written, wherever it is", async () => {
    const whole = new Uint8Array(3 * MIB);
    const parts = [...pieces(3, MIB / 2)].map(({ offset, bytes }) => ({ offset: offset * 2n, bytes }));
    const written = await writePieces(memoryStore(whole), parts, 0n, quietJob);
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: whole.length - 1 }), fc.nat({ max: 7 }), async (at, bit) => {
        const damaged = whole.slice();
        damaged[at]! ^= 1 << bit;
        const inside = at % MIB < MIB / 2;
        const checked = verifyWritten(memoryStore(damaged), written, quietJob);
        if (!inside) await checked;
        else {
          const failure = await failureOf(checked);
          expect(failure.failedAt).toBe(BigInt(at - (at % MIB)));
          expect(failure.trustedBytes <= failure.failedAt).toBe(true);
        }
      }),
      { numRuns: 40 },
    );
  });

  test("says when the disk ends before it should: a stick that lies about its size", async () => {
    const written = await writePieces(memoryStore(new Uint8Array(8 * MIB)), pieces(8, MIB), 0n, quietJob);
    const failure = await failureOf(verifyWritten(memoryStore(new Uint8Array(MIB).fill(1)), written, quietJob));
    expect(failure).toMatchObject({ found: "its end", failedAt: BigInt(MIB) });
  });
});

describe("old metadata", () => {
  test("stands at both ends of the disk and of each partition", () => {
    const partitions = [
      { offset: BigInt(4 * MIB), bytes: BigInt(10 * MIB) },
      { offset: BigInt(14 * MIB), bytes: BigInt(MIB / 2) },
    ];
    expect(staleRanges(BigInt(20 * MIB), partitions).map(({ offset, bytes }) => [Number(offset) / MIB, Number(bytes) / MIB])).toEqual([
      [0, 1],
      [4, 1],
      [13, 1.5],
      [19, 1],
    ]);
    expect(staleRanges(1000n, [])).toEqual([{ offset: 0n, bytes: 1000n }]);
  });

  test("becomes zeros, in order and inside the disk, whatever the partitions", async () => {
    const partition = fc.record({ offset: fc.bigInt({ min: 0n, max: 9_000_000n }), bytes: fc.bigInt({ min: 0n, max: 9_000_000n }) });
    await fc.assert(
      fc.asyncProperty(fc.bigInt({ min: 1n, max: 9_000_000n }), fc.array(partition, { maxLength: 3 }), async (size, partitions) => {
        const inside = partitions.filter(({ offset }) => offset < size);
        const bytes = new Uint8Array(Number(size)).fill(7);
        const ranges = staleRanges(size, inside);
        await writePieces(memoryStore(bytes), zeroPieces(ranges), 0n, quietJob);
        const isZero = (at: bigint) => at < 0n || at >= size || bytes[Number(at)] === 0;
        expect(isZero(0n) && isZero(size - 1n)).toBe(true);
        for (const { offset, bytes: length } of inside) if (length > 0n) expect(isZero(offset) && isZero(offset + length - 1n)).toBe(true);
      }),
      { numRuns: 30 },
    );
  });
});
