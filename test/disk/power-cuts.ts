/**
 * What is on the medium when the power goes: of the writes that an operation asked for, those before a cut; or, as a drive with a cache of its own may do it, all up to
 * the last flush and any of those behind it, of each any of its sectors. Every such medium is opened, compared, checked, repaired, and compared again.
 */
import { inspect } from "node:util";
import { quietJob } from "../../src/contract/job.ts";
import { type BlockStore, cutStore, memoryStore, PowerCut, sparseStore } from "../../src/disk/block-store.ts";
import { type FileSystem, withFile } from "./file-systems.ts";
import { type Limits, Model, nextOperation, type Operation, perform, type Random, randomOf, type Tree, treeOf } from "./volume-model.ts";

export interface Write {
  readonly offset: number;
  readonly bytes: Uint8Array;
  /** Writes of the same epoch have no flush between them. */
  readonly epoch: number;
}

/** Keeps all that is written, in order, beside doing it. */
export function recordingStore(store: BlockStore): BlockStore & { readonly writes: readonly Write[] } {
  const writes: Write[] = [];
  let epoch = 0;
  return {
    ...store,
    writes,
    write: async (offset, bytes) => {
      await store.write(offset, bytes);
      writes.push({ offset: Number(offset), bytes: bytes.slice(), epoch });
    },
    flush: async () => {
      await store.flush();
      epoch += 1;
    },
  };
}

/** `cut`: after each write, all before it are there. `reordered`: any of those since the last flush, of each any of its sectors. */
export type Way = "cut" | "reordered";

/** A medium that a power cut can leave: which of the writes reached it. */
interface Left {
  readonly name: string;
  readonly writes: readonly Write[];
}

function* leftBy(way: Way, writes: readonly Write[], sectorBytes: number, random: Random): Generator<Left> {
  if (way === "cut") {
    for (let count = 1; count <= writes.length; count += 1)
      yield { name: `after ${count} of ${writes.length} writes`, writes: writes.slice(0, count) };
    return;
  }
  const epochs = [...new Set(writes.map(({ epoch }) => epoch))];
  for (const epoch of epochs) {
    const before = writes.filter((write) => write.epoch < epoch);
    const sectors = writes.filter((write) => write.epoch === epoch).flatMap((write) => sectorsOf(write, sectorBytes));
    for (const kept of subsets(sectors.length, random)) {
      const reached = sectors.filter((_, index) => kept(index));
      const list = sectors.flatMap((_, index) => (kept(index) ? [index] : []));
      yield { name: `flush ${epoch}, and of the ${sectors.length} sectors behind it ${list.join(" ")}`, writes: [...before, ...reached] };
    }
  }
}

const sectorsOf = ({ offset, bytes, epoch }: Write, sectorBytes: number): Write[] =>
  Array.from({ length: Math.ceil(bytes.length / sectorBytes) }, (_, index) => ({
    offset: offset + index * sectorBytes,
    bytes: bytes.subarray(index * sectorBytes, (index + 1) * sectorBytes),
    epoch,
  }));

/** All subsets of few; of many each one alone, all but each one (of some), and some at random. */
function* subsets(count: number, random: Random): Generator<(index: number) => boolean> {
  if (count <= 4) {
    for (let bits = 1; bits < 1 << count; bits += 1) yield (index) => (bits & (1 << index)) !== 0;
    return;
  }
  yield () => true;
  for (let some = 0; some < 4; some += 1) {
    const one = some === 0 ? count - 1 : random(count);
    yield (index) => index === one;
    yield (index) => index !== one;
    const seed = random(2 ** 31);
    yield (index) => randomOf(seed + index)(2) === 0;
  }
}

export interface Cuts {
  readonly seed: number;
  readonly operations: number;
  readonly way: Way;
  /** The foreign fsck looks at every so many-th medium after its repair; 0: at none. */
  readonly fsckEvery: number;
}

export interface CutsDone {
  readonly media: number;
  /** Of which the check found something besides the dirty flag. */
  readonly damaged: number;
  /** Of which the foreign fsck judged the repaired one. */
  readonly judged: number;
}

const LIMITS: Limits = { fileBytesMax: 12_000, dataBytesMax: 160_000, entriesMax: 40, rootEntriesMax: 16 };

/** Throws with seed and operation where a file that the operation had nothing to do with was lost, or the operation's own is neither old nor new. */
export async function cutAll(fileSystem: FileSystem, { seed, operations, way, fsckEvery }: Cuts): Promise<CutsDone> {
  const random = randomOf(seed);
  const model = new Model();
  const bytes = new Uint8Array(fileSystem.volumeBytes);
  const medium = memoryStore(bytes, fileSystem.sectorBytes);
  await fileSystem.make(medium);
  const done = { media: 0, damaged: 0, judged: 0 };
  for (let number = 1; number <= operations; ) {
    const operation = nextOperation(model, random, LIMITS);
    if (operation.kind === "flush" || operation.kind === "fill") continue;
    const before = await treeAt(fileSystem, medium);
    const recording = recordingStore(medium);
    const base = bytes.slice();
    if (!(await runOn(fileSystem, recording, operation)) || recording.writes.length === 0) continue;
    model.apply(operation);
    const after = await treeAt(fileSystem, medium);
    for (const left of leftBy(way, recording.writes, fileSystem.sectorBytes, random)) {
      done.media += 1;
      const scratch = base.slice();
      for (const write of left.writes) scratch.set(write.bytes, write.offset);
      const judged = fsckEvery > 0 && done.media % fsckEvery === 0;
      const complaints = await examine(fileSystem, scratch, { operation, before, after, judged, done });
      if (complaints.length === 0) continue;
      throw new Error(
        `${fileSystem.name}, seed ${seed}, operation ${number}, ${left.name}:\n${inspect(operation)}\n${complaints.slice(0, 20).join("\n")}`,
      );
    }
    number += 1;
  }
  return done;
}

/** Opens, does it, closes. False where it was refused. */
async function runOn(fileSystem: FileSystem, store: BlockStore, operation: Exclude<Operation, { kind: "fill" }>): Promise<boolean> {
  await using volume = await fileSystem.open(store);
  return await perform(volume, operation);
}

async function treeAt(fileSystem: FileSystem, store: BlockStore): Promise<Tree> {
  await using volume = await fileSystem.open(store);
  const tree = await treeOf(volume);
  tree.set("", volume.label);
  return tree;
}

interface Case {
  readonly operation: Operation;
  readonly before: Tree;
  readonly after: Tree;
  readonly judged: boolean;
  readonly done: { damaged: number; judged: number };
}

/** Clusters of which nobody can say whose they were are kept by a repair as files of their own: more than there was, never less. */
const withoutFound = (tree: Tree): Tree => new Map([...tree].filter(([path]) => !/^\/FOUND\.\d{3}(?:\/|$)/.test(path)));

async function examine(fileSystem: FileSystem, bytes: Uint8Array, { operation, before, after, judged, done }: Case): Promise<string[]> {
  const store = memoryStore(bytes, fileSystem.sectorBytes);
  const complaints: string[] = [];
  const say = (when: string, lines: readonly string[]) => complaints.push(...lines.map((line) => `${when}: ${line}`));
  try {
    say("before the repair", lost(await treeAt(fileSystem, store), before, after));
    const found = await fileSystem.check(store, quietJob);
    if (found.fatal !== undefined) say("our check", [found.fatal.message]);
    if (found.problems.some(({ id }) => id !== "dirty")) done.damaged += 1;
    const left = await fileSystem.repair(store, quietJob);
    const problems = left.problems.map(({ id, path, text }) => `${id} ${path}: ${text}`);
    say("our check after the repair", left.fatal === undefined ? problems : [left.fatal.message, ...problems]);
    const repaired = await treeAt(fileSystem, store);
    say("after the repair", [
      ...lost(repaired, before, after),
      ...neither(withoutFound(repaired), before, after),
      ...movedAway(repaired, before, after, operation),
    ]);
    if (judged) {
      done.judged += 1;
      const text = await withFile(bytes, (image) => fileSystem.fsck(image));
      if (text !== undefined) say("fsck after the repair", [text]);
    }
  } catch (error) {
    say("an error", [error instanceof Error ? (error.stack ?? error.message) : String(error)]);
  }
  return complaints;
}

/** What was there before, stays there, and is not found. */
const lost = (found: Tree, before: Tree, after: Tree): string[] =>
  [...before].flatMap(([path, line]) =>
    after.get(path) === line && found.get(path) !== line ? [`${path}: ${found.get(path) ?? "nothing"}, not ${line}`] : [],
  );

/** What is neither as it was nor as it was to be; what was to be made may be absent, what was to be replaced not. */
const neither = (found: Tree, before: Tree, after: Tree): string[] =>
  [...new Set([...found.keys(), ...before.keys(), ...after.keys()])].flatMap((path) => {
    const line = found.get(path);
    return line === before.get(path) || line === after.get(path)
      ? []
      : [`${path}: ${line ?? "nothing"}, neither ${before.get(path) ?? "nothing"} nor ${after.get(path) ?? "nothing"}`];
  });

/** A thing that moves, and all that is below it, stands under one of its names. */
function movedAway(found: Tree, before: Tree, after: Tree, operation: Operation): string[] {
  if (operation.kind !== "rename") return [];
  const gone = [...before].filter(([path]) => !after.has(path));
  const come = [...after].filter(([path]) => !before.has(path));
  return gone.length > 0 && !gone.every(([path]) => found.has(path)) && !come.every(([path]) => found.has(path))
    ? [`neither all of the old names nor all of the new ones of ${operation.from}`]
    : [];
}

/** The same cut made for real: the store fails, and the volume has to end with the failure and not hide it. */
export async function cutsShow(
  fileSystem: FileSystem,
  bytes: Uint8Array,
  operation: Exclude<Operation, { kind: "fill" }>,
): Promise<number> {
  for (let writes = 0; ; writes += 1) {
    const overlay = sparseStore(BigInt(bytes.length), {
      below: memoryStore(bytes, fileSystem.sectorBytes),
      sectorBytes: fileSystem.sectorBytes,
    });
    try {
      const volume = await fileSystem.open(cutStore(overlay, writes));
      await perform(volume, operation);
      await volume.flush();
      return writes;
    } catch (error) {
      if (!(error instanceof PowerCut)) throw error;
    }
  }
}
