/** One value of one setting, as text (flags, kernel command line) or as JSON (`hiperiso.json`): the same limits for both. */

import { HiperisoError } from "../contract/error.ts";
import type { Parameter } from "../contract/parameters.ts";
import { flagOf } from "../contract/parameters.ts";
import { printable } from "../formats/escape-terminal.ts";

export type SettingValue = string | number | boolean;

/** What a parameter takes, as the `expected` of an error. */
export function expectedOf({ value }: Parameter): string {
  switch (value.type) {
    case "integer":
      return `a whole number from ${value.min} to ${value.max}${value.unit === undefined ? "" : ` (${value.unit})`}`;
    case "choice":
      return `one of ${value.values.join(", ")}`;
    case "switch":
      return "1 or 0";
    case "text":
      return "text without control characters";
    case "path":
      return "a path without control characters";
  }
}

/**
 * The value of a parameter from text: a flag's argument, or what stands behind `=` on the kernel command line.
 * Throws (`usage`) what the parameter does not take. `name` is how the person wrote it: `--guest-ram`, `hiperiso_guest_ram`.
 */
export function parseParameter(parameter: Parameter, text: string, name: string = flagOf(parameter)): SettingValue {
  const value = valueFromText(parameter, text);
  if (value === undefined) {
    throw new HiperisoError({
      what: `use ${name}`,
      expected: expectedOf(parameter),
      found: text === "" ? "nothing" : `"${printable(text)}"`,
      kind: "usage",
    });
  }
  return value;
}

function valueFromText({ value }: Parameter, text: string): SettingValue | undefined {
  switch (value.type) {
    case "integer": {
      if (!/^\d{1,9}$/.test(text)) return undefined;
      const number = Number(text);
      return number >= value.min && number <= value.max ? number : undefined;
    }
    case "choice":
      return value.values.includes(text) ? text : undefined;
    case "switch":
      return text === "1" ? true : text === "0" ? false : undefined;
    case "text":
    case "path":
      return isPlainText(text) ? text : undefined;
  }
}

/** Not empty, and nothing in it that the kernel command line cannot carry. */
export function isPlainText(text: string): boolean {
  return text !== "" && !/[\0-\x1f\x7f]|\p{Surrogate}/u.test(text);
}
