import { randomBytes, randomUUID } from "node:crypto";

/** GUIDs (version 4, in capitals) and serial numbers (32 bits, not 0) that nobody else has. */
export const randomIds = {
  guid: (): string => randomUUID().toUpperCase(),
  serial: (): number => randomBytes(4).readUInt32LE(0) || 1,
};
