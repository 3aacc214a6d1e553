/**
 * Access lists of files, acl(5), as text in archives (SCHILY.acl.access: `user::rw-,user:1000:r--,group::r--,mask::r--,other::r--`) and as Linux keeps
 * them in the attributes system.posix_acl_access and system.posix_acl_default (include/uapi/linux/posix_acl_xattr.h):
 *
 *     0  4  version, 2     then for each entry:  0  2  tag   2  2  permissions   4  4  id, 2^32 - 1 where the tag has none     all little-endian
 */
import { HiperisoError } from "../contract/error.ts";

const VERSION = 2;
const NO_ID = 0xffff_ffff;
const TAGS = { owner: 0x01, user: 0x02, owningGroup: 0x04, group: 0x08, mask: 0x10, other: 0x20 } as const;
const ENTRIES_MAX = 10_000;

interface AclEntry {
  readonly tag: number;
  readonly permissions: number;
  readonly id: number;
}

/** The attribute's bytes for a list in text form. Throws where an entry is none, or names somebody by a name, which only another computer could know. */
export function encodePosixAcl(text: string, where: string): Uint8Array {
  const words = text.split(/[,\n]/).flatMap((word) => {
    const entry = word.replace(/#.*/, "").trim();
    return entry === "" ? [] : [entry];
  });
  const bad = (found: string, expected = "entries such as user:1000:r--"): HiperisoError =>
    new HiperisoError({ what: "read an access list", where, expected, found: JSON.stringify(found) });
  if (words.length === 0 || words.length > ENTRIES_MAX) throw bad(text.slice(0, 40), `1 to ${ENTRIES_MAX} entries`);
  const entries = words
    .map((word) => entryOf(word) ?? bad(word))
    .map((entry) => {
      if (entry instanceof HiperisoError) throw entry;
      return entry;
    });
  // The kernel takes them in the order of their tags, ids ascending.
  entries.sort((a, b) => a.tag - b.tag || a.id - b.id);
  const bytes = new Uint8Array(4 + 8 * entries.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, VERSION, true);
  for (const [index, { tag, permissions, id }] of entries.entries()) {
    view.setUint16(4 + 8 * index, tag, true);
    view.setUint16(6 + 8 * index, permissions, true);
    view.setUint32(8 + 8 * index, id, true);
  }
  return bytes;
}

/** `TYPE:WHO:rwx`, and with star's fourth part, the id of WHO. */
function entryOf(word: string): AclEntry | undefined {
  const [, type, who = "", letters = "", starId] = /^(user|group|mask|other|u|g|m|o):([^:]*):([r-][w-][xX-])(?::(\d+))?$/.exec(word) ?? [];
  if (type === undefined) return undefined;
  const permissions = (letters[0] === "r" ? 4 : 0) | (letters[1] === "w" ? 2 : 0) | (letters[2] !== "-" ? 1 : 0);
  const kind = type[0];
  if (kind === "m" || kind === "o") return who === "" ? { tag: kind === "m" ? TAGS.mask : TAGS.other, permissions, id: NO_ID } : undefined;
  if (who === "") return { tag: kind === "u" ? TAGS.owner : TAGS.owningGroup, permissions, id: NO_ID };
  const id = starId ?? (who === "root" ? "0" : who);
  if (!/^\d{1,10}$/.test(id) || Number(id) >= NO_ID) return undefined;
  return { tag: kind === "u" ? TAGS.user : TAGS.group, permissions, id: Number(id) };
}
