/** Which jobs may run beside each other: those that fit into the computer's memory and processors. Pure. */
import type { Needs } from "./job.ts";

/** What may be used of the computer. */
export interface Capacity extends Needs {
  /** No more than so many at once, whatever fits. */
  readonly jobs: number;
}

/** Left to the computer itself. */
const MEMORY_KEPT_MB = 512;

/** `availableRamMb` as the kernel tells it (MemAvailable). `jobs`: what the person allows; undefined: as many as fit. */
export function planCapacity(host: { readonly availableRamMb: number; readonly cores: number }, jobs: number | undefined): Capacity {
  return {
    memoryMb: Math.max(host.availableRamMb - MEMORY_KEPT_MB, 0),
    processors: Math.max(host.cores, 1),
    jobs: jobs ?? Number.MAX_SAFE_INTEGER,
  };
}

/**
 * Indices of those waiting jobs that are to be started now, in their order: each that fits beside the running ones and those before it.
 * A job that needs more than there is runs alone; so with a job waiting and none running there is always one.
 */
export function startable(waiting: readonly Needs[], running: readonly Needs[], capacity: Capacity): readonly number[] {
  const started: number[] = [];
  const busy = [...running];
  for (const [index, job] of waiting.entries()) {
    if (busy.length >= capacity.jobs) break;
    if (busy.length > 0 && !fits(job, busy, capacity)) continue;
    started.push(index);
    busy.push(job);
  }
  return started;
}

const fits = (job: Needs, busy: readonly Needs[], capacity: Capacity): boolean =>
  [...busy, job].reduce((sum, { memoryMb }) => sum + memoryMb, 0) <= capacity.memoryMb &&
  [...busy, job].reduce((sum, { processors }) => sum + processors, 0) <= capacity.processors;
