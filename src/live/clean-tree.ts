/**
 * What a root file system must not carry into an image: what belongs to one computer, what was written in passing, and what differs from run to run
 * although nothing differs.
 */
import { readable } from "../formats/byte-text.ts";
import type { TarEntry, TarMember } from "../formats/tar-entry.ts";
import type { TreeFiles } from "./sandbox/tree-files.ts";
import { EMPTY } from "./sandbox/tree-index.ts";

export interface CleanRule {
  /** Paths without a leading slash, of anything but folders. */
  readonly path: RegExp;
  /** `empty`: the file must be there, with its owner and mode, and nothing in it. */
  readonly does: "drop" | "empty";
  readonly because: string;
  /** A path that it fits, and one that looks alike and that it must not fit. */
  readonly fits: string;
  readonly spares: string;
}

const ONE_COMPUTER = "it belongs to one computer";
const SECRET = "a secret that all copies would share";
const PASSING = "written in passing, and made again";
const OLD = "what a file was before";

/** Tried in turn. */
export const CLEAN_RULES: readonly CleanRule[] = [
  // machine-id(5): empty, it is made at the first boot; missing, some programs of the boot fail.
  { path: /^etc\/machine-id$/, does: "empty", because: ONE_COMPUTER, fits: "etc/machine-id", spares: "etc/machine-info" },
  { path: /^var\/lib\/dbus\/machine-id$/, does: "drop", because: ONE_COMPUTER, fits: "var/lib/dbus/machine-id", spares: "var/lib/dbus/x" },
  {
    path: /^etc\/ssh\/ssh_host_.*_key(?:\.pub)?$/,
    does: "drop",
    because: SECRET,
    fits: "etc/ssh/ssh_host_rsa_key",
    spares: "etc/ssh/ssh_config",
  },
  {
    path: /^var\/lib\/(?:systemd|urandom)\/(?:random-seed|credential\.secret)$/,
    does: "drop",
    because: SECRET,
    fits: "var/lib/systemd/random-seed",
    spares: "var/lib/systemd/catalog/database",
  },
  { path: /^var\/log\/(?:wtmp|btmp|lastlog|faillog)$/, does: "empty", because: PASSING, fits: "var/log/wtmp", spares: "srv/log/wtmp" },
  { path: /^var\/log\/.*[^/]$/, does: "drop", because: PASSING, fits: "var/log/apt/history.log", spares: "var/lib/logrotate/status" },
  { path: /^(?:run|tmp|var\/tmp)\/./, does: "drop", because: PASSING, fits: "var/tmp/x", spares: "srv/tmp/x" },
  {
    path: /^var\/lib\/apt\/lists\/./,
    does: "drop",
    because: PASSING,
    fits: "var/lib/apt/lists/lock",
    spares: "var/lib/apt/extended_states",
  },
  {
    path: /^var\/cache\/(?:apt|apk|dnf|libdnf5|yum|zypp|pacman\/pkg|xbps|binpkgs|distfiles|man|fontconfig|ldconfig)\/./,
    does: "drop",
    because: PASSING,
    fits: "var/cache/ldconfig/aux-cache",
    spares: "var/cache/debconf/config.dat",
  },
  {
    path: /^var\/(?:cache\/debconf|lib\/dpkg)\/[^/]+-old$/,
    does: "drop",
    because: OLD,
    fits: "var/lib/dpkg/status-old",
    spares: "var/lib/dpkg/status",
  },
  { path: /^var\/backups\/./, does: "drop", because: OLD, fits: "var/backups/dpkg.status.0", spares: "var/lib/backups/x" },
  {
    path: /^etc\/(?:passwd|group|shadow|gshadow|subuid|subgid)-$/,
    does: "drop",
    because: OLD,
    fits: "etc/shadow-",
    spares: "etc/shadow",
  },
  { path: /^etc\/\.pwd\.lock$/, does: "drop", because: PASSING, fits: "etc/.pwd.lock", spares: "etc/passwd" },
  {
    path: /^etc\/apt\/apt\.conf\.d\/99mmdebstrap$/,
    does: "drop",
    because: PASSING,
    fits: "etc/apt/apt.conf.d/99mmdebstrap",
    spares: "etc/apt/apt.conf.d/99x",
  },
  {
    path: /(?:^|\/)__pycache__\//,
    does: "drop",
    because: "holds the time of its source, and is made again",
    fits: "usr/lib/python3/__pycache__/x.pyc",
    spares: "usr/lib/python3/x.py",
  },
  {
    path: /^(?:root|home\/[^/]+)\/\.(?:bash_history|ash_history|lesshst|wget-hsts|viminfo)$/,
    does: "drop",
    because: PASSING,
    fits: "root/.bash_history",
    spares: "root/.bashrc",
  },
  { path: /^\.dockerenv$/, does: "drop", because: PASSING, fits: ".dockerenv", spares: "usr/.dockerenv" },
  {
    path: /^var\/lib\/dhcp\/.*\.leases$/,
    does: "drop",
    because: ONE_COMPUTER,
    fits: "var/lib/dhcp/dhclient.leases",
    spares: "etc/dhcp/dhclient.conf",
  },
];

export function cleanUpOf(path: string): CleanRule["does"] | undefined {
  return CLEAN_RULES.find((rule) => rule.path.test(path))?.does;
}

/** While a tree is packed. A further name of a file that is dropped is dropped too. */
export async function* cleanedMembers(members: AsyncIterable<TarMember>): AsyncGenerator<TarMember> {
  const dropped = new Set<string>();
  for await (const member of members) {
    const { entry } = member;
    const does = entry.kind === "directory" ? undefined : cleanUpOf(readable(entry.path));
    if (does === "drop" || (entry.kind === "hard-link" && dropped.has(entry.target))) dropped.add(entry.path);
    else if (does === "empty" && entry.kind === "file") yield { entry: emptied(entry), content: EMPTY };
    else yield member;
  }
}

function emptied({ extents: _holes, ...entry }: Extract<TarEntry, { kind: "file" }>): TarEntry {
  return { ...entry, sizeBytes: 0 };
}

/** In a tree that is still an archive. */
export async function cleanFiles(files: TreeFiles): Promise<void> {
  for (const { path, kind } of await files.list("")) {
    if (kind === "directory") continue;
    const does = cleanUpOf(path);
    if (does === "drop") await files.remove(path);
    else if (does === "empty" && kind === "file") await files.put([{ kind: "file", path, mode: 0o644, content: new Uint8Array() }]);
  }
}
