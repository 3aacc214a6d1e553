/**
 * The guest's console as whoever drives it reads it: line by line, escape sequences taken out, the unfinished last line too, since a
 * prompt waits at its end. What was read once is not read again.
 */
import { consoleTexts } from "../formats/console-text.ts";

/** A line, or what of it was not read yet. Its texts, as they stood on the screen one after the other, are parted by LF. */
export interface TappedLine {
  /** Of all that was told, from 0: of a line without end there are several pieces. */
  readonly index: number;
  /** In `serial.log`, from 1 at LF. */
  readonly number: number;
  readonly text: string;
  /** False: more may follow. */
  readonly ended: boolean;
}

/** Of one raw line: a guest that never ends its line is taken to have ended it here. In UTF-16 units. */
const LINE_MAX = 16_384;
/** Of lines that nobody has read yet; the oldest go. In UTF-16 units. */
const UNREAD_MAX = 1_048_576;
/** Put behind a raw line, since blanks at a line's end (those of a prompt) are cut off elsewhere. */
const MARK = "\u{e000}";

export class ConsoleTap {
  /** Told every line, read or not: each when it has ended, the unfinished one after each arrival. */
  onLine: (line: TappedLine) => void = () => {};
  readonly #decoder = new TextDecoder("utf-8");
  #index = 0;
  #number = 1;
  #raw = "";
  /** What was read of the unfinished line. */
  #read = "";
  #unread: TappedLine[] = [];
  #unreadLength = 0;
  #forgotten = 0;

  /** Bytes may end anywhere, in a character too. */
  push(bytes: Uint8Array): void {
    const parts = this.#decoder.decode(bytes, { stream: true }).split("\n");
    const last = parts.pop() ?? "";
    for (const part of parts) {
      this.#raw += part;
      this.#endLine(true);
    }
    this.#raw += last;
    while (this.#raw.length > LINE_MAX) this.#cutLine();
    if (this.#raw !== "") this.onLine({ index: this.#index, number: this.#number, text: shown(this.#raw), ended: false });
  }

  /** Lines that were not read, the unfinished one last. */
  *unread(): Generator<TappedLine> {
    yield* this.#unread;
    if (this.#raw !== "") yield { index: this.#index, number: this.#number, text: this.#rest(shown(this.#raw)), ended: false };
  }

  /** All before this line is read, and of it so much: all where `length` is not given. */
  markRead({ index, text }: TappedLine, length: number = text.length): void {
    const before = this.#unread.findIndex((line) => line.index >= index);
    const read = this.#unread.splice(0, before === -1 ? this.#unread.length : before);
    this.#unreadLength -= read.reduce((sum, line) => sum + line.text.length + 1, 0);
    const [first] = this.#unread;
    if (first?.index === index) {
      this.#unreadLength -= length >= first.text.length ? first.text.length + 1 : length;
      if (length >= first.text.length) this.#unread.shift();
      else this.#unread[0] = { ...first, text: first.text.slice(length) };
    } else if (index === this.#index) this.#read += text.slice(0, length);
  }

  /** All that has come is read. */
  markAllRead(): void {
    const last = [...this.unread()].at(-1);
    if (last !== undefined) this.markRead(last);
  }

  /** The line that is being written, from 1. */
  get lineNumber(): number {
    return this.#number;
  }

  /** Lines that went unread since there were too many. */
  get forgottenLines(): number {
    return this.#forgotten;
  }

  #endLine(isLineEnd: boolean): void {
    const text = shown(this.#raw);
    const line = { index: this.#index, number: this.#number, text: this.#rest(text), ended: true };
    this.#unread.push(line);
    this.#unreadLength += line.text.length + 1;
    while (this.#unreadLength > UNREAD_MAX && this.#unread.length > 1) {
      this.#unreadLength -= this.#unread.shift()!.text.length + 1;
      this.#forgotten += 1;
    }
    this.onLine({ ...line, text });
    this.#raw = "";
    this.#read = "";
    this.#index += 1;
    if (isLineEnd) this.#number += 1;
  }

  #cutLine(): void {
    const rest = this.#raw.slice(LINE_MAX);
    this.#raw = this.#raw.slice(0, LINE_MAX);
    this.#endLine(false);
    this.#raw = rest;
  }

  /** A line that is drawn over while it grows may not begin any more with what was read of it: then what they share was read. */
  #rest(text: string): string {
    if (text.startsWith(this.#read)) return text.slice(this.#read.length);
    let shared = 0;
    while (shared < text.length && text[shared] === this.#read[shared]) shared += 1;
    return text.slice(shared);
  }
}

function shown(raw: string): string {
  const texts = [...consoleTexts(raw.replace(/\r+$/, "") + MARK)];
  const last = texts.pop() ?? "";
  const unmarked = last.endsWith(MARK) ? last.slice(0, -MARK.length) : last;
  return (unmarked === "" ? texts : [...texts, unmarked]).join("\n");
}
