/** Firmware of computers that do not exist, for tests of pure functions. */
import { decodeFirmwareImage } from "../../../src/formats/firmware-volume.ts";
import { decodeFirmwareDescriptor, type FirmwareEntry } from "../../../src/host/firmware.ts";
import type { FirmwareFile, FirmwareStock } from "../../../src/machine/firmware/stock.ts";
import { ENROLLED, joined, madeCode, madeVariables, SIZES } from "../../formats/firmware-images.ts";

const image = (bytes: Uint8Array) => decodeFirmwareImage(bytes, { modules: true });

export const IMAGES = {
  plain4m: image(madeCode({ secureBoot: true })),
  secure4m: image(madeCode({ smm: true, secureBoot: true })),
  arm4m: image(madeCode({ architecture: "aarch64" })),
  plain2m: image(madeCode({ sizeBytes: SIZES.code2m })),
  empty4m: image(madeVariables()),
  enrolled4m: image(madeVariables(ENROLLED)),
  empty2m: image(madeVariables([], { sizeBytes: SIZES.variables2m })),
  combined: image(joined(madeVariables([], { sizeBytes: SIZES.variables2m }), madeCode({ sizeBytes: SIZES.code2m }))),
  text: image(new Uint8Array(Buffer.from("no firmware at all, ".repeat(20)))),
} as const;

export type Kind = keyof typeof IMAGES;

/** `format` and `real` where they are not what the path says. */
export type Lying = Kind | "missing" | "unreadable" | { readonly kind: Kind; readonly format?: "raw" | "qcow2"; readonly real?: string };

export function stockOf(files: Readonly<Record<string, Lying>>): FirmwareStock {
  return new Map(Object.entries(files).map(([path, lying]) => [path, fileOf(path, lying)]));
}

function fileOf(path: string, lying: Lying): FirmwareFile {
  if (lying === "missing") return { path, state: "missing", because: "there is no such file" };
  if (lying === "unreadable") return { path, state: "unreadable", because: "a file that you may not read" };
  const { kind, format = "raw", real = path } = typeof lying === "string" ? { kind: lying } : lying;
  return { path, state: "present", realPath: real, format, image: IMAGES[kind] };
}

/** As Debian 12 has it. */
export const DEBIAN_FILES: Readonly<Record<string, Lying>> = {
  "/usr/share/OVMF/OVMF_CODE_4M.fd": "plain4m",
  "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd": "secure4m",
  "/usr/share/OVMF/OVMF_CODE_4M.ms.fd": { kind: "secure4m", real: "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd" },
  "/usr/share/OVMF/OVMF_VARS_4M.fd": "empty4m",
  "/usr/share/OVMF/OVMF_VARS_4M.ms.fd": "enrolled4m",
  "/usr/share/OVMF/OVMF_CODE.fd": "plain2m",
  "/usr/share/OVMF/OVMF_VARS.fd": "empty2m",
};

export interface MadeDescriptor {
  readonly code: string;
  readonly variables?: string;
  readonly mode?: "split" | "combined" | "stateless";
  readonly format?: string;
  readonly architecture?: string;
  readonly machines?: readonly string[];
  readonly features?: readonly string[];
}

export function descriptorText({
  code,
  variables,
  mode,
  format = "raw",
  architecture = "x86_64",
  machines = ["pc-q35-*"],
  features = ["acpi-s3"],
}: MadeDescriptor): string {
  return JSON.stringify({
    description: "UEFI firmware",
    "interface-types": ["uefi"],
    mapping: {
      device: "flash",
      ...(mode === undefined ? {} : { mode }),
      executable: { filename: code, format },
      ...(variables === undefined ? {} : { "nvram-template": { filename: variables, format } }),
    },
    targets: [{ architecture, machines }],
    features,
    tags: ["kept"],
    "later-word": { kept: true },
  });
}

export function entryOf(path: string, text: string, state: FirmwareEntry["state"] = "active"): FirmwareEntry {
  const at = path.lastIndexOf("/");
  return { path, folder: path.slice(0, at), name: path.slice(at + 1), state, text, content: decodeFirmwareDescriptor(text) };
}
