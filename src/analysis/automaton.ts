/**
 * Finds which of many literal texts occur in a stream of bytes, in one pass (Aho, Corasick: Efficient string matching, 1975).
 * ASCII letters have no case here, and bytes that a terminal shows nothing for do not move the automaton, so that a
 * word broken by a NUL is still found.
 */

export interface Needle {
  readonly text: string;
  /** Who asks for it: an index of the caller's. */
  readonly owner: number;
}

export interface Automaton {
  /** The state after a byte: `next[(state << shift) | classes[byte]]`. States from `firstSpecial` on need a look. */
  readonly next: Uint16Array;
  readonly classes: Uint8Array;
  readonly shift: number;
  readonly start: number;
  readonly firstSpecial: number;
  /** Special states that stand for the byte itself. */
  readonly newline: number;
  readonly escapeState: number;
  /** Who is answered in a special state. */
  readonly owners: readonly (readonly number[])[];
}

const LF = 0x0a;
const ESC = 0x1b;
const TAB = 0x09;

/** A longer needle only makes the table bigger: what starts like this is rare already. In bytes. */
const NEEDLE_BYTES_MAX = 20;

/** Classes of bytes that all needles treat alike. The first four are fixed; each byte of a needle has one of its own. */
const CLASS = { other: 0, silent: 1, newline: 2, escape: 3 } as const;
const FIRST_OWN_CLASS = 4;

interface Node {
  /** By class. */
  readonly children: Map<number, number>;
  readonly owners: Set<number>;
  /** Its longest proper suffix that is a node too. */
  suffix: number;
}

export function buildAutomaton(needles: readonly Needle[]): Automaton {
  const folded = needles.map(({ text, owner }) => ({ bytes: Buffer.from(text, "utf8").subarray(0, NEEDLE_BYTES_MAX).map(fold), owner }));
  const { classes, count } = classesOf(folded.flatMap(({ bytes }) => [...bytes]));
  const nodes = plant(folded, classes);
  const order = linkSuffixes(nodes);

  const quiet = order.filter((index) => nodes[index]!.owners.size === 0);
  const hits = order.filter((index) => nodes[index]!.owners.size > 0);
  const number = new Map([...quiet, ...hits].map((index, position) => [index, position]));
  const newline = nodes.length;
  const escapeState = nodes.length + 1;
  const shift = Math.ceil(Math.log2(count));
  const next = new Uint16Array((nodes.length + 2) << shift);
  for (const index of order) {
    const row = number.get(index)! << shift;
    for (let letter = 0; letter < count; letter += 1) {
      const child = nodes[index]!.children.get(letter);
      // The suffix stands before it in `order`: its row is complete.
      next[row | letter] =
        child !== undefined
          ? number.get(child)!
          : index === 0
            ? number.get(0)!
            : next[(number.get(nodes[index]!.suffix)! << shift) | letter]!;
    }
    next[row | CLASS.silent] = number.get(index)!;
    next[row | CLASS.newline] = newline;
    next[row | CLASS.escape] = escapeState;
  }
  return {
    next,
    classes,
    shift,
    start: number.get(0)!,
    firstSpecial: quiet.length,
    newline,
    escapeState,
    owners: [...quiet, ...hits].map((index) => [...nodes[index]!.owners]),
  };
}

/** Whose needles a text holds; a character is a byte (Latin-1). */
export function ownersIn({ next, classes, shift, start, firstSpecial, newline, owners }: Automaton, text: string): readonly number[] {
  const found = new Set<number>();
  let state = start;
  for (let at = 0; at < text.length; at += 1) {
    const after = next[(state << shift) | classes[text.charCodeAt(at) & 0xff]!]!;
    if (after === newline) state = start;
    if (after >= newline) continue;
    state = after;
    if (state >= firstSpecial) for (const owner of owners[state]!) found.add(owner);
  }
  return [...found];
}

const fold = (byte: number): number => (byte >= 0x41 && byte <= 0x5a ? byte | 0x20 : byte);

function classesOf(bytes: readonly number[]): { readonly classes: Uint8Array; readonly count: number } {
  const classes = new Uint8Array(256).fill(CLASS.other);
  for (let byte = 0; byte < 0x20; byte += 1) if (byte !== TAB) classes[byte] = CLASS.silent;
  classes[0x7f] = CLASS.silent;
  classes[LF] = CLASS.newline;
  classes[ESC] = CLASS.escape;
  let count = FIRST_OWN_CLASS;
  for (const byte of new Set(bytes)) {
    classes[byte] = count;
    if (byte >= 0x61 && byte <= 0x7a) classes[byte & ~0x20] = count;
    count += 1;
  }
  return { classes, count };
}

function plant(needles: readonly { readonly bytes: Uint8Array; readonly owner: number }[], classes: Uint8Array): readonly Node[] {
  const nodes: Node[] = [{ children: new Map(), owners: new Set(), suffix: 0 }];
  for (const { bytes, owner } of needles) {
    let at = 0;
    for (const byte of bytes) {
      const letter = classes[byte]!;
      let child = nodes[at]!.children.get(letter);
      if (child === undefined) {
        child = nodes.push({ children: new Map(), owners: new Set(), suffix: 0 }) - 1;
        nodes[at]!.children.set(letter, child);
      }
      at = child;
    }
    nodes[at]!.owners.add(owner);
  }
  return nodes;
}

/** Sets each node's suffix and adds the suffix' owners to its own. Returns the nodes, shorter ones first. */
function linkSuffixes(nodes: readonly Node[]): readonly number[] {
  const order = [0];
  for (const index of order) {
    for (const [letter, child] of nodes[index]!.children) {
      order.push(child);
      let suffix = nodes[index]!.suffix;
      while (suffix !== 0 && !nodes[suffix]!.children.has(letter)) suffix = nodes[suffix]!.suffix;
      const found = nodes[suffix]!.children.get(letter);
      nodes[child]!.suffix = found === undefined || found === child ? 0 : found;
      for (const owner of nodes[nodes[child]!.suffix]!.owners) nodes[child]!.owners.add(owner);
    }
  }
  return order;
}
