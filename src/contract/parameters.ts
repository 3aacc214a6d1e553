/**
 * The settings of a boot: CONTRACT section 1 (kernel command line) and section 3 (`hiperiso.json`).
 *
 * One table. The kernel parameter, the boot menu's environment variable, the command's flag, the key in
 * `iso_overrides` and the key in `control` of each setting are derived from a row or written in it; nothing
 * else in the program spells these names.
 */

export const TRACE_LEVELS = ["none", "standard", "detailed", "full"] as const;
export const DISPLAYS = ["none", "gtk", "vnc"] as const;
export const VGAS = ["none", "std", "virtio"] as const;
export const BOOT_MODES = ["normal", "memdisk", "grub2"] as const;
export const FIRMWARES = ["uefi", "bios"] as const;
export type TraceLevel = (typeof TRACE_LEVELS)[number];
export type Display = (typeof DISPLAYS)[number];
export type Vga = (typeof VGAS)[number];
export type BootMode = (typeof BOOT_MODES)[number];
export type Firmware = (typeof FIRMWARES)[number];

/** What a boot is asked to be, every question answered. A field is undefined where CONTRACT section 1 says "unset". */
export interface Settings {
  readonly iso: string | undefined;
  readonly logDir: string;
  readonly traceLevel: TraceLevel;
  /** MB, as QEMU counts them (2^20 bytes). */
  readonly guestRam: number;
  readonly guestCpus: number;
  readonly display: Display;
  readonly vga: Vga;
  /** Emulation without trying KVM. */
  readonly fallback: boolean;
  readonly autoInstall: string | undefined;
  readonly persistence: string | undefined;
  readonly dud: string | undefined;
  readonly injection: string | undefined;
  /** `org=/path/in/image;new=/path/on/data`, pairs joined by `;;`. */
  readonly confReplace: string | undefined;
  readonly secureBoot: boolean;
  readonly tpm: boolean;
  /** Comma-separated CPU flags. */
  readonly cpuFeatures: string | undefined;
  readonly bootMode: BootMode;
  readonly netDump: boolean;
  /** Its kernel parameter is an addition to the contract. Undefined: what the image can boot decides. */
  readonly firmware: Firmware | undefined;
}

export type SettingName = keyof Settings;

export type ValueKind =
  | { readonly type: "integer"; readonly min: number; readonly max: number; readonly unit?: string }
  | { readonly type: "choice"; readonly values: readonly string[] }
  /** On the command line of the kernel `1` or unset; in JSON a boolean. */
  | { readonly type: "switch" }
  | { readonly type: "text" }
  | { readonly type: "path" };

export interface Parameter {
  readonly setting: SettingName;
  /** `hiperiso_…`, or undefined where the contract has no kernel parameter for it. */
  readonly kernel: `hiperiso_${string}` | undefined;
  readonly value: ValueKind;
  /** As in `Settings`; undefined for "unset". */
  readonly standard: string | number | boolean | undefined;
  /** Key of `control` in `hiperiso.json`. */
  readonly control?: string;
  /** Key of an entry of `iso_overrides`. */
  readonly override?: string;
  /** Short form of the flag, without dashes. */
  readonly alias?: string;
  readonly help: string;
}

/** Limits: what QEMU's q35 machine takes, and what a setting outside them would only be a slip of the hand for. */
const RAM_MB = { type: "integer", min: 16, max: 1_048_576, unit: "MB" } as const;
const CPUS = { type: "integer", min: 1, max: 255 } as const;

export const PARAMETERS: readonly Parameter[] = [
  { setting: "iso", kernel: "hiperiso_iso", value: { type: "path" }, standard: undefined, help: "path of the image" },
  {
    setting: "logDir",
    kernel: "hiperiso_log_dir",
    value: { type: "path" },
    standard: "/hiperiso/logs",
    override: "log_dir",
    help: "directory under which the session's directory is made",
  },
  {
    setting: "traceLevel",
    kernel: "hiperiso_trace_level",
    value: { type: "choice", values: TRACE_LEVELS },
    standard: "standard",
    control: "default_trace_level",
    override: "trace_level",
    help: "how much of QEMU's events is recorded",
  },
  {
    setting: "guestRam",
    kernel: "hiperiso_guest_ram",
    value: RAM_MB,
    standard: 2048,
    control: "default_ram",
    override: "ram",
    alias: "ram",
    help: "guest memory in MB",
  },
  {
    setting: "guestCpus",
    kernel: "hiperiso_guest_cpus",
    value: CPUS,
    standard: 2,
    control: "default_cpus",
    override: "cpus",
    alias: "cpus",
    help: "guest processors",
  },
  {
    setting: "display",
    kernel: "hiperiso_display",
    value: { type: "choice", values: DISPLAYS },
    standard: "none",
    control: "default_display",
    override: "display",
    help: "where the guest's screen is shown",
  },
  {
    setting: "vga",
    kernel: "hiperiso_vga",
    value: { type: "choice", values: VGAS },
    standard: "std",
    control: "default_vga",
    override: "vga",
    help: "the guest's display adapter",
  },
  {
    setting: "fallback",
    kernel: "hiperiso_fallback",
    value: { type: "switch" },
    standard: false,
    override: "fallback",
    help: "emulate without trying KVM",
  },
  {
    setting: "autoInstall",
    kernel: "hiperiso_auto_install",
    value: { type: "path" },
    standard: undefined,
    override: "auto_install",
    help: "unattended-install script handed to the guest",
  },
  {
    setting: "persistence",
    kernel: "hiperiso_persistence",
    value: { type: "path" },
    standard: undefined,
    override: "persistence",
    help: "persistence image attached to the guest",
  },
  {
    setting: "dud",
    kernel: "hiperiso_dud",
    value: { type: "path" },
    standard: undefined,
    override: "dud",
    help: "driver update disk image attached to the guest",
  },
  {
    setting: "injection",
    kernel: "hiperiso_injection",
    value: { type: "path" },
    standard: undefined,
    override: "injection",
    help: "archive (.tar.gz) whose files the guest is given",
  },
  {
    setting: "confReplace",
    kernel: "hiperiso_conf_replace",
    value: { type: "text" },
    standard: undefined,
    override: "conf_replace",
    help: "files of the image to replace: org=…;new=…, pairs joined by ;;",
  },
  {
    setting: "secureBoot",
    kernel: "hiperiso_secure_boot",
    value: { type: "switch" },
    standard: false,
    override: "secure_boot",
    help: "Secure Boot firmware with enrolled keys",
  },
  {
    setting: "tpm",
    kernel: "hiperiso_tpm",
    value: { type: "switch" },
    standard: false,
    override: "tpm",
    help: "attach a virtual TPM 2.0 (swtpm)",
  },
  {
    setting: "cpuFeatures",
    kernel: "hiperiso_cpu_features",
    value: { type: "text" },
    standard: undefined,
    override: "cpu_features",
    help: "processor features to add, comma-separated",
  },
  {
    setting: "bootMode",
    kernel: "hiperiso_boot_mode",
    value: { type: "choice", values: BOOT_MODES },
    standard: "normal",
    override: "boot_mode",
    help: "how the image is started",
  },
  {
    setting: "netDump",
    kernel: "hiperiso_net_dump",
    value: { type: "switch" },
    standard: false,
    control: "net_dump",
    override: "net_dump",
    help: "a network card, and every packet to network.pcap",
  },
  {
    setting: "firmware",
    kernel: "hiperiso_firmware",
    value: { type: "choice", values: FIRMWARES },
    standard: undefined,
    override: "firmware",
    help: "uefi or bios, whatever the image says",
  },
];

/** The command's flag of a parameter: its name without prefix, with dashes. */
export const flagOf = (parameter: Parameter): string =>
  `--${(parameter.kernel?.slice("hiperiso_".length) ?? parameter.setting).replaceAll("_", "-")}`;

/** The boot menu's environment variable of a parameter. */
export const environmentNameOf = (parameter: Parameter): string | undefined =>
  parameter.kernel === undefined ? undefined : `HISO_${parameter.kernel.slice("hiperiso_".length).toUpperCase()}`;

export const standardSettings: Settings = Object.fromEntries(
  PARAMETERS.map(({ setting, standard }) => [setting, standard]),
) as unknown as Settings;
