/** Bytes as numbers and text: the few words that every decoder in this folder needs. */

/** `0x` and at least `digits` digits. */
export const hex = (value: number | bigint, digits = 2): string => `0x${value.toString(16).padStart(digits, "0")}`;

/** A `DataView` of exactly these bytes. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The bytes as ISO 8859-1: for signatures and names that are ASCII by their specification. Not escaped. */
export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
