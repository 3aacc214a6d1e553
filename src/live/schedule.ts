/** Which stages start now, and with how many cores. Pure. */
import { type Capacity, startable } from "../suite/schedule.ts";
import type { StageNeeds } from "./stage.ts";

export interface WaitingStage {
  readonly name: string;
  readonly needs: StageNeeds;
  /** How many stages wait in a row behind it: the longest row goes first. */
  readonly rank: number;
}

/** What a running stage was given. */
export interface Allotment {
  readonly name: string;
  /** At least 1, also of a stage that needs none. */
  readonly cores: number;
  /** How many of them are its own: 0 for a stage that waits for the network. */
  readonly coresHeld: number;
  readonly memoryMb: number;
}

/**
 * The waiting stages (all their inputs are there) that start beside the running ones. Those that take all cores share what is free. A stage that needs
 * more than the computer has gets what there is, and runs alone where it needs more memory.
 */
export function startingStages(waiting: readonly WaitingStage[], running: readonly Allotment[], capacity: Capacity): readonly Allotment[] {
  const inOrder = waiting.map((stage, index) => ({ ...stage, index })).sort((a, b) => b.rank - a.rank || a.index - b.index);
  const atLeast = ({ needs }: WaitingStage): number => (needs.cores === "all" ? 1 : Math.min(needs.cores, capacity.processors));
  const chosen = startable(
    inOrder.map((stage) => ({ memoryMb: stage.needs.memoryMb, processors: atLeast(stage) })),
    running.map(({ memoryMb, coresHeld }) => ({ memoryMb, processors: coresHeld })),
    capacity,
  ).map((index) => inOrder[index]!);

  const held = [...running.map(({ coresHeld }) => coresHeld), ...chosen.map(atLeast)].reduce((sum, cores) => sum + cores, 0);
  let spare = Math.max(capacity.processors - held, 0);
  let sharers = chosen.filter(({ needs }) => needs.cores === "all").length;
  return chosen.map((stage) => {
    let coresHeld = atLeast(stage);
    if (stage.needs.cores === "all") {
      const more = Math.ceil(spare / sharers);
      spare -= more;
      sharers -= 1;
      coresHeld += more;
    }
    return { name: stage.name, cores: Math.max(coresHeld, 1), coresHeld, memoryMb: stage.needs.memoryMb };
  });
}

/** Of each stage: the length of the longest row of stages that waits for it. `nodes`: each behind its inputs. */
export function ranksOf(
  nodes: readonly { readonly name: string; readonly inputs: Readonly<Record<string, string>> }[],
): ReadonlyMap<string, number> {
  const ranks = new Map(nodes.map(({ name }) => [name, 0]));
  for (const { name, inputs } of nodes.toReversed()) {
    for (const input of Object.values(inputs)) ranks.set(input, Math.max(ranks.get(input) ?? 0, (ranks.get(name) ?? 0) + 1));
  }
  return ranks;
}
