/**
 * Catalyst's `.spec` files (catalyst-spec(5); catalyst/config.py, SpecParser), as catalyst itself reads them:
 *
 *   key: value value        a line with a colon begins a key; its first colon ends the key
 *     value value           any other line goes on with the values, whether it is indented or not
 *   # comment               from the first # of a line to its end, in a value too
 *
 * Values are words between blanks; quotes around the whole of a key's own line are taken away. `%(key)s` in that line stands for the value of a key before it, `%%` for a per cent sign.
 * Of a key that comes twice the last counts; without a value, or with the word none, it counts as not there.
 */

export interface CatalystSpec {
  /** As it was given, for messages. */
  readonly path: string;
  /** In the order of the file. */
  readonly keys: ReadonlyMap<string, CatalystValue>;
  readonly faults: readonly SpecFault[];
}

export interface CatalystValue {
  /** At least one. */
  readonly words: readonly string[];
  /** Of the line with the colon, from 1. */
  readonly line: number;
}

export interface SpecFault {
  readonly line: number;
  /** `error`: catalyst would refuse the file, or take it for something else than it says. */
  readonly severity: "error" | "warning";
  /** For a person, without a full stop. Not escaped. */
  readonly text: string;
}

/** Never throws: what is wrong stands in `faults`, and the rest is read. */
export function decodeCatalystSpec(text: string, path: string): CatalystSpec {
  const keys = new Map<string, { words: string[]; readonly line: number }>();
  const faults: SpecFault[] = [];
  let current: { words: string[]; readonly line: number } | undefined;
  for (const [at, raw] of text
    .replace(/^\ufeff/, "")
    .split(/\r\n|\r|\n/)
    .entries()) {
    const number = at + 1;
    const line = withoutComment(raw.trim());
    if (line === "") continue;
    const colon = line.indexOf(":");
    if (colon < 0) {
      if (current === undefined) faults.push({ line: number, severity: "error", text: "a value before any key" });
      else current.words.push(...wordsOf(line));
      continue;
    }
    const key = line.slice(0, colon);
    const fault = keyFault(key);
    if (fault !== undefined) {
      faults.push({ line: number, severity: "error", text: fault });
      // What follows belongs to it, and is wrong with it.
      current = { words: [], line: number };
      continue;
    }
    if ((keys.get(key)?.words.length ?? 0) > 0) {
      faults.push({
        line: number,
        severity: "warning",
        text: `${key} comes a second time: the values of line ${keys.get(key)?.line} do not count`,
      });
    }
    current = {
      words: wordsOf(
        substituted(unquoted(line.slice(colon + 1).trim()), keys, (says) => faults.push({ line: number, severity: "error", text: says })),
      ),
      line: number,
    };
    keys.set(key, current);
  }
  for (const [key, { words, line }] of keys) {
    if (words.length === 0) faults.push({ line, severity: "warning", text: `${key} has no value and counts as not there` });
    if (words.length === 0 || (words.length === 1 && words[0]!.toLowerCase() === "none")) keys.delete(key);
  }
  return { path, keys, faults: faults.sort((a, b) => a.line - b.line) };
}

function withoutComment(line: string): string {
  const hash = line.indexOf("#");
  return hash < 0 ? line : line.slice(0, hash).trimEnd();
}

const wordsOf = (text: string): string[] => text.split(/\s+/).filter((word) => word !== "");
const unquoted = (text: string): string => text.replace(/^"+|"+$/g, "");

/** A word with a colon in a list of values begins a key, which no person means: a package's slot, an address. */
function keyFault(key: string): string | undefined {
  if (key === "") return "a colon without a key before it";
  if (/\s$/.test(key) && !/\s/.test(key.trimEnd()))
    return `the key "${key.trimEnd()}" has a blank before its colon, which catalyst takes as a part of it`;
  if (/\s/.test(key))
    return `a line with a colon begins a key, and "${key}" is none: catalyst would read it so; values with a colon can stand only in the line of their key`;
  return undefined;
}

/** Python's `text % values`, of which specs use `%(key)s`. */
function substituted(
  text: string,
  keys: ReadonlyMap<string, { readonly words: readonly string[] }>,
  fault: (says: string) => void,
): string {
  return text.replace(/%(?:%|\(([^)]*)\)(s)?|)/g, (found, key: string | undefined, letter: string | undefined) => {
    if (found === "%%") return "%";
    if (key === undefined || letter === undefined) {
      fault("a single % that stands for nothing: a per cent sign is written %%");
      return found;
    }
    const words = keys.get(key)?.words ?? [];
    if (words.length === 1) return words[0]!;
    fault(
      words.length === 0 ? `%(${key})s stands for a key that does not come before it` : `%(${key})s stands for a key with several values`,
    );
    return found;
  });
}
