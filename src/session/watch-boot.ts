/**
 * Watches a running guest until its boot is over, and says why it is: the one place where everything that can end a
 * boot comes together. Waits on events; the only clocks are the limits of the plan.
 */
import type { Goal } from "../analysis/goal.ts";
import type { Rule } from "../analysis/rule.ts";
import { type ConsoleEvent, createConsoleWatch } from "../analysis/watch.ts";
import type { EndingReason } from "../contract/session.ts";
import type { Pixmap } from "../formats/ppm.ts";
import type { QmpEvent } from "../host/qmp.ts";
import type { Limits } from "../machine/limits.ts";
import type { Guest } from "./guest.ts";
import { readProcessors, strayProcessor } from "./processors.ts";
import { readScreen, readTextWindow, screenMoved } from "./screen.ts";
import type { SerialFollower } from "./serial-follower.ts";

/** More resets than a firmware or an installer needs. */
const RESETS_MAX = 2;
/** How often a silent guest is looked at for movement of its screen and disks. */
const LOOK_EVERY_MS = 5_000;
/** When QEMU dies, its monitor closes a moment before its end is known: that end is the reason then, and not the monitor. */
const QEMU_END_MS = 2_000;

export interface Stop {
  readonly reason: EndingReason;
  readonly detail: string;
  /** It was seen on the text screen, of which the console says nothing. */
  readonly onScreen?: true;
}

export interface BootWatchStart {
  readonly guest: Guest;
  readonly scratch: string;
  readonly limits: Limits;
  readonly memoryMb: number;
  readonly follower: SerialFollower;
  readonly goal: Goal;
  /** A person's own. */
  readonly rules: readonly Rule[];
  readonly elapsedMs: () => number;
  readonly signal: AbortSignal;
  /** Told what the text screen shows, all of it, each time that it has changed. */
  readonly onScreen: (events: readonly ConsoleEvent[]) => void;
}

export class BootWatch {
  readonly #start: BootWatchStart;
  #limit: NodeJS.Timeout | undefined;
  #look: NodeJS.Timeout | undefined;
  #settle: NodeJS.Timeout | undefined;
  #failure: NodeJS.Timeout | undefined;
  #resolve: (stop: Stop) => void = () => {};
  #reject: (error: unknown) => void = () => {};
  readonly #stopped: Promise<Stop>;
  #onShutDown: () => void = () => {};
  #isDown = false;
  #over = false;
  #resets = 0;
  /** Of the resets those that a script asked for, and those that a firmware adds to one: SeaBIOS makes three of a Linux's reboot. */
  #meantResets = 0;
  #isResetMeant = false;
  #isOffMeant = false;
  #isFatalMeant = false;
  #lastMoveMs = 0;
  #fatal: Stop | undefined;
  /** When a processor was last seen at work, and where one ran where there is no memory, at the look before. */
  #lastBusyMs = 0;
  #strayAt: bigint | undefined;

  constructor(start: BootWatchStart) {
    this.#start = start;
    this.#stopped = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** `never`: nothing but the guest itself, a limit or the person ends the boot. */
  get #endless(): boolean {
    return this.#start.goal.type === "never";
  }

  /** A script waits by limits of its own, and knows why the guest is still: that ends nothing. */
  get #mayStandStill(): boolean {
    return this.#endless || this.#start.goal.type === "script";
  }

  get resets(): number {
    return this.#resets;
  }

  /** Milliseconds in which neither console nor disk nor screen has moved. */
  get stillMs(): number {
    return this.#start.elapsedMs() - Math.max(this.#lastMoveMs, this.#start.follower.lastArrivalMs);
  }

  /** Resolves with the first thing that ends the boot; rejects when the recorder could not go on (`fail`). Call it before the guest runs. */
  async untilStopped(): Promise<Stop> {
    const { guest, limits, signal } = this.#start;
    const interrupted = () => this.#stop("interrupted", "stopped by the person at the computer");
    signal.addEventListener("abort", interrupted, { once: true });
    this.#limit = setTimeout(() => this.#stop("time_limit", `${limits.bootMs / 1000} s were over`), limits.bootMs);
    void guest.ended.then(({ code, signal: by }) => {
      this.#readOn();
      this.#stop("qemu_died", `QEMU ended with ${by ?? `status ${code}`}`);
    });
    void guest.qmp.closed.then((error) => this.fail(error));
    if (signal.aborted) interrupted();
    else this.#lookAgain({ screen: undefined, blocks: "" }, LOOK_EVERY_MS);
    try {
      return await this.#stopped;
    } finally {
      this.#over = true;
      signal.removeEventListener("abort", interrupted);
      for (const timer of [this.#limit, this.#look, this.#settle, this.#failure]) clearTimeout(timer);
    }
  }

  /** To be told what keeps the recorder from going on. Unless QEMU ends at that, the boot is over with this error. */
  fail(error: unknown): void {
    if (!this.#over) this.#failure ??= setTimeout(() => this.#reject(error), QEMU_END_MS);
  }

  /** To be told by a script that it is over. Where QEMU has ended or its monitor is lost, that is the reason and not what the script says of it. */
  end(stop: Stop): void {
    if (this.#failure === undefined) this.#stop(stop.reason, stop.detail);
  }

  /** Resets from now on are meant by whoever drives the guest, until the guest has come to a stage again. */
  expectReset(): void {
    this.#isResetMeant = true;
  }

  /** So is the guest's powering itself off. */
  expectOff(): void {
    this.#isOffMeant = true;
  }

  /** Panics and the like end nothing: the script waits for them. */
  expectFatal(): void {
    this.#isFatalMeant = true;
  }

  /** Resolves when the guest has shut itself down, also after the boot was over; at once where it has. */
  async untilShutDown(): Promise<void> {
    if (this.#isDown) return;
    await new Promise<void>((resolve) => {
      this.#onShutDown = resolve;
    });
  }

  /** To be told of every QMP event. */
  noteQmp({ event, data }: QmpEvent): void {
    if (event === "GUEST_PANICKED" && !this.#isFatalMeant)
      this.#stop("guest_panic", "the guest said through pvpanic that its kernel panicked");
    else if (event === "SHUTDOWN") this.#noteShutdown(String(data["reason"] ?? ""));
    else if (event === "RESET" && data["guest"] === true) this.#noteReset();
    else if (event === "STOP") void this.#noteStop();
  }

  /** To be told what the console's analysis saw. */
  noteConsole(events: readonly ConsoleEvent[]): void {
    for (const event of events) {
      if (event.type === "goal") this.#stop("goal", `${this.#start.goal.spec}: ${event.text.trim()}`);
      else if (event.type === "stage") this.#noteStage();
      else if (event.type === "finding" && event.ends) this.#noteFatal(event);
    }
    if (this.#fatal !== undefined) this.#waitForSilence(this.#fatal);
  }

  #noteShutdown(reason: string): void {
    this.#isDown = true;
    this.#onShutDown();
    this.#readOn();
    if (reason === "guest-shutdown" && this.#isOffMeant) return;
    if (reason === "guest-shutdown") this.#stop("guest_shutdown", "the guest powered itself off");
    else if (reason === "guest-panic") this.#stop("guest_panic", "the guest panicked");
    // Only a machine that is not to start anew says so: elsewhere this is a RESET.
    else if (reason === "guest-reset") this.#noteLastReset();
    // A signal to QEMU, or `quit` typed into its monitor: that was a person too.
    else if (reason.startsWith("host-")) this.#stop("interrupted", `QEMU was told to end (${reason})`);
    else this.#stop("guest_shutdown", `QEMU was told to shut down (${reason || "no reason given"})`);
  }

  /** What the guest said before it ended is in its log already, and may be the goal: the follower reads it only every few milliseconds. */
  #readOn(): void {
    if (this.#over) return;
    try {
      this.#start.follower.poll();
    } catch (error) {
      this.fail(error);
    }
  }

  #noteReset(): void {
    this.#resets++;
    if (this.#isResetMeant) this.#meantResets += 1;
    if (this.#endless) return;
    if (this.#fatal !== undefined) this.#stop(this.#fatal.reason, `${this.#fatal.detail}; then the guest reset itself`);
    else if (this.#resets - this.#meantResets > RESETS_MAX) this.#stop("reset_loop", `the guest reset itself ${this.#resets} times`);
  }

  #noteLastReset(): void {
    if (this.#fatal !== undefined) this.#stop(this.#fatal.reason, `${this.#fatal.detail}; then the guest reset itself`);
    else this.#stop("guest_shutdown", "the guest reset itself, which this machine takes for its end");
  }

  /** QEMU stands still after an emulation failure of KVM, and does not exit; after a panic that the guest tells of, too. */
  async #noteStop(): Promise<void> {
    const answer = (await this.#start.guest.qmp.execute("query-status").catch(() => ({}))) as { status?: string };
    if (answer.status === "internal-error") this.#stop("internal_error", "QEMU stopped the guest: internal-error (KVM could not run it)");
    else if (answer.status === "io-error") this.#stop("internal_error", "QEMU stopped the guest: its disk gave an error");
    // QEMU pauses a guest that says it panicked; a script that waits for that wants to see what it does then.
    else if (answer.status === "guest-panicked" && this.#isFatalMeant) await this.#start.guest.qmp.execute("cont").catch(() => {});
  }

  #noteFatal(event: Extract<ConsoleEvent, { type: "finding" }>): void {
    if (this.#endless || this.#isFatalMeant) return;
    const reason = event.kind === "panic" || event.kind === "init_died" ? "guest_panic" : "fatal_finding";
    this.#fatal ??= { reason, detail: event.text.trim() };
  }

  /** A later stage was reached: what looked fatal was not. */
  #noteStage(): void {
    this.#isResetMeant = false;
    this.#fatal = undefined;
    clearTimeout(this.#settle);
  }

  /** The rest of a report still comes in after its first line. */
  #waitForSilence(fatal: Stop): void {
    clearTimeout(this.#settle);
    if (this.#over) return; // the console still speaks while the guest is shut down
    this.#settle = setTimeout(() => this.#stop(fatal.reason, fatal.detail), this.#start.limits.settleMs);
  }

  #lookAgain(baseline: Baseline, afterMs: number): void {
    this.#look = setTimeout(() => {
      this.#lookAround(baseline).catch((error: unknown) => this.fail(error));
    }, afterMs);
  }

  /** Looks for movement while the console is silent; ends the boot when there has been none for the limit. */
  async #lookAround(baseline: Baseline): Promise<void> {
    const { limits, elapsedMs, follower } = this.#start;
    const silentMs = elapsedMs() - follower.lastArrivalMs;
    if (silentMs >= LOOK_EVERY_MS && (await this.#somethingMoved(baseline))) this.#lastMoveMs = elapsedMs();
    if (silentMs >= LOOK_EVERY_MS && limits.idleMs !== null) await this.#lookAtProcessors();
    if (this.#over) return;
    const idleMs = Math.min(this.stillMs, elapsedMs() - this.#lastBusyMs);
    if (!this.#mayStandStill && limits.idleMs !== null && idleMs >= limits.idleMs)
      this.#stop("hang", `console, disk and screen have been still for ${Math.round(idleMs / 1000)} s, and the processors sleep`);
    else if (this.#mayStandStill || this.stillMs < limits.stillMs) this.#lookAgain(baseline, Math.min(LOOK_EVERY_MS, limits.stillMs));
    else this.#stop("hang", `console, disk and screen have been still for ${Math.round(this.stillMs / 1000)} s`);
  }

  /** Twice in a row: a firmware may pass through such a place. */
  async #lookAtProcessors(): Promise<void> {
    const processors = await readProcessors(this.#start.guest.qmp);
    if (processors.some(({ halted }) => !halted)) this.#lastBusyMs = this.#start.elapsedMs();
    const stray = strayProcessor(processors, this.#start.memoryMb);
    if (stray !== undefined && this.#strayAt !== undefined && !this.#mayStandStill) {
      const where = `0x${stray.address.toString(16)}`;
      this.#stop(
        "processor_lost",
        `the processor runs at ${where}, where there is no memory: it was sent to a program or routine that is not there`,
      );
    }
    this.#strayAt = stray?.address;
  }

  async #somethingMoved(baseline: Baseline): Promise<boolean> {
    const { guest, scratch } = this.#start;
    const screen = await readScreen(guest.qmp, scratch);
    const screenChanged = screen !== undefined && (baseline.screen === undefined || screenMoved(baseline.screen, screen));
    if (screenChanged) {
      baseline.screen = screen;
      await this.#readTextScreen(screen);
    }
    const blocks = JSON.stringify(await guest.qmp.execute("query-blockstats").catch(() => "")).replaceAll(/"idle_time_ns": ?\d+/g, "");
    const blocksChanged = blocks !== baseline.blocks;
    baseline.blocks = blocks;
    return screenChanged || blocksChanged;
  }

  /** Firmware of the BIOS kind, and consoles that nobody sent to the serial line, speak on the text screen alone. */
  async #readTextScreen(screen: Pixmap): Promise<void> {
    const rows = await readTextWindow(this.#start.guest.qmp, this.#start.scratch, screen);
    if (rows.length === 0) return;
    const watch = createConsoleWatch({ goal: this.#start.goal, rules: this.#start.rules });
    // First as it stands, for a prompt that waits at the end; then with its last line ended: a BIOS stops behind its last word.
    const text = rows.join("\n").trimEnd();
    const events = [text, "\n"].flatMap((part) => [...watch.push(new TextEncoder().encode(part), this.#start.elapsedMs())]);
    this.#start.onScreen(events);
    const goal = events.find(({ type }) => type === "goal");
    if (goal !== undefined) this.#stop("goal", `${this.#start.goal.spec}, on the screen: ${goal.text.trim()}`, { onScreen: true });
    // The same text is read again and again: only a fatal line behind the last stage counts.
    const last = events.at(-1);
    if (last?.type === "finding" && last.ends && this.#fatal === undefined) {
      this.#noteFatal(last);
      if (this.#fatal !== undefined) this.#waitForSilence(this.#fatal);
    }
  }

  #stop(reason: EndingReason, detail: string, where: Pick<Stop, "onScreen"> = {}): void {
    if (this.#over) return;
    this.#over = true;
    this.#resolve({ reason, detail, ...where });
  }
}

interface Baseline {
  screen: Pixmap | undefined;
  blocks: string;
}
