/** Programs that a stage runs to their end. */
import { createHash } from "node:crypto";
import { basename } from "node:path";
import type { Readable } from "node:stream";
import { execa } from "execa";
import { HiperisoError } from "../contract/error.ts";
import { findTool } from "../host/tools.ts";
import type { Environment } from "../host/xdg.ts";

export interface ToolOptions {
  readonly env: Environment;
  readonly signal: AbortSignal;
  readonly cwd?: string;
  /** What it reads from its standard input; nothing unless given. */
  readonly input?: Readable;
  /** Variables that the tool is given beside the few that every tool is. */
  readonly variables?: Readonly<Record<string, string>>;
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
 * Throws where it cannot be found, is killed, or the job is aborted (it is then ended first).
 */
export async function askTool(name: string, args: readonly string[], options: ToolOptions): Promise<ToolAnswer> {
  const { env, signal, cwd = "/", input, variables } = options;
  signal.throwIfAborted();
  const path = await findTool(name, env);
  const passedOn = Object.fromEntries(PASSED_ON.flatMap((key) => (env[key] === undefined ? [] : [[key, env[key]]])));
  const result = await execa(path, args, {
    cwd,
    env: { ...passedOn, LC_ALL: "C.UTF-8", TZ: "UTC", ...variables },
    extendEnv: false,
    cancelSignal: signal,
    forceKillAfterDelay: PATIENCE_MS,
    reject: false,
    all: true,
    ...(input === undefined ? { stdin: "ignore" } : { input }),
  });
  signal.throwIfAborted();
  const lastLines = result.all.trim().split("\n").slice(-LINES_SHOWN).join("\n");
  if (result.exitCode !== undefined) return { status: result.exitCode, stdout: result.stdout, lastLines };
  throw new HiperisoError({ what: `run ${basename(name)}`, where: args.join(" "), found: `${result.shortMessage}: ${lastLines}` });
}

/** The first line of what a program says of itself: part of the hash of what it makes. */
export async function toolVersion(name: string, args: readonly string[], options: ToolOptions): Promise<string> {
  return (await runTool(name, args, options)).split("\n")[0]?.trim() ?? "";
}

export const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
