/**
 * `/ventoy/ventoy.json` of a Ventoy stick, as Ventoy itself takes it: which plugin's part counts, which of its entries, and which entry speaks of an
 * image. The language that it is written in stands in `formats/ventoy-json.ts`. Nothing here decides what becomes of it.
 *
 *   KEY_uefi, KEY_legacy, …   stand in for KEY where they are there, and all of KEY is passed over then
 *   the same key twice        the first counts, also when it is of no use
 *   an entry's values         the first of that name *and* type; what is of another type is not there
 *   paths                     begin with `/`, compared byte by byte, upper and lower case differing, at most 255 bytes
 *   `*` in a pattern          any one byte, whatever it is: pattern and path are of one length. See `PathMatch` for where it is not
 */
import { type ByteText, byteText, readable } from "../formats/byte-text.ts";
import { printable } from "../formats/escape-terminal.ts";
import { decodeVentoyJson, placeOf, type VentoyMember, type VentoyValue } from "../formats/ventoy-json.ts";

/** What Ventoy's loader runs on: x86 BIOS, UEFI of 64 bits, of 32 bits, ARM, MIPS. */
export const VENTOY_MODES = ["uefi", "legacy", "ia32", "aa64", "mips"] as const;
export type VentoyMode = (typeof VENTOY_MODES)[number];

export interface VentoyFinding {
  /** From 1. */
  readonly line: number;
  readonly column: number;
  /** Harmless to print. */
  readonly message: string;
}

/** `image`: one file, or by a pattern. `parent`: the files right in that folder. `dir`: the folder itself. */
export interface VentoyRule<Value> {
  readonly scope: "image" | "parent" | "dir";
  readonly path: ByteText;
  /** From 1. */
  readonly line: number;
  readonly value: Value;
}

/** What a person chooses from at the boot, unless `autosel` says it. */
export interface VentoyList {
  readonly paths: readonly ByteText[];
  /** It stood in brackets: files that are not there are left out. One path alone must be there, or the entry is none. */
  readonly listed: boolean;
  /** As it stands: see `chosenOf`. */
  readonly autosel: number | undefined;
}

export interface VentoyReplacement {
  readonly iso: ByteText;
  readonly org: ByteText;
  readonly new: ByteText;
  readonly line: number;
}

export type VentoyPassword =
  | { readonly type: "text"; readonly text: ByteText }
  | { readonly type: "md5"; readonly salt: ByteText; readonly hex: string };

export interface VentoyTheme {
  readonly line: number;
  /** As written; those without a leading `/` stand below `/ventoy`. */
  readonly files: readonly ByteText[];
  readonly listed: boolean;
  /** From 1; 0 or undefined: one of them by chance. */
  readonly defaultFile: number | undefined;
  readonly gfxmode: ByteText | undefined;
  /** What else is said: `display_mode`, `fonts`, … */
  readonly others: readonly string[];
}

export interface VentoyControl {
  readonly value: ByteText;
  readonly line: number;
}

export interface VentoyConfig {
  /** By name, the last one of each. */
  readonly control: ReadonlyMap<string, VentoyControl>;
  readonly theme: VentoyTheme | undefined;
  readonly autoInstall: readonly VentoyRule<VentoyList>[];
  readonly persistence: readonly VentoyRule<VentoyList>[];
  readonly dud: readonly VentoyRule<VentoyList>[];
  readonly injection: readonly VentoyRule<ByteText>[];
  readonly menuAlias: readonly VentoyRule<ByteText>[];
  /** Its lines, one or two. */
  readonly menuTip: readonly VentoyRule<readonly ByteText[]>[];
  readonly confReplace: readonly VentoyReplacement[];
  readonly autoMemdisk: readonly VentoyRule<true>[];
  readonly passwords: {
    readonly boot: VentoyPassword | undefined;
    /** By the ending of the file's name, in small letters. */
    readonly byEnding: ReadonlyMap<string, VentoyPassword>;
    readonly rules: readonly VentoyRule<VentoyPassword>[];
  };
  /** `only`: these and in this order. `hide`: all but these. */
  readonly imageList: { readonly mode: "only" | "hide"; readonly rules: readonly VentoyRule<true>[] } | undefined;
  /** Keys of plugins that are there and say nothing that can be used elsewhere, with their lines. */
  readonly others: readonly { readonly key: string; readonly line: number; readonly entries: number }[];
}

export interface ParsedVentoyJson {
  readonly config: VentoyConfig;
  /** In the order of the file. */
  readonly findings: readonly VentoyFinding[];
}

export const emptyVentoyConfig: VentoyConfig = {
  control: new Map(),
  theme: undefined,
  autoInstall: [],
  persistence: [],
  dud: [],
  injection: [],
  menuAlias: [],
  menuTip: [],
  confReplace: [],
  autoMemdisk: [],
  passwords: { boot: undefined, byEnding: new Map(), rules: [] },
  imageList: undefined,
  others: [],
};

/** Far more than any real one; bounds the time. */
export const VENTOY_JSON_BYTES_MAX = 4 << 20;

/** Never throws: a file that Ventoy cannot read says nothing, and `findings` says why. */
export function parseVentoyJson(bytes: Uint8Array, mode: VentoyMode = "uefi"): ParsedVentoyJson {
  const refused = (at: number, message: string): ParsedVentoyJson => ({
    config: emptyVentoyConfig,
    findings: [{ ...placeOf(bytes, at), message: `${message}; Ventoy takes nothing from this file` }],
  });
  if (bytes.length > VENTOY_JSON_BYTES_MAX)
    return refused(0, `the file is too long: expected at most ${VENTOY_JSON_BYTES_MAX} bytes, found ${bytes.length}`);
  const document = decodeVentoyJson(bytes);
  if (!document.ok) return refused(document.slip.at, document.slip.message);
  if (document.value.type !== "object") return refused(document.value.at, "expected an object { … }");
  return new PluginReader(bytes, mode).read(document.value.members);
}

const PLUGINS = [
  "control",
  "theme",
  "auto_install",
  "persistence",
  "menu_alias",
  "menu_tip",
  "menu_class",
  "injection",
  "auto_memdisk",
  "image_list",
  "image_blacklist",
  "conf_replace",
  "dud",
  "password",
  "custom_boot",
] as const;
type Plugin = (typeof PLUGINS)[number];

const PATH_BYTES_MAX = 255;
const PASSWORD_LETTERS_MAX = 64;
/** Endings that `…pwd` keys of the password plugin name. */
const PASSWORD_ENDINGS = ["iso", "wim", "efi", "img", "vhd", "vtoy"] as const;

type Members = readonly VentoyMember[];

class PluginReader {
  readonly #bytes: Uint8Array;
  readonly #mode: VentoyMode;
  readonly #found: { readonly at: number; readonly message: string }[] = [];
  /** Byte offsets at which lines begin. */
  readonly #lines: readonly number[];

  constructor(bytes: Uint8Array, mode: VentoyMode) {
    this.#bytes = bytes;
    this.#mode = mode;
    const lines = [0];
    bytes.forEach((byte, at) => {
      if (byte === 10) lines.push(at + 1);
    });
    this.#lines = lines;
  }

  read(members: Members): ParsedVentoyJson {
    const parts = this.#effective(members);
    const part = (plugin: Plugin): VentoyMember | undefined => parts.get(plugin);
    const config: VentoyConfig = {
      control: this.#control(part("control")),
      theme: this.#theme(part("theme")),
      autoInstall: this.#lists(part("auto_install"), "template", ["image", "parent"]),
      persistence: this.#lists(part("persistence"), "backend", ["image"]),
      dud: this.#lists(part("dud"), "dud", ["image"]),
      injection: this.#injection(part("injection")),
      menuAlias: this.#rules(part("menu_alias"), ["image", "dir"], (entry) => stringOf(entry, "alias"), "an alias"),
      menuTip: this.#tips(part("menu_tip")),
      confReplace: this.#replacements(part("conf_replace")),
      autoMemdisk: this.#paths(part("auto_memdisk")),
      passwords: this.#passwords(part("password")),
      imageList: this.#imageList(parts),
      others: (["menu_class", "custom_boot"] as const).flatMap((plugin) => {
        const found = part(plugin);
        if (found === undefined) return [];
        const entries = found.value.type === "array" ? found.value.items.length : 0;
        return [{ key: readable(found.name), line: this.#lineOf(found.at), entries }];
      }),
    };
    const findings = this.#found
      .toSorted((a, b) => a.at - b.at)
      .map(({ at, message }) => ({ ...placeOf(this.#bytes, at), message: printable(message) }));
    return { config, findings };
  }

  /** Of each plugin the part that counts, in the order in which Ventoy comes upon them: first those of its mode, then the plain ones. */
  #effective(members: Members): ReadonlyMap<Plugin, VentoyMember> {
    const parts = new Map<Plugin, VentoyMember>();
    for (const suffix of [`_${this.#mode}`, ""]) {
      for (const member of members) {
        const name = readable(member.name);
        const plugin = PLUGINS.find((one) => name === `${one}${suffix}`);
        if (plugin === undefined) continue;
        const before = parts.get(plugin);
        if (before === undefined) parts.set(plugin, member);
        else if (before.name === member.name) this.#say(member.at, `"${name}" is there twice; Ventoy takes the first one`);
        else this.#say(member.at, `"${readable(before.name)}" stands in for all of "${name}"`);
      }
    }
    for (const { name, at } of members) if (!isKnownKey(readable(name))) this.#say(at, `Ventoy knows no "${readable(name)}"`);
    return parts;
  }

  #control(part: VentoyMember | undefined): ReadonlyMap<string, VentoyControl> {
    const control = new Map<string, VentoyControl>();
    for (const { members } of this.#objects(part)) {
      const [first, ...more] = members;
      if (first?.value.type === "string") control.set(readable(first.name), { value: first.value.value, line: this.#lineOf(first.at) });
      else if (first !== undefined) this.#say(first.value.at, `"${readable(first.name)}" is no text; Ventoy passes over it`);
      for (const { name, at } of more) this.#say(at, `Ventoy takes only the first key of each { … }: "${readable(name)}" is passed over`);
    }
    return control;
  }

  #theme(part: VentoyMember | undefined): VentoyTheme | undefined {
    if (part?.value.type !== "object") {
      if (part !== undefined) this.#say(part.value.at, `"${readable(part.name)}" is no object { … }`);
      return undefined;
    }
    const { members } = part.value;
    const one = stringOf(members, "file");
    const list = members.find(({ name, value }) => name === byteText("file") && value.type === "array");
    const files = one !== undefined ? [one] : list === undefined ? [] : this.#texts(list.value);
    const known = new Set<string>(["file", "gfxmode", "default_file"]);
    return {
      line: this.#lineOf(part.at),
      files,
      listed: one === undefined && list !== undefined,
      defaultFile: numberOf(members, "default_file"),
      gfxmode: stringOf(members, "gfxmode"),
      others: [...new Set(members.map(({ name }) => readable(name)).filter((name) => !known.has(name)))],
    };
  }

  #lists(part: VentoyMember | undefined, key: string, scopes: readonly ("image" | "parent")[]): readonly VentoyRule<VentoyList>[] {
    return this.#rules(
      part,
      scopes,
      (entry, at) => {
        // The first of that name, whatever its type.
        const member = entry.find(({ name }) => name === byteText(key));
        const autosel = numberOf(entry, "autosel");
        if (member?.value.type === "string") {
          if (member.value.value.startsWith("/")) return { paths: [member.value.value], listed: false, autosel };
          this.#say(member.value.at, `"${key}" does not begin with /; Ventoy passes over the entry`);
          return "told";
        }
        if (member?.value.type !== "array") return undefined;
        const paths = member.value.items.flatMap((item) => (item.type === "string" && item.value.startsWith("/") ? [item.value] : []));
        if (paths.length === member.value.items.length) return { paths, listed: true, autosel };
        this.#say(at, `"${key}" holds what is no path that begins with /; Ventoy passes over the entry`);
        return "told";
      },
      `a "${key}"`,
    );
  }

  #injection(part: VentoyMember | undefined): readonly VentoyRule<ByteText>[] {
    const archiveOf = (entry: Members) => {
      const archive = stringOf(entry, "archive");
      return archive?.startsWith("/") === true ? archive : undefined;
    };
    return this.#rules(part, ["image", "parent"], archiveOf, 'an "archive" that begins with /');
  }

  #tips(part: VentoyMember | undefined): readonly VentoyRule<readonly ByteText[]>[] {
    if (part === undefined) return [];
    const members = part.value.type === "object" ? part.value.members : [];
    const tips = members.find(({ name, value }) => name === byteText("tips") && value.type === "array");
    if (tips === undefined) this.#say(part.value.at, `"${readable(part.name)}" has no "tips": [ … ]`);
    const linesOf = (entry: Members) => {
      const tip = stringOf(entry, "tip");
      if (tip !== undefined) return [tip];
      return ["tip1", "tip2"].flatMap((key) => stringOf(entry, key) ?? []);
    };
    return this.#rules(tips, ["image", "dir"], linesOf, "a tip");
  }

  #replacements(part: VentoyMember | undefined): readonly VentoyReplacement[] {
    return this.#objects(part).flatMap(({ members, at }) => {
      const [iso, org, fresh] = ["iso", "org", "new"].map((key) => stringOf(members, key));
      if (iso?.startsWith("/") && org?.startsWith("/") && fresh?.startsWith("/")) {
        this.#checkLength(iso, at);
        return [{ iso, org, new: fresh, line: this.#lineOf(at) }];
      }
      this.#say(at, '"iso", "org" and "new" have to be there and begin with /; Ventoy passes over the entry');
      return [];
    });
  }

  #passwords(part: VentoyMember | undefined): VentoyConfig["passwords"] {
    const { passwords: none } = emptyVentoyConfig;
    if (part?.value.type !== "object") {
      if (part !== undefined) this.#say(part.value.at, `"${readable(part.name)}" is no object { … }`);
      return none;
    }
    let { boot } = none;
    const byEnding = new Map<string, VentoyPassword>();
    const rules: VentoyRule<VentoyPassword>[] = [];
    for (const member of part.value.members) {
      const name = readable(member.name);
      const ending = PASSWORD_ENDINGS.find((one) => name === `${one}pwd`);
      if (name === "menupwd") {
        rules.push(
          ...this.#rules(
            member,
            ["file", "parent"],
            (entry, at) => {
              const text = stringOf(entry, "pwd");
              return text === undefined ? undefined : (this.#password(text, at) ?? "told");
            },
            'a "pwd"',
          ),
        );
      } else if (name === "bootpwd" || ending !== undefined) {
        const password = member.value.type === "string" ? this.#password(member.value.value, member.value.at) : undefined;
        if (password === undefined) continue;
        if (ending === undefined) boot = password;
        else byEnding.set(ending, password);
      }
    }
    return { boot, byEnding, rules };
  }

  #password(text: ByteText, at: number): VentoyPassword | undefined {
    const password = passwordOf(text);
    if (password === undefined) this.#say(at, "this is no password that Ventoy reads: txt#…, md5#… or md5#SALT#…, of at most 64 letters");
    return password;
  }

  /** The list that Ventoy comes upon last stands in for the other: those of its mode come before the plain ones. */
  #imageList(parts: ReadonlyMap<Plugin, VentoyMember>): VentoyConfig["imageList"] {
    let last: VentoyConfig["imageList"];
    for (const [plugin, member] of parts) {
      if (plugin !== "image_list" && plugin !== "image_blacklist") continue;
      if (member.value.type !== "array") {
        this.#say(member.value.at, `"${readable(member.name)}" is no list [ … ]`);
        continue;
      }
      if (last !== undefined) this.#say(member.at, `"${readable(member.name)}" stands in for the other list of images`);
      last = { mode: plugin === "image_list" ? "only" : "hide", rules: this.#paths(member) };
    }
    return last;
  }

  #paths(part: VentoyMember | undefined): readonly VentoyRule<true>[] {
    if (part === undefined) return [];
    if (part.value.type !== "array") {
      this.#say(part.value.at, `"${readable(part.name)}" is no list [ … ]`);
      return [];
    }
    return part.value.items.flatMap((item) => {
      if (item.type !== "string") return [];
      this.#checkLength(item.value, item.at);
      return [{ scope: "image" as const, path: item.value, line: this.#lineOf(item.at), value: true as const }];
    });
  }

  /** Entries with a path under the first of `keys` that is there; `readValue` gives `told` where it has said what is wrong. */
  #rules<Value>(
    part: VentoyMember | undefined,
    keys: readonly ("image" | "file" | "parent" | "dir")[],
    readValue: (entry: Members, at: number) => Value | "told" | undefined,
    expected: string,
  ): readonly VentoyRule<Value>[] {
    return this.#objects(part).flatMap(({ members, at }) => {
      const key = keys.find((one) => stringOf(members, one) !== undefined);
      const path = key === undefined ? undefined : stringOf(members, key);
      const value = readValue(members, at);
      if (value === "told") return [];
      if (key === undefined || path?.startsWith("/") !== true || value === undefined) {
        const needed = `${keys.map((one) => `"${one}"`).join(" or ")} with a path that begins with /, and ${expected}`;
        this.#say(at, `expected ${needed}; Ventoy passes over the entry`);
        return [];
      }
      this.#checkLength(path, at);
      return [{ scope: key === "file" ? "image" : key, path, line: this.#lineOf(at), value: value as Value }];
    });
  }

  #objects(part: VentoyMember | undefined): readonly { readonly members: Members; readonly at: number }[] {
    if (part === undefined) return [];
    if (part.value.type !== "array") {
      this.#say(part.value.at, `"${readable(part.name)}" is no list [ … ]`);
      return [];
    }
    return part.value.items.flatMap((item) => {
      if (item.type === "object") return [{ members: item.members, at: item.at }];
      this.#say(item.at, "expected an object { … }; Ventoy passes over it");
      return [];
    });
  }

  #texts(value: VentoyValue): readonly ByteText[] {
    return value.type === "array" ? value.items.flatMap((item) => (item.type === "string" ? [item.value] : [])) : [];
  }

  #checkLength(path: ByteText, at: number): void {
    if (path.length > PATH_BYTES_MAX) this.#say(at, `a path of more than ${PATH_BYTES_MAX} bytes: Ventoy finds no image by it`);
  }

  #say(at: number, message: string): void {
    this.#found.push({ at, message });
  }

  #lineOf(at: number): number {
    let [low, high] = [0, this.#lines.length];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.#lines[middle]! <= at) low = middle;
      else high = middle;
    }
    return low + 1;
  }
}

const isKnownKey = (name: string): boolean =>
  PLUGINS.some((plugin) => name === plugin || VENTOY_MODES.some((mode) => name === `${plugin}_${mode}`));

function stringOf(members: Members, key: string): ByteText | undefined {
  for (const { name, value } of members) if (name === byteText(key) && value.type === "string") return value.value;
  return undefined;
}

/** As a C int of 32 bits. */
function numberOf(members: Members, key: string): number | undefined {
  for (const { name, value } of members)
    if (name === byteText(key) && value.type === "number") return Number(BigInt.asIntN(32, value.value));
  return undefined;
}

/** `txt#TEXT`, `md5#32 digits`, `md5#SALT#32 digits`. */
export function passwordOf(text: ByteText): VentoyPassword | undefined {
  if (text.length > PASSWORD_LETTERS_MAX) return undefined;
  if (text.startsWith("txt#")) return { type: "text", text: text.slice(4) as ByteText };
  const plain = /^md5#([0-9a-f]{32})$/is.exec(text);
  if (plain !== null) return { type: "md5", salt: byteText(""), hex: plain[1]!.toLowerCase() };
  const salted = /^md5#([^#]*)#([0-9a-f]{32})$/is.exec(text);
  return salted === null ? undefined : { type: "md5", salt: salted[1] as ByteText, hex: salted[2]!.toLowerCase() };
}

/**
 * The two ways in which Ventoy compares a pattern with a path. `whole`: `*` stands for any byte, everywhere. `but-last`: the same, but the last
 * byte of the pattern is compared as it is, so that a `*` there means itself.
 */
export type PathMatch = "whole" | "but-last";

export function matchesVentoyPath(pattern: ByteText, path: ByteText, match: PathMatch): boolean {
  if (pattern.length !== path.length || pattern.length === 0 || pattern.length > PATH_BYTES_MAX) return false;
  const last = pattern.length - 1;
  for (let at = 0; at <= last; at += 1) {
    if (pattern[at] === path[at]) continue;
    if (pattern[at] !== "*" || (match === "but-last" && at === last)) return false;
  }
  return true;
}

/** The file stands right in that folder, which is written without a `/` at its end (`/` alone for the root). */
export function isVentoyParent(folder: ByteText, path: ByteText): boolean {
  if (folder.length >= path.length || folder.length > PATH_BYTES_MAX) return false;
  if (folder.length === 1) return folder === "/" && !path.includes("/", 1);
  if (path[folder.length] !== "/" || path.includes("/", folder.length + 1)) return false;
  return matchesVentoyPath(folder, path.slice(0, folder.length) as ByteText, "but-last");
}

export interface Lookup {
  readonly match: PathMatch;
  /** Of several entries that speak of an image the first or the last. */
  readonly wins: "first" | "last";
}

/** How each plugin looks for the entry of an image. */
export const VENTOY_LOOKUPS = {
  autoInstall: { match: "whole", wins: "last" },
  persistence: { match: "whole", wins: "last" },
  injection: { match: "whole", wins: "last" },
  menuAlias: { match: "whole", wins: "last" },
  menuTip: { match: "whole", wins: "last" },
  dud: { match: "but-last", wins: "last" },
  password: { match: "but-last", wins: "first" },
} as const satisfies Readonly<Record<string, Lookup>>;

/** The entry that speaks of the image: one that names it before one that names its folder. */
export function ruleFor<Value>(
  rules: readonly VentoyRule<Value>[],
  path: ByteText,
  { match, wins }: Lookup,
): VentoyRule<Value> | undefined {
  const ordered = wins === "first" ? rules : rules.toReversed();
  return (
    ordered.find((rule) => rule.scope === "image" && matchesVentoyPath(rule.path, path, match)) ??
    ordered.find((rule) => rule.scope === "parent" && isVentoyParent(rule.path, path))
  );
}

/** The alias or tip of a folder. */
export const ruleForFolder = <Value>(rules: readonly VentoyRule<Value>[], folder: ByteText): VentoyRule<Value> | undefined =>
  rules.findLast((rule) => rule.scope === "dir" && matchesVentoyPath(rule.path, folder, "whole"));

/** So many of `conf_replace` Ventoy takes of one image. */
const REPLACEMENTS_MAX = 2;

export const replacementsFor = (all: readonly VentoyReplacement[], path: ByteText): readonly VentoyReplacement[] =>
  all.filter(({ iso }) => matchesVentoyPath(iso, path, "but-last")).slice(0, REPLACEMENTS_MAX);

/** Entries whose only file is not there are none, and uncover those that stand before them. */
export const usableLists = (
  rules: readonly VentoyRule<VentoyList>[],
  exists: (path: ByteText) => boolean,
): readonly VentoyRule<VentoyList>[] =>
  rules.flatMap((rule) => {
    const paths = rule.value.paths.filter(exists);
    if (!rule.value.listed && paths.length === 0) return [];
    return [{ ...rule, value: { ...rule.value, paths } }];
  });

/**
 * What happens at the boot: Ventoy asks, with "none" among the answers, or `autosel` has chosen. `paths` of a usable list: missing files are left
 * out before `autosel` counts them, and one that counts too far asks.
 */
export function chosenOf({ paths, autosel }: VentoyList): { readonly asks: boolean; readonly path: ByteText | undefined } {
  if (paths.length === 0) return { asks: false, path: undefined };
  if (autosel === undefined || autosel < 0 || autosel > paths.length) return { asks: true, path: undefined };
  return { asks: false, path: autosel === 0 ? undefined : paths[autosel - 1] };
}

/** The password that an image asks for. */
export function passwordFor({ byEnding, rules }: VentoyConfig["passwords"], path: ByteText): VentoyPassword | undefined {
  const dot = path.lastIndexOf(".");
  return ruleFor(rules, path, VENTOY_LOOKUPS.password)?.value ?? (dot === -1 ? undefined : byEnding.get(path.slice(dot + 1).toLowerCase()));
}

export interface VentoyFile {
  readonly path: ByteText;
  readonly sizeBytes: bigint;
}

/** What Ventoy scans, and how deep. */
export interface VentoyScan {
  /** Starts with `/`, without one at its end but for the root. */
  readonly root: ByteText;
  /** Folders in each other below the root; undefined: any number. */
  readonly levels: number | undefined;
}

export function scanOf(control: VentoyConfig["control"]): VentoyScan {
  const root = control.get("VTOY_DEFAULT_SEARCH_ROOT")?.value;
  const levels = control.get("VTOY_MAX_SEARCH_LEVEL")?.value;
  const usable = root?.startsWith("/") === true && root.length > 1 ? (root.replace(/\/+$/, "") as ByteText) : undefined;
  return {
    root: usable === undefined || usable === "" ? byteText("/") : usable,
    levels: levels !== undefined && /^\d{1,9}$/.test(levels) ? Number(levels) : undefined,
  };
}

/** Smaller files are no images to it. */
const IMAGE_BYTES_MIN = 32n << 10n;
const IMAGE_ENDINGS = [
  ["iso", "ISO"],
  ["wim", "WIM"],
  ["vhd", "VHD"],
  ["vhdx", "VHD"],
  ["efi", "EFI"],
  ["img", "IMG"],
  ["vtoy", "VTOY"],
] as const;

/**
 * Those of `files` (that a scan found, folders with `.ventoyignore` left out) that stand in Ventoy's menu, in its order where a list gives one.
 */
export function shownByVentoy(files: readonly VentoyFile[], { control, imageList }: VentoyConfig): readonly VentoyFile[] {
  const isSet = (name: string) => control.get(name)?.value === "1";
  const shown = files.filter(({ path, sizeBytes }) => {
    const name = path.slice(path.lastIndexOf("/") + 1).toLowerCase();
    const ending = IMAGE_ENDINGS.find(([one]) => name.endsWith(`.${one}`));
    if (ending === undefined || sizeBytes < IMAGE_BYTES_MIN || isSet(`VTOY_FILE_FLT_${ending[1]}`)) return false;
    return !(isSet("VTOY_FILT_DOT_UNDERSCORE_FILE") && name.startsWith("._"));
  });
  if (imageList === undefined || imageList.rules.length === 0) return imageList?.mode === "only" ? [] : shown;
  const placeOfImage = (path: ByteText) => imageList.rules.findIndex((rule) => matchesVentoyPath(rule.path, path, "but-last"));
  if (imageList.mode === "hide") return shown.filter(({ path }) => placeOfImage(path) === -1);
  return shown.filter(({ path }) => placeOfImage(path) !== -1).toSorted((a, b) => placeOfImage(a.path) - placeOfImage(b.path));
}
