/**
 * What a volume should hold, as a plain map, and random operations that change the map and the volume: where the two come apart, one is wrong.
 * The same seed gives the same operations on every file system.
 */
import { createHash } from "node:crypto";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import type { Volume } from "../../src/disk/volume.ts";

/** Bytes that are known by two numbers: the model keeps no data. */
export interface Content {
  readonly seed: number;
  readonly sizeBytes: number;
}

export type Operation =
  | { readonly kind: "write"; readonly path: string; readonly content: Content; readonly timeMs: number; readonly replace: boolean }
  /** A file that takes all room but `leave` clusters. */
  | { readonly kind: "fill"; readonly path: string; readonly leave: number; readonly timeMs: number; readonly seed: number }
  | { readonly kind: "makeDirectory"; readonly path: string; readonly timeMs: number }
  | { readonly kind: "rename"; readonly from: string; readonly to: string }
  | { readonly kind: "remove"; readonly path: string; readonly recursive: boolean }
  | { readonly kind: "label"; readonly label: string }
  | { readonly kind: "flush" };

export interface ModelEntry {
  /** As it is listed. */
  readonly name: string;
  /** Undefined for a folder. */
  readonly content: Content | undefined;
  readonly modifiedMs: number;
}

/** Numbers from 0 to `below`, the same for the same seed. */
export type Random = (below: number) => number;

export function randomOf(seed: number): Random {
  let state = seed >>> 0;
  // mulberry32: every seed, 0 and 1 too, gives numbers of its own.
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * below);
  };
}

/** Names are compared as both file systems do it; the letters below have one capital letter each, whoever looks. */
export const folded = (path: string): string => path.toUpperCase();

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/"));
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
const isInside = (path: string, folder: string): boolean => folded(path).startsWith(`${folded(folder)}/`);

export class Model {
  /** By folded path, without the root. */
  readonly entries = new Map<string, ModelEntry>();
  label: string;

  constructor(label = "") {
    this.label = label;
  }

  at(path: string): ModelEntry | undefined {
    return this.entries.get(folded(path));
  }

  isDirectory(path: string): boolean {
    return path === "" || (this.at(path) !== undefined && this.at(path)?.content === undefined);
  }

  /** A folded path with the names as they are listed. */
  listed(path: string): string {
    const parts = path.split("/");
    return parts.map((_, index) => this.entries.get(parts.slice(0, index + 1).join("/"))?.name ?? "").join("/");
  }

  /** Folded paths of all that is in a folder, at any depth. */
  below(path: string): string[] {
    return [...this.entries.keys()].filter((key) => isInside(key, path));
  }

  get dataBytes(): number {
    let bytes = 0;
    for (const { content } of this.entries.values()) bytes += content?.sizeBytes ?? 0;
    return bytes;
  }

  /** False where a volume has to refuse: then nothing changes. Room is not looked at. */
  apply(operation: Exclude<Operation, { kind: "fill" }>): boolean {
    switch (operation.kind) {
      case "write": {
        const { path, content, timeMs, replace } = operation;
        const old = this.at(path);
        if (!this.isDirectory(parentOf(path))) return false;
        if (old !== undefined && (old.content === undefined || !replace)) return false;
        this.entries.set(folded(path), { name: old?.name ?? nameOf(path), content, modifiedMs: timeMs });
        return true;
      }
      case "makeDirectory":
        if (!this.isDirectory(parentOf(operation.path)) || this.at(operation.path) !== undefined) return false;
        this.entries.set(folded(operation.path), { name: nameOf(operation.path), content: undefined, modifiedMs: operation.timeMs });
        return true;
      case "rename":
        return this.#rename(operation.from, operation.to);
      case "remove": {
        const { path, recursive } = operation;
        if (this.at(path) === undefined) return false;
        const below = this.below(path);
        if (below.length > 0 && !recursive) return false;
        for (const key of [folded(path), ...below]) this.entries.delete(key);
        return true;
      }
      case "label":
        this.label = operation.label;
        return true;
      case "flush":
        return true;
    }
  }

  #rename(from: string, to: string): boolean {
    const entry = this.at(from);
    if (entry === undefined || !this.isDirectory(parentOf(to)) || isInside(to, from)) return false;
    if (this.at(to) !== undefined && folded(from) !== folded(to)) return false;
    const below = this.below(from).map((key) => [key, this.entries.get(key)!] as const);
    for (const key of [folded(from), ...below.map(([key]) => key)]) this.entries.delete(key);
    this.entries.set(folded(to), { ...entry, name: nameOf(to) });
    for (const [key, moved] of below) this.entries.set(folded(to) + key.slice(folded(from).length), moved);
    return true;
  }
}

// Content

const POOL_BYTES = 1_000_003; // a prime: no cluster repeats another
const pool = (() => {
  const random = randomOf(7);
  const bytes = new Uint8Array(2 * POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; at += 1) bytes[at] = random(256);
  bytes.copyWithin(POOL_BYTES, 0, POOL_BYTES);
  return bytes;
})();

/** In chunks of many lengths, also of none. */
export function* chunksOf({ seed, sizeBytes }: Content): Generator<Uint8Array> {
  const random = randomOf(seed);
  const start = Math.imul(seed, 7919) >>> 0;
  for (let done = 0; done < sizeBytes; ) {
    const from = (start + done) % POOL_BYTES;
    const length = Math.min(sizeBytes - done, random(4) === 0 ? random(700) : random(POOL_BYTES));
    yield pool.subarray(from, from + length);
    done += length;
  }
}

export const bytesOf = (content: Content): Buffer => Buffer.concat([...chunksOf(content)]);

const digests = new Map<string, string>();

function digestOf(content: Content): string {
  const key = `${content.seed} ${content.sizeBytes}`;
  const known = digests.get(key);
  if (known !== undefined) return known;
  const hash = createHash("sha1");
  for (const chunk of chunksOf(content)) hash.update(chunk);
  const digest = hash.digest("base64");
  digests.set(key, digest);
  return digest;
}

// Trees

/** Of a file its name, size, time and digest, of a folder its name: what two trees are compared by. */
export type Tree = Map<string, string>;

const fileLine = (name: string, sizeBytes: bigint, modifiedMs: number | null, digest: string) =>
  `${name}: ${sizeBytes} bytes of ${modifiedMs === null ? "never" : new Date(modifiedMs).toISOString()}, ${digest}`;

/** What the model says of the volume, by folded path. */
export const treeOfModel = (model: Model): Tree =>
  new Map(
    [...model.entries].map(([path, { name, content, modifiedMs }]) => [
      path,
      content === undefined ? `${name}/` : fileLine(name, BigInt(content.sizeBytes), modifiedMs, digestOf(content)),
    ]),
  );

/** All that is on a volume, every file read to its end. Of names that are there twice the second is kept under a path with ` (again)`. */
export async function treeOf(volume: Volume): Promise<Tree> {
  const tree: Tree = new Map();
  const folders = [""];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const { name, kind, sizeBytes, modifiedMs } of volume.list(folder === "" ? "/" : folder)) {
      const path = `${folder}/${name}`;
      let key = folded(path);
      while (tree.has(key)) key += " (again)";
      if (kind === "directory") {
        tree.set(key, `${name}/`);
        if (key === folded(path)) folders.push(path);
        continue;
      }
      const hash = createHash("sha1");
      for await (const piece of volume.read(path)) hash.update(piece);
      tree.set(key, fileLine(name, sizeBytes, modifiedMs, hash.digest("base64")));
    }
  }
  return tree;
}

/** Lines on which two trees differ; none where they are the same. */
export function differences(found: Tree, wanted: Tree): string[] {
  const lines: string[] = [];
  for (const path of new Set([...found.keys(), ...wanted.keys()])) {
    if (found.get(path) !== wanted.get(path)) lines.push(`${path}: ${found.get(path) ?? "nothing"}, not ${wanted.get(path) ?? "nothing"}`);
  }
  return lines;
}

// Random operations

export interface Limits {
  /** Files are as large as this at most. */
  readonly fileBytesMax: number;
  /** Above this the volume is made emptier. */
  readonly dataBytesMax: number;
  readonly entriesMax: number;
  readonly rootEntriesMax: number;
}

const LETTERS = ["a", "B", "x", "Z", "0", "9", "-", "_", " ", ".", "ä", "É", "ж", "Λ", "日", "本", "\u{1f4be}", "~", "+", "'", "(", "#"];
const WORDS = [
  "README",
  "debian-12.iso",
  "Long Folder Name",
  "ventoy",
  "x",
  "AUTORUN.INF",
  "grub.cfg",
  "Übung",
  "файл",
  "日本語",
  "many.dots.in.it",
];
const DEPTH_MAX = 5;

/** The next operation, most of them such that the model allows them. */
export function nextOperation(model: Model, random: Random, limits: Limits): Operation {
  const paths = [...model.entries.keys()];
  const folders = paths.filter((path) => model.isDirectory(path) && path.split("/").length <= DEPTH_MAX);
  const files = paths.filter((path) => !model.isDirectory(path));
  const pick = (from: readonly string[]): string | undefined => from[random(from.length)];
  const rootIsFull = paths.filter((path) => path.lastIndexOf("/") === 0).length >= limits.rootEntriesMax;
  const folder = () => (!rootIsFull && (folders.length === 0 || random(4) === 0) ? "" : (pick(folders) ?? ""));
  const fresh = () => `${folder()}/${newName(random)}`;
  const timeMs = Date.UTC(1990 + random(60), random(12), 1 + random(28), random(24), random(60), 2 * random(30));
  const content = () => ({ seed: random(2 ** 31), sizeBytes: newSize(random, limits.fileBytesMax) });
  const isFull = model.dataBytes > limits.dataBytesMax || paths.length > limits.entriesMax || rootIsFull;
  const remove = (): Operation => {
    const path = pick(paths) ?? "/nothing";
    return { kind: "remove", path, recursive: random(2) === 0 };
  };

  const dice = random(1000);
  if (isFull && dice < 500) return remove();
  if (dice < 300) return { kind: "write", path: fresh(), content: content(), timeMs, replace: random(2) === 0 };
  if (dice < 480) return { kind: "write", path: pick(files) ?? fresh(), content: content(), timeMs, replace: true };
  if (dice < 600) return { kind: "makeDirectory", path: fresh(), timeMs };
  if (dice < 700) return { kind: "rename", from: pick(files) ?? "/nothing", to: fresh() };
  if (dice < 750) return { kind: "rename", from: pick(folders) ?? "/nothing", to: fresh() };
  if (dice < 790) {
    const from = pick(paths) ?? "/nothing";
    return { kind: "rename", from, to: random(2) === 0 ? `${parentOf(from)}/${newName(random)}` : otherCase(from) };
  }
  if (dice < 920) return remove();
  if (dice < 940) return { kind: "label", label: newLabel(random) };
  if (dice < 945) return { kind: "fill", path: fresh(), leave: random(6), timeMs, seed: random(2 ** 31) };
  if (dice < 960) return { kind: "flush" };
  // What has to be refused, mostly.
  const [some, other] = [pick(paths) ?? "/nothing", pick(paths) ?? "/nothing"];
  const wrong: readonly Operation[] = [
    { kind: "write", path: otherCase(some), content: content(), timeMs, replace: false },
    { kind: "write", path: `${some}/below`, content: content(), timeMs, replace: true },
    { kind: "write", path: "/nowhere/at/all", content: content(), timeMs, replace: true },
    { kind: "makeDirectory", path: otherCase(some), timeMs },
    { kind: "rename", from: some, to: other },
    { kind: "rename", from: some, to: `${some}/${newName(random)}` },
    { kind: "rename", from: "/nowhere", to: fresh() },
    { kind: "remove", path: "/nowhere", recursive: true },
    { kind: "remove", path: some, recursive: false },
  ];
  return wrong[random(wrong.length)]!;
}

function newName(random: Random): string {
  const dice = random(10);
  const word = WORDS[random(WORDS.length)]!;
  if (dice < 3) return `${word}${random(40)}`;
  if (dice < 5) return `${"ABCDEFGH".slice(0, 1 + random(8))}${random(3) === 0 ? "" : `.${"TXT".slice(0, 1 + random(3))}`}`;
  if (dice < 7) return `a name that starts as many others do ${random(1000)}.img`;
  const length = dice < 9 ? 1 + random(30) : 200 + random(56);
  let name = "";
  while (name.length < length) {
    const letter = LETTERS[random(LETTERS.length)]!;
    name += name.length + letter.length > 255 ? "x" : letter;
  }
  // Neither file system keeps blanks in front, or dots and blanks at the end, as all others do.
  return name.replace(/^[ .]|[ .]$/g, "_").replace(/[ .]$/, "_");
}

function newSize(random: Random, max: number): number {
  const dice = random(20);
  if (dice < 2) return 0;
  if (dice < 5) return 1 + random(600);
  if (dice < 8) return 512 * (1 + random(17)) - (random(3) - 1);
  if (dice < 10) return 2 ** (9 + random(8)) + random(3) - 1;
  return dice < 19 ? random(Math.floor(max / 8)) : random(max);
}

const newLabel = (random: Random): string => (random(4) === 0 ? "" : "STICK 0123".slice(random(5), 5 + random(5)).trim());

const otherCase = (path: string): string => `${parentOf(path)}/${swapped(nameOf(path))}`;

/** Every second letter in its other case. */
const swapped = (name: string): string =>
  Array.from(name, (letter, index) => (index % 2 === 0 ? letter.toLowerCase() : letter.toUpperCase())).join("");

// Running

/** Does it on the volume. False where the volume refused it as something that a person should not ask for. */
export async function perform(volume: Volume, operation: Exclude<Operation, { kind: "fill" }>): Promise<boolean> {
  try {
    switch (operation.kind) {
      case "write": {
        const { path, content, timeMs, replace } = operation;
        const file = { sizeBytes: BigInt(content.sizeBytes), modifiedMs: timeMs, replace };
        await volume.write(path, chunksOf(content), file, quietJob);
        break;
      }
      case "makeDirectory":
        await volume.makeDirectory(operation.path, operation.timeMs);
        break;
      case "rename":
        await volume.rename(operation.from, operation.to);
        break;
      case "remove":
        await volume.remove(operation.path, { recursive: operation.recursive });
        break;
      case "label":
        await volume.setLabel(operation.label);
        break;
      case "flush":
        await volume.flush();
    }
    return true;
  } catch (error) {
    if (error instanceof HiperisoError && error.kind === "usage") return false;
    throw error;
  }
}

/** Clusters that a new entry may take besides a file's own: its folder's next ones. */
const FOLDER_CLUSTERS = 4;

/**
 * Does it on both. Throws where the volume refuses what the model allows, unless there is no room; and where it does what the model refuses, or what was written
 * is not what is there.
 */
export async function step(volume: Volume, model: Model, random: Random, wanted: Operation): Promise<void> {
  const { freeBytes, clusterBytes } = await volume.space();
  const operation = wanted.kind === "fill" ? filling(wanted, freeBytes, clusterBytes) : wanted;
  const before = new Map(model.entries);
  const labelBefore = model.label;
  const allowed = model.apply(operation);
  const done = await perform(volume, operation);
  if (done !== allowed) {
    const neededClusters = operation.kind === "write" ? Math.ceil(operation.content.sizeBytes / clusterBytes) : 1;
    const fits = BigInt((neededClusters + FOLDER_CLUSTERS) * clusterBytes) <= freeBytes;
    if (done || fits || operation.kind === "remove")
      throw new Error(done ? "the volume did what it has to refuse" : "the volume refused what it can do");
    model.entries.clear();
    for (const [path, entry] of before) model.entries.set(path, entry);
    model.label = labelBefore;
    return;
  }
  if (!done) return;
  if (operation.kind === "label" && volume.label !== operation.label) throw new Error(`the label is ${JSON.stringify(volume.label)}`);
  if (operation.kind === "remove" && (await volume.stat(operation.path)) !== undefined) throw new Error("it is still there");
  const path = operation.kind === "rename" ? operation.to : operation.kind === "write" ? operation.path : undefined;
  const content = path === undefined ? undefined : model.at(path)?.content;
  if (path === undefined || content === undefined) return;
  const stat = await volume.stat(otherCase(path));
  if (stat?.sizeBytes !== BigInt(content.sizeBytes)) throw new Error(`it has ${stat?.sizeBytes} bytes`);
  const offset = random(content.sizeBytes + 1);
  const lengthBytes = random(20_000);
  const pieces: Uint8Array[] = [];
  for await (const piece of volume.read(path, { offset: BigInt(offset), lengthBytes: BigInt(lengthBytes) })) pieces.push(piece);
  if (!Buffer.concat(pieces).equals(bytesOf(content).subarray(offset, offset + lengthBytes)))
    throw new Error(`other bytes from ${offset} on than were written`);
}

function filling(
  { path, leave, timeMs, seed }: Extract<Operation, { kind: "fill" }>,
  freeBytes: bigint,
  clusterBytes: number,
): Extract<Operation, { kind: "write" }> {
  const sizeBytes = Math.max(0, Number(freeBytes) - leave * clusterBytes - (seed % clusterBytes));
  return { kind: "write", path, content: { seed, sizeBytes }, timeMs, replace: true };
}
