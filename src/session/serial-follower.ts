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
  /** The time that was last written to `serial.times`. */
  #notedMs = Number.NEGATIVE_INFINITY;
  #lastArrivalMs = Number.NEGATIVE_INFINITY;
  #stopped = false;

  /** Both files must exist. `elapsedMs` counts from QEMU's start. */
  constructor(logPath: string, timesPath: string, elapsedMs: () => number, onBytes: (bytes: Uint8Array, timeMs: number) => void) {
    this.#log = openSync(logPath, "r");
    try {
      this.#times = openSync(timesPath, "a");
    } catch (error) {
      closeSync(this.#log);
      throw error;
    }
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

  /** `onError` is told why the log can no longer be followed. */
  start(onError: (error: unknown) => void): void {
    const again = () => {
      try {
        const came = this.poll();
        if (!this.#stopped) this.#timer = setTimeout(again, came ? ARRIVAL_MS : IDLE_MS);
      } catch (error) {
        onError(error);
      }
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

  /** The offset is that of the first byte that came: bytes of an arrival without a line belong to the line before, at most 10 ms too early. */
  #noteArrival(timeMs: number): void {
    if (timeMs - this.#notedMs >= ARRIVAL_MS) {
      this.#notedMs = timeMs;
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
    clearTimeout(this.#timer);
    try {
      this.poll();
    } finally {
      this.#stopped = true;
      closeSync(this.#log);
      closeSync(this.#times);
    }
  }

  [Symbol.dispose](): void {
    this.stop();
  }
}
