/** The disk in a VDI, VHD, VHDX or VMDK file: its headers are read, then its blocks by its table. */
import { HiperisoError } from "../contract/error.ts";
import type { BlockMap } from "../formats/block-map.ts";
import { viewOf } from "../formats/bytes.ts";
import { decodeVdi, VDI_HEAD_BYTES } from "../formats/vdi.ts";
import { decodeVhdFooter, decodeVhdHeader, VHD_FOOTER_BYTES, VHD_HEADER_BYTES } from "../formats/vhd.ts";
import { decodeVhdxHead, decodeVhdxMetadata, VHDX_HEAD_BYTES, VHDX_METADATA_BYTES } from "../formats/vhdx.ts";
import { checkVmdkDescriptor, decodeVmdk, VMDK_DESCRIPTOR_BYTES, VMDK_TEXT_BYTES_MAX, vmdkMap } from "../formats/vmdk.ts";
import { type BlockSource, blockwiseSource } from "./block-source.ts";

/** What the file holds, or one clause on why only QEMU can tell. */
export type Mapped = { readonly map: BlockMap } | { readonly obstacle: string; readonly files?: readonly string[] };

/** Throws (kind `usage`) on headers that cannot be followed, and on files that QEMU should not be given. */
export async function readMap(file: BlockSource, format: "vmdk" | "vdi" | "vhdx" | "vhd"): Promise<Mapped> {
  const { name } = file;
  switch (format) {
    case "vdi":
      return { map: decodeVdi(await file.read(0n, VDI_HEAD_BYTES), name) };
    case "vhd": {
      const footer = decodeVhdFooter(await file.read(0n, VHD_FOOTER_BYTES), name);
      return { map: decodeVhdHeader(await file.read(footer.headerOffset, VHD_HEADER_BYTES), footer, name) };
    }
    case "vhdx": {
      const head = decodeVhdxHead(await file.read(0n, VHDX_HEAD_BYTES), name);
      const map = decodeVhdxMetadata(await file.read(head.metadataOffset, VHDX_METADATA_BYTES), head, name);
      return head.dirty ? { obstacle: "the VHDX has a log to be replayed, which only QEMU does" } : { map };
    }
    case "vmdk":
      return await readVmdk(file);
  }
}

/** QEMU's limit (block/vmdk.c): tables beyond it are refused. */
const DIRECTORY_BYTES_MAX = 512 * 1024 * 1024;
/** Ours: a directory of 4 MiB is for 32 TiB. */
const DIRECTORY_BYTES_READ = 4 * 1024 * 1024;

async function readVmdk(file: BlockSource): Promise<Mapped> {
  const head = await file.read(0n, VMDK_TEXT_BYTES_MAX);
  const vmdk = decodeVmdk(head, file.name);
  checkVmdkDescriptor(head, file.name);
  if (vmdk.type === "text") return { obstacle: "a VMDK in several files, which only QEMU reads", files: vmdk.files };
  checkVmdkDescriptor(await file.read(vmdk.descriptorOffset, VMDK_DESCRIPTOR_BYTES), file.name);
  if (vmdk.directoryOffset === null) return { obstacle: "a VMDK made as a stream, which only QEMU reads" };
  const perTable = BigInt(vmdk.tableEntries) * BigInt(vmdk.grainBytes);
  const tables = (vmdk.sizeBytes + perTable - 1n) / perTable;
  if (tables * 4n > BigInt(DIRECTORY_BYTES_MAX)) {
    throw new HiperisoError({
      what: "read the VMDK header",
      where: `${file.name}@12`,
      expected: "a disk that QEMU opens",
      found: `${vmdk.sizeBytes} bytes`,
      kind: "usage",
    });
  }
  if (tables * 4n > BigInt(DIRECTORY_BYTES_READ)) return { obstacle: `a VMDK of ${vmdk.sizeBytes} bytes, which only QEMU reads` };
  const directory = await file.read(vmdk.directoryOffset, Number(tables) * 4);
  const view = viewOf(directory);
  return {
    map: vmdkMap(
      vmdk,
      Array.from({ length: Math.floor(directory.length / 4) }, (_, index) => view.getUint32(index * 4, true)),
    ),
  };
}

/** Reads behind the end of the file, and blocks that its table does not have, give zeros. Does not own `file`. */
export function mappedSource(file: BlockSource, { sizeBytes, blockBytes, entry, place }: BlockMap): BlockSource {
  async function startOf(block: bigint): Promise<bigint | undefined> {
    const { offset, bytes } = entry(block);
    if (offset < 0n) return undefined;
    const found = await file.read(offset, bytes);
    if (found.length === bytes) return place(viewOf(found));
    throw new HiperisoError({
      what: "read the disk image",
      where: `${file.name}@${offset}`,
      expected: `a table entry of ${bytes} bytes`,
      found: "the end of the file",
    });
  }
  return blockwiseSource(file.name, sizeBytes, blockBytes, async (block, within, lengthBytes) => {
    const start = await startOf(block);
    return start === undefined ? undefined : await file.read(start + BigInt(within), lengthBytes);
  });
}
