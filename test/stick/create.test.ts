import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { type BlockStore, cutStore, sparseStore } from "../../src/disk/block-store.ts";
import { seededIds } from "../../src/disk/ids.ts";
import { planNewStick, type StickWish, writeStick } from "../../src/stick/create.ts";
import { openStick } from "../../src/stick/open-stick.ts";
import { verifyStick } from "../../src/stick/verify.ts";
import { bytesOf } from "../disk/exfat/volumes.ts";
import { ESP_FILES, ImageFolder, MIB, NOW_MS } from "./memory-stick.ts";

const wishFor = (medium: BlockStore, changes: Partial<StickWish> = {}): StickWish => ({
  sizeBytes: medium.sizeBytes,
  sectorBytes: 512,
  ids: seededIds("x"),
  images: [],
  allowDamaged: false,
  espFiles: ESP_FILES,
  config: Buffer.from("{}\n"),
  timeMs: NOW_MS,
  fixedTimes: true,
  version: "1.0.0",
  ...changes,
});

const blank = (megabytes = 96): BlockStore => sparseStore(BigInt(megabytes * MIB), { name: "/dev/sdx" });

describe("a stick is made", () => {
  test("on a disk that held something else nothing of that is found any more", async () => {
    const medium = sparseStore(96n << 20n, { name: "/dev/sdx", below: noise(96 * MIB) });
    await writeStick(medium, await planNewStick(wishFor(medium), quietJob), { isDevice: true }, quietJob);
    expect((await medium.read(0n, 440)).every((byte) => byte === 0)).toBe(true);
    expect(await verifyStick(await openStick(medium), { contents: true }, quietJob)).toMatchObject({ problems: [] });
  });

  test("onto a disk that vanishes is told, and leaves no stick rather than half a one", async () => {
    using images = new ImageFolder();
    const image = await images.image("a.iso", bytesOf(1, 3 * MIB));
    const gone = new HiperisoError({ what: "write to the disk", where: "/dev/sdx@1", found: "the disk is gone" });
    const counted = cutStore(blank(), Number.POSITIVE_INFINITY);
    await writeStick(counted, await planNewStick(wishFor(counted, { images: [image] }), quietJob), { isDevice: true }, quietJob);
    for (const part of [0.05, 0.3, 0.6, 0.9]) {
      const medium = blank();
      let left = Math.floor(counted.written * part);
      const vanishing: BlockStore = {
        ...medium,
        write: async (offset, bytes) => {
          left -= 1;
          if (left < 0) throw gone;
          await medium.write(offset, bytes);
        },
      };
      const plan = await planNewStick(wishFor(medium, { images: [image] }), quietJob);
      await expect(writeStick(vanishing, plan, { isDevice: true }, quietJob)).rejects.toThrow(/the disk is gone/);
      await expect(openStick(medium)).rejects.toThrow(/nothing that is known|stick of hiperiso/);
      await writeStick(medium, plan, { isDevice: true }, quietJob);
      expect(await verifyStick(await openStick(medium), { contents: true }, quietJob)).toMatchObject({ problems: [] });
    }
  });

  test("says how far it is in bytes, of all that it will write", async () => {
    using images = new ImageFolder();
    const sources = [await images.image("a.iso", bytesOf(1, 3 * MIB)), await images.image("b.iso", bytesOf(2, MIB))];
    const medium = blank();
    const steps = new Map<string, { total: bigint | undefined; done: number }>();
    const job: Job = {
      ...quietJob,
      progress: {
        ...silentProgress,
        begin: (title, total) => {
          const step = { total, done: 0 };
          steps.set(title, step);
          return {
            advance: (bytes) => {
              step.done += bytes;
            },
            end: () => {},
          };
        },
      },
    };
    await writeStick(medium, await planNewStick(wishFor(medium, { images: sources }), quietJob), { isDevice: false }, job);
    expect(steps.get("write 2 images")).toEqual({ total: BigInt(4 * MIB), done: 4 * MIB });
    expect(steps.get("write the boot partition")).toEqual({ total: 6010n, done: 6010 });
  });

  test("has a plan that says what will be free, and that is refused when it does not fit", async () => {
    using images = new ImageFolder();
    const medium = blank();
    const image = await images.image("a.iso", bytesOf(1, 5 * MIB));
    const empty = await planNewStick(wishFor(medium), quietJob);
    const full = await planNewStick(wishFor(medium, { images: [image] }), quietJob);
    expect(empty.freeBytes - full.freeBytes).toBe(BigInt(5 * MIB));
    const big = { ...image, sizeBytes: 32n << 20n };
    await expect(planNewStick(wishFor(medium, { images: [big] }), quietJob)).rejects.toThrow(/room for \d+ bytes, found \d+ bytes free/);
    const espFiles = [{ path: "/EFI/hiperiso/runtime.squashfs", from: new Uint8Array(64 * MIB) }];
    await expect(planNewStick(wishFor(medium, { espFiles }), quietJob)).rejects.toThrow(/files of at most 66322432 bytes together/);
  });

  test.each([0, Date.UTC(1999, 0, 1), Date.UTC(2046, 5, 5), Date.UTC(2150, 0, 1)])("whatever the clock says: %i", async (timeMs) => {
    const medium = blank();
    await writeStick(medium, await planNewStick(wishFor(medium, { timeMs }), quietJob), { isDevice: false }, quietJob);
    expect(await verifyStick(await openStick(medium), { contents: true }, quietJob)).toMatchObject({ problems: [] });
  });

  test("stops when it is told to", async () => {
    using images = new ImageFolder();
    const image = await images.image("a.iso", bytesOf(1, 5 * MIB));
    const medium = blank();
    const plan = await planNewStick(wishFor(medium, { images: [image] }), quietJob);
    const abort = new AbortController();
    const job: Job = {
      signal: abort.signal,
      progress: { ...silentProgress, begin: () => ({ advance: () => abort.abort(new Error("enough")), end: () => {} }) },
    };
    await expect(writeStick(medium, plan, { isDevice: false }, job)).rejects.toThrow(/enough/);
  });
});

/** A disk full of bytes that look like nothing. */
function noise(bytes: number): BlockStore {
  return {
    ...sparseStore(BigInt(bytes)),
    read: async (offset, length) => {
      const left = bytes - Number(offset);
      return Uint8Array.from({ length: Math.max(0, Math.min(length, left)) }, (_, index) => ((Number(offset) + index) * 31 + 7) & 0xff);
    },
  };
}
