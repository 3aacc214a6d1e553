/**
 * Unified kernel images: kernel, initramfs and command line as sections of one program for UEFI, which can be signed as a whole
 * (UAPI group: UKI specification). What starts them is a stub of systemd's; here sections are added to it
 * (Microsoft PE format; the headers' table stands in `pe.ts`). Little-endian; of the optional header, from its start:
 *   32 4 alignment of sections in memory    36 4 of their bytes in the file    56 4 bytes of the image in memory    60 4 bytes of all headers
 *   64 4 checksum                          112 8 data directories from here on, the fifth: certificates
 * Section header, 40 bytes: 0 8 name, 8 4 bytes, 12 4 address, 16 4 bytes in the file, 20 4 offset in the file, 36 4 characteristics
 */
import { HiperisoError } from "../contract/error.ts";
import { latin1, viewOf } from "./bytes.ts";

export interface UkiSection {
  /** Of at most 8 letters: ".linux", ".initrd", ".cmdline", ".osrel", ".uname". */
  readonly name: string;
  readonly content: Uint8Array;
}

const SECTION_BYTES = 40;
/** IMAGE_SCN_CNT_INITIALIZED_DATA, IMAGE_SCN_MEM_READ. */
const READ_ONLY_DATA = 0x40000040;
const OPTIONAL_BYTES_MIN = 112;
const IMAGE_BYTES_MAX = 0xffff_ffff;

/**
 * The stub with these sections behind its own, in this order. A signature that it has is left out, since it would no longer hold.
 * The same input gives the same bytes. Throws where the stub is no PE32+ program, has a section of one of these names, or where all would be 4 GiB.
 */
export function encodeUki(stub: Uint8Array, sections: readonly UkiSection[]): Uint8Array {
  const headers = decodeHeaders(stub);
  const { pe, optional, table, count, sectionAlignment, fileAlignment, old } = headers;
  for (const { name } of sections) {
    if (name.length > 8 || !/^\.[a-z]+$/.test(name)) throw bad("a name of a section", JSON.stringify(name));
    if (old.some((section) => section.name === name)) throw bad(`a stub without ${name}`, "one that has it");
  }
  const tableEnd = table + (count + sections.length) * SECTION_BYTES;
  const firstRaw = Math.min(...old.flatMap(({ rawOffset, rawBytes }) => (rawBytes === 0 ? [] : [rawOffset])));
  // Where the table needs more room than the headers have, all that follows them moves; addresses in memory stay.
  const shift = tableEnd <= firstRaw ? 0 : aligned(tableEnd - firstRaw, fileAlignment);
  const headerBytes = firstRaw + shift;
  const firstAddress = Math.min(...old.map(({ address }) => address));
  if (tableEnd > firstAddress) throw bad(`headers within ${firstAddress} bytes`, `${tableEnd}`);

  const oldEnd = Math.max(...old.map(({ rawOffset, rawBytes }) => rawOffset + rawBytes));
  let raw = aligned(oldEnd + shift, fileAlignment);
  let address = aligned(Math.max(...old.map((section) => section.address + section.bytes)), sectionAlignment);
  const placed = sections.map(({ name, content }) => {
    const at = { name, content, raw, address, rawBytes: aligned(content.length, fileAlignment) };
    raw += at.rawBytes;
    address = aligned(address + Math.max(content.length, 1), sectionAlignment);
    return at;
  });
  if (raw > IMAGE_BYTES_MAX || address > IMAGE_BYTES_MAX) throw bad(`less than ${IMAGE_BYTES_MAX} bytes`, `${Math.max(raw, address)}`);

  const image = new Uint8Array(raw);
  image.set(stub.subarray(0, table + count * SECTION_BYTES));
  image.set(stub.subarray(firstRaw, oldEnd), headerBytes);
  const view = viewOf(image);
  view.setUint16(pe + 6, count + sections.length, true);
  view.setUint32(optional + 56, address, true);
  view.setUint32(optional + 60, Math.max(view.getUint32(optional + 60, true), aligned(tableEnd, fileAlignment)), true);
  view.setUint32(optional + 64, 0, true);
  if (headers.directories > 4) view.setBigUint64(optional + OPTIONAL_BYTES_MIN + 4 * 8, 0n, true);
  old.forEach(({ rawOffset, rawBytes }, index) => {
    if (rawBytes !== 0) view.setUint32(table + index * SECTION_BYTES + 20, rawOffset + shift, true);
  });
  placed.forEach(({ name, content, raw: offset, address: at, rawBytes }, index) => {
    const header = table + (count + index) * SECTION_BYTES;
    image.set(Buffer.from(name, "latin1"), header);
    view.setUint32(header + 8, content.length, true);
    view.setUint32(header + 12, at, true);
    view.setUint32(header + 16, rawBytes, true);
    view.setUint32(header + 20, offset, true);
    view.setUint32(header + 36, READ_ONLY_DATA, true);
    image.set(content, offset);
  });
  return image;
}

const aligned = (value: number, to: number): number => Math.ceil(value / to) * to;

function bad(expected: string, found: string, at?: number): HiperisoError {
  return new HiperisoError({ what: "write a unified kernel image", where: at === undefined ? "stub" : `stub@${at}`, expected, found });
}

interface OldSection {
  readonly name: string;
  readonly bytes: number;
  readonly address: number;
  readonly rawBytes: number;
  readonly rawOffset: number;
}

function decodeHeaders(stub: Uint8Array) {
  const view = viewOf(stub);
  if (stub.length < 64 || latin1(stub.subarray(0, 2)) !== "MZ") throw bad('"MZ"', latin1(stub.subarray(0, 2)), 0);
  const pe = view.getUint32(60, true);
  if (pe + 24 > stub.length || view.getUint32(pe) !== 0x50450000) throw bad("a PE header", "none", 60);
  const optional = pe + 24;
  const optionalBytes = view.getUint16(pe + 20, true);
  if (optionalBytes < OPTIONAL_BYTES_MIN || optional + optionalBytes > stub.length) {
    throw bad(`an optional header of ${OPTIONAL_BYTES_MIN} bytes or more inside the file`, `${optionalBytes}`, pe + 20);
  }
  if (view.getUint16(optional, true) !== 0x20b) throw bad("PE32+, 0x20b", `${view.getUint16(optional, true)}`, optional);
  const directories = view.getUint32(optional + 108, true);
  if (directories > (optionalBytes - OPTIONAL_BYTES_MIN) / 8)
    throw bad("data directories inside the header", `${directories}`, optional + 108);
  const alignment = (at: number): number => {
    const value = view.getUint32(optional + at, true);
    if (value < 16 || value > 65_536 || (value & (value - 1)) !== 0)
      throw bad("a power of two from 16 to 65,536", `${value}`, optional + at);
    return value;
  };
  const [sectionAlignment, fileAlignment] = [alignment(32), alignment(36)];
  const count = view.getUint16(pe + 6, true);
  const table = optional + optionalBytes;
  if (count === 0 || table + count * SECTION_BYTES > stub.length) throw bad("sections inside the file", `${count}`, pe + 6);
  const old = Array.from({ length: count }, (_, index): OldSection => {
    const at = table + index * SECTION_BYTES;
    const section = {
      name: latin1(stub.subarray(at, at + 8)).replace(/\0.*$/s, ""),
      bytes: view.getUint32(at + 8, true),
      address: view.getUint32(at + 12, true),
      rawBytes: view.getUint32(at + 16, true),
      rawOffset: view.getUint32(at + 20, true),
    };
    if (section.rawBytes > 0 && (section.rawOffset < table || section.rawOffset + section.rawBytes > stub.length)) {
      throw bad("a section inside the file", `${section.rawBytes} bytes at ${section.rawOffset}`, at + 20);
    }
    return section;
  });
  if (old.every(({ rawBytes }) => rawBytes === 0)) throw bad("a section with bytes", "none", table);
  return { pe, optional, table, count, sectionAlignment, fileAlignment, directories, old };
}
