/** `report.json`: what the analyser says of a session (CONTRACT section 6). */
import * as z from "zod";
import { BOOT_RESULTS, BOOT_STAGES, FAILURE_DOMAINS, FINDING_KINDS, FINDING_SOURCES, PASSED_STAGES, SEVERITIES } from "./verdict.ts";

export const stageReachedSchema = z.looseObject({
  stage: z.enum(PASSED_STAGES),
  /** Line of `serial.log` that shows it, from 1 at LF; null where other evidence (screen, firmware.log) shows it. */
  line: z.int().min(1).nullable(),
  /** Milliseconds since QEMU's start (`serial.times`), else by the kernel's own clock, else null. */
  time_ms: z.number().min(0).nullable(),
});

export const findingSchema = z.looseObject({
  /** Of the rule: `kernel/no-root-fs`. */
  id: z.string(),
  kind: z.enum(FINDING_KINDS),
  severity: z.enum(SEVERITIES),
  stage: z.enum(BOOT_STAGES),
  domain: z.enum(FAILURE_DOMAINS),
  source: z.enum(FINDING_SOURCES),
  /** In `serial.log`, from 1 at LF; null for other sources. */
  line: z.int().min(1).nullable(),
  /** As it stood. Not escaped. */
  text: z.string(),
  explanation: z.string(),
  hint: z.string(),
  /** How often it was seen; `line` is the first. */
  count: z.int().min(1),
  /** The one the verdict rests on. */
  cause: z.boolean(),
});

export const reportSchema = z.looseObject({
  boot_result: z.enum(BOOT_RESULTS),
  boot_stage_final: z.enum(BOOT_STAGES),
  failure_domain: z.enum(FAILURE_DOMAINS),
  stages: z.array(stageReachedSchema),
  findings: z.array(findingSchema),
});

export type StageReached = z.infer<typeof stageReachedSchema>;
export type Finding = z.infer<typeof findingSchema>;
export type Report = z.infer<typeof reportSchema>;
