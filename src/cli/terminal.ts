/**
 * The terminal, or what stands in its place. Results go to stdout and nothing else does; progress, warnings and errors go
 * to stderr in one of three faces: a line that is redrawn (terminal), plain lines (pipe, file), one JSON object a line (`--json`).
 */
import picocolors from "picocolors";
import type { Progress, Step } from "../contract/job.ts";
import { printable, printableJson } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";

export interface Streams {
  out(text: string): unknown;
  err(text: string): unknown;
  /** stderr is a terminal. */
  readonly interactive: boolean;
  /** stdout is one. */
  readonly outInteractive: boolean;
  columns(): number;
  readonly env: Readonly<Record<string, string | undefined>>;
}

interface Options {
  readonly asJson: boolean;
  readonly signal: AbortSignal;
  readonly exit: (status: number) => void;
}

export interface Terminal extends AsyncDisposable {
  readonly cli: Cli;
  /** Takes away what is being redrawn, before something else is printed. */
  clear(): void;
}

export function openTerminal(streams: Streams, { asJson, signal, exit }: Options): Terminal {
  const takesColour = (streams.env["NO_COLOR"] ?? "") === "" && streams.env["TERM"] !== "dumb";
  const colour = streams.interactive && takesColour;
  const status = new StatusLine(streams);
  const line = (text: string): void => status.print(text);
  const progress = asJson
    ? jsonFace(line)
    : streams.interactive && streams.env["TERM"] !== "dumb"
      ? redrawnFace(status, colour)
      : plainFace(line);
  const cli: Cli = {
    out: (text) => {
      status.clear();
      streams.out(text);
    },
    err: line,
    status: (text) => {
      if (!asJson && streams.interactive && streams.env["TERM"] !== "dumb") status.draw(text);
    },
    json: (value) => {
      status.clear();
      streams.out(`${printableJson(value, 2)}\n`);
    },
    colour,
    colourOut: streams.outInteractive && takesColour,
    interactive: streams.interactive,
    env: streams.env,
    job: { signal, progress },
    exit,
  };
  return { cli, clear: () => status.clear(), [Symbol.asyncDispose]: async () => status.clear() };
}

/** The last line of a terminal, drawn again and again below what is printed. */
export class StatusLine {
  readonly #streams: Pick<Streams, "err" | "columns">;
  #drawn = false;

  constructor(streams: Pick<Streams, "err" | "columns">) {
    this.#streams = streams;
  }

  /** `text` holds no control characters but colours that it ends itself. */
  draw(text: string): void {
    this.#streams.err(`\r${fitted(text, this.#streams.columns() - 1)}\x1b[K`);
    this.#drawn = true;
  }

  clear(): void {
    if (this.#drawn) this.#streams.err("\r\x1b[K");
    this.#drawn = false;
  }

  /** A line that stays, above. */
  print(line: string): void {
    this.clear();
    this.#streams.err(`${line}\n`);
  }
}

/** Cut so that it never wraps: what could be drawn two columns wide counts as two. */
function fitted(text: string, columns: number): string {
  let width = 0;
  let out = "";
  for (const character of text) {
    width += character.codePointAt(0)! >= 0x1100 ? 2 : 1;
    if (width > columns) return out;
    out += character;
  }
  return out;
}

const REDRAW_MS = 100;
const PLAIN_LINE_MS = 10_000;
const JSON_EVENT_MS = 1000;

function redrawnFace(status: StatusLine, colour: boolean): Progress {
  const { yellow } = picocolors.createColors(colour);
  const open: Amount[] = [];
  let drawnAt = Number.NEGATIVE_INFINITY;
  const draw = (): void => {
    const amount = open.at(-1);
    drawnAt = performance.now();
    if (amount === undefined) status.clear();
    else status.draw(printable([amount.title, ...amount.facts()].join("  ")));
  };
  const print = (line: string): void => {
    status.print(line);
    draw();
  };
  return {
    begin(title, total) {
      const amount = new Amount(title, total);
      open.push(amount);
      draw();
      return stepOf(amount, {
        advanced: () => {
          if (performance.now() - drawnAt >= REDRAW_MS) draw();
        },
        ended: () => {
          open.splice(open.indexOf(amount), 1);
          draw();
        },
      });
    },
    say: (line) => print(printable(line)),
    warn: (line) => print(`${yellow("warning:")} ${printable(line)}`),
  };
}

function plainFace(print: (line: string) => void): Progress {
  return {
    begin(title, total) {
      const amount = new Amount(title, total);
      let printedAt = performance.now();
      print(printable(title));
      return stepOf(amount, {
        advanced: () => {
          if (performance.now() - printedAt < PLAIN_LINE_MS) return;
          printedAt = performance.now();
          print(printable([title, ...amount.facts()].join("  ")));
        },
        ended: () => {
          if (amount.elapsedMs() >= PLAIN_LINE_MS) print(printable(`${title}: ended after ${duration(amount.elapsedMs())}`));
        },
      });
    },
    say: (line) => print(printable(line)),
    warn: (line) => print(`warning: ${printable(line)}`),
  };
}

function jsonFace(print: (line: string) => void): Progress {
  let count = 0;
  const event = (name: string, fields: object): void => print(printableJson({ event: name, ...fields }));
  return {
    begin(title, total) {
      count += 1;
      const step = count;
      const amount = new Amount(title, total);
      let printedAt = performance.now();
      event("step_begin", { step, title, total: total === undefined ? null : Number(total) });
      return stepOf(amount, {
        advanced: () => {
          if (performance.now() - printedAt < JSON_EVENT_MS) return;
          printedAt = performance.now();
          event("step_progress", { step, done: amount.done });
        },
        ended: () => event("step_end", { step, done: amount.done, elapsed_ms: Math.round(amount.elapsedMs()) }),
      });
    },
    say: (text) => event("message", { text }),
    warn: (text) => event("warning", { text }),
  };
}

function stepOf(amount: Amount, on: { advanced(): void; ended(): void }): Step {
  let ended = false;
  return {
    advance(added) {
      amount.done += added;
      on.advanced();
    },
    end() {
      if (!ended) on.ended();
      ended = true;
    },
  };
}

/** How far a step is: bytes, rate, time left. */
class Amount {
  readonly title: string;
  readonly total: number | undefined;
  readonly #startedAt = performance.now();
  done = 0;

  constructor(title: string, total: bigint | undefined) {
    this.title = title;
    this.total = total === undefined ? undefined : Number(total);
  }

  elapsedMs(): number {
    return performance.now() - this.#startedAt;
  }

  facts(): string[] {
    if (this.done === 0) return [];
    const elapsedS = this.elapsedMs() / 1000;
    const rate = this.done / Math.max(elapsedS, 0.001);
    const of = this.total === undefined ? "" : ` of ${byteSize(this.total)}  ${percent(this.done, this.total)}`;
    const left = this.total === undefined || elapsedS < 1 ? [] : [`${duration((Math.max(this.total - this.done, 0) / rate) * 1000)} left`];
    return [`${byteSize(this.done)}${of}`, `${byteSize(rate)}/s`, ...left];
  }
}

const percent = (done: number, total: number): string => `${total === 0 ? 100 : Math.min(100, Math.floor((100 * done) / total))} %`;

/** `1.5 GiB`. */
export function byteSize(bytes: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  const power = bytes < 1024 ? 0 : Math.min(Math.floor(Math.log2(bytes) / 10), units.length - 1);
  const size = bytes / 1024 ** power;
  return `${power === 0 || size >= 100 ? Math.round(size) : size.toFixed(1)} ${units[power]}`;
}

/** `42 s`, `3 min 05 s`, `2 h 10 min`. */
export function duration(milliseconds: number): string {
  const seconds = Math.round(milliseconds / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${String(seconds % 60).padStart(2, "0")} s`;
  return `${Math.floor(minutes / 60)} h ${String(minutes % 60).padStart(2, "0")} min`;
}
