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
