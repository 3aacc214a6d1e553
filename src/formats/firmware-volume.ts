/**
 * Firmware for a virtual machine as it lies in a flash file: which part of it is code, which keeps variables, and what both hold
 * (UEFI PI 1.8, volume 3, chapters 2 and 3; the variable store: edk2, MdeModulePkg, VariableFormat.h). Little-endian.
 *
 * Header of a volume:
 *    0 16  zeros, or the reset vector    16 16  GUID of what is in it      32  8  length        40  4  "_FVH"
 *   44  4  attributes                    48  2  header length              50  2  checksum: the header's 16-bit words add up to 0
 *   52  2  offset of a second header     54  1  reserved                   55  1  revision      56     block map: pairs (count, bytes), ends with (0, 0)
 *
 * Variable store, behind the header of its volume:
 *    0 16  GUID of its kind              16  4  size                       20  1  0x5a: formatted     21  1  0xfe: healthy
 *   28     variables, each at a multiple of 4:
 *    0  2  0x55aa     2  1  state     4  4  attributes     [authenticated stores only: 8 count, 16 time, 4 key]
 *   then   4  bytes of the name     4  bytes of the value     16  GUID of the vendor     name (UTF-16), value
 */
import { hex, latin1, viewOf } from "./bytes.ts";
import { decodeGuid } from "./gpt.ts";
import { decodeLzma } from "./lzma.ts";

/** What a flash file is. Sizes in bytes. */
export type FirmwareImage =
  /** Volumes of code alone: pflash unit 0. */
  | { readonly kind: "code"; readonly sizeBytes: bigint; readonly code: FirmwareCode }
  /** A store of variables alone: the template of pflash unit 1. */
  | { readonly kind: "variables"; readonly sizeBytes: bigint; readonly variables: VariableStore }
  /** Both in one file, variables first. */
  | { readonly kind: "combined"; readonly sizeBytes: bigint; readonly code: FirmwareCode; readonly variables: VariableStore }
  /** No such firmware: another thing, or a damaged one. */
  | { readonly kind: "none"; readonly sizeBytes: bigint; readonly because: string };

export interface FirmwareCode {
  /** Offset of the first volume in the file. */
  readonly offset: number;
  /** What its modules say; undefined where they are packed in a way that is not known here. */
  readonly modules: FirmwareModules | undefined;
}

export interface FirmwareModules {
  /** Of its DXE core, as QEMU names architectures (`i386`, `x86_64`, `aarch64`); undefined where there is none or its machine is unknown. */
  readonly architecture: string | undefined;
  /** It brings the core of System Management Mode, and hangs on a machine without it. */
  readonly smm: boolean;
  /** It can check signatures. */
  readonly secureBoot: boolean;
}

export interface VariableStore {
  /** Length of its volume in bytes, which may be less than the file's: some machines want flash files padded. */
  readonly volumeBytes: number;
  /** Variables in force, in the order of the store. */
  readonly variables: readonly FirmwareVariable[];
  /** A platform key is enrolled: Secure Boot is set up. */
  readonly platformKey: boolean;
  /** Keys that may change the signatures (KEK), and signatures of what may boot (db). */
  readonly keyExchangeKeys: boolean;
  readonly signatures: boolean;
  /** Among the signatures is Microsoft's, by which the boot loaders of distributions are signed. */
  readonly microsoft: boolean;
}

export interface FirmwareVariable {
  readonly name: string;
  /** In capitals. */
  readonly vendor: string;
  readonly valueBytes: number;
}

const VARIABLES_VOLUME = "FFF12B8D-7696-4C8B-A985-2747075B4F50"; // EFI_SYSTEM_NV_DATA_FV_GUID
const FILE_VOLUMES: ReadonlySet<string> = new Set([
  "8C8CE578-8A3D-4F1C-9935-896185C32DD3", // EFI_FIRMWARE_FILE_SYSTEM2_GUID
  "5473C07A-3DCB-4DCA-BD6F-1E9689E7349A", // EFI_FIRMWARE_FILE_SYSTEM3_GUID
]);
/** Bytes before a variable's name: 32, and 28 more in an authenticated store. */
const STORES: Readonly<Record<string, { readonly variableHeaderBytes: number }>> = {
  "AAF32C78-947B-439A-A180-2E144EC37792": { variableHeaderBytes: 60 },
  "DDCF3616-3275-4164-98B6-FE85707FFE7D": { variableHeaderBytes: 32 },
};
const STORE_HEADER_BYTES = 28;
const GLOBAL_VARIABLE = "8BE4DF61-93CA-11D2-AA0D-00E098032B8C";
const IMAGE_SECURITY = "D719B2CB-3D3A-4596-A3BC-DAD00E67656F";

const VOLUME_HEADER_MIN_BYTES = 56;
/** Volumes hold volumes in packed sections; a real one has two such levels. */
const DEPTH_MAX = 6;
/** Of all packed sections of a file together; OVMF unpacks to 13 MiB. */
const UNPACKED_MAX_BYTES = 64 * 1024 * 1024;

/**
 * What `bytes` are, the beginning of a file of `sizeBytes` or all of it. Never throws: a file that is no firmware says why. With `modules` the code is unpacked and
 * looked through too, which takes about a second for each file of 4 MiB.
 */
export function decodeFirmwareImage(
  bytes: Uint8Array,
  options: { readonly sizeBytes?: bigint; readonly modules?: boolean } = {},
): FirmwareImage {
  const sizeBytes = options.sizeBytes ?? BigInt(bytes.length);
  const none = (because: string): FirmwareImage => ({ kind: "none", sizeBytes, because });
  const first = decodeVolumeHeader(bytes, 0);
  if (typeof first === "string") return none(first);
  if (BigInt(first.lengthBytes) > sizeBytes) {
    return none(`it is cut: its first volume is ${first.lengthBytes} bytes long, the file ${sizeBytes}`);
  }
  const modules = () => (options.modules === true ? modulesOf(bytes) : undefined);
  if (FILE_VOLUMES.has(first.guid)) return { kind: "code", sizeBytes, code: { offset: 0, modules: modules() } };
  if (first.guid !== VARIABLES_VOLUME) return none(`its first volume is of the unknown kind ${first.guid}`);
  const variables = decodeVariableStore(bytes, first);
  if (typeof variables === "string") return none(variables);
  const second = decodeVolumeHeader(bytes, first.lengthBytes);
  if (typeof second === "string" || !FILE_VOLUMES.has(second.guid)) return { kind: "variables", sizeBytes, variables };
  return { kind: "combined", sizeBytes, code: { offset: first.lengthBytes, modules: modules() }, variables };
}

/**
 * Do these two make one flash? Builds divide 1, 2 or 4 MiB between code and variables (machines of other architectures want two files of one
 * size), so that the halves of different builds never add up to a power of two. Together such halves hang without a word.
 */
export function flashSizesMatch(codeBytes: bigint, variablesBytes: bigint): boolean {
  const sum = codeBytes + variablesBytes;
  return codeBytes > 0n && variablesBytes > 0n && (sum & (sum - 1n)) === 0n;
}

interface VolumeHeader {
  readonly offset: number;
  readonly guid: string;
  readonly lengthBytes: number;
  readonly headerBytes: number;
  /** Of a second header, from the volume's beginning; 0 where there is none. */
  readonly extendedAt: number;
}

/** The header of a volume at `offset`, or why there is none. The volume itself may be longer than `bytes`. */
function decodeVolumeHeader(bytes: Uint8Array, offset: number): VolumeHeader | string {
  if (offset + VOLUME_HEADER_MIN_BYTES > bytes.length) return `it has ${bytes.length} bytes, too few for a firmware volume`;
  const view = viewOf(bytes.subarray(offset));
  if (latin1(bytes.subarray(offset + 40, offset + 44)) !== "_FVH") return "it does not begin with a firmware volume";
  const headerBytes = view.getUint16(48, true);
  if (headerBytes < VOLUME_HEADER_MIN_BYTES + 8 || headerBytes % 2 !== 0 || headerBytes > view.byteLength) {
    return `its volume has a header of ${headerBytes} bytes`;
  }
  let sum = 0;
  for (let at = 0; at < headerBytes; at += 2) sum = (sum + view.getUint16(at, true)) & 0xffff;
  if (sum !== 0) return `the header of its volume is damaged: its checksum is off by ${hex(sum, 4)}`;
  const length = view.getBigUint64(32, true);
  if (length < BigInt(headerBytes) || length > BigInt(Number.MAX_SAFE_INTEGER)) return `its volume claims ${length} bytes`;
  let mapped = 0n;
  for (let at = VOLUME_HEADER_MIN_BYTES; at + 8 <= headerBytes; at += 8) {
    mapped += BigInt(view.getUint32(at, true)) * BigInt(view.getUint32(at + 4, true));
  }
  if (mapped !== length) return `its volume claims ${length} bytes, and ${mapped} in its block map`;
  return {
    offset,
    guid: decodeGuid(bytes.subarray(offset + 16, offset + 32)),
    lengthBytes: Number(length),
    headerBytes,
    extendedAt: view.getUint16(52, true),
  };
}

/** Variables of the store behind this header, or what is wrong with it. A list that breaks off ends there, as firmware takes it. */
function decodeVariableStore(bytes: Uint8Array, volume: VolumeHeader): VariableStore | string {
  const start = volume.offset + volume.headerBytes;
  if (start + STORE_HEADER_BYTES > bytes.length) return "it is cut before its variable store";
  const view = viewOf(bytes);
  const guid = decodeGuid(bytes.subarray(start, start + 16));
  const kind = STORES[guid];
  if (kind === undefined) return `its variable store is of the unknown kind ${guid}`;
  const size = view.getUint32(start + 16, true);
  const [format, health] = [view.getUint8(start + 20), view.getUint8(start + 21)];
  if (format !== 0x5a || health !== 0xfe) return `its variable store is not formatted: ${hex(format)}, ${hex(health)}`;
  if (size < STORE_HEADER_BYTES || size > volume.lengthBytes - volume.headerBytes) return `its variable store claims ${size} bytes`;
  const end = Math.min(start + size, bytes.length);

  const variables: FirmwareVariable[] = [];
  let microsoft = false;
  for (let at = start + STORE_HEADER_BYTES; at + kind.variableHeaderBytes <= end && view.getUint16(at, true) === 0x55aa; ) {
    const sizes = at + kind.variableHeaderBytes - 24;
    const nameBytes = view.getUint32(sizes, true);
    const valueBytes = view.getUint32(sizes + 4, true);
    const name = at + kind.variableHeaderBytes;
    const next = name + nameBytes + valueBytes;
    if (next > end) break;
    if (isInForce(view.getUint8(at + 2))) {
      const text = Buffer.from(bytes.subarray(name, name + nameBytes)).toString("utf16le");
      const nul = text.indexOf("\0");
      const vendor = decodeGuid(bytes.subarray(sizes + 8, sizes + 24));
      const variable = { name: nul < 0 ? text : text.slice(0, nul), vendor, valueBytes };
      variables.push(variable);
      // Certificates of X.509: the names in them stand there as text.
      if (isSignatures(variable)) microsoft ||= latin1(bytes.subarray(name + nameBytes, next)).includes("Microsoft Corporation");
    }
    at = next + ((4 - ((next - start) % 4)) % 4);
  }
  const has = (name: string, vendor: string) =>
    variables.some((variable) => variable.name === name && variable.vendor === vendor && variable.valueBytes > 0);
  return {
    volumeBytes: volume.lengthBytes,
    variables,
    platformKey: has("PK", GLOBAL_VARIABLE),
    keyExchangeKeys: has("KEK", GLOBAL_VARIABLE),
    signatures: variables.some((variable) => isSignatures(variable) && variable.valueBytes > 0),
    microsoft,
  };
}

const isSignatures = ({ name, vendor }: FirmwareVariable): boolean => name === "db" && vendor === IMAGE_SECURITY;

/** Flash can only clear bits: 0x3f is added, 0x3e added and about to be replaced; any other state is deleted or was never finished. */
const isInForce = (state: number): boolean => state === 0x3f || state === 0x3e;

const LZMA_SECTION = "EE4E5898-3914-4259-9D6E-DC7BD79403CF";
/** PiSmmIpl loads the core of SMM; it is in each OVMF that was built with SMM, and in no other. */
const SMM_LOADER = "2FA2A6DA-11D5-4DC3-999A-749648B03C56";
/** The set-up page for Secure Boot, which is built in together with the check itself. */
const SECURE_BOOT_PAGE = "F0E6A44F-7195-41C3-AC64-54F202CD0A21";
const FILE_HEADER_BYTES = 24;
const LARGE_FILE_HEADER_BYTES = 32;
const LARGE_FILE = 0x01;
const DXE_CORE = 0x05;
const PAD_FILE = 0xf0;
const SECTION = { guided: 0x02, pe32: 0x10, volume: 0x17 } as const;
/** Files and sections in all: OVMF has some 300. */
const STEPS_MAX = 20_000;

const MACHINES: Readonly<Record<number, string>> = { 332: "i386", 34404: "x86_64", 43620: "aarch64" }; // 0x14c, 0x8664, 0xaa64

interface Walk {
  readonly files: Set<string>;
  architecture: string | undefined;
  /** Something was unpacked, or a module stood there as it is. */
  understood: boolean;
  steps: number;
  unpackedBytes: number;
}

/** Modules of all volumes in a flash file. Undefined where none was found: packed in another way, or damaged. */
function modulesOf(bytes: Uint8Array): FirmwareModules | undefined {
  const walk: Walk = { files: new Set(), architecture: undefined, understood: false, steps: 0, unpackedBytes: 0 };
  for (let at = 0; at < bytes.length; ) {
    const volume = decodeVolumeHeader(bytes, at);
    if (typeof volume === "string") break;
    if (FILE_VOLUMES.has(volume.guid)) walkVolume(bytes, volume, walk, 0);
    at += volume.lengthBytes;
  }
  if (!walk.understood) return undefined;
  return { architecture: walk.architecture, smm: walk.files.has(SMM_LOADER), secureBoot: walk.files.has(SECURE_BOOT_PAGE) };
}

function walkVolume(bytes: Uint8Array, volume: VolumeHeader, walk: Walk, depth: number): void {
  const end = Math.min(volume.offset + volume.lengthBytes, bytes.length);
  const view = viewOf(bytes);
  // A second header, where there is one, ends with its own length; files follow, each at a multiple of 8 from the volume's beginning.
  const second = volume.offset + volume.extendedAt;
  const behind = volume.extendedAt > 0 && second + 20 <= end ? volume.extendedAt + view.getUint32(second + 16, true) : volume.headerBytes;
  for (let at = volume.offset + aligned(behind, 8); at + FILE_HEADER_BYTES <= end; ) {
    if (++walk.steps > STEPS_MAX) return;
    const type = view.getUint8(at + 18);
    const isLarge = (view.getUint8(at + 19) & LARGE_FILE) !== 0 && at + LARGE_FILE_HEADER_BYTES <= end;
    const length = isLarge ? view.getUint32(at + 24, true) : uint24(view, at + 20);
    const header = isLarge ? LARGE_FILE_HEADER_BYTES : FILE_HEADER_BYTES;
    // Erased flash is ones; nothing stands behind it.
    if (length < header || length > end - at) return;
    if (type !== PAD_FILE) {
      walk.files.add(decodeGuid(bytes.subarray(at, at + 16)));
      walkSections(bytes.subarray(at + header, at + length), walk, depth, type === DXE_CORE);
    }
    at = volume.offset + aligned(at - volume.offset + length, 8);
  }
}

function walkSections(bytes: Uint8Array, walk: Walk, depth: number, isCore: boolean): void {
  if (depth > DEPTH_MAX) return;
  const view = viewOf(bytes);
  for (let at = 0; at + 4 <= bytes.length; ) {
    if (++walk.steps > STEPS_MAX) return;
    const short = uint24(view, at);
    const isLarge = short === 0xff_ffff && at + 8 <= bytes.length;
    const length = isLarge ? view.getUint32(at + 4, true) : short;
    const header = isLarge ? 8 : 4;
    if (length < header || length > bytes.length - at) return;
    const content = bytes.subarray(at + header, at + length);
    switch (view.getUint8(at + 3)) {
      case SECTION.guided:
        walkPacked(content, header, walk, depth);
        break;
      case SECTION.volume: {
        const volume = decodeVolumeHeader(content, 0);
        if (typeof volume !== "string" && FILE_VOLUMES.has(volume.guid)) walkVolume(content, volume, walk, depth + 1);
        break;
      }
      case SECTION.pe32:
        if (isCore) {
          walk.architecture ??= peMachine(content);
          walk.understood = true;
        }
        break;
    }
    at = aligned(at + length, 4);
  }
}

/** A section that is packed: 16 bytes GUID of the way, 2 where the data begins (from the section's header on), 2 attributes. */
function walkPacked(content: Uint8Array, headerBytes: number, walk: Walk, depth: number): void {
  if (content.length < 20 || decodeGuid(content.subarray(0, 16)) !== LZMA_SECTION) return;
  const data = viewOf(content).getUint16(16, true) - headerBytes;
  if (data < 20 || data > content.length) return;
  let unpacked: Uint8Array;
  try {
    unpacked = decodeLzma(content.subarray(data), UNPACKED_MAX_BYTES - walk.unpackedBytes, "a firmware volume");
  } catch {
    return; // Damage: what this section would say stays unknown.
  }
  walk.unpackedBytes += unpacked.length;
  walkSections(unpacked, walk, depth + 1, false);
}

function peMachine(bytes: Uint8Array): string | undefined {
  const view = viewOf(bytes);
  if (bytes.length < 64 || latin1(bytes.subarray(0, 2)) !== "MZ") return undefined;
  const at = view.getUint32(60, true);
  if (at + 6 > bytes.length || latin1(bytes.subarray(at, at + 4)) !== "PE\0\0") return undefined;
  return MACHINES[view.getUint16(at + 4, true)];
}

const uint24 = (view: DataView, at: number): number => view.getUint16(at, true) | (view.getUint8(at + 2) << 16);
const aligned = (value: number, to: number): number => Math.ceil(value / to) * to;
