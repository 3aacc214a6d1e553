/**
 * What a Ventoy stick's `ventoy.json` says, as a `hiperiso.json`: a pure function of the file as Ventoy takes it and of what is on the stick, with a
 * line for each thing that was taken over, in part or not at all.
 *
 * For images that are there the result is exactly what Ventoy would do. For those that come later its patterns and folders stand in the file too, as
 * globs: there `*` of Ventoy, one byte, has become `?`, one letter.
 */
import { posix } from "node:path";
import { firstMatch, matchesPath } from "../../config/overrides.ts";
import { isPlainText } from "../../config/setting-value.ts";
import {
  chosenOf,
  passwordFor,
  replacementsFor,
  ruleFor,
  ruleForFolder,
  scanOf,
  shownByVentoy,
  usableLists,
  VENTOY_LOOKUPS,
  type VentoyConfig,
  type VentoyFile,
  type VentoyList,
  type VentoyPassword,
  type VentoyRule,
} from "../../config/ventoy-json.ts";
import { type ByteText, byteText, readable } from "../../formats/byte-text.ts";
import { IMAGE_EXTENSIONS, isImageName } from "../image-sources.ts";

export type Outcome = "taken" | "partly" | "left";

export interface TakeoverLine {
  /** Key in `ventoy.json`. */
  readonly plugin: string;
  /** Line of the file, from 1; null where it is about several or none. */
  readonly line: number | null;
  readonly outcome: Outcome;
  /** What it is about. Text from the file is in it: escape it where it is printed. */
  readonly what: string;
  /** Why not, or in what it differs; null where there is nothing to say. */
  readonly why: string | null;
}

export interface VentoyFacts {
  readonly config: VentoyConfig;
  /** All files of the partition that end like images, those in folders with `.ventoyignore` left out. */
  readonly files: readonly VentoyFile[];
  /** Folders that hold a `.ventoyignore`. */
  readonly ignored: readonly string[];
  /** Of the paths that `referencedPaths` names: is there such a file. */
  readonly exists: (path: ByteText) => boolean;
}

/** Keys of `iso_overrides`. */
export type Overrides = Readonly<Record<string, unknown>>;

/** As it stands in `hiperiso.json`; the schema is `config/config-schema.ts`. */
export interface TranslatedConfig {
  readonly control?: Readonly<Record<string, unknown>>;
  readonly theme?: Readonly<Record<string, string>>;
  readonly menu_alias?: readonly { readonly iso: string; readonly alias: string }[];
  readonly menu_tip?: readonly { readonly iso: string; readonly tip: string }[];
  readonly iso_overrides?: Readonly<Record<string, Overrides>>;
  readonly choices?: readonly { readonly iso: string; readonly entries: readonly TranslatedChoice[] }[];
}

export interface TranslatedChoice {
  readonly name: string;
  readonly settings: Overrides;
}

export interface Translation {
  readonly config: TranslatedConfig;
  readonly lines: readonly TakeoverLine[];
  /** What Ventoy's menu shows. */
  readonly shown: readonly VentoyFile[];
}

/** Whose being there decides what counts. */
export function referencedPaths({ autoInstall, persistence, dud, theme }: VentoyConfig): readonly ByteText[] {
  const lists = [...autoInstall, ...persistence, ...dud].flatMap(({ value }) => value.paths);
  return [...new Set([...lists, ...(theme?.files.map(themePath) ?? [])])];
}

const themePath = (file: ByteText): ByteText => (file.startsWith("/") ? file : (`/ventoy/${file}` as ByteText));

/** A path as a glob that means it alone, or undefined where no text can: bytes that are not UTF-8, control characters. */
export function literalGlob(path: ByteText): string | undefined {
  const text = textOf(path);
  return text?.replace(/[\\*?[]/g, "\\$&");
}

/** A pattern of Ventoy as a glob. */
export function patternGlob(pattern: ByteText): string | undefined {
  return textOf(pattern)
    ?.replace(/[\\?[]/g, "\\$&")
    .replaceAll("*", "?");
}

/** Undefined where a `hiperiso.json` cannot hold it. */
function textOf(path: ByteText): string | undefined {
  const text = readable(path);
  return byteText(text) === path && isPlainText(text) ? text : undefined;
}

export function translateVentoy(facts: VentoyFacts): Translation {
  return new Translator(facts).translate();
}

/** More entries than that of one image nobody picks from. */
const CHOICES_MAX = 15;
const NAMES_SHOWN = 5;
/** Longer than any pattern may be: a file that only rules for its folder speak of. */
const NAMELESS = byteText("\u{10ffff}".repeat(64));

interface ImageSettings {
  readonly base: Overrides;
  readonly choices: readonly TranslatedChoice[];
}

/** What a rule says of images that are not there yet: `sample` is a path that stands for all that it speaks of. */
interface General {
  readonly glob: string;
  readonly sample: ByteText;
}

class Translator {
  readonly #facts: VentoyFacts;
  readonly #lines: TakeoverLine[] = [];
  readonly #shown: readonly VentoyFile[];
  /** Those of `#shown` that hiperiso boots and a `hiperiso.json` can name. */
  readonly #images: readonly { readonly path: ByteText; readonly text: string }[];
  readonly #lists: Readonly<Record<"autoInstall" | "persistence" | "dud", readonly VentoyRule<VentoyList>[]>>;

  constructor(facts: VentoyFacts) {
    const { config, exists } = facts;
    this.#facts = facts;
    const { root, levels } = scanOf(config.control);
    const scanned = facts.files.filter(({ path }) => isBelow(path, root, levels));
    this.#shown = shownByVentoy(scanned, config);
    this.#images = this.#shown.flatMap(({ path }) => {
      const text = textOf(path);
      return text === undefined || !isImageName(posix.basename(text)) ? [] : [{ path, text }];
    });
    this.#lists = {
      autoInstall: usableLists(config.autoInstall, exists),
      persistence: usableLists(config.persistence, exists),
      dud: usableLists(config.dud, exists),
    };
  }

  translate(): Translation {
    const passwords = this.#passwords();
    const control = { ...this.#control(), ...passwords.control };
    const hidden = [...this.#hidden(), ...passwords.hidden];
    const { overrides, choices } = this.#overrides();
    const [aliases, tips, theme] = [this.#aliases(), this.#tips(), this.#theme()];
    this.#tellUnbootable();
    for (const { key, line, entries } of this.#facts.config.others) {
      const why = key.startsWith("menu_class")
        ? "pictures of entries are part of Ventoy's themes"
        : "such a script is for Ventoy's own boot loader";
      this.#tell("left", key, line, counted(entries, "entry", "entries"), why);
    }
    const config: TranslatedConfig = {
      control: { ...control, ...(hidden.length > 0 && { hidden_images: [...new Set(hidden)] }) },
      ...(theme !== undefined && { theme }),
      ...(aliases.length > 0 && { menu_alias: aliases }),
      ...(tips.length > 0 && { menu_tip: tips }),
      ...(overrides.length > 0 && { iso_overrides: Object.fromEntries(overrides) }),
      ...(choices.length > 0 && { choices }),
    };
    return { config, lines: this.#lines, shown: this.#shown };
  }

  #tell(outcome: Outcome, plugin: string, line: number | null, what: string, why: string | null = null): void {
    this.#lines.push({ plugin, line, outcome, what, why });
  }

  /** For images that are there what Ventoy does with each, and before all the rules for those to come where they say nothing else of one that is there. */
  #entries<Value>(
    rules: readonly General[],
    readValue: (path: ByteText) => Value | undefined,
  ): readonly { readonly pattern: string; readonly value: Value }[] {
    const general = rules.flatMap(({ glob, sample }) => {
      const value = readValue(sample);
      return value === undefined ? [] : [{ pattern: glob, value }];
    });
    // A letter is not a byte: where a glob speaks of an image that Ventoy's pattern passes over, it is given up.
    const sound = general.filter(({ pattern }) =>
      this.#images.every(({ path, text }) => !matchesPath(pattern, text) || readValue(path) !== undefined),
    );
    const own = this.#images.flatMap(({ path, text }) => {
      const value = readValue(path);
      if (value === undefined || same(firstMatch(sound, text)?.value, value)) return [];
      return [{ pattern: literalGlob(path)!, value }];
    });
    const all = [...own, ...sound];
    return all.filter(({ pattern }, index) => all.findIndex((other) => other.pattern === pattern) === index);
  }

  #overrides(): {
    readonly overrides: readonly (readonly [string, Overrides])[];
    readonly choices: NonNullable<TranslatedConfig["choices"]>;
  } {
    const { config } = this.#facts;
    const all = [...this.#lists.autoInstall, ...this.#lists.persistence, ...this.#lists.dud, ...config.injection, ...config.autoMemdisk];
    const general = generalOf([...all, ...config.confReplace.map(({ iso, line }) => ({ scope: "image" as const, path: iso, line }))]);
    const base = this.#entries(general, (path) => nonEmpty(this.#settingsOf(path).base));
    const choices = this.#entries(general, (path) => {
      const entries = this.#settingsOf(path).choices;
      return entries.length === 0 ? undefined : entries;
    });
    this.#tellLists();
    this.#tellOthers();
    return {
      overrides: base.map(({ pattern, value }) => [pattern, value] as const),
      choices: choices.map(({ pattern, value }) => ({ iso: pattern, entries: value })),
    };
  }

  /** All that Ventoy hands to this image. */
  #settingsOf(path: ByteText): ImageSettings {
    const { config } = this.#facts;
    const base: Record<string, unknown> = {};
    const questions: { readonly key: string; readonly answers: readonly (string | undefined)[] }[] = [];
    for (const [key, plugin] of [["auto_install", "autoInstall"], ["persistence", "persistence"]] as const) {
      const list = ruleFor(this.#lists[plugin], path, VENTOY_LOOKUPS[plugin])?.value;
      if (list === undefined) continue;
      const chosen = chosenOf(list);
      const text = chosen.path === undefined ? undefined : textOf(chosen.path);
      if (text !== undefined) base[key] = text;
      if (chosen.asks) questions.push({ key, answers: [undefined, ...textsOf(list.paths)] });
    } // biome-ignore format: a table
    const duds = textsOf(ruleFor(this.#lists.dud, path, VENTOY_LOOKUPS.dud)?.value.paths ?? []);
    if (duds.length > 0) base["dud"] = duds[0];
    if (duds.length > 1) questions.push({ key: "dud", answers: duds });
    const archive = ruleFor(config.injection, path, VENTOY_LOOKUPS.injection)?.value;
    const injection = archive === undefined ? undefined : injectionOf(archive);
    if (injection !== undefined) base["injection"] = injection;
    const replaced = replacementsFor(config.confReplace, path).flatMap(({ org, new: fresh }) => {
      const [from, to] = [textOf(org), textOf(fresh)];
      return from === undefined || to === undefined || `${from}${to}`.includes(";") ? [] : [{ org: from, new: to }];
    });
    if (replaced.length > 0) base["conf_replace"] = replaced;
    if (config.autoMemdisk.length > 0 && ruleFor(config.autoMemdisk, path, { match: "but-last", wins: "last" }) !== undefined)
      base["boot_mode"] = "memdisk";
    return { base, choices: choicesOf(questions) };
  }

  #tellLists(): void {
    const { config } = this.#facts;
    for (const [key, rules, usable] of [
      ["auto_install", config.autoInstall, this.#lists.autoInstall],
      ["persistence", config.persistence, this.#lists.persistence],
    ] as const) {
      for (const rule of rules) {
        const list = usable.find(({ line, path }) => line === rule.line && path === rule.path)?.value;
        const what = `${scopeText(rule)}${readable(rule.path)}`;
        const missing = rule.value.paths.filter((path) => !this.#facts.exists(path)).map(readable);
        const lost = missing.length === 0 ? "" : `; not there, and left out: ${missing.join(", ")}`;
        if (textOf(rule.path) === undefined) this.#tell("left", key, rule.line, what, NO_TEXT);
        else if (list === undefined || list.paths.length === 0)
          this.#tell("left", key, rule.line, what, `its files are not there: ${missing.join(", ")}`);
        else if (chosenOf(list).asks) {
          const entries = counted(list.paths.length, "entry", "entries");
          this.#tell("taken", key, rule.line, what, `Ventoy asks: ${entries} of the image's menu, and one without${lost}`);
        } else this.#tell(lost === "" ? "taken" : "partly", key, rule.line, what, lost === "" ? null : lost.slice(2));
      }
    }
  }

  #tellOthers(): void {
    const { config } = this.#facts;
    for (const rule of config.dud) {
      const there = this.#lists.dud.find(({ line, path }) => line === rule.line && path === rule.path)?.value.paths ?? [];
      const what = readable(rule.path);
      if (textOf(rule.path) === undefined) this.#tell("left", "dud", rule.line, what, NO_TEXT);
      else if (there.length === 0) this.#tell("left", "dud", rule.line, what, "its files are not there");
      else if (there.length === 1) this.#tell("taken", "dud", rule.line, what);
      else
        this.#tell(
          "partly",
          "dud",
          rule.line,
          what,
          "Ventoy hands over all disks, hiperiso one: the first, the others are entries of the image's menu",
        );
    }
    for (const rule of config.injection) {
      const what = `${scopeText(rule)}${readable(rule.path)}: ${readable(rule.value)}`;
      if (textOf(rule.path) === undefined) this.#tell("left", "injection", rule.line, what, NO_TEXT);
      else if (injectionOf(rule.value) === undefined)
        this.#tell("left", "injection", rule.line, what, "hiperiso takes .tar.gz archives only");
      else this.#tell("taken", "injection", rule.line, what);
    }
    for (const { iso, org, new: fresh, line } of config.confReplace) {
      const what = `${readable(iso)}: ${readable(org)}`;
      const usable = [iso, org, fresh].every((path) => textOf(path) !== undefined) && !`${org}${fresh}`.includes(";");
      this.#tell(usable ? "taken" : "left", "conf_replace", line, what, usable ? null : "a path with a semicolon, or that is no text");
    }
    for (const { path, line } of config.autoMemdisk) {
      const usable = textOf(path) !== undefined;
      this.#tell(usable ? "taken" : "left", "auto_memdisk", line, readable(path), usable ? null : NO_TEXT);
    }
  }

  #aliases(): NonNullable<TranslatedConfig["menu_alias"]> {
    return this.#named("menu_alias", this.#facts.config.menuAlias, VENTOY_LOOKUPS.menuAlias, textOf).map(({ pattern, value }) => ({
      iso: pattern,
      alias: value,
    }));
  }

  #tips(): NonNullable<TranslatedConfig["menu_tip"]> {
    return this.#named("menu_tip", this.#facts.config.menuTip, VENTOY_LOOKUPS.menuTip, tipText).map(({ pattern, value }) => ({
      iso: pattern,
      tip: value,
    }));
  }

  #named<Value>(
    plugin: string,
    rules: readonly VentoyRule<Value>[],
    lookup: (typeof VENTOY_LOOKUPS)["menuAlias"],
    nameOf: (value: Value) => string | undefined,
  ): readonly { readonly pattern: string; readonly value: string }[] {
    const named = this.#entries(generalOf(rules), (path) => {
      const value = ruleFor(rules, path, lookup)?.value;
      return value === undefined ? undefined : nameOf(value);
    });
    // A folder has a name by an entry that writes it out, and no line of help.
    const whyNoFolder = ({ path }: VentoyRule<Value>): string | null =>
      plugin === "menu_tip"
        ? "hiperiso's menu has no line of help for a folder"
        : path.includes("*")
          ? "a folder has to be written out"
          : null;
    const folders = rules.flatMap((rule) => {
      if (rule.scope !== "dir" || whyNoFolder(rule) !== null || ruleForFolder(rules, rule.path) !== rule) return [];
      const [pattern, value] = [literalGlob(rule.path), nameOf(rule.value)];
      return pattern === undefined || value === undefined ? [] : [{ pattern, value }];
    });
    for (const rule of rules) {
      const isText = textOf(rule.path) !== undefined && nameOf(rule.value) !== undefined;
      const why = !isText ? NO_TEXT : rule.scope === "dir" ? whyNoFolder(rule) : null;
      const what = `${rule.scope === "dir" ? "folder " : ""}${readable(rule.path)}`;
      this.#tell(why === null ? "taken" : "left", plugin, rule.line, what, why);
    }
    return [...named, ...folders];
  }

  #control(): Readonly<Record<string, unknown>> {
    const { control } = this.#facts.config;
    const { root, levels } = scanOf(control);
    const folder = textOf(root);
    const result: Record<string, unknown> = { image_folders: [folder ?? "/"] };
    if (levels !== undefined) result["image_depth"] = Math.min(levels, DEPTH_MAX);
    for (const [name, { value, line }] of control) {
      const text = textOf(value);
      const what = `${name}: ${readable(value)}`;
      if (name === "VTOY_MENU_TIMEOUT") {
        const seconds = /^\d{1,6}$/.test(value) ? Number(value) : undefined;
        const usable = seconds !== undefined && seconds <= TIMEOUT_S_MAX;
        if (usable) result["timeout"] = seconds;
        this.#tell(usable ? "taken" : "left", "control", line, what, usable ? null : `expected 0 to ${TIMEOUT_S_MAX} seconds`);
      } else if (name === "VTOY_DEFAULT_IMAGE") {
        const isImage = text?.startsWith("/") === true && isImageName(posix.basename(text));
        if (isImage) result["default_image"] = literalGlob(value);
        this.#tell(
          isImage ? "taken" : "left",
          "control",
          line,
          what,
          isImage ? null : "this is no image that hiperiso boots, but something of Ventoy's own menu",
        );
      } else if (name === "VTOY_DEFAULT_SEARCH_ROOT") {
        const usable = value.startsWith("/") && folder !== undefined;
        this.#tell(usable ? "taken" : "left", "control", line, what, usable ? null : "this is no folder");
      } else if (name === "VTOY_MAX_SEARCH_LEVEL") {
        const tooDeep = levels !== undefined && levels > DEPTH_MAX;
        if (levels === undefined)
          this.#tell(value === "max" ? "taken" : "left", "control", line, what, value === "max" ? null : "this is no number");
        else
          this.#tell(
            tooDeep ? "partly" : "taken",
            "control",
            line,
            what,
            tooDeep ? `hiperiso's menu goes ${DEPTH_MAX} folders deep` : null,
          );
      } else if (/^VTOY_FILE_FLT_(?:ISO|IMG)$/.test(name) || name === "VTOY_FILT_DOT_UNDERSCORE_FILE")
        this.#tell("taken", "control", line, what);
      else {
        const reason = CONTROL_REASONS.find(([pattern]) => pattern.test(name))?.[1];
        this.#tell("left", "control", line, what, reason ?? "hiperiso has nothing like it");
      }
    }
    const deepest = Math.max(
      0,
      ...this.#images.map(({ text }) => text.split("/").length - 2 - (folder === "/" ? 0 : (folder ?? "").split("/").length - 1)),
    );
    if (levels === undefined && deepest > DEPTH_MAX)
      this.#tell("partly", "control", null, "images in deep folders", `hiperiso's menu goes ${DEPTH_MAX} folders deep`);
    return result;
  }

  /** Globs of what hiperiso would show and Ventoy does not. */
  #hidden(): readonly string[] {
    const { config, files, ignored } = this.#facts;
    const hidden: string[] = [];
    for (const folder of ignored) {
      const glob = literalGlob(byteText(folder));
      if (glob !== undefined && glob !== "/hiperiso") hidden.push(`${glob === "/" ? "" : glob}/**`);
    }
    for (const [ending, name] of [["iso", "ISO"], ["img", "IMG"]] as const)
      if (config.control.get(`VTOY_FILE_FLT_${name}`)?.value === "1") hidden.push(anyCaseEnding(ending)); // biome-ignore format: a table
    const { imageList } = config;
    if (imageList?.mode === "hide") {
      for (const { path, line } of imageList.rules) {
        const glob = patternGlob(path);
        if (glob !== undefined && !this.#images.some(({ text }) => matchesPath(glob, text))) hidden.push(glob);
        this.#tell(glob === undefined ? "left" : "taken", "image_blacklist", line, readable(path), glob === undefined ? NO_TEXT : null);
      }
    } else if (imageList !== undefined) {
      const what = `${counted(imageList.rules.length, "image")}, and no other`;
      this.#tell(
        "partly",
        "image_list",
        imageList.rules[0]?.line ?? null,
        what,
        "the others that are there are hidden; images that come later are shown, and the order is by name",
      );
    }
    const shown = new Set(this.#shown.map(({ path }) => path));
    for (const { path, sizeBytes } of files) {
      const glob = literalGlob(path);
      const text = textOf(path);
      if (glob === undefined || text === undefined || shown.has(path) || sizeBytes === 0n) continue;
      if (isImageName(posix.basename(text)) && !/\.raw$/i.test(text) && !hidden.some((one) => matchesPath(one, text))) hidden.push(glob);
    }
    return hidden;
  }

  #theme(): TranslatedConfig["theme"] {
    const { config, exists } = this.#facts;
    const { theme } = config;
    if (theme === undefined) return undefined;
    const there = theme.files.map(themePath).filter(exists);
    const number = theme.defaultFile ?? 0;
    const chosen = theme.listed && number >= 1 && number <= there.length ? there[number - 1] : there[0];
    const file = chosen === undefined ? undefined : textOf(chosen);
    if (theme.files.length > 0) {
      const byChance = theme.listed && there.length > 1 && (number < 1 || number > there.length);
      const what = theme.files.map(readable).join(", ");
      if (file === undefined) this.#tell("left", "theme", theme.line, what, "its files are not there");
      else
        this.#tell(
          byChance ? "partly" : "taken",
          "theme",
          theme.line,
          what,
          byChance ? `Ventoy takes one by chance, hiperiso the first: ${file}` : null,
        );
    }
    const mode = theme.gfxmode === "max" ? "auto" : theme.gfxmode === undefined ? undefined : textOf(theme.gfxmode);
    if (theme.gfxmode !== undefined)
      this.#tell(mode === undefined ? "left" : "taken", "theme", theme.line, `gfxmode: ${readable(theme.gfxmode)}`);
    if (theme.others.length > 0) this.#tell("left", "theme", theme.line, theme.others.join(", "), "these are Ventoy's own");
    const result = { ...(file !== undefined && { file }), ...(mode !== undefined && { gfxmode: mode }) };
    return Object.keys(result).length === 0 ? undefined : result;
  }

  /** An image whose password cannot be taken over is hidden: it must not be open to everybody by way of another menu. */
  #passwords(): { readonly control: Readonly<Record<string, unknown>>; readonly hidden: readonly string[] } {
    const { passwords } = this.#facts.config;
    const { boot, byEnding, rules } = passwords;
    const usable = (password: VentoyPassword) => (password.type === "text" ? textOf(password.text) : undefined);
    const why = "a password as MD5 cannot be turned into one that GRUB knows";
    if (boot !== undefined) {
      const taken = usable(boot) !== undefined;
      this.#tell(
        taken ? "taken" : "left",
        "password",
        null,
        "bootpwd",
        taken ? null : `${why}; Ventoy asks for it before its menu is there at all`,
      );
    }
    for (const rule of rules) {
      const taken = usable(rule.value) !== undefined;
      this.#tell(
        taken ? "taken" : "left",
        "password",
        rule.line,
        `${scopeText(rule)}${readable(rule.path)}`,
        taken ? null : `${why}: hidden in hiperiso's menu`,
      );
    }
    for (const [ending, password] of byEnding) {
      const taken = usable(password) !== undefined;
      this.#tell(
        taken ? "taken" : "left",
        "password",
        null,
        `${ending}pwd`,
        taken ? null : `${why}: such images are hidden in hiperiso's menu`,
      );
    }
    const endings = [...byEnding.keys()].map(
      (ending): General => ({ glob: anyCaseEnding(ending), sample: `/${NAMELESS}.${ending}` as ByteText }),
    );
    const asked = this.#entries([...generalOf(rules), ...endings], (path) => {
      const password = passwordFor(passwords, path);
      return password === undefined ? undefined : { text: usable(password) };
    });
    const bootText = boot === undefined ? undefined : usable(boot);
    const known = asked.flatMap(({ pattern, value }) => (value.text === undefined ? [] : [{ iso: pattern, password: value.text }]));
    return {
      control: { ...(bootText !== undefined && { menu_password: bootText }), ...(known.length > 0 && { image_passwords: known }) },
      hidden: this.#images.flatMap(({ path }) => {
        const password = passwordFor(passwords, path);
        return password !== undefined && usable(password) === undefined ? [literalGlob(path)!] : [];
      }),
    };
  }

  #tellUnbootable(): void {
    const others = this.#shown.map(({ path }) => readable(path)).filter((path) => !isImageName(posix.basename(path)));
    if (others.length === 0) return;
    const names = others.length > NAMES_SHOWN ? [...others.slice(0, NAMES_SHOWN), "…"] : others;
    this.#tell(
      "left",
      "images",
      null,
      names.join(", "),
      `hiperiso boots ${IMAGE_EXTENSIONS.map((extension) => `.${extension}`).join(", ")}`,
    );
  }
}

/** As config-schema.ts has it. */
const TIMEOUT_S_MAX = 3600;
const DEPTH_MAX = 8;
const NO_TEXT = "it is no text that a hiperiso.json can hold";

const CONTROL_REASONS: readonly (readonly [RegExp, string])[] = [
  [/^VTOY_(?:DEFAULT_MENU_MODE|TREE_VIEW_MENU_STYLE|SORT_CASE_SENSITIVE)$/, "hiperiso's menu has folders as sub-menus, sorted by name"],
  [/^VTOY_(?:MENU_LANGUAGE|HELP_TXT_LANGUAGE|DEFAULT_KBD_LAYOUT)$/, "hiperiso's menu has one language and the firmware's keyboard"],
  [/^VTOY_SECONDARY_/, "each image of hiperiso's menu has its own sub-menu"],
  [/^VTOY_WIN/, "hiperiso does not change Windows' installer"],
  [/^VTOY_FILE_FLT_/, "hiperiso does not boot such files in any case"],
  [/^VTOY_(?:SECURE_BOOT_POLICY|LINUX_REMOUNT|SHOW_PASSWORD_ASTERISK)$/, "this is about Ventoy's own way to boot"],
];

const isBelow = (path: ByteText, root: ByteText, levels: number | undefined): boolean => {
  const inside = root === "/" ? path.slice(1) : path.startsWith(`${root}/`) ? path.slice(root.length + 1) : undefined;
  return inside !== undefined && (levels === undefined || inside.split("/").length - 1 <= levels);
};

/** Later rules first, those for images before those for folders: as Ventoy looks. */
function generalOf(rules: readonly Pick<VentoyRule<unknown>, "scope" | "path">[]): readonly General[] {
  const images = rules.filter(({ scope }) => scope === "image").toReversed();
  const parents = rules.filter(({ scope }) => scope === "parent").toReversed();
  return [
    ...images.map(({ path }) => ({ glob: patternGlob(path), sample: path })),
    ...parents.map(({ path }) => ({ glob: parentGlob(path), sample: `${path === "/" ? "" : path}/${NAMELESS}` as ByteText })),
  ].flatMap(({ glob, sample }) => (glob === undefined ? [] : [{ glob, sample }]));
}

function parentGlob(folder: ByteText): string | undefined {
  const glob = patternGlob(folder);
  return glob === undefined ? undefined : `${glob === "/" ? "" : glob}/*`;
}

/** `*.[iI][sS][oO]`: by the file's name. */
const anyCaseEnding = (ending: string): string => `*.${[...ending].map((letter) => `[${letter}${letter.toUpperCase()}]`).join("")}`;

const injectionOf = (archive: ByteText): string | undefined => (/\.(?:tar\.gz|tgz)$/i.test(archive) ? textOf(archive) : undefined);

const textsOf = (paths: readonly ByteText[]): readonly string[] => paths.flatMap((path) => textOf(path) ?? []);

const nonEmpty = (settings: Overrides): Overrides | undefined => (Object.keys(settings).length === 0 ? undefined : settings);

const scopeText = ({ scope }: Pick<VentoyRule<unknown>, "scope">): string => (scope === "parent" ? "images in " : "");

/** Both lines of a tip on one. */
const tipText = (lines: readonly ByteText[]): string | undefined => {
  const text = lines.flatMap((line) => textOf(line) ?? []).join(" · ");
  return text === "" ? undefined : text;
};

/** Every way to answer the questions but the first, which the image's plain entry is. */
function choicesOf(
  questions: readonly { readonly key: string; readonly answers: readonly (string | undefined)[] }[],
): readonly TranslatedChoice[] {
  let ways: readonly (readonly (readonly [string, string | undefined])[])[] = [[]];
  for (const { key, answers } of questions) ways = ways.flatMap((way) => answers.map((answer) => [...way, [key, answer] as const]));
  if (ways.length - 1 > CHOICES_MAX) {
    // Too many: one question at a time.
    ways = [[], ...questions.flatMap(({ key, answers }) => answers.slice(1).map((answer) => [[key, answer] as const]))].slice(
      0,
      CHOICES_MAX + 1,
    );
  }
  return ways.slice(1).flatMap((way) => {
    const given = way.filter((pair): pair is readonly [string, string] => pair[1] !== undefined);
    if (given.length === 0) return [];
    return [{ name: given.map(([key, path]) => `${key} ${posix.basename(path)}`).join(", "), settings: Object.fromEntries(given) }];
  });
}

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;

/** Of plain data with its keys in one order. */
const same = (a: unknown, b: unknown): boolean => JSON.stringify(a) === JSON.stringify(b);

/** The file, with a word on where it comes from. */
export function encodeTranslation({ config }: Translation): Uint8Array {
  const head = "// Made from /ventoy/ventoy.json by `hiperiso stick adopt`. Yours to change: what was changed is not made anew.\n";
  return new TextEncoder().encode(`${head}${JSON.stringify(config, undefined, 2)}\n`);
}
