/**
 * What stands before a message of the Linux kernel on its way to a file: printk's own prefix and what capture
 * tools, syslog and hypervisors put before that. Documentation/core-api/printk-basics.rst, kernel/printk/printk.c
 * (`print_prefix`, `print_caller`), Documentation/ABI/testing/dev-kmsg, dmesg(1) `--decode` and `--ctime`, journalctl(1) `--output`,
 * RFC 3164 4.1.2.
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
/** dmesg --ctime, and OpenWrt's logread: `[Mon Jan  1 00:00:00 2024] `. */
const CTIME =
  /\[?(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d \d{4}\]?(?: |$)/y;
/** Syslog and journalctl. */
const SYSLOG = /(?:Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) [ \d]\d \d\d:\d\d:\d\d(?:\.\d{1,6})?(?: |$)/y;
/** Behind a time: the machine, and whose line it is where that is the kernel. Of others the name stays: it is part of what they print. */
const HOST =
  /(?:(?:[\w.:-]{1,64} )?(?:(?:kern|user|daemon|syslog|auth)\.[a-z]{3,7} )?kernel: ?|(?:kern|user|daemon|syslog|auth)\.[a-z]{3,7} |[\w.-]{1,64} (?=[\w.@-]{1,48}\[\d{1,7}\]: ))/y;
/** /dev/kmsg: `6,1024,5000000,-;`, its third number microseconds of the kernel's clock. */
const KMSG = /\d{1,3},\d{1,10},(\d{1,16}),[-c+](?:,[\w=,:-]{0,60})?;/y;
/** journalctl --output=export. */
const FIELD = /MESSAGE=/y;
/** Android kernels, behind the clock: processor and process, `c1      1 `. */
const PROCESS = /c\d{1,2} {1,8}\d{1,7} (?=\S)/y;
const XEN = /\(XEN\) /y;

/** Behind these the name of a machine or a process may stand, once. */
const TIMES: readonly RegExp[] = [CLOCK, TIME, DATE, CTIME, SYSLOG];

/** What may begin with this character. */
function prefixesAt(character: string): readonly RegExp[] {
  switch (character) {
    case "[":
      return [CLOCK, CALLER, VENDOR, TIME, DATE, CTIME];
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
      if (character >= "0" && character <= "9") return [TIME, DATE, KMSG];
      return character >= "A" && character <= "W" ? [SYSLOG, CTIME, FIELD] : [];
  }
}

export function decodePrintk(line: string): PrintkLine {
  let at = 0;
  let clock: number | null = null;
  let copy = false;
  let timed = false;
  for (let found = true; found && at < line.length; ) {
    found = false;
    const own = prefixesAt(line[at]!);
    for (const prefix of timed ? [...own, HOST, PROCESS] : own) {
      prefix.lastIndex = at;
      const match = prefix.exec(line);
      if (match === null) continue;
      if (prefix === CLOCK) clock = Number(match[1]);
      if (prefix === KMSG) clock = Number(match[1]) / 1e6;
      copy ||= prefix === COPY;
      timed = TIMES.includes(prefix) || (timed && prefix === CALLER);
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
