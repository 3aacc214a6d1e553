/** One boot on the stick: an image of the data partition becomes a session there, whatever happens. */
import { rm, stat, statfs } from "node:fs/promises";
import { STANDARD_GOAL } from "../../analysis/goal.ts";
import type { Rule } from "../../analysis/rule.ts";
import type { Config } from "../../config/hiperiso-json.ts";
import type { SettingValues } from "../../config/settings.ts";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import type { Settings } from "../../contract/parameters.ts";
import type { StatusStage } from "../../contract/session.ts";
import type { Clock } from "../../host/clock.ts";
import { hostFacts } from "../../host/host-facts.ts";
import { noWish } from "../../machine/features/extras.ts";
import { newRecording, scratchRoot } from "../../session/new-recording.ts";
import { type PreparedBoot, prepareBoot } from "../../session/prepare-boot.ts";
import { type Recorded, recordBoot } from "../../session/record.ts";
import type { SessionEvent } from "../../session/recording.ts";
import type { PhaseMark } from "../../session/timing.ts";
import { recordUnbooted } from "../../session/unbooted.ts";
import type { BootOutcome } from "./face.ts";
import { loadImageKernel } from "./hand-over.ts";
import { onStick, type StickPlaces } from "./places.ts";
import { stickSettings } from "./stick-settings.ts";

export interface StickBoot {
  /** From the data partition's root. */
  readonly image: string;
  /** By the boot menu or the picker. */
  readonly said: SettingValues;
  readonly config: Config;
  /** Known before: of the configuration, the command line, the clock. */
  readonly warnings: readonly string[];
  readonly rules: readonly Rule[];
  /** Of the first boot since the computer was started. */
  readonly earlierPhases: readonly PhaseMark[];
  /** The stick's own kernel speaks on a serial line. */
  readonly serial: boolean;
}

export interface StickBootPlace {
  readonly places: StickPlaces;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly job: Job;
  readonly onEvent: (event: SessionEvent) => void;
}

/** Of the data partition: for the last files of a session, its report with the whole log in it, and what may still come in before it is ended. */
export const ROOM_KEPT_BYTES = 32n << 20n;

export async function bootImage(boot: StickBoot, place: StickBootPlace): Promise<BootOutcome> {
  const { image, said, config, rules, earlierPhases } = boot;
  const { places, env, clock, job, onEvent } = place;
  const { total_ram_mb } = await hostFacts();
  const { settings, warnings: told, notes } = stickSettings({ image, said, config, places, totalRamMb: total_ram_mb });
  const subject = settings.iso ?? places.data;
  const shownPath = (path: string) => onStick(places, path);
  const warnings = [...boot.warnings, ...told];
  const common = { subject, settings, goal: STANDARD_GOAL, rules, shownPath, earlierPhases };
  const failed = async (stage: StatusStage, error: unknown): Promise<BootOutcome> => {
    const message = messageOf(error);
    const kvm = { state: "unknown", because: "the boot did not come so far" } as const;
    const wish = {
      ...common,
      warnings: [...warnings, ...notes],
      stage,
      failure: error,
      reason: "recorder_died",
      detail: message,
      kvm,
    } as const;
    try {
      return { type: "failed", recorded: await recordUnbooted(wish, place), message };
    } catch (trouble) {
      return { type: "failed", recorded: undefined, message: `${message} No session could be made of it: ${messageOf(trouble)}` };
    }
  };

  const missing = await missingImage(subject, image);
  if (missing !== undefined) return await failed("iso_not_found", missing);
  const full = await noRoom(places.data);
  if (full !== undefined) return await failed("fatal_error", full);
  let prepared: PreparedBoot;
  try {
    prepared = await prepareBoot(subject, bootWish(settings), env, clock, job);
  } catch (error) {
    return await failed("fatal_error", error);
  }
  warnings.push(...prepared.plan.warnings);
  if (prepared.plan.accelerator.use === "tcg" && !settings.fallback && config.fallbackNoKvm) {
    const outcome = await handOver(boot, prepared, { ...common, warnings: [...warnings, ...notes] }, place);
    if (outcome.type === "handed_over") return outcome;
    warnings.push(
      `There is no KVM (${prepared.kvm.because}), and the image's own kernel is not started: ${outcome.because}. The boot is emulated, which is slow.`,
    );
  }
  for (const text of warnings) onEvent({ type: "warning", text });
  const wish = { prepared, ...common, warnings: [...warnings, ...notes], roomKeptBytes: ROOM_KEPT_BYTES };
  let directory = "";
  let closed: Recorded | undefined;
  const noted = (event: SessionEvent): void => {
    if (event.type === "session") directory = event.directory;
    if (event.type === "verdict") closed = { directory, session: event.session, report: event.report };
    onEvent(event);
  };
  try {
    return { type: "recorded", recorded: await recordBoot(newRecording(wish, { ...place, onEvent: noted })) };
  } catch (error) {
    return { type: "failed", recorded: closed, message: messageOf(error) };
  }
}

const messageOf = (error: unknown): string => {
  const text = error instanceof HiperisoError ? error.message : reasonOf(error);
  return /[.!?]$/.test(text) ? text : `${text}.`;
};

/** Everything that is a person's choice at a workstation alone is as it is there without one. */
const bootWish = (settings: Settings) => ({
  settings,
  attach: undefined,
  writable: false,
  disks: [],
  backingAnywhere: false,
  kernel: undefined,
  accelerator: "auto" as const,
  network: undefined,
  limits: { timeLimitS: undefined, hangLimitS: undefined },
  extras: noWish,
});

async function missingImage(path: string, shown: string): Promise<HiperisoError | undefined> {
  const what = "boot the image";
  const hint = "It may have been renamed or removed since the menu was written; the menu is written anew now.";
  try {
    if ((await stat(path)).isFile()) return undefined;
    return new HiperisoError({ what, where: shown, expected: "an image", found: "a folder", kind: "usage" });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ENOENT")
      return new HiperisoError({ what, where: shown, found: reasonOf(error), kind: "usage", cause: error });
    return new HiperisoError({
      what,
      where: shown,
      expected: "it on the data partition",
      found: "no file of that name",
      hint,
      kind: "usage",
    });
  }
}

async function noRoom(folder: string): Promise<HiperisoError | undefined> {
  const { bavail, bsize } = await statfs(folder, { bigint: true });
  const free = bavail * bsize;
  if (free >= ROOM_KEPT_BYTES) return undefined;
  return new HiperisoError({
    what: "record a boot",
    where: "the data partition",
    expected: `at least ${ROOM_KEPT_BYTES >> 20n} MiB free`,
    found: `${free >> 20n} MiB`,
    hint: "Remove an image, or sessions that were brought home.",
    kind: "usage",
  });
}

type Unbooted = Pick<
  Parameters<typeof recordUnbooted>[0],
  "subject" | "settings" | "goal" | "rules" | "warnings" | "shownPath" | "earlierPhases"
>;

/** The kernel is loaded first: the session says that it was handed over only where it will be. */
async function handOver(
  boot: StickBoot,
  { image: facts, kvm }: PreparedBoot,
  common: Unbooted,
  place: StickBootPlace,
): Promise<Extract<BootOutcome, { type: "handed_over" }> | { readonly type: "refused"; readonly because: string }> {
  if (facts === undefined) return { type: "refused", because: "there is no image" };
  const { places, env, job } = place;
  const scratch = `${scratchRoot(env)}/hand-over`;
  const loaded = await loadImageKernel({ image: boot.image, facts, places, scratch, serial: boot.serial, env }, job);
  // What was loaded is the kernel's; the copies take memory.
  await rm(scratch, { recursive: true, force: true });
  if (!loaded.loaded) return { type: "refused", because: loaded.because };
  const detail = `there is no KVM (${kvm.because}); the image's own kernel was started instead: ${loaded.detail}`;
  const recorded: Recorded = await recordUnbooted(
    { ...common, stage: "fallback_no_kvm", failure: undefined, reason: "handed_over", detail, kvm: { ...kvm, state: kvm.state } },
    place,
  );
  return { type: "handed_over", recorded, detail: loaded.detail };
}
