/**
 * The source file system of builder-hex0: what a kernel of a few thousand bytes reads from its disk, one command a line, until a NUL.
 *
 *   src SIZE NAME⏎ and SIZE bytes    a file; nothing stands between its last byte and the next line
 *   src 0 NAME⏎                      an empty file or a folder, which are one thing to it
 *   hex0 SOURCE TARGET⏎              assembles a file; the names are parted by the blank
 *   f⏎                               writes a file to the disk
 *   PROGRAM ARGUMENT⏎                anything else: runs a program that is one of its files
 *
 * It looks at the first letter of a line and believes the rest. SIZE is decimal, 32 bits. A NAME runs to the newline, blanks included.
 */
import { HiperisoError } from "../contract/error.ts";

/** A name's slot has 1,024 bytes, its NUL and the leading slash of the full path counted. */
export const SRCFS_NAME_BYTES_MAX = 1022;
export const SRCFS_FILE_BYTES_MAX = 0xffff_ffffn;
/** The longest line that a reader has to look at: two names in a `hex0` line, its word, blanks and newline. */
export const SRCFS_LINE_BYTES_MAX = 2 * (SRCFS_NAME_BYTES_MAX + 2) + 8;

const NEWLINE = 0x0a;
const encoder = new TextEncoder();
const utf8 = (text: string): Uint8Array => encoder.encode(text);

/** `path` from the root, without a leading slash; "" is the root itself. Throws on a name or a size that the format cannot hold. */
export function encodeSrcLine(path: string, sizeBytes: bigint): Uint8Array {
  if (sizeBytes < 0n || sizeBytes > SRCFS_FILE_BYTES_MAX) {
    throw refused(path, `a file of at most ${SRCFS_FILE_BYTES_MAX} bytes`, `${sizeBytes}`);
  }
  return utf8(`src ${sizeBytes} ${path === "" ? "." : `./${checkedName(path)}`}\n`);
}

/** What this kernel is told when the files are there. Paths are absolute here, as the original writes them. */
export type SrcfsCommand =
  | { readonly kind: "folder"; readonly path: string }
  | { readonly kind: "hex0"; readonly source: string; readonly target: string }
  | { readonly kind: "run"; readonly program: string; readonly argument: string };

/** Throws on a name with a blank where the line is parted at one, and as `encodeSrcLine`. */
export function encodeSrcfsCommand(command: SrcfsCommand): Uint8Array {
  switch (command.kind) {
    case "folder":
      return utf8(`src 0 ${checkedName(command.path)}\n`);
    case "hex0":
      return utf8(`hex0 ${wholeWord(command.source)} ${wholeWord(command.target)}\n`);
    case "run":
      // Its first letter must not be one that means something else.
      if (!command.program.startsWith("/")) throw refused(command.program, "an absolute path", "another");
      return utf8(`${wholeWord(command.program)} ${wholeWord(command.argument)}\n`);
  }
}

function wholeWord(path: string): string {
  if (/[ \t]/.test(path)) throw refused(path, "a name without blanks, which this command is parted at", "one with");
  return checkedName(path);
}

function checkedName(path: string): string {
  const length = Buffer.byteLength(path);
  if (length === 0 || length > SRCFS_NAME_BYTES_MAX) throw refused(path, `a name of 1 to ${SRCFS_NAME_BYTES_MAX} bytes`, `${length} bytes`);
  if (path.includes("\n") || path.includes("\0")) {
    throw refused(path, "a name without newline and NUL, which end a line and the file system", "one with");
  }
  // Half of a pair of UTF-16 has no bytes of its own: it would come back as another character.
  if (length !== path.length && /\p{Surrogate}/u.test(path)) throw refused(path, "a name that can be written in UTF-8", "one that cannot");
  return path;
}

const refused = (where: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "write the source file system", where, expected, found, kind: "usage" });

export interface SrcfsEntry {
  /** From the root, without a leading slash; "" is the root itself. */
  readonly path: string;
  readonly kind: "file" | "directory";
  readonly sizeBytes: bigint;
}

/** `empty-*`: nothing of it reaches the next kernel. `dot`: it gets there under another name. */
export interface SrcfsLoss {
  readonly path: string;
  readonly loss: "empty-file" | "empty-directory" | "dot";
}

/**
 * What a tree loses in this form: files without a byte, folders with no file that has one, and names that begin with a dot. Of these the
 * kernel takes the dot and the next letter away, since it looks for `/./` and no further; `..` and a third letter take the folder too. It does
 * the same where a file is looked for, so that it finds them itself; the kernel after it has them under the other name.
 */
export function srcfsLosses(entries: readonly SrcfsEntry[]): readonly SrcfsLoss[] {
  const kept = new Set<string>();
  for (const { path, kind, sizeBytes } of entries) {
    if (kind !== "file" || sizeBytes === 0n) continue;
    for (let end = path.lastIndexOf("/"); end > 0 && !kept.has(path.slice(0, end)); end = path.lastIndexOf("/", end - 1)) {
      kept.add(path.slice(0, end));
    }
  }
  return entries.flatMap(({ path, kind, sizeBytes }): SrcfsLoss[] => {
    const dot: SrcfsLoss[] = path.startsWith(".") || path.includes("/.") ? [{ path, loss: "dot" }] : [];
    if (kind === "file" && sizeBytes === 0n) return [{ path, loss: "empty-file" }, ...dot];
    if (kind === "directory" && path !== "" && !kept.has(path)) return [{ path, loss: "empty-directory" }, ...dot];
    return dot;
  });
}

/** One line, where it stands, and where its bytes do. */
export type SrcfsLine =
  | { readonly kind: "src"; readonly name: string; readonly offset: bigint; readonly contentOffset: bigint; readonly sizeBytes: bigint }
  | { readonly kind: "command"; readonly text: string; readonly offset: bigint };

/**
 * The line that `bytes` begins with and the offset of the next one; undefined at the NUL that ends the commands, and at the end of the image.
 * `bytes` is the image from `offset` on, as much of it as there is or at least `SRCFS_LINE_BYTES_MAX`. Throws where no line can be read,
 * and where a file would run past `imageBytes`.
 */
export function decodeSrcfsLine(
  bytes: Uint8Array,
  { offset, imageBytes, where }: { readonly offset: bigint; readonly imageBytes: bigint; readonly where: string },
): { readonly line: SrcfsLine; readonly end: bigint } | undefined {
  const bad = (expected: string, found: string) =>
    new HiperisoError({ what: "read the source file system", where: `${where}@${offset}`, expected, found });
  if (bytes.length === 0 || bytes[0] === 0) return undefined;
  const window = bytes.subarray(0, SRCFS_LINE_BYTES_MAX);
  const newline = window.indexOf(NEWLINE);
  if (newline < 0) throw bad(`a line of at most ${SRCFS_LINE_BYTES_MAX} bytes`, `${window.length} bytes without a newline`);
  if (window.subarray(0, newline).includes(0)) throw bad("a line without NUL", "one with");
  const text = new TextDecoder().decode(window.subarray(0, newline));
  const contentOffset = offset + BigInt(newline + 1);
  if (!text.startsWith("s")) return { line: { kind: "command", text, offset }, end: contentOffset };
  const parts = /^src (\d{1,10}) (.+)$/s.exec(text);
  if (parts === null) throw bad('"src SIZE NAME"', JSON.stringify(text.slice(0, 80)));
  const [, size, name] = parts as unknown as readonly [string, string, string];
  const sizeBytes = BigInt(size);
  if (sizeBytes > SRCFS_FILE_BYTES_MAX) throw bad(`a size of at most ${SRCFS_FILE_BYTES_MAX}`, size);
  if (sizeBytes > imageBytes - contentOffset) throw bad(`${size} bytes of ${name}`, `the end after ${imageBytes - contentOffset}`);
  return { line: { kind: "src", name, offset, contentOffset, sizeBytes }, end: contentOffset + sizeBytes };
}
