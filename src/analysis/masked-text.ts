/**
 * What a console prints, less what no two boots of one machine print alike. Two lines are the same when this leaves the same of them.
 */

const HEX = "[0-9a-fA-F]";
const MONTH = "(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec)";
const DAY = "(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun)";

/** In this order: of two that begin at one place, the first takes it. */
const CHANGING = new RegExp(
  [
    // Times of day, dates, durations, measured speeds.
    `(?:${DAY},? )?(?:\\d{1,2} )?\\b${MONTH} {1,2}\\d{1,4}(?: \\d\\d:\\d\\d:\\d\\d)?(?: [A-Z]{3,4}\\b)?(?: \\d{4}\\b)?`,
    "\\b\\d{4}-\\d\\d-\\d\\d(?:[T ]\\d\\d:\\d\\d(?::\\d\\d)?(?:[.,]\\d+)?)?Z?\\b",
    "\\b(?:\\d+h )?(?:\\d+min )?\\d+(?:\\.\\d+)? ?(?:ns|us|µs|ms|s|secs?|seconds?|usecs?|msecs?|jiffies|cycles|MHz|BogoMIPS|[kKMG]B/s)\\b",
    "\\blpj=\\d+",
    // Bytes in a row: "Code: 48 8b 05 …".
    `\\b${HEX}{2}(?: <?${HEX}{2}>?){7,}`,
    // UUIDs; MAC, IPv6, PCI and SCSI addresses, and times of day; IPv4 addresses.
    `\\b${HEX}{8}(?:-${HEX}{4}){3}-${HEX}{12}\\b`,
    `\\b${HEX}{1,4}(?:::?${HEX}{1,4}){2,7}(?:\\.\\d{1,3})?(?:[/%]\\w{1,8})?\\b`,
    "\\b\\d{1,3}(?:\\.\\d{1,3}){3}(?:[:/]\\d{1,5})?\\b",
    // Hexadecimal numbers: said to be one, too long for a word, or letters and digits mixed.
    `\\b0[xX]${HEX}+`,
    `\\b${HEX}{8,}\\b`,
    `\\b(?=${HEX}*[0-9])(?=${HEX}*[a-fA-F])${HEX}{4,}\\b`,
    // Device numbers: 254:1, (254,1), 1af4:1000, "usb 1-1.2:", input3.
    `\\b${HEX}{1,4}:${HEX}{1,4}\\b`,
    "\\(\\d{1,4},\\d{1,4}\\)",
    "(?<=usb )\\d{1,3}-\\d[\\d.:-]*",
    "(?<=\\b(?:input|event|ata|loop|hci|usb|card))\\d{1,4}\\b",
    // Processes and other things that are counted while the system runs.
    "(?<=[\\w)])\\[\\d{1,8}\\]",
    "\\bkworker/[\\w:+-]+",
    "(?<=\\b(?:pid|PID|Pid|tid|CPU|cpu|IRQ|irq|[Ss]ession|job|process|id|ID|number)(?:[:=#]| [:=#]? ?|: ))\\d{1,10}\\b",
    "(?<=\\bc)\\d{1,8}(?= )|(?<=\\bSHA256:)[\\w+/=]{20,64}",
  ].join("|"),
  "g",
);

const NUMBER = /\d+(?:[.,]\d+)*/g;

/**
 * `text` (one line, printk's prefix already off it) with a `#` for every time, address, hexadecimal number, process number, id and
 * device number, and one blank for several. Other numbers stay: sizes, counts, exit statuses mean something.
 */
export function maskedText(text: string): string {
  const single = text.trim().replace(/\s{2,}|\t/g, " ");
  return /\d|[a-fA-F]{8}/.test(single) ? single.replace(CHANGING, "#") : single;
}

/** As `maskedText`, with a `#` for every number: what is left are the words. */
export function wordsOf(text: string): string {
  return maskedText(text).replace(NUMBER, "#");
}
