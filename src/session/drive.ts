/** Driving a guest while it is recorded: what a script may do with it, and how the script's end becomes the boot's. */
import { setTimeout as delay } from "node:timers/promises";
import type { ConsoleEvent } from "../analysis/watch.ts";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { ScriptFile } from "../contract/session.ts";
import type { PassedStage } from "../contract/verdict.ts";
import type { QmpEvent } from "../host/qmp.ts";
import { type Chord, keyValues } from "../machine/keys.ts";
import { ConsoleTap } from "./console-tap.ts";
import type { Guest } from "./guest.ts";
import type { BootWatch } from "./watch-boot.ts";

/** A living guest in the hands of a script. Whatever cannot be done throws; nothing is lost by that. */
export interface GuestControl {
  /** Aborted when the boot is over, for whatever reason: then whoever drives gives up what it waits for. */
  readonly signal: AbortSignal;
  readonly console: ConsoleTap;
  /** Since QEMU's start. */
  elapsedMs(): number;
  /** The furthest stage since the guest last started. */
  readonly stage: PassedStage | undefined;
  /** How often the guest has started anew. */
  readonly resets: number;
  readonly isOff: boolean;
  /** How long a step may take that sets no limit of its own. */
  readonly stepMs: number;
  /** Resolves at the next thing that happens: console, stage, reset, power off. Rejects when the boot is over. */
  change(): Promise<void>;
  /** Types into the guest's serial console. */
  send(text: string): Promise<void>;
  /** Presses these keys of the guest's keyboard, one chord after the other. */
  press(chords: readonly Chord[]): Promise<void>;
  /** Name of the picture's file in the session's directory. */
  screenshot(name: string): Promise<string>;
  /** Resets until the next stage are meant, and do not count as a fault of the guest's. */
  expectReset(): void;
  /** The guest may power itself off without ending the boot by that. */
  expectOff(): void;
  /** Panics and the like do not end the boot. */
  expectFatal(): void;
  reset(): Promise<void>;
  powerButton(): Promise<void>;
  /** Keeps how far the script has come: `steps.json`, replaced whole each time. */
  keep(file: ScriptFile): Promise<void>;
}

/** How a script ended. */
export interface Driven {
  readonly passed: boolean;
  /** One sentence for a person. */
  readonly detail: string;
}

/** Called once the guest is there, right before it runs, and again where the boot is tried again under emulation. The boot is over when it returns or throws. */
export type Drive = (control: GuestControl) => Promise<Driven>;

export interface DriverStart {
  readonly guest: Pick<Guest, "qmp" | "type">;
  readonly elapsedMs: () => number;
  readonly stepMs: number;
  readonly screenshot: (name: string) => Promise<string | undefined>;
  readonly keep: (file: ScriptFile) => Promise<void>;
  readonly watch: Pick<BootWatch, "expectReset" | "expectOff" | "expectFatal">;
}

/** So much goes into a pipe whole or not at all (PIPE_BUF of POSIX is 512 at least, of Linux 4096). */
const PIECE_BYTES = 512;
const FULL_PIPE_MS = 50;
/** A key is held down so long, and so long is waited after it: a keyboard's own queue holds 16 bytes. */
const KEY_HOLD_MS = 40;

/** The control that a script is given, fed by the recorder. */
export class GuestDriver implements GuestControl {
  readonly console = new ConsoleTap();
  readonly stepMs: number;
  readonly #start: DriverStart;
  readonly #over = new AbortController();
  #stage: PassedStage | undefined;
  #resets = 0;
  #isOff = false;
  readonly #waiting = new Set<() => void>();

  constructor(start: DriverStart) {
    this.#start = start;
    this.stepMs = start.stepMs;
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  get stage(): PassedStage | undefined {
    return this.#stage;
  }

  get resets(): number {
    return this.#resets;
  }

  get isOff(): boolean {
    return this.#isOff;
  }

  elapsedMs(): number {
    return this.#start.elapsedMs();
  }

  noteSerial(bytes: Uint8Array, events: readonly ConsoleEvent[]): void {
    this.console.push(bytes);
    this.noteConsole(events);
  }

  noteConsole(events: readonly ConsoleEvent[]): void {
    for (const event of events) if (event.type === "stage") this.#stage = event.stage;
    this.#tell();
  }

  noteQmp({ event, data }: QmpEvent): void {
    if (event === "RESET") {
      this.#resets += 1;
      this.#stage = undefined;
    } else if (event === "SHUTDOWN" && data["guest"] === true) this.#isOff = true;
    else return;
    this.#tell();
  }

  /** The boot is over: whoever waits is told. */
  end(): void {
    this.#over.abort(new HiperisoError({ what: "drive the guest", found: "the boot is over" }));
    this.#tell();
  }

  /** Runs the script, and ends the boot with it. Never throws: a script that throws has failed. */
  async run(drive: Drive | undefined, watch: Pick<BootWatch, "end">): Promise<void> {
    if (drive === undefined) return;
    const { passed, detail } = await drive(this).catch((error: unknown) => ({
      passed: false,
      detail: `it could not go on: ${reasonOf(error)}`,
    }));
    watch.end({ reason: passed ? "goal" : "script_failed", detail: `script: ${detail}` });
  }

  #tell(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const wake of waiting) wake();
  }

  async change(): Promise<void> {
    this.signal.throwIfAborted();
    await new Promise<void>((resolve) => this.#waiting.add(resolve));
    this.signal.throwIfAborted();
  }

  async send(text: string): Promise<void> {
    const bytes = new TextEncoder().encode(text);
    for (let at = 0; at < bytes.length; at += PIECE_BYTES) await this.#sendPiece(bytes.subarray(at, at + PIECE_BYTES));
  }

  /** A guest that does not read lets the pipe fill up: then it is tried again until the boot or the step is over. */
  async #sendPiece(bytes: Uint8Array): Promise<void> {
    for (;;) {
      this.signal.throwIfAborted();
      try {
        return await this.#start.guest.type(bytes);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN") throw error;
      }
      await delay(FULL_PIPE_MS, undefined, { signal: this.signal });
    }
  }

  async press(chords: readonly Chord[]): Promise<void> {
    for (const chord of chords) {
      this.signal.throwIfAborted();
      await this.#start.guest.qmp.execute("send-key", { keys: keyValues(chord), "hold-time": KEY_HOLD_MS });
      await delay(2 * KEY_HOLD_MS, undefined, { signal: this.signal });
    }
  }

  async screenshot(name: string): Promise<string> {
    this.signal.throwIfAborted();
    const file = await this.#start.screenshot(name);
    if (file !== undefined) return file;
    throw new HiperisoError({ what: "take a picture of the guest's screen", found: "the machine has no screen" });
  }

  expectReset(): void {
    this.#start.watch.expectReset();
  }

  expectOff(): void {
    this.#start.watch.expectOff();
  }

  expectFatal(): void {
    this.#start.watch.expectFatal();
  }

  async reset(): Promise<void> {
    this.signal.throwIfAborted();
    await this.#start.guest.qmp.execute("system_reset");
  }

  async powerButton(): Promise<void> {
    this.signal.throwIfAborted();
    await this.#start.guest.qmp.execute("system_powerdown");
  }

  async keep(file: ScriptFile): Promise<void> {
    await this.#start.keep(file);
  }
}
