/**
 * Programs of this computer run as the root of namespaces: where files have other owners than the person who builds, and where whatever a
 * program leaves running ends with it.
 */
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HiperisoError } from "../../contract/error.ts";
import { shellCommand } from "../../formats/escape-shell.ts";
import { endProcessGroup, startGuarded } from "../../host/guarded-process.ts";
import { findTool } from "../../host/tools.ts";
import type { StageRun } from "../stage.ts";
import type { SandboxPlan } from "./plan.ts";

/** What a sandbox needs of its stage. */
export type SandboxRun = Pick<StageRun, "env" | "job"> & Partial<Pick<StageRun, "log">>;

export type AcceptedPlan = Exclude<SandboxPlan, { kind: "refused" }>;

export interface NamespaceOptions {
  /** What the program reads from its standard input; nothing unless given. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** What it can read from file descriptor 4. */
  readonly data?: Uint8Array;
  /** Takes the standard output; collected otherwise, `STDOUT_BYTES_MAX` at most. */
  readonly take?: (stdout: Readable) => Promise<void>;
  /** Told of each piece of both outputs as it comes. */
  readonly hear?: (chunk: Uint8Array) => void;
  readonly variables?: Readonly<Record<string, string>>;
}

export interface NamespaceAnswer {
  readonly status: number;
  /** Empty where it was taken. */
  readonly stdout: Uint8Array;
  /** The end of both outputs, as they came; of the standard output only where it was not taken. */
  readonly tail: string;
  /** Names of processes that still ran when the program ended. They are gone now. */
  readonly leftBehind: readonly string[];
}

const STDOUT_BYTES_MAX = 64 * 2 ** 20;
const TAIL_BYTES = 16 * 1024;

/**
 * The first process of the namespaces. It tells on descriptor 3 how its program ended (the status of unshare cannot tell a signal) and what else runs
 * then; the kernel ends all that when it ends. A zombie is nobody's work left behind: it only waits for a parent that reaps it.
 */
const FIRST_PROCESS = `
"$@" 3>&-
status=$?
for entry in /proc/[0-9]*; do
  pid=\${entry#/proc/}
  [ "$pid" = 1 ] && continue
  state= name=
  while read -r key value; do
    case $key in Name:) name=$value ;; State:) state=\${value%% *}; break ;; esac
  done 2>/dev/null <"$entry/status"
  case $state in ""|Z|X) ;; *) echo "left $name" >&3 ;; esac
done
echo "status $status" >&3
exit 0
`;

/** In front of a program's own words: what puts it into the namespaces. */
export function namespaceArguments(plan: AcceptedPlan): readonly string[] {
  const user = plan.kind === "root" ? [] : ["--user", "--map-auto", "--map-root-user"];
  return ["unshare", ...user, "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"];
}

/** Throws where the program cannot be started, or the job is aborted: all is then ended first. Its status is the caller's to judge. */
export async function runInNamespace(
  plan: AcceptedPlan,
  command: readonly string[],
  { env, job, log }: SandboxRun,
  { input, data, take, hear, variables }: NamespaceOptions = {},
): Promise<NamespaceAnswer> {
  job.signal.throwIfAborted();
  const [unshare, ...flags] = namespaceArguments(plan) as [string, ...string[]];
  const path = await findTool(unshare, env);
  const searched = [env["PATH"], "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"]
    .filter((part) => part !== undefined)
    .join(":");
  const started = startGuarded(path, [...flags, "--", "/bin/sh", "-c", FIRST_PROCESS, "sandbox", ...command], {
    cwd: "/",
    env: { PATH: searched, HOME: "/", LC_ALL: "C.UTF-8", TZ: "UTC", ...variables },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe", "pipe", data === undefined ? "ignore" : "pipe"],
  });
  const { child } = started;
  // Nothing in there needs time to end in order: its tree is thrown away.
  const end = (): void => void endProcessGroup(started, 0);
  job.signal.addEventListener("abort", end);
  if (job.signal.aborted) end();

  const collected: Uint8Array[] = [];
  let collectedBytes = 0;
  let tail = Buffer.alloc(0);
  let failure: unknown;
  const heard = (chunk: Uint8Array): void => {
    log?.append(chunk);
    hear?.(chunk);
    tail = Buffer.concat([tail, chunk]).subarray(-TAIL_BYTES);
  };
  const guarded = async (work: Promise<void>): Promise<void> => {
    try {
      await work;
    } catch (error) {
      // A pipe that the other side closed is told by how the program ended.
      if ((error as NodeJS.ErrnoException).code === "EPIPE" || (error as NodeJS.ErrnoException).code === "ERR_STREAM_PREMATURE_CLOSE")
        return;
      failure ??= error;
      end();
    }
  };
  const collect = async (stream: Readable): Promise<void> => {
    for await (const chunk of stream) {
      heard(chunk as Uint8Array);
      collectedBytes += (chunk as Uint8Array).length;
      if (collectedBytes <= STDOUT_BYTES_MAX) collected.push(chunk as Uint8Array);
    }
  };
  const listen = async (stream: Readable): Promise<void> => {
    for await (const chunk of stream) heard(chunk as Uint8Array);
  };
  let report = "";
  const hearReport = async (stream: Readable): Promise<void> => {
    for await (const chunk of stream) report += Buffer.from(chunk as Uint8Array).toString("utf8");
  };
  const feed = async (bytes: AsyncIterable<Uint8Array> | readonly Uint8Array[], into: NodeJS.WritableStream): Promise<void> => {
    await pipeline(bytes, into);
  };
  const pipes = child.stdio as readonly unknown[];
  const work = [
    guarded((take ?? collect)(child.stdout as Readable)),
    guarded(listen(child.stderr as Readable)),
    guarded(hearReport(pipes[3] as Readable)),
    ...(input === undefined ? [] : [guarded(feed(input, child.stdin!))]),
    ...(data === undefined ? [] : [guarded(feed([data], pipes[4] as NodeJS.WritableStream))]),
  ];
  const { error } = await started.ended;
  job.signal.removeEventListener("abort", end);
  await Promise.all(work);
  job.signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  const said = tail.toString("utf8").trimEnd();
  const status = /^status (\d+)$/m.exec(report)?.[1];
  if (error !== undefined || status === undefined) {
    throw new HiperisoError({
      what: "run a program in a sandbox",
      where: shellCommand(command),
      found: error?.message ?? (said === "" ? "its namespaces ended before it did" : said),
      ...(plan.kind === "root" ? {} : { hint: "Check that user namespaces work: unshare --user --map-auto --map-root-user true" }),
    });
  }
  if (collectedBytes > STDOUT_BYTES_MAX) {
    throw new HiperisoError({
      what: "run a program in a sandbox",
      where: shellCommand(command),
      found: `more than ${STDOUT_BYTES_MAX} bytes of output`,
    });
  }
  const leftBehind = [...report.matchAll(/^left (.*)$/gm)].map((match) => match[1]!);
  return { status: Number(status), stdout: Buffer.concat(collected), tail: said, leftBehind };
}
