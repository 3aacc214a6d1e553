/** ELF files with one loaded segment and the headers that say what a program needs; nothing in them runs. */

export interface ElfWish {
  readonly bits?: 32 | 64;
  readonly littleEndian?: boolean;
  readonly machine?: number;
  readonly interpreter?: string;
  readonly needed?: readonly string[];
  readonly soname?: string;
  readonly rpath?: string;
  readonly runpath?: string;
  readonly flags1?: bigint;
}

const ADDRESS = 0x1000;

export function buildElf(wish: ElfWish): Uint8Array {
  const { bits = 64, littleEndian = true, machine = 62, interpreter, needed, soname, rpath, runpath, flags1 } = wish;
  const word = bits / 8;
  const texts: string[] = [""];
  const textAt = (value: string): bigint => {
    const at = texts.reduce((sum, text) => sum + text.length + 1, 0);
    texts.push(value);
    return BigInt(at);
  };
  const entries: [bigint, bigint][] = [
    ...(needed ?? []).map((name): [bigint, bigint] => [1n, textAt(name)]),
    ...(soname === undefined ? [] : [[14n, textAt(soname)] as [bigint, bigint]]),
    ...(rpath === undefined ? [] : [[15n, textAt(rpath)] as [bigint, bigint]]),
    ...(runpath === undefined ? [] : [[29n, textAt(runpath)] as [bigint, bigint]]),
    ...(flags1 === undefined ? [] : [[0x6ffffffbn, flags1] as [bigint, bigint]]),
  ];
  const strings = new TextEncoder().encode(texts.map((text) => `${text}\0`).join(""));
  const interp = new TextEncoder().encode(interpreter === undefined ? "" : `${interpreter}\0`);
  const headerBytes = bits === 64 ? 64 : 52;
  const segmentBytes = bits === 64 ? 56 : 32;
  const isDynamic = needed !== undefined;
  const count = 1 + (interpreter === undefined ? 0 : 1) + (isDynamic ? 1 : 0);
  const interpAt = headerBytes + count * segmentBytes;
  const stringsAt = interpAt + interp.length;
  const dynamicAt = stringsAt + strings.length;
  const dynamic: [bigint, bigint][] = isDynamic
    ? [...entries, [5n, BigInt(ADDRESS + stringsAt)], [10n, BigInt(strings.length)], [0n, 0n]]
    : [];
  const file = new Uint8Array(dynamicAt + dynamic.length * 2 * word);
  const view = new DataView(file.buffer);
  const put = (at: number, value: bigint | number): void => {
    if (bits === 64) view.setBigUint64(at, BigInt(value), littleEndian);
    else view.setUint32(at, Number(value), littleEndian);
  };
  file.set([0x7f, 0x45, 0x4c, 0x46, bits === 64 ? 2 : 1, littleEndian ? 1 : 2, 1]);
  view.setUint16(16, 3, littleEndian);
  view.setUint16(18, machine, littleEndian);
  put(bits === 64 ? 32 : 28, headerBytes);
  view.setUint16(bits === 64 ? 54 : 42, segmentBytes, littleEndian);
  view.setUint16(bits === 64 ? 56 : 44, count, littleEndian);
  let index = 0;
  const segment = (type: number, offset: number, bytes: number): void => {
    const at = headerBytes + index * segmentBytes;
    view.setUint32(at, type, littleEndian);
    const places = bits === 64 ? [8, 16, 32] : [4, 8, 16];
    [offset, ADDRESS + offset, bytes].forEach((value, place) => {
      put(at + places[place]!, value);
    });
    index += 1;
  };
  segment(1, 0, file.length);
  if (interpreter !== undefined) segment(3, interpAt, interp.length);
  if (isDynamic) segment(2, dynamicAt, dynamic.length * 2 * word);
  file.set(interp, interpAt);
  file.set(strings, stringsAt);
  dynamic.forEach(([tag, value], at) => {
    put(dynamicAt + at * 2 * word, tag);
    put(dynamicAt + at * 2 * word + word, value);
  });
  return file;
}
