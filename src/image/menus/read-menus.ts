/**
 * Finds the boot menus of an image (GRUB's, SYSLINUX's, systemd-boot's, unified kernel images), lists their entries, and says of each whether its
 * kernel can be started without the menu. Nothing is mounted and nothing is run.
 */

import type { GrubBoot, GrubFile, GrubWorld } from "../../formats/grub-menu.ts";
import { runGrubScript } from "../../formats/grub-run.ts";
import { encodeKernelCommandLine } from "../../formats/kernel-command-line.ts";
import { decodeLinuxKernel, KERNEL_HEAD_BYTES } from "../../formats/linux-kernel.ts";
import { decodeLoaderEntry, decodeLoaderSettings, type LoaderEntry } from "../../formats/loader-entry.ts";
import { matchesName } from "../../formats/menu-paths.ts";
import { decodePe } from "../../formats/pe.ts";
import { runSyslinuxMenu } from "../../formats/syslinux-run.ts";
import type { BlockSource } from "../block-source.ts";
import { diskNumber, type ImageFacts } from "../image-facts.ts";
import type { BootEntry, BootMenus, ImagePart, MenuLoader } from "./boot-entry.ts";
import { type FoundNode, type MenuVolume, openMenuVolumes, readMenuFile, readMenuHead } from "./menu-volumes.ts";

const ENTRIES_MAX = 1000;
const MENUS_MAX = 32;
/** Each may cost a second or two. */
const LIMITED_MENUS_MAX = 3;
const MENU_BYTES_MAX = 1 << 20;

/** `medium`: as the facts were read from it. Throws only where it cannot be read, and the signal's reason when aborted. */
export async function readBootMenus(medium: BlockSource, facts: ImageFacts, signal: AbortSignal): Promise<BootMenus> {
  const volumes = await openMenuVolumes(medium, facts, signal);
  const places = findMenus(facts, volumes);
  const found: FoundEntry[] = [];
  const notes: string[] = [];
  let limited = 0;
  for (const place of places.slice(0, MENUS_MAX)) {
    signal.throwIfAborted();
    if (limited >= LIMITED_MENUS_MAX) {
      notes.push(`${limited} menus were stopped at a limit: the others are not read`);
      break;
    }
    const { entries, notes: told, limited: stopped = false } = await readMenu(place, volumes);
    limited += stopped ? 1 : 0;
    found.push(...entries);
    notes.push(...told.filter((note) => !notes.includes(note)));
  }
  if (places.length > MENUS_MAX) notes.push(`more than ${MENUS_MAX} menus: the others are not read`);
  const distinct = withoutRepeats(found);
  if (distinct.length > ENTRIES_MAX) notes.push(`more than ${ENTRIES_MAX} entries: the others are not listed`);
  const entries = numbered(distinct.slice(0, ENTRIES_MAX));
  return { entries, standard: standardOf(entries), notes };
}

/** An entry before it has a number. */
type FoundEntry = Omit<BootEntry, "number" | "id"> & { readonly wantedId: string };

// Which menus

interface MenuPlace {
  readonly loader: MenuLoader;
  readonly volume: MenuVolume;
  readonly path: string;
  /** Menus that are made for another way to start the image: only where nothing else shows their entries. */
  readonly loopback?: true;
}

/**
 * Of all configurations that the image holds, those that a boot loader starts with; pieces that they include are not. GRUB's first,
 * for its entries name kernels most plainly.
 */
const STARTS: readonly (readonly [loader: MenuLoader, pattern: RegExp])[] = [
  ["grub", /^\/boot\/grub2?\/grub\.cfg$/],
  ["grub", /^\/efi\/boot\/grub\.cfg$/],
  ["grub", /(^|\/)grub\.cfg$/],
  ["syslinux", /^\/(boot\/)?(isolinux|syslinux|extlinux)\/(isolinux|syslinux|extlinux)\.(cfg|conf)$/],
  ["syslinux", /(^|\/)(isolinux|syslinux|extlinux)\.(cfg|conf)$/],
  ["systemd-boot", /^\/loader\/entries\/[^/]+\.conf$/],
  ["uki", /^\/efi\/linux\/[^/]+\.efi$/],
  ["grub", /(^|\/)loopback\.cfg$/],
];

/** Where GRUB keeps pieces of its menu that are called like the whole: `x86_64-efi/grub.cfg`. */
const PIECES = /\/[a-z0-9_]+-(efi|pc|ieee1275|xen|coreboot|emu)\/grub\.cfg$/;

function findMenus(facts: ImageFacts, volumes: readonly MenuVolume[]): readonly MenuPlace[] {
  const files = [
    ...facts.bootConfigs.map(({ volume, path }) => ({ volume, path })),
    ...facts.kernels.filter(({ format }) => format === "UKI").map(({ volume, path }) => ({ volume, path })),
  ];
  const places: MenuPlace[] = [];
  STARTS.forEach(([loader, pattern]) => {
    for (const volume of volumes) {
      for (const file of files) {
        const lower = file.path.toLowerCase();
        if (file.volume !== volume.volume || !pattern.test(lower) || PIECES.test(lower)) continue;
        // Entries of systemd-boot stand one in a file: a menu is a folder.
        const path = loader === "systemd-boot" ? "/loader" : loader === "uki" ? "/EFI/Linux" : file.path;
        if (places.some((place) => place.volume === volume && place.path === path && place.loader === loader)) continue;
        places.push({ loader, volume, path, ...(/loopback\.cfg$/.test(lower) ? { loopback: true } : {}) });
      }
    }
  });
  return places;
}

interface ReadMenu {
  readonly entries: readonly FoundEntry[];
  readonly notes: readonly string[];
  readonly limited?: boolean;
}

async function readMenu(place: MenuPlace, volumes: readonly MenuVolume[]): Promise<ReadMenu> {
  switch (place.loader) {
    case "grub":
      return await readGrubMenu(place, volumes);
    case "syslinux":
      return await readSyslinuxMenu(place);
    case "systemd-boot":
      return await readLoaderEntries(place);
    case "uki":
      return await readUnifiedImages(place);
  }
}

// GRUB

/** Where the file of the image lies: loop-back menus ask for it, and ours is the medium itself. */
const NO_IMAGE_FILE = "/@the-image-itself@";

async function readGrubMenu(place: MenuPlace, volumes: readonly MenuVolume[]): Promise<ReadMenu> {
  const { volume, path, loopback } = place;
  const world = worldOf(volumes);
  const platforms = volume.efi || /^\/efi\//i.test(path) ? (["efi", "pc"] as const) : (["pc", "efi"] as const);
  const variables = loopback === true ? { iso_path: NO_IMAGE_FILE, isofile: NO_IMAGE_FILE, rootuuid: "" } : undefined;
  let best: ReadMenu | undefined;
  for (const platform of platforms) {
    const menu = await runGrubScript({ script: { disk: volume, path }, platform, variables: variables ?? {} }, world);
    const entries: FoundEntry[] = [];
    for (const entry of menu.entries) {
      const { kernel, initrds, line, whyNot } = await startOf(entry.boot, volumes);
      entries.push({
        wantedId: entry.id ?? entry.title,
        title: entry.title,
        submenus: entry.submenus,
        source: { loader: "grub", volume: volumeNameOf(entry.source, volume), path: entry.source.path },
        standard: entry === menu.standard,
        kernel,
        initrds,
        arguments: line,
        whyNot,
      });
    }
    const read = { entries, notes: menu.notes.map((note) => `${volume.volume}: ${note}`), limited: menu.limited };
    // Some menus have a branch for one platform only.
    if (menu.limited || entries.some(({ whyNot }) => whyNot === null)) return read;
    best ??= read;
  }
  return best ?? { entries: [], notes: [] };
}

const volumeNameOf = ({ disk }: GrubFile, standard: MenuVolume): string => (disk as MenuVolume | undefined)?.volume ?? standard.volume;

function worldOf(volumes: readonly MenuVolume[]): GrubWorld {
  const asVolume = (disk: { readonly name: string }) => volumes.find((volume) => volume === disk);
  return {
    disks: volumes,
    disk: (name) => volumes.find(({ aliases }) => aliases.has(name)),
    kind: async (disk, path) => {
      const node = await asVolume(disk)?.find(path);
      return node === undefined ? undefined : node.directory ? "directory" : "file";
    },
    sizeBytes: async (disk, path) => (await asVolume(disk)?.find(path))?.sizeBytes,
    read: async (disk, path, maxBytes) => {
      const volume = asVolume(disk);
      return volume === undefined ? undefined : await readMenuFile(volume, path, maxBytes);
    },
    list: async (disk, path) => (await asVolume(disk)?.list(path)) ?? [],
  };
}

interface Start {
  readonly kernel: ImagePart | null;
  readonly initrds: readonly ImagePart[];
  readonly line: string;
  readonly whyNot: string | null;
}

const notStarted = (whyNot: string): Start => ({ kernel: null, initrds: [], line: "", whyNot });

async function startOf(boot: GrubBoot, volumes: readonly MenuVolume[]): Promise<Start> {
  if (boot.kind === "other") return notStarted(`it ${boot.does}`);
  const line = lineOf(boot.words.filter((word) => !word.includes(NO_IMAGE_FILE)));
  const volumeOf = (file: GrubFile) => volumes.find((volume) => volume === file.disk);
  return await checkedStart(
    { volume: volumeOf(boot.kernel), path: boot.kernel.path },
    boot.initrds.map((file) => ({ volume: volumeOf(file), path: file.path })),
    line,
  );
}

/** Undefined where a word cannot stand on a kernel's command line. */
function lineOf(words: readonly string[]): string | undefined {
  try {
    return encodeKernelCommandLine(words.map((name) => ({ name })));
  } catch {
    return undefined;
  }
}

interface Named {
  readonly volume: MenuVolume | undefined;
  readonly path: string;
}

/** Looks whether the files are there and the kernel is one that QEMU starts. */
async function checkedStart(kernel: Named, initrds: readonly Named[], line: string | undefined): Promise<Start> {
  const { volume, path } = kernel;
  const node = await volume?.find(path);
  if (volume === undefined || node === undefined || node.directory) return notStarted(`its kernel ${path} is not in the image`);
  const part = partOf(volume, path, node);
  const parts: ImagePart[] = [];
  let whyNot = await kernelProblem(volume, node, path);
  for (const initrd of initrds) {
    const found = await initrd.volume?.find(initrd.path);
    if (initrd.volume === undefined || found === undefined || found.directory)
      whyNot ??= `its initial RAM file system ${initrd.path} is not in the image`;
    else parts.push(partOf(initrd.volume, initrd.path, found));
  }
  if (line === undefined) whyNot ??= "its arguments are no command line of a kernel: too long, or with control characters";
  return { kernel: part, initrds: parts, line: line ?? "", whyNot };
}

const partOf = ({ volume }: MenuVolume, path: string, { sizeBytes }: FoundNode): ImagePart => ({
  volume,
  path,
  startBytes: 0,
  sizeBytes: diskNumber(sizeBytes),
});

async function kernelProblem(volume: MenuVolume, node: FoundNode, path: string, startBytes = 0n): Promise<string | null> {
  const head = await readMenuHead(volume, node, KERNEL_HEAD_BYTES, startBytes);
  const kernel = decodeLinuxKernel(head);
  if (kernel === undefined) return `${path} is no Linux kernel`;
  if (kernel.format !== "bzImage") return `${path} is a kernel of the form ${kernel.format}, which QEMU does not start`;
  return null;
}

// SYSLINUX

async function readSyslinuxMenu({ volume, path }: MenuPlace): Promise<ReadMenu> {
  const menu = await runSyslinuxMenu(path, (file, maxBytes) => readMenuFile(volume, file, maxBytes));
  const entries: FoundEntry[] = [];
  for (const entry of menu.entries) {
    const { boot } = entry;
    const named = (file: string) => ({ volume, path: file });
    const start =
      boot.kind === "other"
        ? notStarted(`it ${boot.does}`)
        : await checkedStart(named(boot.kernel), boot.initrds.map(named), usable(boot.arguments));
    entries.push({
      wantedId: entry.name,
      title: entry.title,
      submenus: entry.submenus,
      source: { loader: "syslinux", volume: volume.volume, path: entry.source },
      standard: entry === menu.standard,
      kernel: start.kernel,
      initrds: start.initrds,
      arguments: start.line,
      whyNot: start.whyNot,
    });
  }
  return { entries, notes: menu.notes.map((note) => `${volume.volume}: ${note}`), limited: menu.limited };
}

const LINE_BYTES_MAX = 2047;

/** A line that the loader hands on as it stands. */
function usable(line: string): string | undefined {
  return /[\0-\x1f\x7f]|\p{Surrogate}/u.test(line) || new TextEncoder().encode(line).length > LINE_BYTES_MAX ? undefined : line;
}

// systemd-boot

const ENTRY_FILES_MAX = 256;

async function readLoaderEntries({ volume }: MenuPlace): Promise<ReadMenu> {
  const names = (await volume.list("/loader/entries")).filter((name) => /\.conf$/i.test(name)).slice(0, ENTRY_FILES_MAX);
  const settingsBytes = await readMenuFile(volume, "/loader/loader.conf", MENU_BYTES_MAX);
  const wanted = settingsBytes === undefined ? undefined : decodeLoaderSettings(decode(settingsBytes)).standard;
  const read: { readonly id: string; readonly path: string; readonly entry: LoaderEntry }[] = [];
  for (const name of names) {
    const path = `/loader/entries/${name}`;
    const bytes = await readMenuFile(volume, path, MENU_BYTES_MAX);
    if (bytes !== undefined) read.push({ id: name.replace(/\.conf$/i, ""), path, entry: decodeLoaderEntry(decode(bytes)) });
  }
  read.sort((one, other) => inLoaderOrder(one, other));
  const standard =
    (wanted === undefined
      ? undefined
      : read.find(({ id }) => matchesName(wanted.replace(/\.conf$/, ""), id) || matchesName(wanted, `${id}.conf`))) ?? read[0];
  const entries: FoundEntry[] = [];
  for (const one of read) {
    const start = await loaderStart(volume, one.entry);
    const { title, version } = one.entry;
    entries.push({
      wantedId: one.id,
      title: [
        title ?? one.id,
        ...(version === undefined || read.filter(({ entry }) => entry.title === title).length < 2 ? [] : [version]),
      ].join(" "),
      submenus: [],
      source: { loader: "systemd-boot", volume: volume.volume, path: one.path },
      standard: one === standard,
      kernel: start.kernel,
      initrds: start.initrds,
      arguments: start.line,
      whyNot: start.whyNot,
    });
  }
  return { entries, notes: [] };
}

/** As UAPI.1 sorts: entries with a sort key first and by it, then newer versions, then by name from its end. */
function inLoaderOrder(
  one: { readonly id: string; readonly entry: LoaderEntry },
  other: { readonly id: string; readonly entry: LoaderEntry },
): number {
  const [a, b] = [one.entry.sortKey, other.entry.sortKey];
  if (a !== undefined && b !== undefined && a !== b) return a < b ? -1 : 1;
  if ((a === undefined) !== (b === undefined)) return a === undefined ? 1 : -1;
  const byVersion = (other.entry.version ?? "").localeCompare(one.entry.version ?? "", "en", { numeric: true });
  return a !== undefined && byVersion !== 0 ? byVersion : other.id.localeCompare(one.id, "en", { numeric: true });
}

async function loaderStart(volume: MenuVolume, entry: LoaderEntry): Promise<Start> {
  const { architecture } = entry;
  if (architecture !== undefined && architecture !== "x64") return notStarted(`it is for ${architecture}`);
  const named = (path: string) => ({ volume, path: path.replaceAll("\\", "/") });
  const unified = entry.uki ?? entry.efi;
  if (entry.kernel === undefined && unified !== undefined) {
    const path = named(unified).path;
    const node = await volume.find(path);
    const start = node === undefined || node.directory ? undefined : await unifiedStart(volume, path, node);
    if (start !== undefined) return entry.options === "" ? start : { ...start, line: usable(entry.options) ?? start.line };
    return notStarted(`it starts another EFI program, ${unified}`);
  }
  if (entry.kernel === undefined) return notStarted("it names no kernel");
  return await checkedStart(named(entry.kernel), entry.initrds.map(named), usable(entry.options));
}

const decode = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);

// Unified kernel images

async function readUnifiedImages({ volume, path: folder }: MenuPlace): Promise<ReadMenu> {
  const names = (await volume.list(folder)).filter((name) => /\.efi$/i.test(name)).slice(0, ENTRY_FILES_MAX);
  const entries: FoundEntry[] = [];
  for (const name of names.sort((one, other) => other.localeCompare(one, "en", { numeric: true }))) {
    const path = `${folder}/${name}`;
    const node = await volume.find(path);
    const start = node === undefined || node.directory ? undefined : await unifiedStart(volume, path, node);
    if (start === undefined) continue;
    entries.push({
      wantedId: name.replace(/\.efi$/i, ""),
      title: start.title,
      submenus: [],
      source: { loader: "uki", volume: volume.volume, path },
      standard: entries.length === 0,
      kernel: start.kernel,
      initrds: start.initrds,
      arguments: start.line,
      whyNot: start.whyNot,
    });
  }
  return { entries, notes: [] };
}

const PE_HEAD_BYTES = 4096;
const SECTION_TEXT_BYTES_MAX = 16_384;

/** Sections of a PE image (UAPI.5): the kernel, the initial RAM file systems and the command line. Undefined where there is no kernel in it. */
async function unifiedStart(volume: MenuVolume, path: string, node: FoundNode): Promise<(Start & { readonly title: string }) | undefined> {
  const pe = decodePe(await readMenuHead(volume, node, PE_HEAD_BYTES), node.sizeBytes, { offset: 0n, report: () => {} });
  const section = (name: string) =>
    pe?.sections.find((one) => one.name === name && BigInt(one.offset) + BigInt(one.bytes) <= node.sizeBytes);
  const linux = section(".linux");
  if (pe === undefined || linux === undefined) return undefined;
  const part = ({ offset, bytes }: { offset: number; bytes: number }): ImagePart => ({
    volume: volume.volume,
    path,
    startBytes: offset,
    sizeBytes: bytes,
  });
  const text = async (name: string) => {
    const found = section(name);
    if (found === undefined) return "";
    const bytes = await readMenuHead(volume, node, Math.min(found.bytes, SECTION_TEXT_BYTES_MAX), BigInt(found.offset));
    return decode(bytes)
      .replace(/\0[\s\S]*$/, "")
      .trim();
  };
  const release = await text(".osrel");
  const pretty = /^PRETTY_NAME=(["']?)(.*)\1$/m.exec(release)?.[2];
  const line = usable((await text(".cmdline")).replace(/[\r\n\t]+/g, " "));
  const wrong =
    pe.machine === "x86-64"
      ? await kernelProblem(volume, node, `the kernel in ${path}`, BigInt(linux.offset))
      : `${path} is for ${pe.machine}`;
  return {
    title: pretty ?? path.slice(path.lastIndexOf("/") + 1),
    kernel: part(linux),
    // Microcode first, as the stub has it.
    initrds: [section(".ucode"), section(".initrd")].filter((one) => one !== undefined).map(part),
    line: line ?? "",
    whyNot: wrong ?? (line === undefined ? "its command line is too long, or holds control characters" : null),
  };
}

// All together

/** The same menu is often reached in two ways, or written twice for two boot loaders. */
function withoutRepeats(entries: readonly FoundEntry[]): readonly FoundEntry[] {
  const seen = new Map<string, number>();
  const kept: FoundEntry[] = [];
  for (const entry of entries) {
    const { title, submenus, kernel, initrds, whyNot } = entry;
    const key = JSON.stringify([title, submenus, kernel, initrds, entry.arguments, whyNot]);
    const before = seen.get(key);
    if (before === undefined) {
      seen.set(key, kept.length);
      kept.push(entry);
    } else if (entry.standard && !kept[before]!.standard && kept[before]!.source.path === entry.source.path) kept[before] = entry;
  }
  return kept;
}

function numbered(entries: readonly FoundEntry[]): readonly BootEntry[] {
  const taken = new Set<string>();
  return entries.map(({ wantedId, ...entry }, index) => {
    const base = wantedId.trim() === "" ? `entry-${index + 1}` : plainId(wantedId);
    let id = base;
    for (let count = 2; taken.has(id); count += 1) id = `${base}-${count}`;
    taken.add(id);
    return { number: index + 1, id, ...entry };
  });
}

/** Small letters and digits: easy to write on a command line. */
const plainId = (text: string): string =>
  text
    .toLowerCase()
    .normalize("NFKD")
    .replace(/\p{M}+/gu, "")
    .replace(/[^\p{L}\p{N}._]+/gu, "-")
    .replace(/^-+|-+$/g, "") || "entry";

/** What the first menu with a bootable entry starts by itself, else the first entry that can be started. */
function standardOf(entries: readonly BootEntry[]): BootEntry | null {
  const bootable = entries.filter(({ whyNot }) => whyNot === null);
  return bootable.find(({ standard }) => standard) ?? bootable[0] ?? null;
}
