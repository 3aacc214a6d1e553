/**
 * GRUB's environment block (`grubenv`), variables that last from boot to boot (GRUB manual 2.06, "Environment block"): a first line
 * `# GRUB Environment Block`, lines `name=value` in which a backslash stands before a backslash and before a line feed, `#` to the end.
 */
const SIGNATURE = "# GRUB Environment Block\n";

/** Undefined where `text` is no such block. */
export function decodeGrubEnvironment(text: string): ReadonlyMap<string, string> | undefined {
  if (!text.startsWith(SIGNATURE)) return undefined;
  const variables = new Map<string, string>();
  let line = "";
  for (let at = SIGNATURE.length; at < text.length; at += 1) {
    const character = text[at]!;
    if (character === "\\" && at + 1 < text.length) {
      at += 1;
      line += text[at];
    } else if (character === "\n") {
      const equals = line.indexOf("=");
      if (equals > 0 && !line.startsWith("#")) variables.set(line.slice(0, equals), line.slice(equals + 1));
      line = "";
    } else line += character;
  }
  return variables;
}
