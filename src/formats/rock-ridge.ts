/**
 * Rock Ridge (IEEE P1282 1.12) on the System Use Sharing Protocol (IEEE P1281 1.12): POSIX names in ISO 9660 directory records.
 * Entries in a record's system use area:
 *      0   2  signature      2   1  length of the entry, 4 or more      3   1  version, 1
 *   SP  4 2 0xBE 0xEF, 6 1 bytes to skip in each other record: first entry of the root's "." record, shows that SUSP is used
 *   CE  4 8 block, 12 8 offset in it, 20 8 length: the area goes on there (both-endian)
 *   NM  4 1 flags: 1 goes on in the next NM, 2 ".", 4 ".."; 5 … part of the name
 *   PX  4 8 POSIX mode                        SL  a symbolic link: 4 1 flags: 1 goes on in the next SL; components follow:
 *       0 1 flags: 1 its text goes on in the next component, 2 ".", 4 "..", 8 "/"; 1 1 bytes of text; 2 … text
 *   CL  4 8 block: this is no file but a directory that was moved there, because it lay too deep
 *   RE  this directory was moved from elsewhere      ZF  the data is compressed (zisofs)      ST  the area ends
 */

import { hex, latin1, viewOf } from "./bytes.ts";
import { bothEndian32 } from "./iso9660.ts";
import type { Place } from "./problem.ts";

/** Where a system use area goes on. */
export interface Continuation {
  readonly block: number;
  readonly offset: number;
  readonly bytes: number;
}

export interface SystemUseEntry {
  readonly signature: string;
  /** The whole entry, from its signature. */
  readonly bytes: Uint8Array;
  readonly place: Place;
}

/** What Rock Ridge says of one directory record. */
export interface RockRidge {
  /** Undefined where no NM entry names it: then the ISO 9660 name counts. */
  readonly name: string | undefined;
  readonly symbolicLink: boolean;
  /** Where a symbolic link leads, as POSIX writes it; undefined for what is none, or leads nowhere. */
  readonly linkTarget: string | undefined;
  /** Block of the directory that stands here in truth. */
  readonly childBlock: number | undefined;
  /** Stands here in truth only for readers without Rock Ridge. */
  readonly relocated: boolean;
  readonly compressed: boolean;
}

/** Splits an area into entries. Stops, reporting, where a length cannot be. */
export function decodeSystemUse(
  area: Uint8Array,
  { offset, report }: Place,
): { entries: SystemUseEntry[]; next: Continuation | undefined } {
  const entries: SystemUseEntry[] = [];
  let next: Continuation | undefined;
  // Less than an entry at the end is padding.
  for (let at = 0; at + 4 <= area.length; ) {
    const length = area[at + 2]!;
    if (area[at] === 0) break;
    const signature = latin1(area.subarray(at, at + 2));
    const place = { offset: offset + BigInt(at), report };
    const least = LEAST_BYTES[signature] ?? 4;
    if (length < least || at + length > area.length) {
      report({
        offset: place.offset + 2n,
        structure: `system use entry ${/^[A-Z]{2}$/.test(signature) ? signature : hex(viewOf(area).getUint16(at, false), 4)}`,
        expected: `a length of ${least} to ${area.length - at}`,
        found: `${length}`,
      });
      break;
    }
    const bytes = area.subarray(at, at + length);
    if (signature === "ST") break;
    if (signature === "CE") {
      const field = (start: number) => bothEndian32(bytes, start, "continuation area", place);
      next = { block: field(4), offset: field(12), bytes: field(20) };
    } else entries.push({ signature, bytes, place });
    at += length;
  }
  return { entries, next };
}

/** What each entry that we read must hold at least. */
const LEAST_BYTES: Readonly<Record<string, number>> = { CE: 28, SP: 7, NM: 5, CL: 12, PL: 12, SL: 5 };

/** Bytes to skip in the system use areas of all other records; undefined where the root's "." record says that SUSP is not used. */
export function suspSkip(rootDotSystemUse: Uint8Array): number | undefined {
  const area = rootDotSystemUse;
  // XA media put 14 bytes of their own first.
  const start = [0, 14].find((at) => latin1(area.subarray(at, at + 2)) === "SP" && area[at + 4] === 0xbe && area[at + 5] === 0xef);
  return start === undefined ? undefined : area[start + 6];
}

export function decodeRockRidge(entries: readonly SystemUseEntry[]): RockRidge {
  const nameParts: Uint8Array[] = [];
  const linkParts: Uint8Array[] = [];
  let childBlock: number | undefined;
  let named = false;
  const seen = new Set<string>();
  for (const { signature, bytes, place } of entries) {
    seen.add(signature);
    if (signature === "NM" && (bytes[4]! & 6) === 0) {
      named = true;
      nameParts.push(bytes.subarray(5));
    } else if (signature === "SL") linkParts.push(bytes.subarray(5));
    else if (signature === "CL") childBlock = bothEndian32(bytes, 4, "child link", place);
  }
  return {
    name: named ? Buffer.concat(nameParts).toString("utf8") : undefined,
    symbolicLink: seen.has("SL"),
    linkTarget: linkParts.length === 0 ? undefined : linkTarget(Buffer.concat(linkParts)),
    childBlock,
    relocated: seen.has("RE"),
    compressed: seen.has("ZF"),
  };
}

/** Undefined where the components make no path. What is cut off counts as far as it is there. */
function linkTarget(components: Uint8Array): string | undefined {
  const parts: string[] = [];
  let absolute = false;
  let pending: Uint8Array[] = [];
  for (let at = 0; at + 2 <= components.length; at += 2 + components[at + 1]!) {
    const flags = components[at]!;
    if ((flags & 8) !== 0) absolute = true;
    else if ((flags & 4) !== 0) parts.push("..");
    else if ((flags & 2) !== 0) parts.push(".");
    else {
      pending.push(components.subarray(at + 2, at + 2 + components[at + 1]!));
      if ((flags & 1) !== 0) continue;
      parts.push(Buffer.concat(pending).toString("utf8"));
      pending = [];
    }
  }
  const path = `${absolute ? "/" : ""}${parts.join("/")}`;
  return path === "" ? undefined : path;
}
