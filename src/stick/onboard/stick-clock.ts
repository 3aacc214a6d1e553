/** Whether this computer's clock can be right. Nothing depends on it but the times that a session tells. Pure. */

const DAY_MS = 86_400_000;
const YEAR_MS = 365 * DAY_MS;
/** No stick is so old: a clock beyond it was set wrongly. */
const AGE_MAX_YEARS = 15;

/** `writtenMs`: when the stick was written, by the clock of the computer that wrote it. A sentence for the session and the person, or undefined. */
export function clockDoubt(nowMs: number, writtenMs: number): string | undefined {
  const against =
    nowMs < writtenMs - DAY_MS
      ? "is before"
      : nowMs > writtenMs + AGE_MAX_YEARS * YEAR_MS
        ? `is more than ${AGE_MAX_YEARS} years after`
        : undefined;
  if (against === undefined) return undefined;
  const date = (ms: number) => new Date(ms).toISOString().slice(0, 10);
  return `This computer's clock is wrong: its date, ${date(nowMs)}, ${against} ${date(writtenMs)}, when the stick was written. The times in the session are by that clock; how long things took is right all the same.`;
}
