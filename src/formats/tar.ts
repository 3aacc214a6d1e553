/**
 * tar, writing (POSIX.1-2017, pax, "ustar Interchange Format"). Blocks of 512 bytes; numbers are octal text.
 *
 *     0 100  name                148  8  sum of the header's bytes, this field as blanks     265 32  user name
 *   100   8  mode                156  1  type: 0 file, 1 hard link, 2 symlink, 3 char,       297 32  group name
 *   108   8  uid                         4 block, 5 folder, 6 fifo, x extended header        329  8  device major
 *   116   8  gid                 157 100 target of a link                                    337  8  device minor
 *   124  12  bytes               257  6  "ustar", NUL                                        345 155 name's front part
 *   136  12  mtime               263  2  "00"
 * What these fields cannot hold goes into an extended header before the entry: records "LENGTH KEY=VALUE\n". Names of more than 100 bytes, numbers
 * that are too big, attributes (SCHILY.xattr.NAME, as GNU tar, libarchive and mksquashfs read them), maps of holes (GNU.sparse, format 1.0).
 */
import { HiperisoError } from "../contract/error.ts";
import { type ByteText, byteText, readable, toBytes } from "./byte-text.ts";
import { completeTree, type TreeEntry } from "./file-tree.ts";
import { type Extent, storedBytes, type TarEntry, type TarMember, wholeContent } from "./tar-entry.ts";

const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;
const OWNER_NAME_BYTES_MAX = 31;
const TYPE_FLAGS = {
  file: "0",
  "hard-link": "1",
  symlink: "2",
  "character-device": "3",
  "block-device": "4",
  directory: "5",
  fifo: "6",
} as const;
/** What 7 and 11 octal digits hold. */
const SMALL_MAX = 0o777_7777;
const LARGE_MAX = 0o777_7777_7777;

/** An archive as blocks, sorted, owned by root. The same entries give the same bytes. `mtimeS`: seconds since 1970. */
export function* encodeTar(entries: Iterable<TreeEntry>, { mtimeS }: { readonly mtimeS: number }): Generator<Uint8Array> {
  for (const entry of completeTree(entries)) {
    yield* encodeTarHeader(tarEntryOf(entry, { mtimeS }));
    if (entry.kind === "file") yield* padded(entry.content);
  }
  yield TAR_END;
}

/** The same file, owned by root, as an archive says it. */
export function tarEntryOf(entry: TreeEntry, { mtimeS }: { readonly mtimeS: number }): TarEntry {
  const root = byteText("root");
  const common = {
    ...{ path: byteText(entry.path), mode: entry.kind === "symlink" ? 0o777 : entry.mode, mtimeS },
    ...{ uid: 0, gid: 0, userName: root, groupName: root, xattrs: new Map(), records: new Map() },
  };
  switch (entry.kind) {
    case "file":
      return { ...common, kind: entry.kind, sizeBytes: entry.content.length };
    case "symlink":
      return { ...common, kind: entry.kind, target: byteText(entry.target) };
    case "directory":
      return { ...common, kind: entry.kind };
    default:
      return { ...common, kind: entry.kind, major: entry.major, minor: entry.minor };
  }
}

/** Two blocks of zeros. */
export const TAR_END: Uint8Array = new Uint8Array(2 * BLOCK_BYTES);

/**
 * An archive of these members, in their order. Throws where a content is not as long as its entry says, and where a header cannot hold
 * what is asked (device numbers of more than 21 bits).
 */
export async function* writeTar(members: AsyncIterable<TarMember> | Iterable<TarMember>): AsyncGenerator<Uint8Array> {
  for await (const given of members) {
    const { entry, content } = hasWritableMap(given.entry) ? given : withoutHoles(given);
    yield* encodeTarHeader(entry);
    const expected = storedBytes(entry);
    let written = 0;
    if (expected > 0) {
      for await (const piece of content) {
        written += piece.length;
        if (written > expected) break;
        yield piece;
      }
    }
    if (written !== expected) {
      throw new HiperisoError({
        what: "write a tar archive",
        where: readable(entry.path),
        expected: `${expected} bytes`,
        found: written > expected ? "more" : `${written}`,
      });
    }
    yield filling(expected);
  }
  yield TAR_END;
}

/** GNU tar takes each piece of a file with holes from a block of its own, so only the last may end within one. */
function hasWritableMap(entry: TarEntry): boolean {
  if (entry.kind !== "file" || entry.extents === undefined) return true;
  return entry.extents.slice(0, -1).every(({ bytes }) => bytes % BLOCK_BYTES === 0);
}

function withoutHoles(member: TarMember): TarMember {
  if (member.entry.kind !== "file") return member;
  const { extents: _, ...entry } = member.entry;
  return { entry, content: wholeContent(member) };
}

/** Everything of an entry that stands before its bytes: an extended header where one is needed, the header, and the map of holes. */
function* encodeTarHeader(entry: TarEntry): Generator<Uint8Array> {
  // The root itself has a name too, or readers would not set its owner and mode.
  const name = toBytes(entry.path === "" ? ("./" as ByteText) : entry.kind === "directory" ? (`${entry.path}/` as ByteText) : entry.path);
  const target = toBytes("target" in entry ? entry.target : ("" as ByteText));
  const map = entry.kind === "file" && entry.extents !== undefined ? encodeMap(entry.extents, entry.sizeBytes) : new Uint8Array();
  const bytes = map.length + storedBytes(entry);
  const isSparse = map.length > 0;
  const records: [string, Uint8Array][] = [
    ...(name.length > NAME_BYTES_MAX && !isSparse ? [record("path", name)] : []),
    ...(target.length > NAME_BYTES_MAX ? [record("linkpath", target)] : []),
    ...(bytes > LARGE_MAX ? [record("size", bytes)] : []),
    ...(entry.uid > SMALL_MAX ? [record("uid", entry.uid)] : []),
    ...(entry.gid > SMALL_MAX ? [record("gid", entry.gid)] : []),
    ...(entry.mtimeS < 0 || entry.mtimeS > LARGE_MAX ? [record("mtime", entry.mtimeS)] : []),
    ...ownerRecord("uname", entry.userName),
    ...ownerRecord("gname", entry.groupName),
    ...(isSparse && entry.kind === "file" ? sparseRecords(name, entry.sizeBytes) : []),
    ...sorted(entry.records),
    ...sorted(entry.xattrs).map(([key, value]): [string, Uint8Array] => [
      `SCHILY.xattr.${key.replaceAll("%", "%25").replaceAll("=", "%3D")}`,
      value,
    ]),
  ];
  const mtimeS = within(entry.mtimeS, LARGE_MAX);
  if (records.length > 0) {
    const content = encodeRecords(records);
    yield encodeHeader({ name: toBytes("././@PaxHeader" as ByteText), type: "x", mode: 0o644, bytes: content.length, mtimeS });
    yield* padded(content);
  }
  const [major, minor] = "major" in entry ? [entry.major, entry.minor] : [0, 0];
  if (major > SMALL_MAX || minor > SMALL_MAX) {
    throw new HiperisoError({
      what: "write a tar archive",
      where: readable(entry.path),
      expected: `device numbers up to ${SMALL_MAX}`,
      found: `${major}:${minor}`,
    });
  }
  yield encodeHeader({
    ...{ name, target, type: TYPE_FLAGS[entry.kind], mode: entry.mode, mtimeS, major, minor },
    ...{ bytes: within(bytes, LARGE_MAX), uid: within(entry.uid, SMALL_MAX), gid: within(entry.gid, SMALL_MAX) },
    ...{ userName: entry.userName ?? ("" as ByteText), groupName: entry.groupName ?? ("" as ByteText) },
  });
  if (isSparse) yield map;
}

/** What is in an extended header is left out of the fields. */
const within = (value: number, max: number): number => (value < 0 || value > max ? 0 : value);

const record = (key: string, value: number | Uint8Array): [string, Uint8Array] => [
  key,
  typeof value === "number" ? utf8(`${value}`) : value,
];

const ownerRecord = (key: string, name: ByteText | undefined): [string, Uint8Array][] =>
  name !== undefined && name.length > OWNER_NAME_BYTES_MAX ? [record(key, toBytes(name))] : [];

const sorted = (records: ReadonlyMap<ByteText, Uint8Array>): [string, Uint8Array][] =>
  [...records].sort(([one], [other]) => (one < other ? -1 : 1));

const sparseRecords = (name: Uint8Array, sizeBytes: number): [string, Uint8Array][] => [
  record("GNU.sparse.major", 1),
  record("GNU.sparse.minor", 0),
  record("GNU.sparse.name", name),
  record("GNU.sparse.realsize", sizeBytes),
];

/** Decimal lines: how many pieces, then offset and length of each; filled up to a block. A hole at the end is told by an empty piece behind it. */
function encodeMap(extents: readonly Extent[], sizeBytes: number): Uint8Array {
  const last = extents.at(-1);
  const end = last === undefined ? 0 : last.offset + last.bytes;
  const all = end < sizeBytes ? [...extents, { offset: sizeBytes, bytes: 0 }] : extents;
  const lines = utf8(
    [all.length, ...all.flatMap(({ offset, bytes }) => [offset, bytes])]
      .map(
        (number) => `${number}
`,
      )
      .join(""),
  );
  const map = new Uint8Array(lines.length + filling(lines.length).length);
  map.set(lines);
  return map;
}

interface Header {
  readonly name: Uint8Array;
  readonly target?: Uint8Array;
  readonly type: string;
  readonly mode: number;
  readonly uid?: number;
  readonly gid?: number;
  readonly bytes: number;
  readonly mtimeS: number;
  readonly userName?: ByteText;
  readonly groupName?: ByteText;
  readonly major?: number;
  readonly minor?: number;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const ROOT = "root" as ByteText;

function encodeHeader({ name, target, type, mode, uid = 0, gid = 0, bytes, mtimeS, ...rest }: Header): Uint8Array {
  const { userName = ROOT, groupName = ROOT, major = 0, minor = 0 } = rest;
  const header = new Uint8Array(BLOCK_BYTES);
  const put = (offset: number, text: Uint8Array): void => header.set(text, offset);
  const octal = (value: number, digits: number): Uint8Array => utf8(value.toString(8).padStart(digits, "0"));
  put(0, name.subarray(0, NAME_BYTES_MAX));
  put(100, octal(mode, 7));
  put(108, octal(uid, 7));
  put(116, octal(gid, 7));
  put(124, octal(bytes, 11));
  put(136, octal(mtimeS, 11));
  put(148, utf8(" ".repeat(8)));
  put(156, utf8(type));
  if (target !== undefined) put(157, target.subarray(0, NAME_BYTES_MAX));
  put(257, utf8("ustar\x0000"));
  put(265, toBytes(userName).subarray(0, OWNER_NAME_BYTES_MAX));
  put(297, toBytes(groupName).subarray(0, OWNER_NAME_BYTES_MAX));
  put(329, octal(major, 7));
  put(337, octal(minor, 7));
  const sum = header.reduce((before, byte) => before + byte, 0);
  put(148, utf8(`${sum.toString(8).padStart(6, "0")}\0 `));
  return header;
}

/** The length of a record counts its own digits. */
function encodeRecords(records: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  return Buffer.concat(
    records.flatMap(([key, value]) => {
      const rest = key.length + value.length + 3;
      let length = rest + 1;
      while (rest + `${length}`.length !== length) length += 1;
      return [utf8(`${length} `), toBytes(`${key}=` as ByteText), value, utf8("\n")];
    }),
  );
}

function* padded(content: Uint8Array): Generator<Uint8Array> {
  yield content;
  yield filling(content.length);
}

const filling = (bytes: number): Uint8Array => new Uint8Array(-bytes & (BLOCK_BYTES - 1));
