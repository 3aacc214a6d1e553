import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../../src/contract/error.ts";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore, sparseStore } from "../../../src/disk/block-store.ts";
import { checkExfat, repairExfat } from "../../../src/disk/exfat/check.ts";
import { makeExfat } from "../../../src/disk/exfat/make.ts";
import { openExfat } from "../../../src/disk/exfat/volume.ts";
import { ENTRY_BYTES, encodeFileSet, withSetChecksum } from "../../../src/formats/exfat-entries.ts";
import { recommendedUpcaseTable } from "../../../src/formats/exfat-upcase.ts";
import { memorySource } from "../../../src/image/block-source.ts";
import { bytesOf, changed, contentOf, folderOfOneName, fsckSays, hasExfatprogs, namesIn, put, TIME_MS, treeOf } from "./volumes.ts";

const CLUSTER = 4096;
const [FAT, HEAP] = [65_536, 131_072] as const;
const BITMAP = HEAP;
const UPCASE = HEAP + CLUSTER;
const clusterAt = (cluster: number): number => HEAP + (cluster - 2) * CLUSTER;

/** Four files and a folder, on 995 clusters; FAT and heap start at 64 KiB each, the root is cluster 5. */
const sound = await changed(await oddVolume(), async (volume) => {
  await put(volume, "/one", bytesOf(1, 10_000));
  await put(volume, "/two", bytesOf(2, 5000));
  await put(volume, "/empty", "");
  await volume.makeDirectory("/folder", TIME_MS);
  await put(volume, "/folder/three.txt", bytesOf(3, 9000));
});
async function oddVolume(): Promise<Uint8Array> {
  const bytes = new Uint8Array((4 << 20) + 3 * CLUSTER);
  await makeExfat(memoryStore(bytes), { serial: 1, label: "SOUND" }, quietJob);
  return bytes;
}
const soundTree = await treeOf(memoryStore(sound));

/** A copy that can be damaged, by the set of a file. */
class Damaged {
  readonly bytes = sound.slice();
  readonly view = new DataView(this.bytes.buffer);

  /** Where the set of a name starts. */
  set(name: string): number {
    const at = Buffer.from(this.bytes).indexOf(Buffer.from(name, "utf16le"), clusterAt(5));
    expect(at).toBeGreaterThan(0);
    return at - 2 - 2 * ENTRY_BYTES;
  }

  stream(name: string): number {
    return this.set(name) + ENTRY_BYTES;
  }

  cluster(name: string): number {
    return this.view.getUint32(this.stream(name) + 20, true);
  }

  /** The set's sum, after its bytes were changed. */
  sum(name: string): this {
    const at = this.set(name);
    const count = this.bytes[at + 1]! + 1;
    this.bytes.set(withSetChecksum(this.bytes.slice(at, at + count * ENTRY_BYTES)), at);
    return this;
  }

  poke(at: number, value: number): void {
    this.bytes[at] = value;
  }

  flip(at: number, bits = 1): void {
    this.bytes[at]! ^= bits;
  }

  bit(cluster: number, value: boolean): void {
    const at = BITMAP + ((cluster - 2) >> 3);
    const mask = 1 << ((cluster - 2) & 7);
    this.bytes[at] = value ? this.bytes[at]! | mask : this.bytes[at]! & ~mask;
  }
}

const clusters = new DataView(sound.buffer).getUint32(92, true);

interface Fault {
  readonly name: string;
  readonly ids: readonly string[];
  readonly damage: (on: Damaged) => void;
  /** What fsck.exfat 1.2 says of it before the repair. */
  readonly fsck: "clean" | "finds";
  /** Paths whose content the damage itself took or changed; all else is as it was after the repair. */
  readonly lost?: readonly string[];
}

const FAULTS: readonly Fault[] = [
  // What fsck.exfat 1.2 passes over.
  {
    name: "clusters that nobody owns",
    ids: ["leaked-clusters"],
    fsck: "clean",
    damage: (on) => {
      for (const cluster of [500, 501, 700]) on.bit(cluster, true);
    },
  },
  { name: "a wrong percentage", ids: ["percent-in-use"], fsck: "clean", damage: (on) => on.poke(112, 77) },
  {
    name: "a backup boot region of rubbish",
    ids: ["backup-boot-region"],
    fsck: "clean",
    damage: (on) => on.bytes.fill(0x5a, 12 * 512, 24 * 512),
  },
  { name: "the dirty flag", ids: ["dirty"], fsck: "clean", damage: (on) => on.poke(106, 2) },
  {
    name: "bits behind the bitmap's end",
    ids: ["bitmap-tail"],
    fsck: "clean",
    damage: (on) => on.flip(BITMAP + Math.ceil(clusters / 8) - 1, 0x80),
  },
  {
    name: "two names that are one",
    ids: ["duplicate-name"],
    fsck: "clean",
    lost: ["/two"],
    damage: (on) => {
      const at = on.set("two");
      const allocation = { firstCluster: on.cluster("two"), dataBytes: 5000n, noFatChain: true };
      on.bytes.set(encodeFileSet({ name: "ONE", directory: false, timeMs: TIME_MS, allocation }, recommendedUpcaseTable()), at);
    },
  },
  // What it finds.
  { name: "a wrong sum of a set", ids: ["set-checksum"], fsck: "finds", damage: (on) => on.flip(on.set("one") + 2) },
  {
    name: "a wrong hash of a name",
    ids: ["name-hash"],
    fsck: "finds",
    damage: (on) => {
      on.bytes[on.stream("one") + 4]! ^= 1;
      on.sum("one");
    },
  },
  {
    name: "a cluster of a file that the bitmap calls free",
    ids: ["bitmap-missing"],
    fsck: "finds",
    damage: (on) => on.bit(on.cluster("one"), false),
  },
  {
    name: "more written than there is",
    ids: ["valid-length"],
    fsck: "finds",
    damage: (on) => {
      on.view.setBigUint64(on.stream("one") + 8, 10_001n, true);
      on.sum("one");
    },
  },
  {
    name: "a file without a chain that claims one",
    ids: ["chain-missing"],
    fsck: "finds",
    damage: (on) => {
      on.bytes[on.stream("one") + 1] = 1;
      on.sum("one");
    },
  },
  {
    name: "no bytes with a cluster",
    ids: ["empty-with-cluster"],
    fsck: "finds",
    damage: (on) => {
      on.view.setUint32(on.stream("empty") + 20, on.cluster("one"), true);
      on.sum("empty");
    },
  },
  { name: "a wrong sum of the boot region", ids: ["main-boot-region"], fsck: "finds", damage: (on) => on.flip(11 * 512) },
  { name: "a boot field changed without its sum", ids: ["main-boot-region"], fsck: "finds", damage: (on) => on.flip(100) },
  {
    name: "a main boot sector of zeros",
    ids: ["main-boot-region", "percent-in-use"],
    fsck: "finds",
    damage: (on) => on.bytes.fill(0, 0, 512),
  },
  {
    name: "a wrong sum of the up-case table",
    ids: ["upcase-checksum"],
    fsck: "finds",
    damage: (on) => on.flip(clusterAt(5) + 2 * ENTRY_BYTES + 4),
  },
  {
    name: "an up-case table with a flipped bit",
    ids: ["upcase-table"],
    fsck: "finds",
    damage: (on) => on.flip(UPCASE + 1000),
  },
  // What nobody should need to find.
  {
    name: "a size that lies",
    ids: ["chain-outside"],
    fsck: "finds",
    lost: ["/two"],
    damage: (on) => {
      on.view.setBigUint64(on.stream("two") + 8, 1n << 62n, true);
      on.view.setBigUint64(on.stream("two") + 24, 1n << 62n, true);
      on.sum("two");
    },
  },
  {
    name: "a first cluster outside the volume",
    ids: ["first-cluster", "leaked-clusters"],
    fsck: "finds",
    lost: ["/one"],
    damage: (on) => {
      on.view.setUint32(on.stream("one") + 20, 0xffff_0000, true);
      on.sum("one");
    },
  },
  {
    name: "two files on the same clusters",
    ids: ["cross-linked", "leaked-clusters"],
    fsck: "finds",
    lost: ["/two"],
    damage: (on) => {
      on.view.setUint32(on.stream("two") + 20, on.cluster("one"), true);
      on.sum("two");
    },
  },
  {
    name: "a folder that holds itself",
    ids: ["directory-twice"],
    fsck: "finds",
    damage: (on) => {
      const allocation = { firstCluster: on.cluster("folder"), dataBytes: BigInt(CLUSTER), noFatChain: true };
      const set = encodeFileSet({ name: "again", directory: true, timeMs: TIME_MS, allocation }, recommendedUpcaseTable());
      on.bytes.set(set, clusterAt(on.cluster("folder")) + 3 * ENTRY_BYTES);
    },
  },
  {
    name: "a loop in a chain",
    ids: ["chain-loop", "chain-loop", "leaked-clusters"],
    fsck: "finds",
    lost: ["/one"],
    damage: (on) => {
      const first = on.cluster("one");
      on.bytes[on.stream("one") + 1] = 1;
      on.sum("one");
      on.view.setUint32(FAT + first * 4, first + 1, true);
      on.view.setUint32(FAT + (first + 1) * 4, first, true);
    },
  },
  {
    name: "a root whose chain comes back to it",
    ids: ["root-chain"],
    fsck: "finds",
    damage: (on) => on.view.setUint32(FAT + 5 * 4, 5, true),
  },
  {
    name: "a name with a colon",
    ids: ["name"],
    fsck: "clean",
    lost: ["/two"],
    damage: (on) => {
      const allocation = { firstCluster: on.cluster("two"), dataBytes: 5000n, noFatChain: true };
      on.bytes.set(encodeFileSet({ name: "a:b", directory: false, timeMs: TIME_MS, allocation }, recommendedUpcaseTable()), on.set("two"));
    },
  },
  {
    name: "a folder of half a cluster",
    ids: ["directory-size"],
    fsck: "finds",
    damage: (on) => {
      on.view.setBigUint64(on.stream("folder") + 8, 2048n, true);
      on.view.setBigUint64(on.stream("folder") + 24, 2048n, true);
      on.sum("folder");
    },
  },
  {
    name: "rubbish behind a folder's end",
    ids: ["behind-end"],
    fsck: "clean",
    damage: (on) => on.bytes.fill(0xc1, clusterAt(5) + 2000 + 16, clusterAt(5) + 2048),
  },
  {
    name: "an end in front of files",
    ids: ["hidden-by-end", "leaked-clusters"],
    fsck: "clean",
    damage: (on) => on.poke(on.set("one"), 0),
    lost: ["/one"],
  },
  {
    name: "entries that belong to no file",
    ids: ["orphan-entry", "orphan-entry", "leaked-clusters"],
    fsck: "clean",
    lost: ["/one"],
    damage: (on) => on.poke(on.set("one"), 5),
  },
  {
    name: "a set with an entry too few",
    ids: ["broken-set", "leaked-clusters"],
    fsck: "finds",
    lost: ["/two"],
    damage: (on) => on.poke(on.set("two") + 2 * ENTRY_BYTES, 0x41),
  },
  { name: "a FAT whose first entries are wrong", ids: ["fat-head"], fsck: "clean", damage: (on) => on.bytes.fill(0, FAT, FAT + 8) },
  {
    name: "the bitmap a second time",
    ids: ["misplaced-entry"],
    fsck: "clean",
    damage: (on) => on.bytes.copyWithin(clusterAt(5) + 15 * ENTRY_BYTES, clusterAt(5) + ENTRY_BYTES, clusterAt(5) + 2 * ENTRY_BYTES),
  },
];

const problemsOf = async (bytes: Uint8Array) => (await checkExfat(memoryStore(bytes), quietJob)).problems;

describe("a sound volume", () => {
  test("has no problems, and is not written to", async () => {
    const bytes = sound.slice();
    expect(await checkExfat(memoryStore(bytes), quietJob)).toEqual({
      format: "exfat",
      problems: [],
      cut: false,
      files: 4,
      directories: 2,
      fatal: undefined,
    });
    expect((await repairExfat(memoryStore(bytes), quietJob)).problems).toEqual([]);
    expect(Buffer.from(bytes).equals(sound)).toBe(true);
  });

  test("may have bad clusters, and a file of which not all was written", async () => {
    const on = new Damaged();
    on.bit(600, true);
    on.view.setUint32(FAT + 600 * 4, 0xffff_fff7, true);
    on.view.setBigUint64(on.stream("one") + 8, 4000n, true);
    on.sum("one");
    on.bytes[112] = 0xff; // not known
    expect(await problemsOf(on.bytes)).toEqual([]);
    const volume = await openExfat(memoryStore(on.bytes), { readOnly: true }, quietJob);
    const content = await contentOf(volume, "/one");
    expect(content.equals(Buffer.concat([bytesOf(1, 10_000).subarray(0, 4000), Buffer.alloc(6000)]))).toBe(true);
    const extents = [];
    for await (const extent of volume.extents("/one")) extents.push(extent);
    expect(extents).toEqual([{ offset: BigInt(clusterAt(on.cluster("one"))), bytes: 4000n }]);
  });
});

describe("a volume with", () => {
  test.each(FAULTS.map((fault) => [fault.name, fault] as const))(
    "%s is found out, and mended",
    async (_, { ids, damage, lost = [], fsck }) => {
      const on = new Damaged();
      damage(on);
      const before = await problemsOf(on.bytes);
      expect(before.map(({ id }) => id)).toEqual(ids);
      for (const { offset, text, mending } of before) {
        expect(offset).toBeLessThan(BigInt(on.bytes.length));
        expect(text).not.toMatch(/undefined|NaN/);
        expect(mending).toMatch(/^\S.{10}/); // what a repair does, in words
      }
      if (hasExfatprogs) expect(fsckSays(on.bytes) === "clean" ? "clean" : "finds").toBe(fsck);

      expect(await repairExfat(memoryStore(on.bytes), quietJob)).toMatchObject({ problems: [], fatal: undefined });
      if (hasExfatprogs) expect(fsckSays(on.bytes)).toBe("clean");
      const tree = await treeOf(memoryStore(on.bytes));
      for (const [path, content] of soundTree) if (!lost.includes(path)) expect(tree.get(path), path).toBe(content);
      // What lost its name or its place is still there, somewhere.
      const all = Buffer.concat([...tree.values()].map((content) => Buffer.from(content ?? "", "base64")));
      for (const path of lost) {
        const content = Buffer.from(soundTree.get(path) ?? "", "base64");
        for (let at = 0; at < content.length; at += CLUSTER)
          expect(all.includes(content.subarray(at, at + CLUSTER)), `${path}@${at}`).toBe(true);
      }
    },
  );
});

describe("hostile bytes", () => {
  test("bits flipped anywhere in the tables are found or harmless; a repair ends, and leaves nothing to find", async () => {
    const places = fc.array(fc.tuple(fc.constantFrom(0, FAT, BITMAP, UPCASE, clusterAt(5), clusterAt(11)), fc.nat(4095), fc.nat(7)), {
      minLength: 1,
      maxLength: 6,
    });
    await fc.assert(
      fc.asyncProperty(places, async (flips) => {
        const bytes = sound.slice();
        for (const [region, at, bit] of flips) bytes[region + at]! ^= 1 << bit;
        const check = await checkExfat(memoryStore(bytes), quietJob);
        if (check.fatal === undefined) await readsOrRefuses(memoryStore(bytes));
        const repaired = await repairExfat(memoryStore(bytes), quietJob);
        if (repaired.fatal === undefined) {
          // An entry of an unknown critical kind stays (8.2), with it the clusters that may be its own, and the flag.
          const unknown = repaired.problems.some(({ id, mending }) => id === "misplaced-entry" && mending === undefined);
          const left = ["media-failure", ...(unknown ? ["misplaced-entry", "leaked-clusters", "dirty"] : [])];
          expect(repaired.problems.filter(({ id }) => !left.includes(id))).toEqual([]);
        }
      }),
      { numRuns: 60, examples: [[[[clusterAt(11), 0, 0]]]] },
    );
  });

  test("cut at every sector of its tables, a volume is refused with the place", async () => {
    for (let length = 0; length < clusterAt(15); length += 512) {
      const { fatal } = await checkExfat(memoryStore(sound.slice(0, length)), quietJob);
      expect(fatal).toBeInstanceOf(HiperisoError);
      expect(fatal?.where).toMatch(/^memory@\d+$/);
    }
  });

  test("with every byte of a file's set, a folder's and the root's own entries changed is read or refused", async () => {
    for (const start of [clusterAt(5), clusterAt(11)]) {
      for (let at = start; at < start + 6 * ENTRY_BYTES; at += 1) {
        for (const value of [0x00, 0xff]) {
          const store = sparseStore(BigInt(sound.length), { below: memorySource(sound) });
          await store.write(BigInt(at), Uint8Array.of(value));
          await readsOrRefuses(store);
        }
      }
    }
  });

  test("a folder full of one name: bounded, and what is left out is said", async () => {
    const check = await checkExfat(await folderOfOneName(1 << 22), quietJob);
    expect(check).toMatchObject({ files: Math.floor(((1 << 22) - 96) / 96), cut: true });
    expect(check.problems.length).toBe(1000);
    expect(new Set(check.problems.map(({ id }) => id))).toEqual(new Set(["duplicate-name"]));
  });
});

/** Everything that can be asked of a volume, each of which must end: with an answer or with an error of ours. */
async function readsOrRefuses(store: BlockStore): Promise<void> {
  try {
    const volume = await openExfat(store, { readOnly: true }, quietJob);
    for (const name of await namesIn(volume, "/")) {
      try {
        if ((await volume.stat(`/${name}`))?.kind === "directory") await namesIn(volume, `/${name}`);
        else
          for await (const piece of volume.read(`/${name}`, { offset: 0n, lengthBytes: 1n << 20n }))
            expect(piece.length).toBeGreaterThan(0);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
    }
  } catch (error) {
    expect(error).toBeInstanceOf(HiperisoError);
    expect((error as HiperisoError).where).toMatch(/^(memory|sparse)[@:]/);
  }
}
