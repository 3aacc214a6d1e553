/** Pairs up the equal elements of two sequences: longest common subsequence, and "patience" where the sequences are long. */

export type Pair = readonly [a: number, b: number];

/** Larger pieces are cut at elements that stand once on each side. */
const TABLE_CELLS_MAX = 1 << 17;

/** Pairs of equal elements, ascending on both sides. As many as can be where the piece is small. */
export function align(a: Int32Array, b: Int32Array): readonly Pair[] {
  const pairs: Pair[] = [];
  alignPiece(a, b, [0, 0], pairs);
  return pairs;
}

function alignPiece(a: Int32Array, b: Int32Array, from: Pair, pairs: Pair[]): void {
  const length = Math.min(a.length, b.length);
  let head = 0;
  while (head < length && a[head] === b[head]) head += 1;
  let tail = 0;
  while (tail < length - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail += 1;
  for (let at = 0; at < head; at += 1) pairs.push([from[0] + at, from[1] + at]);
  const middleA = a.subarray(head, a.length - tail);
  const middleB = b.subarray(head, b.length - tail);
  const start: Pair = [from[0] + head, from[1] + head];
  if (middleA.length * middleB.length <= TABLE_CELLS_MAX) alignByTable(middleA, middleB, start, pairs);
  else alignByAnchors(middleA, middleB, start, pairs);
  for (let at = tail; at > 0; at -= 1) pairs.push([from[0] + a.length - at, from[1] + b.length - at]);
}

/** Longest common subsequence (Wagner, Fischer: The string-to-string correction problem, 1974). */
function alignByTable(a: Int32Array, b: Int32Array, from: Pair, pairs: Pair[]): void {
  if (a.length === 0 || b.length === 0) return;
  const width = b.length + 1;
  /** Length of the longest from here on: at most the square root of TABLE_CELLS_MAX. */
  const longest = new Uint16Array((a.length + 1) * width);
  for (let i = a.length - 1; i >= 0; i -= 1) {
    for (let j = b.length - 1; j >= 0; j -= 1) {
      const at = i * width + j;
      longest[at] = a[i] === b[j] ? longest[at + width + 1]! + 1 : Math.max(longest[at + width]!, longest[at + 1]!);
    }
  }
  for (let i = 0, j = 0; i < a.length && j < b.length; ) {
    const at = i * width + j;
    if (a[i] === b[j]) {
      pairs.push([from[0] + i, from[1] + j]);
      i += 1;
      j += 1;
    } else if (longest[at + width]! >= longest[at + 1]!) i += 1;
    else j += 1;
  }
}

/** "Patience": lines that stand once on each side hold the two together; what lies between is aligned by itself. */
function alignByAnchors(a: Int32Array, b: Int32Array, from: Pair, pairs: Pair[]): void {
  const anchors = longestAscending(uniquePairs(a, b));
  if (anchors.length === 0) return;
  let [lastA, lastB] = [0, 0];
  for (const [atA, atB] of [...anchors, [a.length, b.length] as const]) {
    alignPiece(a.subarray(lastA, atA), b.subarray(lastB, atB), [from[0] + lastA, from[1] + lastB], pairs);
    if (atA < a.length) pairs.push([from[0] + atA, from[1] + atB]);
    [lastA, lastB] = [atA + 1, atB + 1];
  }
}

/** Ascending in `a`. */
function uniquePairs(a: Int32Array, b: Int32Array): readonly Pair[] {
  const [inA, inB] = [placesOf(a), placesOf(b)];
  return [...inA].flatMap(([value, atA]): readonly Pair[] => {
    const atB = inB.get(value) ?? TWICE;
    return atA === TWICE || atB === TWICE ? [] : [[atA, atB]];
  });
}

const TWICE = -1;

function placesOf(values: Int32Array): ReadonlyMap<number, number> {
  const places = new Map<number, number>();
  for (const [at, value] of values.entries()) places.set(value, places.has(value) ? TWICE : at);
  return places;
}

/** The longest chain of pairs that ascends on the second side too (Fredman: On computing the length of longest increasing subsequences, 1975). */
function longestAscending(pairs: readonly Pair[]): readonly Pair[] {
  /** For each length, the pair that ends the chain of this length with the least second place. */
  const ends: number[] = [];
  const before = new Int32Array(pairs.length).fill(-1);
  for (const [index, [, place]] of pairs.entries()) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (pairs[ends[middle]!]![1] < place) low = middle + 1;
      else high = middle;
    }
    before[index] = ends[low - 1] ?? -1;
    ends[low] = index;
  }
  const chain: Pair[] = [];
  for (let at = ends.at(-1) ?? -1; at !== -1; at = before[at]!) chain.push(pairs[at]!);
  return chain.reverse();
}
