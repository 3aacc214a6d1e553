/**
 * What a SYSLINUX menu comes to: follows its includes, submenus and the configurations that its labels lead to, and gives for each label what it
 * would boot. Files, labels and depth are counted: a menu that includes itself ends.
 */
import { type BootMenu, type LinuxBoot, type MenuEntry, type MenuLimits, MenuTally, type OtherBoot } from "./boot-menu.ts";
import { normalPath, parentOf } from "./menu-paths.ts";
import { decodeSyslinuxConfig, type SyslinuxCommand, type SyslinuxLabel } from "./syslinux-config.ts";

/** Files by their absolute paths. */
interface SyslinuxLinux extends LinuxBoot<string> {
  /** As they stand, without `initrd=`. */
  readonly arguments: string;
}

type SyslinuxBoot = SyslinuxLinux | OtherBoot;

export interface SyslinuxEntry extends MenuEntry<string, SyslinuxBoot> {
  readonly name: string;
}

/** SYSLINUX itself stops at 16 includes in each other. */
const SYSLINUX_LIMITS: MenuLimits = { files: 256, entries: 500, depth: 16, fileBytes: 1 << 20, bytes: 4 << 20 };

/** Gives a file's bytes; undefined where there is none, or one of more than `maxBytes`. Paths start with `/`. */
export type ReadFile = (path: string, maxBytes: number) => Promise<Uint8Array | undefined>;

/** The menu that starts with the file at `path`. Never throws for what stands in a menu. */
export async function runSyslinuxMenu(
  path: string,
  read: ReadFile,
  limits: MenuLimits = SYSLINUX_LIMITS,
): Promise<BootMenu<SyslinuxEntry>> {
  return await new Run(read, limits).menuOf(path);
}

/** One configuration: what its labels share, and its labels. */
interface Scope {
  /** Relative names count from here, whatever file they stand in. */
  readonly folder: string;
  readonly depth: number;
  append: string;
  initrd: string;
  standard: string;
  readonly labels: FoundLabel[];
}

interface FoundLabel {
  readonly label: SyslinuxLabel;
  readonly submenus: readonly string[];
  readonly source: string;
}

/** A submenu that is open; its title may come behind its first labels. */
interface OpenMenu {
  title: string;
}

class Run {
  readonly #read: ReadFile;
  readonly #tally: MenuTally;
  readonly #entries: SyslinuxEntry[] = [];
  /** Configurations that labels lead to: each is followed once. */
  readonly #followed = new Set<string>();
  /** Labels that were listed: help pages include the whole menu again. */
  readonly #listed = new Map<string, Scope>();

  constructor(read: ReadFile, limits: MenuLimits) {
    this.#read = read;
    this.#tally = new MenuTally(limits);
  }

  async menuOf(path: string): Promise<BootMenu<SyslinuxEntry>> {
    let standard: SyslinuxEntry | undefined;
    try {
      standard = await this.#configuration(path, parentOf(path), [], 0);
    } catch (error) {
      this.#tally.noteLimit(error);
    }
    return this.#tally.menuOf(this.#entries, standard);
  }

  /** Gives the entry that starts by itself. */
  async #configuration(path: string, folder: string, submenus: readonly string[], depth: number): Promise<SyslinuxEntry | undefined> {
    this.#followed.add(path);
    const scope: Scope = { folder, depth, append: "", initrd: "", standard: "", labels: [] };
    let limit: unknown;
    try {
      await this.#file(path, scope, submenus, [], depth);
    } catch (error) {
      limit = error; // the labels until then still count
    }
    const standard = await this.#entriesOf(scope);
    if (limit !== undefined) throw limit;
    return standard;
  }

  async #file(path: string, scope: Scope, submenus: readonly string[], open: OpenMenu[], depth: number): Promise<void> {
    const { limits } = this.#tally;
    if (depth > limits.depth) this.#tally.stop(`more than ${limits.depth} files in each other`);
    this.#tally.countFile();
    const bytes = await this.#read(path, limits.fileBytes);
    if (bytes === undefined) {
      this.#tally.note(`${path}: no such file`);
      return;
    }
    this.#tally.countBytes(bytes.length);
    for (const command of decodeSyslinuxConfig(new TextDecoder().decode(bytes)))
      await this.#command(command, path, scope, submenus, open, depth);
  }

  async #command(
    command: SyslinuxCommand,
    path: string,
    scope: Scope,
    submenus: readonly string[],
    open: OpenMenu[],
    depth: number,
  ): Promise<void> {
    switch (command.kind) {
      case "label":
        this.#tally.countEntry("labels");
        scope.labels.push({ label: command.label, submenus: [...submenus, ...open.map(({ title }) => title)], source: path });
        return;
      case "include":
        return await this.#file(absolute(command.path, scope.folder), scope, submenus, open, depth + 1);
      case "begin": {
        const { depth: most } = this.#tally.limits;
        if (open.length >= most) this.#tally.stop(`more than ${most} menus in each other`);
        open.push({ title: command.name });
        return;
      }
      case "title": {
        const menu = open.at(-1);
        if (menu !== undefined) menu.title = command.title;
        return;
      }
      case "end":
        open.pop();
        return;
      case "default":
        scope.standard = command.value;
        return;
      case "append":
        scope.append = command.value;
        return;
      case "initrd":
        scope.initrd = command.value;
        return;
      case "ui":
        // `UI vesamenu.c32 other.cfg` shows the menu of that file.
        await this.#moduleMenu(command.value, scope, submenus, open, depth, path);
    }
  }

  async #moduleMenu(line: string, scope: Scope, submenus: readonly string[], open: OpenMenu[], depth: number, path: string): Promise<void> {
    const [module = "", ...files] = line.split(/[ \t]+/);
    if (!MENU_MODULE.test(module)) return;
    for (const file of files) {
      const other = absolute(file, scope.folder);
      if (file.startsWith("-") || file.startsWith("~") || other === path || this.#followed.has(other)) continue;
      this.#followed.add(other);
      await this.#file(other, scope, submenus, open, depth + 1);
    }
  }

  async #entriesOf(scope: Scope): Promise<SyslinuxEntry | undefined> {
    const [first = "", ...rest] = scope.standard.split(/[ \t]+/);
    // `DEFAULT vesamenu.c32 other.cfg`, and `DEFAULT linux` with its label.
    if (MENU_MODULE.test(first)) await this.#moduleMenu([first, ...rest].join(" "), scope, [], [], scope.depth, "");
    let marked: SyslinuxEntry | undefined;
    let named: SyslinuxEntry | undefined;
    let foremost: SyslinuxEntry | undefined;
    const choice = mediumChoice(scope.labels);
    for (let index = 0; index < scope.labels.length; index += 1) {
      const found = scope.labels[index]!;
      const { label } = found;
      if (choice?.others.has(label.name)) continue;
      const before = this.#entries.length;
      const inner = await this.#entry(found, scope);
      const own = inner ?? this.#entries[before];
      if (own === undefined) continue;
      if (label.standard) marked ??= own;
      if (label.name.toLowerCase() === (first === choice?.label ? choice.own : first).toLowerCase()) named ??= own;
      foremost ??= own;
    }
    return marked ?? named ?? foremost;
  }

  /** Adds the entries of a label: itself, or those of the configuration that it leads to, whose own standard is given then. */
  async #entry({ label, submenus, source }: FoundLabel, scope: Scope): Promise<SyslinuxEntry | undefined> {
    const title = label.title ?? label.name;
    const append = label.append === undefined ? scope.append : label.append === "-" ? "" : label.append;
    const next = nextConfiguration(label, append);
    if (next !== undefined) {
      const path = absolute(next.path, scope.folder);
      if (this.#followed.has(path)) return undefined;
      const folder = next.folder === undefined ? scope.folder : absolute(next.folder, scope.folder);
      const shown = label.title === undefined ? submenus : [...submenus, title];
      return await this.#configuration(path, folder, shown, scope.depth + 1);
    }
    if (label.leads || label.disabled || label.hidden) return undefined;
    const boot = bootOf(label, append, label.initrd ?? scope.initrd, scope.folder);
    const key = JSON.stringify([source, label]);
    if (boot === undefined || (this.#listed.get(key) ?? scope) !== scope) return undefined;
    this.#listed.set(key, scope);
    this.#entries.push({ name: label.name, title, submenus, source, boot });
    return undefined;
  }
}

const MENU_MODULE = /(^|\/)(vesamenu|menu)(\.c32)?$/i;

interface MediumChoice {
  /** Of the label that chooses. */
  readonly label: string;
  /** Label for a boot from a CD. */
  readonly own: string;
  /** Itself, and labels for other media. */
  readonly others: ReadonlySet<string>;
}

/** `whichsys.c32` goes on to a label by the medium that SYSLINUX came from: `-iso- NAME -sys- NAME -pxe- NAME` (Arch Linux). */
function mediumChoice(labels: readonly FoundLabel[]): MediumChoice | undefined {
  const chooser = labels.find(({ label }) => /(^|\/)whichsys\.c32$/i.test(label.starts?.what ?? ""))?.label;
  if (chooser === undefined) return undefined;
  const words = (chooser.append ?? "").split(/[ \t]+/);
  const ways = new Map(words.flatMap((word, at) => (/^-\w+-$/.test(word) && words[at + 1] !== undefined ? [[word, words[at + 1]!]] : [])));
  const own = ways.get("-iso-") ?? ways.get("-sys-");
  if (own === undefined) return undefined;
  return { label: chooser.name, own, others: new Set([chooser.name, ...[...ways.values()].filter((name) => name !== own)]) };
}

/** Another configuration that a label is the way to: CONFIG, or a menu module with files behind it. */
function nextConfiguration(
  { starts }: SyslinuxLabel,
  append: string,
): { readonly path: string; readonly folder: string | undefined } | undefined {
  if (starts === undefined) return undefined;
  const words = starts.what.split(/[ \t]+/);
  if (starts.as === "config") return words[0] === "" ? undefined : { path: words[0]!, folder: words[1] };
  if (!MENU_MODULE.test(words[0] ?? "") || !/\.c32$/i.test(words[0] ?? "")) return undefined;
  const file = [...words.slice(1), ...append.split(/[ \t]+/)].find((word) => word !== "" && !/^[-~]/.test(word));
  return file === undefined ? undefined : { path: file, folder: undefined };
}

/** What KERNEL takes a file for, by the end of its name (SYSLINUX wiki, "KERNEL file"). */
const OTHER_KINDS: readonly (readonly [pattern: RegExp, what: string])[] = [
  [/\.c32$/i, "a module of SYSLINUX"],
  [/\.(cbt|com)$/i, "a COMBOOT program"],
  [/\.(bs|bss|bin|0)$/i, "a boot sector"],
  [/\.(img|ima|dsk)$/i, "a floppy image"],
];

/** Undefined for a label that starts nothing and has no file of its name. */
function bootOf(label: SyslinuxLabel, append: string, initrd: string, folder: string): SyslinuxBoot | undefined {
  const starts = label.starts ?? { as: "kernel" as const, what: label.name };
  const [file = "", ...inline] = starts.what.split(/[ \t]+/);
  switch (starts.as) {
    case "localboot":
      return { kind: "other", does: "starts the next disk" };
    case "boot":
    case "bss":
    case "pxe":
    case "fdimage":
    case "comboot":
    case "config":
      return { kind: "other", does: `starts something else than Linux (${starts.as} ${file})` };
    default:
      break;
  }
  if (file === "") return undefined;
  if (starts.as !== "linux") {
    const module = /(?:^|\/)(mboot|linux|chain|reboot|poweroff)\.c32$/i.exec(file)?.[1]?.toLowerCase();
    if (module === "linux") return linuxOf(append, initrd, folder);
    if (module === "reboot") return { kind: "other", does: "restarts the computer" };
    if (module === "poweroff") return { kind: "other", does: "turns the computer off" };
    const other = OTHER_KINDS.find(([pattern]) => pattern.test(file));
    // `vmlinuz.img`? Nobody calls a kernel so; `memtest.bin` is started as a boot sector.
    if (other !== undefined || starts.as === "com32")
      return { kind: "other", does: `starts ${other?.[1] ?? "a module of SYSLINUX"}, ${file}` };
  }
  return linuxOf([file, ...inline, append].join(" "), initrd, folder);
}

/** From `kernel argument …`: `initrd=` names files, the last one counts, and is nothing to the kernel. */
function linuxOf(line: string, initrd: string, folder: string): SyslinuxBoot {
  const [kernel = "", ...words] = line.split(/[ \t]+/).filter((word) => word !== "");
  const named = words.filter((word) => word.startsWith("initrd=")).at(-1);
  const files = (named === undefined ? initrd : named.slice("initrd=".length)).split(",").map((file) => file.trim());
  return {
    kind: "linux",
    kernel: absolute(kernel, folder),
    initrds: files.filter((file) => file !== "").map((file) => absolute(file, folder)),
    arguments: words.filter((word) => !word.startsWith("initrd=")).join(" "),
  };
}

/** Backslashes and `::` are forms of DOS and of PXE. */
function absolute(path: string, folder: string): string {
  const plain = path.replaceAll("\\", "/").replace(/^::/, "/");
  return normalPath(`${plain.startsWith("/") ? "" : folder}/${plain}`);
}
