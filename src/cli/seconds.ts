import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";

/** A parser for an option that is a limit: whole seconds, from one to a week. Throws (kind `usage`) at anything else. */
export function secondsOf(flag: string): (text: string) => number {
  return (text) => {
    const seconds = Number(text);
    if (/^\d+$/.test(text) && seconds >= 1 && seconds <= 604_800) return seconds;
    throw new HiperisoError({
      what: "understand the flags",
      where: flag,
      expected: "whole seconds, 1 to 604800",
      found: `"${printable(text)}"`,
      kind: "usage",
    });
  };
}
