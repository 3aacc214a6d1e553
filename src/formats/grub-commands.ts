/** GRUB's commands by name: those that menus use. What only changes the looks succeeds and does nothing. */
import { LimitReached } from "./boot-menu.ts";
import { loaderEntries, menuEntry } from "./grub-entries.ts";
import { decodeGrubEnvironment } from "./grub-environment.ts";
import { fileOf, kindOf, readText } from "./grub-files.ts";
import { deeper, Finished, type GrubCall, type GrubCommand, Jump, MenuReplaced, type RawMenu } from "./grub-frame.ts";
import { initrd, linux, startsOther } from "./grub-kernel.ts";
import { splitAt, takeOption } from "./grub-options.ts";
import { parseGrubScript } from "./grub-script.ts";
import { probe, search } from "./grub-search.ts";
import { evaluateGrubTest } from "./grub-test.ts";
import { matchPosix } from "./posix-regexp.ts";

const succeed = () => 0;
const fail = () => 1;

const rows = (command: GrubCommand, ...names: readonly string[]) => names.map((name) => [name, command] as const);

/** What changes nothing that is booted. */
const LOOKS = [
  ...["insmod", "rmmod", "terminal_input", "terminal_output", "terminfo", "serial", "echo", "clear", "sleep", "play", "cat", "ls", "read"],
  ...["background_image", "background_color", "gettext", "save_env", "gfxmode", "videoinfo", "videotest", "password", "password_pbkdf2"],
  ...["cpuid", "acpi", "cutmem", "badram", "outb", "setpci", "hwmatch", "trust", "distrust", "nativedisk", "drivemap", "parttool", "date"],
  ...["devicetree", "loadbios", "fakebios", "setkey", "keymap", "hdparm", "time", "rdmsr", "wrmsr", "authenticate", "lsmod", "pager"],
];

export const GRUB_COMMANDS: ReadonlyMap<string, GrubCommand> = new Map([
  ...rows(succeed, "true", ...LOOKS),
  // No key is held down, no such serial number is found.
  ...rows(fail, "false", "keystatus", "smbios", "getenv", "cmp", "cryptomount", "lsefi"),
  ...rows(set, "set"),
  ...rows(unset, "unset"),
  ...rows(exportVariables, "export"),
  ...rows(test, "test", "["),
  ...rows(menuEntry, "menuentry", "submenu", "hiddenentry"),
  ...rows(source, "source", ".", "extract_entries_source", "extract_entries_configfile"),
  ...rows(configFile, "configfile", "normal"),
  ...rows(evaluate, "eval"),
  ...rows(linux, "linux", "linux16", "linuxefi"),
  ...rows(initrd, "initrd", "initrd16", "initrdefi"),
  ...rows(startsOther, "chainloader", "multiboot", "multiboot2", "module", "module2", "xen_hypervisor", "xen_module"),
  ...rows(startsOther, "kfreebsd", "knetbsd", "kopenbsd", "ntldr"),
  ...rows(startsOther, "halt", "reboot", "exit", "fwsetup", "loopback"),
  ...rows(boot, "boot"),
  ...rows(search, "search", "search.file", "search.fs_label", "search.fs_uuid", "search_label", "search_fs_uuid", "search_fs_file"),
  ...rows(probe, "probe"),
  ...rows(regexp, "regexp"),
  ...rows(loadEnvironment, "load_env"),
  ...rows(loadFont, "loadfont"),
  ...rows(loaderEntries, "blscfg"),
  ...rows(jump, "break", "continue", "return"),
  ...rows(shift, "shift"),
  ...rows(setParameters, "setparams"),
  ...rows(unfollowed, "legacy_source", "legacy_configfile"),
  ...rows(unfollowed, "syslinux_source", "syslinux_configfile", "extract_syslinux_entries_source"),
]);

// Variables and parameters

/** The first word alone counts. */
function set({ args: [word], frame: { context } }: GrubCall): number {
  if (word === undefined) return 0;
  const [name, value] = splitAt(word, "=");
  if (value === undefined) return context.variables.has(name) ? 0 : 1;
  context.set(name, value);
  return 0;
}

function unset({ args, frame }: GrubCall): number {
  for (const one of args) frame.context.variables.delete(one);
  return 0;
}

function exportVariables({ args, frame: { context } }: GrubCall): number {
  for (const one of args) {
    const [variable, value] = splitAt(one, "=");
    context.set(variable, value ?? context.get(variable), true);
  }
  return 0;
}

async function loadEnvironment({ args, frame, run }: GrubCall): Promise<number> {
  const { value: path, rest } = takeOption(args, ["--file", "-f"]);
  const text = await readText(fileOf(path ?? `${frame.context.get("prefix")}/grubenv`, frame, run), run);
  const variables = text === undefined ? undefined : decodeGrubEnvironment(text);
  if (variables === undefined) return 1;
  const wanted = new Set(rest.filter((word) => !word.startsWith("-")));
  for (const [name, value] of variables) if (wanted.size === 0 || wanted.has(name)) frame.context.set(name, value);
  return 0;
}

function shift({ args, frame }: GrubCall): number {
  frame.parameters = frame.parameters.slice(Number(args[0] ?? 1) || 0);
  return 0;
}

function setParameters({ args, frame }: GrubCall): number {
  frame.parameters = args;
  return 0;
}

// Questions

async function test({ name, args, frame, run }: GrubCall): Promise<number> {
  const words = name === "[" && args.at(-1) === "]" ? args.slice(0, -1) : args;
  const yes = await evaluateGrubTest(words, {
    kind: async (path) => await kindOf(fileOf(path, frame, run), run),
    sizeBytes: async (path) => {
      const { disk, path: inside } = fileOf(path, frame, run);
      return disk === undefined ? undefined : await run.world.sizeBytes(disk, inside);
    },
  });
  return yes ? 0 : 1;
}

/** Of a search by pattern, in commands. */
const REGEXP_COST = 500;

function regexp({ args, frame, run: { tally } }: GrubCall): number {
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
  tally.addCommands(REGEXP_COST);
  const match = matchPosix(pattern, text);
  if (match === undefined || match === "given up") tally.note(`${frame.source.path}: the pattern ${pattern} is not followed`);
  if (match === undefined || typeof match === "string") return 1;
  for (const { group, variable } of sets) frame.context.set(variable, match.groups[group] ?? "");
  return 0;
}

async function loadFont({ args: [name = ""], frame, run }: GrubCall): Promise<number> {
  const path = name.startsWith("/") || name.startsWith("(") ? name : `${frame.context.get("prefix")}/fonts/${name}.pf2`;
  return (await kindOf(fileOf(path, frame, run), run)) === "file" ? 0 : 1;
}

// Other scripts

async function source({ args: [path], frame, run }: GrubCall): Promise<number> {
  if (path === undefined) return 1;
  await run.runFile(fileOf(path, frame, run), frame);
  return frame.status;
}

/** A file without entries leaves the menu as it is. */
async function configFile({ name, args, frame, run }: GrubCall): Promise<number> {
  const path = args[0] ?? (name === "normal" ? `${frame.context.get("prefix")}/grub.cfg` : undefined);
  if (path === undefined) return 1;
  const file = fileOf(path, frame, run);
  const context = frame.context.opened();
  const menu: RawMenu = { entries: [], context };
  const inner = deeper(frame, { context, menu, source: file, status: 0 }, run.tally);
  let filled = menu;
  try {
    await run.runFile(file, inner);
  } catch (error) {
    if (error instanceof MenuReplaced) filled = error.menu;
    else if (error instanceof LimitReached && menu.entries.length > 0) run.tally.noteLimit(error);
    else throw error;
  }
  if (filled.entries.length > 0) throw new MenuReplaced(filled);
  return inner.status;
}

async function evaluate({ args, frame, run }: GrubCall): Promise<number> {
  const { script, errors } = parseGrubScript(args.join(" "));
  for (const { found } of errors) run.tally.note(`${frame.source.path}: eval: ${found}`);
  const inner = deeper(frame, {}, run.tally);
  await run.runScript(script, inner);
  return inner.status;
}

function unfollowed({ name, args, frame, run }: GrubCall): number {
  run.tally.note(`${frame.source.path}: ${name} ${args[0] ?? ""} is not followed`);
  return 1;
}

// Ways out

function boot(): never {
  throw new Finished();
}

function jump({ name, args, frame }: GrubCall): never {
  throw new Jump(name === "return" ? "return" : name === "break" ? "break" : "continue", jumpCount(name, args, frame.status));
}

function jumpCount(name: string, [first]: readonly string[], status: number): number {
  if (name === "return") return first === undefined ? status : Number.parseInt(first, 10) || 0;
  return Math.max(1, Number.parseInt(first ?? "1", 10) || 1);
}
