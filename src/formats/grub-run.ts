/**
 * What a GRUB script comes to: runs it as GRUB does until its menu would be shown, then each entry as if it were chosen, and gives what each
 * would boot. The script comes from an image and is not trusted: commands, text, files and depth are counted, and a run that reaches a limit
 * ends with what was found until then. Commands are those that menus use; what only changes the looks succeeds and does nothing.
 */
import { decodeGrubEnvironment } from "./grub-environment.ts";
import { type GrubScript, type GrubStatement, type GrubWord, parseGrubScript } from "./grub-script.ts";
import { evaluateGrubTest } from "./grub-test.ts";
import { decodeLoaderEntry } from "./loader-entry.ts";
import { matchPosix } from "./posix-regexp.ts";

/** A file system as the script sees it. */
export interface GrubDisk {
  /** As the scripts name it, without brackets: "cd0", "hd0,gpt2". */
  readonly name: string;
  readonly label: string;
  readonly uuid: string | null;
  readonly fileSystem: string;
}

/** The computer that a script runs on. Paths start with `/` and hold no `.`, `..` or doubled slashes. */
export interface GrubWorld {
  /** In the order in which a search asks them. */
  readonly disks: readonly GrubDisk[];
  /** By any name that GRUB may have for it. */
  disk(name: string): GrubDisk | undefined;
  kind(disk: GrubDisk, path: string): Promise<"file" | "directory" | undefined>;
  sizeBytes(disk: GrubDisk, path: string): Promise<bigint | undefined>;
  /** Undefined where there is no such file, or one of more than `maxBytes`. */
  read(disk: GrubDisk, path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** Names in a directory; none where there is no such directory. */
  list(disk: GrubDisk, path: string): Promise<readonly string[]>;
}

export interface GrubFile {
  /** Undefined where the script names a disk that is not there. */
  readonly disk: GrubDisk | undefined;
  /** With its device where that is not there. */
  readonly path: string;
}

export type GrubBoot =
  | { readonly kind: "linux"; readonly kernel: GrubFile; readonly initrds: readonly GrubFile[]; readonly words: readonly string[] }
  /** No kernel that could be started without GRUB; `does` in words: "starts another boot loader, /EFI/x.efi". */
  | { readonly kind: "other"; readonly does: string };

export interface GrubEntry {
  readonly title: string;
  /** As `--id` gives it. */
  readonly id: string | undefined;
  /** Titles of the submenus that it stands in, the outermost first. */
  readonly submenus: readonly string[];
  /** The script's file that it stands in. */
  readonly source: GrubFile;
  readonly boot: GrubBoot;
}

export interface GrubMenu {
  readonly entries: readonly GrubEntry[];
  /** The entry that starts when nobody chooses; undefined where there is none. */
  readonly standard: GrubEntry | undefined;
  /** It was stopped at a limit. */
  readonly limited: boolean;
  /** For a person: what could not be read or followed. */
  readonly notes: readonly string[];
}

export interface GrubStart {
  readonly script: GrubFile & { readonly disk: GrubDisk };
  readonly platform: "pc" | "efi";
  /** Variables besides GRUB's own. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface GrubLimits {
  readonly commands: number;
  /** Letters of all words together, after variables were put in. */
  readonly letters: number;
  readonly files: number;
  readonly entries: number;
  /** Functions, sourced files and menus in each other. */
  readonly depth: number;
  readonly fileBytes: number;
  /** Of all files together, one that is read twice counted twice. */
  readonly bytes: number;
}

/** A hundred times what large menus take; done in a second or two. */
export const GRUB_LIMITS: GrubLimits = {
  commands: 50_000,
  letters: 8 << 20,
  files: 256,
  entries: 500,
  depth: 16,
  fileBytes: 1 << 20,
  bytes: 4 << 20,
};

const NOTES_MAX = 50;

/** The menu of the script at `start`. Never throws for what stands in a script. */
export async function runGrubScript(start: GrubStart, world: GrubWorld, limits: GrubLimits = GRUB_LIMITS): Promise<GrubMenu> {
  return await new Run(world, limits).menuOf(start);
}

/** Ends a run; what was found until then stays. */
class LimitReached extends Error {}
/** `configfile` shows another menu, and the one that was being made is gone. */
class MenuReplaced extends Error {
  readonly menu: Menu;
  constructor(menu: Menu) {
    super();
    this.menu = menu;
  }
}
/** `boot`, `exit`, `halt`: nothing behind it runs. */
class Finished extends Error {}
class Jump extends Error {
  readonly kind: "break" | "continue" | "return";
  /** Loops that are left; the status of a return. */
  count: number;
  constructor(kind: Jump["kind"], count: number) {
    super();
    this.kind = kind;
    this.count = count;
  }
}

interface Variable {
  readonly value: string;
  readonly exported: boolean;
}

/** The variables of one menu. */
class Context {
  readonly variables: Map<string, Variable>;
  constructor(variables: Iterable<readonly [string, Variable]> = []) {
    this.variables = new Map(variables);
  }

  get(name: string): string {
    return this.variables.get(name)?.value ?? "";
  }

  set(name: string, value: string, exported = this.variables.get(name)?.exported ?? false): void {
    this.variables.set(name, { value, exported });
  }

  copy(): Context {
    return new Context(this.variables);
  }

  /** What a menu of its own starts with. */
  opened(): Context {
    return new Context([...this.variables].filter(([, { exported }]) => exported));
  }
}

/** An entry as the script defines it, not yet run. */
interface RawEntry {
  readonly title: string;
  readonly id: string | undefined;
  readonly submenu: boolean;
  readonly parameters: readonly string[];
  readonly body: GrubScript;
  readonly source: GrubFile;
  /** An entry that a file describes instead of a body. */
  readonly boot?: GrubBoot;
}

interface Menu {
  readonly entries: RawEntry[];
  readonly context: Context;
}

/** Where a statement runs. */
interface Frame {
  readonly context: Context;
  readonly menu: Menu;
  parameters: readonly string[];
  readonly source: GrubFile;
  readonly depth: number;
  /** Filled by `linux` and its like. */
  readonly chosen: Chosen;
  status: number;
}

interface Chosen {
  kernel: GrubFile | undefined;
  kernelThere: boolean;
  words: readonly string[];
  initrds: readonly GrubFile[];
  other: string | undefined;
}

const nothingChosen = (): Chosen => ({ kernel: undefined, kernelThere: false, words: [], initrds: [], other: undefined });

/** GRUB's features that scripts ask for before they use them. */
const FEATURES = [
  "feature_chainloader_bpb",
  "feature_ntldr",
  "feature_platform_search_hint",
  "feature_default_font_path",
  "feature_all_video_module",
  "feature_menuentry_id",
  "feature_menuentry_options",
  "feature_200_final",
  "feature_nativedisk_cmd",
  "feature_timeout_style",
];

class Run {
  readonly #world: GrubWorld;
  readonly #limits: GrubLimits;
  readonly #functions = new Map<string, GrubScript>();
  readonly #notes: string[] = [];
  #commands = 0;
  #letters = 0;
  #files = 0;
  #bytes = 0;
  #entries = 0;
  #limited = false;

  constructor(world: GrubWorld, limits: GrubLimits) {
    this.#world = world;
    this.#limits = limits;
  }

  async menuOf({ script, platform, variables }: GrubStart): Promise<GrubMenu> {
    const context = new Context();
    const folder = parentOf(script.path);
    const device = `(${script.disk.name})`;
    const own: Readonly<Record<string, string>> = {
      root: script.disk.name,
      prefix: `${device}${folder === "/" ? "" : folder}`,
      cmdpath: device,
      config_file: `${device}${script.path}`,
      config_directory: `${device}${folder === "/" ? "" : folder}`,
      grub_platform: platform,
      grub_cpu: platform === "efi" ? "x86_64" : "i386",
      ...Object.fromEntries(FEATURES.map((name) => [name, "y"])),
      ...variables,
    };
    for (const [name, value] of Object.entries(own)) context.set(name, value, true);
    const entries: GrubEntry[] = [];
    let menu: Menu = { entries: [], context };
    try {
      menu = await this.#fill(menu, (frame) => this.#source(script, frame), script);
    } catch (error) {
      this.#noteLimit(error);
    }
    const standards: number[] = [];
    // A script that went too far was stopped; its entries are counted anew, all of them together.
    this.#commands = 0;
    this.#letters = 0;
    this.#files = 0;
    await this.#runEntries(menu, [], entries, standards);
    return { entries, standard: entries[standards[0] ?? -1], limited: this.#limited, notes: this.#notes };
  }

  #noteLimit(error: unknown): void {
    if (!(error instanceof LimitReached)) throw error;
    this.#limited = true;
    this.#note(error.message);
  }

  #note(text: string): void {
    if (this.#notes.length < NOTES_MAX && !this.#notes.includes(text)) this.#notes.push(text);
  }

  #limit(what: string): never {
    throw new LimitReached(`the menu stops at a limit: ${what}`);
  }

  /** Runs what makes a menu; the menu that is there in the end. */
  async #fill(
    menu: Menu,
    make: (frame: Frame) => Promise<void>,
    source: GrubFile,
    parameters: readonly string[] = [],
    depth = 0,
  ): Promise<Menu> {
    const frame: Frame = { context: menu.context, menu, parameters, source, depth, chosen: nothingChosen(), status: 0 };
    try {
      await make(frame);
    } catch (error) {
      if (error instanceof MenuReplaced) return error.menu;
      if (!(error instanceof Finished) && !(error instanceof Jump)) throw error;
    }
    return menu;
  }

  /** `standards` takes the place of the entry that this menu starts by itself. */
  async #runEntries(menu: Menu, submenus: readonly string[], into: GrubEntry[], standards: number[]): Promise<void> {
    const [wanted, ...inner] = this.#defaultOf(menu).split(">");
    const standard = entryNamed(menu.entries, wanted ?? "");
    for (const entry of menu.entries) {
      const first = into.length;
      const below: number[] = [];
      try {
        await this.#runEntry(entry, menu.context, submenus, into, below, inner.join(">"));
      } catch (error) {
        this.#noteLimit(error);
      }
      if (entry === standard && into.length > first) standards.push(below[0] ?? first);
    }
  }

  #defaultOf({ context }: Menu): string {
    const name = context.get("default");
    return name === "saved" ? context.get("saved_entry") : name;
  }

  async #runEntry(
    entry: RawEntry,
    around: Context,
    submenus: readonly string[],
    into: GrubEntry[],
    standards: number[],
    innerDefault: string,
  ): Promise<void> {
    const { title, id, source } = entry;
    if (into.length >= this.#limits.entries) this.#limit(`more than ${this.#limits.entries} entries`);
    if (entry.boot !== undefined) {
      into.push({ title, id, submenus, source, boot: entry.boot });
      return;
    }
    const context = entry.submenu ? around.opened() : around.copy();
    context.set("chosen", id ?? title, true);
    if (entry.submenu) context.set("default", innerDefault);
    const menu: Menu = { entries: [], context };
    const chosen = nothingChosen();
    const depth = submenus.length + 1;
    if (depth > this.#limits.depth) this.#limit(`more than ${this.#limits.depth} menus in each other`);
    const after = await this.#fill(
      menu,
      async (frame) => await this.#script(entry.body, { ...frame, chosen }),
      source,
      entry.parameters,
      depth,
    );
    if (after.entries.length > 0) await this.#runEntries(after, [...submenus, title], into, standards);
    else if (!entry.submenu) into.push({ title, id, submenus, source, boot: bootOf(chosen) });
  }

  // Scripts

  async #source(file: GrubFile, frame: Frame): Promise<void> {
    const text = await this.#readText(file);
    if (text === undefined) {
      this.#note(`${file.path}: no such file`);
      frame.status = 1;
      return;
    }
    const { script, errors } = parseGrubScript(text);
    for (const { line, found } of errors) this.#note(`${file.path}:${line}: ${found}`);
    const inner = this.#deeper(frame, { source: file, status: 0 });
    await this.#script(script, inner);
    frame.status = inner.status;
  }

  #deeper(frame: Frame, changes: Partial<Frame>): Frame {
    if (frame.depth >= this.#limits.depth) this.#limit(`more than ${this.#limits.depth} files, functions and menus in each other`);
    return { ...frame, ...changes, depth: frame.depth + 1 };
  }

  async #readText(file: GrubFile): Promise<string | undefined> {
    this.#files += 1;
    if (this.#files > this.#limits.files) this.#limit(`more than ${this.#limits.files} files to read`);
    if (file.disk === undefined) return undefined;
    const bytes = await this.#world.read(file.disk, file.path, this.#limits.fileBytes);
    this.#bytes += bytes?.length ?? 0;
    if (this.#bytes > this.#limits.bytes) this.#limit(`files of more than ${this.#limits.bytes} bytes`);
    return bytes === undefined ? undefined : new TextDecoder().decode(bytes);
  }

  async #script(script: GrubScript, frame: Frame): Promise<void> {
    for (const statement of script) await this.#statement(statement, frame);
  }

  async #statement(statement: GrubStatement, frame: Frame): Promise<void> {
    this.#commands += 1;
    if (this.#commands > this.#limits.commands) this.#limit(`more than ${this.#limits.commands} commands`);
    switch (statement.kind) {
      case "command":
        frame.status = await this.#command(statement.words, statement.block, frame);
        return;
      case "if": {
        for (const { condition, body } of statement.arms) {
          await this.#script(condition, frame);
          if (frame.status === 0) return await this.#script(body, frame);
        }
        frame.status = 0;
        return await this.#script(statement.otherwise, frame);
      }
      case "for": {
        const values = await this.#expand(statement.words, frame);
        for (const value of values) {
          frame.context.set(statement.name, value);
          if (await this.#turn(statement.body, frame)) return;
        }
        return;
      }
      case "while":
        for (;;) {
          this.#commands += 1;
          if (this.#commands > this.#limits.commands) this.#limit(`a loop that took more than ${this.#limits.commands} commands`);
          await this.#script(statement.condition, frame);
          if ((frame.status === 0) === statement.until) break;
          if (await this.#turn(statement.body, frame)) break;
        }
        frame.status = 0;
        return;
      case "function":
        this.#functions.set(statement.name, statement.body);
        frame.status = 0;
    }
  }

  /** One turn of a loop; true where the loop ends with it. */
  async #turn(body: GrubScript, frame: Frame): Promise<boolean> {
    try {
      await this.#script(body, frame);
      return false;
    } catch (error) {
      if (!(error instanceof Jump) || error.kind === "return") throw error;
      error.count -= 1;
      if (error.count > 0) throw error;
      return error.kind === "break";
    }
  }

  // Words

  async #expand(words: readonly GrubWord[], frame: Frame): Promise<string[]> {
    const out: string[] = [];
    for (const word of words) {
      for (const field of this.#fields(word, frame)) {
        const names = field.pattern ? await this.#glob(field.text, frame) : [];
        out.push(...(names.length > 0 ? names : [field.text]));
      }
    }
    this.#letters += out.reduce((sum, { length }) => sum + length + 1, 0);
    if (this.#letters > this.#limits.letters) this.#limit(`words of more than ${this.#limits.letters} letters`);
    return out;
  }

  /** The arguments that a word becomes: none, one, or several. */
  #fields(word: GrubWord, frame: Frame): readonly { readonly text: string; readonly pattern: boolean }[] {
    const fields: { text: string; pattern: boolean }[] = [];
    let open: { text: string; pattern: boolean } | undefined;
    const add = (text: string, pattern: boolean) => {
      open ??= { text: "", pattern: false };
      open.text += text;
      open.pattern ||= pattern && /[*?]/.test(text);
      if (open.text.length > this.#limits.letters) this.#limit(`a word of more than ${this.#limits.letters} letters`);
    };
    const close = () => {
      if (open !== undefined) fields.push(open);
      open = undefined;
    };
    for (const part of word) {
      if (part.kind === "text") {
        add(part.text, !part.quoted);
        continue;
      }
      const values = this.#valuesOf(part.name, part.quoted, frame);
      if (part.quoted && part.name !== "@") add(values.join(" "), false);
      else
        values.forEach((value, index) => {
          if (index > 0) close();
          if (part.quoted) add(value, false);
          else {
            // Blanks part words, but those at the value's ends do not (seen with 2.06).
            value
              .split(/[ \t\n]+/)
              .filter((piece) => piece !== "")
              .forEach((piece, number) => {
                if (number > 0) close();
                add(piece, true);
              });
          }
        });
    }
    close();
    return fields;
  }

  #valuesOf(name: string, quoted: boolean, { context, parameters, status }: Frame): readonly string[] {
    if (name === "@" || name === "*") return quoted && name === "*" ? [parameters.join(" ")] : parameters;
    if (name === "#") return [String(parameters.length)];
    if (name === "?") return [String(status)];
    // $0 is nothing to GRUB.
    if (/^[0-9]/.test(name)) return [parameters[Number(name) - 1] ?? ""];
    return [context.get(name)];
  }

  /** Files whose path fits, sorted; only paths from a disk's root are patterns. */
  async #glob(pattern: string, frame: Frame): Promise<readonly string[]> {
    const match = /^(?:\(([^()]*)\))?(\/.*)?$/.exec(pattern);
    if (match === null || (match[1] === undefined && match[2] === undefined)) return [];
    const named = match[1];
    const disks =
      named === undefined
        ? [this.#world.disk(frame.context.get("root"))]
        : /[*?]/.test(named)
          ? this.#world.disks.filter(({ name }) => matchesName(named, name))
          : [this.#world.disk(named)];
    const found: string[] = [];
    for (const disk of disks) {
      if (disk === undefined) continue;
      let paths = [""];
      for (const part of (match[2] ?? "").split("/").filter((one) => one !== "")) {
        const next: string[] = [];
        for (const path of paths) {
          if (!/[*?]/.test(part)) next.push(`${path}/${part}`);
          else {
            const names = await this.#world.list(disk, path === "" ? "/" : path);
            this.#commands += 1 + (names.length >> 4);
            if (this.#commands > this.#limits.commands) this.#limit(`more than ${this.#limits.commands} commands and names of files`);
            next.push(...names.filter((name) => matchesName(part, name)).map((name) => `${path}/${name}`));
          }
        }
        paths = next.slice(0, GLOB_PATHS_MAX);
      }
      for (const path of paths) {
        if (path === "" || (await this.#world.kind(disk, path)) !== undefined)
          found.push(`${named === undefined ? "" : `(${disk.name})`}${path}`);
      }
    }
    return found.sort();
  }

  /** Of a path as scripts write it: `(device)/path`, or `/path` on the root. */
  #file(path: string, { context }: Frame): GrubFile {
    const match = /^\(([^()]*)\)(.*)$/s.exec(path);
    const device = match?.[1] ?? context.get("root").replace(/^\((.*)\)$/s, "$1");
    const disk = this.#world.disk(device);
    const normal = normalPath(match?.[2] ?? path);
    return { disk, path: disk === undefined ? `(${device})${normal}` : normal };
  }

  async #kind(path: string, frame: Frame): Promise<"file" | "directory" | undefined> {
    const file = this.#file(path, frame);
    return file.disk === undefined ? undefined : await this.#world.kind(file.disk, file.path);
  }

  // Commands

  async #command(words: readonly GrubWord[], block: GrubScript | undefined, frame: Frame): Promise<number> {
    const [name, ...args] = await this.#expand(words, frame);
    if (name === undefined) return frame.status;
    if (name === "!") {
      const status = await this.#named(args[0] ?? "true", args.slice(1), block, frame);
      return status === 0 ? 1 : 0;
    }
    return await this.#named(name, args, block, frame);
  }

  async #named(name: string, args: readonly string[], block: GrubScript | undefined, frame: Frame): Promise<number> {
    const body = this.#functions.get(name);
    if (body !== undefined) return await this.#call(body, args, frame);
    const command = COMMANDS.get(name);
    if (command !== undefined) return await this.#builtIn(command, name, args, block, frame);
    if (LOOKS.has(name)) return 0;
    const assignment = /^([A-Za-z_][A-Za-z0-9_]*)=(.*)$/s.exec(name);
    if (assignment !== null && args.length === 0) {
      frame.context.set(assignment[1]!, assignment[2]!);
      return 0;
    }
    this.#note(`${frame.source.path}: the command ${name} is not followed`);
    return 0; // as in GRUB: an `if` takes a command that is not there for one that succeeded
  }

  async #call(body: GrubScript, args: readonly string[], frame: Frame): Promise<number> {
    const inner = this.#deeper(frame, { parameters: args, status: 0 });
    try {
      await this.#script(body, inner);
    } catch (error) {
      if (!(error instanceof Jump) || error.kind !== "return") throw error;
      return error.count;
    }
    return inner.status;
  }

  async #builtIn(command: BuiltIn, name: string, args: readonly string[], block: GrubScript | undefined, frame: Frame): Promise<number> {
    switch (command) {
      case "true":
        return 0;
      case "false":
        return 1;
      case "set":
        return setVariable(args, frame.context);
      case "unset":
        for (const one of args) frame.context.variables.delete(one);
        return 0;
      case "export":
        for (const one of args) {
          const [variable, value] = splitAt(one, "=");
          frame.context.set(variable, value ?? frame.context.get(variable), true);
        }
        return 0;
      case "test": {
        const words = name === "[" && args.at(-1) === "]" ? args.slice(0, -1) : args;
        const yes = await evaluateGrubTest(words, {
          kind: (path) => this.#kind(path, frame),
          sizeBytes: async (path) => {
            const { disk, path: inside } = this.#file(path, frame);
            return disk === undefined ? undefined : await this.#world.sizeBytes(disk, inside);
          },
        });
        return yes ? 0 : 1;
      }
      case "menuentry":
        return this.#menuEntry(name, args, block, frame);
      case "source":
        if (args[0] === undefined) return 1;
        await this.#source(this.#file(args[0], frame), frame);
        return frame.status;
      case "configfile":
        return await this.#configFile(name, args, frame);
      case "eval": {
        const { script, errors } = parseGrubScript(args.join(" "));
        for (const { found } of errors) this.#note(`${frame.source.path}: eval: ${found}`);
        const inner = this.#deeper(frame, {});
        await this.#script(script, inner);
        return inner.status;
      }
      case "linux":
        return await this.#linux(args, frame);
      case "initrd":
        return await this.#initrd(args, frame);
      case "other":
        frame.chosen.other = otherWords(name, args);
        if (name === "halt" || name === "reboot" || name === "exit" || name === "fwsetup") throw new Finished();
        return 0;
      case "boot":
        throw new Finished();
      case "search":
        return await this.#search(name, args, frame);
      case "probe":
        return this.#probe(args, frame);
      case "regexp":
        return this.#regexp(args, frame);
      case "load_env":
        return await this.#loadEnvironment(args, frame);
      case "loadfont":
        return (await this.#kind(fontPath(args[0] ?? "", frame.context), frame)) === "file" ? 0 : 1;
      case "blscfg":
        return await this.#loaderEntries(frame);
      case "jump":
        throw new Jump(name === "return" ? "return" : name === "break" ? "break" : "continue", jumpCount(name, args, frame.status));
      case "parameters":
        frame.parameters = name === "shift" ? frame.parameters.slice(Number(args[0] ?? 1) || 0) : args;
        return 0;
      case "unfollowed":
        this.#note(`${frame.source.path}: ${name} ${args[0] ?? ""} is not followed`);
        return 1;
    }
  }

  #menuEntry(name: string, args: readonly string[], block: GrubScript | undefined, frame: Frame): number {
    const { id, rest } = menuOptions(args);
    const [title] = rest;
    if (title === undefined || block === undefined) return 1;
    this.#entries += 1;
    if (this.#entries > this.#limits.entries) this.#limit(`more than ${this.#limits.entries} entries`);
    frame.menu.entries.push({ title, id, submenu: name === "submenu", parameters: rest, body: block, source: frame.source });
    return 0;
  }

  /** A file without entries leaves the menu as it is. */
  async #configFile(name: string, args: readonly string[], frame: Frame): Promise<number> {
    const path = args[0] ?? (name === "normal" ? `${frame.context.get("prefix")}/grub.cfg` : undefined);
    if (path === undefined) return 1;
    const file = this.#file(path, frame);
    const context = frame.context.opened();
    const menu: Menu = { entries: [], context };
    const inner = this.#deeper(frame, { context, menu, source: file, status: 0 });
    let filled = menu;
    try {
      await this.#source(file, inner);
    } catch (error) {
      if (error instanceof MenuReplaced) filled = error.menu;
      else if (error instanceof LimitReached && menu.entries.length > 0) this.#noteLimit(error);
      else throw error;
    }
    if (filled.entries.length > 0) throw new MenuReplaced(filled);
    return inner.status;
  }

  async #linux(args: readonly string[], frame: Frame): Promise<number> {
    const [path, ...words] = args.filter((word, index) => index > 0 || word !== "--");
    if (path === undefined) return 1;
    const kernel = this.#file(path, frame);
    // From a disk that another command was to bring: that command says why it is not there.
    if (kernel.disk === undefined && frame.chosen.other !== undefined) return 1;
    const there = kernel.disk !== undefined && (await this.#world.kind(kernel.disk, kernel.path)) === "file";
    // One that is not there leaves the one before it in place.
    if (there || !frame.chosen.kernelThere) {
      frame.chosen.kernel = kernel;
      frame.chosen.kernelThere = there;
      frame.chosen.words = words;
      frame.chosen.initrds = [];
      frame.chosen.other = undefined;
    }
    return there ? 0 : 1;
  }

  async #initrd(args: readonly string[], frame: Frame): Promise<number> {
    const files = args.map((path) => this.#file(path, frame));
    frame.chosen.initrds = files;
    for (const { disk, path } of files) if (disk === undefined || (await this.#world.kind(disk, path)) !== "file") return 1;
    return 0;
  }

  async #search(name: string, args: readonly string[], frame: Frame): Promise<number> {
    const wish = searchWish(name, args);
    if (wish === undefined) return 1;
    for (const disk of this.#world.disks) {
      const fits =
        wish.by === "file"
          ? (await this.#world.kind(disk, normalPath(wish.what))) !== undefined
          : wish.by === "label"
            ? disk.label === wish.what
            : disk.uuid !== null && disk.uuid.toLowerCase() === wish.what.toLowerCase();
      if (!fits) continue;
      if (wish.variable !== undefined) frame.context.set(wish.variable, disk.name);
      return 0;
    }
    this.#note(`${frame.source.path}: no file system ${SEARCHED[wish.by]} ${wish.what}`);
    return 1;
  }

  #probe(args: readonly string[], frame: Frame): number {
    const options = args.filter((word) => word.startsWith("-"));
    const device = args.find((word) => !word.startsWith("-"))?.replace(/^\((.*)\)$/, "$1");
    const disk = device === undefined ? undefined : this.#world.disk(device);
    const variable = options.find((option) => option.startsWith("--set="))?.slice("--set=".length);
    if (disk === undefined) return 1;
    const asked = (...names: readonly string[]) => options.some((option) => names.includes(option));
    const value = asked("-u", "--fs-uuid")
      ? disk.uuid
      : asked("-l", "--label")
        ? disk.label
        : asked("-f", "--fs")
          ? disk.fileSystem.replace(/^(fat)(12|16|32)$/, "$1")
          : null;
    if (value === null) return 1;
    if (variable !== undefined) frame.context.set(variable, value);
    return 0;
  }

  #regexp(args: readonly string[], frame: Frame): number {
    const sets: { readonly group: number; readonly variable: string }[] = [];
    const rest: string[] = [];
    for (let at = 0; at < args.length; at += 1) {
      const word = args[at]!;
      const value = word === "--set" || word === "-s" ? args[++at] : word.startsWith("--set=") ? word.slice("--set=".length) : undefined;
      if (value === undefined) {
        rest.push(word);
        continue;
      }
      const [number, variable] = splitAt(value, ":");
      sets.push(variable === undefined ? { group: 1, variable: number } : { group: Number(number), variable });
    }
    const [pattern, text] = rest;
    if (pattern === undefined || text === undefined) return 1;
    this.#commands += REGEXP_COST;
    const match = matchPosix(pattern, text);
    if (match === undefined || match === "given up") this.#note(`${frame.source.path}: the pattern ${pattern} is not followed`);
    if (match === undefined || typeof match === "string") return 1;
    for (const { group, variable } of sets) frame.context.set(variable, match.groups[group] ?? "");
    return 0;
  }

  async #loadEnvironment(args: readonly string[], frame: Frame): Promise<number> {
    const { value: path, rest } = takeOption(args, ["--file", "-f"]);
    const text = await this.#readText(this.#file(path ?? `${frame.context.get("prefix")}/grubenv`, frame));
    const variables = text === undefined ? undefined : decodeGrubEnvironment(text);
    if (variables === undefined) return 1;
    const wanted = new Set(rest.filter((word) => !word.startsWith("-")));
    for (const [name, value] of variables) if (wanted.size === 0 || wanted.has(name)) frame.context.set(name, value);
    return 0;
  }

  /** Fedora's command: the entries of the Boot Loader Specification, newest first, with variables in their options. */
  async #loaderEntries(frame: Frame): Promise<number> {
    const folder = this.#file(frame.context.get("blsdir") || "/loader/entries", frame);
    const { disk } = folder;
    if (disk === undefined) return 1;
    const names = (await this.#world.list(disk, folder.path)).filter((name) => name.endsWith(".conf"));
    for (const name of [...names].sort(byVersion).reverse()) {
      const file: GrubFile = { disk, path: `${folder.path}/${name}` };
      const text = await this.#readText(file);
      if (text === undefined) continue;
      const entry = decodeLoaderEntry(text);
      const expanded = async (value: string) => (await this.#expand(parsedWords(value), frame)).filter((word) => word !== "");
      const { kernel } = entry;
      const boot: GrubBoot =
        kernel === undefined
          ? { kind: "other", does: "names no kernel" }
          : {
              kind: "linux",
              kernel: this.#file(kernel, frame),
              initrds: (await expanded(entry.initrds.join(" "))).map((path) => this.#file(path, frame)),
              words: await expanded(entry.options),
            };
      this.#entries += 1;
      if (this.#entries > this.#limits.entries) this.#limit(`more than ${this.#limits.entries} entries`);
      const id = name.replace(/\.conf$/, "");
      frame.menu.entries.push({ title: entry.title ?? id, id, submenu: false, parameters: [], body: [], source: file, boot });
    }
    return 0;
  }
}

const GLOB_PATHS_MAX = 1000;
/** Of a search by pattern, in commands. */
const REGEXP_COST = 500;

type BuiltIn =
  | "true"
  | "false"
  | "set"
  | "unset"
  | "export"
  | "test"
  | "menuentry"
  | "source"
  | "configfile"
  | "eval"
  | "linux"
  | "initrd"
  | "other"
  | "boot"
  | "search"
  | "probe"
  | "regexp"
  | "load_env"
  | "loadfont"
  | "blscfg"
  | "jump"
  | "parameters"
  | "unfollowed";

const COMMANDS: ReadonlyMap<string, BuiltIn> = new Map<string, BuiltIn>([
  ["true", "true"],
  ["false", "false"],
  ["set", "set"],
  ["unset", "unset"],
  ["export", "export"],
  ["test", "test"],
  ["[", "test"],
  ...["menuentry", "submenu", "hiddenentry"].map((name) => [name, "menuentry"] as const),
  ...["source", ".", "extract_entries_source", "extract_entries_configfile"].map((name) => [name, "source"] as const),
  ...["configfile", "normal"].map((name) => [name, "configfile"] as const),
  ["eval", "eval"],
  ...["linux", "linux16", "linuxefi"].map((name) => [name, "linux"] as const),
  ...["initrd", "initrd16", "initrdefi"].map((name) => [name, "initrd"] as const),
  ...[
    "chainloader",
    "multiboot",
    "multiboot2",
    "module",
    "module2",
    "xen_hypervisor",
    "xen_module",
    "kfreebsd",
    "knetbsd",
    "kopenbsd",
    "ntldr",
  ].map((name) => [name, "other"] as const),
  ...["halt", "reboot", "exit", "fwsetup", "loopback"].map((name) => [name, "other"] as const),
  ["boot", "boot"],
  ...["search", "search.file", "search.fs_label", "search.fs_uuid", "search_label", "search_fs_uuid", "search_fs_file"].map(
    (name) => [name, "search"] as const,
  ),
  ["probe", "probe"],
  ["regexp", "regexp"],
  ["load_env", "load_env"],
  ["loadfont", "loadfont"],
  ["blscfg", "blscfg"],
  ...["break", "continue", "return"].map((name) => [name, "jump"] as const),
  ...["shift", "setparams"].map((name) => [name, "parameters"] as const),
  ...["legacy_source", "legacy_configfile", "syslinux_source", "syslinux_configfile", "extract_syslinux_entries_source"].map(
    (name) => [name, "unfollowed"] as const,
  ),
  // No key is held down, no such serial number is found.
  ...["keystatus", "smbios", "getenv", "cmp", "cryptomount", "lsefi"].map((name) => [name, "false"] as const),
]);

/** What changes nothing that is booted. */
const LOOKS: ReadonlySet<string> = new Set([
  ...["insmod", "rmmod", "terminal_input", "terminal_output", "terminfo", "serial", "echo", "clear", "sleep", "play", "cat", "ls", "read"],
  ...["background_image", "background_color", "gettext", "save_env", "gfxmode", "videoinfo", "videotest", "password", "password_pbkdf2"],
  ...["cpuid", "acpi", "cutmem", "badram", "outb", "setpci", "hwmatch", "trust", "distrust", "nativedisk", "drivemap", "parttool", "date"],
  ...[
    "devicetree",
    "loadbios",
    "fakebios",
    "setkey",
    "keymap",
    "hdparm",
    "time",
    "rdmsr",
    "wrmsr",
    "authenticate",
    "lsmod",
    "pager",
    "true",
  ],
]);

const SEARCHED = { file: "holds", label: "has the label", uuid: "has the UUID" } as const;

function otherWords(name: string, args: readonly string[]): string {
  const file = args.find((word) => !word.startsWith("-")) ?? "";
  switch (name) {
    case "halt":
      return "turns the computer off";
    case "reboot":
      return "restarts the computer";
    case "exit":
      return "goes back to the firmware";
    case "fwsetup":
      return "opens the firmware's setup";
    case "chainloader":
    case "ntldr":
      return `starts another boot loader, ${file}`;
    case "loopback":
      return `looks into another image, ${args[1] ?? file}`;
    default:
      return `starts something else than Linux (${name} ${file})`;
  }
}

function bootOf({ kernel, words, initrds, other }: Chosen): GrubBoot {
  if (other !== undefined) return { kind: "other", does: other };
  if (kernel === undefined) return { kind: "other", does: "starts no kernel" };
  return { kind: "linux", kernel, initrds, words };
}

/** By number, id or title, as the variable `default` names one; the first where it names none. */
function entryNamed(entries: readonly RawEntry[], name: string): RawEntry | undefined {
  return (
    entries.find(({ id }) => id !== undefined && id === name) ??
    entries.find(({ title }) => title === name) ??
    entries[/^[0-9]{1,6}$/.test(name) ? Number(name) : 0] ??
    entries[0]
  );
}

/** The first word alone counts. */
function setVariable([word]: readonly string[], context: Context): number {
  if (word === undefined) return 0;
  const [name, value] = splitAt(word, "=");
  if (value === undefined) return context.variables.has(name) ? 0 : 1;
  context.set(name, value);
  return 0;
}

function splitAt(text: string, separator: string): readonly [string, string | undefined] {
  const at = text.indexOf(separator);
  return at < 0 ? [text, undefined] : [text.slice(0, at), text.slice(at + separator.length)];
}

/** The value of the first of `names` that is among the words, as `--name value` or `--name=value`, and the other words. */
function takeOption(
  args: readonly string[],
  names: readonly string[],
): { readonly value: string | undefined; readonly rest: readonly string[] } {
  const rest: string[] = [];
  let value: string | undefined;
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at]!;
    const [name, joined] = splitAt(word, "=");
    if (!names.includes(name)) rest.push(word);
    else if (joined !== undefined) value ??= joined;
    else {
      at += 1;
      value ??= args[at];
    }
  }
  return { value, rest };
}

const MENU_OPTIONS_WITH_VALUE = ["--class", "--users", "--hotkey", "--source"];

function menuOptions(args: readonly string[]): { readonly id: string | undefined; readonly rest: readonly string[] } {
  const { value: id, rest } = takeOption(args, ["--id"]);
  const { rest: positional } = takeOption(rest, MENU_OPTIONS_WITH_VALUE);
  return { id, rest: positional.filter((word) => word !== "--unrestricted" && word !== "--") };
}

interface SearchWish {
  readonly by: "file" | "label" | "uuid";
  readonly what: string;
  readonly variable: string | undefined;
}

/** Hints are not looked at: an image has few file systems, and all of them are asked. */
function searchWish(name: string, args: readonly string[]): SearchWish | undefined {
  if (name !== "search") {
    const [what, variable] = args;
    const by = name.endsWith("file") ? "file" : name.endsWith("label") ? "label" : "uuid";
    return what === undefined ? undefined : { by, what, variable };
  }
  let by: SearchWish["by"] | undefined;
  let variable: string | undefined;
  const rest: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at]!;
    if (word === "--file" || word === "-f") by = "file";
    else if (word === "--label" || word === "-l") by = "label";
    else if (word === "--fs-uuid" || word === "-u") by = "uuid";
    else if (word === "--set" || word === "-s") variable = "root";
    else if (word.startsWith("--set=")) variable = word.slice("--set=".length);
    else if (word === "--hint" || word === "-h") at += 1;
    else if (!/^-/.test(word)) rest.push(word);
  }
  // `--set root --file /x` means root, although GRUB itself would search for a file of that name.
  if (variable === "root" && rest.length > 1 && /^[a-z_]+$/.test(rest[0]!)) variable = rest.shift();
  // `search --file --set=/x`: the only word is what is searched for.
  if (rest.length === 0 && variable !== undefined && variable !== "root") return by && { by, what: variable, variable: "root" };
  return by === undefined || rest[0] === undefined ? undefined : { by, what: rest[0], variable };
}

const fontPath = (name: string, context: Context): string =>
  name.startsWith("/") || name.startsWith("(") ? name : `${context.get("prefix")}/fonts/${name}.pf2`;

function jumpCount(name: string, [first]: readonly string[], status: number): number {
  if (name === "return") return first === undefined ? status : Number.parseInt(first, 10) || 0;
  return Math.max(1, Number.parseInt(first ?? "1", 10) || 1);
}

/** The words of a line that holds text and variables only. */
function parsedWords(text: string): readonly GrubWord[] {
  const [statement] = parseGrubScript(`set ${text.replace(/[\n;{}|&<>#]/g, "\\$&")}`).script;
  return statement?.kind === "command" ? statement.words.slice(1) : [];
}

/** Numbers in names by their value: 6.10 behind 6.9. */
const byVersion = (one: string, other: string): number => one.localeCompare(other, "en", { numeric: true });

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/";

/** `/a//./b/../c` → `/a/c`; never above the root. */
export function normalPath(path: string): string {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "" || part === ".") continue;
    if (part === "..") parts.pop();
    else parts.push(part);
  }
  return `/${parts.join("/")}`;
}

/** `*` and `?` in one part of a path. Linear: a mismatch goes back to the last star only. */
export function matchesName(pattern: string, name: string): boolean {
  let [p, n, star, mark] = [0, 0, -1, 0];
  while (n < name.length) {
    if (pattern[p] === "*") {
      star = p;
      mark = n;
      p += 1;
    } else if (pattern[p] === "?" || pattern[p] === name[n]) {
      p += 1;
      n += 1;
    } else if (star >= 0) {
      p = star + 1;
      mark += 1;
      n = mark;
    } else return false;
  }
  while (pattern[p] === "*") p += 1;
  return p === pattern.length;
}
