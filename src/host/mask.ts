/** Takes out of text what identifies a computer or its owner. What is left still tells what hardware and software it is. */

/** Who must not be seen. */
export interface Identity {
  /** With or without its domain; empty when unknown. */
  readonly hostname: string;
  /** Login names and full names. */
  readonly users: readonly string[];
  /** Absolute paths of home folders. */
  readonly homes: readonly string[];
}

/**
 * Each thing is replaced by a word in angle brackets that says what it was: `<mac>`, `<uuid>`, `<serial>`, `<user>`, …
 * A home folder becomes `~`. Masking twice changes nothing.
 */
export function maskIdentity(text: string, identity: Identity): string {
  const patterns = PATTERNS.reduce(
    (masked, [pattern, replacement]) => masked.replace(pattern, replacement),
    maskHomes(text, identity.homes),
  );
  const hosts = nameForms(identity.hostname).reduce((masked, name) => maskWord(masked, name, "<host>"), patterns);
  return longestFirst(identity.users).reduce((masked, name) => maskWord(masked, name, "<user>"), hosts);
}

/** Words that follow a name such as `serial`: quoted text, or all up to a blank, a comma or a closing bracket. */
const VALUE = String.raw`(?:"[^"\n]*"|'[^'\n]*'|[^\s,;)\]"']+)`;
const SERIAL_KEY = String.raw`(?:\w*serial[-_ ]?(?:number|no\.?|nr\.?)|[a-z]+_serial|s/n|(?:chassis[-_ ])?asset[-_ ]?tag|service[-_ ]?tag|ww[np]n?|wwid)`;
const pattern = (source: string, flags = "gi") => new RegExp(source, flags);

/** In the order in which they are applied: what names its kind first, then what can be told by its shape alone. */
const PATTERNS: readonly (readonly [RegExp, string])[] = [
  // /dev/disk/by-id/ata-Samsung_SSD_870_S5Y2NJ0R123456, by-uuid, by-label, …
  [pattern(String.raw`(/dev/disk/by-[a-z]+/)[^\s,"'\])]+`), "$1<disk>"],
  // root=UUID=…, PARTUUID=1b2c3d4e-01, also the short volume ids of FAT and NTFS.
  [pattern(String.raw`\b((?:PART)?UUID=)${VALUE}`), "$1<uuid>"],
  [pattern(String.raw`\b((?:PART)?LABEL=)${VALUE}`), "$1<label>"],
  [pattern(String.raw`\b(machine[-_ ]?id\s*[=:]\s*)${VALUE}`), "$1<id>"],
  [pattern(String.raw`\b((?:nfs|iscsi_)?(?:ip|initiator|nfsroot|nfsaddrs)=)${VALUE}`), "$1<address>"],
  // Nobody's business, whatever it opens.
  [pattern(String.raw`\b([\w.-]*(?:passwo?r?d|passphrase|secret|token)[\w.-]*=)${VALUE}`), "$1<secret>"],
  [pattern(String.raw`\b((?:systemd\.)?hostname=)${VALUE}`), "$1<host>"],
  // Serial Number: S6B0NX0T812345, a sentence up to a comma or the end of the line; product_serial=…, one word.
  [pattern(String.raw`(\b${SERIAL_KEY}[ \t]*:[ \t]*)[^,\n\s][^,\n]*`), "$1<serial>"],
  [pattern(String.raw`(\b${SERIAL_KEY}[ \t]*=[ \t]*)${VALUE}`), "$1<serial>"],
  [pattern(String.raw`(\biSerial[ \t]+\d+[ \t]+)${VALUE}`), "$1<serial>"],
  // serial=…, serial = "QM00001"; but not "Serial: 8250/16550 driver".
  [pattern(String.raw`(\bserial[ \t]*=[ \t]*)${VALUE}`), "$1<serial>"],
  [pattern(String.raw`(\bserial[ \t]*:[ \t]*)(?=[\w-]*\d)[\w-]{6,}(?![\w/])`), "$1<serial>"],
  // World-wide names of disks.
  [pattern(String.raw`\b(wwn-|naa\.|eui\.|nguid\.|uuid\.|t10\.)[\w.-]+`), "$1<serial>"],
  [pattern(String.raw`\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b`), "<uuid>"],
  // Six octets are a MAC address, eight or more a world-wide name or a key's fingerprint.
  [pattern(String.raw`(?<![\w:-])[0-9a-f]{2}([:-])(?:[0-9a-f]{2}\1){4,}[0-9a-f]{2}(?![\w:-])`), "<mac>"],
  // Network interfaces that systemd names after their address.
  [pattern(String.raw`\b(en|wl|ww)x[0-9a-f]{12}\b`), "$1x<mac>"],
  // An IPv6 address made from a MAC address, and any link-local one.
  [pattern(String.raw`(?<![\w:])[0-9a-f:]+ff:fe[0-9a-f]{2}:[0-9a-f]{1,4}(?![\w:])`), "<address>"],
  [pattern(String.raw`(?<![\w:])fe80:[0-9a-f:]+`), "<address>"],
  // A machine id, or another 128-bit id.
  [pattern(String.raw`(?<!\w)[0-9a-f]{32}(?!\w)`), "<id>"],
  [pattern(String.raw`(/(?:var/)?home/|/Users/|/run/media/|/media/)(?!<user>)[^\s/,"':;)\]]+`, "g"), "$1<user>"],
  [pattern(String.raw`(/run/user/)\d+`), "$1<user>"],
  // The builder in the kernel's version line; not an instance of a systemd unit, not an address in a device tree.
  [
    pattern(
      String.raw`(?<![\w.+@<>-])[\w.+-]+@(?![\w.-]+\.(?:service|socket|device|mount|target|timer|slice|scope|path)\b)(?=[\w.-]*[g-z])[\w-]+(?:\.[\w-]+)*`,
    ),
    "<user>@<host>",
  ],
];

function maskHomes(text: string, homes: readonly string[]): string {
  return longestFirst(homes)
    .map((home) => home.replace(/\/+$/, ""))
    .filter((home) => home.startsWith("/") && home.length > 1)
    .reduce((masked, home) => masked.replace(new RegExp(`(?<![\\w/.~-])${literal(home)}(?![\\w.-])`, "g"), "~"), text);
}

/**
 * Names that identify nobody: what installers propose, words of the trade, and the words that masking itself writes.
 * A computer called "debian" must not take the word out of its kernel's version.
 */
const NOBODY = new Set(
  "root user users admin guest nobody daemon test live default host hostname localhost localdomain computer server desktop laptop pc none linux gnu debian ubuntu fedora arch archlinux opensuse suse gentoo centos rocky alma alpine nixos kali mint qemu kvm kernel mac uuid serial label address disk secret".split(
    " ",
  ),
);
const NAME_MIN = 3;

/** The whole name, and its first label. */
function nameForms(hostname: string): readonly string[] {
  const [label = ""] = hostname.split(".");
  return longestFirst([hostname, label]);
}

/** `name` as a word of its own, in any case; also in a device-mapper name, where each dash is doubled. */
function maskWord(text: string, name: string, replacement: string): string {
  if (name.length < NAME_MIN || NOBODY.has(name.toLowerCase()) || /^\d{1,5}$/.test(name)) return text;
  const forms = [...new Set([name.replaceAll("-", "--"), name])].map((form) => literal(form)).join("|");
  return text.replace(new RegExp(`(?<![\\p{L}\\p{N}])(?:${forms})(?![\\p{L}\\p{N}])`, "giu"), replacement);
}

const longestFirst = (names: readonly string[]): readonly string[] => [...new Set(names)].sort((a, b) => b.length - a.length);

const literal = (text: string): string => text.replace(/[\\^$.*+?()[\]{}|]/g, "\\$&");
