/** The library: what the commands are made of, for programs that want the values and not the text. */
export { type Analysed, analyseSession } from "./analysis/analyse.ts";
export { type Comparison, compareSessions } from "./analysis/compare.ts";
export { createGoal, type Goal } from "./analysis/goal.ts";
export { type OwnRules, readOwnRules } from "./analysis/own-rules.ts";
export type { Rule } from "./analysis/rule.ts";
export { type ConsoleEvent, type ConsoleWatch, createConsoleWatch } from "./analysis/watch.ts";
export { parseConfig } from "./config/hiperiso-json.ts";
export { EXIT, HiperisoError } from "./contract/error.ts";
export { type Job, type Progress, quietJob, silentProgress } from "./contract/job.ts";
export { PARAMETERS, type Settings, standardSettings } from "./contract/parameters.ts";
export { type Finding, findingSchema, type Report, reportSchema, type StageReached } from "./contract/report.ts";
export {
  type Ending,
  endingSchema,
  INDEX_FILE,
  type IndexLine,
  indexLineSchema,
  SESSION_FILES,
  type SessionEnded,
  type SessionStarted,
  sessionEndedSchema,
  sessionSchema,
  sessionStartedSchema,
  statusSchema,
  timingSchema,
} from "./contract/session.ts";
export type { ImageFacts } from "./image/image-facts.ts";
export type { BootEntry, BootMenus } from "./image/menus/boot-entry.ts";
export { type BootableEntry, chooseEntry } from "./image/menus/choose-entry.ts";
export { openBootMenus } from "./image/menus/open-menus.ts";
export { takeOutFiles } from "./image/menus/take-out.ts";
export { openImageFacts } from "./image/probe.ts";
export { type MachinePlan, planMachine } from "./machine/plan.ts";
export { type MachineParts, planParts, standardParts } from "./machine/plan-parts.ts";
export { qemuArguments } from "./machine/qemu-arguments.ts";
export { findSession, listSessions, type SessionEntry } from "./session/catalogue.ts";
export type { Drive, GuestControl } from "./session/drive.ts";
export { recordMachine } from "./session/new-recording.ts";
export { sweepOrphans } from "./session/orphans.ts";
export { type PreparedBoot, prepareBoot } from "./session/prepare-boot.ts";
export { type Recorded, recordBoot } from "./session/record.ts";
export type { Recording, SessionEvent } from "./session/recording.ts";
export { readIndex } from "./session/session-index.ts";
export type { BootJob } from "./suite/job.ts";
export { readSuite } from "./suite/matrix.ts";
export { runJobs } from "./suite/run-jobs.ts";
export { scriptDrive } from "./suite/run-script.ts";
export type { Script } from "./suite/script.ts";
export { readScript } from "./suite/script-file.ts";
