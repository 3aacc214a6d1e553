/**
 * What stands before a message of the Linux kernel on its way to a file: printk's own prefix and what capture
 * tools, syslog and hypervisors put before that. Documentation/core-api/printk-basics.rst, kernel/printk/printk.c
 * (`print_prefix`, `print_caller`), dmesg(1) `--decode`, RFC 3164 4.1.2.
 */

export interface PrintkLine {
  /** What follows the prefixes, its own leading blanks kept. */
  readonly message: string;
  /** Seconds by the kernel's own clock, or null where no such prefix stood there. */
  readonly clock: number | null;
  /** dmesg printed it again: `kern  :alert : …`. */
  readonly copy: boolean;
}

/** printk's own: the first group is the kernel's clock. */
const CLOCK = /\[ {0,11}(\d{1,8}\.\d{1,9})\](?: (?=[^ ])|(?=\[)|(?=$)| (?= ))/y;
/** dmesg --decode: `kern  :alert : `. */
const COPY = /(?:kern|user|daemon|syslog) {0,4}: ?(?:emerg|alert|crit|err|warn|notice|info|debug) {0,3}: /y;

const LEVEL = /<\d{1,3}>/y;
/** The caller: `[  T123]`, `[ C0]` (CONFIG_PRINTK_CALLER). */
const CALLER = /\[ {0,6}[TC]\d{1,7}\](?: |$)/y;
/** Vendor kernels: `[0:  swapper:    0] `. */
const VENDOR = / {0,2}\[\d{1,3}: {0,20}[\w./:-]{1,24}: {0,8}\d{1,7}\](?: |$)/y;
/** Capture tools: `[15:50:43.179] `, `2024-01-02T03:04:05.678Z `, `[2024-01-02 03:04:05] `. */
const TIME = /\[?\d\d:\d\d:\d\d(?:[.,]\d{1,9})?\]?(?: |$)/y;
const DATE = /\[?\d{4}[-/]\d\d[-/]\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?\]?:?(?: |$)/y;
/** Syslog's copy of the kernel's messages. */
const SYSLOG = /(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d (?:[\w.:-]{1,64} )?kernel: ?/y;
const XEN = /\(XEN\) /y;

/** What may begin with this character. */
function prefixesAt(character: string): readonly RegExp[] {
  switch (character) {
    case "[":
      return [CLOCK, CALLER, VENDOR, TIME, DATE];
    case " ":
      return [VENDOR];
    case "<":
      return [LEVEL];
    case "(":
      return [XEN];
    case "k":
    case "u":
    case "d":
    case "s":
      return [COPY];
    default:
      if (character >= "0" && character <= "9") return [TIME, DATE];
      return character >= "A" && character <= "S" ? [SYSLOG] : [];
  }
}

export function decodePrintk(line: string): PrintkLine {
  let at = 0;
  let clock: number | null = null;
  let copy = false;
  for (let found = true; found && at < line.length; ) {
    found = false;
    for (const prefix of prefixesAt(line[at]!)) {
      prefix.lastIndex = at;
      const match = prefix.exec(line);
      if (match === null) continue;
      if (prefix === CLOCK) clock = Number(match[1]);
      copy ||= prefix === COPY;
      at += match[0].length;
      found = true;
      break;
    }
  }
  return { message: at === 0 ? line : line.slice(at), clock, copy };
}

/** printk's time in the midst of a line: the kernel's message broke into another program's. */
const EMBEDDED = /\[ {0,11}\d{1,8}\.\d{6}\](?=[ [])/g;

/** `line` cut before each printk time that stands in its midst. Most lines come back alone. */
export function splitAtPrintk(line: string): readonly string[] {
  if (!line.includes("[", 1)) return [line];
  EMBEDDED.lastIndex = 1;
  const parts: string[] = [];
  let from = 0;
  for (let match = EMBEDDED.exec(line); match !== null; match = EMBEDDED.exec(line)) {
    // What stands before may be prefixes alone: then this is the line's own.
    if (decodePrintk(line.slice(from, match.index)).message.trim() === "") continue;
    parts.push(line.slice(from, match.index));
    from = match.index;
  }
  parts.push(line.slice(from));
  return parts;
}
