/** What takes the room of a stick's boot partition, as a table for people. */
import { printable } from "../../formats/escape-terminal.ts";
import type { RuntimeFacts } from "../../live/stages/stick-runtime.ts";

const mib = (bytes: number): string => (bytes / 2 ** 20).toFixed(2);

/** Lines without a line end behind the last: a file each, the largest first, then the sum. */
export function runtimeTable({ files, used_bytes, room_bytes }: RuntimeFacts): string {
  const sorted = [...files].sort((one, other) => other.size_bytes - one.size_bytes || (one.path < other.path ? -1 : 1));
  const rows = sorted.map(({ path, size_bytes }) => [mib(size_bytes), path] as const);
  const width = Math.max(...rows.map(([size]) => size.length), mib(room_bytes).length);
  return [
    ...rows.map(([size, path]) => `${size.padStart(width)} MiB  ${printable(path)}`),
    `${mib(used_bytes).padStart(width)} MiB  of ${mib(room_bytes)} MiB that are there for it; ${mib(room_bytes - used_bytes)} MiB are left`,
  ].join("\n");
}
