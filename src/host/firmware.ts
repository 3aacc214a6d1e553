/** Firmware for the guest, found as QEMU's docs/interop/firmware.json says. */
import type { Firmware } from "../contract/parameters.ts";

export interface FlashFile {
  readonly filename: string;
  /** `raw` or `qcow2`. */
  readonly format: string;
}

/** How QEMU is given a firmware. */
export type FirmwareMapping =
  /** pflash: `executable` in unit 0, read-only; unit 1 a private copy of `nvramTemplate`. Undefined: the firmware keeps no variables. */
  | { readonly device: "flash"; readonly executable: FlashFile; readonly nvramTemplate: FlashFile | undefined }
  /** `-bios`. */
  | { readonly device: "memory"; readonly filename: string };

export interface FirmwareChoice {
  /** Path of the descriptor, or `known path`. */
  readonly source: string;
  readonly description: string;
  readonly mapping: FirmwareMapping;
  readonly requiresSmm: boolean;
  readonly secureBoot: boolean;
  readonly enrolledKeys: boolean;
}

export interface FirmwareWanted {
  readonly interface: Firmware;
  readonly architecture: "x86_64";
  /** Versioned name (`pc-q35-7.2`): descriptors do not know aliases. See `machineVersionOf`. */
  readonly machine: string;
  /** Firmware that checks signatures, with keys enrolled. */
  readonly secureBoot: boolean;
  /** Flash formats that the caller can use. */
  readonly formats: readonly string[];
}
