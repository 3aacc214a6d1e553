/** A YAML file that a person wrote (1.2, core schema): its content, and the line and column of each part of it. */
import { type Document, isMap, isNode, isScalar, isSeq, LineCounter, parseDocument } from "yaml";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { readBounded } from "../host/bounded-file.ts";

export type Path = readonly (string | number)[];

/** What is wrong, and where: `file:line:column`, from 1. */
export interface Fault {
  readonly at: string;
  readonly says: string;
}

/** No real file comes near; it bounds the time that a file can take. */
const BYTES_MAX = 1_048_576;
/** A file needs few of them; YAML's own default lets a small file grow large. */
const ALIASES_MAX = 100;
const FAULTS_SHOWN = 20;

export class YamlSource {
  /** As the file is named in messages. */
  readonly where: string;
  readonly content: unknown;
  readonly #document: Document.Parsed;
  readonly #lines: LineCounter;

  /** Throws a usage error that names each fault of the syntax. */
  constructor(text: string, where: string, what: string) {
    this.where = where;
    this.#lines = new LineCounter();
    this.#document = parseDocument(text, { lineCounter: this.#lines, prettyErrors: false, uniqueKeys: true, logLevel: "error" });
    const faults = [...this.#document.errors, ...this.#document.warnings].map(({ pos, message }) => ({
      at: this.#at(pos[0]),
      says: message,
    }));
    if (faults.length > 0) throw faultsError(what, faults);
    try {
      this.content = this.#document.toJS({ maxAliasCount: ALIASES_MAX }) as unknown;
    } catch (error) {
      throw faultsError(what, [{ at: this.#at(0), says: reasonOf(error) }]);
    }
  }

  /** `file:line:column` of the value at `path`, or of its key; where there is none, of the nearest around it. */
  placeOf(path: Path, of: "key" | "value" = "value"): string {
    let node: unknown = this.#document.contents;
    let offset = this.#document.contents?.range?.[0] ?? 0;
    for (const key of path) {
      const pair = isMap(node) ? node.items.find((item) => isScalar(item.key) && String(item.key.value) === String(key)) : undefined;
      if (isScalar(pair?.key)) offset = pair.key.range?.[0] ?? offset;
      const item: unknown = isSeq(node) ? node.items[Number(key)] : undefined;
      if (isNode(item)) offset = item.range?.[0] ?? offset;
      node = pair?.value ?? item;
      if (node === undefined || node === null) return this.#at(offset);
    }
    if (of === "key" || !isNode(node) || (isScalar(node) && node.value === null)) return this.#at(offset);
    return this.#at(node.range?.[0] ?? offset);
  }

  #at(offset: number): string {
    const { line, col } = this.#lines.linePos(offset);
    return `${this.where}:${Math.max(line, 1)}:${Math.max(col, 1)}`;
  }
}

/** The text of a file that a person wrote. Throws a usage error where it cannot be read, is too long, or is not UTF-8. */
export async function readText(path: string, what: string): Promise<string> {
  const bytes = await readBounded(path, BYTES_MAX, what);
  const bad = (expected: string, found: string) => new HiperisoError({ what, where: path, expected, found, kind: "usage" });
  if (bytes.length > BYTES_MAX) throw bad(`at most ${BYTES_MAX} bytes`, "more");
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw bad("UTF-8", "bytes that are none");
  }
}

/** Of several faults each has a line. */
export function faultsError(what: string, faults: readonly Fault[]): HiperisoError {
  const lines = faults.slice(0, FAULTS_SHOWN).map(({ at, says }) => `${at}: ${says}`);
  const more = faults.length > FAULTS_SHOWN ? [`and ${faults.length - FAULTS_SHOWN} more`] : [];
  return new HiperisoError({
    what,
    ...(faults[0] === undefined ? {} : { where: faults[0].at }),
    found: faults.length === 1 ? faults[0]!.says : [...lines, ...more].join("\n"),
    kind: "usage",
  });
}

const EXCERPT_MAX = 80;

/** A value of the file, short and harmless, for a message about it. */
export function excerpt(value: unknown): string {
  const text = printable(JSON.stringify(value) ?? "nothing");
  return text.length > EXCERPT_MAX ? `${text.slice(0, EXCERPT_MAX - 1)}…` : text;
}
