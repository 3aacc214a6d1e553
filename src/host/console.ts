/**
 * A terminal as a place to draw on and to read keys from: the one that a person sits at, a console of the kernel, a serial line. Whatever it
 * was before, it is again when it is closed, also where the program ends otherwise.
 */
import { closeSync, constants, openSync, readFileSync, write } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { isatty, ReadStream, WriteStream } from "node:tty";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Looks, ScreenSize } from "../formats/terminal-frame.ts";
import { type Key, KeyDecoder } from "../formats/terminal-keys.ts";

export interface Console extends AsyncDisposable {
  /** For messages. */
  readonly name: string;
  readonly looks: Looks;
  size(): ScreenSize;
  /** Resolves when all of it has gone out, which takes as long as the line is slow. Never rejects: a line that is gone takes nothing any more. */
  write(text: string): Promise<void>;
  /** Called with each key, and whenever the size has changed. One listener at a time; keys of nobody are lost. */
  listen(listener: ConsoleListener | undefined): void;
}

export interface ConsoleListener {
  key(key: Key): void;
  resized(): void;
}

export interface ConsoleWish {
  /** `/dev/tty1`, `/dev/ttyS0`; undefined: the terminal that the program was started on. */
  readonly path?: string | undefined;
  /** As TERM says it: `linux`, `vt220`, `xterm-256color`. */
  readonly term: string | undefined;
  readonly noColour?: boolean;
}

/** How long after ESC the rest of a key may come: a serial line of 9,600 baud brings a byte each millisecond, a network takes longer. */
const ESCAPE_MS = 80;
/** A line whose buffer is full is tried again after this. */
const FULL_MS = 10;
const STANDARD_SIZE: ScreenSize = { columns: 80, rows: 24 };
const SIZE_MAX = 500;

/** The other screen where there is one, no cursor, no wrapping: a row that was measured wrongly then hurts no other. */
const ENTER = "\x1b[?25l\x1b[?7l\x1b[0m\x1b[2J\x1b[H";
const LEAVE = "\x1b[0m\x1b[2J\x1b[H\x1b[?7h\x1b[?25h";
const OTHER_SCREEN = { enter: "\x1b[?1049h", leave: "\x1b[?1049l" };
/** To a corner that no screen has, and where is that: the answer is the size. */
const ASK_SIZE = "\x1b[999;999H\x1b[6n";

/** What a terminal of this kind can show. Of one that is not known it is believed that it can do little. */
export function looksOf(term: string | undefined, noColour = false): Looks {
  const name = term ?? "";
  const colours = /256color|direct|kitty|ghostty|foot/.test(name)
    ? 256
    : /^(?:linux|xterm|rxvt|screen|tmux|cygwin|ansi|.*color)/.test(name)
      ? 8
      : 0;
  // A VT100 and its like take some bytes of UTF-8 for control characters.
  return { colours: noColour ? 0 : colours, unicode: (colours > 0 && name !== "ansi") || /^vt[2-9]\d\d/.test(name) };
}

/**
 * The consoles that the kernel writes to (`console=`): the computer's own screen, a serial line. Those that cannot be opened are left out: a serial
 * port that is named and not there. On the screen one can draw in colours; what is at the other end of a line nobody knows.
 */
export function openKernelConsoles(): readonly Console[] {
  const names = readText("/sys/class/tty/console/active").split(/\s+/);
  return names
    .filter((name) => name !== "")
    .flatMap((name) => {
      try {
        return [openConsole({ path: `/dev/${name}`, term: /^tty\d+$/.test(name) ? "linux" : "vt220" })];
      } catch {
        return [];
      }
    });
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Throws HiperisoError of kind `usage` where there is no terminal. */
export function openConsole({ path, term, noColour = false }: ConsoleWish): Console {
  const name = path ?? "the terminal";
  const looks = looksOf(term, noColour);
  const place = path ?? "/dev/tty";
  let input: ReadStream | undefined;
  let output: number | undefined;
  // An own description each: O_NONBLOCK on a shared one would be the shell's too. O_NOCTTY: it must not send us its signals.
  const opened = (mode: number): number => openSync(place, mode | constants.O_NOCTTY | constants.O_NONBLOCK);
  try {
    const fd = opened(constants.O_RDWR);
    if (!isatty(fd)) {
      closeSync(fd);
      throw new Error("it is no terminal");
    }
    input = new ReadStream(fd);
    output = opened(constants.O_WRONLY);
    input.setRawMode(true);
  } catch (cause) {
    input?.destroy();
    if (output !== undefined) closeSync(output);
    throw new HiperisoError({
      what: "draw on a terminal",
      where: name,
      expected: "a terminal",
      found: reasonOf(cause),
      kind: "usage",
      cause,
    });
  }
  return new TerminalConsole(
    name,
    looks,
    { place, input, output },
    /^(?:xterm|rxvt|screen|tmux|kitty|ghostty|foot|alacritty)/.test(term ?? ""),
  );
}

interface Ends {
  /** Path of the device. */
  readonly place: string;
  readonly input: ReadStream;
  /** Descriptor. */
  readonly output: number;
}

class TerminalConsole implements Console {
  readonly name: string;
  readonly looks: Looks;
  readonly #ends: Ends;
  readonly #hasOtherScreen: boolean;
  readonly #decoder = new KeyDecoder();
  #listener: ConsoleListener | undefined;
  #size: ScreenSize | undefined;
  #escape: NodeJS.Timeout | undefined;
  #isGone = false;
  #isClosed = false;
  #writing: Promise<void> = Promise.resolve();
  readonly #restore = () => this.#restoreMode();
  readonly #resized = () => this.#noteSize();

  constructor(name: string, looks: Looks, ends: Ends, hasOtherScreen: boolean) {
    this.name = name;
    this.looks = looks;
    this.#ends = ends;
    this.#hasOtherScreen = hasOtherScreen;
    this.#size = sizeOf(ends.place);
    ends.input.on("data", (bytes: Buffer) => this.#noteBytes(bytes));
    ends.input.on("error", () => {}); // a line that hangs up: no keys come any more
    process.once("exit", this.#restore);
    process.on("SIGWINCH", this.#resized);
    void this.write(`${hasOtherScreen ? OTHER_SCREEN.enter : ""}${ENTER}${this.#size === undefined ? ASK_SIZE : ""}`);
  }

  size(): ScreenSize {
    return this.#size ?? STANDARD_SIZE;
  }

  listen(listener: ConsoleListener | undefined): void {
    this.#listener = listener;
  }

  write(text: string): Promise<void> {
    this.#writing = this.#writing.then(() => this.#writeAll(Buffer.from(text)));
    return this.#writing;
  }

  async #writeAll(bytes: Buffer): Promise<void> {
    for (let at = 0; at < bytes.length && !this.#isGone; ) {
      const written = await writeSome(this.#ends.output, bytes, at);
      if (written === undefined) this.#isGone = true;
      else if (written === 0) await delay(FULL_MS);
      else at += written;
    }
  }

  #noteBytes(bytes: Uint8Array): void {
    clearTimeout(this.#escape);
    this.#tell(this.#decoder.push(bytes));
    if (this.#decoder.isPending) this.#escape = setTimeout(() => this.#tell(this.#decoder.settle()), ESCAPE_MS);
  }

  #tell(keys: readonly Key[]): void {
    for (const key of keys) {
      if (key.type !== "position") this.#listener?.key(key);
      else if (key.row >= 2 && key.column >= 10) {
        this.#size = { rows: Math.min(key.row, SIZE_MAX), columns: Math.min(key.column, SIZE_MAX) };
        this.#listener?.resized();
      }
    }
  }

  #noteSize(): void {
    const size = sizeOf(this.#ends.place);
    if (size === undefined) return;
    this.#size = size;
    this.#listener?.resized();
  }

  #restoreMode(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    process.removeListener("exit", this.#restore);
    process.removeListener("SIGWINCH", this.#resized);
    try {
      this.#ends.input.setRawMode(false);
    } catch {
      // It is gone.
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#isClosed) return;
    clearTimeout(this.#escape);
    this.#listener = undefined;
    // A line that takes nothing must not keep the program from its end.
    const over = new AbortController();
    const gone = this.write(`${LEAVE}${this.#hasOtherScreen ? OTHER_SCREEN.leave : ""}`);
    await Promise.race([gone, delay(LEAVE_MS, undefined, { signal: over.signal }).catch(() => {})]);
    over.abort();
    this.#isGone = true;
    await this.#writing;
    this.#restoreMode();
    this.#ends.input.destroy();
    closeSync(this.#ends.output);
  }
}

const LEAVE_MS = 2_000;

/** Undefined where the line does not know it (a serial line), and where it is nonsense. */
function sizeOf(place: string): ScreenSize | undefined {
  try {
    // Node's stream learns the size when it is made, and would make the whole program wait for a slow line if it were written to.
    const asked = new WriteStream(openSync(place, constants.O_WRONLY | constants.O_NOCTTY | constants.O_NONBLOCK));
    asked.on("error", () => {});
    const { columns, rows } = asked;
    asked.destroy();
    if (!(columns >= 1 && rows >= 1)) return undefined;
    return { columns: Math.min(columns, SIZE_MAX), rows: Math.min(rows, SIZE_MAX) };
  } catch {
    return undefined;
  }
}

/** How many bytes went; 0 where the line is full, undefined where it is gone. */
const writeSome = (fd: number, bytes: Buffer, at: number): Promise<number | undefined> =>
  new Promise((resolve) => {
    write(fd, bytes, at, Math.min(bytes.length - at, 1024), null, (error, count) => {
      if (error === null) resolve(count);
      else resolve(error.code === "EAGAIN" || error.code === "EINTR" ? 0 : undefined);
    });
  });
