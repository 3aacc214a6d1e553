/** What the early code can hold. Checked before anything is written. */

export interface Limit {
  readonly name: string;
  /** Undefined where sizes are not known. */
  readonly value?: number;
  readonly limit: number;
  readonly unit: "bytes" | "entries" | "sector";
  /** Undefined: cannot be told yet. */
  readonly ok?: boolean;
  readonly because: string;
}
