/**
 * The session directory: names of its files and the shape of its JSON files (CONTRACT section 4).
 * JSON Schemas in `schema/` are generated from here (`npm run schema`), and a test holds them equal.
 */
import * as z from "zod";
import { TRACE_LEVELS } from "./parameters.ts";
import { BOOT_RESULTS, BOOT_STAGES, FAILURE_DOMAINS } from "./verdict.ts";

/** Names inside a session directory. Those after the blank line are ours, added to the contract's. */
export const SESSION_FILES = {
  session: "session.json",
  status: "status.json",
  env: "env.txt",
  serial: "serial.log",
  serialTimes: "serial.times",
  imageMap: "image.map",
  trace: "trace.bin",
  qemuCommandLine: "qemu.cmdline",
  monitorSocket: "monitor.sock",
  timing: "timing.dat",
  timingJson: "timing.json",
  hardware: "hw",
  networkCapture: "network.pcap",
  report: "report.json",
  reportText: "report.txt",
  reportLog: "report.log",
  analysisMeta: "analysis.meta",
  heartbeat: "HEARTBEAT",
  complete: "SESSION_COMPLETE",
  failure: "FAILURE.txt",

  /** The machine plan, each choice with its reason. */
  plan: "machine.json",
  /** Why the boot ended: `Ending`. Written before the analysis, so that a later analysis sees the same. */
  ending: "ending.json",
  /** Who writes this session: `Owner`. */
  owner: "owner.json",
  /** QEMU's process, by the same three facts as its owner's: what the next start ends if it should still live. */
  qemuProcess: "qemu.json",
  /** What QEMU printed on its standard error. */
  qemuErrors: "qemu.stderr",
  /** SeaBIOS' debug port (0x402); OVMF's release builds print nothing there. */
  firmwareLog: "firmware.log",
  /** The guest's text screen when the boot ended, one line a row, UTF-8. Only when it was in a text mode. */
  screenText: "screen.txt",
  /** Screenshots: `screen-<why>.png` (or .ppm where QEMU was built without libpng). */
  screenshotPrefix: "screen-",
  /** The report as one page for a browser, with the log and the screenshots in it. */
  reportPage: "report.html",
  /** The declarations of the events in `trace.bin`, so that it can be read on another computer. */
  traceEvents: "trace.events",
  /** What the trace holds and what it lacks: `TraceFacts`. */
  traceFacts: "trace.json",
  /** Lines of QEMU's log that are not in the trace, or not surely; a JSON object a line. */
  traceRest: "trace.rest",
  /** The steps of the build that runs in the guest, in order, where one does. */
  buildSteps: "build-steps.json",
  /** Where the guest's screen can be seen by VNC while it runs: `Display`. */
  display: "display.json",
  /** VNC's socket, in the session's directory or where the monitor's stands. */
  vncSocket: "vnc.sock",
  /** What a script did with the guest, step by step: `ScriptFile`. Replaced whole after each step. */
  script: "steps.json",
} as const;

/** One level above the session directories. */
export const INDEX_FILE = "index.jsonl";

const text = z.string();
const utc = z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
const flag = z.union([z.literal(0), z.literal(1)]);
const count = z.int().min(0);

export const KVM_STATES = ["available", "unavailable", "unknown"] as const;
export type KvmState = (typeof KVM_STATES)[number];

const sessionStart = {
  session_id: text,
  status: z.enum(["started", "complete", "failed"]),
  iso_path: text,
  iso_basename: text,
  log_dir: text,
  start_time_utc: utc,
  kvm: z.enum(KVM_STATES),
  trace_level: z.enum(TRACE_LEVELS),
  guest_ram_mb: count,
  guest_cpus: count,
};

export const sessionAnalysisSchema = z.object({
  boot_result: z.enum(BOOT_RESULTS),
  boot_stage_final: z.enum(BOOT_STAGES),
  failure_domain: z.enum(FAILURE_DOMAINS),
  reached_login: flag,
  kernel_panic_count: count,
  error_count: count,
  has_serial: flag,
  has_trace: flag,
  /** From QEMU's start to the goal, or to the end where the goal was not reached. */
  boot_duration_ms: count,
  graphics_drivers: text,
  graphics_resolution: text,
});

/** `session.json` while the boot runs. */
export const sessionStartedSchema = z.looseObject({ ...sessionStart, status: z.literal("started") });

/** `session.json` at the end, on success and on failure. */
export const sessionEndedSchema = z.looseObject({
  ...sessionStart,
  status: z.enum(["complete", "failed"]),
  result: z.enum(BOOT_RESULTS),
  end_time_utc: utc,
  qemu_exit_code: z.int().nullable(),
  report_available: flag,
  host: z.object({
    kernel_version: text,
    cpu_model: text,
    cpu_logical_cores: count,
    total_ram_mb: count,
    virt_supported: z.boolean(),
  }),
  analysis: sessionAnalysisSchema,
  hw_inventory: z.object({
    available: z.boolean(),
    files: text,
    has_timing: z.boolean(),
    has_network_pcap: z.boolean(),
  }),
});

export const sessionSchema = z.union([sessionStartedSchema, sessionEndedSchema]);

export const STATUS_STAGES = [
  "mounted",
  "kvm_ok",
  "tcg_emulation",
  "launching_qemu",
  "qemu_exited",
  "session_complete",
  "fallback_no_kvm",
  "iso_not_found",
  "fatal_error",
] as const;

export const statusSchema = z.looseObject({
  session_id: text,
  status: z.enum(["started", "running", "complete", "failed"]),
  stage: z.enum(STATUS_STAGES),
  qemu_exit_code: z.int().nullable().optional(),
  timestamp_utc: utc,
});

/** A line of `index.jsonl`. */
export const indexLineSchema = z.looseObject({
  session_id: text,
  status: z.enum(["complete", "failed"]),
  result: z.enum(BOOT_RESULTS),
  iso_basename: text,
  iso_path: text,
  log_dir: text,
  start_time_utc: utc,
  end_time_utc: utc,
  kvm: z.enum(KVM_STATES),
  trace_level: z.enum(TRACE_LEVELS),
  qemu_exit_code: z.int().nullable(),
  report_available: flag,
  boot_result: z.enum(BOOT_RESULTS),
  boot_stage_final: z.enum(BOOT_STAGES),
  failure_domain: z.enum(FAILURE_DOMAINS),
  graphics_drivers: text,
});

export const timingSchema = z.looseObject({
  phases: z.array(
    z.object({
      phase: text,
      /** Seconds the recording computer had been up. */
      uptime_s: z.number().min(0),
      time_utc: text,
      /** Since the phase before; null for the first. */
      since_previous_ms: z.int().nullable(),
    }),
  ),
});

/** `owner.json`: a session without SESSION_COMPLETE is an orphan when this process is gone. */
export const ownerSchema = z.object({
  pid: z.int().positive(),
  /** Field 22 of /proc/PID/stat, in clock ticks since the computer started. */
  pid_start_ticks: text,
  boot_id: text,
  /** A temporary directory that belongs to this session, to be removed with it. */
  scratch_dir: text,
});

/** `qemu.json`: QEMU's process, and what leads to its private files. */
export const guestProcessSchema = ownerSchema.omit({ scratch_dir: true }).extend({
  /** Name inside the owner's `scratch_dir`: the console's input (`console-in`) stands there. One name, without `/`. */
  private_folder: z.string().regex(/^[A-Za-z0-9-]+$/),
});

/** Why a boot ended. */
export const ENDING_REASONS = [
  /** What `--until` asked for was seen. */
  "goal",
  /** The guest powered itself off. */
  "guest_shutdown",
  /** The guest told so through pvpanic, or its log shows a panic and nothing moved after it. */
  "guest_panic",
  "reset_loop",
  /** Serial, disk and screen were all still for the limit. */
  "hang",
  /** A finding that ends the boot for good: no boot device, emergency shell… */
  "fatal_finding",
  "time_limit",
  /** Ctrl-C or SIGTERM. */
  "interrupted",
  /** QEMU stopped the guest: status `internal-error` (KVM) or an I/O error. */
  "internal_error",
  /** QEMU ended on its own, with an error or killed. */
  "qemu_died",
  /** The recorder failed or was killed; found by a later start, or said by its own last words. */
  "recorder_died",
  /** A session without a machine: the program that was recorded ended, and not well. */
  "program_failed",
  /** A processor ran where there is no memory: it was sent to something that is not there. */
  "processor_lost",
  /** A step of the script that drove the guest failed. */
  "script_failed",
  /** The disk that takes the session is nearly full: it was ended while there is still room for its last files. */
  "no_room",
  /** No guest ran: the computer was given to the image's own kernel (`fallback_no_kvm`). */
  "handed_over",
] as const;
export type EndingReason = (typeof ENDING_REASONS)[number];

export const endingSchema = z.looseObject({
  reason: z.enum(ENDING_REASONS),
  /** One sentence for a person. Text from the guest in it is not escaped. */
  detail: text,
  /** What `--until` asked for, as written: `login`, `kernel`, `text:…`, `pattern:…`, `never`; `script`: all steps of a script. */
  goal: text,
  goal_reached: z.boolean(),
  /** Milliseconds from QEMU's start (of the last attempt) to the end; null where QEMU never ran. */
  duration_ms: count.nullable(),
  firmware: z.enum(["uefi", "bios"]).nullable(),
  accelerator: z.enum(["kvm", "tcg"]).nullable(),
  resets: count,
  qemu_exit_code: z.int().nullable(),
  /** Signal that ended QEMU, `SIGKILL`…, or null. */
  qemu_signal: text.nullable(),
  /** Bytes in `serial.log` when the boot ended. */
  serial_bytes: count,
  /** `1024x768` or `text 80x25`; empty where no screen could be read. */
  screen: text,
  /** Pixels that differ from the first one: 0 is a blank screen; null where no screen could be read. */
  screen_drawn: count.nullable(),
  /** True when the guest had been still (serial, disk, screen) for the hang limit. */
  still: z.boolean(),
});

/** `stopped`: the boot was over before the step was. */
export const STEP_RESULTS = ["passed", "failed", "stopped", "not_run"] as const;

export const scriptStepSchema = z.looseObject({
  /** From 1, included scripts counted in. */
  number: z.int().min(1),
  /** `expect`, `send`, `run`… */
  step: text,
  /** The step as a person would say it. Holds what the script says, which is not escaped. */
  title: text,
  /** `file:line:column` in the script. */
  where: text,
  result: z.enum(STEP_RESULTS),
  /** Milliseconds from QEMU's start to the step's begin; null where it did not run. */
  time_ms: count.nullable(),
  duration_ms: count.nullable(),
  /** The line of `serial.log` that the step ended at, from 1 at LF; null where it read none. */
  line: z.int().min(1).nullable(),
  /** What was found, or why it failed. Text from the guest in it is not escaped. */
  detail: text,
  /** Of a step that took a picture: the file's name. */
  screenshot: text.optional(),
  /** Of a command: its exit status, and what it printed (at most its last 16,384 characters). */
  exit_status: z.int().optional(),
  output: text.optional(),
});

/** `steps.json`. */
export const scriptFileSchema = z.looseObject({
  name: text,
  /** `running` while the boot lasts. */
  result: z.enum(["running", "passed", "failed", "stopped"]),
  steps: z.array(scriptStepSchema),
});

export type ScriptStepFile = z.infer<typeof scriptStepSchema>;
export type ScriptFile = z.infer<typeof scriptFileSchema>;
export type SessionAnalysis = z.infer<typeof sessionAnalysisSchema>;
export type SessionStarted = z.infer<typeof sessionStartedSchema>;
export type SessionEnded = z.infer<typeof sessionEndedSchema>;
export type SessionFile = z.infer<typeof sessionSchema>;
export type StatusFile = z.infer<typeof statusSchema>;
export type StatusStage = StatusFile["stage"];
export type IndexLine = z.infer<typeof indexLineSchema>;
export type TimingFile = z.infer<typeof timingSchema>;
export type Owner = z.infer<typeof ownerSchema>;
export type Ending = z.infer<typeof endingSchema>;
