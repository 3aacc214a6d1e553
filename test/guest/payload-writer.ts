/** Payload containers written field by field, as the page of the format says and with no code of the program: they may lie. */

export interface Entry {
  readonly name: string | Uint8Array;
  readonly bytes: string | Uint8Array;
  /** What the container says; what is true unless given. */
  readonly saysName?: bigint;
  readonly saysSize?: bigint;
}

export interface Container {
  readonly entries: readonly Entry[];
  readonly wide?: boolean;
  readonly saysCount?: bigint;
  /** Zeros to a multiple of this; 1: none. */
  readonly padTo?: number;
}

export function container({ entries, wide = false, saysCount, padTo = 1024 }: Container): Buffer {
  const number = (value: bigint): Buffer => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return bytes.subarray(0, wide ? 8 : 4);
  };
  const parts = [Buffer.from("LBPAYLD1"), number(saysCount ?? BigInt(entries.length))];
  for (const { name, bytes, saysName, saysSize } of entries) {
    const [nameBytes, fileBytes] = [Buffer.from(name), Buffer.from(bytes)];
    parts.push(number(saysName ?? BigInt(nameBytes.length)), number(saysSize ?? BigInt(fileBytes.length)), nameBytes, fileBytes);
  }
  const whole = Buffer.concat(parts);
  return Buffer.concat([whole, Buffer.alloc((padTo - (whole.length % padTo)) % padTo)]);
}
