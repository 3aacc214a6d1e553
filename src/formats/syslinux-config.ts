/**
 * Menus of SYSLINUX, ISOLINUX, EXTLINUX (syslinux.cfg as the SYSLINUX wiki's "Config" and "Menu" pages describe it): one command a line, its word in
 * any case, a value behind it. Commands before the first LABEL are for all of them. One file is decoded here; INCLUDE, CONFIG and menu modules name
 * others, and `syslinux-run.ts` follows them.
 */

export interface SyslinuxLabel {
  readonly name: string;
  /** MENU LABEL without the `^` of its hot key; undefined: the label's name is shown. */
  readonly title: string | undefined;
  readonly hidden: boolean;
  readonly disabled: boolean;
  /** MENU DEFAULT. */
  readonly standard: boolean;
  /** Of KERNEL, LINUX, COM32, …; the word says what the file is taken for. */
  readonly starts: { readonly as: StartWord; readonly what: string } | undefined;
  readonly initrd: string | undefined;
  /** Undefined: the one that stands before the labels. `-`: none. */
  readonly append: string | undefined;
  /** MENU GOTO, MENU EXIT: it only leads to another part of the menu. */
  readonly leads: boolean;
}

export type StartWord = "kernel" | "linux" | "boot" | "bss" | "pxe" | "fdimage" | "comboot" | "com32" | "config" | "localboot";

export type SyslinuxCommand =
  | { readonly kind: "label"; readonly label: SyslinuxLabel }
  /** INCLUDE and MENU INCLUDE: the file's commands stand here. */
  | { readonly kind: "include"; readonly path: string }
  /** MENU BEGIN; all up to its `end` is a submenu. */
  | { readonly kind: "begin"; readonly name: string }
  | { readonly kind: "title"; readonly title: string }
  | { readonly kind: "end" }
  | { readonly kind: "default" | "ui" | "append" | "initrd"; readonly value: string };

const STARTS: ReadonlySet<string> = new Set<StartWord>([
  "kernel",
  "linux",
  "boot",
  "bss",
  "pxe",
  "fdimage",
  "comboot",
  "com32",
  "config",
  "localboot",
]);

/** Takes every text; what is no command that decides what boots is passed over. */
export function decodeSyslinuxConfig(text: string): readonly SyslinuxCommand[] {
  const commands: SyslinuxCommand[] = [];
  let label: { -readonly [Key in keyof SyslinuxLabel]: SyslinuxLabel[Key] } | undefined;
  let inHelp = false;
  const endLabel = () => {
    if (label !== undefined) commands.push({ kind: "label", label });
    label = undefined;
  };
  for (const line of text.split(/\r\n|\n|\r/)) {
    const [word, value] = firstWord(line);
    if (inHelp) {
      inHelp = word !== "endtext";
      continue;
    }
    if (word === "" || word.startsWith("#")) continue;
    if (word === "text") inHelp = firstWord(value)[0] === "help";
    else if (word === "label") {
      endLabel();
      const fresh = { title: undefined, hidden: false, disabled: false, standard: false, leads: false };
      label = { name: value, ...fresh, starts: undefined, initrd: undefined, append: undefined };
    } else if (word === "include") {
      endLabel();
      commands.push({ kind: "include", path: firstWordAsIs(value) });
    } else if (word === "menu") {
      const [menuWord, rest] = firstWord(value);
      switch (menuWord) {
        case "begin":
        case "end":
        case "include":
          endLabel();
          if (menuWord === "begin") commands.push({ kind: "begin", name: rest });
          else if (menuWord === "end") commands.push({ kind: "end" });
          else commands.push({ kind: "include", path: firstWordAsIs(rest) });
          break;
        case "title":
          if (label === undefined) commands.push({ kind: "title", title: withoutHotKey(rest) });
          break;
        case "label":
          if (label !== undefined) label.title = withoutHotKey(rest);
          // Outside a LABEL it names the submenu, as MENU TITLE does.
          else commands.push({ kind: "title", title: withoutHotKey(rest) });
          break;
        case "default":
          if (label !== undefined) label.standard = true;
          break;
        case "hide":
          if (label !== undefined) label.hidden = true;
          break;
        case "disable":
        case "disabled":
          if (label !== undefined) label.disabled = true;
          break;
        case "goto":
        case "exit":
        case "quit":
          if (label !== undefined) label.leads = true;
          break;
        default:
          break;
      }
    } else if (label !== undefined && STARTS.has(word)) label.starts = { as: word as StartWord, what: value };
    else if (label !== undefined && word === "initrd") label.initrd = value;
    else if (label !== undefined && word === "append") label.append = value;
    else if (word === "default" || word === "ui" || word === "append" || word === "initrd") commands.push({ kind: word, value });
  }
  endLabel();
  return commands;
}

/** The first word in small letters, and what stands behind it. */
function firstWord(line: string): readonly [string, string] {
  const trimmed = line.trim();
  const end = trimmed.search(/[ \t]/);
  return end < 0 ? [trimmed.toLowerCase(), ""] : [trimmed.slice(0, end).toLowerCase(), trimmed.slice(end).trim()];
}

/** File names go up to a blank; a keyword may stand behind them. */
const firstWordAsIs = (text: string): string => text.split(/[ \t]/, 1)[0] ?? "";

const withoutHotKey = (title: string): string => title.replace("^", "");
