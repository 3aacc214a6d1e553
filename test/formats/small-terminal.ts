/** A terminal that knows only what `terminal-frame.ts` may send, and throws at anything else. Text beyond the last column overwrites it: wrapping is off. */
export class SmallTerminal {
  readonly columns: number;
  readonly rows: number;
  /** `?25` (the cursor is seen), `?7` (it wraps), `?1049` (the other screen): as they were set last. */
  readonly modes = new Map<string, boolean>();
  readonly #width: (character: string) => 0 | 1 | 2;
  #cells: { text: string; style: string }[][];
  #row = 0;
  #column = 0;
  #style = "";

  /** `width`: what this terminal believes of a character. */
  constructor({ columns, rows }: { readonly columns: number; readonly rows: number }, width: (character: string) => 0 | 1 | 2 = () => 1) {
    this.columns = columns;
    this.rows = rows;
    this.#width = width;
    this.#cells = this.#blank();
  }

  #blank() {
    return Array.from({ length: this.rows }, () => Array.from({ length: this.columns }, () => ({ text: " ", style: "" })));
  }

  write(text: string): this {
    const parts = text.matchAll(/\x1b\[([0-9;?]*)([A-Za-z])|([^\x1b])/gu);
    let seen = 0;
    for (const part of parts) {
      if (part.index !== seen) throw new Error(`a sequence that is not known: ${JSON.stringify(text.slice(seen, seen + 10))}`);
      seen += part[0].length;
      if (part[3] !== undefined) this.#put(part[3]);
      else this.#sequence(part[1] ?? "", part[2] ?? "");
    }
    if (seen !== text.length) throw new Error(`a sequence that is not known: ${JSON.stringify(text.slice(seen, seen + 10))}`);
    return this;
  }

  #sequence(parameters: string, final: string): void {
    if (final === "H") {
      const [row = 1, column = 1] = parameters.split(";").map((parameter) => Number(parameter || 1));
      if (row > this.rows || column > this.columns) throw new Error(`beyond the screen: ${parameters}`);
      this.#row = row - 1;
      this.#column = column - 1;
    } else if (final === "J" && parameters === "2") this.#cells = this.#blank();
    else if (final === "K" && parameters === "") this.#cells[this.#row]!.fill({ text: " ", style: "" }, this.#column);
    else if (final === "m") this.#style = parameters === "0" ? "" : parameters.replace(/^0;/, "");
    else if ((final === "h" || final === "l") && /^\?(?:7|25|1049)$/.test(parameters)) this.modes.set(parameters, final === "h");
    else throw new Error(`a sequence that is not known: ${parameters}${final}`);
  }

  #put(character: string): void {
    const code = character.codePointAt(0)!;
    if (code < 0x20 || (code >= 0x7f && code < 0xa0)) throw new Error(`a control character: ${code}`);
    const width = this.#width(character);
    const row = this.#cells[this.#row]!;
    if (width === 0) return;
    const at = Math.min(this.#column, this.columns - 1);
    row[at] = { text: character, style: this.#style };
    if (width === 2 && at + 1 < this.columns) row[at + 1] = { text: "", style: this.#style };
    this.#column = Math.min(this.#column + width, this.columns);
  }

  /** Rows without their trailing blanks. */
  text(): readonly string[] {
    return this.#cells.map((row) =>
      row
        .map(({ text }) => text)
        .join("")
        .trimEnd(),
    );
  }

  /** What stands where, styles too. */
  all(): string {
    return JSON.stringify(this.#cells);
  }
}
