/** GUIDs and serial numbers for new tables and volumes, from a seed: the same seed gives the same ones, another one others. Random ones come from `host/`. */
import { createHash } from "node:crypto";

export interface Ids {
  /** In capitals, as `decodeGuid` writes it. Each call gives another one. */
  guid(): string;
  /** 32 bits, not 0. */
  serial(): number;
}

/** A GUID of version 8, which RFC 9562 leaves to whoever makes it. */
export function seededIds(seed: string): Ids {
  let calls = 0;
  const next = () => createHash("sha256").update(`hiperiso ids\0${seed}\0${calls++}`).digest();
  return {
    guid: () => {
      const bytes = next().subarray(0, 16);
      bytes[6] = (bytes[6]! & 0x0f) | 0x80;
      bytes[8] = (bytes[8]! & 0x3f) | 0x80;
      return bytes
        .toString("hex")
        .replace(/^(.{8})(.{4})(.{4})(.{4})/, "$1-$2-$3-$4-")
        .toUpperCase();
    },
    serial: () => next().readUInt32LE(0) || 1,
  };
}
