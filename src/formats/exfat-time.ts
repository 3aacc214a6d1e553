/**
 * Points in time as exFAT's entries hold them (specification 7.4.8 to 7.4.10): a local date and time in steps of 2 s, a byte of
 * 10 ms steps, and how far the local time is from UTC.
 *
 * Timestamp, 32 bits:  0  5  seconds / 2    5  6  minute   11  5  hour   16  5  day   21  4  month   25  7  years since 1980
 * UtcOffset, 8 bits:   0  7  quarters of an hour, signed   7  1  the others are valid
 */

export interface ExfatTime {
  readonly timestamp: number;
  /** 0 to 199; the time of last access has none. */
  readonly tenMs: number;
  readonly utcOffset: number;
}

const EARLIEST_MS = Date.UTC(1980, 0, 1);
const LATEST_MS = Date.UTC(2107, 11, 31, 23, 59, 59, 990);
const OFFSET_VALID = 0x80;
const QUARTER_MS = 15 * 60_000;

/** Stored as UTC, down to 10 ms. What lies before 1980 or after 2107 becomes the nearest that can be held. */
export function encodeExfatTime(ms: number): ExfatTime {
  const held = Number.isFinite(ms) ? Math.min(Math.max(ms, EARLIEST_MS), LATEST_MS) : EARLIEST_MS;
  const date = new Date(held);
  const day = ((date.getUTCFullYear() - 1980) << 9) | ((date.getUTCMonth() + 1) << 5) | date.getUTCDate();
  const time = (date.getUTCHours() << 11) | (date.getUTCMinutes() << 5) | (date.getUTCSeconds() >> 1);
  const tenMs = (date.getUTCSeconds() % 2) * 100 + Math.floor(date.getUTCMilliseconds() / 10);
  return { timestamp: ((day << 16) | time) >>> 0, tenMs, utcOffset: OFFSET_VALID };
}

/** Milliseconds since 1970; null where the fields hold no date (a month 13). Without a valid offset the time is taken for UTC. */
export function decodeExfatTime({ timestamp, tenMs, utcOffset }: ExfatTime): number | null {
  const year = 1980 + (timestamp >>> 25);
  const month = (timestamp >>> 21) & 15;
  const day = (timestamp >>> 16) & 31;
  const hour = (timestamp >>> 11) & 31;
  const minute = (timestamp >>> 5) & 63;
  const second = (timestamp & 31) * 2;
  if (month < 1 || month > 12 || day < 1 || hour > 23 || minute > 59 || second > 58 || tenMs > 199) return null;
  if (day > daysIn(year, month)) return null; // 31 April
  const local = Date.UTC(year, month - 1, day, hour, minute, second) + tenMs * 10;
  if ((utcOffset & OFFSET_VALID) === 0) return local;
  const quarters = ((utcOffset & 0x7f) << 25) >> 25;
  return local - quarters * QUARTER_MS;
}

const DAYS = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] as const;

/** Of the years from 1980 to 2107: 2000 is a leap year, 2100 is none. */
const daysIn = (year: number, month: number): number => (month === 2 && year % 4 === 0 && year !== 2100 ? 29 : DAYS[month - 1]!);
