/**
 * Linux kernel modules: what a `.ko` file says of itself. It is an ELF object, and its section `.modinfo` holds `key=value` texts,
 * each ended by a NUL: `depends` (comma-separated names), `alias` (glob), `softdep`, `name`.
 * What it gives to others are its symbols: `__crc_NAME` in the symbol table where the kernel checks versions, else the names in `__ksymtab_strings`.
 *
 * Symbol:   32-bit, 16 bytes: 0 4 name      64-bit, 24 bytes: 0 4 name
 */
import { HiperisoError } from "../contract/error.ts";
import { latin1, viewOf } from "./bytes.ts";
import { decodeElf, type Elf } from "./elf.ts";

export interface ModuleInfo {
  readonly name: string;
  /** Names of the modules that must be there first. */
  readonly depends: readonly string[];
  /** Patterns of devices and features that this module serves. */
  readonly aliases: readonly string[];
  /** As the module has them: "pre: a b post: c". */
  readonly softDepends: readonly string[];
  /** Names that other modules may use. */
  readonly symbols: readonly string[];
}

const CRC_PREFIX = "__crc_";

/** Throws with the offset of what is not as it must be. `file` is the whole module, uncompressed. */
export function decodeModuleInfo(file: Uint8Array, where: string): ModuleInfo {
  const elf = decodeElf(file, where);
  const values = decodeModinfo(sectionNamed(".modinfo", elf, file, where));
  const all = (key: string): string[] => values.filter(([found]) => found === key).map(([, value]) => value);
  const [name] = all("name");
  if (name === undefined) throw bad(where, 0, "name= in .modinfo", "none");
  return {
    name,
    depends: all("depends").flatMap((list) => list.split(",").filter((part) => part !== "")),
    aliases: all("alias"),
    softDepends: all("softdep"),
    symbols: exportedSymbols(elf, file),
  };
}

/** `key=value` texts, each ended by a NUL. `modules.builtin.modinfo` has the same form, with `module.` before each key. */
export function decodeModinfo(section: Uint8Array): readonly (readonly [key: string, value: string])[] {
  return latin1(section)
    .split("\0")
    .flatMap((text) => {
      const equals = text.indexOf("=");
      return equals > 0 ? [[text.slice(0, equals), text.slice(equals + 1)] as const] : [];
    });
}

/** The name that the kernel knows a module by: `-` and `_` are the same to it. */
export function moduleName(name: string): string {
  return name.replaceAll("-", "_");
}

function sectionNamed(wanted: string, elf: Elf, file: Uint8Array, where: string): Uint8Array {
  const section = elf.sections.find(({ name }) => name === wanted);
  if (section === undefined) throw bad(where, 0, `a section ${wanted}`, `${elf.sections.length} sections without it`);
  return file.subarray(section.offset, section.offset + section.bytes);
}

function exportedSymbols(elf: Elf, file: Uint8Array): readonly string[] {
  const versions = symbolNames(elf, file).flatMap((name) => (name.startsWith(CRC_PREFIX) ? [name.slice(CRC_PREFIX.length)] : []));
  if (versions.length > 0) return versions;
  const strings = elf.sections.find(({ name }) => name === "__ksymtab_strings");
  if (strings === undefined) return [];
  return latin1(file.subarray(strings.offset, strings.offset + strings.bytes))
    .split("\0")
    .filter((name) => name !== "");
}

function symbolNames({ sections, bits, littleEndian }: Elf, file: Uint8Array): readonly string[] {
  const table = sections.find(({ name }) => name === ".symtab");
  const texts = table === undefined ? undefined : sections[table.link];
  if (table === undefined || texts === undefined) return [];
  const view = viewOf(file);
  const names = latin1(file.subarray(texts.offset, texts.offset + texts.bytes));
  const symbolBytes = bits === 64 ? 24 : 16;
  return Array.from({ length: Math.floor(table.bytes / symbolBytes) }, (_, index) => {
    const start = view.getUint32(table.offset + index * symbolBytes, littleEndian);
    // A name that is none of ours ends here: large tables are then read at the cost of a comparison each.
    if (!names.startsWith(CRC_PREFIX, start)) return "";
    const end = names.indexOf("\0", start);
    return end < 0 ? "" : names.slice(start, end);
  });
}

const bad = (where: string, at: number, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "read a kernel module", where: `${where}@${at}`, expected, found });
