/**
 * Linux kernels as files. Little-endian.
 *
 * x86 (Documentation/arch/x86/boot.rst), from the start of the file:
 *   0x1f1  1  setup sectors, 0: 4      0x1fe  2  0x55 0xAA      0x202  4  "HdrS"      0x206  2  boot protocol, 0x020f is 2.15
 *   0x20e  2  offset - 0x200 of the version text      0x236  2  xloadflags: bit 0: has a 64-bit entry
 * EFI zboot (drivers/firmware/efi/libstub/zboot-header.S): 0 "MZ", 4 "zimg", 8 4 offset and 12 4 bytes of the payload, 24 compression
 * arm64 (Documentation/arch/arm64/booting.rst): 0x38 "ARM\x64".  riscv (…/riscv/boot-image-header.rst): 0x38 "RSC\x05"
 */
import { latin1, viewOf } from "./bytes.ts";

export interface LinuxKernel {
  readonly format: "bzImage" | "zboot" | "arm64" | "riscv";
  /** "6.1.0-13-amd64 (builder) #1 SMP date"; empty where the header has none, or where it lies behind `head`. */
  readonly version: string;
  readonly bootProtocol: string | null;
  readonly machine: string | null;
  readonly efiStub: boolean;
}

/** Setup code is at most 64 sectors: what a reader should hand in so that the version text is in it. */
export const KERNEL_HEAD_BYTES = 65 * 512;

/** Undefined where `head`, the first bytes of a file, does not start a Linux kernel. */
export function decodeLinuxKernel(head: Uint8Array): LinuxKernel | undefined {
  const efiStub = latin1(head.subarray(0, 2)) === "MZ";
  if (efiStub && latin1(head.subarray(4, 8)) === "zimg") {
    return { format: "zboot", version: "", bootProtocol: null, machine: null, efiStub };
  }
  const magic = latin1(head.subarray(0x38, 0x3c));
  if (magic === "ARM\x64") return { format: "arm64", version: "", bootProtocol: null, machine: "aarch64", efiStub };
  if (magic === "RSC\x05") return { format: "riscv", version: "", bootProtocol: null, machine: "riscv64", efiStub };
  if (head.length < 0x238 || latin1(head.subarray(0x202, 0x206)) !== "HdrS" || head[0x1fe] !== 0x55 || head[0x1ff] !== 0xaa)
    return undefined;
  const view = viewOf(head);
  const protocol = view.getUint16(0x206, true);
  const versionAt = view.getUint16(0x20e, true);
  return {
    format: "bzImage",
    version: versionAt === 0 ? "" : terminatedText(head.subarray(0x200 + versionAt)),
    bootProtocol: `${protocol >> 8}.${protocol & 0xff}`,
    // Before protocol 2.12 a kernel could not say; those that are still about are 32-bit or do not care.
    machine: protocol >= 0x20c ? ((view.getUint16(0x236, true) & 1) === 0 ? "x86" : "x86-64") : null,
    efiStub,
  };
}

const VERSION_BYTES_MAX = 256;

/** Empty unless it is text to a zero byte. */
function terminatedText(bytes: Uint8Array): string {
  const end = bytes.subarray(0, VERSION_BYTES_MAX).indexOf(0);
  const text = end < 0 ? "" : latin1(bytes.subarray(0, end)).trim();
  return /^[\x20-\x7e]*$/.test(text) ? text : "";
}
