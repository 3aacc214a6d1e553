/**
 * What an archive holds and a user namespace cannot: device nodes, and attributes that the kernel keeps to root (trusted.*, security.* but for
 * capabilities). They stay with us while the tree is unpacked and come back into the archive that is made of it. So a tree is the same whoever
 * builds it, and no device can be opened in it that the sandbox does not give.
 */
import { type ByteText, byteText, readable } from "../../formats/byte-text.ts";
import { encodePosixAcl } from "../../formats/posix-acl.ts";
import type { TarEntry, TarMember } from "../../formats/tar-entry.ts";

export type DeviceEntry = Extract<TarEntry, { kind: "character-device" | "block-device" }>;

/** Attributes of a file that is otherwise in the tree, and by what it is known again: one that was replaced has lost them. */
interface KeptXattrs {
  readonly kind: TarEntry["kind"];
  readonly mtimeS: number;
  readonly xattrs: ReadonlyMap<ByteText, Uint8Array>;
}

const HELD = /^(?:user\.|security\.capability$|system\.posix_acl_(?:access|default)$)/;

export class KeptApart {
  readonly #devices = new Map<ByteText, DeviceEntry>();
  readonly #xattrs = new Map<ByteText, KeptXattrs>();

  /** The members that a user namespace can hold; of all else it is remembered here. */
  async *takeFrom(members: AsyncIterable<TarMember>): AsyncGenerator<TarMember> {
    for await (const { entry, content } of members) {
      const { path } = entry;
      const linked = entry.kind === "hard-link" ? this.#devices.get(entry.target) : undefined;
      this.#devices.delete(path);
      this.#xattrs.delete(path);
      if (entry.kind === "character-device" || entry.kind === "block-device") this.#devices.set(path, entry);
      else if (linked !== undefined) this.#devices.set(path, { ...linked, path });
      else yield { entry: this.#withHeldXattrs(withAclXattrs(entry)), content };
    }
  }

  #withHeldXattrs(entry: TarEntry): TarEntry {
    const apart = new Map([...entry.xattrs].filter(([name]) => !HELD.test(name)));
    if (apart.size === 0) return entry;
    this.#xattrs.set(entry.path, { kind: entry.kind, mtimeS: entry.mtimeS, xattrs: apart });
    return { ...entry, xattrs: new Map([...entry.xattrs].filter(([name]) => HELD.test(name))) };
  }

  /** Forgets what stands at a path or below it. */
  forget(path: ByteText): void {
    for (const map of [this.#devices, this.#xattrs]) {
      for (const key of map.keys()) if (key === path || path === "" || key.startsWith(`${path}/`)) map.delete(key);
    }
  }

  hasDevice(path: ByteText): boolean {
    return this.#devices.has(path);
  }

  /** A sorted archive of the tree with everything back in its place, sorted. A device whose folder is gone, or whose name is taken, is gone. */
  async *giveBack(members: AsyncIterable<TarMember>): AsyncGenerator<TarMember> {
    const devices = [...this.#devices.values()].sort((a, b) => compareTreePaths(a.path, b.path));
    const folders = new Set<string>([""]);
    let next = 0;
    const until = function* (path: ByteText | undefined): Generator<TarMember> {
      for (let device = devices[next]; device !== undefined; device = devices[next]) {
        const order = path === undefined ? -1 : compareTreePaths(device.path, path);
        if (order > 0) return;
        next += 1;
        if (order < 0 && folders.has(parentOf(device.path))) yield { entry: device, content: nothing() };
      }
    };
    for await (const { entry, content } of members) {
      yield* until(entry.path);
      if (entry.kind === "directory") folders.add(entry.path);
      const kept = this.#xattrs.get(entry.path);
      const isSame = kept !== undefined && kept.kind === entry.kind && kept.mtimeS === entry.mtimeS;
      yield { entry: isSame ? { ...entry, xattrs: new Map([...entry.xattrs, ...kept.xattrs]) } : entry, content };
    }
    yield* until(undefined);
  }
}

const ACLS = [
  ["SCHILY.acl.access", "system.posix_acl_access"],
  ["SCHILY.acl.default", "system.posix_acl_default"],
] as const;

/** Of the two forms of an access list the attribute, which every tool takes; GNU tar takes one or the other for a whole archive. */
function withAclXattrs(entry: TarEntry): TarEntry {
  if (entry.records.size === 0) return entry;
  const [records, xattrs] = [new Map(entry.records), new Map(entry.xattrs)];
  for (const [record, name] of ACLS) {
    const text = records.get(byteText(record));
    if (text === undefined) continue;
    records.delete(byteText(record));
    if (!xattrs.has(byteText(name))) xattrs.set(byteText(name), encodePosixAcl(Buffer.from(text).toString("utf8"), readable(entry.path)));
  }
  return { ...entry, records, xattrs };
}

/** The order in which GNU tar walks a folder by --sort=name: a folder, all that is in it, then its neighbour; bytes decide. */
export function compareTreePaths(a: string, b: string): number {
  for (let at = 0; ; at += 1) {
    const [left, right] = [orderOf(a, at), orderOf(b, at)];
    if (left !== right) return left - right;
    if (left === -1) return 0;
  }
}

/** The end comes before a slash, and that before any byte that a name can hold. */
function orderOf(text: string, at: number): number {
  if (at >= text.length) return -1;
  return text[at] === "/" ? 0 : text.charCodeAt(at);
}

const parentOf = (path: string): string => path.slice(0, Math.max(path.lastIndexOf("/"), 0));

async function* nothing(): AsyncGenerator<Uint8Array> {}
