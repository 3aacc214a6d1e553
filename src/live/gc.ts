/** What of a store can go. Pure. */
import type { FailedWorkplace, KeptOutput, StoreInventory } from "./store.ts";

export interface GcWish {
  /** Only what was not used for so long. */
  readonly unusedMs?: number | undefined;
  /** Only as much as it takes until the store holds no more than this, what was not used for longest first. */
  readonly maxBytes?: number | undefined;
  /** Also what the last build of each spec needs. */
  readonly all?: boolean | undefined;
}

export interface GcPlan {
  readonly outputs: readonly KeptOutput[];
  readonly failed: readonly FailedWorkplace[];
  readonly freedBytes: number;
  /** Of what stays. */
  readonly keptBytes: number;
}

/** What a living build uses always stays. Workplaces of failed stages go before any output. `nowMs`: since 1970, as the times of use. */
export function planGc({ outputs, failed }: StoreInventory, { unusedMs = 0, maxBytes, all = false }: GcWish, nowMs: number): GcPlan {
  const total = sumOf([...outputs, ...failed]);
  const isOld = (usedMs: number): boolean => nowMs - usedMs >= unusedMs;
  const oldFailed = failed.filter(({ failedMs }) => isOld(failedMs));
  const free = outputs.filter(({ isPinned, isLatest, usedMs }) => !isPinned && (all || !isLatest) && isOld(usedMs));
  // What the last builds need goes only when nothing else is left to go.
  const inOrder = free.toSorted((a, b) => Number(a.isLatest) - Number(b.isLatest) || a.usedMs - b.usedMs || (a.hash < b.hash ? -1 : 1));
  const going = { outputs: [] as KeptOutput[], failed: [] as FailedWorkplace[], bytes: 0 };
  const isEnough = (): boolean => maxBytes !== undefined && total - going.bytes <= maxBytes;
  for (const workplace of oldFailed) {
    if (isEnough()) break;
    going.failed.push(workplace);
    going.bytes += workplace.sizeBytes;
  }
  for (const output of inOrder) {
    if (isEnough()) break;
    going.outputs.push(output);
    going.bytes += output.sizeBytes;
  }
  return { outputs: going.outputs, failed: going.failed, freedBytes: going.bytes, keptBytes: total - going.bytes };
}

const sumOf = (items: readonly { readonly sizeBytes: number }[]): number => items.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
