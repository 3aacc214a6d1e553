/** What is to be recorded, and what a session tells while it lives: the words between `record.ts`, `attempt.ts` and whoever asks for a boot. */
import type { ExpectedStep } from "../analysis/build-notes.ts";
import type { Rule } from "../analysis/rule.ts";
import type { SessionReport } from "../analysis/session-report.ts";
import type { ConsoleEvent } from "../analysis/watch.ts";
import type { Job } from "../contract/job.ts";
import type { Ending, Owner, SessionEnded, StatusStage } from "../contract/session.ts";
import type { Clock } from "../host/clock.ts";
import type { MachinePlan } from "../machine/plan.ts";
import type { NewSession } from "./directory.ts";
import type { DisplayPlace } from "./display.ts";
import type { Drive } from "./drive.ts";
import type { Furnish } from "./furnish.ts";

/** What a session tells while it lives. A session of a program has no machine, and so no plan. Text from the guest is as it came: whoever shows it makes it harmless. */
export type SessionEvent =
  | { readonly type: "session"; readonly id: string; readonly directory: string; readonly plan: MachinePlan | null }
  | { readonly type: "status"; readonly stage: StatusStage }
  | { readonly type: "serial"; readonly bytes: Uint8Array }
  | { readonly type: "console"; readonly event: ConsoleEvent; readonly source: "serial" | "screen" }
  | { readonly type: "tick"; readonly elapsedMs: number; readonly lastLine: string }
  | { readonly type: "warning"; readonly text: string }
  | { readonly type: "display"; readonly place: DisplayPlace }
  | { readonly type: "restart"; readonly because: string }
  | { readonly type: "ending"; readonly ending: Ending }
  | { readonly type: "verdict"; readonly session: SessionEnded; readonly report: SessionReport | undefined };

export interface Recording {
  readonly plan: MachinePlan;
  /** The same machine under emulation, for a guest that KVM could not run. */
  readonly emulated: MachinePlan;
  /** What both need and is made only when the session has begun. */
  readonly furnish?: Furnish | undefined;
  readonly goal: string;
  /** A person's own rules for the analyser, beside the table's. */
  readonly rules: readonly Rule[];
  /** The steps of the build that runs in the guest, in order; empty for any other boot. */
  readonly steps: readonly ExpectedStep[];
  /** A script that drives the guest; its end is the boot's. The goal is `script` then. */
  readonly drive?: Drive;
  readonly session: Omit<NewSession, "owner" | "firstStage">;
  readonly host: SessionEnded["host"];
  readonly ownIdentity: Pick<Owner, "pid" | "pid_start_ticks" | "boot_id">;
  /** The session is ended while this much is still free where it is written; undefined: it is written until nothing more goes. */
  readonly roomKeptBytes?: bigint | undefined;
  /** Folder for private files that need a file system with sockets and FIFOs, and for the guest's throw-away overlay. */
  readonly scratchRoot: string;
  readonly env: NodeJS.ProcessEnv;
  readonly mask: (text: string) => string;
  readonly hostInventory: (signal: AbortSignal) => AsyncIterable<{ readonly name: string; readonly text: string }>;
  readonly clock: Clock;
  readonly job: Job;
  readonly onEvent: (event: SessionEvent) => void;
}
