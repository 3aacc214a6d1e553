/** What a trace holds, counted: each event with how often, how large, and from when to when. */
import { printable } from "../formats/escape-terminal.ts";
import type { TraceRecord } from "../formats/simpletrace.ts";

export interface EventCount {
  readonly event: string;
  count: number;
  /** Of arguments and what stands before them. */
  bytes: number;
  first_ns: number;
  last_ns: number;
}

export class TraceSummary {
  readonly #events = new Map<string, EventCount>();
  #dropped = 0n;
  #records = 0;

  add(record: TraceRecord, originNs: bigint): void {
    if (record.name === undefined) {
      this.#dropped += record.dropped;
      return;
    }
    this.#records++;
    const time = Number(record.timeNs - originNs);
    const bytes = record.end - record.start + 32;
    const known = this.#events.get(record.name);
    if (known === undefined) {
      this.#events.set(record.name, { event: record.name, count: 1, bytes, first_ns: time, last_ns: time });
      return;
    }
    known.count++;
    known.bytes += bytes;
    if (time < known.first_ns) known.first_ns = time; // threads write out of order
    if (time > known.last_ns) known.last_ns = time;
  }

  /** The most frequent first. */
  get events(): readonly EventCount[] {
    return [...this.#events.values()].sort((one, other) => other.count - one.count || (one.event < other.event ? -1 : 1));
  }

  toJSON(): { readonly records: number; readonly dropped: string; readonly events: readonly EventCount[] } {
    return { records: this.#records, dropped: String(this.#dropped), events: this.events };
  }

  /** For a person, with a line feed at the end. */
  text(): string {
    const times = this.events.flatMap(({ first_ns, last_ns }) => [first_ns, last_ns]);
    const span = times.length === 0 ? 0 : times.reduce((a, b) => Math.max(a, b)) - times.reduce((a, b) => Math.min(a, b));
    const head = `${this.#records} events of ${this.#events.size} kinds in ${(span / 1e9).toFixed(3)} s, ${this.#dropped} dropped`;
    const rows = this.events.map(({ event, count, bytes, first_ns, last_ns }) =>
      [String(count).padStart(9), String(bytes).padStart(11), at(first_ns), at(last_ns), ` ${printable(event)}`].join(" "),
    );
    const titles = ["count".padStart(9), "bytes".padStart(11), "first s".padStart(11), "last s".padStart(11), " event"].join(" ");
    return `${[head, ...(rows.length === 0 ? [] : [titles, ...rows])].join("\n")}\n`;
  }
}

const at = (ns: number): string => (ns / 1e9).toFixed(3).padStart(11);
