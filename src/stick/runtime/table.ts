/** What takes the room of a stick's boot partition, as a table for people. */
import { STICK_ESP } from "../../contract/stick.ts";
import { printable } from "../../formats/escape-terminal.ts";
import type { RuntimeFacts } from "../../live/stages/stick-runtime.ts";

const CONTENTS_SHOWN = 12;

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(2);

/** Lines without a line end behind the last: a file each, the largest first, then the sum. */
export function runtimeTable({ files, used_bytes, room_bytes, contents, packages }: RuntimeFacts): string {
  const sorted = [...files].sort((one, other) => other.size_bytes - one.size_bytes || (one.path < other.path ? -1 : 1));
  const rows = sorted.map(({ path, size_bytes }) => [mib(size_bytes), path] as const);
  const largest = [...contents].sort((one, other) => other.size_bytes - one.size_bytes).slice(0, CONTENTS_SHOWN);
  const sum = (sizes: typeof contents) => sizes.reduce((total, { size_bytes }) => total + size_bytes, 0);
  const rest = sum(contents) - sum(largest);
  const width = Math.max(...rows.map(([size]) => size.length), mib(room_bytes).length);
  return [
    ...rows.map(([size, path]) => `${size.padStart(width)} MiB  ${printable(path)}`),
    `${mib(used_bytes).padStart(width)} MiB  of ${mib(room_bytes)} MiB that are there for it; ${mib(room_bytes - used_bytes)} MiB are left`,
    `${STICK_ESP.runtime} holds, before it was compressed:`,
    ...largest.map(({ what, size_bytes }) => `${mib(size_bytes).padStart(width + 4)} MiB  ${printable(what)}`),
    `${mib(rest).padStart(width + 4)} MiB  all else`,
    `${packages.length} packages`,
  ].join("\n");
}
