/**
 * Markup of a page (HTML Living Standard, 13.1.2 "Elements" and 13.1.4 "Character references") that text from outside cannot
 * become part of. `html` is the only way to make `Markup`: what stands in the program's own template is markup, what is put in
 * between is text, unless it is markup that came out of `html` itself. A page is safe when it type-checks.
 *
 * One escape serves elements and attributes, provided that an attribute's value stands between double quotes. Nothing from
 * outside belongs into a tag's or an attribute's name, a URL, a comment, a script or a style sheet: there it is not escaped for.
 */
import { printable } from "./escape-terminal.ts";

/** What may stand between the parts of a template. `undefined` is nothing; a list is its members, one after the other. */
export type HtmlValue = Markup | string | number | undefined | readonly (Markup | undefined)[];

/** A piece of a page. `toString` gives its text. */
export class Markup {
  readonly #text: string;

  private constructor(text: string) {
    this.#text = text;
  }

  toString(): string {
    return this.#text;
  }

  /** The tag of a template: `html`. */
  static fromTemplate(parts: TemplateStringsArray, ...values: readonly HtmlValue[]): Markup {
    let text = parts[0]!;
    for (const [index, value] of values.entries()) text += markupOf(value) + parts[index + 1]!;
    return new Markup(text);
  }
}

export const html = Markup.fromTemplate;

function markupOf(value: HtmlValue): string {
  if (value === undefined) return "";
  if (value instanceof Markup) return value.toString();
  if (typeof value === "object") return value.join("");
  return escapeHtml(String(value));
}

const REFERENCES: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;", "'": "&#39;", "`": "&#96;" };

/**
 * `text` as the content of an element or of a quoted attribute. Characters that HTML forbids (13.1.4: NUL, C0, C1, surrogates) and those that
 * hide or turn around what stands beside them become visible, as `printable` writes them; LF and tab stay.
 */
export function escapeHtml(text: string): string {
  return printable(text, { keepNewlines: true }).replace(/[&<>"'`]/g, (character) => REFERENCES[character]!);
}
