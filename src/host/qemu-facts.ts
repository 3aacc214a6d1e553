/** What the QEMU of this computer can do, in its own words (`-version`, `-machine help`, …). */
import { execFile } from "node:child_process";
import { stat } from "node:fs/promises";
import * as z from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { keptOr } from "./kept-answer.ts";
import { programIdentity } from "./program-identity.ts";

export interface QemuMachine {
  readonly name: string;
  /** The versioned name that this one stands for: `q35` → `pc-q35-7.2`. */
  readonly aliasOf: string | null;
  readonly isDefault: boolean;
}

export interface QemuFacts {
  /** `7.2.22` */
  readonly version: string;
  /** Version and package, as QEMU writes them: `7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`. */
  readonly fullVersion: string;
  readonly machines: readonly QemuMachine[];
  /** Names for `-device`. */
  readonly devices: readonly string[];
  /** Names for `-accel` that were built in. Whether `kvm` works, only a probe guest tells. */
  readonly accelerators: readonly string[];
  /** Names for `-display`. */
  readonly displays: readonly string[];
  /** Built with the trace backend that writes `trace.bin`. */
  readonly simpleTrace: boolean;
}

export interface QemuFactsOptions {
  /** Folder for the answer, kept until this QEMU or one of its modules is changed: `$XDG_CACHE_HOME/hiperiso`. Made when missing. */
  readonly cacheDir: string;
  readonly signal: AbortSignal;
  /** Where distributions put QEMU's modules: a new module is a new device or display. */
  readonly moduleFolders?: readonly string[];
}

const MODULE_FOLDERS = ["/usr/lib/x86_64-linux-gnu/qemu", "/usr/lib64/qemu", "/usr/lib/qemu", "/usr/local/lib/qemu"];
const CACHE_FILE = "qemu-facts.json";

/** `qemu`: an absolute path. Throws when it cannot be run, or says what no QEMU says. */
export async function qemuFacts(qemu: string, { cacheDir, signal, moduleFolders = MODULE_FOLDERS }: QemuFactsOptions): Promise<QemuFacts> {
  signal.throwIfAborted();
  const modules = await Promise.all(moduleFolders.map(folderIdentity));
  const basis = [await programIdentity(qemu), ...modules];
  const kept = { folder: cacheDir, name: CACHE_FILE, basis, schema: factsSchema, holds: () => true, signal };
  return await keptOr(kept, () => askQemu(qemu, signal));
}

const factsSchema = z.object({
  version: z.string(),
  fullVersion: z.string(),
  machines: z.array(z.object({ name: z.string(), aliasOf: z.string().nullable(), isDefault: z.boolean() })),
  devices: z.array(z.string()),
  accelerators: z.array(z.string()),
  displays: z.array(z.string()),
  simpleTrace: z.boolean(),
});

async function askQemu(qemu: string, cancel: AbortSignal): Promise<QemuFacts> {
  const failed = new AbortController();
  const signal = AbortSignal.any([cancel, failed.signal]);
  try {
    const [version, machines, devices, accelerators, displays, monitor] = await Promise.all([
      run(qemu, ["-version"], "", signal),
      run(qemu, ["-machine", "help"], "", signal),
      run(qemu, ["-device", "help"], "", signal),
      run(qemu, ["-accel", "help"], "", signal),
      run(qemu, ["-display", "help"], "", signal),
      run(qemu, ["-M", "none", "-nodefaults", "-display", "none", "-qmp", "stdio"], TRACE_QUESTION, signal),
    ]);
    return {
      ...decodeVersion(version, qemu),
      machines: decodeMachineHelp(machines),
      devices: decodeDeviceHelp(devices),
      accelerators: decodeListHelp(accelerators),
      displays: decodeListHelp(displays),
      simpleTrace: decodeTraceAnswer(monitor),
    };
  } finally {
    failed.abort(); // After the first failure the other answers are of no use.
  }
}

/** Half a second where nothing else runs; an emulated computer takes a hundred times as long. */
const ANSWER_LIMIT_MS = 180_000;
const ANSWER_MAX_BYTES = 4 * 1024 * 1024;

/** What the program prints on stdout. Its warnings (`module … not found`) do not matter, its exit status does. */
export function run(program: string, args: readonly string[], input: string, signal: AbortSignal): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = {
      signal,
      timeout: ANSWER_LIMIT_MS,
      maxBuffer: ANSWER_MAX_BYTES,
      killSignal: "SIGKILL" as const,
      env: { ...process.env, LC_ALL: "C" },
    };
    const child = execFile(program, args, options, (error, stdout, stderr) => {
      if (error === null) return resolve(stdout);
      if (signal.aborted) return reject(signal.reason);
      const found = stderr.trim() === "" ? reasonOf(error) : stderr.trim();
      reject(new HiperisoError({ what: `ask QEMU for ${args.join(" ")}`, where: program, expected: "an answer", found, cause: error }));
    });
    child.stdin?.on("error", () => {}); // EPIPE: the end of the process tells more
    child.stdin?.end(input);
  });
}

/** `QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18+b3)`. Throws when `text` does not begin so. */
export function decodeVersion(text: string, where: string): Pick<QemuFacts, "version" | "fullVersion"> {
  const found = /^QEMU emulator version ((\d+\.\d+(?:\.\d+)?).*)$/m.exec(text);
  const [, fullVersion, version] = found ?? [];
  if (fullVersion === undefined || version === undefined) {
    throw new HiperisoError({
      what: "read QEMU's version",
      where,
      expected: '"QEMU emulator version …"',
      found: JSON.stringify(text.slice(0, 100)),
      hint: "Is this program QEMU?",
    });
  }
  return { version, fullVersion: fullVersion.trim() };
}

/** A line a machine: name, blanks, description, then `(alias of NAME)`, `(default)`, `(deprecated)`. */
export function decodeMachineHelp(text: string): readonly QemuMachine[] {
  return text.split("\n").flatMap((line) => {
    const name = /^([\w.+-]+) {1,}\S/.exec(line)?.[1];
    if (name === undefined || line.startsWith("Supported machines")) return [];
    return [{ name, aliasOf: /\(alias of ([\w.+-]+)\)/.exec(line)?.[1] ?? null, isDefault: /\(default\)/.test(line) }];
  });
}

/** The versioned name of a machine: firmware descriptors know no aliases. A name that is none, or unknown, stays as it is. */
export function machineVersionOf(machines: readonly QemuMachine[], name: string): string {
  return machines.find((machine) => machine.name === name)?.aliasOf ?? name;
}

/** Lines `name "virtio-vga", bus PCI, …` under headings. */
export function decodeDeviceHelp(text: string): readonly string[] {
  return [...text.matchAll(/^name "([^"]+)"/gm)].map(([, name]) => name ?? "");
}

/** `-accel help` and `-display help`: a heading that ends in a colon, a name a line, and advice after a blank line. */
export function decodeListHelp(text: string): readonly string[] {
  const lines = text.split("\n").map((line) => line.trim());
  const names = lines.slice(lines.findIndex((line) => line.endsWith(":")) + 1);
  const end = names.indexOf("");
  return names.slice(0, end < 0 ? names.length : end).filter((line) => /^[\w-]+$/.test(line));
}

/** The monitor's command `trace-file` exists only where the trace backend `simple` was built in (QEMU: hmp-commands.hx). */
const TRACE_QUESTION = [
  { execute: "qmp_capabilities" },
  { execute: "human-monitor-command", arguments: { "command-line": "help trace-file" }, id: "trace-file" },
  { execute: "quit" },
]
  .map((command) => `${JSON.stringify(command)}\n`)
  .join("");

/** `text`: QMP, a JSON object a line. */
export function decodeTraceAnswer(text: string): boolean {
  const reply = z.object({ id: z.literal("trace-file"), return: z.string() });
  for (const line of text.split("\n")) {
    try {
      const found = reply.safeParse(JSON.parse(line));
      if (found.success) return found.data.return.startsWith("trace-file");
    } catch {
      // Not a line of QMP.
    }
  }
  return false;
}

async function folderIdentity(folder: string): Promise<string> {
  const facts = await stat(folder, { bigint: true }).catch(() => undefined);
  return facts === undefined ? `${folder} missing` : `${folder} ${facts.ino} ${facts.mtimeNs}`;
}
