/**
 * Small images made in code, for the tests of `src/image`: every structure where the specification puts it, and nothing else.
 * Only what a test needs; the images that real tools make are the referee in other tests.
 */
import { crc32 } from "node:zlib";

export const SECTOR = 2048;

/** A file's bytes, or a directory. */
export type Tree = { readonly [name: string]: Uint8Array | Tree };

export const text = (content: string): Uint8Array => new Uint8Array(Buffer.from(content, "utf8"));

export interface IsoSpec {
  readonly tree: Tree;
  readonly volumeId?: string;
  readonly joliet?: boolean;
  readonly rockRidge?: boolean;
  /** UDF's recognition sequence; no UDF behind it. */
  readonly udf?: boolean;
  readonly boot?: readonly BootEntrySpec[];
}

export interface BootEntrySpec {
  readonly platformId: number;
  readonly image: Uint8Array;
  readonly bootable?: boolean;
  readonly loadSectors?: number;
  readonly emulation?: number;
}

export interface BuiltIso {
  readonly bytes: Uint8Array;
  readonly catalogOffset: number;
  readonly rootOffset: number;
  readonly bootImageOffsets: readonly number[];
}

/** Bytes that grow a sector at a time. */
class Medium {
  bytes = new Uint8Array(16 * SECTOR);

  /** Sector at which `content` starts now. */
  append(content: Uint8Array): number {
    const lba = this.bytes.length / SECTOR;
    const grown = new Uint8Array(this.bytes.length + Math.max(SECTOR, Math.ceil(content.length / SECTOR) * SECTOR));
    grown.set(this.bytes);
    grown.set(content, this.bytes.length);
    this.bytes = grown;
    return lba;
  }

  put(lba: number, content: Uint8Array): void {
    this.bytes.set(content, lba * SECTOR);
  }
}

export function buildIso(spec: IsoSpec): BuiltIso {
  const medium = new Medium();
  const primaryLba = medium.append(new Uint8Array());
  const bootLba = spec.boot === undefined ? undefined : medium.append(new Uint8Array());
  const jolietLba = spec.joliet === true ? medium.append(new Uint8Array()) : undefined;
  medium.append(descriptor(255));
  if (spec.udf === true) for (const id of ["BEA01", "NSR02", "TEA01"]) medium.append(text(`\0${id}\x01`));

  const contents = new Map<Uint8Array, number>();
  const names: Names = spec.rockRidge === true ? "rock-ridge" : "plain";
  const root = writeDirectory(medium, spec.tree, undefined, names, contents);
  const jolietRoot = jolietLba === undefined ? undefined : writeDirectory(medium, spec.tree, undefined, "joliet", contents);

  let catalogLba = 0;
  const bootImageOffsets: number[] = [];
  if (bootLba !== undefined && spec.boot !== undefined) {
    catalogLba = medium.append(new Uint8Array());
    const lbas = spec.boot.map(({ image }) => contents.get(image) ?? medium.append(image));
    bootImageOffsets.push(...lbas.map((lba) => lba * SECTOR));
    medium.put(catalogLba, bootCatalog(spec.boot, lbas));
    medium.put(bootLba, bootRecord(catalogLba));
  }
  const sectors = medium.bytes.length / SECTOR;
  medium.put(primaryLba, volumeDescriptor(1, spec.volumeId ?? "TEST", root, sectors));
  if (jolietLba !== undefined) medium.put(jolietLba, volumeDescriptor(2, spec.volumeId ?? "TEST", jolietRoot!, sectors));
  return { bytes: medium.bytes, catalogOffset: catalogLba * SECTOR, rootOffset: root.lba * SECTOR, bootImageOffsets };
}

type Names = "plain" | "rock-ridge" | "joliet";
interface Extent {
  readonly lba: number;
  readonly bytes: number;
}

function writeDirectory(medium: Medium, tree: Tree, parent: Extent | undefined, names: Names, contents: Map<Uint8Array, number>): Extent {
  // Records need the place of what they name, and a child the place of its parent: first the room, then the records.
  const sizeOf = (own: Extent) => layOut(recordsOf(own, []), () => {});
  const children = Object.entries(tree);
  const guess: Extent = { lba: 0, bytes: 0 };
  const bytes =
    Math.ceil((sizeOf(guess) + children.reduce((sum, [name]) => sum + recordOf(name, guess, false, names).length, 0) * 1.5 + 1) / SECTOR) *
    SECTOR;
  const own: Extent = { lba: medium.append(new Uint8Array(bytes)), bytes };
  const records = children.map(([name, child]) => {
    if (!(child instanceof Uint8Array)) return recordOf(name, writeDirectory(medium, child, own, names, contents), true, names);
    let lba = contents.get(child);
    if (lba === undefined) {
      lba = medium.append(child);
      contents.set(child, lba);
    }
    return recordOf(name, { lba, bytes: child.length }, false, names);
  });
  const content = new Uint8Array(bytes);
  layOut(recordsOf(own, records), (at, record) => content.set(record, at));
  medium.put(own.lba, content);
  return own;

  function recordsOf(place: Extent, others: readonly Uint8Array[]): Uint8Array[] {
    const susp = names === "rock-ridge" && parent === undefined ? Uint8Array.of(0x53, 0x50, 7, 1, 0xbe, 0xef, 0) : new Uint8Array();
    return [
      directoryRecord(Uint8Array.of(0), place, { directory: true, systemUse: susp }),
      directoryRecord(Uint8Array.of(1), parent ?? place, { directory: true }),
      ...others,
    ];
  }
}

/** Records one after the other, none across a sector; gives the end. */
function layOut(records: readonly Uint8Array[], place: (at: number, record: Uint8Array) => void): number {
  let at = 0;
  for (const record of records) {
    if (Math.floor(at / SECTOR) !== Math.floor((at + record.length - 1) / SECTOR)) at = Math.ceil(at / SECTOR) * SECTOR;
    place(at, record);
    at += record.length;
  }
  return at;
}

function recordOf(name: string, extent: Extent, directory: boolean, names: Names): Uint8Array {
  if (names === "joliet") return directoryRecord(new Uint8Array(Buffer.from(name, "utf16le").swap16()), extent, { directory });
  const short = name
    .toUpperCase()
    .replace(/[^A-Z0-9_.]/g, "_")
    .slice(0, 24);
  const raw = text(directory ? short : `${short};1`);
  if (names === "plain") return directoryRecord(raw, extent, { directory });
  const long = text(name);
  return directoryRecord(raw, extent, { directory, systemUse: Uint8Array.of(0x4e, 0x4d, 5 + long.length, 1, 0, ...long) });
}

export interface RecordOptions {
  readonly directory?: boolean;
  readonly moreExtents?: boolean;
  readonly systemUse?: Uint8Array;
}

/** ECMA-119 9.1. */
export function directoryRecord(name: Uint8Array, { lba, bytes }: Extent, options: RecordOptions = {}): Uint8Array {
  const { directory = false, moreExtents = false, systemUse = new Uint8Array() } = options;
  const nameEnd = 33 + name.length + ((name.length + 1) % 2);
  const length = nameEnd + systemUse.length + (systemUse.length % 2);
  const record = new Uint8Array(length);
  record[0] = length;
  record.set(both32(lba), 2);
  record.set(both32(bytes), 10);
  record[25] = (directory ? 2 : 0) | (moreExtents ? 128 : 0);
  record.set([1, 0, 0, 1], 28);
  record[32] = name.length;
  record.set(name, 33);
  record.set(systemUse, nameEnd);
  return record;
}

export function both32(value: number): Uint8Array {
  const bytes = new Uint8Array(8);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, value, true);
  view.setUint32(4, value, false);
  return bytes;
}

function descriptor(type: number): Uint8Array {
  const sector = new Uint8Array(SECTOR);
  sector[0] = type;
  sector.set(text("CD001"), 1);
  sector[6] = 1;
  return sector;
}

export function volumeDescriptor(type: 1 | 2, volumeId: string, root: Extent, sectors: number): Uint8Array {
  const sector = descriptor(type);
  const put = (at: number, length: number, value: string) => {
    const bytes = type === 1 ? Buffer.from(value.padEnd(length), "latin1") : Buffer.from(value.padEnd(length / 2), "utf16le").swap16();
    sector.set(bytes.subarray(0, length), at);
  };
  put(8, 32, "");
  put(40, 32, volumeId);
  for (const [at, value] of [
    [190, ""],
    [318, "PUBLISHER"],
    [446, "PREPARER"],
    [574, "APPLICATION"],
  ] as const)
    put(at, 128, value);
  if (type === 2) sector.set(text("%/E"), 88);
  sector.set(both32(sectors), 80);
  sector.set([0, 8, 8, 0], 128);
  sector.set(directoryRecord(Uint8Array.of(0), root, { directory: true }), 156);
  sector.set(text("2024010203040506\0"), 830);
  return sector;
}

export function bootRecord(catalogLba: number): Uint8Array {
  const sector = descriptor(0);
  sector.set(text("EL TORITO SPECIFICATION"), 7);
  new DataView(sector.buffer).setUint32(71, catalogLba, true);
  return sector;
}

/** The first entry is the default one; each other has a section of its own. */
export function bootCatalog(entries: readonly BootEntrySpec[], lbas: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(SECTOR);
  const view = new DataView(bytes.buffer);
  bytes[0] = 1;
  bytes[1] = entries[0]!.platformId;
  bytes.set(text("TEST"), 4);
  bytes[30] = 0x55;
  bytes[31] = 0xaa;
  let sum = 0;
  for (let at = 0; at < 32; at += 2) sum += view.getUint16(at, true);
  view.setUint16(28, -sum & 0xffff, true);
  let at = 32;
  for (const [index, entry] of entries.entries()) {
    if (index > 0) {
      bytes.set([index === entries.length - 1 ? 0x91 : 0x90, entry.platformId, 1, 0], at);
      at += 32;
    }
    bytes[at] = entry.bootable === false ? 0 : 0x88;
    bytes[at + 1] = entry.emulation ?? 0;
    view.setUint16(at + 6, entry.loadSectors ?? 4, true);
    view.setUint32(at + 8, lbas[index]!, true);
    at += 32;
  }
  return bytes;
}

/** A FAT12 volume of 720 sectors, one sector a cluster, names of 8 and 3 in capitals. */
export function buildFat12(tree: Tree, label = "TESTFAT"): Uint8Array {
  const bytes = new Uint8Array(720 * 512);
  const view = new DataView(bytes.buffer);
  bytes.set([0xeb, 0x3c, 0x90]);
  bytes.set(text("TESTMADE"), 3);
  view.setUint16(11, 512, true);
  bytes.set([1, 1, 0, 2], 13);
  view.setUint16(17, 112, true);
  view.setUint16(19, 720, true);
  bytes[21] = 0xf8;
  view.setUint16(22, 3, true);
  bytes[38] = 0x29;
  view.setUint32(39, 0x1234abcd, true);
  bytes.set(text(label.padEnd(11)), 43);
  bytes.set(text("FAT12   "), 54);
  bytes.set([0x55, 0xaa], 510);
  const link = (cluster: number, value: number) => {
    for (const fat of [512, 512 * 4]) {
      const at = fat + cluster + (cluster >> 1);
      const old = view.getUint16(at, true);
      view.setUint16(at, cluster % 2 === 0 ? (old & 0xf000) | value : (old & 0x000f) | (value << 4), true);
    }
  };
  link(0, 0xff8);
  link(1, 0xfff);
  const DATA = (1 + 2 * 3 + 7) * 512;
  let next = 2;
  const store = (content: Uint8Array): number => {
    const first = next;
    const clusters = Math.max(1, Math.ceil(content.length / 512));
    bytes.set(content, DATA + (first - 2) * 512);
    for (let index = 0; index < clusters; index += 1) link(first + index, index === clusters - 1 ? 0xfff : first + index + 1);
    next += clusters;
    return first;
  };
  const entry = (name: string, attributes: number, cluster: number, size: number): Uint8Array => {
    const record = new Uint8Array(32);
    const [base = "", extension = ""] = name.split(".");
    record.set(text(attributes === 8 ? name.padEnd(11) : base.padEnd(8) + extension.padEnd(3)));
    record[11] = attributes;
    const fields = new DataView(record.buffer);
    fields.setUint16(26, cluster, true);
    fields.setUint32(28, size, true);
    return record;
  };
  const directory = (branch: Tree): Uint8Array[] =>
    Object.entries(branch).map(([name, child]) => {
      if (child instanceof Uint8Array) return entry(name, 32, store(child), child.length);
      const inside = Buffer.concat([entry(".", 16, 0, 0), entry("..", 16, 0, 0), ...directory(child)]);
      return entry(name, 16, store(inside), 0);
    });
  bytes.set(Buffer.concat([entry(label, 8, 0, 0), ...directory(tree)]), (1 + 2 * 3) * 512);
  return bytes;
}

/** Enough of an EFI program for whoever looks at headers: PE32+, EFI application. */
export function buildEfiProgram(machine = 0x8664, signed = false): Uint8Array {
  const bytes = new Uint8Array(1024);
  const view = new DataView(bytes.buffer);
  bytes.set(text("MZ"));
  view.setUint32(60, 64, true);
  bytes.set(text("PE\0\0"), 64);
  view.setUint16(68, machine, true);
  view.setUint16(70, 1, true);
  view.setUint16(84, 240, true);
  view.setUint16(88, 0x20b, true);
  view.setUint16(88 + 68, 10, true);
  view.setUint32(88 + 108, 16, true);
  if (signed) {
    view.setUint32(88 + 112 + 32, 768, true);
    view.setUint32(88 + 112 + 36, 256, true);
  }
  bytes.set(text(".text"), 88 + 240);
  return bytes;
}

/** Enough of a Linux kernel: setup header of protocol 2.15 and a version. */
export function buildBzImage(version = "6.1.0-test (builder) #1 SMP"): Uint8Array {
  const bytes = new Uint8Array(32_768);
  const view = new DataView(bytes.buffer);
  bytes.set([0x55, 0xaa], 0x1fe);
  bytes.set(text("HdrS"), 0x202);
  view.setUint16(0x206, 0x20f, true);
  view.setUint16(0x20e, 0x1000, true);
  view.setUint16(0x236, 1, true);
  bytes.set(text(`${version}\0`), 0x1200);
  return bytes;
}

export interface PartitionSpec {
  readonly firstLba: number;
  readonly lastLba: number;
  readonly typeGuid?: Uint8Array;
  readonly name?: string;
}

/** C12A7328-F81F-11D2-BA4B-00A0C93EC93B as it stands on disk. */
export const ESP_TYPE = Uint8Array.from(Buffer.from("28732ac11ff8d211ba4b00a0c93ec93b", "hex"));
const BASIC_DATA_TYPE = Uint8Array.from(Buffer.from("a2a0d0ebe5b9334487c068b6b72699c7", "hex"));

/** Writes a protective MBR, both headers and both tables into `disk`, whose length is a multiple of 512. */
export function putGpt(disk: Uint8Array, partitions: readonly PartitionSpec[]): void {
  const lastLba = disk.length / 512 - 1;
  const view = new DataView(disk.buffer, disk.byteOffset, disk.byteLength);
  disk.set([0, 0, 2, 0, 0xee, 0xff, 0xff, 0xff], 446);
  view.setUint32(454, 1, true);
  view.setUint32(458, lastLba, true);
  disk.set([0x55, 0xaa], 510);
  const table = new Uint8Array(128 * 128);
  const entries = new DataView(table.buffer);
  for (const [index, { firstLba, lastLba: last, typeGuid = BASIC_DATA_TYPE, name = "" }] of partitions.entries()) {
    table.set(typeGuid, index * 128);
    table.fill(index + 1, index * 128 + 16, index * 128 + 32);
    entries.setBigUint64(index * 128 + 32, BigInt(firstLba), true);
    entries.setBigUint64(index * 128 + 40, BigInt(last), true);
    table.set(Buffer.from(name, "utf16le"), index * 128 + 56);
  }
  disk.set(table, 1024);
  disk.set(table, (lastLba - 32) * 512);
  putGptHeader(disk, 1, lastLba, 2, table);
  putGptHeader(disk, lastLba, 1, lastLba - 32, table);
}

function putGptHeader(disk: Uint8Array, myLba: number, otherLba: number, entriesLba: number, table: Uint8Array): void {
  const header = disk.subarray(myLba * 512, myLba * 512 + 512);
  header.fill(0);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  header.set(text("EFI PART"));
  view.setUint32(8, 0x1_0000, true);
  view.setUint32(12, 92, true);
  view.setBigUint64(24, BigInt(myLba), true);
  view.setBigUint64(32, BigInt(otherLba), true);
  view.setBigUint64(40, 34n, true);
  view.setBigUint64(48, BigInt(disk.length / 512 - 34), true);
  header.fill(0x5a, 56, 72);
  view.setBigUint64(72, BigInt(entriesLba), true);
  view.setUint32(80, 128, true);
  view.setUint32(84, 128, true);
  view.setUint32(88, crc32(table), true);
  view.setUint32(16, crc32(header.subarray(0, 92)), true);
}

/** Stores the right checksum again after a test changed a field of the header at `lba`. */
export function mendGptHeader(disk: Uint8Array, lba: number): void {
  const header = disk.subarray(lba * 512, lba * 512 + 92);
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength);
  view.setUint32(16, 0, true);
  view.setUint32(16, crc32(header), true);
}

/** `bytes` with zeros behind them up to `length`. */
export function padded(bytes: Uint8Array, length: number): Uint8Array {
  const longer = new Uint8Array(length);
  longer.set(bytes);
  return longer;
}

/** A hybrid image with everything: ISO 9660 with Rock Ridge and Joliet, El Torito for BIOS and UEFI, GPT with the same ESP, boot code. */
export function buildHybrid(): BuiltIso & { readonly espOffset: number } {
  const esp = buildFat12({ EFI: { BOOT: { "BOOTX64.EFI": buildEfiProgram() } } });
  const biosImage = text("boot code that goes by the name of ISOLINUX 6.04 and no other");
  const iso = buildIso({
    volumeId: "HYBRID",
    joliet: true,
    rockRidge: true,
    tree: {
      "efi.img": esp,
      isolinux: { "isolinux.bin": biosImage, "isolinux.cfg": text("DEFAULT linux\n") },
      boot: { grub: { "grub.cfg": text("menuentry x {}\n") } },
      live: { "vmlinuz-6.1": buildBzImage(), "initrd.img": text("070701 and so on") },
    },
    boot: [
      { platformId: 0, image: biosImage },
      { platformId: 0xef, image: esp, loadSectors: 720 },
    ],
  });
  const disk = padded(iso.bytes, iso.bytes.length + 33 * 512 + 512);
  const espOffset = iso.bootImageOffsets[1]!;
  putGpt(disk, [{ firstLba: espOffset / 512, lastLba: espOffset / 512 + 719, typeGuid: ESP_TYPE, name: "EFI system" }]);
  disk.set(text("isolinux.bin missing or corrupt."), 100);
  return { ...iso, bytes: disk, espOffset };
}
