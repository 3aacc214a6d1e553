/**
 * ELF files, as far as tells what a program needs to run (System V ABI, Edition 4.1, chapters 4 and 5; gABI draft of 2013).
 * 32 and 64 bits, little- and big-endian; all offsets below are in bytes.
 *
 * Header:          0  4  0x7f "ELF"      4  1  class: 1 is 32 bits, 2 is 64      5  1  data: 1 little-endian, 2 big-endian
 *                 16  2  type: 1 object, 2 program, 3 shared      18  2  machine
 *                 32-bit: 28 4 program headers, 32 4 section headers, 42 2 bytes of and 44 2 number of program headers, 46 2, 48 2 of sections, 50 2 names
 *                 64-bit: 32 8 program headers, 40 8 section headers, 54 2 bytes of and 56 2 number of program headers, 58 2, 60 2 of sections, 62 2 names
 * Program header:  0  4  type: 1 load, 2 dynamic, 3 interpreter
 *                 32-bit: 4 4 offset, 8 4 address, 16 4 bytes in the file      64-bit: 8 8 offset, 16 8 address, 32 8 bytes in the file
 * Section header:  0  4  name, offset in the section of names      4  4  type: 8 has no bytes in the file
 *                 32-bit: 16 4 offset, 20 4 bytes, 24 4 link      64-bit: 24 8 offset, 32 8 bytes, 40 4 link
 * Dynamic entry:  tag and value, of 4 or of 8 bytes each; tag 0 ends the list
 */
import { HiperisoError } from "../contract/error.ts";
import { latin1, viewOf } from "./bytes.ts";

export interface Elf {
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly type: number;
  /** e_machine: 3 x86, 40 arm, 62 x86-64, 183 aarch64, 243 riscv. */
  readonly machine: number;
  readonly sections: readonly ElfSection[];
  /** What loads it: absolute in the system that it is made for; null for a static program or a library. */
  readonly interpreter: string | null;
  /** Null where there is no dynamic section: nothing else is needed. */
  readonly dynamic: ElfDynamic | null;
}

export interface ElfSection {
  readonly name: string;
  readonly type: number;
  /** In the file; 0 bytes where the section has none there. */
  readonly offset: number;
  readonly bytes: number;
  readonly link: number;
}

export interface ElfDynamic {
  /** Libraries, as they are asked for: mostly names without a folder. */
  readonly needed: readonly string[];
  readonly soname: string | null;
  /** DT_RPATH and DT_RUNPATH, split at ":"; may hold $ORIGIN, $LIB and $PLATFORM. */
  readonly rpath: readonly string[];
  readonly runpath: readonly string[];
  /** DF_1_NODEFLIB: the loader's default folders do not count for what this needs. */
  readonly noDefaultFolders: boolean;
}

const HEADER_BYTES = { 32: 52, 64: 64 } as const;
const PROGRAM_HEADER_BYTES = { 32: 32, 64: 56 } as const;
const SECTION_HEADER_BYTES = { 32: 40, 64: 64 } as const;
const PT_LOAD = 1;
const PT_DYNAMIC = 2;
const PT_INTERP = 3;
const SHT_NOBITS = 8;
const DT = { needed: 1, strtab: 5, strsz: 10, soname: 14, rpath: 15, runpath: 29, flags1: 0x6ffffffb } as const;
const DF_1_NODEFLIB = 0x800n;
/** PATH_MAX of Linux: no name that a loader could use is longer. */
const TEXT_BYTES_MAX = 4096;

export const isElf = (head: Uint8Array): boolean => head.length >= 4 && viewOf(head).getUint32(0) === 0x7f454c46;

/** `file` is all of it. Throws `where@offset` for what is not as it must be; never reads outside the file. */
export function decodeElf(file: Uint8Array, where: string): Elf {
  const reader = openReader(file, where);
  const { bits, littleEndian, u16 } = reader;
  const segments = decodeSegments(reader);
  const interpreter = segments.find(({ type }) => type === PT_INTERP);
  const dynamic = segments.find(({ type }) => type === PT_DYNAMIC);
  return {
    bits,
    littleEndian,
    type: u16(16),
    machine: u16(18),
    sections: decodeSections(reader),
    interpreter: interpreter === undefined ? null : reader.text(interpreter.offset, interpreter.offset + interpreter.bytes),
    dynamic: dynamic === undefined ? null : decodeDynamic(reader, dynamic, segments),
  };
}

interface Reader {
  readonly file: Uint8Array;
  readonly bits: 32 | 64;
  readonly littleEndian: boolean;
  readonly u16: (at: number) => number;
  readonly u32: (at: number) => number;
  /** 4 or 8 bytes, as the class has it. */
  readonly word: (at: number) => bigint;
  /** A word that is an offset or a size in this file, so at most its length. */
  readonly within: (at: number) => number;
  /** Throws unless `bytes` from `offset` lie in the file. `at`: where it says so. */
  readonly range: (offset: number, bytes: number, at: number, what: string) => void;
  /** The text at `offset`, which must end with a NUL before `end`. */
  readonly text: (offset: number, end: number) => string;
  readonly bad: (at: number, expected: string, found: string) => HiperisoError;
}

function openReader(file: Uint8Array, where: string): Reader {
  const bad = (at: number, expected: string, found: string) =>
    new HiperisoError({ what: "read an ELF file", where: `${where}@${at}`, expected, found });
  if (!isElf(file)) throw bad(0, "an ELF file", Buffer.from(file.subarray(0, 4)).toString("hex") || "nothing");
  const bits = file[4] === 1 ? 32 : file[4] === 2 ? 64 : undefined;
  if (bits === undefined) throw bad(4, "class 1 or 2", `${file[4] ?? "the end"}`);
  if (file[5] !== 1 && file[5] !== 2) throw bad(5, "byte order 1 or 2", `${file[5] ?? "the end"}`);
  if (file.length < HEADER_BYTES[bits]) throw bad(0, `a header of ${HEADER_BYTES[bits]} bytes`, `${file.length}`);
  const littleEndian = file[5] === 1;
  const view = viewOf(file);
  const word = (at: number): bigint => (bits === 64 ? view.getBigUint64(at, littleEndian) : BigInt(view.getUint32(at, littleEndian)));
  return {
    file,
    bits,
    littleEndian,
    u16: (at) => view.getUint16(at, littleEndian),
    u32: (at) => view.getUint32(at, littleEndian),
    word,
    within: (at) => {
      const value = word(at);
      if (value > BigInt(file.length)) throw bad(at, `at most ${file.length}`, `${value}`);
      return Number(value);
    },
    range: (offset, bytes, at, what) => {
      if (offset + bytes > file.length) throw bad(at, `${what} within the file's ${file.length} bytes`, `${bytes} bytes at ${offset}`);
    },
    text: (offset, end) => {
      const zero = file.subarray(0, Math.min(end, offset + TEXT_BYTES_MAX)).indexOf(0, offset);
      if (zero < 0 || offset > end) throw bad(offset, "a text that a NUL ends", "none");
      return latin1(file.subarray(offset, zero));
    },
    bad,
  };
}

interface Segment {
  readonly type: number;
  readonly offset: number;
  readonly address: bigint;
  readonly bytes: number;
}

function decodeSegments(reader: Reader): readonly Segment[] {
  const { bits, u16, u32, word, within, range, bad } = reader;
  const [offsetAt, sizeAt, countAt] = bits === 64 ? [32, 54, 56] : [28, 42, 44];
  const [start, size, count] = [within(offsetAt), u16(sizeAt), u16(countAt)];
  if (count === 0) return [];
  if (size < PROGRAM_HEADER_BYTES[bits]) throw bad(sizeAt, `program headers of ${PROGRAM_HEADER_BYTES[bits]} bytes`, `${size}`);
  range(start, size * count, offsetAt, "program headers");
  return Array.from({ length: count }, (_, index) => {
    const at = start + index * size;
    const [offset, address, bytes] = bits === 64 ? [at + 8, at + 16, at + 32] : [at + 4, at + 8, at + 16];
    const type = u32(at);
    // Others may say what they like: they are not looked at.
    if (type !== PT_LOAD && type !== PT_DYNAMIC && type !== PT_INTERP) return { type, offset: 0, address: 0n, bytes: 0 };
    const segment = { type, offset: within(offset), address: word(address), bytes: within(bytes) };
    range(segment.offset, segment.bytes, at, "a segment");
    return segment;
  });
}

function decodeSections(reader: Reader): readonly ElfSection[] {
  const { bits, u16, u32, within, range, bad, text } = reader;
  const [offsetAt, sizeAt, countAt, namesAt] = bits === 64 ? [40, 58, 60, 62] : [32, 46, 48, 50];
  const start = within(offsetAt);
  if (start === 0) return [];
  const size = u16(sizeAt);
  if (size < SECTION_HEADER_BYTES[bits]) throw bad(sizeAt, `section headers of ${SECTION_HEADER_BYTES[bits]} bytes`, `${size}`);
  range(start, size, offsetAt, "a section header");
  const field = bits === 64 ? { offset: 24, bytes: 32, link: 40 } : { offset: 16, bytes: 20, link: 24 };
  // Numbers that do not fit stand in the first section header (gABI, "Sections", e_shnum and e_shstrndx).
  const count = u16(countAt) || within(start + field.bytes);
  const namesIndex = u16(namesAt) === 0xffff ? u32(start + field.link) : u16(namesAt);
  range(start, size * count, offsetAt, `${count} section headers`);
  if (count === 0) return [];
  if (namesIndex >= count) throw bad(namesAt, `an index below ${count}`, `${namesIndex}`);
  const place = (index: number) => {
    const at = start + index * size;
    const type = u32(at + 4);
    const hasBytes = type !== SHT_NOBITS && type !== 0;
    const found = { type, offset: within(at + field.offset), bytes: hasBytes ? within(at + field.bytes) : 0, link: u32(at + field.link) };
    range(found.offset, found.bytes, at + field.bytes, "a section");
    return found;
  };
  const names = place(namesIndex);
  return Array.from({ length: count }, (_, index) => {
    const name = u32(start + index * size);
    return { name: name >= names.bytes ? "" : text(names.offset + name, names.offset + names.bytes), ...place(index) };
  });
}

function decodeDynamic(reader: Reader, { offset, bytes }: Segment, segments: readonly Segment[]): ElfDynamic {
  const { bits, word, text, bad } = reader;
  const wordBytes = bits / 8;
  const values = new Map<number, { readonly value: bigint; readonly at: number }[]>();
  for (let at = offset; at + 2 * wordBytes <= offset + bytes; at += 2 * wordBytes) {
    const tag = word(at);
    if (tag === 0n) break;
    const key = tag > 0xffff_ffffn ? -1 : Number(tag);
    values.set(key, [...(values.get(key) ?? []), { value: word(at + wordBytes), at }]);
  }
  const first = (tag: number): { readonly value: bigint; readonly at: number } | undefined => values.get(tag)?.[0];
  const table = first(DT.strtab);
  const tableBytes = first(DT.strsz)?.value ?? 0n;
  // Addresses of a loaded program; the file holds them at the place of the segment that is loaded there.
  const segment = segments.find(
    ({ type, address, bytes: length }) =>
      type === PT_LOAD && table !== undefined && table.value >= address && table.value < address + BigInt(length),
  );
  const read = (tag: number): readonly string[] =>
    (values.get(tag) ?? []).map(({ value, at }) => {
      if (table === undefined || segment === undefined) throw bad(at, "a table of texts that is loaded", `${table?.value ?? "none"}`);
      const start = segment.offset + Number(table.value - segment.address);
      const end = Math.min(start + Number(tableBytes), segment.offset + segment.bytes);
      if (value >= BigInt(end - start)) throw bad(at, `a text within ${end - start} bytes`, `${value}`);
      return text(start + Number(value), end);
    });
  const folders = (tag: number): readonly string[] => read(tag).flatMap((list) => list.split(":").filter((folder) => folder !== ""));
  return {
    needed: read(DT.needed),
    soname: read(DT.soname)[0] ?? null,
    rpath: folders(DT.rpath),
    runpath: folders(DT.runpath),
    noDefaultFolders: ((first(DT.flags1)?.value ?? 0n) & DF_1_NODEFLIB) !== 0n,
  };
}
