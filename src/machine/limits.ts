/**
 * How long the recorder waits. Emulation is several times slower than a processor, so every default is scaled;
 * what a person gives in seconds is taken as given.
 */
export interface Limits {
  /** From QEMU's start until the boot is ended whatever it does. */
  readonly bootMs: number;
  /** Serial, disk and screen all still for this long: a hang. */
  readonly stillMs: number;
  /** As `stillMs`, where the processors sleep as well: who builds has no pause. Null: sleep says nothing, for an idle system does nothing else. */
  readonly idleMs: number | null;
  /** For a step of a script that sets no limit of its own. */
  readonly stepMs: number;
  /** After evidence that the goal will not be reached: silence on the console for this long ends the boot, so that the whole report is kept. */
  readonly settleMs: number;
  /** For the guest to end by itself behind its goal, with its disks written; 0: it is ended at the goal. */
  readonly leaveMs: number;
  /** For the guest to shut down after its power button was pressed. */
  readonly powerdownMs: number;
  /** For QEMU to end after `quit`, and again after SIGTERM. */
  readonly quitMs: number;
}

export interface AskedLimits {
  readonly timeLimitS: number | undefined;
  readonly hangLimitS: number | undefined;
  /** What the steps of a script ask for in all: so much longer the boot may take. */
  readonly scriptLimitS?: number;
}

/**
 * What a guest does with its time. `boot`: it comes up within minutes and says something every few seconds. `build`: it compiles for
 * days, one program may take hours without a word, and what it made stands on its disk only when it has ended by itself.
 */
export type Waiting = "boot" | "build";

const SCALE = { kvm: 1, tcg: 3 } as const;
/** A computer that QEMU emulates runs its own QEMU: a stick that is tried out. */
const EMULATED_COMPUTER_SCALE = 5;
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;

/** Timers count milliseconds in 31 bits: no limit may be longer than 24 days. */
const WAITINGS = {
  boot: { bootMs: 10 * MINUTE_MS, stillMs: MINUTE_MS, idleMs: null, leaveMs: 0 },
  build: { bootMs: 7 * 24 * HOUR_MS, stillMs: 2 * HOUR_MS, idleMs: 20 * MINUTE_MS, leaveMs: 5 * MINUTE_MS },
} as const satisfies Record<Waiting, Partial<Limits>>;

/** `isEmulated`: the computer itself is. */
export function planLimits(accelerator: "kvm" | "tcg", asked: AskedLimits, waiting: Waiting = "boot", isEmulated = false): Limits {
  const scale = SCALE[accelerator] * (isEmulated ? EMULATED_COMPUTER_SCALE : 1);
  const standard = WAITINGS[waiting];
  return {
    bootMs: asked.timeLimitS === undefined ? longest(standard.bootMs * scale, asked) : asked.timeLimitS * 1000,
    stillMs: asked.hangLimitS === undefined ? standard.stillMs * scale : asked.hangLimitS * 1000,
    // Who sleeps does so as long under emulation. What a person gives is the limit of both.
    idleMs: asked.hangLimitS === undefined ? standard.idleMs : standard.idleMs === null ? null : asked.hangLimitS * 1000,
    stepMs: 2 * MINUTE_MS * scale,
    settleMs: 4_000 * scale,
    leaveMs: standard.leaveMs * scale,
    powerdownMs: 15_000 * scale,
    quitMs: isEmulated ? 10_000 * EMULATED_COMPUTER_SCALE : 10_000,
  };
}

const TIMER_MS_MAX = 2 ** 31 - 1;
const longest = (standardMs: number, { scriptLimitS = 0 }: AskedLimits): number => Math.min(standardMs + scriptLimitS * 1000, TIMER_MS_MAX);
