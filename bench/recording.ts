/**
 * `npm run bench:recording [-- PAIRS]`: what recording a boot costs, against the same QEMU command line run bare.
 *
 * Processor seconds (user and system, /proc/PID/stat) of all processes from QEMU's start to the login prompt: QEMU and
 * the recorder on one side, QEMU on the other. Interleaved pairs, the order turned each time, so that a busy or a slow
 * moment falls on both; the median of the pairs' ratios is printed. Limit: 1.03.
 *
 * The bare QEMU gets the recorded one's arguments, word for word, but for those that need a recorder at the other end: it
 * is not started stopped, its console is a plain file, and the recorder's monitor is not there.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** npm runs scripts in the project's folder. */
const PROGRAM = resolve("dist/cli/hiperiso.js");
const PAIRS = Number(process.argv[2] ?? 7);
const PROMPT = "hiperiso-demo login:";
/** Clock ticks a second: sysconf(_SC_CLK_TCK), 100 on every Linux of today. */
const TICKS = 100;
const LOOK_MS = 50;

const root = mkdtempSync(join(tmpdir(), "hiperiso-bench-"));
const image = execFileSync(process.execPath, [PROGRAM, "live", "demo"], { encoding: "utf8" }).trim().split("\n").at(-1)!;

/** Seconds of processor time that a process has used, all its threads. */
function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

const promptIn = (serial: string): boolean => {
  try {
    return readFileSync(serial, "latin1").includes(PROMPT);
  } catch {
    return false;
  }
};

async function recordedRun(index: number): Promise<{ seconds: number; session: string }> {
  const logs = join(root, `logs-${index}`);
  const words = ["boot", image, "--firmware", "bios", "--accel", "tcg", "--ram", "512", "--trace-level", "none", "--log-dir", logs];
  const child = spawn(process.execPath, [PROGRAM, ...words], { stdio: "ignore" });
  let session: string | undefined;
  let qemu: number | undefined;
  let before = 0;
  while (qemu === undefined) {
    session = sessionIn(logs);
    if (session !== undefined && readdirSync(session).includes("qemu.cmdline")) {
      before = cpuSeconds(child.pid!); // its own start, the image and the plan are not part of recording
      while (!readdirSync(session).includes("qemu.json")) await delay(2);
      qemu = (JSON.parse(readFileSync(join(session, "qemu.json"), "utf8")) as { pid: number }).pid;
    } else await delay(2);
  }
  while (!promptIn(join(session!, "serial.log"))) await delay(LOOK_MS);
  const seconds = cpuSeconds(qemu) + cpuSeconds(child.pid!) - before;
  await new Promise((ended) => child.once("exit", ended));
  return { seconds, session: session! };
}

function sessionIn(logs: string): string | undefined {
  try {
    const [name] = readdirSync(logs).filter((entry) => !entry.startsWith("."));
    return name === undefined ? undefined : join(logs, name);
  } catch {
    return undefined;
  }
}

async function bareRun(index: number, commandLine: readonly string[]): Promise<number> {
  const folder = mkdtempSync(join(root, `bare-${index}-`));
  const serial = join(folder, "serial.log");
  const [program, ...args] = bareArguments(commandLine, folder, serial);
  const child = spawn(program!, args, { stdio: "ignore", cwd: folder });
  while (!promptIn(serial)) await delay(LOOK_MS);
  const seconds = cpuSeconds(child.pid!);
  child.kill("SIGKILL");
  await new Promise((ended) => child.once("exit", ended));
  return seconds;
}

function bareArguments(words: readonly string[], folder: string, serial: string): readonly string[] {
  const bare: string[] = [];
  for (let at = 0; at < words.length; at++) {
    const word = words[at]!;
    const value = words[at + 1] ?? "";
    const ofRecorder = /^socket,id=(recorder|monitor),/.test(value) || /^chardev=(recorder|monitor),/.test(value);
    if (word === "-S") continue;
    if (ofRecorder) at++;
    else if (value.startsWith("null,id=serial0")) {
      bare.push(word, `file,id=serial0,path=${serial}`);
      at++;
    } else if (/id=firmware,path=/.test(value)) {
      bare.push(word, `file,id=firmware,path=${join(folder, "firmware.log")}`);
      at++;
    } else bare.push(word);
  }
  return bare;
}

/** The words of `qemu.cmdline`, as a shell reads them. */
const commandLineOf = (session: string): readonly string[] =>
  execFileSync("sh", ["-c", `printf '%s\\0' ${readFileSync(join(session, "qemu.cmdline"), "utf8")}`], { encoding: "utf8" })
    .split("\0")
    .slice(0, -1);

const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;

try {
  const { session } = await recordedRun(-1); // files into memory, and the command line
  const commandLine = commandLineOf(session);
  const pairs: { recorded: number; bare: number }[] = [];
  for (let index = 0; index < PAIRS; index++) {
    const recordedFirst = index % 2 === 0;
    const first = recordedFirst ? (await recordedRun(index)).seconds : await bareRun(index, commandLine);
    const second = recordedFirst ? await bareRun(index, commandLine) : (await recordedRun(index)).seconds;
    pairs.push(recordedFirst ? { recorded: first, bare: second } : { recorded: second, bare: first });
    process.stderr.write(`pair ${index + 1}: recorded ${pairs.at(-1)!.recorded.toFixed(2)} s, bare ${pairs.at(-1)!.bare.toFixed(2)} s\n`);
  }
  const result = {
    ratio: Number(median(pairs.map(({ recorded, bare }) => recorded / bare)).toFixed(3)),
    limit: 1.03,
    pairs: PAIRS,
    recorded_cpu_s: Number(median(pairs.map(({ recorded }) => recorded)).toFixed(2)),
    bare_cpu_s: Number(median(pairs.map(({ bare }) => bare)).toFixed(2)),
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  process.exitCode = result.ratio <= result.limit ? 0 : 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
