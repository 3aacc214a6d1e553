/** Finding names that a folder holds twice, in bounded memory. */

/** Hashes of the names of one folder: those that are there twice are found without keeping the names. */
export class NameHashes {
  #hashes = new Float64Array(64);
  #count = 0;

  add(name: string): void {
    if (this.#count === this.#hashes.length) {
      const larger = new Float64Array(this.#count * 2);
      larger.set(this.#hashes);
      this.#hashes = larger;
    }
    this.#hashes[this.#count] = hashOf(name);
    this.#count += 1;
  }

  /** Hashes (`hashOf`) that came more than once: of names that are the same, or very seldom of others. */
  twice(): ReadonlySet<number> {
    const sorted = this.#hashes.subarray(0, this.#count).sort();
    const twice = new Set<number>();
    for (let index = 1; index < sorted.length; index += 1) if (sorted[index] === sorted[index - 1]) twice.add(sorted[index]!);
    return twice;
  }
}

/** 52 bits: two halves of 26, mixed apart. */
export function hashOf(name: string): number {
  let [a, b] = [0x811c9dc5, 0x1b873593];
  for (let index = 0; index < name.length; index += 1) {
    const unit = name.charCodeAt(index);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b + unit, 0xcc9e2d51) ^ (b >>> 15);
  }
  return (a >>> 6) * 0x4000000 + (b >>> 6);
}
