/** `serial.times`: when which byte of `serial.log` came (CONTRACT section 4). */

/** The bytes from `offsets[i]` on came `times[i]` milliseconds after QEMU's start. Both ascend. */
export interface ArrivalTimes {
  readonly offsets: readonly number[];
  readonly times: readonly number[];
}

/** Lines that are no such pair, or run backwards, are left out: a cut of power may leave half of one. */
export function decodeSerialTimes(text: string): ArrivalTimes {
  const offsets: number[] = [];
  const times: number[] = [];
  for (const line of text.split("\n")) {
    const match = /^(\d{1,15})\t(\d{1,15})$/.exec(line);
    if (match === null) continue;
    const offset = Number(match[1]);
    const time = Number(match[2]);
    if (offset < (offsets.at(-1) ?? 0) || time < (times.at(-1) ?? 0)) continue;
    offsets.push(offset);
    times.push(time);
  }
  return { offsets, times };
}

/** When the byte at `offset` came: with the last arrival that begins at or before it. Null before the first. */
export function arrivalOf({ offsets, times }: ArrivalTimes, offset: number): number | null {
  let low = 0;
  let high = offsets.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (offsets[middle]! > offset) high = middle;
    else low = middle + 1;
  }
  return times[low - 1] ?? null;
}
