/**
 * The sums of exFAT (Microsoft, "exFAT file system specification": figure 1 of 3.4, figure 2 of 6.3.3, figure 3 of 7.2.2, figure 4 of 7.6.4).
 * All are one rule: turn the sum right by a bit, add the next byte; 16 or 32 bits wide.
 */

/** Of VolumeFlags (106, 107) and PercentInUse (112): they change without a new sum. */
const BOOT_SKIPPED: ReadonlySet<number> = new Set([106, 107, 112]);

/** Of the first eleven sectors of a boot region: `sectors` holds exactly these. */
export function bootChecksum(sectors: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < sectors.length; at += 1) {
    if (at <= 112 && BOOT_SKIPPED.has(at)) continue;
    sum = ((((sum & 1) << 31) | (sum >>> 1)) + sectors[at]!) >>> 0;
  }
  return sum;
}

/** Of an up-case table as it stands on the volume, compressed or not. `sum`: what a piece before this one gave. */
export function upcaseChecksum(bytes: Uint8Array, sum = 0): number {
  for (const byte of bytes) sum = ((((sum & 1) << 31) | (sum >>> 1)) + byte) >>> 0;
  return sum;
}

/** Of an entry set: all its entries, without the two bytes that hold the sum. */
export function setChecksum(entries: Uint8Array): number {
  let sum = 0;
  for (let at = 0; at < entries.length; at += 1) {
    if (at === 2 || at === 3) continue;
    sum = ((((sum & 1) << 15) | (sum >>> 1)) + entries[at]!) & 0xffff;
  }
  return sum;
}

/** Of a name that is already up-cased, over its UTF-16 little-endian bytes. */
export function nameHash(upcased: string): number {
  let sum = 0;
  for (let index = 0; index < upcased.length; index += 1) {
    const unit = upcased.charCodeAt(index);
    sum = ((((sum & 1) << 15) | (sum >>> 1)) + (unit & 0xff)) & 0xffff;
    sum = ((((sum & 1) << 15) | (sum >>> 1)) + (unit >> 8)) & 0xffff;
  }
  return sum;
}
