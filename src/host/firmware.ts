/**
 * Firmware for the guest: by QEMU's firmware descriptors (QEMU: docs/interop/firmware.json), then in known places.
 * Reading is at the edge (`findFirmware`); the choice is a pure function of what was read.
 */
import { access, constants, readdir, readFile, stat } from "node:fs/promises";
import { isAbsolute, join } from "node:path";
import picomatch from "picomatch";
import * as z from "zod";
import { reasonOf } from "../contract/error.ts";
import type { Firmware } from "../contract/parameters.ts";
import { type Environment, xdgFolders } from "./xdg.ts";

export interface FlashFile {
  /** Absolute path. */
  readonly filename: string;
  /** `raw` or `qcow2`. */
  readonly format: string;
}

/** How QEMU is given a firmware. */
export type FirmwareMapping =
  /** pflash unit 0 is `executable`, read-only; unit 1 a private copy of `nvramTemplate`. */
  | { readonly device: "flash"; readonly mode: "split"; readonly executable: FlashFile; readonly nvramTemplate: FlashFile }
  /** pflash unit 0 is a private copy of `executable`, which holds the variables too. */
  | { readonly device: "flash"; readonly mode: "combined"; readonly executable: FlashFile }
  /** `-bios`: the firmware forgets its variables. */
  | { readonly device: "memory"; readonly filename: string };

export interface FirmwareChoice {
  /** Path of the descriptor, or `known path`. */
  readonly source: string;
  readonly description: string;
  readonly mapping: FirmwareMapping;
  /** Runs only on q35 with SMM; hangs without a word elsewhere. */
  readonly requiresSmm: boolean;
  /** Checks signatures once keys are enrolled. */
  readonly secureBoot: boolean;
  readonly enrolledKeys: boolean;
}

export interface FirmwareWanted {
  readonly interface: Firmware;
  readonly architecture: "x86_64";
  /** Versioned name (`pc-q35-7.2`): descriptors know no aliases. See `machineVersionOf`. */
  readonly machine: string;
  /** Firmware that checks signatures, with keys enrolled; else one without keys. */
  readonly secureBoot: boolean;
  /** Flash formats that the caller can use. */
  readonly formats: readonly string[];
}

export interface FirmwareRejected {
  /** Path of the descriptor, or of the firmware in a known place. */
  readonly descriptor: string;
  readonly reason: string;
}

export interface FirmwareSearch {
  readonly chosen: FirmwareChoice | undefined;
  /** For a person, without a full stop: why this one, or what was looked for in vain. */
  readonly because: string;
  /** What to install where nothing was found: a whole sentence. */
  readonly hint: string;
  /** What was seen and not taken, in the order of the search. */
  readonly rejected: readonly FirmwareRejected[];
}

/** Names of machines have some twenty letters. */
const GLOB_MAX = 256;

const flashFileSchema = z.object({ filename: z.string(), format: z.string() });

/** What we use of a descriptor. Words that a later QEMU adds are kept and decide nothing. */
export const firmwareDescriptorSchema = z.object({
  description: z.string(),
  "interface-types": z.array(z.string()),
  mapping: z.discriminatedUnion("device", [
    z.object({
      device: z.literal("flash"),
      mode: z.enum(["split", "combined", "stateless"]).default("split"),
      executable: flashFileSchema,
      "nvram-template": flashFileSchema.optional(),
    }),
    z.object({ device: z.literal("memory"), filename: z.string() }),
    z.object({ device: z.literal("kernel"), filename: z.string() }),
  ]),
  targets: z.array(z.object({ architecture: z.string(), machines: z.array(z.string().min(1).max(GLOB_MAX)) })),
  features: z.array(z.string()),
});

export interface FirmwareDescriptor {
  readonly path: string;
  /** What the file says, or why it says nothing. */
  readonly content: { readonly facts: z.infer<typeof firmwareDescriptorSchema> } | { readonly broken: string };
}

/** In rising precedence, as the specification names them. */
export const firmwareFolders = (env: Environment): readonly string[] => [
  "/usr/share/qemu/firmware",
  "/etc/qemu/firmware",
  join(xdgFolders(env).config, "qemu/firmware"),
];

/** A descriptor is some hundred bytes. */
const DESCRIPTOR_MAX_BYTES = 1024 * 1024;

/** A file of one of the folders, whether it counts or not. */
export interface FirmwareEntry extends FirmwareDescriptor {
  /** `60-edk2-x86_64.json` */
  readonly name: string;
  readonly folder: string;
  /**
   * `active`: it counts. `shadowed`: a later folder has a file of this name. `mask`: empty, so that nothing of this name counts; its content is
   * broken, for it says nothing.
   */
  readonly state: "active" | "shadowed" | "mask";
  /** As it stands in the file; empty where it could not be read. */
  readonly text: string;
}

/**
 * All descriptors of these folders, given in rising precedence: of files with one name the last counts, an empty one masks the others. Sorted by name, files of one
 * name by rising precedence. Never throws: folders that are missing hold nothing, and a file that cannot be read or understood is a descriptor that says why.
 */
export async function readFirmwareEntries(folders: readonly string[]): Promise<readonly FirmwareEntry[]> {
  const files: { readonly name: string; readonly folder: string; readonly rank: number }[] = [];
  for (const [rank, folder] of folders.entries()) {
    for (const name of await readdir(folder).catch(() => [])) {
      if (name.endsWith(".json") && !name.startsWith(".")) files.push({ name, folder, rank });
    }
  }
  files.sort((a, b) => (a.name === b.name ? a.rank - b.rank : a.name < b.name ? -1 : 1));
  const read = await Promise.all(
    files.map(async ({ name, folder }) => {
      const path = join(folder, name);
      return { name, folder, path, ...(await readDescriptor(path)) };
    }),
  );
  return read.map(({ empty, ...entry }, at) => ({
    ...entry,
    state: read[at + 1]?.name === entry.name ? "shadowed" : empty ? "mask" : "active",
  }));
}

/** Of `readFirmwareEntries` what counts, in the order in which it is asked. */
export async function readFirmwareDescriptors(folders: readonly string[]): Promise<readonly FirmwareDescriptor[]> {
  const entries = await readFirmwareEntries(folders);
  return entries.filter(({ state }) => state === "active").map(({ path, content }) => ({ path, content }));
}

/** `empty`: a file that only masks; so does a link to /dev/null. */
async function readDescriptor(path: string): Promise<Pick<FirmwareEntry, "content" | "text"> & { readonly empty: boolean }> {
  const broken = (why: string, empty = false) => ({ content: { broken: why }, text: "", empty });
  try {
    const { size } = await stat(path);
    if (size === 0) return broken("it is empty, so that nothing of its name counts", true);
    if (size > DESCRIPTOR_MAX_BYTES) return broken(`${size} bytes are no descriptor`);
    const text = await readFile(path, "utf8");
    return { content: decodeFirmwareDescriptor(text), text, empty: false };
  } catch (error) {
    return broken(reasonOf(error));
  }
}

/** Never throws. */
export function decodeFirmwareDescriptor(text: string): FirmwareDescriptor["content"] {
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    return { broken: `no JSON: ${reasonOf(error)}` };
  }
  const parsed = firmwareDescriptorSchema.safeParse(json);
  if (parsed.success) return { facts: parsed.data };
  const [issue] = parsed.error.issues;
  return { broken: `no firmware descriptor: ${issue?.path.join(".") ?? ""}: ${issue?.message ?? ""}` };
}

/** A firmware that might do. */
interface Candidate extends FirmwareChoice {
  readonly path: string;
  readonly interfaces: readonly string[];
  readonly targets: readonly { readonly architecture: string; readonly machines: readonly string[] }[];
}

/**
 * The first descriptor in order that answers, then the first known place. A firmware that keeps variables comes before
 * one that forgets them, and one without SMM before one that needs it.
 *
 * `present`: of the files that the descriptors and `KNOWN_FIRMWARE` name, those that can be read.
 */
export function chooseFirmware(
  descriptors: readonly FirmwareDescriptor[],
  want: FirmwareWanted,
  present: ReadonlySet<string>,
): FirmwareSearch {
  const rejected: FirmwareRejected[] = [];
  const described: Candidate[] = [];
  for (const { path, content } of descriptors) {
    const candidate = "broken" in content ? content.broken : candidateOf(path, content.facts);
    const reason = typeof candidate === "string" ? candidate : reasonAgainst(candidate, want, present);
    if (reason !== undefined) rejected.push({ descriptor: path, reason });
    else if (typeof candidate !== "string") described.push(candidate);
  }
  const best = bestOf(described);
  if (best !== undefined) return found(best, `${best.description}, by QEMU's descriptor ${best.path}`, rejected);

  const known: Candidate[] = [];
  for (const candidate of KNOWN_FIRMWARE) {
    const reason = reasonAgainst(candidate, want, present);
    if (reason === undefined) known.push(candidate);
    else if (present.has(candidate.path)) rejected.push({ descriptor: candidate.path, reason });
  }
  const bestKnown = bestOf(known);
  if (bestKnown !== undefined) return found(bestKnown, `${bestKnown.description} at ${bestKnown.path}; no descriptor answers`, rejected);
  return { chosen: undefined, because: `nothing answers: ${inWords(want)}`, hint: packageHint(want), rejected };
}

function found(candidate: Candidate, because: string, rejected: readonly FirmwareRejected[]): FirmwareSearch {
  const { source, description, mapping, requiresSmm, secureBoot, enrolledKeys } = candidate;
  return { chosen: { source, description, mapping, requiresSmm, secureBoot, enrolledKeys }, because, hint: "", rejected };
}

/** Lower is better; of equals the first. */
const rankOf = ({ mapping, requiresSmm }: Candidate): number =>
  (mapping.device === "memory" ? 4 : mapping.mode === "combined" ? 2 : 0) + (requiresSmm ? 1 : 0);

function bestOf(candidates: readonly Candidate[]): Candidate | undefined {
  return candidates.reduce<Candidate | undefined>(
    (best, next) => (best !== undefined && rankOf(best) <= rankOf(next) ? best : next),
    undefined,
  );
}

/** What a descriptor offers, or why we cannot use it. */
function candidateOf(path: string, facts: z.infer<typeof firmwareDescriptorSchema>): Candidate | string {
  const mapping = mappingOf(facts.mapping);
  if (typeof mapping === "string") return mapping;
  const has = (feature: string) => facts.features.includes(feature);
  // Its variables would live in a device (uefi-vars-x64) that only newer QEMUs have.
  if (has("host-uefi-vars") || has("qemu-vars")) return "it wants QEMU to keep its variables (host-uefi-vars)";
  return {
    path,
    source: path,
    description: facts.description,
    mapping,
    requiresSmm: has("requires-smm"),
    secureBoot: has("secure-boot"),
    enrolledKeys: has("enrolled-keys"),
    interfaces: facts["interface-types"],
    targets: facts.targets,
  };
}

function mappingOf(mapping: z.infer<typeof firmwareDescriptorSchema>["mapping"]): FirmwareMapping | string {
  if (mapping.device === "kernel") return "it is loaded like a kernel";
  if (mapping.device === "memory") return { device: "memory", filename: mapping.filename };
  const { mode, executable, "nvram-template": nvramTemplate } = mapping;
  if (mode === "stateless") return "it keeps no variables (stateless)";
  if (mode === "combined") return { device: "flash", mode, executable };
  if (nvramTemplate === undefined) return "it names no template for its variables (nvram-template)";
  return { device: "flash", mode, executable, nvramTemplate };
}

function reasonAgainst(candidate: Candidate, want: FirmwareWanted, present: ReadonlySet<string>): string | undefined {
  const { mapping, interfaces, targets, requiresSmm, secureBoot, enrolledKeys } = candidate;
  if (!interfaces.includes(want.interface)) return `it is for ${interfaces.join(", ") || "nothing"}, not ${want.interface}`;
  const machines = targets.filter(({ architecture }) => architecture === want.architecture).flatMap((target) => target.machines);
  if (machines.length === 0) return `it is not for ${want.architecture}`;
  if (!machines.some((glob) => picomatch.isMatch(want.machine, glob, PLAIN_GLOBS)))
    return `it is for ${machines.join(", ")}, not ${want.machine}`;
  if (requiresSmm && !/^(?:pc-)?q35\b/.test(want.machine)) return `it needs SMM, which ${want.machine} has not`;
  if (want.secureBoot && !secureBoot) return "it has no Secure Boot";
  if (want.secureBoot && !enrolledKeys) return "it has no keys enrolled for Secure Boot";
  if (!want.secureBoot && enrolledKeys) return "its Secure Boot keys are enrolled: it would refuse unsigned images";
  for (const { format } of flashFilesOf(mapping)) {
    if (!want.formats.includes(format)) return `its format is ${format}, not ${want.formats.join(" or ")}`;
  }
  for (const path of filesOf(mapping)) {
    if (!isAbsolute(path)) return `it names a relative path: ${path}`;
    if (!present.has(path)) return `there is no ${path}, or it cannot be read`;
  }
  return undefined;
}

/** fnmatch(3): `*`, `?`, `[…]` and nothing else. */
const PLAIN_GLOBS = { nobrace: true, noext: true, nonegate: true, noglobstar: true, dot: true };

function flashFilesOf(mapping: FirmwareMapping): readonly FlashFile[] {
  if (mapping.device === "memory") return [];
  return mapping.mode === "split" ? [mapping.executable, mapping.nvramTemplate] : [mapping.executable];
}

/** Paths that a mapping names. */
export const filesOf = (mapping: FirmwareMapping): readonly string[] =>
  mapping.device === "memory" ? [mapping.filename] : flashFilesOf(mapping).map(({ filename }) => filename);

function inWords({ interface: kind, architecture, machine, secureBoot, formats }: FirmwareWanted): string {
  return `${kind === "uefi" ? "UEFI" : "BIOS"} firmware for ${architecture}, ${machine}, ${secureBoot ? "with Secure Boot and enrolled keys" : "without enrolled keys"}, format ${formats.join(" or ")}`;
}

/** Which package brings OVMF. */
export const OVMF_PACKAGES = { debian: "ovmf", fedora: "edk2-ovmf", arch: "edk2-ovmf", opensuse: "qemu-ovmf-x86_64" } as const;

function packageHint(want: FirmwareWanted): string {
  if (want.interface === "bios") return "Install the package that brings QEMU: it holds SeaBIOS.";
  const { debian, fedora, arch, opensuse } = OVMF_PACKAGES;
  return `Install ${debian} (Debian, Ubuntu), ${fedora} (Fedora), ${arch} (Arch), ${opensuse} (openSUSE), or sys-firmware/edk2-bin (Gentoo).`;
}

const Q35_AND_PC = ["pc-q35-*", "pc-i440fx-*"];
const Q35 = ["pc-q35-*"];

function knownSplit(distribution: string, code: string, variables: string, secure?: { readonly keys: boolean }): Candidate {
  const format = code.endsWith(".qcow2") ? "qcow2" : "raw";
  return {
    path: code,
    source: "known path",
    description: `OVMF as ${distribution} packs it`,
    mapping: { device: "flash", mode: "split", executable: { filename: code, format }, nvramTemplate: { filename: variables, format } },
    requiresSmm: secure !== undefined,
    secureBoot: secure !== undefined,
    enrolledKeys: secure?.keys ?? false,
    interfaces: ["uefi"],
    targets: [{ architecture: "x86_64", machines: secure === undefined ? Q35_AND_PC : Q35 }],
  };
}

function knownMemory(distribution: string, kind: Firmware, filename: string): Candidate {
  return {
    path: filename,
    source: "known path",
    description: `${kind === "uefi" ? "OVMF" : "SeaBIOS"} as ${distribution} packs it`,
    mapping: { device: "memory", filename },
    requiresSmm: false,
    secureBoot: false,
    enrolledKeys: false,
    interfaces: [kind],
    targets: [{ architecture: "x86_64", machines: Q35_AND_PC }],
  };
}

const KEYS = { keys: true };
const NO_KEYS = { keys: false };

/**
 * Where distributions put their firmware, for systems whose package has no descriptors. Code and variables are pairs:
 * those of 2 MiB and of 4 MiB builds do not go together.
 */
export const KNOWN_FIRMWARE: readonly Candidate[] = [
  knownSplit("Debian", "/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),
  knownSplit("Debian", "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd", NO_KEYS),
  knownSplit("Debian", "/usr/share/OVMF/OVMF_CODE_4M.ms.fd", "/usr/share/OVMF/OVMF_VARS_4M.ms.fd", KEYS),
  knownSplit("Debian", "/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
  knownSplit("Debian", "/usr/share/OVMF/OVMF_CODE.secboot.fd", "/usr/share/OVMF/OVMF_VARS.fd", NO_KEYS),
  knownSplit("Debian", "/usr/share/OVMF/OVMF_CODE.ms.fd", "/usr/share/OVMF/OVMF_VARS.ms.fd", KEYS),
  knownSplit("Fedora", "/usr/share/edk2/ovmf/OVMF_CODE_4M.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.qcow2"),
  knownSplit("Fedora", "/usr/share/edk2/ovmf/OVMF_CODE_4M.secboot.qcow2", "/usr/share/edk2/ovmf/OVMF_VARS_4M.secboot.qcow2", KEYS),
  knownSplit("Fedora", "/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),
  knownSplit("Fedora", "/usr/share/edk2/ovmf/OVMF_CODE.secboot.fd", "/usr/share/edk2/ovmf/OVMF_VARS.secboot.fd", KEYS),
  knownSplit("Arch", "/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),
  knownSplit("Arch", "/usr/share/edk2/x64/OVMF_CODE.secboot.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd", NO_KEYS),
  knownSplit("Arch", "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
  knownSplit("Arch", "/usr/share/edk2-ovmf/x64/OVMF_CODE.secboot.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd", NO_KEYS),
  knownSplit("openSUSE", "/usr/share/qemu/ovmf-x86_64-4m-code.bin", "/usr/share/qemu/ovmf-x86_64-4m-vars.bin"),
  knownSplit("openSUSE", "/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),
  knownSplit("openSUSE", "/usr/share/qemu/ovmf-x86_64-smm-ms-code.bin", "/usr/share/qemu/ovmf-x86_64-smm-ms-vars.bin", KEYS),
  knownSplit("Gentoo", "/usr/share/edk2/OvmfX64/OVMF_CODE.fd", "/usr/share/edk2/OvmfX64/OVMF_VARS.fd"),
  knownSplit("Gentoo", "/usr/share/edk2/OvmfX64/OVMF_CODE_4M.qcow2", "/usr/share/edk2/OvmfX64/OVMF_VARS_4M.qcow2"),
  knownSplit("Gentoo", "/usr/share/edk2-ovmf/OVMF_CODE.fd", "/usr/share/edk2-ovmf/OVMF_VARS.fd"),
  knownSplit("QEMU", "/usr/share/qemu/edk2-x86_64-code.fd", "/usr/share/qemu/edk2-i386-vars.fd"),
  knownSplit("QEMU", "/usr/share/qemu/edk2-x86_64-secure-code.fd", "/usr/share/qemu/edk2-i386-vars.fd", NO_KEYS),
  knownSplit("QEMU", "/usr/local/share/qemu/edk2-x86_64-code.fd", "/usr/local/share/qemu/edk2-i386-vars.fd"),
  knownSplit("QEMU", "/usr/local/share/qemu/edk2-x86_64-secure-code.fd", "/usr/local/share/qemu/edk2-i386-vars.fd", NO_KEYS),
  knownMemory("Debian", "uefi", "/usr/share/ovmf/OVMF.fd"),
  knownMemory("QEMU", "bios", "/usr/share/qemu/bios-256k.bin"),
  knownMemory("Debian", "bios", "/usr/share/seabios/bios-256k.bin"),
  knownMemory("QEMU", "bios", "/usr/local/share/qemu/bios-256k.bin"),
];

/** Descriptors and files of this computer, and the choice among them. Never throws. */
export async function findFirmware(want: FirmwareWanted, env: Environment): Promise<FirmwareSearch> {
  const descriptors = await readFirmwareDescriptors(firmwareFolders(env));
  return chooseFirmware(descriptors, want, await readableFirmwareFiles(descriptors));
}

/** Of the files that descriptors and the table of known places name, those that can be read. */
export async function readableFirmwareFiles(descriptors: readonly FirmwareDescriptor[]): Promise<ReadonlySet<string>> {
  const described = descriptors.flatMap(({ content }) => {
    if ("broken" in content) return [];
    const mapping = mappingOf(content.facts.mapping);
    return typeof mapping === "string" ? [] : filesOf(mapping);
  });
  const paths = [...new Set([...described, ...KNOWN_FIRMWARE.flatMap(({ mapping }) => filesOf(mapping))])].filter(isAbsolute);
  const readable = await Promise.all(paths.map(isReadableFile));
  return new Set(paths.filter((_, at) => readable[at]));
}

async function isReadableFile(path: string): Promise<boolean> {
  try {
    await access(path, constants.R_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}
