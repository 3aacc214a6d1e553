/**
 * tar, reading: POSIX.1-2017 (ustar and pax) and what GNU tar adds to it ("Basic Tar Format" and "Storing Sparse Files" in its manual). The layout
 * of a header stands in `tar.ts`. Files are hostile: names never leave the archive, sizes are checked before they are believed, and what is not
 * known is refused with its offset.
 *
 *   type 0 NUL 7  file         x  records for the next entry        L  GNU: name of the next entry
 *        1        hard link    g  records for all that follow       K  GNU: target of the next entry
 *        2        symlink      S  GNU: file with holes, its map     V  GNU: name of the volume, left out
 *        3 4 5 6  character device, block device, folder, fifo         behind the header at 386, 483
 */
import { HiperisoError } from "../contract/error.ts";
import { type ByteText, pathInside } from "./byte-text.ts";
import { latin1 } from "./bytes.ts";
import type { Extent, TarCommon, TarEntry, TarMember } from "./tar-entry.ts";

const BLOCK_BYTES = 512;
/** PATH_MAX of Linux, without its NUL. */
const NAME_BYTES_MAX = 4095;
/** Of one extended header: the attributes of one file may take 64 KiB each. */
const RECORDS_BYTES_MAX = 16 * 1024 * 1024;
const EXTENTS_MAX = 1_000_000;
const CARRIED_ON = /^(?:SCHILY\.(?:acl\.(?:access|default|ace)|fflags)|RHT\.security\.selinux)$/;

export interface ReadTarOptions {
  /** Named in errors, with the offset. */
  readonly where: string;
  /** Some writers leave out the blocks of zeros at the end; without them a cut between two entries cannot be seen. */
  readonly end?: "required" | "optional";
}

/** Where the bytes of a member stand in the archive, beside the member itself. */
export interface ReadTarMember extends TarMember {
  /** Of its first header, from the archive's start. */
  readonly offset: number;
  /** Of the first stored byte. */
  readonly contentOffset: number;
}

/**
 * The members in their order. A content that is not read before the next member is asked for is skipped, and cannot be read any more. Reads the source
 * to its end, also behind the archive's. Throws with the offset of what is wrong.
 */
export async function* readTar(
  source: AsyncIterable<Uint8Array>,
  { where, end = "required" }: ReadTarOptions,
): AsyncGenerator<ReadTarMember> {
  const input = new Input(source, where);
  try {
    let global: Records = new Map();
    let pending: Pending = {};
    for (;;) {
      const offset = input.offset;
      const block = await input.block();
      if (block === undefined) {
        if (end === "required" || pending.offset !== undefined) throw input.bad(offset, "blocks of zeros at the end", "the end");
        return;
      }
      if (isZero(block)) {
        if (pending.offset !== undefined) throw input.bad(offset, "an entry behind its extended header", "the end of the archive");
        await input.drain();
        return;
      }
      const header = decodeHeader(block, input, offset);
      const first = pending.offset ?? offset;
      switch (header.type) {
        case "x":
        case "X":
          pending = { ...pending, offset: first, records: await readRecords(header, input, offset) };
          continue;
        case "g":
          global = new Map([...global, ...(await readRecords(header, input, offset))]);
          continue;
        case "L":
          pending = { ...pending, offset: first, path: await readLongName(header, input, offset) };
          continue;
        case "K":
          pending = { ...pending, offset: first, target: await readLongName(header, input, offset) };
          continue;
        case "V":
          continue;
      }
      const { entry, stored } = await readEntry(header, block, { pending, global, input, offset });
      pending = {};
      const content = input.content(stored);
      yield { entry, content: content.chunks(), offset: first, contentOffset: input.offset };
      await content.finish();
    }
  } finally {
    await input.close();
  }
}

type Records = ReadonlyMap<string, Uint8Array>;

/** What headers of their own have said of the entry that follows. */
interface Pending {
  /** Of the first of them. */
  readonly offset?: number;
  readonly records?: Records;
  readonly path?: string;
  readonly target?: string;
}

interface Header {
  readonly type: string;
  readonly name: string;
  readonly target: string;
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly sizeBytes: number;
  readonly mtimeS: number;
  readonly userName: string;
  readonly groupName: string;
  readonly major: number;
  readonly minor: number;
}

function decodeHeader(block: Uint8Array, input: Input, offset: number): Header {
  const bad = (at: number, expected: string, found: string) => input.bad(offset + at, expected, found);
  const text = latin1(block);
  const number = (at: number, length: number): number => {
    const value = decodeNumber(block.subarray(at, at + length));
    if (value === undefined) throw bad(at, "a number in octal digits", JSON.stringify(text.slice(at, at + length)));
    return value;
  };
  const natural = (at: number, length: number): number => {
    const value = number(at, length);
    if (value < 0) throw bad(at, "a number from 0 on", `${value}`);
    return value;
  };
  const string = (at: number, length: number): string => text.slice(at, at + length).replace(/\0.*$/s, "");
  const sum = natural(148, 8);
  const { unsigned, signed } = headerSums(block);
  if (sum !== unsigned && sum !== signed) throw bad(148, `a header whose bytes sum up to ${sum}`, `${unsigned}`);
  const isUstar = text.startsWith("ustar\0", 257);
  const isGnu = text.startsWith("ustar ", 257);
  const prefix = isUstar ? string(345, 155) : "";
  const name = string(0, 100);
  return {
    type: text[156] === "\0" || text[156] === "7" ? "0" : text[156]!,
    name: prefix === "" ? name : `${prefix}/${name}`,
    target: string(157, 100),
    mode: natural(100, 8),
    uid: natural(108, 8),
    gid: natural(116, 8),
    sizeBytes: natural(124, 12),
    mtimeS: number(136, 12),
    userName: isUstar || isGnu ? string(265, 32) : "",
    groupName: isUstar || isGnu ? string(297, 32) : "",
    // Old archives hold anything here.
    major: isUstar || isGnu ? natural(329, 8) : 0,
    minor: isUstar || isGnu ? natural(337, 8) : 0,
  };
}

/** Octal digits between blanks and NULs, or, with the first bit set, a big-endian two's complement of the other bits (GNU). Undefined: neither. */
function decodeNumber(field: Uint8Array): number | undefined {
  const first = field[0]!;
  if ((first & 0x80) !== 0) {
    let value = BigInt(first & 0x7f);
    for (const byte of field.subarray(1)) value = (value << 8n) | BigInt(byte);
    const signed = BigInt.asIntN(field.length * 8 - 1, value);
    return signed >= -MAX_SAFE && signed <= MAX_SAFE ? Number(signed) : undefined;
  }
  const digits = /^ *([0-7]*)[ \0]*$/.exec(latin1(field).replace(/\0.*$/s, ""))?.[1];
  if (digits === undefined) return undefined;
  return digits === "" ? 0 : Number.parseInt(digits, 8);
}

const MAX_SAFE = BigInt(Number.MAX_SAFE_INTEGER);

/** Some old writers added bytes as signed numbers. */
function headerSums(block: Uint8Array): { readonly unsigned: number; readonly signed: number } {
  let [unsigned, signed] = [0, 0];
  for (let at = 0; at < BLOCK_BYTES; at += 1) {
    const byte = at >= 148 && at < 156 ? 0x20 : block[at]!;
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  return { unsigned, signed };
}

const isZero = (block: Uint8Array): boolean => block.every((byte) => byte === 0);

async function readLongName(header: Header, input: Input, offset: number): Promise<string> {
  // One NUL, and what writers fill up with.
  if (header.sizeBytes > NAME_BYTES_MAX + BLOCK_BYTES)
    throw input.bad(offset, `a name of at most ${NAME_BYTES_MAX} bytes`, `${header.sizeBytes}`);
  return latin1(await input.padded(header.sizeBytes)).replace(/\0.*$/s, "");
}

/** "LENGTH KEY=VALUE\n", LENGTH counting all of it. Of a key that comes again the last value counts, but for the maps of holes. */
async function readRecords(header: Header, input: Input, offset: number): Promise<Records> {
  if (header.sizeBytes > RECORDS_BYTES_MAX) throw input.bad(offset, `records of at most ${RECORDS_BYTES_MAX} bytes`, `${header.sizeBytes}`);
  const start = input.offset;
  const bytes = await input.padded(header.sizeBytes);
  const records = new Map<string, Uint8Array>();
  const map: string[] = [];
  for (let at = 0; at < bytes.length; ) {
    const blank = bytes.indexOf(0x20, at);
    const digits = blank < 0 || blank - at > 10 ? "" : latin1(bytes.subarray(at, blank));
    const length = /^[0-9]+$/.test(digits) ? Number(digits) : 0;
    const end = at + length;
    const equals = bytes.indexOf(0x3d, blank);
    if (length === 0 || end > bytes.length || equals < 0 || equals >= end || equals === blank + 1 || bytes[end - 1] !== 0x0a) {
      throw input.bad(start + at, "a record LENGTH KEY=VALUE", JSON.stringify(latin1(bytes.subarray(at, at + 40))));
    }
    const key = latin1(bytes.subarray(blank + 1, equals));
    const value = bytes.slice(equals + 1, end - 1);
    if (key === "GNU.sparse.offset" || key === "GNU.sparse.numbytes") {
      // Format 0.0 repeats these two in turns.
      if ((map.length % 2 === 0) !== (key === "GNU.sparse.offset"))
        throw input.bad(start + at, "offsets and lengths of a file in turns", key);
      map.push(latin1(value));
    } else records.set(key, value);
    at = end;
  }
  if (map.length > 0) records.set("GNU.sparse.map", Buffer.from(map.join(","), "latin1"));
  return records;
}

interface EntryParts {
  readonly pending: Pending;
  readonly global: Records;
  readonly input: Input;
  readonly offset: number;
}

const KINDS: Readonly<Record<string, TarEntry["kind"]>> = {
  "0": "file",
  "1": "hard-link",
  "2": "symlink",
  "3": "character-device",
  "4": "block-device",
  "5": "directory",
  "6": "fifo",
  S: "file",
};

async function readEntry(header: Header, block: Uint8Array, { pending, global, input, offset }: EntryParts) {
  const records = new Map([...global, ...(pending.records ?? [])]);
  const text = (key: string): string | undefined => {
    const value = records.get(key);
    return value === undefined || value.length === 0 ? undefined : latin1(value);
  };
  const number = (key: string, pattern: RegExp, otherwise: number): number => {
    const value = text(key);
    if (value === undefined) return otherwise;
    const parsed = pattern.test(value) ? Math.floor(Number(value)) : Number.NaN;
    if (!Number.isSafeInteger(parsed)) throw input.bad(offset, `a number as ${key}`, JSON.stringify(value.slice(0, 40)));
    return parsed;
  };
  const natural = (key: string, otherwise: number) => number(key, /^[0-9]{1,16}$/, otherwise);

  const rawName = text("GNU.sparse.name") ?? text("path") ?? pending.path ?? header.name;
  const path = pathInside(rawName);
  const checked = <Name extends string>(name: Name): Name => {
    if (name.length <= NAME_BYTES_MAX) return name;
    throw input.bad(offset, `a name of at most ${NAME_BYTES_MAX} bytes`, `${name.length}`);
  };
  checked(rawName);
  if (path === undefined) throw input.bad(offset, "a name inside the archive", JSON.stringify(rawName));
  // Before POSIX a folder was a file whose name ends with a slash.
  const kind = header.type === "0" && rawName.endsWith("/") ? "directory" : KINDS[header.type];
  if (kind === undefined) throw input.bad(offset + 156, "a file, folder, link, device or fifo", JSON.stringify(header.type));
  if (header.mode > 0o177_7777) throw input.bad(offset + 100, "permissions", `0${header.mode.toString(8)}`);

  const userName = text("uname") ?? header.userName;
  const groupName = text("gname") ?? header.groupName;
  const common: TarCommon = {
    path,
    mode: header.mode & 0o7777,
    uid: natural("uid", header.uid),
    gid: natural("gid", header.gid),
    ...(userName === "" ? {} : { userName: userName as ByteText }),
    ...(groupName === "" ? {} : { groupName: groupName as ByteText }),
    mtimeS: number("mtime", /^-?[0-9]{1,16}(?:\.[0-9]*)?$/, header.mtimeS),
    xattrs: xattrsOf(records, input, offset),
    records: carriedOn(records),
  };
  const storedInArchive = natural("size", header.sizeBytes);
  switch (kind) {
    case "file": {
      const { stored, ...file } = await readFileMap(header, block, { records, storedInArchive, natural, text, input, offset });
      return { entry: { ...common, kind, ...file } satisfies TarEntry as TarEntry, stored };
    }
    case "hard-link": {
      const raw = checked(text("linkpath") ?? pending.target ?? header.target);
      const target = pathInside(raw);
      if (target === undefined || target === "") throw input.bad(offset + 157, "the name of a file in the archive", JSON.stringify(raw));
      return { entry: { ...common, kind, target } satisfies TarEntry as TarEntry, stored: 0 };
    }
    case "symlink": {
      const target = checked(text("linkpath") ?? pending.target ?? header.target) as ByteText;
      if (target === "" || target.includes("\0")) throw input.bad(offset + 157, "a target", JSON.stringify(target));
      return { entry: { ...common, kind, target } satisfies TarEntry as TarEntry, stored: 0 };
    }
    case "character-device":
    case "block-device": {
      const [major, minor] = [natural("SCHILY.devmajor", header.major), natural("SCHILY.devminor", header.minor)];
      return { entry: { ...common, kind, major, minor } satisfies TarEntry as TarEntry, stored: 0 };
    }
    default:
      return { entry: { ...common, kind } satisfies TarEntry as TarEntry, stored: 0 };
  }
}

interface FileParts extends Omit<EntryParts, "pending" | "global"> {
  readonly records: Records;
  readonly storedInArchive: number;
  readonly natural: (key: string, otherwise: number) => number;
  readonly text: (key: string) => string | undefined;
}

/** `stored`: bytes that still stand in front, behind a map of holes where one was read. */
async function readFileMap(
  header: Header,
  block: Uint8Array,
  { storedInArchive, natural, text, input, offset }: FileParts,
): Promise<{ readonly sizeBytes: number; readonly extents?: readonly Extent[]; readonly stored: number }> {
  const numberList = (values: readonly string[]): readonly number[] =>
    values.map((value) => {
      const number = /^[0-9]{1,16}$/.test(value) ? Number(value) : Number.NaN;
      if (!Number.isSafeInteger(number)) throw input.bad(offset, "a map of the file's holes", JSON.stringify(value.slice(0, 40)));
      return number;
    });
  const checked = (numbers: readonly number[], sizeBytes: number, stored: number) => {
    const extents = extentsOf(numbers, sizeBytes, stored);
    if (extents === undefined) throw input.bad(offset, `a map of ${stored} bytes in a file of ${sizeBytes}`, numbers.slice(0, 8).join(","));
    return { sizeBytes, extents, stored };
  };
  if (header.type === "S") {
    const numbers: number[] = [];
    const take = (from: Uint8Array, at: number, count: number): void => {
      for (let index = 0; index < count; index += 1) {
        const field = from.subarray(at + index * 24, at + index * 24 + 24);
        if (field[0] === 0) return;
        const pair = [decodeNumber(field.subarray(0, 12)), decodeNumber(field.subarray(12))];
        if (pair.some((value) => value === undefined || value < 0))
          throw input.bad(offset + 386, "a map of the file's holes", latin1(field));
        numbers.push(...(pair as number[]));
      }
    };
    take(block, 386, 4);
    let more = block[482] !== 0;
    while (more) {
      const next = await input.take(BLOCK_BYTES);
      take(next, 0, 21);
      if (numbers.length > 2 * EXTENTS_MAX) throw input.bad(offset, `a map of at most ${EXTENTS_MAX} pieces`, "more");
      more = next[504] !== 0;
    }
    const sizeBytes = decodeNumber(block.subarray(483, 495));
    if (sizeBytes === undefined || sizeBytes < 0)
      throw input.bad(offset + 483, "the size of a file with holes", latin1(block.subarray(483, 495)));
    return checked(numbers, sizeBytes, storedInArchive);
  }
  const map = text("GNU.sparse.map");
  if (map !== undefined || text("GNU.sparse.size") !== undefined) {
    const numbers = map === undefined ? [] : numberList(map.split(","));
    return checked(numbers, natural("GNU.sparse.size", storedInArchive), storedInArchive);
  }
  if (text("GNU.sparse.major") === "1" && text("GNU.sparse.minor") === "0") {
    const start = input.offset;
    const numbers = numberList(await readMapInContent(input, storedInArchive, offset));
    const [count = 0, ...rest] = numbers;
    if (rest.length !== 2 * count) throw input.bad(offset, `a map of ${count} pieces`, `${rest.length / 2}`);
    return checked(rest, natural("GNU.sparse.realsize", storedInArchive), storedInArchive - (input.offset - start));
  }
  return { sizeBytes: storedInArchive, stored: storedInArchive };
}

/** Format 1.0: lines of decimal digits at the front of the content, filled up to a block: how many pieces, then offset and length of each. */
async function readMapInContent(input: Input, storedInArchive: number, offset: number): Promise<readonly string[]> {
  let text = "";
  for (let read = 0; ; ) {
    read += BLOCK_BYTES;
    if (read > storedInArchive) throw input.bad(offset, "a map of the file's holes", `the end of its ${storedInArchive} bytes`);
    text += latin1(await input.take(BLOCK_BYTES));
    const count = /^([0-9]{1,7})\n/.exec(text)?.[1];
    if (count === undefined || Number(count) > EXTENTS_MAX)
      throw input.bad(offset, "how many pieces the file has", JSON.stringify(text.slice(0, 20)));
    const lines = text.split("\n");
    const needed = 1 + 2 * Number(count);
    // The last line is whole only with its line feed: then one more stands behind it.
    if (lines.length > needed) return lines.slice(0, needed);
  }
}

/** Pairs of offset and length; an empty piece at the end only says how long the file is. */
function extentsOf(numbers: readonly number[], sizeBytes: number, stored: number): readonly Extent[] | undefined {
  if (numbers.length % 2 !== 0) return undefined;
  const extents: Extent[] = [];
  let [end, sum] = [0, 0];
  for (let index = 0; index < numbers.length; index += 2) {
    const [offset, bytes] = [numbers[index]!, numbers[index + 1]!];
    if (offset < end || offset + bytes > sizeBytes) return undefined;
    end = offset + bytes;
    sum += bytes;
    if (bytes > 0) extents.push({ offset, bytes });
  }
  return sum === stored ? extents : undefined;
}

/** Most entries have none: then all share this one. */
const NONE: ReadonlyMap<ByteText, Uint8Array> = new Map();

function carriedOn(records: Records): ReadonlyMap<ByteText, Uint8Array> {
  const kept = [...records].filter(([key]) => CARRIED_ON.test(key));
  return kept.length === 0 ? NONE : new Map(kept.map(([key, value]) => [key as ByteText, value]));
}

const SCHILY = "SCHILY.xattr.";
const LIBARCHIVE = "LIBARCHIVE.xattr.";

function xattrsOf(records: Records, input: Input, offset: number): ReadonlyMap<ByteText, Uint8Array> {
  if (records.size === 0) return NONE;
  const xattrs = new Map<ByteText, Uint8Array>();
  const put = (name: string, value: Uint8Array): void => {
    if (name === "" || name.includes("\0")) throw input.bad(offset, "the name of an attribute", JSON.stringify(name));
    xattrs.set(name as ByteText, value);
  };
  for (const [key, value] of records) {
    // libarchive writes an attribute in both forms; the other one has the bytes as they are.
    if (key.startsWith(LIBARCHIVE)) put(decodePercent(key.slice(LIBARCHIVE.length)), Buffer.from(latin1(value), "base64"));
  }
  for (const [key, value] of records) {
    if (key.startsWith(SCHILY)) put(key.slice(SCHILY.length).replace(/%3D/g, "=").replace(/%25/g, "%"), value);
  }
  return xattrs;
}

const decodePercent = (text: string): string =>
  text.replace(/%([0-9A-Fa-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));

/** The source as blocks and pieces of given lengths, counted. */
class Input {
  readonly #pieces: AsyncIterator<Uint8Array>;
  readonly #where: string;
  #rest: Uint8Array = new Uint8Array();
  #offset = 0;

  constructor(source: AsyncIterable<Uint8Array>, where: string) {
    this.#pieces = source[Symbol.asyncIterator]();
    this.#where = where;
  }

  get offset(): number {
    return this.#offset;
  }

  bad(at: number, expected: string, found: string): HiperisoError {
    return new HiperisoError({ what: "read a tar archive", where: `${this.#where}@${at}`, expected, found });
  }

  /** The next header; undefined at the end of the source, which must not come in its middle. */
  async block(): Promise<Uint8Array | undefined> {
    const first = await this.#some(BLOCK_BYTES);
    return first === undefined ? undefined : this.#filled(first, BLOCK_BYTES);
  }

  async take(bytes: number): Promise<Uint8Array> {
    const first = bytes === 0 ? new Uint8Array() : await this.#some(bytes);
    return this.#filled(first ?? new Uint8Array(), bytes);
  }

  /** With what fills it up to a block, which is left out. */
  async padded(bytes: number): Promise<Uint8Array> {
    const taken = await this.take(bytes);
    await this.take(-bytes & (BLOCK_BYTES - 1));
    return taken;
  }

  /** The next `bytes` bytes as they come. `finish` skips what was not read, and the filling. */
  content(bytes: number): { readonly chunks: () => AsyncGenerator<Uint8Array>; readonly finish: () => Promise<void> } {
    let left = bytes;
    let isOver = false;
    const next = async (): Promise<Uint8Array> => {
      const piece = await this.#some(left);
      if (piece === undefined) throw this.bad(this.#offset, `${left} more bytes of a file`, "the end");
      left -= piece.length;
      return piece;
    };
    const bad = (): HiperisoError => this.bad(this.#offset, "a content that is read before the next entry", "one that was skipped");
    return {
      chunks: async function* () {
        if (isOver) throw bad();
        while (left > 0) {
          yield await next();
          if (isOver && left > 0) throw bad();
        }
      },
      finish: async () => {
        while (left > 0) await next();
        isOver = true;
        await this.take(-bytes & (BLOCK_BYTES - 1));
      },
    };
  }

  /** What follows the archive is of no interest, but who writes it must not find us gone. */
  async drain(): Promise<void> {
    while ((await this.#some(Number.MAX_SAFE_INTEGER)) !== undefined) {
      // Left out.
    }
  }

  async close(): Promise<void> {
    await this.#pieces.return?.();
  }

  /** 1 to `bytes` bytes; undefined at the end. */
  async #some(bytes: number): Promise<Uint8Array | undefined> {
    while (this.#rest.length === 0) {
      const { done, value } = await this.#pieces.next();
      if (done === true) return undefined;
      this.#rest = value;
    }
    const piece = this.#rest.subarray(0, bytes);
    this.#rest = this.#rest.subarray(piece.length);
    this.#offset += piece.length;
    return piece;
  }

  async #filled(first: Uint8Array, bytes: number): Promise<Uint8Array> {
    if (first.length === bytes) return first;
    const start = this.#offset - first.length;
    const whole: Uint8Array[] = [first];
    let length = first.length;
    while (length < bytes) {
      const piece = await this.#some(bytes - length);
      if (piece === undefined) throw this.bad(start, `${bytes} bytes`, `the end after ${length}`);
      whole.push(piece);
      length += piece.length;
    }
    return Buffer.concat(whole, length);
  }
}

/** The entries alone, contents left out. */
export async function tarEntries(source: AsyncIterable<Uint8Array>, options: ReadTarOptions): Promise<readonly TarEntry[]> {
  const entries: TarEntry[] = [];
  for await (const { entry } of readTar(source, options)) entries.push(entry);
  return entries;
}
