/** A root file system with all that makes root file systems hard to carry: the test's own, in the order in which trees are packed. */
import { type ByteText, byteText } from "../../../src/formats/byte-text.ts";
import { writeTar } from "../../../src/formats/tar.ts";
import type { TarEntry, TarMember } from "../../../src/formats/tar-entry.ts";

export const EPOCH_S = 1767225600;
const raw = (text: string): ByteText => text as ByteText;
const bytes = (...values: readonly number[]) => Uint8Array.from(values);

/** capability(7), version 2 of the attribute: cap_net_raw may be had, and is in effect. */
const NET_RAW = bytes(1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0);
/** acl(5) as the kernel keeps it: user::rw-, user:1000:r--, group::r--, mask::r--, other::r--. */
const ACL = bytes(
  ...[2, 0, 0, 0],
  ...[1, 0, 6, 0, 255, 255, 255, 255],
  ...[2, 0, 4, 0, 0xe8, 3, 0, 0],
  ...[4, 0, 4, 0, 255, 255, 255, 255],
  ...[16, 0, 4, 0, 255, 255, 255, 255],
  ...[32, 0, 4, 0, 255, 255, 255, 255],
);

type Given = { readonly path: ByteText; readonly content?: Uint8Array } & Partial<Omit<TarEntry, "path" | "kind">> & {
    readonly kind: TarEntry["kind"];
  };

function member({ content = new Uint8Array(), ...given }: Given & Record<string, unknown>): TarMember {
  const common = { mode: given.kind === "symlink" ? 0o777 : 0o644, uid: 0, gid: 0, mtimeS: EPOCH_S, xattrs: new Map(), records: new Map() };
  const size = given.kind === "file" && !("sizeBytes" in given) ? { sizeBytes: content.length } : {};
  return {
    entry: { ...common, ...size, ...given } as unknown as TarEntry,
    content: {
      async *[Symbol.asyncIterator]() {
        if (content.length > 0) yield content;
      },
    },
  };
}

const folder = (path: string, mode = 0o755, more = {}) => member({ kind: "directory", path: raw(path), mode, ...more });
const text = new TextEncoder().encode("content\n");
const xattrs = (entries: Record<string, Uint8Array>) => ({
  xattrs: new Map(Object.entries(entries).map(([name, value]) => [byteText(name), value])),
});

export function unusualFiles(busybox: Uint8Array): readonly TarMember[] {
  const hard = { kind: "hard-link" as const };
  return [
    folder(""),
    folder("a"),
    member({ kind: "file", path: raw("a/acl"), content: text, ...xattrs({ "system.posix_acl_access": ACL }) }),
    member({
      kind: "file",
      path: raw("a/attributes"),
      content: text,
      mtimeS: 12345,
      ...xattrs({ "user.a=b%": text, "trusted.x": text, "security.foo": bytes(0, 255) }),
    }),
    member({ kind: "file", path: raw("a/capable"), content: text, mode: 0o755, ...xattrs({ "security.capability": NET_RAW }) }),
    folder(`a/${"d".repeat(200)}`, 0o1777, { uid: 60_000, gid: 60_001 }),
    member({ kind: "file", path: raw(`a/${"d".repeat(200)}/${"f".repeat(255)}`), content: text }),
    member({ kind: "fifo", path: raw("a/fifo") }),
    member({ kind: "file", path: raw("a/first"), content: text, uid: 33, gid: 44, mode: 0o6755 }),
    member({ ...hard, path: raw("a/first.link"), target: raw("a/first"), uid: 33, gid: 44, mode: 0o6755 }),
    member({ kind: "symlink", path: raw("a/link"), target: raw("nowhere/\xfe") }),
    member({
      ...{ kind: "file", path: raw("a/sparse"), sizeBytes: 3 * 2 ** 30, content: new Uint8Array(8192).fill(7) },
      // Whole blocks of the file systems that trees are unpacked on.
      extents: [
        { offset: 2 ** 20, bytes: 4096 },
        { offset: 2 ** 31, bytes: 4096 },
      ],
    }),
    member({ kind: "file", path: raw("a/\xff\xfe n\x01ame\n"), content: text }),
    // In the order of bytes "a.b" would be before "a/…"; a folder's content comes first.
    folder("a.b", 0o700),
    folder("bin"),
    member({ kind: "file", path: raw("bin/busybox"), content: busybox, mode: 0o755 }),
    member({ kind: "symlink", path: raw("bin/sh"), target: raw("busybox") }),
    folder("dev"),
    member({ kind: "character-device", path: raw("dev/console"), mode: 0o600, major: 5, minor: 1 }),
    member({ kind: "character-device", path: raw("dev/tty"), mode: 0o666, gid: 5, major: 5, minor: 0 }),
    member({ kind: "block-device", path: raw("disk"), mode: 0o660, gid: 6, major: 8, minor: 0x10001 }),
    folder("proc"),
    folder("run"),
    folder("tmp", 0o1777),
  ];
}

export const archiveOf = (members: readonly TarMember[]): AsyncIterable<Uint8Array> => writeTar(members);
