/** Runs the built program as a person would, on real images, and reads what it recorded. */
import { type ChildProcess, spawn } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "vitest";
import { type Report, reportSchema } from "../../src/contract/report.ts";
import {
  type Ending,
  endingSchema,
  INDEX_FILE,
  indexLineSchema,
  ownerSchema,
  SESSION_FILES,
  type SessionEnded,
  sessionEndedSchema,
  statusSchema,
  timingSchema,
} from "../../src/contract/session.ts";

const PROGRAM = fileURLToPath(new URL("../../dist/cli/hiperiso.js", import.meta.url));

export interface Finished {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly finished: Promise<Finished>;
  /** Resolves with the first line of stdout or stderr that matches; rejects when the program ends before. */
  lineMatching(pattern: RegExp): Promise<string>;
}

/** Starts `hiperiso` with these words. */
export function start(words: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const child = spawn(process.execPath, [PROGRAM, ...words], {
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const seen = { stdout: "", stderr: "" };
  const waiting = new Set<() => void>();
  const take = (name: "stdout" | "stderr") => (text: string) => {
    seen[name] += text;
    for (const look of waiting) look();
  };
  child.stdout.setEncoding("utf8").on("data", take("stdout"));
  child.stderr.setEncoding("utf8").on("data", take("stderr"));
  const finished = new Promise<Finished>((resolve) => child.once("close", (status, signal) => resolve({ status, signal, ...seen })));
  const lineMatching = (pattern: RegExp) =>
    new Promise<string>((resolve, reject) => {
      const look = () => {
        const line = `${seen.stdout}\n${seen.stderr}`.split("\n").find((one) => pattern.test(one));
        if (line === undefined) return;
        waiting.delete(look);
        resolve(line);
      };
      waiting.add(look);
      look();
      void finished.then(({ stderr }) => reject(new Error(`it ended without a line like ${pattern}:\n${stderr}`)));
    });
  return { child, finished, lineMatching };
}

export const run = (words: readonly string[], env?: NodeJS.ProcessEnv): Promise<Finished> => start(words, env).finished;

/** The demo image in a variant, built once and kept. */
export async function demoImage(variant = "normal"): Promise<string> {
  return lastLine(await run(["live", "demo", "--variant", variant]));
}

export async function builtImage(plan: string): Promise<string> {
  return lastLine(await run(["live", "build", fileURLToPath(new URL(`plans/${plan}`, import.meta.url))]));
}

function lastLine({ status, stdout, stderr }: Finished): string {
  expect(status, stderr).toBe(0);
  return stdout.trim().split("\n").at(-1)!;
}

export interface Workplace extends AsyncDisposable {
  readonly root: string;
  readonly logs: string;
}

/** A folder of the test's own, removed with all that is in it. */
export async function workplace(): Promise<Workplace> {
  const root = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  return { root, logs: join(root, "logs"), [Symbol.asyncDispose]: () => rm(root, { recursive: true, force: true }) };
}

/** Words of a small, quick boot that records under `logs`. */
export const bootWords = (image: string, logs: string, ...more: readonly string[]): readonly string[] => [
  "boot",
  image,
  "--ram",
  "512",
  "--log-dir",
  logs,
  ...more,
];

export interface RecordedSession {
  readonly directory: string;
  readonly session: SessionEnded;
  readonly report: Report;
  readonly ending: Ending;
  readonly serial: string;
  readonly files: readonly string[];
}

export const sessionDirectories = (logs: string): readonly string[] =>
  readdirSync(logs, { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => join(logs, name))
    .sort();

/** The only session under `logs`, each of its JSON files held to its schema. */
export function onlySession(logs: string): RecordedSession {
  const directories = sessionDirectories(logs);
  expect(directories).toHaveLength(1);
  return readRecorded(directories[0]!);
}

export function readRecorded(directory: string): RecordedSession {
  const text = (name: string) => readFileSync(join(directory, name), "utf8");
  const json = (name: string): unknown => JSON.parse(text(name));
  statusSchema.parse(json(SESSION_FILES.status));
  ownerSchema.parse(json(SESSION_FILES.owner));
  timingSchema.parse(json(SESSION_FILES.timingJson));
  const files = readdirSync(directory);
  expect(files).toContain(SESSION_FILES.complete);
  expect(files.filter((name) => name.endsWith(".tmp") || name === ".reserve")).toEqual([]);
  return {
    directory,
    session: sessionEndedSchema.parse(json(SESSION_FILES.session)),
    report: reportSchema.parse(json(SESSION_FILES.report)),
    ending: endingSchema.parse(json(SESSION_FILES.ending)),
    serial: files.includes(SESSION_FILES.serial) ? text(SESSION_FILES.serial) : "",
    files,
  };
}

/** Ids in `index.jsonl`, every line held to its schema, the file to its last byte. */
export function indexedIds(logs: string): readonly string[] {
  const content = readFileSync(join(logs, INDEX_FILE), "utf8");
  expect(content.endsWith("\n")).toBe(true);
  return content
    .slice(0, -1)
    .split("\n")
    .map((line) => indexLineSchema.parse(JSON.parse(line)).session_id);
}

/** Process ids of QEMUs whose command line names `text`. */
export function qemusNaming(text: string): readonly number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((pid) => {
      try {
        const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
        return /qemu-system/.test(words[0] ?? "") && words.some((word) => word.includes(text));
      } catch {
        return false; // it has ended meanwhile
      }
    })
    .map(Number);
}

/** Waits until `holds`; the test's own limit ends a wait that never does. */
export async function eventually(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 20));
}
