/**
 * Text for an XML 1.0 document (W3C, Fifth Edition): 2.2 "Characters" forbids C0 but tab, LF and CR, surrogates, U+FFFE and U+FFFF, and
 * no reference can bring them in; what a terminal would act on or hide goes with them. One escape serves elements and attributes,
 * provided that an attribute's value stands between double quotes.
 */
import { printable } from "./escape-terminal.ts";

const REFERENCES: Readonly<Record<string, string>> = {
  "&": "&amp;",
  "<": "&lt;",
  ">": "&gt;",
  '"': "&quot;",
  "'": "&#39;",
  "\t": "&#9;",
  "\n": "&#10;",
};

/** Every character that XML has no place for becomes a visible escape; LF and tab stay what they are, also in an attribute. */
export function escapeXml(text: string): string {
  const harmless = printable(text, { keepNewlines: true }).replace(
    /[\ufffe\uffff]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16)}`,
  );
  return harmless.replace(/[&<>"'\t\n]/g, (character) => REFERENCES[character]!);
}
