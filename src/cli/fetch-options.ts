/** How source files are fetched: what a person says of it, and what this computer's environment adds. */
import { FETCH_DEFAULTS, type FetchOptions } from "../bootstrap/download.ts";
import { parseMirror } from "../bootstrap/mirror-list.ts";
import { HiperisoError } from "../contract/error.ts";
import { proxyChoice } from "../host/proxy.ts";
import type { Cli } from "./cli.ts";
import { programVersion } from "./program.ts";

/** As on a command line. What is not said has its default. */
export interface FetchValues {
  readonly mirrors?: readonly string[] | undefined;
  readonly shuffle: boolean;
  readonly jobs?: string | undefined;
  /** Seconds. */
  readonly timeout?: string | undefined;
}

export const FETCH_VALUES = { jobs: `${FETCH_DEFAULTS.jobs}`, timeout: `${FETCH_DEFAULTS.patience.windowMs / 1000}` } as const;

/** Throws (`usage`) at what is no number of the range, no mirror, or no proxy. */
export function fetchOptions({ mirrors, shuffle, jobs, timeout }: FetchValues, { env }: Pick<Cli, "env">): FetchOptions {
  const { perHost, bytesMax, patience } = FETCH_DEFAULTS;
  const windowMs = wholeNumber("--timeout", timeout ?? FETCH_VALUES.timeout, 1, 3600) * 1000;
  return {
    mirrors: (mirrors ?? []).map(parseMirror),
    random: shuffle ? Math.random : undefined,
    jobs: wholeNumber("--jobs", jobs ?? FETCH_VALUES.jobs, 1, 64),
    perHost,
    bytesMax,
    patience: { windowMs, bytesMin: Math.ceil((patience.bytesMin * windowMs) / patience.windowMs) },
    proxy: proxyChoice(env),
    // Servers that give pages to browsers and files to curl look for that word.
    userAgent: `hiperiso/${programVersion()} (like curl/7.88.1)`,
  };
}

/** Throws (`usage`) unless `text` is digits that come to `min` up to `max`. */
export function wholeNumber(where: string, text: string, min: number, max: number): number {
  const value = /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (value >= min && value <= max) return value;
  const expected = `a whole number, ${min} to ${max}`;
  throw new HiperisoError({ what: "use the options", where, expected, found: JSON.stringify(text), kind: "usage" });
}
