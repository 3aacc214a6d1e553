/**
 * Lists of trace events, as QEMU's `-trace events=FILE` reads them: a name or pattern a line (* and ?), `-` before it takes events away
 * again, # begins a comment (QEMU: trace/control.c).
 */

export interface TraceListLine {
  readonly pattern: string;
  readonly on: boolean;
}

const LINES_MAX = 10_000;

/** Blanks around a line do not count. What no event can be called is left out. */
export function decodeTraceList(text: string): readonly TraceListLine[] {
  return text
    .split("\n", LINES_MAX)
    .map((line) => line.trim())
    .filter((line) => /^-?[\w*?]{1,128}$/.test(line))
    .map((line) => (line.startsWith("-") ? { pattern: line.slice(1), on: false } : { pattern: line, on: true }));
}

export const isTracePattern = (pattern: string): boolean => /[*?]/.test(pattern);

/** Says of an event's name whether the list has it: the last line that names it decides, as in QEMU. */
export function traceListFilter(lines: readonly TraceListLine[]): (name: string) => boolean {
  const tests = lines.map(({ pattern, on }) => ({ matches: tracePatternTest(pattern), on }));
  return (name) => tests.findLast(({ matches }) => matches(name))?.on ?? false;
}

/** `*`: any characters, `?`: one. Never slow, whatever the pattern. */
export function tracePatternTest(pattern: string): (name: string) => boolean {
  if (!isTracePattern(pattern)) return (name) => name === pattern;
  const parts = pattern.split(/\*+/);
  return (name) => matchesParts(name, parts);
}

/** The first part at the beginning, the last at the end, the others between them from left to right. */
function matchesParts(name: string, parts: readonly string[]): boolean {
  const first = parts[0]!;
  const last = parts.at(-1)!;
  if (!matchesAt(name, 0, first)) return false;
  if (parts.length === 1) return name.length === first.length;
  const end = name.length - last.length;
  let at = first.length;
  for (const part of parts.slice(1, -1)) {
    while (at + part.length <= end && !matchesAt(name, at, part)) at++;
    at += part.length;
  }
  return at <= end && matchesAt(name, end, last);
}

function matchesAt(name: string, at: number, part: string): boolean {
  if (at < 0 || at + part.length > name.length) return false;
  for (let index = 0; index < part.length; index++) if (part[index] !== "?" && part[index] !== name[at + index]) return false;
  return true;
}

/** The list without single names that QEMU does not know: it would warn of each. */
export const encodeTraceList = (lines: readonly TraceListLine[], known: (name: string) => boolean): string =>
  lines
    .filter(({ pattern }) => isTracePattern(pattern) || known(pattern))
    .map(({ pattern, on }) => `${on ? "" : "-"}${pattern}\n`)
    .join("");
