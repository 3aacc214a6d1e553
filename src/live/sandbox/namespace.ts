/**
 * Programs of this computer run as the root of namespaces: where files have other owners than the person who builds, and where whatever a
 * program leaves running ends with it.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { writeFile } from "node:fs/promises";
import type { Readable, Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { shellCommand } from "../../formats/escape-shell.ts";
import { endProcessGroup, startGuarded } from "../../host/guarded-process.ts";
import { findTool } from "../../host/tools.ts";
import type { StageRun } from "../stage.ts";
import { runTool } from "../tool.ts";
import type { SandboxPlan } from "./plan.ts";

/** What a sandbox needs of its stage. */
export type SandboxRun = Pick<StageRun, "env" | "job"> & Partial<Pick<StageRun, "log" | "epochS">>;

export type AcceptedPlan = Exclude<SandboxPlan, { kind: "refused" }>;

export interface NamespaceOptions {
  /** What the program reads from its standard input; nothing unless given. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** What it can read from file descriptor 4. */
  readonly data?: Uint8Array;
  /** Takes the standard output; collected otherwise, `STDOUT_BYTES_MAX` at most. */
  readonly take?: (stdout: AsyncIterable<Uint8Array>) => Promise<void>;
  /** Told of each piece of the error output as it comes. */
  readonly hearError?: (chunk: Uint8Array) => void;
  readonly variables?: Readonly<Record<string, string>>;
  /** A command of the tree is heard in the stage's log, and has pipes for its outputs. */
  readonly kind?: "tool" | "command";
}

export interface NamespaceAnswer {
  readonly status: number;
  /** Empty where it was taken. */
  readonly stdout: Uint8Array;
  readonly stderr: string;
  /** The end of both outputs, as they came; of the standard output only where it was not taken. */
  readonly tail: string;
  /** Names of processes that still ran when the program ended. They are gone now. */
  readonly leftBehind: readonly string[];
}

const STDOUT_BYTES_MAX = 64 * 2 ** 20;
const TAIL_BYTES = 64 * 1024;

/**
 * In the new user namespace, before it has ids: tells that it is there (descriptor 3), and waits until they were given to it (descriptor 5). Who gets ids
 * gets rights by the next exec, and the kernel then forgets the wish to die with a parent (prctl(2), PR_SET_PDEATHSIG): it is said once more.
 */
const WAIT_FOR_IDS = `
echo ready >&3
read -r _ <&5 || exit 125
exec setpriv --pdeathsig KILL -- /bin/sh -c '[ "$PPID" = "$0" ] && exec "$@"' "$PPID" "$@" 5<&-
`;

/**
 * The first process of the namespaces, which end with it. Tells on descriptor 3 how its program ended (the status of unshare cannot tell a signal)
 * and what else runs then, and ends that. A zombie is nobody's work left behind: it only waits for a parent that reaps it.
 */
const RUN_AND_TELL = `
"$@" 3>&- 5<&-
status=$?
left=yes ended=
while [ -n "$left" ]; do
  left=
  for entry in /proc/[0-9]*; do
    pid=\${entry#/proc/}
    case " 1 $relays " in *" $pid "*) continue ;; esac
    state= name=
    while read -r key value; do
      case $key in Name:) name=$value ;; State:) state=\${value%% *}; break ;; esac
    done 2>/dev/null <"$entry/status"
    case $state in ""|Z|X) continue ;; esac
    left=yes
    case " $ended " in *" $pid "*) continue ;; esac
    kill -9 "$pid" 2>/dev/null && echo "left $name" >&3
    ended="$ended $pid"
  done
done
echo "status $status" >&3
`;

const RUN_TOOL = `relays=; ${RUN_AND_TELL}`;

/**
 * Commands of a tree get pipes. What Node gives its children are sockets, which /dev/stdout and /dev/stderr cannot be opened through, and scripts do
 * open these. /sys is nobody's here.
 */
const RUN_COMMAND = `
mount -t tmpfs none /sys && mkfifo -m 0666 /sys/out /sys/err || exit 125
cat </sys/out 3>&- 5<&- & relays=$!
cat </sys/err >&2 3>&- 5<&- & relays="$relays $!"
{ ${RUN_AND_TELL} } >/sys/out 2>/sys/err
wait
`;

/** --kill-child: the first process dies with unshare, which dies with us. */
const NAMESPACES = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc", "--", "/bin/sh", "-c"];

function namespaceCommand(plan: AcceptedPlan, command: readonly string[], runs = RUN_TOOL): readonly string[] {
  const user = plan.kind === "root" ? [] : ["unshare", "--user", "--", "/bin/sh", "-c", WAIT_FOR_IDS, "sandbox"];
  return [...user, ...NAMESPACES, runs, "sandbox", ...command];
}

function variablesIn({ env }: SandboxRun, more: Readonly<Record<string, string>> = {}): Record<string, string> {
  const path = [env["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"].filter((part) => part !== undefined).join(":");
  return { PATH: path, HOME: "/", LC_ALL: "C.UTF-8", TZ: "UTC", ...more };
}

/** Gives its ids to a process that waits for them in a user namespace of its own. */
async function giveIds(plan: AcceptedPlan, pid: number, { env, job }: SandboxRun): Promise<void> {
  switch (plan.kind) {
    case "root":
      return;
    case "root-namespace":
      for (const map of ["uid_map", "gid_map"]) await writeFile(`/proc/${pid}/${map}`, "0 0 4294967295\n");
      return;
    case "user-namespace": {
      const words = (own: number, { first, count }: { first: number; count: number }) =>
        [pid, 0, own, 1, 1, first, count].map((number) => `${number}`);
      const tool = { env, signal: job.signal };
      await Promise.all([runTool("newuidmap", words(plan.uid, plan.uids), tool), runTool("newgidmap", words(plan.gid, plan.gids), tool)]);
    }
  }
}

/** What the processes of the namespaces tell us of themselves. */
class Report {
  /** False where the stream ended first. */
  readonly ready: Promise<boolean>;
  #tell: (isReady: boolean) => void = () => {};
  #text = "";

  constructor() {
    this.ready = new Promise((resolve) => {
      this.#tell = resolve;
    });
  }

  get status(): number | undefined {
    const digits = /^status (\d+)$/m.exec(this.#text)?.[1];
    return digits === undefined ? undefined : Number(digits);
  }

  get leftBehind(): readonly string[] {
    return [...this.#text.matchAll(/^left (.*)$/gm)].map((match) => match[1]!);
  }

  async hear(stream: AsyncIterable<Uint8Array>): Promise<void> {
    try {
      for await (const chunk of stream) {
        this.#text += Buffer.from(chunk).toString("utf8");
        if (this.#text.startsWith("ready\n")) this.#tell(true);
      }
    } finally {
      this.#tell(false);
    }
  }
}

/** Throws where the program cannot be started, or the job is aborted: all is then ended first. Its status is the caller's to judge. */
export async function runInNamespace(
  plan: AcceptedPlan,
  command: readonly string[],
  run: SandboxRun,
  { input, data, take, hearError, variables, kind = "tool" }: NamespaceOptions = {},
): Promise<NamespaceAnswer> {
  const { env, job, log } = run;
  job.signal.throwIfAborted();
  const [first, ...words] = namespaceCommand(plan, command, kind === "tool" ? RUN_TOOL : RUN_COMMAND) as [string, ...string[]];
  const started = startGuarded(await findTool(first, env), words, {
    cwd: "/",
    env: variablesIn(run, variables),
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe", "pipe", data === undefined ? "ignore" : "pipe", "pipe"],
  });
  const { child } = started;
  // Nothing in there needs time to end in order: its tree is thrown away.
  const end = (): void => void endProcessGroup(started, 0);
  job.signal.addEventListener("abort", end);
  if (job.signal.aborted) end();

  const heard = new Heard(kind === "command" ? log : undefined);
  const report = new Report();
  let failure: unknown;
  const guarded = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      if (isClosedPipe(error)) return; // How the program ended tells more.
      failure ??= error;
      end();
    }
  };
  const pipes = child.stdio as readonly unknown[];
  const feed = (bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[], into: Writable): Promise<void> => pipeline(bytes, into);
  const identify = async (): Promise<void> => {
    const go = pipes[5] as Writable;
    try {
      if (plan.kind !== "root" && (await report.ready)) await giveIds(plan, child.pid!, run);
    } finally {
      go.on("error", () => {}); // Gone before it was told.
      go.end("go\n");
    }
  };
  const stdout = child.stdout as Readable;
  const work = [
    guarded(take === undefined ? heard.collect(stdout) : taken(take, stdout)),
    guarded(heard.listen(child.stderr as Readable, hearError)),
    guarded(report.hear(pipes[3] as Readable)),
    guarded(identify()),
    ...(input === undefined ? [] : [guarded(feed(input, child.stdin!))]),
    ...(data === undefined ? [] : [guarded(feed([data], pipes[4] as Writable))]),
  ];
  const { error } = await started.ended;
  job.signal.removeEventListener("abort", end);
  await Promise.all(work);
  job.signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  if (error !== undefined || report.status === undefined) {
    const found = error?.message ?? (heard.tail === "" ? "its namespaces ended before it did" : heard.tail);
    throw new HiperisoError({ what: "run a program in a sandbox", where: shellCommand(command), found });
  }
  if (heard.stdoutBytes > STDOUT_BYTES_MAX) {
    const sizes = { expected: `at most ${STDOUT_BYTES_MAX} bytes of output`, found: `${heard.stdoutBytes}` };
    throw new HiperisoError({ what: "run a program in a sandbox", where: shellCommand(command), ...sizes });
  }
  return { status: report.status, stdout: heard.stdout, stderr: heard.stderr, tail: heard.tail, leftBehind: report.leftBehind };
}

/** What is not read to its end would hold the program for ever. */
async function taken(take: (stdout: AsyncIterable<Uint8Array>) => Promise<void>, stdout: Readable): Promise<void> {
  try {
    await take(stdout);
  } finally {
    stdout.resume();
  }
}

function isClosedPipe(error: unknown): boolean {
  return ["EPIPE", "ECONNRESET", "ERR_STREAM_PREMATURE_CLOSE"].includes((error as NodeJS.ErrnoException).code ?? "");
}

class Heard {
  readonly #log: SandboxRun["log"];
  readonly #stdout: Uint8Array[] = [];
  #tail = Buffer.alloc(0);
  #stderr = Buffer.alloc(0);
  stdoutBytes = 0;

  constructor(log: SandboxRun["log"]) {
    this.#log = log;
  }

  get stdout(): Uint8Array {
    return Buffer.concat(this.#stdout);
  }

  get stderr(): string {
    return this.#stderr.toString("utf8").trimEnd();
  }

  get tail(): string {
    return this.#tail.toString("utf8").trimEnd();
  }

  async collect(stream: AsyncIterable<Uint8Array>): Promise<void> {
    for await (const chunk of stream) {
      this.#hear(chunk);
      this.stdoutBytes += chunk.length;
      if (this.stdoutBytes <= STDOUT_BYTES_MAX) this.#stdout.push(chunk);
    }
  }

  async listen(stream: AsyncIterable<Uint8Array>, hearError: NamespaceOptions["hearError"]): Promise<void> {
    for await (const chunk of stream) {
      hearError?.(chunk);
      this.#hear(chunk);
      this.#stderr = Buffer.concat([this.#stderr, chunk]).subarray(-TAIL_BYTES);
    }
  }

  #hear(chunk: Uint8Array): void {
    this.#log?.append(chunk);
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
  }
}

/** Runs a program with the caller's terminal as its own. Its status, or 125 where the namespaces could not be made (unshare has said why). */
export async function enterNamespace(plan: AcceptedPlan, command: readonly string[], run: SandboxRun): Promise<number> {
  const [first, ...words] = namespaceCommand(plan, command) as [string, ...string[]];
  // Neither a session nor a process group of its own: keys such as Ctrl-C and Ctrl-Z are the program's.
  const child: ChildProcess = spawn(await findTool(first, run.env), words, {
    cwd: "/",
    env: variablesIn(run, run.env["TERM"] === undefined ? {} : { TERM: run.env["TERM"] }),
    stdio: ["inherit", "inherit", "inherit", "pipe", "ignore", "pipe"],
  });
  const ended = new Promise<number>((resolve, reject) => {
    child.once("error", (error) => reject(new HiperisoError({ what: "enter a sandbox", found: reasonOf(error), cause: error })));
    child.once("exit", (code) => resolve(code ?? 125));
  });
  const report = new Report();
  const heard = report.hear(child.stdio[3] as Readable);
  const go = (child.stdio as readonly unknown[])[5] as Writable;
  go.on("error", () => {});
  if (plan.kind !== "root" && (await report.ready)) await giveIds(plan, child.pid!, run);
  go.end("go\n");
  const code = await ended;
  await heard;
  return report.status ?? code;
}
