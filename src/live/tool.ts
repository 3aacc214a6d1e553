/** Programs that a stage runs to their end. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { HiperisoError } from "../contract/error.ts";
import { shellCommand } from "../formats/escape-shell.ts";
import { endProcessGroup, type GuardedProcess, startGuarded } from "../host/guarded-process.ts";
import { findTool } from "../host/tools.ts";
import type { Environment } from "../host/xdg.ts";
import type { StageLog } from "./stage-log.ts";

export interface ToolOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly cwd?: string;
  /** What it reads from its standard input; nothing unless given. */
  readonly input?: Readable;
  /** Variables that the tool is given beside the few that every tool is. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Gets the command line and both outputs as they come. */
  readonly log?: StageLog;
}

export interface ToolAnswer {
  readonly status: number;
  readonly stdout: string;
  /** Last lines of both outputs, as they came. */
  readonly lastLines: string;
}

const LINES_SHOWN = 12;
/** Between the request to end and SIGKILL. */
const PATIENCE_MS = 5000;
const PASSED_ON = ["PATH", "HOME", "APT_CONFIG", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

/** Standard output of a program that must end with status 0. Throws with its last lines where it does not. As `askTool` otherwise. */
export async function runTool(name: string, args: readonly string[], options: ToolOptions): Promise<string> {
  const { status, stdout, lastLines } = await askTool(name, args, options);
  if (status === 0) return stdout;
  throw new HiperisoError({
    what: `run ${basename(name)}`,
    where: args.join(" "),
    expected: "exit status 0",
    found: `${status}: ${lastLines}`,
  });
}

/**
 * Runs one program to its end. It sees no variables of the person but PATH, HOME, apt's configuration and the proxies, one language and one time zone.
 * Whatever it left running in its process group ends with it, and it dies with us, whatever kills us.
 * Throws where it cannot be found, is killed, says more than 64 MiB on its standard output, or the job is aborted (it is then ended first).
 */
export async function askTool(name: string, args: readonly string[], options: ToolOptions): Promise<ToolAnswer> {
  const { env, signal, cwd = "/", input, variables, log } = options;
  signal.throwIfAborted();
  const path = await findTool(name, env);
  const passedOn = Object.fromEntries(PASSED_ON.flatMap((key) => (env[key] === undefined ? [] : [[key, env[key]]])));
  log?.append(`$ ${shellCommand([name, ...args])}\n`);
  const tool = startGuarded(path, args, {
    cwd,
    env: { ...passedOn, LC_ALL: "C.UTF-8", TZ: "UTC", ...variables },
    stdio: [input === undefined ? "ignore" : "pipe", "pipe", "pipe"],
  });
  const said = new Said(log);
  const work = watched(tool, said, input);
  const { code, signal: killedBy, error } = await endingWith(tool, AbortSignal.any([signal, said.tooMuch]));
  const inputFailure = await work;
  signal.throwIfAborted();
  const lastLines = said.lastLines();
  const cannot = (found: string): HiperisoError =>
    new HiperisoError({
      what: `run ${basename(name)}`,
      where: args.join(" "),
      found: [found, lastLines].filter((part) => part !== "").join(": "),
    });
  if (error !== undefined) throw cannot(error.message);
  if (said.tooMuch.aborted) throw cannot(`more than ${STDOUT_MAX_BYTES / 2 ** 20} MiB on its standard output`);
  if (code === null) throw cannot(`killed by ${killedBy}`);
  // A program that ended well may have read as much of its input as it wanted (EPIPE); what could not be read is another matter.
  if (inputFailure !== undefined && inputFailure.code !== "EPIPE") throw cannot(`its input: ${inputFailure.message}`);
  return { status: code, stdout: said.stdout(), lastLines };
}

const STDOUT_MAX_BYTES = 64 * 2 ** 20;

/** What a program has said so far. */
class Said {
  readonly #log: StageLog | undefined;
  readonly #stdout: Uint8Array[] = [];
  readonly #tooMuch = new AbortController();
  #stdoutBytes = 0;
  #tail = Buffer.alloc(0);

  constructor(log: StageLog | undefined) {
    this.#log = log;
  }

  get tooMuch(): AbortSignal {
    return this.#tooMuch.signal;
  }

  take(chunk: Uint8Array, isStdout: boolean): void {
    this.#log?.append(chunk);
    this.#tail = Buffer.concat([this.#tail, chunk]).subarray(-TAIL_BYTES);
    if (!isStdout || this.#tooMuch.signal.aborted) return;
    this.#stdout.push(chunk);
    this.#stdoutBytes += chunk.length;
    if (this.#stdoutBytes > STDOUT_MAX_BYTES) this.#tooMuch.abort();
  }

  /** Without the newline at its end. */
  stdout(): string {
    return Buffer.concat(this.#stdout)
      .toString("utf8")
      .replace(/\r?\n$/, "");
  }

  lastLines(): string {
    return this.#tail.toString("utf8").trim().split("\n").slice(-LINES_SHOWN).join("\n");
  }
}

const TAIL_BYTES = 16 * 1024;

/** Settles when all was read and written; with what befell the input. Never rejects. */
async function watched({ child }: GuardedProcess, said: Said, input: Readable | undefined): Promise<NodeJS.ErrnoException | undefined> {
  const read = async (stream: Readable | null, isStdout: boolean): Promise<void> => {
    try {
      for await (const chunk of stream ?? []) said.take(chunk as Uint8Array, isStdout);
    } catch {
      // A pipe that breaks tells less than how the program ended.
    }
  };
  const write = async (): Promise<NodeJS.ErrnoException | undefined> => {
    if (input === undefined || child.stdin === null) return undefined;
    try {
      await pipeline(input, child.stdin);
      return undefined;
    } catch (error) {
      return error as NodeJS.ErrnoException;
    }
  };
  const [failure] = await Promise.all([write(), read(child.stdout, true), read(child.stderr, false)]);
  return failure;
}

/** How it ended; at an abort it is ended. What it started and left behind in its group is ended with it. */
async function endingWith(tool: GuardedProcess, signal: AbortSignal): Promise<Awaited<GuardedProcess["ended"]>> {
  const end = (): void => void endProcessGroup(tool, PATIENCE_MS);
  signal.addEventListener("abort", end);
  if (signal.aborted) end();
  const ended = await tool.ended;
  signal.removeEventListener("abort", end);
  await endProcessGroup(tool, 0);
  // What made itself a daemon in another session may hold the pipes for ever.
  const daemons = setTimeout(() => [tool.child.stdout, tool.child.stderr].map((stream) => stream?.destroy()), PATIENCE_MS);
  daemons.unref();
  tool.child.once("close", () => clearTimeout(daemons));
  return ended;
}

/** The first line of what a program says of itself: part of the hash of what it makes. */
export async function toolVersion(name: string, args: readonly string[], options: ToolOptions): Promise<string> {
  return (await runTool(name, args, options)).split("\n")[0]?.trim() ?? "";
}

export const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
