import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { type BlockStore, cutStore } from "../../src/disk/block-store.ts";
import { addImages, planImages, unfinishedPath } from "../../src/stick/add.ts";
import { openMountedData, type StickData } from "../../src/stick/data.ts";
import { readImageRecord } from "../../src/stick/image-record.ts";
import type { ImageSource } from "../../src/stick/image-sources.ts";
import { bytesOf } from "../disk/exfat/volumes.ts";
import { ImageFolder, MIB, memoryStick, NOW_MS, onData } from "./memory-stick.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const SEGMENT = 256 * 1024;

interface Tried {
  readonly verify?: boolean;
  readonly replace?: boolean;
  readonly job?: Job;
}

async function add(data: StickData, images: readonly ImageSource[], { verify = true, replace = false, job = quietJob }: Tried = {}) {
  const plan = await planImages(data, { images, replace, allowDamaged: false });
  return await addImages(data, plan, { nowMs: NOW_MS, verify, forget: async () => {}, segmentBytes: BigInt(SEGMENT) }, job);
}

async function contentOf({ tree, at }: StickData, path: string): Promise<Buffer> {
  const pieces: Uint8Array[] = [];
  for await (const piece of tree.read(at(path))) pieces.push(piece);
  return Buffer.concat(pieces);
}

let images: ImageFolder;
beforeEach(() => {
  images = new ImageFolder();
});
afterEach(() => images[Symbol.dispose]());

describe("images are added", () => {
  test("streamed, whole, with their sum in the record and their own time", async () => {
    const medium = await memoryStick();
    const content = bytesOf(1, 2 * MIB + 12_345);
    const image = await images.image("a b.iso", content);
    await onData(medium, async (data) => {
      expect(await add(data, [image])).toMatchObject([{ path: "/ISOs/a b.iso", sha256: sha256(content), size_bytes: content.length }]);
      expect((await contentOf(data, "/ISOs/a b.iso")).equals(content)).toBe(true);
      expect((await readImageRecord(data)).images).toHaveLength(1);
      expect(Math.abs((await data.tree.stat("/ISOs/a b.iso"))!.modifiedMs! - image.modifiedMs)).toBeLessThan(20);
      expect(await data.tree.stat(unfinishedPath(image.to, data.tree.folded))).toBeUndefined();
    });
  });

  test("after a cut at any write the same command takes the copy up again, and ends with the same stick", async () => {
    const content = bytesOf(2, 3 * SEGMENT + 999);
    const image = await images.image("a.iso", content);
    let cuts = 0;
    let resumed = 0;
    for (let writes = 1; ; writes += 5) {
      const medium = await memoryStick();
      const whole = await onData(cutStore(medium, writes), (data) => add(data, [image])).then(
        () => true,
        (error: Error) => {
          if (!/cut before/.test(`${error.message} ${String(error.cause)}`)) throw error;
          return false;
        },
      );
      if (whole) break;
      cuts += 1;
      const said: string[] = [];
      const job: Job = { ...quietJob, progress: { ...silentProgress, say: (line) => said.push(line) } };
      await onData(medium, async (data) => {
        await add(data, [image], { job });
        expect((await contentOf(data, "/ISOs/a.iso")).equals(content)).toBe(true);
        expect((await readImageRecord(data)).images).toMatchObject([{ path: "/ISOs/a.iso", sha256: sha256(content) }]);
      });
      if (said.some((line) => /bytes are on the stick already/.test(line))) resumed += 1;
    }
    expect(cuts).toBeGreaterThan(3);
    expect(resumed).toBeGreaterThan(0);
  });

  test("what was taken up again is not written twice", async () => {
    const content = bytesOf(3, 8 * SEGMENT);
    const image = await images.image("a.iso", content);
    const medium = await memoryStick();
    const cut = new AbortController();
    let bytes = 0;
    const stopping: Job = {
      signal: cut.signal,
      progress: {
        ...silentProgress,
        begin: () => ({
          advance: (amount) => {
            bytes += amount;
            if (bytes > 5 * SEGMENT) cut.abort();
          },
          end: () => {},
        }),
      },
    };
    await expect(onData(medium, (data) => add(data, [image], { job: stopping }))).rejects.toThrow();
    const counted = counting(medium);
    await onData(counted, (data) => add(data, [image], { verify: false }));
    expect(counted.written()).toBeLessThan(6 * SEGMENT);
    await onData(medium, async (data) => expect((await contentOf(data, "/ISOs/a.iso")).equals(content)).toBe(true));
  });

  test("a beginning that is another's is thrown away", async () => {
    const medium = await memoryStick();
    const before = await images.image("a.iso", bytesOf(4, 4 * SEGMENT));
    await onData(medium, async (data) => {
      const part = unfinishedPath(before.to, data.tree.folded);
      await data.tree.makeFolder("/hiperiso/unfinished", NOW_MS);
      const file = await data.partial(part, before);
      await file!.append((async function* () { yield bytesOf(9, 2 * SEGMENT); })(), BigInt(2 * SEGMENT), quietJob); // biome-ignore format: one thought
      await add(data, [before]);
      expect((await contentOf(data, before.to)).equals(readFileSync(before.from))).toBe(true);
    });
  });

  test("one that is not what its list of sums says leaves nothing", async () => {
    const medium = await memoryStick();
    writeFileSync(join(images.path, "SHA256SUMS"), `${"0".repeat(64)}  a.iso\n`);
    const image = await images.image("a.iso", bytesOf(5, SEGMENT + 1));
    await onData(medium, async (data) => {
      await expect(add(data, [image])).rejects.toMatchObject({
        kind: "usage",
        message: expect.stringMatching(/SHA-256 0{64}, as .*SHA256SUMS says/),
      });
      expect(await data.tree.stat("/ISOs/a.iso")).toBeUndefined();
      expect(await data.tree.stat(unfinishedPath(image.to, data.tree.folded))).toBeUndefined();
    });
  });

  test("one that was whole stays when the next fails, and one that is replaced is there until its new one is", async () => {
    const medium = await memoryStick();
    const first = await images.image("a.iso", bytesOf(6, SEGMENT));
    const second = await images.image("b.iso", bytesOf(7, 3 * SEGMENT));
    await onData(medium, async (data) => {
      await add(data, [first, second]);
      writeFileSync(second.from, bytesOf(8, 3 * SEGMENT));
      writeFileSync(join(images.path, "SHA256SUMS"), `${"1".repeat(64)}  b.iso\n`);
      const other = await images.image("b.iso", bytesOf(8, 3 * SEGMENT));
      await expect(add(data, [first, other], { replace: true })).rejects.toThrow(/SHA-256 1{64}/);
      expect((await contentOf(data, "/ISOs/b.iso")).equals(bytesOf(7, 3 * SEGMENT))).toBe(true);
      expect((await readImageRecord(data)).images).toHaveLength(2);
    });
  });

  test("a medium that forgets what is written is found when it is read back", async () => {
    const medium = await memoryStick();
    const image = await images.image("a.iso", bytesOf(9, 4 * SEGMENT));
    let lies = false;
    const forgetful: BlockStore = {
      ...medium,
      write: (offset, bytes) => {
        lies = bytes.length > 100_000;
        return medium.write(offset, lies ? new Uint8Array(bytes.length) : bytes);
      },
    };
    await expect(onData(forgetful, (data) => add(data, [image]))).rejects.toThrow(/does not keep what is written|read back the image/);
  });

  test("a source that grows or shrinks meanwhile is told, and no image of that name is there", async () => {
    const medium = await memoryStick();
    for (const change of ["grows", "shrinks"]) {
      const image = await images.image(`${change}.iso`, bytesOf(10, 2 * SEGMENT));
      if (change === "grows") appendFileSync(image.from, "more");
      else writeFileSync(image.from, bytesOf(10, SEGMENT));
      await onData(medium, async (data) => {
        await expect(add(data, [image])).rejects.toMatchObject({ kind: "usage" });
        expect(await data.tree.stat(image.to)).toBeUndefined();
      });
    }
  });
});

describe("where the data partition is mounted", () => {
  let folder: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "hiperiso-mounted-"));
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  test("images are added, taken up again, and keep their time", async () => {
    mkdirSync(join(folder, "hiperiso"));
    const content = bytesOf(11, 3 * SEGMENT + 5);
    const image = await images.image("ä 'x'.iso", content);
    await using data = await openMountedData(folder);
    const part = join(folder, unfinishedPath(image.to, data.tree.folded));
    mkdirSync(join(folder, "hiperiso/unfinished"));
    writeFileSync(part, content.subarray(0, SEGMENT + 77));
    const said: string[] = [];
    await add(data, [image], { job: { ...quietJob, progress: { ...silentProgress, say: (line) => said.push(line) } } });
    expect(said).toEqual([expect.stringMatching(new RegExp(`${SEGMENT + 77} of ${content.length} bytes`))]);
    expect(readFileSync(join(folder, "ISOs/ä 'x'.iso")).equals(content)).toBe(true);
    expect(Math.abs(statSync(join(folder, "ISOs/ä 'x'.iso")).mtimeMs - image.modifiedMs)).toBeLessThan(2);
    expect(readdirSync(join(folder, "hiperiso/unfinished"))).toEqual([]);
    expect(JSON.parse(readFileSync(join(folder, "hiperiso/images.json"), "utf8")).images).toMatchObject([{ sha256: sha256(content) }]);
  });

  test("names that exFAT takes for one are one, whatever the folder lies on", async () => {
    mkdirSync(join(folder, "hiperiso"));
    mkdirSync(join(folder, "ISOs"));
    writeFileSync(join(folder, "ISOs/A.iso"), "another");
    await using data = await openMountedData(folder);
    await expect(add(data, [await images.image("a.iso", "x")])).rejects.toThrow(/\/ISOs\/A\.iso is there already/);
  });

  test("a folder without hiperiso in it is refused: nobody's home is filled by a slip", async () => {
    await expect(openMountedData(folder)).rejects.toMatchObject({ kind: "usage", hint: expect.stringMatching(/mkdir/) });
    expect(readdirSync(folder)).toEqual([]);
  });
});

function counting(medium: BlockStore): BlockStore & { written(): number } {
  let bytes = 0;
  return {
    ...medium,
    written: () => bytes,
    write: async (offset, piece) => {
      bytes += piece.length;
      await medium.write(offset, piece);
    },
  };
}
