/** Paragraphs of "Field: value" lines, as Debian writes its control files and copyright files (deb822(5)). What fits nowhere is left out. */

/** By the field's name in lower case. Lines of a longer value are apart by line feeds, without the blank that each began with. */
export type Paragraph = ReadonlyMap<string, string>;

/** Of a field that stands twice in a paragraph the last counts. A line of "." in a longer value is an empty one. */
export function* decodeDeb822(text: string): Generator<Paragraph> {
  let fields = new Map<string, string[]>();
  let last: string[] | undefined;
  const paragraph = (): Paragraph => new Map([...fields].map(([name, lines]) => [name, lines.join("\n")]));
  for (const line of text.split("\n")) {
    const content = line.trimEnd();
    if (content === "") {
      if (fields.size > 0) yield paragraph();
      fields = new Map();
      last = undefined;
      continue;
    }
    if (content.startsWith("#")) continue;
    if (/^[ \t]/.test(content)) {
      const rest = content.slice(1);
      last?.push(rest.trim() === "." ? "" : rest);
      continue;
    }
    const colon = content.indexOf(":");
    if (colon <= 0) {
      last = undefined;
      continue;
    }
    last = [content.slice(colon + 1).trim()];
    fields.set(content.slice(0, colon).toLowerCase(), last);
  }
  if (fields.size > 0) yield paragraph();
}
