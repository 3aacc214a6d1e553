/**
 * `LBPAYLD1`: files one behind the other on a raw disk, so plain that a program of the first hour of a bootstrap can read it
 * (`docs/payload-container.md`). Little-endian, nothing aligned, no checksum, no end mark. Two widths under one magic:
 *
 *   32-bit                                    64-bit
 *    0  8  "LBPAYLD1"                          0  8  "LBPAYLD1"
 *    8  4  number of entries, 1 to 2^32 - 1    8  8  number of entries
 *   then of each entry                        then of each entry
 *    0  4  bytes of the name                   0  8  bytes of the name
 *    4  4  bytes of the file                   8  8  bytes of the file
 *    8     the name, UTF-8; then the file     16     the name, UTF-8; then the file
 *
 * Bytes 12 to 15 tell them apart: in the 32-bit form they are the length of the first name and never 0; in the 64-bit form they are
 * the upper half of the number of entries, which is 0 below 2^32. What follows the last entry is padding.
 */
import { HiperisoError } from "../contract/error.ts";
import { hex, viewOf } from "./bytes.ts";
import { printableBytes } from "./escape-terminal.ts";

export const PAYLOAD_MAGIC = "LBPAYLD1";
/** Fiwix counts disks in KiB, rounded down: what stands behind the last whole KiB cannot be read there. */
export const PAYLOAD_PAD_BYTES = 1024;
/**
 * Whoever extracts may write a file as `NAME.part` before it is renamed, and most file systems take names of 255 bytes (NAME_MAX of Linux):
 * more than this is neither written nor extracted.
 */
export const PAYLOAD_NAME_BYTES_MAX = 250;
/** Under this name our importer writes each file before it is renamed (`guest/payload-import/`): an entry of that name could not be told from a broken run. */
export const PAYLOAD_IMPORT_TEMPORARY = ".payload-import.part";
/** A longer name is damage: no file system has it, and a reader would take up to 4 GiB for a name. */
const NAME_BYTES_READ_MAX = 1024;
const U32_MAX = 0xffff_ffffn;

export type PayloadWidth = 32 | 64;

/** Bytes of each field that the widths differ in. */
const FIELD_BYTES = { 32: 4, 64: 8 } as const satisfies Record<PayloadWidth, number>;

// Writing.

/** What is known of a file before it is written. */
export interface PayloadFile {
  readonly name: string;
  readonly sizeBytes: bigint;
}

export interface PayloadOptions {
  /** 64-bit fields. Left out: 32-bit. */
  readonly wide?: boolean | undefined;
  /** Zeros to the next multiple of `PAYLOAD_PAD_BYTES`. Left out: they are written. */
  readonly pad?: boolean | undefined;
}

/** Where one file stands. Offsets in bytes from the start of the container. */
export interface PlacedFile<File extends PayloadFile = PayloadFile> {
  readonly file: File;
  readonly name: string;
  readonly headerOffset: bigint;
  readonly dataOffset: bigint;
  readonly sizeBytes: bigint;
}

/** A container, decided and not written. */
export interface PayloadLayout<File extends PayloadFile = PayloadFile> {
  readonly width: PayloadWidth;
  /** Sorted by the bytes of their names: the same files give the same container in whatever order they come. */
  readonly entries: readonly PlacedFile<File>[];
  /** Behind the last byte of the last file. */
  readonly endOffset: bigint;
  /** With the padding. */
  readonly sizeBytes: bigint;
}

/** Throws (`usage`) where a name cannot be in a container or is there twice, where a file is too big for 32 bits, and where there is no file. */
export function layoutOf<File extends PayloadFile>(files: Iterable<File>, options: PayloadOptions = {}): PayloadLayout<File> {
  const width: PayloadWidth = options.wide === true ? 64 : 32;
  const sorted = [...files]
    .map((file) => ({ file, bytes: encodePayloadName(file.name) }))
    .sort((one, other) => compareBytes(one.bytes, other.bytes));
  checkCount(BigInt(sorted.length), width);
  let offset = BigInt(PAYLOAD_MAGIC.length + FIELD_BYTES[width]);
  let before: Uint8Array | undefined;
  const entries = sorted.map(({ file, bytes }) => {
    const { name, sizeBytes } = file;
    if (before !== undefined && compareBytes(before, bytes) === 0) {
      throw refused(name, "each name once", "it twice", "Importers write both into one file. Rename one of them.");
    }
    before = bytes;
    checkSize(name, sizeBytes, width);
    const headerOffset = offset;
    const dataOffset = headerOffset + BigInt(2 * FIELD_BYTES[width] + bytes.length);
    offset = dataOffset + sizeBytes;
    return { file, name, headerOffset, dataOffset, sizeBytes };
  });
  return { width, entries, endOffset: offset, sizeBytes: options.pad === false ? offset : padded(offset) };
}

const padded = (offset: bigint): bigint => {
  const unit = BigInt(PAYLOAD_PAD_BYTES);
  return ((offset + unit - 1n) / unit) * unit;
};

/** The first bytes of a container of `count` entries. Throws (`usage`) where the width cannot count them, and for none. */
export function encodePayloadHead(count: bigint, width: PayloadWidth): Uint8Array {
  checkCount(count, width);
  const head = new Uint8Array(PAYLOAD_MAGIC.length + FIELD_BYTES[width]);
  new TextEncoder().encodeInto(PAYLOAD_MAGIC, head);
  putField(viewOf(head), PAYLOAD_MAGIC.length, count, width);
  return head;
}

/** What stands before a file's bytes. Throws (`usage`) on a name or size that cannot be in a container. */
export function encodePayloadEntry({ name, sizeBytes }: PayloadFile, width: PayloadWidth): Uint8Array {
  const bytes = encodePayloadName(name);
  checkSize(name, sizeBytes, width);
  const header = new Uint8Array(2 * FIELD_BYTES[width] + bytes.length);
  putField(viewOf(header), 0, BigInt(bytes.length), width);
  putField(viewOf(header), FIELD_BYTES[width], sizeBytes, width);
  header.set(bytes, 2 * FIELD_BYTES[width]);
  return header;
}

function putField(view: DataView, at: number, value: bigint, width: PayloadWidth): void {
  if (width === 64) view.setBigUint64(at, value, true);
  else view.setUint32(at, Number(value), true);
}

function encodePayloadName(name: string): Uint8Array {
  const problem = /\p{Surrogate}/u.test(name) ? "characters that UTF-8 does not have" : payloadNameProblem(new TextEncoder().encode(name));
  if (problem !== undefined) throw refused(name, NAME_RULE, problem, "Rename the file, or give it another name in a list (--list).");
  return new TextEncoder().encode(name);
}

const NAME_RULE = `a file name of 1 to ${PAYLOAD_NAME_BYTES_MAX} bytes of UTF-8 without "/", "\\" and control characters`;

function checkCount(count: bigint, width: PayloadWidth): void {
  if (count === 0n) throw refused(undefined, "at least one file", "none", "A container without entries is an error to every reader.");
  // Readers tell the widths apart by these four bytes, so the wide form does not help here.
  if (count > U32_MAX) {
    throw refused(
      undefined,
      `at most ${U32_MAX} files`,
      `${count}`,
      `Pack files together (tar), ${width === 32 ? "also --wide counts no further" : "or make two containers"}.`,
    );
  }
}

function checkSize(name: string, sizeBytes: bigint, width: PayloadWidth): void {
  if (width === 32 && sizeBytes > U32_MAX) {
    throw refused(name, `a file of at most ${U32_MAX} bytes in the 32-bit form`, `${sizeBytes} bytes`, "Write the 64-bit form: --wide.");
  }
}

const refused = (where: string | undefined, expected: string, found: string, hint: string): HiperisoError =>
  new HiperisoError({ what: "make a payload container", ...(where === undefined ? {} : { where }), expected, found, hint, kind: "usage" });

/** As strcmp orders names: by their bytes, not by a locale. */
export const compareBytes = (one: Uint8Array, other: Uint8Array): number => Buffer.compare(one, other);

/**
 * Why these bytes cannot name a file in a folder, or undefined where they can. The same rule holds for whoever writes, extracts
 * and imports: nobody may be led out of a folder, or to a name that a file system or a terminal takes for something else.
 */
export function payloadNameProblem(name: Uint8Array): string | undefined {
  if (name.length === 0) return "an empty name";
  if (name.length > PAYLOAD_NAME_BYTES_MAX) return `a name of ${name.length} bytes`;
  if (name.every((byte) => byte === DOT) && name.length <= 2) return "a name that means a folder";
  if (Buffer.from(name).equals(Buffer.from(PAYLOAD_IMPORT_TEMPORARY))) return "the name that the importer writes its files under";
  for (const byte of name) {
    if (byte === SLASH || byte === BACKSLASH) return `a name with "${String.fromCharCode(byte)}"`;
    if (byte < 0x20 || byte === 0x7f) return `a name with the control character ${hex(byte)}`;
  }
  try {
    new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(name);
  } catch {
    return "a name that is not UTF-8";
  }
  return undefined;
}

const DOT = 0x2e;
const SLASH = 0x2f;
const BACKSLASH = 0x5c;

// Reading.

/** An entry as it stands in a container. Its name is what somebody wrote there: `payloadNameProblem` first, `printableBytes` to show it. */
export interface PayloadEntry {
  readonly head: PayloadHead;
  /** From 0. */
  readonly index: number;
  readonly nameBytes: Uint8Array;
  readonly headerOffset: bigint;
  readonly dataOffset: bigint;
  readonly sizeBytes: bigint;
}

/** What the first bytes of a container say. `lengthBytes`: how many they are. */
export interface PayloadHead {
  readonly width: PayloadWidth;
  readonly count: bigint;
  readonly lengthBytes: number;
}

/** Bytes that `decodePayloadHead` wants, where there are so many. */
export const PAYLOAD_HEAD_BYTES = 16;

/** `bytes`: the first 16 of the disk, or all where it has fewer. Throws where these are not the head of a container with an entry. */
export function decodePayloadHead(bytes: Uint8Array, where: string): PayloadHead {
  const magic = bytes.subarray(0, PAYLOAD_MAGIC.length);
  if (!isPayload(magic)) throw damaged(where, 0n, `"${PAYLOAD_MAGIC}"`, magic.length === 0 ? "nothing" : `"${printableBytes(magic)}"`);
  // 16 bytes are there in every container: a head of 12 or 16, and an entry's header of 9 or more.
  if (bytes.length < PAYLOAD_HEAD_BYTES) {
    throw damaged(where, BigInt(bytes.length), "the number of entries and the first of them", "the end of the container");
  }
  const view = viewOf(bytes);
  const width: PayloadWidth = view.getUint32(12, true) === 0 ? 64 : 32;
  const count = width === 64 ? view.getBigUint64(8, true) : BigInt(view.getUint32(8, true));
  if (count === 0n) throw damaged(where, 8n, "at least one entry", "0");
  return { width, count, lengthBytes: PAYLOAD_MAGIC.length + FIELD_BYTES[width] };
}

/** True where a disk that starts with `head` says that it is a container. */
export const isPayload = (head: Uint8Array): boolean =>
  Buffer.from(head.buffer, head.byteOffset, head.byteLength).subarray(0, PAYLOAD_MAGIC.length).toString("latin1") === PAYLOAD_MAGIC;

/** Bytes in their order, from the first. Where they come from decides how they are skipped. */
export interface ByteFeed {
  /** Of the next byte. */
  readonly offset: bigint;
  /** The next bytes: fewer than asked for only where the end is. They stay as they are until the next call. */
  take(lengthBytes: number): Promise<Uint8Array>;
  /** Passes over bytes, and says over how many: fewer only where the end is. */
  skip(lengthBytes: bigint): Promise<bigint>;
}

/**
 * The entries in their order, each as soon as its name was read. Between two of them the caller may take from `feed` up to
 * `sizeBytes` bytes: they are the file's. What it leaves is skipped. When all was read, `feed` stands behind the last file.
 *
 * Never more than one name in memory, whatever the container claims. Throws PayloadDamage with `where@offset` where there is no container, and
 * where one ends before it has held what it promised. Names are not judged here.
 */
export async function* decodePayload(feed: ByteFeed, where: string): AsyncGenerator<PayloadEntry, PayloadHead, undefined> {
  // The first 16 bytes may reach into the first entry's header.
  const first = (await feed.take(PAYLOAD_HEAD_BYTES)).slice();
  const head = decodePayloadHead(first, where);
  const fieldBytes = FIELD_BYTES[head.width];
  let early = first.subarray(head.lengthBytes);
  for (let index = 0; BigInt(index) < head.count; index += 1) {
    const ordinal = `entry ${index + 1} of ${head.count}`;
    const headerOffset = feed.offset - BigInt(early.length);
    const rest = await feed.take(2 * fieldBytes - early.length);
    const header = new Uint8Array(early.length + rest.length);
    header.set(early);
    header.set(rest, early.length);
    early = new Uint8Array();
    if (header.length < 2 * fieldBytes) throw damaged(where, feed.offset, ordinal, endAfter(feed.offset));
    const [nameLength, sizeBytes] = [field(header, 0, head.width), field(header, fieldBytes, head.width)];
    if (nameLength === 0n || nameLength > NAME_BYTES_READ_MAX) {
      throw damaged(where, headerOffset, `${ordinal}: a name of 1 to ${NAME_BYTES_READ_MAX} bytes`, `${nameLength}`);
    }
    const nameBytes = (await feed.take(Number(nameLength))).slice();
    if (nameBytes.length < Number(nameLength))
      throw damaged(where, feed.offset, `${ordinal}: its name of ${nameLength} bytes`, endAfter(feed.offset));
    const dataOffset = feed.offset;
    yield { head, index, nameBytes, headerOffset, dataOffset, sizeBytes };
    const left = dataOffset + sizeBytes - feed.offset;
    if (left < 0n) throw new RangeError("more was taken of the container than the entry holds");
    if ((await feed.skip(left)) < left) {
      throw damaged(
        where,
        feed.offset,
        `${ordinal} ("${printableBytes(nameBytes)}") of ${sizeBytes} bytes from ${dataOffset} on`,
        endAfter(feed.offset),
      );
    }
  }
  return head;
}

const field = (header: Uint8Array, at: number, width: PayloadWidth): bigint =>
  width === 64 ? viewOf(header).getBigUint64(at, true) : BigInt(viewOf(header).getUint32(at, true));

const endAfter = (offset: bigint): string => `the end of the container, after ${offset} bytes`;

const damaged = (where: string, offset: bigint, expected: string, found: string): PayloadDamage =>
  new PayloadDamage({ what: "read the payload container", where: `${where}@${offset}`, expected, found });

/** The bytes are no container, or not all of one. A medium that cannot be read is another error. */
export class PayloadDamage extends HiperisoError {}

/** A feed of what arrives in pieces of any size: a pipe, a download. Holds one piece, and what is asked for at once. */
export function streamFeed(chunks: AsyncIterable<Uint8Array>): ByteFeed {
  const iterator = chunks[Symbol.asyncIterator]();
  let chunk: Uint8Array = new Uint8Array();
  let offset = 0n;

  /** From 1 to `most` of the next bytes; none at the end. */
  async function some(most: number): Promise<Uint8Array> {
    while (chunk.length === 0) {
      const next = await iterator.next();
      if (next.done === true) return chunk;
      chunk = next.value;
    }
    const taken = chunk.subarray(0, most);
    chunk = chunk.subarray(taken.length);
    offset += BigInt(taken.length);
    return taken;
  }

  return {
    get offset() {
      return offset;
    },
    async take(lengthBytes) {
      const first = await some(lengthBytes);
      if (first.length === lengthBytes || first.length === 0) return first;
      const all = new Uint8Array(lengthBytes);
      all.set(first);
      for (let length = first.length; ; ) {
        const more = length === lengthBytes ? new Uint8Array() : await some(lengthBytes - length);
        if (more.length === 0) return all.subarray(0, length);
        all.set(more, length);
        length += more.length;
      }
    },
    async skip(lengthBytes) {
      for (let left = lengthBytes; ; ) {
        const passed = left === 0n ? 0 : (await some(left > U32_MAX ? Number(U32_MAX) : Number(left))).length;
        if (passed === 0) return lengthBytes - left;
        left -= BigInt(passed);
      }
    },
  };
}
