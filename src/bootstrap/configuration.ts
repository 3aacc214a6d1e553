/**
 * `steps/bootstrap.cfg`: NAME=VALUE lines that the guest's script generator and both of its shells read. Names and order are those of the
 * tree's own generator, with PAYLOAD_REQUIRED behind INTERACTIVE. The generator cuts a line at its first `=` and takes no quotes away.
 */
import { type BootstrapOptions, hasPayload, isKernelBootstrap } from "./options.ts";

/** The guest reads lines into a buffer of 2,048 bytes with newline and end mark; a longer line would fall into two. */
export const CONFIGURATION_LINE_BYTES_MAX = 2046;

/**
 * The whole file. `mirrors` as the guest reaches them: a `file://` mirror is by now the address of its server.
 * Empty where no configuration was wanted.
 */
export function encodeConfiguration(options: BootstrapOptions, mirrors: readonly string[]): string {
  if (!options.createConfig) return "";
  const kernelBootstrap = isKernelBootstrap(options);
  const payload = hasPayload(options);
  const { mode, interactive } = options;
  const lines: (readonly [name: string, value: string | number | boolean])[] = [
    ["ARCH", options.arch],
    ["ARCH_DIR", options.archDir],
    ["FORCE_TIMESTAMPS", options.forceTimestamps],
    ["CHROOT", mode === "chroot" || mode === "bwrap"],
    ["UPDATE_CHECKSUMS", options.updateChecksums],
    ["JOBS", options.cores],
    ["SWAP_SIZE", options.swapMib],
    ["FINAL_JOBS", options.cores],
    ["INTERNAL_CI", options.internalCi ?? false],
    ["INTERACTIVE", interactive],
    ["PAYLOAD_REQUIRED", payload],
    ["QEMU", mode === "qemu"],
    ["BARE_METAL", mode === "bare-metal" || (mode === "qemu" && interactive)],
    ...(options.buildGuixAlso ? [["BUILD_GUIX_ALSO", true] as const] : []),
    ["DISK", diskOf(options)],
    ["KERNEL_BOOTSTRAP", kernelBootstrap],
    ["BUILD_KERNELS", options.updateChecksums || options.buildKernels],
    ["CONFIGURATOR", options.configurator],
    ...(options.externalSources
      ? []
      : ([
          ["MIRRORS", `"${mirrors.join(" ")}"`],
          ["MIRRORS_LEN", mirrors.length],
        ] as const)),
  ];
  return lines.map(([name, value]) => `${name}=${typeof value === "boolean" ? (value ? "True" : "False") : value}\n`).join("");
}

/** Where the guest installs: the second disk's partition where that is a file system, the boot disk itself where it is bare. */
function diskOf(options: BootstrapOptions): string {
  if (!isKernelBootstrap(options)) return "sda1";
  return options.repo === undefined ? "sda" : "sdb1";
}

/** Name and value of each line, as the guest's script generator takes them. */
export function decodeConfiguration(text: string): readonly (readonly [name: string, value: string])[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const equals = line.indexOf("=");
      return equals === -1 ? ([line, ""] as const) : ([line.slice(0, equals), line.slice(equals + 1)] as const);
    });
}
