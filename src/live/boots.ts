/** Who boots images for `boot-test` stages. The commands are above this folder, so they hand it down. */
import type { BootJob } from "../suite/job.ts";
import type { JobResult } from "../suite/run-jobs.ts";

export interface Boots {
  /** Folder in which the sessions are recorded, absolute: the person's, not the store's. */
  readonly logDirectory: string;
  /** As `runJobs`: beside each other as far as they fit into the computer. */
  run(jobs: readonly BootJob[], options: { readonly retries: number; readonly signal: AbortSignal }): Promise<readonly JobResult[]>;
  /** As an ISO 8601 time, and in milliseconds since any moment. */
  readonly clock: { utc(): string; monotonicMs(): number };
}
