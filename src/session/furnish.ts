/**
 * What a machine needs that is made only when its session has begun: files taken out of the image, a copy of the image in memory. The plan names what
 * they are made from until then; afterwards it names them.
 */
import type { Job } from "../contract/job.ts";
import type { MachinePlan } from "../machine/plan.ts";

export interface Furnished extends AsyncDisposable {
  /** The same machine with what was made in it. */
  change(plan: MachinePlan): MachinePlan;
}

/** `scratch`: the session's private folder, which is removed with all that is in it. What is made lives until it is disposed of. */
export type Furnish = (scratch: string, job: Job) => Promise<Furnished>;
