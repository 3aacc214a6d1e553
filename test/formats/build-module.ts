/** An ELF64 object with the sections "", .modinfo and .shstrtab, and nothing in it that runs. `modinfo`: texts, each ended by a NUL. */
export function buildModule(modinfo: string): Uint8Array {
  const info = new TextEncoder().encode(modinfo);
  const names = new TextEncoder().encode("\0.modinfo\0.shstrtab\0");
  const headers = 64 + info.length + names.length;
  const file = new Uint8Array(headers + 3 * 64);
  const view = new DataView(file.buffer);
  file.set([0x7f, 0x45, 0x4c, 0x46, 2, 1, 1]);
  view.setBigUint64(40, BigInt(headers), true);
  view.setUint16(58, 64, true);
  view.setUint16(60, 3, true);
  view.setUint16(62, 2, true);
  file.set(info, 64);
  file.set(names, 64 + info.length);
  const section = (index: number, name: number, start: number, length: number): void => {
    view.setUint32(headers + index * 64, name, true);
    view.setUint32(headers + index * 64 + 4, 1, true); // SHT_PROGBITS
    view.setBigUint64(headers + index * 64 + 24, BigInt(start), true);
    view.setBigUint64(headers + index * 64 + 32, BigInt(length), true);
  };
  section(1, 1, 64, info.length);
  section(2, 10, 64 + info.length, names.length);
  return file;
}
