/**
 * `hiperiso.json` (CONTRACT section 3): JSON with comments and trailing commas.
 *
 * Nothing in the file can stop a boot. What is wrong is reported by line and column and left out, key by key; the rest applies.
 */
import assert from "node:assert/strict";
import { createScanner, findNodeAtLocation, getNodeValue, type Node, type ParseError, parseTree, printParseErrorCode } from "jsonc-parser";
import { PARAMETERS, type SettingName } from "../contract/parameters.ts";
import { printable } from "../formats/escape-terminal.ts";
import { configSchema, MENU_DEPTH_MAX } from "./config-schema.ts";
import { nearestWord } from "./nearest-word.ts";
import type { SettingValue } from "./setting-value.ts";
import type { SettingValues } from "./settings.ts";

export interface ConfigFinding {
  /** The file, as the caller named it. */
  readonly where: string;
  /** From 1. */
  readonly line: number;
  /** From 1, in UTF-16 code units, as editors count. */
  readonly column: number;
  /** `control.default_ram`, `menu_alias[2].iso`; empty for the file as a whole. */
  readonly path: string;
  /** Text from the file in it is already harmless. */
  readonly message: string;
  readonly severity: "error" | "warning";
}

/** What holds of a file, in the words of the program. */
export interface Config {
  readonly control: SettingValues;
  readonly fallbackNoKvm: boolean;
  /** Seconds until the menu boots its default entry. */
  readonly menuTimeoutS: number;
  readonly menu: MenuConfig;
  readonly theme: { readonly file?: string; readonly gfxmode?: string; readonly gfxpayload?: string };
  readonly menuAlias: readonly { readonly pattern: string; readonly alias: string }[];
  readonly menuTip: readonly { readonly pattern: string; readonly tip: string }[];
  /** In the order of the file: the first that matches holds (`firstMatch` of overrides.ts). */
  readonly isoOverrides: readonly { readonly pattern: string; readonly values: SettingValues }[];
  /** More ways to boot an image, which the menu and the picker offer; the first pattern that matches holds. */
  readonly choices: readonly { readonly pattern: string; readonly entries: readonly BootChoice[] }[];
}

export interface BootChoice {
  readonly name: string;
  /** They stand before those of `isoOverrides`. */
  readonly values: SettingValues;
}

/** What of the menu is chosen in `control`, its timeout aside. */
export interface MenuConfig {
  /** From the data partition's root, without a slash at the end; the root itself is "/". */
  readonly imageFolders: readonly string[];
  /** Folders in each other below those; 0: only what stands in them. */
  readonly imageDepth: number;
  /** Path or glob. */
  readonly defaultImage?: string;
  /** Globs. */
  readonly hiddenImages: readonly string[];
  readonly serial: boolean;
  /** As text, or as GRUB's `password_pbkdf2` takes it. */
  readonly password?: string;
  /** In the order of the file: the first that matches holds. */
  readonly imagePasswords: readonly { readonly pattern: string; readonly password: string }[];
}

export interface ParsedConfig {
  readonly config: Config;
  /** In the order of the file. */
  readonly findings: readonly ConfigFinding[];
}

/** Limits that no real file comes near; they bound time and the parser's recursion. */
export const CONFIG_CHARACTERS_MAX = 1_048_576;
const NESTING_MAX = 32;

export function parseConfig(text: string, where: string): ParsedConfig {
  const reader = new ConfigReader(text, where);
  return { config: reader.config(), findings: reader.findings() };
}

export const emptyConfig: Config = {
  control: {},
  fallbackNoKvm: true,
  menuTimeoutS: 10,
  menu: { imageFolders: ["/ISOs"], imageDepth: MENU_DEPTH_MAX, hiddenImages: [], serial: false, imagePasswords: [] },
  theme: {},
  menuAlias: [],
  menuTip: [],
  isoOverrides: [],
  choices: [],
};

type Key = string | number;
/** What getNodeValue builds. Objects have no prototype: a key `__proto__` is a key like any other. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

class ConfigReader {
  readonly #text: string;
  readonly #where: string;
  readonly #found: { readonly offset: number; readonly finding: ConfigFinding }[] = [];
  /** Offsets at which lines begin. */
  readonly #lines: number[] = [0];

  constructor(text: string, where: string) {
    this.#where = where;
    // A byte order mark is no part of the text; a blank keeps the columns.
    this.#text = text.replace(/^\ufeff/, " ");
    for (let at = this.#text.indexOf("\n"); at !== -1; at = this.#text.indexOf("\n", at + 1)) this.#lines.push(at + 1);
  }

  findings(): ConfigFinding[] {
    return this.#found.sort((one, other) => one.offset - other.offset).map(({ finding }) => finding);
  }

  config(): Config {
    const refused = this.#refusal();
    if (refused !== undefined) {
      this.#report(refused.offset, [], refused.message);
      return emptyConfig;
    }
    const errors: ParseError[] = [];
    const root = parseTree(this.#text, errors, { allowTrailingComma: true });
    for (const { error, offset } of errors) this.#report(offset, [], SYNTAX[printParseErrorCode(error)] ?? "is no JSON");
    if (root === undefined) return emptyConfig;
    this.#reportRepeatedKeys(root);
    return this.#translate(root, this.#withoutFaults(root));
  }

  #refusal(): { readonly offset: number; readonly message: string } | undefined {
    if (this.#text.length > CONFIG_CHARACTERS_MAX) {
      return {
        offset: 0,
        message: `the file is too long: expected at most ${CONFIG_CHARACTERS_MAX} characters, found ${this.#text.length}`,
      };
    }
    const scanner = createScanner(this.#text, true);
    let depth = 0;
    while (scanner.scan() !== SYNTAX_END) {
      const token = this.#text[scanner.getTokenOffset()];
      if (scanner.getTokenLength() !== 1) continue;
      if (token === "{" || token === "[") depth += 1;
      if (token === "}" || token === "]") depth -= 1;
      if (depth > NESTING_MAX)
        return { offset: scanner.getTokenOffset(), message: `is nested deeper than ${NESTING_MAX} levels; the file is not used` };
    }
    return undefined;
  }

  #report(offset: number, path: readonly Key[], message: string, severity: ConfigFinding["severity"] = "error"): void {
    let line = this.#lines.findLastIndex((start) => start <= offset);
    if (line === -1) line = 0;
    const column = offset - this.#lines[line]! + 1;
    this.#found.push({
      offset,
      finding: { where: this.#where, line: line + 1, column, path: printable(pathText(path)), message: printable(message), severity },
    });
  }

  /** JSON takes the last of several equal keys; most people mean one of them. */
  #reportRepeatedKeys(root: Node): void {
    const visit = (node: Node, path: readonly Key[]): void => {
      const seen = new Set<string>();
      for (const [index, child] of (node.children ?? []).entries()) {
        if (node.type === "object") {
          const [keyNode, value] = child.children ?? [];
          const key = keyNode?.value as string;
          if (keyNode !== undefined && seen.has(key))
            this.#report(keyNode.offset, [...path, key], `"${key}" is there twice; the last one holds`, "warning");
          seen.add(key);
          if (value !== undefined) visit(value, [...path, key]);
        } else {
          visit(child, [...path, index]);
        }
      }
    };
    visit(root, []);
  }

  /** The value of the file less everything the schema refuses, each of which is reported. */
  #withoutFaults(root: Node): FileShape {
    const value = getNodeValue(root) as Json;
    const faults = faultsIn(value);
    for (const fault of faults) this.#reportFault(root, value, fault);
    // From the back, so that places in arrays stay true.
    for (const { removed } of faults.toSorted((one, other) => comparePaths(other.removed, one.removed))) removeAt(value, removed);
    const result = configSchema.safeParse(faults.some(({ removed }) => removed.length === 0) ? {} : value);
    assert.ok(result.success, `configSchema reports all faults at once: ${result.error?.message}`);
    return result.data as FileShape;
  }

  #reportFault(root: Node, value: Json, { path, unknownKey, message }: Fault): void {
    const node = findNodeAtLocation(root, [...path]) ?? findNodeAtLocation(root, path.slice(0, -1));
    const found = valueAt(value, path);
    if (unknownKey) this.#report(node?.parent?.offset ?? 0, path, unknownKeyMessage(path));
    else if (found === undefined) this.#report(node?.offset ?? 0, path, `"${path.at(-1)}" is missing`);
    else this.#report(node?.offset ?? 0, path, `${message}, found ${excerpt(found)}`);
  }

  #translate(root: Node, file: FileShape): Config {
    return {
      control: settingValues(file.control ?? {}, "control"),
      fallbackNoKvm: file.control?.fallback_no_kvm ?? emptyConfig.fallbackNoKvm,
      menuTimeoutS: file.control?.timeout ?? emptyConfig.menuTimeoutS,
      menu: menuConfig(file.control ?? {}),
      theme: { ...file.theme },
      menuAlias: (file.menu_alias ?? []).map(({ iso, alias }) => ({ pattern: iso, alias })),
      menuTip: (file.menu_tip ?? []).map(({ iso, tip }) => ({ pattern: iso, tip })),
      isoOverrides: patternsInOrder(root)
        .filter((pattern) => Object.hasOwn(file.iso_overrides ?? {}, pattern))
        .map((pattern) => ({ pattern, values: settingValues(file.iso_overrides![pattern]!, "override") })),
      choices: (file.choices ?? []).map(({ iso, entries }) => ({
        pattern: iso,
        entries: entries.map(({ name, settings }) => ({ name, values: settingValues(settings, "override") })),
      })),
    };
  }
}

/** Keys of `control` that are no settings of a boot. */
interface FileControl {
  readonly fallback_no_kvm?: boolean;
  readonly timeout?: number;
  readonly image_folders?: readonly string[];
  readonly image_depth?: number;
  readonly default_image?: string;
  readonly hidden_images?: readonly string[];
  readonly menu_serial?: boolean;
  readonly menu_password?: string;
  readonly image_passwords?: readonly { readonly iso: string; readonly password: string }[];
}

const CONTROL_KEYS = [
  "fallback_no_kvm",
  "timeout",
  "image_folders",
  "image_depth",
  "default_image",
  "hidden_images",
  "menu_serial",
  "menu_password",
  "image_passwords",
] as const satisfies readonly (keyof FileControl)[];

function menuConfig(control: FileControl): MenuConfig {
  const { menu } = emptyConfig;
  const folders = control.image_folders?.map(
    (folder) =>
      `/${folder
        .split("/")
        .filter((part) => part !== "")
        .join("/")}`,
  );
  return {
    imageFolders: folders === undefined || folders.length === 0 ? menu.imageFolders : [...new Set(folders)],
    imageDepth: control.image_depth ?? menu.imageDepth,
    ...(control.default_image !== undefined && { defaultImage: control.default_image }),
    hiddenImages: control.hidden_images ?? menu.hiddenImages,
    serial: control.menu_serial ?? menu.serial,
    ...(control.menu_password !== undefined && { password: control.menu_password }),
    imagePasswords: (control.image_passwords ?? []).map(({ iso, password }) => ({ pattern: iso, password })),
  };
}

/** What is left when the schema has passed it. */
interface FileShape {
  readonly control?: Readonly<Record<string, unknown>> & FileControl;
  readonly theme?: Config["theme"];
  readonly menu_alias?: readonly { readonly iso: string; readonly alias: string }[];
  readonly menu_tip?: readonly { readonly iso: string; readonly tip: string }[];
  readonly iso_overrides?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
  readonly choices?: readonly {
    readonly iso: string;
    readonly entries: readonly { readonly name: string; readonly settings: Readonly<Record<string, unknown>> }[];
  }[];
}

/** JavaScript puts keys that look like numbers first; the first match wins in the order of the file. */
function patternsInOrder(root: Node): string[] {
  const node = findNodeAtLocation(root, ["iso_overrides"]);
  const keys = node?.type === "object" ? (node.children ?? []).map((property) => property.children?.[0]?.value as string) : [];
  return [...new Set(keys)];
}

function settingValues(section: Readonly<Record<string, unknown>>, key: "control" | "override"): SettingValues {
  const values: Partial<Record<SettingName, SettingValue>> = {};
  for (const row of PARAMETERS) {
    const name = row[key];
    const value = name === undefined ? undefined : section[name];
    if (value !== undefined) values[row.setting] = Array.isArray(value) ? joined(value) : (value as SettingValue);
  }
  return values as SettingValues;
}

/** Lists as the kernel parameter writes them: features with commas, pairs of `conf_replace` with `;;`. */
function joined(list: readonly (string | { readonly org: string; readonly new: string })[]): string {
  return list.every((item) => typeof item === "string")
    ? list.join(",")
    : list.map((item) => (typeof item === "string" ? item : `org=${item.org};new=${item.new}`)).join(";;");
}

interface Fault {
  readonly path: readonly Key[];
  readonly unknownKey: boolean;
  readonly message: string;
  /** What is left out for it: the value, or the whole entry of a list, which is nothing without one of its parts. */
  readonly removed: readonly Key[];
}

function faultsIn(value: Json): Fault[] {
  return (configSchema.safeParse(value).error?.issues ?? []).flatMap((issue): Fault[] => {
    const path = issue.path as Key[];
    if (issue.code === "unrecognized_keys") {
      return issue.keys.map((key) => ({ path: [...path, key], unknownKey: true, message: "", removed: [...path, key] }));
    }
    const entry = path.findLastIndex((key) => typeof key === "number");
    return [{ path, unknownKey: false, message: issue.message, removed: entry === -1 ? path : path.slice(0, entry + 1) }];
  });
}

function unknownKeyMessage(path: readonly Key[]): string {
  const key = String(path.at(-1));
  const meant = nearestWord(key.replace(/^hiperiso_/, ""), keysAt(path.slice(0, -1)));
  return `unknown key "${key}"${meant === undefined ? "" : `; did you mean "${meant}"?`}`;
}

/** The keys that are known at a place, with the names a person may know them by. */
function keysAt(path: readonly Key[]): ReadonlyMap<string, string> {
  const rows = (key: "control" | "override") =>
    PARAMETERS.flatMap((row) => {
      const name = row[key];
      return name === undefined
        ? []
        : [name, row.kernel?.slice("hiperiso_".length), row.alias]
            .filter((word) => word !== undefined)
            .map((word) => [word, name] as const);
    });
  const same = (...names: string[]) => names.map((name) => [name, name] as const);
  switch (path[0]) {
    case undefined:
      return new Map(same("control", "theme", "menu_alias", "menu_tip", "iso_overrides", "choices"));
    case "control":
      return new Map(path.length > 2 ? same("iso", "password") : [...rows("control"), ...same(...CONTROL_KEYS)]);
    case "iso_overrides":
      return new Map(path.length > 2 ? same("org", "new") : rows("override"));
    case "theme":
      return new Map(same("file", "gfxmode", "gfxpayload"));
    case "choices":
      return path.includes("settings")
        ? new Map(path.includes("conf_replace") ? same("org", "new") : rows("override"))
        : new Map(same("iso", "entries", "name", "settings"));
    default:
      return new Map(same("iso", path[0] === "menu_tip" ? "tip" : "alias"));
  }
}

function valueAt(value: Json, path: readonly Key[]): Json | undefined {
  return path.reduce<Json | undefined>(
    (inner, key) => (inner !== null && typeof inner === "object" ? (inner as Record<Key, Json>)[key] : undefined),
    value,
  );
}

/** Takes the value at `path` away, unless it is gone with what held it. */
function removeAt(value: Json, path: readonly Key[]): void {
  const holder = valueAt(value, path.slice(0, -1));
  const key = path.at(-1);
  if (Array.isArray(holder)) holder.splice(Number(key), 1);
  else if (holder !== undefined && holder !== null && typeof holder === "object" && key !== undefined) delete holder[key];
}

function comparePaths(one: readonly Key[], other: readonly Key[]): number {
  for (const [index, key] of one.entries()) {
    const against = other[index];
    if (against === undefined) return 1;
    if (typeof key === "number" && typeof against === "number" && key !== against) return key - against;
    if (key !== against) return String(key) < String(against) ? -1 : 1;
  }
  return one.length - other.length;
}

function pathText(path: readonly Key[]): string {
  return path
    .map((key, index) => (typeof key === "number" ? `[${key}]` : /^\w+$/.test(key) ? `${index === 0 ? "" : "."}${key}` : `["${key}"]`))
    .join("");
}

function excerpt(value: Json): string {
  const text = JSON.stringify(value) ?? "nothing";
  return text.length <= 60 ? text : `${[...text].slice(0, 57).join("")}…`;
}

/** jsonc-parser's SyntaxKind.EOF, a const enum that cannot be imported here. */
const SYNTAX_END = 17;

const SYNTAX: Readonly<Record<string, string>> = {
  InvalidSymbol: "is no JSON: text has to stand in double quotes",
  InvalidNumberFormat: "is no number",
  PropertyNameExpected: "expected a key in double quotes",
  ValueExpected: "expected a value",
  ColonExpected: 'expected ":" between key and value',
  CommaExpected: 'expected "," before this',
  CloseBraceExpected: 'expected "}"',
  CloseBracketExpected: 'expected "]"',
  EndOfFileExpected: "expected nothing more behind the object",
  InvalidCommentToken: "is no comment: // or /* … */",
  UnexpectedEndOfComment: "the comment never ends",
  UnexpectedEndOfString: "the text never ends: expected a double quote in this line",
  UnexpectedEndOfNumber: "the number is not complete",
  InvalidUnicode: "expected four hexadecimal digits behind \\u",
  InvalidEscapeCharacter: "is no escape: write \\\\ for a backslash",
  InvalidCharacter: "a control character has to be written as an escape",
};
