/** The programs and files of the system that hiperiso uses: the list, what of it is here, and which package brings the rest. */
import { execFile } from "node:child_process";
import { access, readFile } from "node:fs/promises";
import * as z from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { SYSTEM_PACKAGES_FILE } from "./tool-packages.ts";
import { lookForTool } from "./tools.ts";
import type { Environment } from "./xdg.ts";

/** Families of distributions whose package names the list knows. */
export const DISTRIBUTIONS = ["debian", "fedora", "arch", "opensuse"] as const;
export type Distribution = (typeof DISTRIBUTIONS)[number];

const toolSchema = z.looseObject({
  id: z.string(),
  what: z.string(),
  /** Any one of these is enough. */
  commands: z.array(z.string()),
  /** Other programs that the same package brings. */
  also: z.array(z.string()).optional(),
  /** Or any one of these. */
  files: z.array(z.string()),
  packages: z.record(z.enum(DISTRIBUTIONS), z.string()),
  needed_for: z.string(),
  cost_when_missing: z.string(),
  /** Its stage cannot do without. */
  required: z.boolean(),
  /** boot: `hiperiso boot`; demo: building live images; test: the program's own tests. */
  stage: z.enum(["boot", "demo", "test"]),
});

export type SystemTool = z.infer<typeof toolSchema>;

export async function readSystemTools(file: URL = SYSTEM_PACKAGES_FILE): Promise<readonly SystemTool[]> {
  try {
    return z.looseObject({ tools: z.array(toolSchema) }).parse(JSON.parse(await readFile(file, "utf8"))).tools;
  } catch (cause) {
    throw new HiperisoError({
      what: "read the list of system packages",
      where: file.pathname,
      found: reasonOf(cause),
      hint: "The installation is not complete; install hiperiso again.",
      cause,
    });
  }
}

/** Where a tool was found. */
export interface FoundTool {
  readonly tool: SystemTool;
  /** Absolute path of the program or file; undefined when it is missing. */
  readonly path: string | undefined;
  /** As the program tells it; undefined for files, and for programs that tell none. */
  readonly version: string | undefined;
}

export async function lookForTools(tools: readonly SystemTool[], env: Environment, signal: AbortSignal): Promise<readonly FoundTool[]> {
  const found: FoundTool[] = [];
  for (const tool of tools) found.push(await lookFor(tool, env, signal));
  return found;
}

async function lookFor(tool: SystemTool, env: Environment, signal: AbortSignal): Promise<FoundTool> {
  for (const command of tool.commands) {
    const path = await lookForTool(command, env);
    if (path !== undefined) return { tool, path, version: await versionOf(path, signal) };
  }
  for (const path of tool.files) {
    if (await isReadable(path)) return { tool, path, version: undefined };
  }
  return { tool, path: undefined, version: undefined };
}

const isReadable = (path: string): Promise<boolean> =>
  access(path).then(
    () => true,
    () => false,
  );

const VERSION_LIMIT_MS = 5000;

/** All of them know `--version` or answer it with a usage that begins with their version; their exit status says nothing. */
async function versionOf(program: string, signal: AbortSignal): Promise<string | undefined> {
  const text = await new Promise<string>((resolve) => {
    const options = {
      timeout: VERSION_LIMIT_MS,
      killSignal: "SIGKILL",
      maxBuffer: 65_536,
      signal,
      env: { ...process.env, LC_ALL: "C" },
    } as const;
    const child = execFile(program, ["--version"], options, (_, stdout, stderr) => resolve(`${stdout}\n${stderr}`));
    child.stdin?.on("error", () => {});
    child.stdin?.end();
  });
  signal.throwIfAborted();
  return decodeVersionLine(text);
}

/** The first number with a dot in the first lines that a program prints about itself: `7.2.22`, `4.6.1`, `1.47.0-rc1`. */
export function decodeVersionLine(text: string): string | undefined {
  const head = text.split("\n").slice(0, 6).join("\n");
  return /(?<![\w.])v?(\d+(?:\.\d+)+(?:[-+~][\w.]+)?)/.exec(head)?.[1];
}

/** Which family this computer's distribution belongs to, by os-release(5); undefined for another one. */
export async function readDistribution(file = "/etc/os-release"): Promise<Distribution | undefined> {
  return decodeDistribution(await readFile(file, "utf8").catch(() => ""));
}

/** ID first, then ID_LIKE, which lists relatives, nearest first. */
export function decodeDistribution(osRelease: string): Distribution | undefined {
  const value = (key: string): string => new RegExp(`^${key}=["']?([^"'\n]*)`, "m").exec(osRelease)?.[1] ?? "";
  for (const word of `${value("ID")} ${value("ID_LIKE")}`.split(/\s+/)) {
    const family = FAMILIES.find(([, members]) => members.test(word))?.[0];
    if (family !== undefined) return family;
  }
  return undefined;
}

const FAMILIES: readonly (readonly [Distribution, RegExp])[] = [
  ["debian", /^(debian|ubuntu)$/],
  ["fedora", /^(fedora|rhel|centos)$/],
  ["arch", /^arch$/],
  ["opensuse", /^(opensuse|suse|sles)/],
];

const INSTALL: Readonly<Record<Distribution, string>> = {
  debian: "sudo apt install",
  fedora: "sudo dnf install",
  arch: "sudo pacman -S",
  opensuse: "sudo zypper install",
};

/** What to type for these tools, each package once. */
export function installCommand(distribution: Distribution, tools: readonly SystemTool[]): string {
  const packages = new Set(tools.map(({ packages }) => packages[distribution]));
  return `${INSTALL[distribution]} ${[...packages].sort().join(" ")}`;
}
