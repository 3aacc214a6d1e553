import { closeSync, fdatasync, openSync, readSync, writeSync } from "node:fs";

/** At most one line of `serial.times` in this time (CONTRACT section 4), and how often the log is looked at while it grows. */
const ARRIVAL_MS = 10;
/** How often it is looked at when nothing comes: a hundred wake-ups a second would be most of what recording costs. */
const IDLE_MS = 40;
const READ_BYTES = 64 * 1024;

/**
 * Follows `serial.log` while QEMU writes it, keeps `serial.times`, and hands on what arrived.
 *
 * QEMU writes the log itself, so that it is whole whatever becomes of the recorder. It is polled and not watched:
 * an emulated UART writes one byte at a time, and inotify would wake us for each.
 */
export class SerialFollower implements Disposable {
  readonly #log: number;
  readonly #times: number;
  readonly #elapsedMs: () => number;
  readonly #onBytes: (bytes: Uint8Array, timeMs: number) => void;
  readonly #buffer = Buffer.allocUnsafe(READ_BYTES);
  #timer: NodeJS.Timeout | undefined;
  #offset = 0;
  #lastArrivalMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** Both files must exist. `elapsedMs` counts from QEMU's start. */
  constructor(logPath: string, timesPath: string, elapsedMs: () => number, onBytes: (bytes: Uint8Array, timeMs: number) => void) {
    this.#log = openSync(logPath, "r");
    this.#times = openSync(timesPath, "a");
    this.#elapsedMs = elapsedMs;
    this.#onBytes = onBytes;
  }

  get bytes(): number {
    return this.#offset;
  }

  /** When the last byte came, in milliseconds since QEMU's start; -Infinity before the first. */
  get lastArrivalMs(): number {
    return this.#lastArrivalMs;
  }

  start(): void {
    const again = () => {
      const came = this.poll();
      if (!this.#stopped) this.#timer = setTimeout(again, came ? ARRIVAL_MS : IDLE_MS);
    };
    this.#timer = setTimeout(again, 0);
  }

  /** Reads all there is now. True if something had come. */
  poll(): boolean {
    if (this.#stopped) return false;
    let came = false;
    for (;;) {
      const count = readSync(this.#log, this.#buffer, 0, READ_BYTES, this.#offset);
      if (count === 0) return came;
      const timeMs = Math.round(this.#elapsedMs());
      if (!came) this.#noteArrival(timeMs);
      came = true;
      this.#offset += count;
      this.#onBytes(new Uint8Array(this.#buffer.subarray(0, count)), timeMs);
    }
  }

  #noteArrival(timeMs: number): void {
    if (timeMs - this.#lastArrivalMs >= ARRIVAL_MS) {
      try {
        writeSync(this.#times, `${this.#offset}\t${timeMs}\n`);
      } catch {
        // A full disk: the log itself matters more than its times, and the session's end will say so.
      }
    }
    this.#lastArrivalMs = timeMs;
  }

  /** After this, a cut of power takes nothing that had come before. */
  sync(): void {
    fdatasync(this.#log, () => {});
    fdatasync(this.#times, () => {});
  }

  stop(): void {
    if (this.#stopped) return;
    this.poll();
    this.#stopped = true;
    clearTimeout(this.#timer);
    closeSync(this.#log);
    closeSync(this.#times);
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
