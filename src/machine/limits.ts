/**
 * How long the recorder waits. Emulation is several times slower than a processor, so every default is scaled;
 * what a person gives in seconds is taken as given.
 */
export interface Limits {
  /** From QEMU's start until the boot is ended whatever it does. */
  readonly bootMs: number;
  /** Serial, disk and screen all still for this long: a hang. */
  readonly stillMs: number;
  /** After evidence that the goal will not be reached: silence on the console for this long ends the boot, so that the whole report is kept. */
  readonly settleMs: number;
  /** For the guest to shut down after its power button was pressed. */
  readonly powerdownMs: number;
  /** For QEMU to end after `quit`, and again after SIGTERM. */
  readonly quitMs: number;
}

export interface AskedLimits {
  readonly timeLimitS: number | undefined;
  readonly hangLimitS: number | undefined;
}

const SCALE = { kvm: 1, tcg: 3 } as const;

export function planLimits(accelerator: "kvm" | "tcg", asked: AskedLimits): Limits {
  const scale = SCALE[accelerator];
  return {
    bootMs: asked.timeLimitS === undefined ? 600_000 * scale : asked.timeLimitS * 1000,
    stillMs: asked.hangLimitS === undefined ? 60_000 * scale : asked.hangLimitS * 1000,
    settleMs: 4_000 * scale,
    powerdownMs: 15_000 * scale,
    quitMs: 10_000,
  };
}
