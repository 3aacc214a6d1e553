import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../../src/contract/error.ts";
import { quietJob } from "../../../src/contract/job.ts";
import { type BlockStore, memoryStore, sparseStore } from "../../../src/disk/block-store.ts";
import { checkFat, repairFat } from "../../../src/disk/fat/check.ts";
import { openFat } from "../../../src/disk/fat/volume.ts";
import { decodeFatBoot, fatPlaces } from "../../../src/formats/fat-boot.ts";
import { ATTRIBUTE, ENTRY_BYTES, encodeLongEntries } from "../../../src/formats/fat-entries.ts";
import { memorySource } from "../../../src/image/block-source.ts";
import { bytesOf } from "../exfat/volumes.ts";
import { changed, folderOfMillions, freshVolume, fsckSays, hasDosfstools, KINDS, namesIn, put, TIME_MS, treeOf } from "./volumes.ts";

const LONG = "/folder/three, which has a long name.txt";

const volumeOf = async (kind: string): Promise<Uint8Array> => {
  const { bytes, options } = KINDS.find(({ name }) => name === kind)!;
  return await changed(await freshVolume(bytes, options), async (volume) => {
    await put(volume, "/one.bin", bytesOf(1, 10_000));
    await put(volume, "/SHORT.TXT", bytesOf(2, 5000));
    await put(volume, "/empty", "");
    await volume.makeDirectory("/folder", TIME_MS);
    await put(volume, LONG, bytesOf(3, 9000));
    await put(volume, "/folder/FOUR.BIN", bytesOf(4, 3000));
    await volume.makeDirectory("/folder/inner", TIME_MS);
    await put(volume, "/folder/inner/FIVE", bytesOf(5, 1500));
  });
};

const sound = { FAT12: await volumeOf("FAT12"), FAT16: await volumeOf("FAT16"), FAT32: await volumeOf("FAT32") };
type Bits = keyof typeof sound;
const soundTree = await treeOf(memoryStore(sound.FAT16));

/** A copy that can be damaged, by the 8.3 entry of a file. */
class Damaged {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly cluster: number;
  readonly #bits: Bits;
  readonly #fats: readonly number[];
  readonly #data: number;
  readonly root: number;

  constructor(bits: Bits) {
    this.bytes = sound[bits].slice();
    this.view = new DataView(this.bytes.buffer);
    this.#bits = bits;
    const boot = decodeFatBoot(this.bytes, "sound");
    const { rootSector, dataSector } = fatPlaces(boot);
    this.cluster = boot.clusterSectors * 512;
    this.#fats = [0, 1].map((fat) => (boot.reservedSectors + fat * boot.fatSectors) * 512);
    this.#data = dataSector * 512;
    this.root = bits === "FAT32" ? this.#data : rootSector * 512;
  }

  clusterAt(cluster: number): number {
    return this.#data + (cluster - 2) * this.cluster;
  }

  fat(copy: number, cluster: number): number {
    return this.#fats[copy]! + (this.#bits === "FAT16" ? 2 : 4) * cluster;
  }

  /** Gives both FATs an entry: FAT16 and FAT32. */
  link(cluster: number, value: number, copies: readonly number[] = [0, 1]): void {
    for (const copy of copies) {
      if (this.#bits === "FAT16") this.view.setUint16(this.fat(copy, cluster), value, true);
      else this.view.setUint32(this.fat(copy, cluster), value, true);
    }
  }

  next(cluster: number): number {
    return this.#bits === "FAT16" ? this.view.getUint16(this.fat(0, cluster), true) : this.view.getUint32(this.fat(0, cluster), true);
  }

  /** The number of a file's `index`th cluster. */
  nth(short: string, index: number): number {
    let cluster = this.first(short);
    for (let step = 0; step < index; step += 1) cluster = this.next(cluster);
    return cluster;
  }

  /** Where the 8.3 entry of a name of 11 characters stands. */
  entry(short: string): number {
    for (let at = this.root; at < this.root + (1 << 18); at += ENTRY_BYTES) {
      if (Buffer.from(this.bytes.subarray(at, at + 11)).toString("latin1") === short && this.bytes[at + 11] !== 0x0f) return at;
    }
    throw new Error(`no entry ${short}`);
  }

  first(short: string): number {
    const at = this.entry(short);
    return this.view.getUint16(at + 26, true) + this.view.getUint16(at + 20, true) * 0x10000;
  }

  setFirst(short: string, cluster: number): void {
    const at = this.entry(short);
    this.view.setUint16(at + 26, cluster & 0xffff, true);
    this.view.setUint16(at + 20, cluster >>> 16, true);
  }

  /** A further 8.3 entry at the end of the root, a copy of another's under another name. */
  again(short: string, name: string): number {
    let at = this.root;
    while (this.bytes[at] !== 0) at += ENTRY_BYTES;
    this.bytes.copyWithin(at, this.entry(short), this.entry(short) + ENTRY_BYTES);
    this.bytes.set(Buffer.from(name, "latin1"), at);
    return at;
  }

  poke(at: number, value: number): void {
    this.bytes[at] = value;
  }
}

const [ONE, SHORT, FOLDER, THREE, FOUR, INNER] = [
  "ONE     BIN",
  "SHORT   TXT",
  "FOLDER     ",
  "THREE,~1TXT".replace(",", "_"),
  "FOUR    BIN",
  "INNER      ",
] as const;

interface Fault {
  readonly name: string;
  readonly bits?: Bits;
  readonly ids: readonly string[];
  readonly damage: (on: Damaged) => void;
  /** What fsck.fat 4.2 says of it before the repair. */
  readonly fsck: "clean" | "finds";
  /** Paths whose content the damage itself took or changed, cluster by cluster to be found elsewhere; all else is as it was after the repair. */
  readonly moved?: readonly string[];
}

const FAULTS: readonly Fault[] = [
  {
    name: "clusters that nobody owns",
    ids: ["lost-clusters"],
    fsck: "finds",
    damage: (on) => {
      on.link(3000, 3001);
      on.link(3001, 0xffff);
    },
  },
  { name: "a second FAT that differs", ids: ["fats-differ"], fsck: "finds", damage: (on) => on.link(3000, 0xffff, [1]) },
  {
    name: "a first FAT that lost its chains",
    ids: ["fats-differ"],
    fsck: "finds",
    damage: (on) => on.bytes.fill(0, on.fat(0, 2), on.fat(0, 200)),
  },
  { name: "the dirty flag of the boot sector", ids: ["dirty"], fsck: "finds", damage: (on) => on.poke(37, 1) },
  { name: "the dirty flag of the FAT", ids: ["dirty"], fsck: "finds", damage: (on) => on.link(1, 0x7fff) },
  { name: "a wrong medium in the FATs", ids: ["fat-head"], fsck: "clean", damage: (on) => on.link(0, 0xfff0) },
  { name: "a boot sector without its signature", ids: ["boot-signature"], fsck: "clean", damage: (on) => on.poke(511, 0) },
  { name: "another label in the boot sector", ids: ["label"], fsck: "finds", damage: (on) => on.poke(43, 0x58) },
  { name: "a label that is not in the root", ids: ["label"], fsck: "finds", damage: (on) => on.poke(on.entry("TEST       "), 0xe5) },
  {
    name: "two labels",
    ids: ["extra-label"],
    fsck: "clean",
    damage: (on) => on.again("TEST       ", "OTHER      "),
  },
  {
    name: "a chain that ends too early",
    ids: ["chain", "lost-clusters"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.link(on.nth(ONE, 3), 0xffff),
  },
  {
    name: "a chain that leads to a free cluster",
    ids: ["chain", "lost-clusters"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.link(on.nth(ONE, 3), 0),
  },
  {
    name: "a chain that leads outside",
    ids: ["chain", "lost-clusters"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.link(on.nth(ONE, 3), 0xff00),
  },
  {
    name: "a chain that runs into a bad cluster",
    ids: ["chain", "lost-clusters"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.link(on.nth(ONE, 3), 0xfff7),
  },
  {
    name: "a chain that bites its tail",
    ids: ["chain", "lost-clusters"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.link(on.nth(ONE, 3), on.nth(ONE, 2)),
  },
  {
    name: "a file that is smaller than its chain",
    ids: ["chain-long"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.view.setUint32(on.entry(ONE) + 28, 2048, true),
  },
  {
    name: "a file of no size with a chain",
    ids: ["size-zero"],
    fsck: "finds",
    moved: ["/one.bin"],
    damage: (on) => on.view.setUint32(on.entry(ONE) + 28, 0, true),
  },
  {
    name: "a size without clusters",
    ids: ["chain", "lost-clusters"],
    fsck: "finds",
    moved: ["/SHORT.TXT"],
    damage: (on) => on.setFirst(SHORT, 0),
  },
  {
    name: "two files on the same clusters",
    ids: ["cross-linked", "lost-clusters"],
    fsck: "finds",
    moved: ["/SHORT.TXT"],
    damage: (on) => on.setFirst(SHORT, on.first(ONE)),
  },
  {
    name: "a chain that runs into another",
    ids: ["cross-linked", "lost-clusters"],
    fsck: "finds",
    moved: ["/SHORT.TXT"],
    damage: (on) => on.link(on.nth(SHORT, 1), on.nth(ONE, 1)),
  },
  {
    name: "a long name with a wrong sum",
    ids: ["long-name-checksum"],
    fsck: "finds",
    damage: (on) => on.poke(on.entry(THREE) - 2 * ENTRY_BYTES + 13, 0),
  },
  {
    name: "a long name without its end",
    ids: ["orphan-long-name"],
    fsck: "finds",
    moved: [LONG],
    damage: (on) => on.poke(on.entry(THREE) - 3 * ENTRY_BYTES, 0xe5),
  },
  {
    name: "two names that are one",
    ids: ["duplicate-name"],
    fsck: "finds",
    moved: ["/SHORT.TXT"],
    damage: (on) => on.bytes.set(Buffer.from(ONE, "latin1"), on.entry(SHORT)),
  },
  {
    name: "two long names that are one but for their case",
    ids: ["duplicate-name"],
    fsck: "clean",
    moved: ["/folder/FOUR.BIN"],
    damage: (on) => {
      // FOUR.BIN and what follows move back, to make room for a long name of three entries.
      const at = on.entry(FOUR);
      on.bytes.copyWithin(at + 3 * ENTRY_BYTES, at, at + 5 * ENTRY_BYTES);
      on.bytes.set(encodeLongEntries("THREE, which has a long name.TXT", Buffer.from(FOUR, "latin1")), at);
    },
  },
  { name: "a . of another cluster", ids: ["dot-entries"], fsck: "finds", damage: (on) => on.poke(on.clusterAt(on.first(FOLDER)) + 26, 99) },
  {
    name: "a .. of another cluster",
    ids: ["dot-entries"],
    fsck: "finds",
    damage: (on) => on.poke(on.clusterAt(on.first(INNER)) + ENTRY_BYTES + 26, 0),
  },
  { name: "no .", ids: ["dot-entries"], fsck: "finds", damage: (on) => on.poke(on.clusterAt(on.first(FOLDER)), 0xe5) },
  { name: "a folder with a size", ids: ["directory-size"], fsck: "finds", damage: (on) => on.poke(on.entry(FOLDER) + 28, 1) },
  {
    name: "a file that says that it is a folder",
    ids: ["not-a-directory"],
    fsck: "finds",
    moved: ["/SHORT.TXT"],
    damage: (on) => on.poke(on.entry(SHORT) + 11, ATTRIBUTE.directory),
  },
  { name: "a move that was cut", ids: ["entry-twice"], fsck: "finds", damage: (on) => void on.again(SHORT, "ZZ         ") },
  { name: "a folder's move that was cut", ids: ["entry-twice"], fsck: "finds", damage: (on) => void on.again(FOLDER, "ZZ         ") },
  {
    name: "a folder that holds itself",
    ids: ["entry-twice", "lost-clusters"],
    fsck: "finds",
    moved: ["/folder/inner", "/folder/inner/FIVE"],
    damage: (on) => on.setFirst(INNER, on.first(FOLDER)),
  },
  {
    name: "a folder without clusters",
    ids: ["no-clusters", "lost-clusters"],
    fsck: "finds",
    moved: ["/folder/inner/FIVE", LONG, "/folder/FOUR.BIN", "/folder/inner"],
    damage: (on) => on.setFirst(FOLDER, 0),
  },
  {
    name: "files behind a folder's end",
    ids: ["hidden-by-end", "lost-clusters"],
    fsck: "clean",
    moved: ["/one.bin"],
    damage: (on) => on.bytes.fill(0, on.entry(ONE) - ENTRY_BYTES, on.entry(ONE)),
  },
  {
    name: "rubbish behind a folder's end",
    ids: ["behind-end"],
    fsck: "finds",
    damage: (on) => on.bytes.fill(0x41, on.clusterAt(on.first(INNER)) + 8 * ENTRY_BYTES, on.clusterAt(on.first(INNER)) + 10 * ENTRY_BYTES),
  },
  {
    name: "a forbidden character in an 8.3 name",
    ids: ["short-name"],
    fsck: "finds",
    moved: ["/SHORT.TXT"],
    damage: (on) => on.poke(on.entry(SHORT) + 2, 0x2a),
  },
  {
    name: "a forbidden character in a long name",
    ids: ["long-name"],
    fsck: "clean",
    moved: [LONG],
    damage: (on) => on.poke(on.entry(THREE) - ENTRY_BYTES + 5, 0x3f),
  },
  { name: "a folder that is a label too", ids: ["attributes"], fsck: "clean", damage: (on) => on.poke(on.entry(FOLDER) + 11, 0x18) },
  { name: "a wrong number of free clusters", bits: "FAT32", ids: ["fsinfo"], fsck: "finds", damage: (on) => on.poke(512 + 488, 1) },
  { name: "no FSInfo", bits: "FAT32", ids: ["fsinfo"], fsck: "finds", damage: (on) => on.bytes.fill(0, 512, 1024) },
  {
    name: "another copy of the boot sector",
    bits: "FAT32",
    ids: ["backup-boot-sector"],
    fsck: "finds",
    damage: (on) => on.poke(6 * 512 + 100, 1),
  },
  { name: "no boot sector but its copy", bits: "FAT32", ids: ["boot-sector"], fsck: "finds", damage: (on) => on.bytes.fill(0, 0, 512) },
  { name: "a root whose chain leads outside", bits: "FAT32", ids: ["root-chain"], fsck: "finds", damage: (on) => on.link(2, 0x0fff_ff00) },
  { name: "the dirty flag of the FAT (FAT32)", bits: "FAT32", ids: ["dirty"], fsck: "finds", damage: (on) => on.link(1, 0x07ff_ffff) },
];

const problemsOf = async (bytes: Uint8Array) => (await checkFat(memoryStore(bytes), quietJob)).problems;

describe("a volume with", () => {
  test.each(FAULTS.map((fault) => [fault.name, fault] as const))(
    "%s is found out, and mended",
    async (_, { bits = "FAT16", ids, damage, moved = [], fsck }) => {
      const on = new Damaged(bits);
      damage(on);
      const before = await problemsOf(on.bytes);
      expect(before.map(({ id }) => id)).toEqual(ids);
      for (const { offset, text, mending } of before) {
        expect(offset).toBeLessThan(BigInt(on.bytes.length));
        expect(text).not.toMatch(/undefined|NaN/);
        expect(mending).toMatch(/^\S.{10}/); // what a repair does, in words
      }
      if (hasDosfstools) expect(fsckSays(on.bytes) === "clean" ? "clean" : "finds").toBe(fsck);

      expect(await repairFat(memoryStore(on.bytes), quietJob)).toMatchObject({ problems: [], fatal: undefined });
      if (hasDosfstools) expect(fsckSays(on.bytes)).toBe("clean");
      const tree = await treeOf(memoryStore(on.bytes));
      for (const [path, content] of soundTree) if (!moved.includes(path)) expect(tree.get(path), path).toBe(content);
      // What lost its name or its place is still there, somewhere.
      const all = Buffer.concat([...tree.values()].map((content) => Buffer.from(content ?? "", "base64")));
      for (const path of moved) {
        const content = Buffer.from(soundTree.get(path) ?? "", "base64");
        for (let at = 0; at < content.length; at += on.cluster)
          expect(all.includes(content.subarray(at, at + on.cluster)), `${path}@${at}`).toBe(true);
      }
    },
  );
});

/** Everything that can be asked of a volume, each of which must end: with an answer or with an error of ours. */
async function readsOrRefuses(store: BlockStore): Promise<void> {
  try {
    const volume = await openFat(store, { readOnly: true }, quietJob);
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

describe("hostile bytes", () => {
  test.each(["FAT12", "FAT16"] as const)(
    "bits of a %s flipped anywhere in its tables are found or harmless; a repair ends, and leaves nothing to find",
    async (bits) => {
      const { root, clusterAt } = new Damaged(bits);
      const on = new Damaged(bits);
      const regions = [0, on.fat(0, 0), on.fat(1, 0), root, clusterAt.call(on, on.first(FOLDER)), clusterAt.call(on, on.first(INNER))];
      const places = fc.array(fc.tuple(fc.constantFrom(...regions), fc.nat(127), fc.nat(7)), { minLength: 1, maxLength: 6 });
      await fc.assert(
        fc.asyncProperty(places, async (flips) => {
          const bytes = sound[bits].slice();
          for (const [region, at, bit] of flips) bytes[region + at]! ^= 1 << bit;
          const check = await checkFat(memoryStore(bytes), quietJob);
          if (check.fatal === undefined) await readsOrRefuses(memoryStore(bytes));
          let repaired = await repairFat(memoryStore(bytes), quietJob);
          // Where not one cluster is free there is no room for /FOUND.000: what was lost is still there, and a second repair frees it.
          if (repaired.problems.some(({ id }) => id === "lost-clusters")) repaired = await repairFat(memoryStore(bytes), quietJob);
          if (repaired.fatal === undefined)
            expect(repaired.problems.filter(({ id }) => id !== "media-failure" && id !== "few-clusters")).toEqual([]);
        }),
        { numRuns: 60, examples: [[[[0, 14, 6]]]] },
      );
    },
  );

  test("cut at every byte of its boot sector, and every sector of its tables, a volume is refused with the place", async () => {
    const ends = [...Array.from({ length: 512 }, (_, at) => at), ...Array.from({ length: 100 }, (_, at) => 512 * (at + 1))];
    for (const length of ends) {
      const { fatal } = await checkFat(memoryStore(sound.FAT12.slice(0, length)), quietJob);
      expect(fatal).toBeInstanceOf(HiperisoError);
      expect(fatal?.where).toMatch(/^memory@\d+$/);
    }
  });

  test("a folder of more entries than there may be, all of one name: bounded, and what is left out is said", async () => {
    const bytes = await folderOfMillions(66_560);
    const check = await checkFat(memoryStore(bytes), quietJob);
    expect(check).toMatchObject({ files: 66_560 - 2, cut: true });
    expect(check.problems).toHaveLength(1000);
    expect(new Set(check.problems.map(({ id }) => id))).toEqual(new Set(["large-directory", "chain"]));
  });

  test("two thousand files of one name each get their own", async () => {
    const bytes = await folderOfMillions(2000);
    const view = new DataView(bytes.buffer);
    for (let at = Buffer.from(bytes).indexOf("A          "), index = 0; bytes[at] === 0x41; at += ENTRY_BYTES, index += 1) {
      view.setUint16(at + 14, index, true); // each made at another time: no two are one
      bytes[at + 28] = 0;
    }
    expect(await repairFat(memoryStore(bytes), quietJob)).toMatchObject({ problems: [], fatal: undefined, files: 2000 - 2 });
    if (hasDosfstools) expect(fsckSays(bytes)).toBe("clean");
  });

  test("with every byte of the boot sector's fields, the root's and a folder's entries changed is read or refused", async () => {
    const on = new Damaged("FAT12");
    const ranges = [
      [0, 64],
      [on.root, on.root + 10 * ENTRY_BYTES],
      [on.clusterAt(on.first(FOLDER)), on.clusterAt(on.first(FOLDER)) + 6 * ENTRY_BYTES],
    ] as const;
    for (const [start, end] of ranges) {
      for (let at = start; at < end; at += 1) {
        for (const value of [0x00, 0xff]) {
          const store = sparseStore(BigInt(sound.FAT12.length), { below: memorySource(sound.FAT12) });
          await store.write(BigInt(at), Uint8Array.of(value));
          await readsOrRefuses(store);
          if (at % 8 === 0) await checkFat(store, quietJob);
        }
      }
    }
  });
});
