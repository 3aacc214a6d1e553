/**
 * Text for an XML 1.0 document (W3C, Fifth Edition): 2.2 "Characters" forbids C0 but tab, LF and CR, surrogates, U+FFFE and U+FFFF, and
 * no reference can bring them in; what a terminal would act on or hide goes with them, as `printable` writes it.
 */
import { printable } from "./escape-terminal.ts";

/** `text` as the content of an element. LF and tab stay. */
export function escapeXml(text: string): string {
  const harmless = printable(text, { keepNewlines: true }).replace(
    /[\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16)}`,
  );
  return harmless.replace(/[&<>"']/g, (character) => REFERENCES[character]!);
}

/** `text` as an attribute's value between quotes. A reader makes blanks of LF and tab there (3.3.3) unless they are references. */
export const escapeXmlAttribute = (text: string): string => escapeXml(text).replace(/[\t\n]/g, (character) => REFERENCES[character]!);

const REFERENCES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "\t": "&#9;",
  "\n": "&#10;",
};
