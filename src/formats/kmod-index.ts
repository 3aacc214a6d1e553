/**
 * The index files of kmod, `modules.*.bin`: a tree of texts by their first letters, from which modprobe and systemd read what depmod found.
 * Big-endian (kmod: libkmod/libkmod-index.h).
 *
 *   0  4  0xb007f457      4  4  version, 0x00020001      8  4  where the root node is
 * A place is an offset from the start of the file in its low 28 bits; the bits above say which parts the node there has, in this order:
 *   0x80000000  prefix, ended by a NUL
 *   0x20000000  first and last letter of the children, a byte each; then 4 bytes a letter: the child's place, 0 for none
 *   0x40000000  4 bytes: how many values; each 4 bytes of priority (the lowest counts first) and a text that a NUL ends
 * A key is the letters and prefixes on the way to its node. Letters are 7-bit.
 */
import { HiperisoError } from "../contract/error.ts";
import { latin1, viewOf } from "./bytes.ts";

export interface KmodEntry {
  /** ASCII, without a NUL. */
  readonly key: string;
  readonly value: string;
  /** Of several values of one key the lowest is used first. 0 to 2^32 - 1. */
  readonly priority: number;
}

const MAGIC = 0xb007f457;
const VERSION = 0x00020001;
const HEADER_BYTES = 12;
const HAS = { prefix: 0x80000000, values: 0x40000000, children: 0x20000000 } as const;
const OFFSET_MASK = 0x0fffffff;
const LETTERS = 128;

interface Node {
  readonly prefix: string;
  readonly values: readonly KmodEntry[];
  /** Sorted by letter. */
  readonly children: readonly (readonly [letter: number, node: Node])[];
}

/** The same entries in any order give the same bytes. Throws on a key or value that the form cannot hold, and beyond 256 MiB. */
export function encodeKmodIndex(entries: Iterable<KmodEntry>): Uint8Array {
  const sorted = [...entries].sort((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : a.priority - b.priority));
  for (const { key, value } of sorted) {
    if (isAscii(key) && !value.includes("\0")) continue;
    const expected = "a key of 7-bit letters and a value, both without a NUL";
    throw new HiperisoError({ what: "write an index of kernel modules", where: JSON.stringify(key), expected });
  }

  const chunks: Uint8Array[] = [new Uint8Array(HEADER_BYTES)];
  let end = HEADER_BYTES;
  const write = (node: Node): number => {
    const places = node.children.map(([letter, child]) => [letter, write(child)] as const);
    const place = end;
    const bytes = encodeNode(node, places);
    chunks.push(bytes);
    end += bytes.length;
    if (end > OFFSET_MASK) {
      throw new HiperisoError({ what: "write an index of kernel modules", expected: "less than 256 MiB", found: `${end} bytes` });
    }
    const parts =
      (node.prefix === "" ? 0 : HAS.prefix) | (places.length === 0 ? 0 : HAS.children) | (node.values.length === 0 ? 0 : HAS.values);
    return (place | parts) >>> 0;
  };
  // The root alone keeps an empty prefix, whatever its keys have in common.
  const root = write({ prefix: "", values: sorted.filter(({ key }) => key === ""), children: childrenOf(sorted, 0) });
  const header = viewOf(chunks[0]!);
  [MAGIC, VERSION, root].forEach((number, index) => {
    header.setUint32(index * 4, number);
  });
  return Buffer.concat(chunks);
}

const isAscii = (text: string): boolean => /^[\x01-\x7f]*$/.test(text);

/** `entries` are sorted, and their keys alike up to `depth`; those that end there are the node's own. */
function childrenOf(entries: readonly KmodEntry[], depth: number): readonly (readonly [number, Node])[] {
  const groups = new Map<number, KmodEntry[]>();
  for (const entry of entries) {
    if (entry.key.length === depth) continue;
    const letter = entry.key.charCodeAt(depth);
    const group = groups.get(letter);
    if (group === undefined) groups.set(letter, [entry]);
    else group.push(entry);
  }
  return [...groups].map(([letter, group]) => [letter, nodeOf(group, depth + 1)]);
}

function nodeOf(entries: readonly KmodEntry[], depth: number): Node {
  // Sorted: what the first and the last have in common, all have.
  const [first, last] = [entries[0]!.key, entries.at(-1)!.key];
  let end = depth;
  while (end < first.length && first[end] === last[end]) end += 1;
  return { prefix: first.slice(depth, end), values: entries.filter(({ key }) => key.length === end), children: childrenOf(entries, end) };
}

function encodeNode({ prefix, values }: Node, places: readonly (readonly [letter: number, place: number])[]): Uint8Array {
  const parts: Uint8Array[] = [];
  const text = (value: string): Uint8Array => Buffer.from(`${value}\0`, "latin1");
  if (prefix !== "") parts.push(text(prefix));
  const first = places[0]?.[0];
  if (first !== undefined) {
    const last = places.at(-1)![0];
    const table = new Uint8Array(2 + 4 * (last - first + 1));
    table.set([first, last]);
    for (const [letter, place] of places) viewOf(table).setUint32(2 + 4 * (letter - first), place);
    parts.push(table);
  }
  if (values.length > 0) parts.push(number32(values.length), ...values.flatMap(({ priority, value }) => [number32(priority), text(value)]));
  return Buffer.concat(parts);
}

function number32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  viewOf(bytes).setUint32(0, value);
  return bytes;
}

/** All entries, sorted by key and then as they stand. Throws `where@offset` on what is not as it must be: also where nodes form a circle. */
export function decodeKmodIndex(file: Uint8Array, where: string): readonly KmodEntry[] {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read an index of kernel modules", where: `${where}@${at}`, expected, found });
  const view = viewOf(file);
  const u32 = (at: number): number => {
    if (at + 4 > file.length) throw bad(at, "4 bytes", "the end of the file");
    return view.getUint32(at);
  };
  const byte = (at: number): number => {
    const value = file[at];
    if (value === undefined) throw bad(at, "a byte", "the end of the file");
    return value;
  };
  const text = (at: number): string => {
    const end = file.indexOf(0, at);
    if (end < 0) throw bad(at, "a text that a NUL ends", "none");
    return latin1(file.subarray(at, end));
  };
  if (u32(0) !== MAGIC) throw bad(0, "0xb007f457", `0x${u32(0).toString(16)}`);
  if (u32(4) !== VERSION) throw bad(4, "version 0x00020001", `0x${u32(4).toString(16)}`);

  const entries: KmodEntry[] = [];
  // Writers put a child before its parent: places that only fall cannot form a circle. Its nodes have one parent each.
  const seen = new Set<number>();
  const visit = (place: number, before: number, at: number, keyBefore: string): void => {
    const offset = place & OFFSET_MASK;
    if (offset < HEADER_BYTES || offset >= before || seen.has(offset)) {
      throw bad(at, `a node of its own from ${HEADER_BYTES} and before ${before}`, `${offset}`);
    }
    seen.add(offset);
    let next = offset;
    let key = keyBefore;
    if ((place & HAS.prefix) !== 0) {
      const prefix = text(next);
      key += prefix;
      next += prefix.length + 1;
    }
    const children: (readonly [letter: number, place: number, at: number])[] = [];
    if ((place & HAS.children) !== 0) {
      const [first, last] = [byte(next), byte(next + 1)];
      if (first > last || last >= LETTERS) throw bad(next, `letters below ${LETTERS} in order`, `${first} to ${last}`);
      for (let letter = first; letter <= last; letter += 1) {
        const childAt = next + 2 + 4 * (letter - first);
        if (u32(childAt) !== 0) children.push([letter, u32(childAt), childAt]);
      }
      next += 2 + 4 * (last - first + 1);
    }
    if ((place & HAS.values) !== 0) {
      const count = u32(next);
      next += 4;
      for (let index = 0; index < count; index += 1) {
        const value = text(next + 4);
        entries.push({ key, value, priority: u32(next) });
        next += 4 + value.length + 1;
      }
    }
    for (const [letter, child, childAt] of children) visit(child, offset, childAt, key + String.fromCharCode(letter));
  };
  // The root of an empty index has no parts, and so stands at the end.
  if ((u32(8) & OFFSET_MASK) !== 0) visit(u32(8), file.length + 1, 8, "");
  return entries;
}
