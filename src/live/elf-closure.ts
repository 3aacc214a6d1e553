/**
 * Everything that programs need to run in a tree of their own: their loader and all libraries, found as the loader itself would find them
 * (ld.so(8); musl: ldso/dynlink.c). What a program opens by name while it runs cannot be seen in its file.
 */
import { posix } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { latin1 } from "../formats/bytes.ts";
import { decodeElf, type Elf, isElf } from "../formats/elf.ts";

/** Paths are from the tree's root, without a leading slash. Links, also of folders, are followed inside the tree. */
export interface FileLookup {
  /** Undefined where there is no file. */
  read(path: string): Promise<Uint8Array | undefined>;
  /** Names in a folder, sorted; none where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
}

export interface ClosureFile {
  /** Where it must stand, which is where the loader looks for it: links on the way are gone. */
  readonly path: string;
  readonly content: Uint8Array;
}

interface Loaded {
  readonly path: string;
  readonly elf: Elf;
  /** Who asked for it: their DT_RPATH counts too. */
  readonly by: Loaded | undefined;
  /** What is loaded into the same process, by the names it is known by: nothing is loaded a second time. */
  readonly names: Set<string>;
}

/** Folders that a program without a path is looked for in. */
const PROGRAM_FOLDERS = ["usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"];
/** e_machine: folders of Debian's kind, which its loader knows without being told. */
const MULTIARCH: Readonly<Record<number, string>> = {
  3: "i386-linux-gnu",
  40: "arm-linux-gnueabihf",
  62: "x86_64-linux-gnu",
  183: "aarch64-linux-gnu",
  243: "riscv64-linux-gnu",
};
const SCRIPT_HEAD = /^#![ \t]*\/(\S+)/;
/** More than any program has: a tree that answers for ever is not searched for ever. */
const FILES_MAX = 4096;

/**
 * The programs (names, or paths from the root) with all that they need, sorted by path. A script brings its interpreter.
 * Throws where a program or a library is missing, naming who asked for it.
 */
export async function programClosure(programs: readonly string[], tree: FileLookup): Promise<readonly ClosureFile[]> {
  const files = new Map<string, Uint8Array>();
  const configured = await configuredFolders(tree);
  const take = async (path: string, content: Uint8Array, by: Loaded | undefined): Promise<void> => {
    if (files.has(path)) return;
    if (files.size >= FILES_MAX) throw missing(path, by, `more than ${FILES_MAX} files`);
    files.set(path, content);
    if (!isElf(content)) {
      const interpreter = SCRIPT_HEAD.exec(latin1(content.subarray(0, 256)))?.[1];
      if (interpreter !== undefined) await takeFile(interpreter, path);
      return;
    }
    const loaded: Loaded = { path, elf: decodeElf(content, path), by, names: by?.names ?? new Set() };
    const { interpreter, dynamic } = loaded.elf;
    for (const name of [dynamic?.soname, interpreter === null ? undefined : posix.basename(interpreter)]) {
      if (name !== undefined && name !== null) loaded.names.add(name);
    }
    if (interpreter !== null) await takeFile(interpreter.replace(/^\/+/, ""), path);
    for (const name of dynamic?.needed ?? []) await takeLibrary(name, loaded);
  };
  const takeFile = async (path: string, by: string): Promise<void> => {
    const content = await tree.read(path);
    if (content === undefined) throw missing(path, by);
    await take(path, content, undefined);
  };
  const takeLibrary = async (name: string, by: Loaded): Promise<void> => {
    if (by.names.has(name)) return;
    by.names.add(name);
    for (const folder of name.includes("/") ? [""] : searchFolders(by, configured)) {
      const path = posix.normalize(name.includes("/") ? withOrigin(name, by) : `${folder}/${name}`).replace(/^\/+/, "");
      const content = await tree.read(path);
      // A library for another processor is passed over, as the loader does.
      if (content === undefined || !isElf(content) || !fits(content, path, by.elf)) continue;
      await take(path, content, by);
      return;
    }
    throw missing(name, by);
  };
  for (const program of programs) {
    const path = await pathOf(program, tree);
    await take(path, (await tree.read(path))!, undefined);
  }
  return [...files].sort(([a], [b]) => (a < b ? -1 : 1)).map(([path, content]) => ({ path, content }));
}

async function pathOf(program: string, tree: FileLookup): Promise<string> {
  const plain = program.replace(/^\/+/, "");
  const places = program.includes("/") ? [plain] : PROGRAM_FOLDERS.map((folder) => `${folder}/${program}`);
  for (const place of places) {
    if ((await tree.read(place)) !== undefined) return place;
  }
  const where = places.map((place) => `/${place}`).join(", ");
  throw new HiperisoError({ what: `find the program ${program}`, where, expected: "it in the root file system", found: "nothing" });
}

function missing(name: string, by: Loaded | string | undefined, found = "nothing"): HiperisoError {
  const asker = typeof by === "string" ? by : (by?.path ?? "the list of programs");
  return new HiperisoError({ what: "collect what programs need", where: `/${asker}`, expected: name, found });
}

function fits(content: Uint8Array, path: string, { bits, littleEndian, machine }: Elf): boolean {
  try {
    const other = decodeElf(content, path);
    return other.bits === bits && other.littleEndian === littleEndian && other.machine === machine;
  } catch {
    return false;
  }
}

/** In the order in which ld.so looks. */
function searchFolders(by: Loaded, configured: Configured): readonly string[] {
  const { elf } = by;
  const runpath = elf.dynamic?.runpath ?? [];
  const chain: string[] = [];
  // DT_RPATH, also of those on whose behalf this one is loaded, counts only where there is no DT_RUNPATH.
  if (runpath.length === 0) {
    for (let at: Loaded | undefined = by; at !== undefined; at = at.by) {
      const asker = at;
      if ((at.elf.dynamic?.runpath ?? []).length === 0)
        chain.push(...(at.elf.dynamic?.rpath ?? []).map((folder) => withOrigin(folder, asker)));
    }
  }
  const own = [...chain, ...runpath.map((folder) => withOrigin(folder, by))];
  if (elf.dynamic?.noDefaultFolders === true) return own;
  return [...own, ...configured.folders, ...defaultFolders(elf)];
}

function defaultFolders({ bits, machine }: Elf): readonly string[] {
  const triplet = MULTIARCH[machine];
  return [
    ...(triplet === undefined ? [] : [`lib/${triplet}`, `usr/lib/${triplet}`]),
    ...(bits === 64 ? ["lib64", "usr/lib64"] : ["lib32", "usr/lib32"]),
    ...["lib", "usr/lib", "usr/local/lib"],
  ];
}

/** $ORIGIN is the folder of who asks; $LIB and $PLATFORM as glibc on x86-64 says them. */
function withOrigin(folder: string, { path, elf }: Loaded): string {
  const values: Readonly<Record<string, string>> = {
    ORIGIN: `/${posix.dirname(path)}`,
    LIB: elf.bits === 64 ? `lib/${MULTIARCH[elf.machine] ?? ""}` : "lib",
    PLATFORM: elf.machine === 62 ? "x86_64" : "",
  };
  return folder.replace(
    /\$(?:\{(ORIGIN|LIB|PLATFORM)\}|(ORIGIN|LIB|PLATFORM)\b)/g,
    (_, braced: string, bare: string) => values[braced ?? bare] ?? "",
  );
}

interface Configured {
  readonly folders: readonly string[];
}

/** /etc/ld.so.conf with what it includes, and musl's /etc/ld-musl-*.path. */
async function configuredFolders(tree: FileLookup): Promise<Configured> {
  const folders: string[] = [];
  const seen = new Set<string>();
  const visit = async (path: string): Promise<void> => {
    if (seen.has(path)) return;
    seen.add(path);
    const content = await tree.read(path);
    for (const line of content === undefined ? [] : latin1(content).split("\n")) {
      const text = line.replace(/#.*/, "").trim();
      const included = /^include\s+(\S.*)$/.exec(text)?.[1];
      if (included !== undefined) {
        for (const file of await matching(posix.resolve("/", posix.dirname(path), included).slice(1), tree)) await visit(file);
      } else if (text.startsWith("/")) folders.push(...text.split(/[:\s,]+/).map((folder) => folder.slice(1)));
    }
  };
  await visit("etc/ld.so.conf");
  for (const name of await tree.list("etc")) {
    if (!/^ld-musl-.+\.path$/.test(name)) continue;
    const content = latin1((await tree.read(`etc/${name}`)) ?? new Uint8Array());
    folders.push(...content.split(/[:\n]/).flatMap((folder) => (folder.startsWith("/") ? [folder.slice(1)] : [])));
  }
  return { folders: folders.filter((folder) => folder !== "") };
}

/** A pattern with `*` in its last part, as distributions write it: `etc/ld.so.conf.d/*.conf`. */
async function matching(pattern: string, tree: FileLookup): Promise<readonly string[]> {
  const [folder, last] = [posix.dirname(pattern), posix.basename(pattern)];
  if (!last.includes("*")) return [pattern];
  const parts = last.split("*");
  const fitting = (name: string): boolean =>
    name.startsWith(parts[0]!) && name.endsWith(parts.at(-1)!) && name.length >= parts.join("").length;
  return (await tree.list(folder)).filter(fitting).map((name) => `${folder}/${name}`);
}
