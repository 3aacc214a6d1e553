/**
 * A session in which no guest ran: on the stick an image that is not there, or that cannot be booted, is evidence too; and so is a computer that was given to
 * the image's own kernel.
 */
import { basename } from "node:path";
import type { Rule } from "../analysis/rule.ts";
import { reasonOf } from "../contract/error.ts";
import type { Ending, EndingReason, KvmState, Owner, StatusStage } from "../contract/session.ts";
import { hostFacts } from "../host/host-facts.ts";
import { readIdentity } from "../host/identity.ts";
import { collectHostInventory } from "../host/inventory.ts";
import { maskIdentity } from "../host/mask.ts";
import { ownIdentity } from "../host/process-identity.ts";
import { SessionDirectory } from "./directory.ts";
import { environmentLines, type RecordingPlace, type RecordingWish, scratchRoot, sessionHost } from "./new-recording.ts";
import { closeSession, type Recorded, saveHostInventory } from "./record.ts";
import { makeScratch, removeScratch } from "./scratch.ts";
import { UNSTARTED } from "./unstarted-ending.ts";

export interface UnbootedSession
  extends Pick<RecordingWish, "subject" | "settings" | "goal" | "warnings" | "added" | "shownPath" | "earlierPhases"> {
  readonly rules: readonly Rule[];
  /** The last one of `status.json`. */
  readonly stage: StatusStage;
  /** What failed; undefined: nothing did, and the session is complete. */
  readonly failure: unknown;
  readonly reason: EndingReason;
  /** One sentence for a person; undefined: what the failure says. */
  readonly detail?: string;
  readonly kvm: { readonly state: KvmState; readonly because: string };
}

/** Throws only where no session can be made (no room, a stick that can only be read). */
export async function recordUnbooted(wish: UnbootedSession, place: RecordingPlace): Promise<Recorded> {
  const { subject, settings, goal, rules, warnings, shownPath = (path) => path, stage, failure } = wish;
  const { env, clock, job, onEvent } = place;
  const identity = readIdentity(env);
  const mask = (text: string) => maskIdentity(text, identity);
  const host = sessionHost(await hostFacts(), mask);
  const owner: Owner = { ...ownIdentity(), scratch_dir: await makeScratch(scratchRoot(env), ownIdentity()) };
  try {
    const directory = await SessionDirectory.create(
      {
        logDirectory: settings.logDir,
        imageBaseName: basename(subject),
        owner,
        started: {
          iso_path: shownPath(subject),
          iso_basename: basename(subject),
          kvm: wish.kvm.state,
          trace_level: settings.traceLevel,
          guest_ram_mb: settings.guestRam,
          guest_cpus: settings.guestCpus,
          goal,
          kvm_because: mask(wish.kvm.because),
          warnings: warnings.map(mask),
          host,
          ...wish.added,
        },
        environment: environmentLines(settings, host, shownPath),
        firstStage: "mounted",
        shownPath,
        earlierPhases: wish.earlierPhases,
      },
      clock,
    );
    onEvent({ type: "session", id: directory.id, directory: directory.path, plan: null });
    await directory.markPhase("started");
    await saveHostInventory(directory, { hostInventory: (signal) => collectHostInventory({ identity, signal }), job });
    const ending = endingOf(wish, mask);
    onEvent({ type: "ending", ending });
    const { failure: _, ...recorded } = await closeSession(
      directory,
      directory.started,
      ending,
      failure,
      { clock, host, rules, onEvent },
      stage,
    );
    return recorded;
  } finally {
    await removeScratch(owner).catch((error: unknown) => job.progress.warn(`${owner.scratch_dir} stays: ${reasonOf(error)}`));
  }
}

const endingOf = ({ goal, reason, detail, failure }: UnbootedSession, mask: (text: string) => string): Ending => ({
  ...UNSTARTED,
  reason,
  detail: mask(detail ?? reasonOf(failure)),
  goal,
});
