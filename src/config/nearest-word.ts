/** "Did you mean …?" */

/**
 * The value of the known word that is fewest edits away from `word` (insert, remove, replace, swap neighbours: one each),
 * or undefined where none is near: more than two edits, or more than a third of the word.
 */
export function nearestWord(word: string, known: ReadonlyMap<string, string>): string | undefined {
  let nearest: string | undefined;
  let fewest = Math.min(2, Math.floor(word.length / 3)) + 1;
  for (const [candidate, value] of known) {
    if (Math.abs(candidate.length - word.length) >= fewest) continue;
    const edits = editDistance(word, candidate);
    if (edits < fewest) [nearest, fewest] = [value, edits];
  }
  return nearest;
}

/** Optimal string alignment distance. */
function editDistance(one: string, other: string): number {
  let beforeLast: number[] = [];
  let last = Array.from({ length: other.length + 1 }, (_, index) => index);
  for (let row = 1; row <= one.length; row += 1) {
    const next = [row];
    for (let column = 1; column <= other.length; column += 1) {
      const replaced = last[column - 1]! + (one[row - 1] === other[column - 1] ? 0 : 1);
      const isSwap = row > 1 && column > 1 && one[row - 1] === other[column - 2] && one[row - 2] === other[column - 1];
      next.push(Math.min(replaced, last[column]! + 1, next[column - 1]! + 1, isSwap ? beforeLast[column - 2]! + 1 : replaced));
    }
    [beforeLast, last] = [last, next];
  }
  return last[other.length]!;
}
