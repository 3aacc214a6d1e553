/**
 * Does KVM work here? Nothing is believed because /dev/kvm exists, nor because it opens: software stands behind some
 * of these devices that interprets guest code, gets through a boot sector and SeaBIOS, and stops at the first x87
 * instruction of OVMF. So a guest of our own is run (`guest/kvm-probe/probe.asm`), and KVM is available when that
 * guest got to its end in time.
 */
import { createHash } from "node:crypto";
import { constants } from "node:fs";
import { mkdtemp, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { reasonOf } from "../contract/error.ts";
import { KVM_STATES, type KvmState } from "../contract/session.ts";
import type { Clock } from "./clock.ts";
import { endProcess, startGuarded } from "./guarded-process.ts";
import { type KeptAnswer, keep, keptOr } from "./kept-answer.ts";
import { KVM_PROBE_PASSED_STATUS, KVM_PROBE_STAGES, KVM_PROBE_WRONG, kvmProbeRom } from "./kvm-probe-rom.ts";
import { readBootId } from "./process-identity.ts";
import { programIdentity } from "./program-identity.ts";

/** Whether KVM runs guests here, and how that was found out. */
export interface KvmProbe {
  /** `unknown`: QEMU could not be asked. */
  readonly state: KvmState;
  /** For a person, without a full stop. May hold words of QEMU: not escaped. */
  readonly because: string;
  /** How long the probe guest took; 0 where none was started. */
  readonly durationMs: number;
  /** The start of the computer for which this holds. */
  readonly at_boot_id: string;
}

export interface KvmProbeOptions {
  /** Absolute path of the QEMU to ask. */
  readonly qemu: string;
  /** Folder for the answer, kept until the computer restarts: `$XDG_CACHE_HOME/hiperiso`. Made when missing. */
  readonly cacheDir: string;
  /** An existing folder in which the probe makes a private one for its ROM: `runtimeFolder(env)`. */
  readonly runtimeDir: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Ask a guest even when an answer is kept. */
  readonly fresh?: boolean;
  readonly device?: string;
  readonly proc?: string;
  /** From QEMU's start to the guest's end. */
  readonly timeLimitMs?: number;
}

/** A healthy KVM takes a fraction of a second; this leaves room for a busy computer. */
const TIME_LIMIT_MS = 3_000;
/** For QEMU to end after SIGTERM. It holds nothing worth saving. */
const PATIENCE_MS = 500;
/** An answer that rests on a time limit may rest on a busy moment: it is not kept until the restart. */
const TIME_LIMIT_ANSWER_S = 3_600;
const CACHE_FILE = "kvm-probe.json";

/** Throws only when aborted, and where there is no /proc. No QEMU is left behind. */
export async function probeKvm(options: KvmProbeOptions): Promise<KvmProbe> {
  const { qemu, cacheDir, clock, signal, device = "/dev/kvm" } = options;
  signal.throwIfAborted();
  const bootId = readBootId(options.proc);
  const opened = await openDevice(device);
  if ("refusal" in opened) return { state: "unavailable", because: opened.refusal, durationMs: 0, at_boot_id: bootId };
  const kept: KeptAnswer<StoredAnswer> = {
    folder: cacheDir,
    name: CACHE_FILE,
    basis: [bootId, opened.identity, await programIdentity(qemu), PROBE_VERSION],
    schema: storedAnswerSchema,
    holds: ({ probe, until_uptime_s }) => probe.state !== "unknown" && (until_uptime_s === null || clock.uptimeS() < until_uptime_s),
    signal,
  };
  const ask = async (): Promise<StoredAnswer> => {
    const run = await runProbe(options);
    const probe = { ...judgeProbeRun(run), durationMs: Math.round(run.durationMs), at_boot_id: bootId };
    return { probe, until_uptime_s: run.ending === "time limit" ? clock.uptimeS() + TIME_LIMIT_ANSWER_S : null };
  };
  if (options.fresh !== true) return (await keptOr(kept, ask)).probe;
  const answer = await ask();
  await keep(kept, answer);
  return answer.probe;
}

const storedAnswerSchema = z.object({
  probe: z.object({ state: z.enum(KVM_STATES), because: z.string(), durationMs: z.number(), at_boot_id: z.string() }),
  /** Null: until the computer restarts. */
  until_uptime_s: z.number().nullable(),
});
type StoredAnswer = z.infer<typeof storedAnswerSchema>;

/** Another probe guest gives other answers. */
const PROBE_VERSION = createHash("sha256").update(kvmProbeRom()).digest("hex");

/** Opens the device and closes it again. A device that a reloaded driver made anew has another identity. */
async function openDevice(device: string): Promise<{ readonly identity: string } | { readonly refusal: string }> {
  try {
    const file = await open(device, constants.O_RDWR | constants.O_NONBLOCK);
    try {
      const { dev, ino, rdev } = await file.stat({ bigint: true });
      return { identity: [device, dev, ino, rdev].join(" ") };
    } finally {
      await file.close();
    }
  } catch (error) {
    return { refusal: deviceRefusal(device, error) };
  }
}

/** What an error of opening `device` means for a person, and what to do. */
export function deviceRefusal(device: string, error: unknown): string {
  switch ((error as NodeJS.ErrnoException).code) {
    case "ENOENT":
      return `there is no ${device}: this kernel has no KVM, or virtualisation is off in the computer's setup`;
    case "EACCES":
    case "EPERM":
      return `no permission to open ${device}: join the group that owns it, on most systems kvm (sudo usermod -aG kvm "$USER", then log in again)`;
    case "ENODEV":
    case "ENXIO":
      return `nothing stands behind ${device}: load kvm_intel or kvm_amd, and see that virtualisation is on in the computer's setup`;
    default:
      return `${device} cannot be opened: ${reasonOf(error)}`;
  }
}

export type Accelerator = "kvm" | "tcg";

/** How a run of the probe guest went. */
export interface ProbeRun {
  /** What the guest wrote. */
  readonly letters: string;
  /** `stopped`: QEMU told that KVM failed and, as it does then, went on without its guest. */
  readonly ending: "exited" | "stopped" | "time limit" | "not started";
  /** Of QEMU, when it ended by itself. */
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderr: string;
  readonly durationMs: number;
}

/** The probe guest under an accelerator. Under `tcg` it must pass everywhere: that tests the guest and not the computer. */
export async function runProbe(
  {
    qemu,
    runtimeDir,
    signal,
    clock,
    timeLimitMs = TIME_LIMIT_MS,
  }: Pick<KvmProbeOptions, "qemu" | "runtimeDir" | "signal" | "clock" | "timeLimitMs">,
  accelerator: Accelerator = "kvm",
): Promise<ProbeRun> {
  const folder = await mkdtemp(join(runtimeDir, "hiperiso-kvm-probe-")).catch((error: unknown) => new Error(reasonOf(error)));
  if (folder instanceof Error) return { ...NOT_STARTED, stderr: folder.message };
  try {
    const rom = join(folder, "probe.rom");
    const written = await writeFile(rom, kvmProbeRom()).catch((error: unknown) => new Error(reasonOf(error)));
    if (written instanceof Error) return { ...NOT_STARTED, stderr: written.message };
    return await watchProbe(qemu, probeArguments(rom, accelerator), { cwd: folder, signal, clock, timeLimitMs });
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

const NOT_STARTED = { letters: "", ending: "not started", code: null, signal: null, durationMs: 0 } as const;

/** A triple fault resets the guest: under -no-reboot it ends QEMU, with status 0. */
const probeArguments = (rom: string, accelerator: Accelerator): readonly string[] => [
  ...["-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
  ...["-machine", "q35", "-m", "64M"],
  ...["-accel", accelerator, "-cpu", accelerator === "kvm" ? "host" : "max"],
  ...["-bios", rom],
  ...["-chardev", "stdio,id=letters,signal=off", "-device", "isa-debugcon,iobase=0xe9,chardev=letters"],
  ...["-device", "isa-debug-exit,iobase=0xf4,iosize=1"],
];

interface Watch {
  readonly cwd: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  readonly timeLimitMs: number;
}

/** What QEMU prints when KVM gives the guest up. It does not exit then (accel/kvm/kvm-all.c, kvm_cpu_exec). */
const KVM_GAVE_UP = /^(?:KVM internal error|KVM: |error: kvm run failed)/m;
const LETTERS_MAX = 256;
const STDERR_MAX = 65_536;

async function watchProbe(qemu: string, args: readonly string[], { cwd, signal, clock, timeLimitMs }: Watch): Promise<ProbeRun> {
  signal.throwIfAborted();
  const startedMs = clock.monotonicMs();
  const guarded = startGuarded(qemu, args, { cwd, env: { ...process.env, LC_ALL: "C" }, stdio: ["ignore", "pipe", "pipe"] });
  const { child, ended } = guarded;
  let letters = "";
  let stderr = "";
  child.stdout?.setEncoding("latin1").on("data", (text: string) => {
    letters = (letters + text).slice(0, LETTERS_MAX);
  });
  const gaveUp = new Promise<"stopped">((resolve) => {
    child.stderr?.setEncoding("utf8").on("data", (text: string) => {
      stderr = (stderr + text).slice(0, STDERR_MAX);
      if (KVM_GAVE_UP.test(stderr)) resolve("stopped");
    });
  });
  const drained = new Promise<void>((resolve) => child.once("close", () => resolve()));
  const timer = new AbortController();
  const stop = () => timer.abort();
  signal.addEventListener("abort", stop, { once: true });
  try {
    const late = delay(timeLimitMs, "time limit" as const, { signal: timer.signal }).catch(() => "time limit" as const);
    const ending = await Promise.race([ended.then(() => "exited" as const), gaveUp, late]);
    const durationMs = clock.monotonicMs() - startedMs;
    await endProcess(guarded, signal.aborted ? 0 : PATIENCE_MS);
    signal.throwIfAborted();
    const end = await ended;
    if (end.error !== undefined) return { ...NOT_STARTED, stderr: end.error.message };
    await drained;
    const own = ending === "exited" ? { code: end.code, signal: end.signal } : { code: null, signal: null };
    return { letters, ending, ...own, stderr, durationMs };
  } finally {
    signal.removeEventListener("abort", stop);
    timer.abort();
    await endProcess(guarded, 0);
  }
}

const ALL_LETTERS = KVM_PROBE_STAGES.map(({ letter }) => letter).join("");
/** Of the shell that starts QEMU: there is no such program, or it cannot be run. */
const CANNOT_RUN_STATUS = [126, 127];

/** What a run of the probe guest says about KVM. */
export function judgeProbeRun(run: ProbeRun): Pick<KvmProbe, "state" | "because"> {
  const seconds = `${(run.durationMs / 1000).toFixed(1)} s`;
  const where = reachedStage(run.letters);
  const words = qemusWords(run.stderr);
  const quoted = words === "" ? "" : `: ${words}`;
  const unavailable = (because: string) => ({ state: "unavailable", because }) as const;
  const unknown = (because: string) => ({ state: "unknown", because }) as const;

  if (run.ending === "not started") return unknown(`the probe guest could not be started: ${run.stderr}`);
  if (run.letters === ALL_LETTERS && run.code === KVM_PROBE_PASSED_STATUS) {
    return { state: "available", because: `a probe guest ran to its end in ${seconds}` };
  }
  if (run.letters.includes(KVM_PROBE_WRONG)) return unavailable(`the processor that KVM gives a guest computes wrongly: ${where}`);
  if (run.ending === "stopped") return unavailable(`KVM gave the probe guest up ${where}${quoted}`);
  if (run.ending === "time limit") return unavailable(`after ${seconds} the probe guest was still ${where}${quoted}`);
  if (run.signal !== null) return unknown(`QEMU was ended by ${run.signal} ${where}${quoted}`);
  if (run.letters === "" && run.code !== null && CANNOT_RUN_STATUS.includes(run.code)) return unknown(`QEMU could not be started${quoted}`);
  if (run.code === 0) return unavailable(`the probe guest was reset ${where}${quoted}`);
  if (run.letters === "" && !/kvm/i.test(run.stderr))
    return unknown(`QEMU ended with status ${run.code} before the probe guest ran${quoted}`);
  return unavailable(`QEMU ended with status ${run.code} ${where}${quoted}`);
}

/** `in stage x87 (5 of 7)`: the first stage whose letter is missing. */
function reachedStage(letters: string): string {
  const passed = KVM_PROBE_STAGES.findIndex(({ letter }, at) => letters[at] !== letter);
  if (passed < 0) return "after its last stage";
  return `in stage ${KVM_PROBE_STAGES[passed]?.name} (${passed + 1} of ${KVM_PROBE_STAGES.length})`;
}

const WORDS_MAX = 200;

/** The first line on stderr that is no warning, without the program's name. */
function qemusWords(stderr: string): string {
  const lines = stderr.split("\n").map((line) => line.replace(/^\S*qemu\S*: /, "").trim());
  const line = lines.find((text) => text !== "" && !text.startsWith("warning: ")) ?? lines.find((text) => text !== "") ?? "";
  return line.slice(0, WORDS_MAX);
}
