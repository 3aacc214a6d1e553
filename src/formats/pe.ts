/**
 * PE/COFF images, as far as firmware and boot loaders look (Microsoft PE format; UEFI 2.10, 2.1.1). Little-endian.
 *      0   2  "MZ"       60   4  offset of the PE header
 * PE header: 0 4 "PE\0\0", 4 2 machine, 6 2 sections, 20 2 bytes of the optional header
 * Optional header, from 24: 0 2 0x10b PE32 or 0x20b PE32+; 68 2 subsystem; 92 or 108 4 number of data directories, then 8 bytes each:
 *   the fifth is the certificate table (offset in the file, size)
 * Section header: 0 8 name, 8 4 size in memory, 16 4 bytes in the file, 20 4 offset in the file
 */
import { hex, latin1, viewOf } from "./bytes.ts";
import type { Place } from "./problem.ts";

export interface PeImage {
  /** `x86-64`, `x86`, …; `0x` and 4 digits for what we know no name for. */
  readonly machine: string;
  readonly subsystem: number;
  /** Of the file, from its start; null where there are none. */
  readonly certificates: { readonly offset: number; readonly bytes: number } | null;
  readonly sections: readonly PeSection[];
}

export interface PeSection {
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
}

/** `head`: the first bytes of the file, some KiB. Undefined where it is no PE image; one that is cut or points outside itself is reported. */
export function decodePe(head: Uint8Array, fileBytes: bigint, { offset, report }: Place): PeImage | undefined {
  if (head.length < 64 || latin1(head.subarray(0, 2)) !== "MZ") return undefined;
  const view = viewOf(head);
  const pe = view.getUint32(60, true);
  if (pe + 24 > head.length || view.getUint32(pe, false) !== 0x50450000) return undefined; // a DOS program, or old boot code
  const bad = (at: number, expected: string, found: string): undefined => {
    report({ offset: offset + BigInt(at), structure: "PE header", expected, found });
  };
  const optional = pe + 24;
  const optionalBytes = view.getUint16(pe + 20, true);
  if (optionalBytes < 70 || optional + optionalBytes > head.length)
    return bad(pe + 20, "an optional header of 70 bytes or more inside the file", `${optionalBytes}`);
  const magic = view.getUint16(optional, true);
  if (magic !== 0x10b && magic !== 0x20b) return bad(optional, "0x010b or 0x020b", hex(magic, 4));

  const directories = optional + (magic === 0x20b ? 108 : 92);
  const certificateEntry = directories + 4 + 4 * 8;
  let certificates: PeImage["certificates"] = null;
  if (certificateEntry + 8 <= optional + optionalBytes && view.getUint32(directories, true) > 4) {
    const found = { offset: view.getUint32(certificateEntry, true), bytes: view.getUint32(certificateEntry + 4, true) };
    if (found.bytes !== 0) {
      if (BigInt(found.offset) + BigInt(found.bytes) <= fileBytes) certificates = found;
      else
        bad(certificateEntry, `a certificate table inside the ${fileBytes} bytes of the file`, `${found.bytes} bytes at ${found.offset}`);
    }
  }

  const sections: PeSection[] = [];
  const count = view.getUint16(pe + 6, true);
  for (let index = 0; index < count; index += 1) {
    const at = optional + optionalBytes + index * 40;
    if (at + 40 > head.length) break; // more than a head holds: none that we look for
    sections.push({
      name: latin1(head.subarray(at, at + 8)).replace(/\0+$/, ""),
      bytes: Math.min(view.getUint32(at + 8, true), view.getUint32(at + 16, true)),
      offset: view.getUint32(at + 20, true),
    });
  }
  const machine = view.getUint16(pe + 4, true);
  return { machine: MACHINES[machine] ?? hex(machine, 4), subsystem: view.getUint16(optional + 68, true), certificates, sections };
}

const MACHINES: Readonly<Record<number, string>> = {
  34404: "x86-64",
  332: "x86",
  43620: "aarch64",
  448: "arm",
  450: "arm",
  452: "arm",
  20580: "riscv64",
  25188: "loongarch64",
  3772: "EFI byte code",
};
