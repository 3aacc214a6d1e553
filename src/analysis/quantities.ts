/** Quantities as a person says them; the same words on every computer, whatever its locale. */

/** A stretch of time: `0.35 s`, `12.4 s`, `2 min 5 s`, `3 h 20 min`. */
export function duration(ms: number): string {
  if (ms < 10_000) return `${withoutZeros((ms / 1000).toFixed(2))} s`;
  if (ms < 60_000) return `${withoutZeros((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 3600) return inUnits([Math.floor(seconds / 60), "min"], [seconds % 60, "s"]);
  return inUnits([Math.floor(seconds / 3600), "h"], [Math.floor((seconds % 3600) / 60), "min"]);
}

const withoutZeros = (number: string): string => number.replace(/\.?0+$/, "");

const inUnits = (...parts: readonly (readonly [number, string])[]): string =>
  parts
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(" ");

/** A file's size: `431 bytes`, `27 kB`, `1.5 MB`. */
export function size(bytes: number): string {
  if (bytes < 10_000) return count(bytes, "byte");
  return bytes < 1_000_000 ? `${Math.round(bytes / 1000)} kB` : `${withoutZeros((bytes / 1_000_000).toFixed(1))} MB`;
}

/** `1 line`, `12,345 lines`. */
export const count = (number: number, noun: string): string => `${grouped(number)} ${noun}${number === 1 ? "" : "s"}`;

/** 1234567 as 1,234,567. */
export const grouped = (number: number): string => String(number).replace(/\B(?=(\d{3})+$)/g, ",");
