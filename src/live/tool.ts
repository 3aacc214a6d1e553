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
  /** Text, bytes, or blocks one after another. */
  readonly input?: string | Uint8Array | Readable;
  /** Variables that the tool is given beside the few that every tool is. */
  readonly variables?: Readonly<Record<string, string>>;
}

const LINES_SHOWN = 12;
/** Between the request to end and SIGKILL. */
const PATIENCE_MS = 5000;

/**
 * Runs one program to its end and gives its standard output. It sees no variables of the person but PATH, HOME and the proxies,
 * one language and one time zone. Throws with its last lines where it fails, and ends it when the job is aborted.
 */
export async function runTool(name: string, args: readonly string[], options: ToolOptions): Promise<string> {
  options.signal.throwIfAborted();
  const path = await findTool(name, options.env);
  const result = await execa(path, args, {
    cwd: options.cwd ?? "/",
    env: { ...passedOn(options.env), LC_ALL: "C.UTF-8", TZ: "UTC", ...options.variables },
    extendEnv: false,
    cancelSignal: options.signal,
    forceKillAfterDelay: PATIENCE_MS,
    reject: false,
    all: true,
    ...(options.input === undefined ? { stdin: "ignore" } : { input: options.input }),
  });
  options.signal.throwIfAborted();
  if (result.failed) {
    const lines = (result.all ?? "").trim().split("\n");
    throw new HiperisoError({
      what: `run ${basename(path)}`,
      where: args.join(" "),
      expected: "exit status 0",
      found: `${result.exitCode ?? result.signal ?? result.shortMessage}: ${lines.slice(-LINES_SHOWN).join("\n")}`,
    });
  }
  return result.stdout;
}

const PASSED_ON = ["PATH", "HOME", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];

function passedOn(env: Environment): Record<string, string> {
  return Object.fromEntries(PASSED_ON.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]])));
}

/** What a program says of itself: part of the hash of what it makes. */
export async function toolVersion(name: string, args: readonly string[], options: ToolOptions): Promise<string> {
  return (await runTool(name, args, options)).split("\n")[0]?.trim() ?? "";
}

export const sha256 = (content: string | Uint8Array): string => createHash("sha256").update(content).digest("hex");
