/**
 * A program without what only linkers and debuggers read: symbols, debug information, the table of sections. What is loaded stays, byte for byte
 * (System V ABI, Edition 4.1, chapter 5: a loader reads the header and the program headers, and nothing else).
 */
import { HiperisoError } from "../contract/error.ts";
import { viewOf } from "./bytes.ts";
import { isElf } from "./elf.ts";

const HEADER_BYTES = 64;
const PROGRAM_HEADER_BYTES = 56;

/**
 * The same program up to the end of its last segment, naming no sections. 64 bits and little-endian only. Throws `where@offset` for what is no such
 * program, or has a segment outside the file.
 */
export function trimmedElf(file: Uint8Array, where: string): Uint8Array {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "trim a program", where: `${where}@${at}`, expected, found });
  if (!isElf(file)) throw bad(0, "an ELF file", "something else");
  if (file[4] !== 2 || file[5] !== 1) throw bad(4, "64 bits, little-endian", `class ${file[4] ?? "none"}, byte order ${file[5] ?? "none"}`);
  if (file.length < HEADER_BYTES) throw bad(0, `a header of ${HEADER_BYTES} bytes`, `${file.length}`);
  const view = viewOf(file);
  const within = (at: number): number => {
    const value = view.getBigUint64(at, true);
    if (value > BigInt(file.length)) throw bad(at, `at most ${file.length}`, `${value}`);
    return Number(value);
  };
  const [start, size, count] = [within(32), view.getUint16(54, true), view.getUint16(56, true)];
  if (count === 0) throw bad(56, "program headers", "none");
  if (size < PROGRAM_HEADER_BYTES) throw bad(54, `program headers of ${PROGRAM_HEADER_BYTES} bytes`, `${size}`);
  let end = start + size * count;
  if (end > file.length) throw bad(32, `program headers within the file's ${file.length} bytes`, `${count} of ${size} bytes at ${start}`);
  for (let at = start; at < start + size * count; at += size) {
    const segmentEnd = within(at + 8) + within(at + 32);
    if (segmentEnd > file.length) throw bad(at, `a segment within the file's ${file.length} bytes`, `one that ends at ${segmentEnd}`);
    end = Math.max(end, segmentEnd);
  }
  const trimmed = file.slice(0, Math.max(end, HEADER_BYTES));
  const header = viewOf(trimmed);
  // e_shoff, e_shnum and e_shstrndx: without them a reader of sections would look behind the end.
  header.setBigUint64(40, 0n, true);
  header.setUint16(60, 0, true);
  header.setUint16(62, 0, true);
  return trimmed;
}
