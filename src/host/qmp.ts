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

/** A line longer than this is no QMP: replies that we ask for stay under 1 MiB. */
const LINE_MAX_BYTES = 16 * 1024 * 1024;

interface Waiting {
  readonly command: string;
  readonly resolve: (value: unknown) => void;
  readonly reject: (error: Error) => void;
}

export class QmpClient {
  readonly #stream: Duplex;
  readonly #onEvent: (event: QmpEvent) => void;
  readonly #waiting = new Map<number, Waiting>();
  readonly #greeting: Promise<void>;
  #greeted: () => void = () => {};
  #refuseGreeting: (error: Error) => void = () => {};
  #nextId = 1;
  #pending = "";
  #closed: Error | undefined;

  constructor(stream: Duplex, onEvent: (event: QmpEvent) => void) {
    this.#stream = stream;
    this.#onEvent = onEvent;
    this.#greeting = new Promise((resolve, reject) => {
      this.#greeted = resolve;
      this.#refuseGreeting = reject;
    });
    this.#greeting.catch(() => {}); // whoever calls open() sees it
    stream.setEncoding("utf8");
    stream.on("data", (text: string) => this.#receive(text));
    stream.once("error", (error) => this.#close(error.message));
    stream.once("close", () => this.#close("QEMU closed its monitor"));
    stream.once("end", () => this.#close("QEMU closed its monitor"));
  }

  /** Greeting and capabilities. Throws when QEMU ends before it greets. */
  async open(): Promise<void> {
    await this.#greeting;
    await this.execute("qmp_capabilities");
  }

  /** Throws a HiperisoError with QEMU's own words when QEMU refuses, or when the monitor closes first. */
  execute(command: string, args?: Readonly<Record<string, unknown>>): Promise<unknown> {
    if (this.#closed !== undefined) return Promise.reject(this.#closed);
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { command, resolve, reject });
      this.#stream.write(`${JSON.stringify({ execute: command, ...(args === undefined ? {} : { arguments: args }), id })}\n`);
    });
  }

  /** A command of the human monitor. Its errors are text too. */
  async humanMonitor(commandLine: string): Promise<string> {
    const text = await this.execute("human-monitor-command", { "command-line": commandLine });
    return typeof text === "string" ? text.replaceAll("\r\n", "\n") : "";
  }

  #receive(text: string): void {
    this.#pending += text;
    if (this.#pending.length > LINE_MAX_BYTES) this.#close("a line over 16 MiB");
    for (let end = this.#pending.indexOf("\n"); end >= 0; end = this.#pending.indexOf("\n")) {
      const line = this.#pending.slice(0, end).trim();
      this.#pending = this.#pending.slice(end + 1);
      if (line !== "") this.#take(line);
    }
  }

  #take(line: string): void {
    let message: Record<string, unknown>;
    try {
      message = JSON.parse(line) as Record<string, unknown>;
    } catch {
      this.#close(`a line that is no JSON: ${line.slice(0, 200)}`);
      return;
    }
    if ("QMP" in message) this.#greeted();
    else if (typeof message["event"] === "string") {
      this.#onEvent({ event: message["event"], data: (message["data"] ?? {}) as Record<string, unknown> });
    } else if (typeof message["id"] === "number") this.#answer(message["id"], message);
  }

  #answer(id: number, message: Record<string, unknown>): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) return;
    this.#waiting.delete(id);
    if ("return" in message) waiting.resolve(message["return"]);
    else {
      const error = message["error"] as { class?: string; desc?: string } | undefined;
      waiting.reject(
        new HiperisoError({ what: `run the QMP command ${waiting.command}`, found: error?.desc ?? "an error without a text" }),
      );
    }
  }

  #close(why: string): void {
    if (this.#closed !== undefined) return;
    this.#closed = new HiperisoError({ what: "talk to QEMU's monitor", found: why });
    this.#refuseGreeting(this.#closed);
    for (const { reject } of this.#waiting.values()) reject(this.#closed);
    this.#waiting.clear();
    this.#stream.destroy();
  }
}
