/**
 * Linux kernel modules: what a `.ko` file says of itself. It is an ELF64 object (System V ABI, Edition 4.1), and its section
 * `.modinfo` holds `key=value` texts, each ended by a NUL: `depends` (comma-separated names), `alias` (glob), `softdep`, `name`.
 *
 * ELF header:        4  1  2: 64 bits   5  1  1: little-endian   40  8  offset of the section headers
 *                   58  2  bytes of one header   60  2  how many   62  2  which one holds the names
 * Section header:    0  4  name, offset in that section   24  8  offset in the file   32  8  bytes
 */
import { HiperisoError } from "../contract/error.ts";
import { viewOf } from "./bytes.ts";

export interface ModuleInfo {
  readonly name: string;
  /** Names of the modules that must be there first. */
  readonly depends: readonly string[];
  /** Patterns of devices and features that this module serves. */
  readonly aliases: readonly string[];
}

const ELF_HEADER_BYTES = 64;
const SECTION_HEADER_BYTES = 64;

/** Throws with the offset of what is not as it must be. `file` is the whole module, uncompressed. */
export function decodeModuleInfo(file: Uint8Array, where: string): ModuleInfo {
  const values = [...modinfoOf(file, where)];
  const all = (key: string): string[] => values.filter(([found]) => found === key).map(([, value]) => value);
  const [name] = all("name");
  if (name === undefined) throw bad(where, 0, "name= in .modinfo", "none");
  return { name, depends: all("depends").flatMap((list) => list.split(",").filter((part) => part !== "")), aliases: all("alias") };
}

/** The name that the kernel knows a module by: `-` and `_` are the same to it. */
export function moduleName(name: string): string {
  return name.replaceAll("-", "_");
}

function* modinfoOf(file: Uint8Array, where: string): Generator<readonly [key: string, value: string]> {
  const section = sectionNamed(".modinfo", file, where);
  for (const text of new TextDecoder("latin1").decode(section).split("\0")) {
    const equals = text.indexOf("=");
    if (equals > 0) yield [text.slice(0, equals), text.slice(equals + 1)];
  }
}

function sectionNamed(wanted: string, file: Uint8Array, where: string): Uint8Array {
  if (file.length < ELF_HEADER_BYTES) throw bad(where, 0, `an ELF header of ${ELF_HEADER_BYTES} bytes`, `${file.length}`);
  const view = viewOf(file);
  if (view.getUint32(0) !== 0x7f454c46 || file[4] !== 2 || file[5] !== 1)
    throw bad(where, 0, "a little-endian ELF64 file", Buffer.from(file.subarray(0, 6)).toString("hex"));
  const [headerBytes, count, namesIndex] = [view.getUint16(58, true), view.getUint16(60, true), view.getUint16(62, true)];
  if (headerBytes !== SECTION_HEADER_BYTES) throw bad(where, 58, `section headers of ${SECTION_HEADER_BYTES} bytes`, `${headerBytes}`);
  const headersOffset = lengthWithin(view.getBigUint64(40, true), file, where, 40);
  if (headersOffset + count * headerBytes > file.length) throw bad(where, 40, `${count} section headers`, "the end of the file");
  if (namesIndex >= count) throw bad(where, 62, `an index below ${count}`, `${namesIndex}`);

  const bytesOf = (index: number): Uint8Array => {
    const at = headersOffset + index * headerBytes;
    const start = lengthWithin(view.getBigUint64(at + 24, true), file, where, at + 24);
    const length = lengthWithin(view.getBigUint64(at + 32, true), file, where, at + 32);
    if (start + length > file.length) throw bad(where, at + 32, "a section within the file", `${start} + ${length} of ${file.length}`);
    return file.subarray(start, start + length);
  };
  const names = bytesOf(namesIndex);
  for (let index = 0; index < count; index += 1) {
    if (textAt(names, view.getUint32(headersOffset + index * headerBytes, true)) === wanted) return bytesOf(index);
  }
  throw bad(where, headersOffset, `a section ${wanted}`, `${count} sections without it`);
}

function textAt(bytes: Uint8Array, offset: number): string {
  const end = bytes.indexOf(0, offset);
  return new TextDecoder("latin1").decode(bytes.subarray(offset, end < 0 ? bytes.length : end));
}

function lengthWithin(value: bigint, file: Uint8Array, where: string, at: number): number {
  if (value > BigInt(file.length)) throw bad(where, at, `at most ${file.length}`, `${value}`);
  return Number(value);
}

const bad = (where: string, at: number, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "read a kernel module", where: `${where}@${at}`, expected, found });
