/**
 * tar, writing (POSIX.1-2017, pax, "ustar Interchange Format"). Blocks of 512 bytes; numbers are octal text.
 *
 *     0 100  name                148  8  sum of the header's bytes, this field as blanks     265 32  user name
 *   100   8  mode                156  1  type: 0 file, 1 link, 2 symlink, 3 char,            297 32  group name
 *   108   8  uid                         4 block, 5 folder, x extended header                329  8  device major
 *   116   8  gid                 157 100 target of a link                                    337  8  device minor
 *   124  12  bytes               257  6  "ustar", NUL                                        345 155 name's front part
 *   136  12  mtime               263  2  "00"
 * Names and targets of more than 100 bytes go into an extended header before the entry: records "LENGTH KEY=VALUE\n".
 */
import { completeTree, type TreeEntry } from "./file-tree.ts";

const BLOCK_BYTES = 512;
const NAME_BYTES_MAX = 100;
const TYPE_FLAGS = { file: "0", symlink: "2", "character-device": "3", "block-device": "4", directory: "5" } as const;

/** An archive as blocks, sorted, owned by root. The same entries give the same bytes. `mtimeS`: seconds since 1970. */
export function* encodeTar(entries: Iterable<TreeEntry>, { mtimeS }: { readonly mtimeS: number }): Generator<Uint8Array> {
  for (const entry of completeTree(entries)) {
    const path = entry.kind === "directory" ? `${entry.path}/` : entry.path;
    const target = entry.kind === "symlink" ? entry.target : "";
    const long = { ...(isLong(path) ? { path } : {}), ...(isLong(target) ? { linkpath: target } : {}) };
    if (Object.keys(long).length > 0) {
      const records = encodeRecords(long);
      yield encodeHeader({ name: "././@PaxHeader", type: "x", mode: 0o644, bytes: records.length, mtimeS });
      yield* padded(records);
    }
    const content = entry.kind === "file" ? entry.content : new Uint8Array();
    const device = "major" in entry ? { major: entry.major, minor: entry.minor } : {};
    const mode = entry.kind === "symlink" ? 0o777 : entry.mode;
    yield encodeHeader({ name: path, target, type: TYPE_FLAGS[entry.kind], mode, bytes: content.length, mtimeS, ...device });
    yield* padded(content);
  }
  yield new Uint8Array(2 * BLOCK_BYTES);
}

interface Header {
  readonly name: string;
  readonly target?: string;
  readonly type: string;
  readonly mode: number;
  readonly bytes: number;
  readonly mtimeS: number;
  readonly major?: number;
  readonly minor?: number;
}

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);
const isLong = (text: string): boolean => utf8(text).length > NAME_BYTES_MAX;

function encodeHeader({ name, target = "", type, mode, bytes, mtimeS, major = 0, minor = 0 }: Header): Uint8Array {
  const header = new Uint8Array(BLOCK_BYTES);
  const put = (offset: number, text: Uint8Array): void => header.set(text, offset);
  const octal = (value: number, digits: number): Uint8Array => utf8(value.toString(8).padStart(digits, "0"));
  put(0, utf8(name).subarray(0, NAME_BYTES_MAX));
  put(100, octal(mode, 7));
  put(108, octal(0, 7));
  put(116, octal(0, 7));
  put(124, octal(bytes, 11));
  put(136, octal(mtimeS, 11));
  put(148, utf8(" ".repeat(8)));
  put(156, utf8(type));
  put(157, utf8(target).subarray(0, NAME_BYTES_MAX));
  put(257, utf8("ustar\x0000"));
  put(265, utf8("root"));
  put(297, utf8("root"));
  put(329, octal(major, 7));
  put(337, octal(minor, 7));
  put(
    148,
    utf8(
      `${header
        .reduce((sum, byte) => sum + byte, 0)
        .toString(8)
        .padStart(6, "0")}\0 `,
    ),
  );
  return header;
}

/** The length of a record counts its own digits. */
function encodeRecords(values: Readonly<Record<string, string>>): Uint8Array {
  const records = Object.entries(values).map(([key, value]) => {
    const rest = utf8(` ${key}=${value}\n`).length;
    let length = rest + 1;
    while (rest + `${length}`.length !== length) length += 1;
    return `${length} ${key}=${value}\n`;
  });
  return utf8(records.join(""));
}

function* padded(content: Uint8Array): Generator<Uint8Array> {
  yield content;
  yield new Uint8Array(-content.length & (BLOCK_BYTES - 1));
}
