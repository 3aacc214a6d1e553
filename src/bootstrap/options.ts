/**
 * What a person asks of a bootstrap: the options of the tree's own generator under the same names, with the same defaults and refusals,
 * and a few of ours. Values are checked once, here; behind this everything is of its type.
 */
import { HiperisoError } from "../contract/error.ts";

export const MODES = ["chroot", "bwrap", "qemu", "bare-metal"] as const;
export type BootstrapMode = (typeof MODES)[number];

/** Checked options. Sizes in MiB as in the original; 0 where the mode does not use them. */
export interface BootstrapOptions {
  readonly mode: BootstrapMode;
  readonly arch: string;
  /** The folder of the same name in stage0-posix and in the seeds. */
  readonly archDir: string;
  readonly target: string;
  readonly tmpfs: boolean;
  readonly tmpfsSize: string;
  readonly cores: number;
  readonly forceTimestamps: boolean;
  readonly updateChecksums: boolean;
  readonly externalSources: boolean;
  readonly buildKernels: boolean;
  readonly buildGuixAlso: boolean;
  /** False: the configuration file is empty, and the guest asks. */
  readonly createConfig: boolean;
  readonly interactive: boolean;
  readonly configurator: boolean;
  /** As given, `file://` included. At least one. */
  readonly mirrors: readonly string[];
  /** A folder of packages that were built before. */
  readonly repo?: string;
  /** A tar that stands in for the seeds. */
  readonly earlyPreseed?: string;
  readonly internalCi?: string;
  readonly swapMib: number;
  readonly qemuCmd: string;
  readonly qemuRamMib: number;
  readonly targetSizeMib: number;
  /** A Linux kernel that boots instead of the bootstrap's own. */
  readonly kernel?: string;
  /** The step behind which the payload is imported, where the manifest does not say: `jump: linux`, a package, or a line's number. */
  readonly importAfter?: string;
}

/** As they stand on a command line: text and switches, nothing checked. An empty text counts as not given, as in the original. */
export interface RawOptions {
  readonly arch?: string | undefined;
  readonly chroot?: boolean | undefined;
  readonly bwrap?: boolean | undefined;
  readonly qemu?: boolean | undefined;
  readonly bareMetal?: boolean | undefined;
  readonly target?: string | undefined;
  readonly tmpfs?: boolean | undefined;
  readonly tmpfsSize?: string | undefined;
  readonly cores?: string | undefined;
  readonly forceTimestamps?: boolean | undefined;
  readonly updateChecksums?: boolean | undefined;
  readonly externalSources?: boolean | undefined;
  readonly buildKernels?: boolean | undefined;
  readonly buildGuixAlso?: boolean | undefined;
  readonly createConfig?: boolean | undefined;
  readonly interactive?: boolean | undefined;
  readonly configurator?: boolean | undefined;
  readonly mirrors?: readonly string[] | undefined;
  readonly repo?: string | undefined;
  readonly earlyPreseed?: string | undefined;
  readonly internalCi?: string | undefined;
  readonly swap?: string | undefined;
  readonly qemuCmd?: string | undefined;
  readonly qemuRam?: string | undefined;
  readonly targetSize?: string | undefined;
  readonly kernel?: string | undefined;
  readonly importAfter?: string | undefined;
}

export const DEFAULTS = {
  arch: "x86",
  target: "target",
  tmpfsSize: "8G",
  cores: "2",
  swap: "0",
  qemuCmd: "qemu-system-x86_64",
  qemuRam: "4096",
  targetSize: "16G",
} as const;

/** Folders of stage0-posix that are not named like the architecture. */
const ARCH_DIRS: Readonly<Record<string, string>> = { amd64: "AMD64" };

/** How the guest gets going. `kernel`: a given Linux boots a disk. `kernel-bootstrap`: the boot sector of hand-readable code does. */
export type BootstrapForm = "chroot" | "bwrap" | "kernel" | "kernel-bootstrap";

export function formOf(options: BootstrapOptions): BootstrapForm {
  if (options.mode === "chroot" || options.mode === "bwrap") return options.mode;
  return isKernelBootstrap(options) ? "kernel-bootstrap" : "kernel";
}

/** Boots from the hand-readable seed itself: no kernel is given. */
export const isKernelBootstrap = ({ mode, kernel }: BootstrapOptions): boolean =>
  (mode === "qemu" || mode === "bare-metal") && kernel === undefined;

/** The late sources travel on a raw disk of their own. */
export const hasPayload = (options: BootstrapOptions): boolean =>
  isKernelBootstrap(options) && options.externalSources && options.repo === undefined;

/** Throws (`usage`) at the first option that is refused, in the order of the original. */
export function checkOptions(raw: RawOptions): BootstrapOptions {
  const mode = modeOf(raw);
  const arch = raw.arch ?? DEFAULTS.arch;
  // It is the name of a folder too.
  if (!/^\w+$/.test(arch)) throw refused("--arch", "letters and digits", `"${arch}"`);
  if (mode === "bwrap" && raw.tmpfs === true)
    throw refused("--tmpfs", "another mode than --bwrap", "both", "bwrap cannot see a file system that only root has mounted.");
  const cores = whole(raw.cores ?? DEFAULTS.cores, "--cores", 1);
  const targetSizeMib = mode === "qemu" ? sizeMib(raw.targetSize ?? DEFAULTS.targetSize, "--target-size", 1) : 0;
  const swapMib = mode === "qemu" || mode === "bare-metal" ? sizeMib(raw.swap ?? DEFAULTS.swap, "--swap", 0) : 0;
  const mirrors = raw.mirrors ?? [];
  if (mirrors.length === 0)
    throw refused("--mirrors", "at least one mirror", "none", "Name one with --mirrors URL; a folder is file:///absolute/path.");
  for (const mirror of mirrors) checkMirror(mirror);
  const kernel = given(raw.kernel);
  const internalCi = given(raw.internalCi);
  const importAfter = given(raw.importAfter);
  const options: BootstrapOptions = {
    mode,
    arch,
    archDir: ARCH_DIRS[arch] ?? arch,
    target: raw.target ?? DEFAULTS.target,
    tmpfs: raw.tmpfs === true,
    tmpfsSize: raw.tmpfsSize ?? DEFAULTS.tmpfsSize,
    cores,
    forceTimestamps: raw.forceTimestamps === true,
    updateChecksums: raw.updateChecksums === true,
    externalSources: raw.externalSources === true,
    buildKernels: raw.buildKernels === true,
    buildGuixAlso: raw.buildGuixAlso === true,
    createConfig: raw.createConfig !== false,
    interactive: raw.interactive === true,
    configurator: raw.configurator === true,
    mirrors,
    swapMib,
    qemuCmd: raw.qemuCmd ?? DEFAULTS.qemuCmd,
    qemuRamMib: whole((mode === "qemu" ? raw.qemuRam : undefined) ?? DEFAULTS.qemuRam, "--qemu-ram", 1),
    targetSizeMib,
    ...(given(raw.repo) === undefined ? {} : { repo: raw.repo! }),
    ...(given(raw.earlyPreseed) === undefined ? {} : { earlyPreseed: raw.earlyPreseed! }),
    ...(internalCi === undefined ? {} : { internalCi: word(internalCi, "--internal-ci") }),
    ...(kernel === undefined ? {} : { kernel }),
    ...(importAfter === undefined ? {} : { importAfter }),
  };
  if (importAfter !== undefined && !hasPayload(options))
    throw refused(
      "--import-after",
      "a bootstrap with a payload disk: --qemu or --bare-metal, --external-sources, no --repo, no --kernel",
      "another",
    );
  return options;
}

function modeOf(raw: RawOptions): BootstrapMode {
  const asked = MODES.filter((mode) => (mode === "bare-metal" ? raw.bareMetal : raw[mode]) === true);
  const [mode] = asked;
  const expected = "exactly one of --chroot, --bwrap, --qemu, --bare-metal";
  if (mode === undefined) throw refused("the mode", expected, "none");
  if (asked.length > 1) throw refused("the mode", expected, asked.map((name) => `--${name}`).join(" "));
  return mode;
}

const given = (text: string | undefined): string | undefined => (text === "" ? undefined : text);

function whole(text: string, option: string, min: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw refused(option, `a whole number of ${min} or more`, `"${text}"`);
}

/** Digits, then nothing or M for MiB, or G for GiB. The original also takes several such letters, of which the last one counts. */
function sizeMib(text: string, option: string, min: number): number {
  const parts = /^(\d+)([gGmM]*)$/.exec(text);
  const value = parts === null ? Number.NaN : Number(parts[1]) * (/[gG]$/.test(parts[2]!) ? 1024 : 1);
  if (Number.isSafeInteger(value) && value >= min) return value;
  throw refused(option, `a size of ${min === 0 ? "0" : "1M"} or more, in MiB or with M or G behind it`, `"${text}"`);
}

/** The configuration is read by two shells: what they would take apart or act on must not get in. */
function word(text: string, option: string): string {
  if (/^[\w.+:@%,/=-]+$/.test(text)) return text;
  throw refused(option, "letters, digits and - _ . without blanks: it is written into a file that a shell reads", `"${text}"`);
}

function checkMirror(mirror: string): void {
  if (mirror.startsWith("file://") && !mirror.startsWith("file:///"))
    throw refused("--mirrors", "file:// with an absolute path, as in file:///srv/distfiles", mirror);
  // A folder never reaches the guest: it becomes a server, and only that server's address is written.
  if (mirror.startsWith("file://")) return;
  if (mirror === "" || /[\0-\x20\x7f"'`$\\]/.test(mirror))
    throw refused("--mirrors", "a URL without blanks, quotes, $ and \\: it is written into a file that a shell reads", `"${mirror}"`);
}

const refused = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: "use the options", where, expected, found, kind: "usage", ...(hint === undefined ? {} : { hint }) });
