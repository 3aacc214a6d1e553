/**
 * QEMU Machine Protocol: one JSON object a line, replies matched to commands by `id`, events in between
 * (QEMU: docs/interop/qmp-spec).
 */
import type { Duplex } from "node:stream";
import { HiperisoError } from "../contract/error.ts";

export interface QmpEvent {
  readonly event: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A line longer than this is no QMP: replies that we ask for stay under 1 MiB. In UTF-16 units. */
const LINE_MAX = 16 * 1024 * 1024;
/** QEMU greets and answers within milliseconds, or within seconds on a computer that swaps. One that is stopped never does. */
const ANSWER_LIMIT_MS = 60_000;

interface Waiting {
  readonly command: string;
  readonly timer: NodeJS.Timeout;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class QmpClient {
  /** Why nothing more can be said to QEMU. Resolves when the monitor closes, never rejects. */
  readonly closed: Promise<HiperisoError>;
  readonly #stream: Duplex;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #answerLimitMs: number;
  readonly #waiting = new Map<number, Waiting>();
  readonly #greeting: Promise<void>;
  #greeted: () => void = () => {};
  #refuseGreeting: (error: Error) => void = () => {};
  #nextId = 1;
  #pending = "";
  #closed: HiperisoError | undefined;
  #tellClosed: (reason: HiperisoError) => void = () => {};

  /** A monitor that has not answered within `answerLimitMs` is closed: whoever waits is told, and nobody waits for ever. */
  constructor(stream: Duplex, onEvent: (event: QmpEvent) => void, answerLimitMs = ANSWER_LIMIT_MS) {
    this.#stream = stream;
    this.#onEvent = onEvent;
    this.#answerLimitMs = answerLimitMs;
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    this.#greeting = new Promise((resolve, reject) => {
      this.#greeted = resolve;
      this.#refuseGreeting = reject;
    });
    this.#greeting.catch(() => {}); // whoever calls open() sees it
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => this.#receive(text));
    stream.on("error", (error) => this.#close(error.message));
    stream.once("close", () => this.#close("QEMU closed its monitor"));
    stream.once("end", () => this.#close("QEMU closed its monitor"));
  }

  /** Greeting and capabilities. Throws when QEMU ends before it greets. */
  async open(): Promise<void> {
    const timer = this.#closeUnlessAnswered("greeting");
    try {
      await this.#greeting;
    } finally {
      clearTimeout(timer);
    }
    await this.execute("qmp_capabilities");
  }

  /** Throws a HiperisoError with QEMU's own words when QEMU refuses, or when the monitor closes first. */
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { command, timer: this.#closeUnlessAnswered(`answer to ${command}`), resolve, reject });
      this.#stream.write(`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`);
    });
  }

  /** A command of the human monitor. Its errors are text too. */
  async humanMonitor(commandLine: string): Promise<string> {
    const text = await this.execute("human-monitor-command", { "command-line": commandLine });
    return typeof text === "string" ? text.replaceAll("\r\n", "\n") : "";
  }

  #receive(text: string): void {
    const before = this.#pending.length; // holds no line end
    this.#pending += text;
    for (let end = this.#pending.indexOf("\n", before); end >= 0; end = this.#pending.indexOf("\n")) {
      const line = this.#pending.slice(0, end).trim();
      this.#pending = this.#pending.slice(end + 1);
      if (line !== "") this.#take(line);
    }
    if (this.#pending.length > LINE_MAX) this.#close("a line over 16 MiB");
  }

  #take(line: string): void {
    if (this.#closed !== undefined) return; // it has lost the thread: nothing after that is believed
    const message = decodeMessage(line);
    if (message === undefined) this.#close(`a line that is no JSON object: ${line.slice(0, 200)}`);
    else if ("QMP" in message) this.#greeted();
    else if (typeof message["event"] === "string") {
      this.#onEvent({ event: message["event"], data: (message["data"] ?? {}) as Record<string, unknown> });
    } else if (typeof message["id"] === "number") this.#answer(message["id"], message);
  }

  #answer(id: number, message: Readonly<Record<string, unknown>>): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    clearTimeout(waiting.timer);
    if ("return" in message) waiting.resolve(message["return"]);
    else {
      const error = message["error"] as { class?: string; desc?: string } | undefined;
      waiting.reject(
        new HiperisoError({ what: `run the QMP command ${waiting.command}`, found: error?.desc ?? "an error without a text" }),
      );
    }
  }

  #closeUnlessAnswered(what: string): NodeJS.Timeout {
    return setTimeout(() => this.#close(`no ${what} within ${this.#answerLimitMs / 1000} s`), this.#answerLimitMs);
  }

  #close(why: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = new HiperisoError({ what: "talk to QEMU's monitor", found: why });
    this.#refuseGreeting(this.#closed);
    this.#tellClosed(this.#closed);
    for (const { reject, timer } of this.#waiting.values()) {
      clearTimeout(timer);
      reject(this.#closed);
    }
    this.#waiting.clear();
    this.#pending = "";
    this.#stream.destroy();
  }
}

/** Undefined for anything but one JSON object. */
function decodeMessage(line: string): Readonly<Record<string, unknown>> | undefined {
  try {
    const message: unknown = JSON.parse(line);
    return typeof message === "object" && message !== null && !Array.isArray(message) ? (message as Record<string, unknown>) : undefined;
  } catch {
    return undefined;
  }
}
