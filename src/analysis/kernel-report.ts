/**
 * One report of the kernel over many lines (oops, warning, KASAN, stall, lockdep): what a person looks for in it. Where it
 * happened, in which process, on which kernel, and through which calls. The forms of all architectures are known by their words, not by
 * their columns: lib/dump_stack.c, lib/bug.c, kernel/printk, and each architecture's traps.c.
 */

export interface KernelReport {
  /** `foo_probe+0x12/0x80 [foo]`: where the processor was. */
  readonly function: string | null;
  readonly process: string | null;
  readonly pid: number | null;
  readonly cpu: number | null;
  /** Version of the kernel, as in `uname -r`. */
  readonly kernel: string | null;
  /** Innermost first; frames that the kernel is not sure of ("?") left out, unless there are no others. */
  readonly callTrace: readonly string[];
}

const CALLS_MAX = 40;
/** A report that has no end mark ends here. */
const LINES_MAX = 160;

/** `foo_probe+0x12/0x80 [foo]` */
const SYMBOL = "[A-Za-z_][\\w.$]{1,120}\\+0x[0-9a-f]{1,8}\\/0x[0-9a-f]{1,8}(?: \\[[\\w-]{1,60}[^\\]]{0,20}\\])?";
/** PowerPC puts two addresses before the name, others one or none; older Arm kernels put the name into parentheses. */
const FRAME = new RegExp(`^(?:\\[?<?(?:0x)?[0-9a-f]{8,16}>?\\]? ?){0,2}(?:\\((?:<[0-9a-f]{8,16}>\\) )?)?(\\? )?\\(?(${SYMBOL})`);
/** Arm: `vfs_read from ksys_read+0x64/0xdc`, before 5.19 `[<c0010adc>] (vfs_read) from [<c0012adc>] (ksys_read+0x64/0xdc)`. No line announces them. */
const FRAME_FROM =
  /^(?:\[<[0-9a-f]{8}>\] )?\(?([A-Za-z_][\w.$]{1,120})\)? from (?:\[<[0-9a-f]{8}>\] )?\(?(?:0x[0-9a-f]{1,16}|[A-Za-z_][\w.$]{1,120}\+0x)/;
const PLACE = new RegExp(
  `(?:^R?IP: (?:[0-9a-f]{4}:)?|^EIP: (?:[0-9a-f]{4}:)?|^(?:EIP|PC) is at |^(?:pc|epc) : |^IP: |^NIP \\[[0-9a-f]{8,16}\\] |^Krnl PSW : .{10,60}\\(|^epc\\s*: [0-9a-f]{8,16} |^ERA: [0-9a-f]{16} |^TPC: <)\\[?(?:<[0-9a-f]{8,16}>\\]?)? ?\\(?(?:\\[<[0-9a-f]{8,16}>\\] )?(${SYMBOL})`,
);
/** Who called, where the processor was nowhere: behind a jump into nothing this is the only name of use. */
const CALLER = new RegExp(`^(?:lr : |ra : |LR is at |LR \\[[0-9a-f]{8,16}\\] |ra {1,6}: [0-9a-f]{8,16} |RA: [0-9a-f]{16} )(${SYMBOL})`);
const CPU_LINE = /^CPU: (\d{1,4}) (?:UID: \d+ )?PID: (\d{1,7}) Comm: (.{1,40}?) (?:Not tainted|Tainted: [^0-9]{1,40}) ?(\d\S{0,80})?/;
const OLD_LINE = /^Pid: (\d{1,7}), comm: {1,16}(\S{1,40}) (?:Not tainted|Tainted: .{1,20}?) (?:\()?(\d[^\s)]{0,80})/;
const PROCESS_LINE = /^Process (\S{1,40}) \(pid: {1,2}(\d{1,7})/;
const TRACE_START = /^(?:Call [Tt]race|Backtrace|Trace|Stack from |Call Trace):/;
const END = /^---\[ end (?:trace|Kernel panic)|^={20,}$|^Kernel Offset: |^Rebooting in \d+ seconds/;

export class KernelReportReader {
  #function: string | null = null;
  #process: string | null = null;
  #pid: number | null = null;
  #cpu: number | null = null;
  #kernel: string | null = null;
  readonly #calls: string[] = [];
  /** Frames marked "?": all that there is where the kernel could not unwind. */
  readonly #unsureCalls: string[] = [];
  #caller: string | null = null;
  #inTrace = false;
  #traces = 0;
  #lines = 0;
  #ended = false;

  /** True once nothing more belongs to it. */
  get ended(): boolean {
    return this.#ended;
  }

  /** True once a call trace began: another first line is another report. */
  get hasTrace(): boolean {
    return this.#traces > 0;
  }

  get report(): KernelReport {
    return {
      function: this.#function,
      process: this.#process,
      pid: this.#pid,
      cpu: this.#cpu,
      kernel: this.#kernel,
      callTrace: this.#callTrace(),
    };
  }

  #callTrace(): readonly string[] {
    const calls = this.#calls.length > 0 ? this.#calls : this.#unsureCalls;
    const known = this.#function !== null || this.#caller === null || calls.includes(this.#caller);
    return known ? calls : [this.#caller!, ...calls];
  }

  /** A line of the report, without printk's prefix. Returns false where it does not look like one. */
  read(line: string): boolean {
    const message = line.trim();
    this.#lines += 1;
    if (END.test(message) && this.#lines > 2) {
      this.#ended = true;
      return true;
    }
    if (this.#lines > LINES_MAX) this.#ended = true;
    this.#readProcess(message);
    const place = PLACE.exec(message);
    if (place !== null && this.#function === null) this.#function = place[1]!;
    this.#caller ??= CALLER.exec(message)?.[1] ?? null;
    const from = FRAME_FROM.exec(message);
    if (from !== null) {
      if (this.#traces === 0) [this.#traces, this.#inTrace] = [1, true];
      this.#call(from[1]!, this.#calls);
      return true;
    }
    if (TRACE_START.test(message)) {
      this.#traces += 1;
      this.#inTrace = this.#traces === 1;
      return true;
    }
    const frame = FRAME.exec(message);
    if (frame === null) {
      // Markers such as <TASK>, and interleaved lines, do not end a trace; a blank or a register line does.
      if (/^(?:Code|RSP|R[A-D]X|Modules linked in|Last Breaking-Event-Address|Instruction dump|---)/.test(message)) this.#inTrace = false;
      return place !== null;
    }
    this.#call(frame[2]!, frame[1] === undefined ? this.#calls : this.#unsureCalls);
    return true;
  }

  #call(name: string, calls: string[]): void {
    if (this.#inTrace && calls.length < CALLS_MAX) calls.push(name);
  }

  #readProcess(message: string): void {
    if (this.#process !== null && this.#kernel !== null) return;
    const cpuLine = CPU_LINE.exec(message);
    if (cpuLine !== null) {
      this.#cpu = Number(cpuLine[1]);
      this.#pid = Number(cpuLine[2]);
      this.#process = cpuLine[3]!;
      this.#kernel = cpuLine[4] ?? this.#kernel;
      return;
    }
    const old = OLD_LINE.exec(message);
    if (old !== null) {
      this.#pid = Number(old[1]);
      this.#process = old[2]!;
      this.#kernel = old[3]!;
      return;
    }
    const process = PROCESS_LINE.exec(message);
    if (process !== null && this.#process === null) {
      this.#process = process[1]!;
      this.#pid = Number(process[2]);
    }
  }
}
