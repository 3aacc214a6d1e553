/**
 * A structure that is cut short, contradicts itself, or points where nothing is.
 *
 * Decoders do not decide what damage means: they report it and go on as far as the bytes allow. A program that
 * looks at foreign images collects the reports; one that reads back what it wrote itself passes a `ReportProblem` that throws.
 */
export interface Problem {
  /** First byte of the structure or of the field in it, from the start of the image. */
  readonly offset: bigint;
  /** As the specification calls it: "GPT header", "El Torito validation entry". */
  readonly structure: string;
  readonly expected: string;
  readonly found: string;
}

export type ReportProblem = (problem: Problem) => void;

/** Where a decoder stands: the offset of its first byte in the image, and whom it tells. */
export interface Place {
  readonly offset: bigint;
  readonly report: ReportProblem;
}

/** `0x` and at least `digits` digits. */
export const hex = (value: number | bigint, digits = 2): string => `0x${value.toString(16).padStart(digits, "0")}`;

/** A `DataView` of exactly these bytes. */
export const viewOf = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** The bytes as ISO 8859-1: for signatures and names that are ASCII by their specification. Not escaped. */
export const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
