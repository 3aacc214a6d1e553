/** What QEMU says on its standard error, a message a line: `[2026-01-31T12:00:00.123456Z ]qemu-system-x86_64: …`, the time with `-msg timestamp=on`. */

const TIME = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z (?=\S)/gm;

/** The same words for the same message, whenever it came. */
export const withoutMessageTimes = (text: string): string => text.replace(TIME, "");
