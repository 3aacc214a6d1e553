/** A file of a live medium, and where its bytes come from. */

/** `from`: bytes, or a file that must not be written to. */
export interface MediumFile {
  /** From the medium's root, without a leading slash. */
  readonly path: string;
  readonly from: Uint8Array | { readonly file: string };
}
