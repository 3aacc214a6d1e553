/** Small firmware files for tests, made by code: volumes of code with the modules that matter, and stores of variables. */
import { viewOf } from "../../src/formats/bytes.ts";
import { encodeGuid } from "../../src/formats/gpt.ts";

const FILES = "8C8CE578-8A3D-4F1C-9935-896185C32DD3";
const VARIABLES = "FFF12B8D-7696-4C8B-A985-2747075B4F50";
const AUTHENTICATED = "AAF32C78-947B-439A-A180-2E144EC37792";
const PLAIN = "DDCF3616-3275-4164-98B6-FE85707FFE7D";
export const GLOBAL = "8BE4DF61-93CA-11D2-AA0D-00E098032B8C";
export const SECURITY = "D719B2CB-3D3A-4596-A3BC-DAD00E67656F";
const SMM_LOADER = "2FA2A6DA-11D5-4DC3-999A-749648B03C56";
const SECURE_BOOT_PAGE = "F0E6A44F-7195-41C3-AC64-54F202CD0A21";
const ANY_FILE = "12345678-1234-1234-1234-123456789ABC";

/** As Debian's: what the two halves of a 4 MiB and of a 2 MiB build take. */
export const SIZES = { code4m: 3_653_632, variables4m: 540_672, code2m: 1_966_080, variables2m: 131_072 } as const;

const VOLUME_HEADER_BYTES = 72;

/** A volume of `lengthBytes`, erased behind `content`. */
export function madeVolume(guid: string, lengthBytes: number, content: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(lengthBytes).fill(0xff);
  bytes.fill(0, 0, VOLUME_HEADER_BYTES);
  const view = viewOf(bytes);
  bytes.set(encodeGuid(guid), 16);
  view.setBigUint64(32, BigInt(lengthBytes), true);
  bytes.set(Buffer.from("_FVH"), 40);
  view.setUint32(44, 0x4feff, true);
  view.setUint16(48, VOLUME_HEADER_BYTES, true);
  view.setUint8(55, 2);
  view.setUint32(56, lengthBytes / 16, true);
  view.setUint32(60, 16, true);
  bytes.set(content, VOLUME_HEADER_BYTES);
  return withChecksum(bytes);
}

export function withChecksum(bytes: Uint8Array): Uint8Array {
  const view = viewOf(bytes);
  view.setUint16(50, 0, true);
  let sum = 0;
  for (let at = 0; at < VOLUME_HEADER_BYTES; at += 2) sum += view.getUint16(at, true);
  view.setUint16(50, -sum & 0xffff, true);
  return bytes;
}

export const joined = (...parts: readonly Uint8Array[]): Uint8Array => new Uint8Array(Buffer.concat(parts));

const padded = (bytes: Uint8Array, to: number): Uint8Array => joined(bytes, new Uint8Array((to - (bytes.length % to)) % to).fill(0xff));

export function madeSection(type: number, content: Uint8Array): Uint8Array {
  const header = new Uint8Array(4);
  viewOf(header).setUint32(0, content.length + 4, true);
  header[3] = type;
  return padded(joined(header, content), 4);
}

export function madeFile(guid: string, type: number, content: Uint8Array): Uint8Array {
  const header = new Uint8Array(24);
  header.set(encodeGuid(guid));
  header[18] = type;
  viewOf(header).setUint32(20, content.length + 24, true);
  header[23] = 0xf8;
  return padded(joined(header, content), 8);
}

const MACHINES = { x86_64: 0x8664, i386: 0x14c, aarch64: 0xaa64 } as const;

function madePe(architecture: keyof typeof MACHINES): Uint8Array {
  const bytes = new Uint8Array(96);
  bytes.set(Buffer.from("MZ"));
  viewOf(bytes).setUint32(60, 64, true);
  bytes.set(Buffer.from("PE\0\0"), 64);
  viewOf(bytes).setUint16(68, MACHINES[architecture], true);
  return bytes;
}

export interface MadeCode {
  readonly architecture?: keyof typeof MACHINES;
  readonly smm?: boolean;
  readonly secureBoot?: boolean;
}

/** The inner volume of a firmware, as a section: the core, and the modules that are asked for. */
export function madeModules({ architecture = "x86_64", smm = false, secureBoot = false }: MadeCode): Uint8Array {
  const files = joined(
    madeFile(ANY_FILE, 0xf0, new Uint8Array(5)),
    madeFile(ANY_FILE, 0x05, joined(madeSection(0x15, Buffer.from("core", "utf16le")), madeSection(0x10, madePe(architecture)))),
    ...(smm ? [madeFile(SMM_LOADER, 0x07, madeSection(0x10, madePe(architecture)))] : []),
    ...(secureBoot ? [madeFile(SECURE_BOOT_PAGE, 0x07, madeSection(0x10, madePe(architecture)))] : []),
  );
  return madeSection(0x17, madeVolume(FILES, 4096, files));
}

/** A file of code, its modules not packed. */
export const madeCode = (made: MadeCode & { readonly sizeBytes?: number } = {}): Uint8Array =>
  madeCodeOf(madeModules(made), made.sizeBytes ?? SIZES.code4m);

export const madeCodeOf = (sections: Uint8Array, sizeBytes: number): Uint8Array =>
  madeVolume(FILES, sizeBytes, madeFile(ANY_FILE, 0x0b, sections));

export interface MadeVariable {
  readonly name: string;
  readonly vendor: string;
  readonly value: Uint8Array;
  /** 0x3f, in force, unless said. */
  readonly state?: number;
}

function madeVariable({ name, vendor, value, state = 0x3f }: MadeVariable, authenticated: boolean): Uint8Array {
  const text = Buffer.from(`${name}\0`, "utf16le");
  const header = new Uint8Array(authenticated ? 60 : 32);
  const view = viewOf(header);
  view.setUint16(0, 0x55aa, true);
  view.setUint8(2, state);
  view.setUint32(4, 7, true);
  view.setUint32(header.length - 24, text.length, true);
  view.setUint32(header.length - 20, value.length, true);
  header.set(encodeGuid(vendor), header.length - 16);
  return padded(joined(header, text, value), 4);
}

export function madeVariables(
  variables: readonly MadeVariable[] = [],
  { sizeBytes = SIZES.variables4m as number, authenticated = true } = {},
): Uint8Array {
  const header = new Uint8Array(28);
  header.set(encodeGuid(authenticated ? AUTHENTICATED : PLAIN));
  viewOf(header).setUint32(16, Math.floor((sizeBytes - VOLUME_HEADER_BYTES) / 2), true);
  header.set([0x5a, 0xfe], 20);
  return madeVolume(VARIABLES, sizeBytes, joined(header, ...variables.map((variable) => madeVariable(variable, authenticated))));
}

const key = new Uint8Array(40).fill(7);
export const ENROLLED: readonly MadeVariable[] = [
  { name: "SecureBootEnable", vendor: "F0A30BC7-AF08-4556-99C4-001009C93A44", value: new Uint8Array([1]) },
  { name: "db", vendor: SECURITY, value: key },
  { name: "KEK", vendor: GLOBAL, value: key },
  { name: "PK", vendor: GLOBAL, value: key },
];
