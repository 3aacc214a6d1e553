/** Options that several commands of `hiperiso live` have, and how they are read. */
import { InvalidArgumentError } from "@commander-js/extra-typings";
import { parseDocument } from "yaml";
import { HiperisoError } from "../contract/error.ts";

export const collected = (value: string, before: readonly string[]): string[] => [...before, value];

/** `iso.timeout=5` → `{ iso: { timeout: 5 } }`. */
export function stageOptions(settings: readonly string[]): Record<string, Record<string, unknown>> {
  const options: Record<string, Record<string, unknown>> = {};
  for (const setting of settings) {
    const parts = /^([a-z0-9-]+)\.([a-z_]+)=(.*)$/s.exec(setting);
    const document = parts === null ? undefined : parseDocument(parts[3]!);
    if (parts === null || document === undefined || document.errors.length > 0) {
      throw new HiperisoError({
        what: "read an option",
        where: "--set",
        expected: "STAGE.OPTION=VALUE, the value as YAML",
        found: setting,
        kind: "usage",
      });
    }
    const [, stage, option] = parts as unknown as readonly [string, string, string];
    options[stage] = { ...options[stage], [option]: document.toJS() as unknown };
  }
  return options;
}

/** A whole number of jobs, from 1. */
export function jobsOf(text: string): number {
  const jobs = Number(text);
  if (/^\d+$/.test(text) && jobs >= 1 && jobs <= 1024) return jobs;
  throw new InvalidArgumentError("Expected a whole number, 1 to 1024.");
}

const UNIT_BYTES: Readonly<Record<string, number>> = { "": 1, K: 2 ** 10, M: 2 ** 20, G: 2 ** 30, T: 2 ** 40 };

/** `20G`: bytes, or KiB, MiB, GiB, TiB by a letter. */
export function bytesOf(text: string): number {
  const parts = /^(\d{1,15}(?:\.\d{1,3})?)([KMGT]?)(?:i?B)?$/i.exec(text);
  if (parts !== null) return Math.floor(Number(parts[1]) * UNIT_BYTES[parts[2]!.toUpperCase()]!);
  throw new InvalidArgumentError('Expected a size such as "20G" or "500M".');
}

const UNIT_MS: Readonly<Record<string, number>> = { h: 3_600_000, d: 86_400_000, w: 604_800_000 };

/** `30d`: hours, days or weeks, as milliseconds. */
export function ageOf(text: string): number {
  const parts = /^(\d{1,5})([hdw])$/.exec(text);
  if (parts !== null) return Number(parts[1]) * UNIT_MS[parts[2]!]!;
  throw new InvalidArgumentError('Expected an age such as "12h", "30d" or "8w".');
}
