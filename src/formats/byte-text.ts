/** Names as file systems and archives hold them: bytes, which need not be UTF-8, in a string that can be compared, sorted and be a key. */

declare const isByteText: unique symbol;

/** Each character stands for one byte (ISO 8859-1), so the order of such strings is the order of their bytes. Not fit to be shown: see `readable`. */
export type ByteText = string & { readonly [isByteText]: true };

/** The bytes that this text is in UTF-8. */
export const byteText = (text: string): ByteText => fromBytes(Buffer.from(text, "utf8"));

export const fromBytes = (bytes: Uint8Array): ByteText =>
  Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1") as ByteText;

export const toBytes = (text: ByteText): Uint8Array => Buffer.from(text, "latin1");

/** For people and for names on this computer's side: read as UTF-8, what is none as U+FFFD. Not escaped. */
export const readable = (text: ByteText): string => Buffer.from(text, "latin1").toString("utf8");

export const joined = (...parts: readonly ByteText[]): ByteText => parts.filter((part) => part !== "").join("/") as ByteText;

/**
 * A name from an archive as a path below its root: without leading `/` and `./`, empty and `.` parts and trailing `/`; empty for the root itself.
 * Undefined where it would leave the root (`..`) or holds a NUL.
 */
export function pathInside(name: string): ByteText | undefined {
  if (name.includes("\0")) return undefined;
  const parts = name.split("/").filter((part) => part !== "" && part !== ".");
  return parts.includes("..") ? undefined : (parts.join("/") as ByteText);
}
