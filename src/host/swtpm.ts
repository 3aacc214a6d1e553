/** swtpm, the program that is a TPM 2.0 to a guest. It dies with us, and ends by itself when QEMU closes its control channel. */
import { type FSWatcher, watch } from "node:fs";
import { open, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { endProcess, type GuardedProcess, startGuarded } from "./guarded-process.ts";

export interface SwtpmStart {
  /** Absolute path of swtpm. */
  readonly program: string;
  /** A private folder for socket, log and the like, on a file system that has sockets. */
  readonly folder: string;
  /** Name below `folder` of the folder that holds its state: swtpm's options cannot hold any path (it splits at every comma). */
  readonly state: string;
  readonly env: NodeJS.ProcessEnv;
  readonly signal: AbortSignal;
}

/** Names below the folder. */
export const SWTPM_SOCKET = "tpm.sock";
const PID_FILE = "tpm.pid";
const LOG_FILE = "tpm.log";

/** Owners only, also of what it writes into a folder that is kept. */
const MODE = "mode=0600";
const PATIENCE_MS = 2_000;

export interface Swtpm extends AsyncDisposable {
  readonly pid: number;
  readonly ended: GuardedProcess["ended"];
}

/** Resolves when the control channel listens. Throws when swtpm ends before, with what it said; a state in use by another is such a case. */
export async function startSwtpm({ program, folder, state, env, signal }: SwtpmStart): Promise<Swtpm> {
  signal.throwIfAborted();
  const log = await open(join(folder, LOG_FILE), "w");
  const words = [
    ...["socket", "--tpm2", "--terminate", "--tpmstate", `dir=${state},${MODE}`],
    ...["--ctrl", `type=unixio,path=${SWTPM_SOCKET},${MODE}`],
    // Written when everything is open: whoever sees it may connect.
    ...["--pid", `file=${PID_FILE}`],
  ];
  const swtpm = startGuarded(program, words, { cwd: folder, env, stdio: ["ignore", log.fd, log.fd] });
  await log.close();
  try {
    await Promise.race([fileAppears(folder, PID_FILE, signal), swtpm.ended]);
    signal.throwIfAborted();
    if ((await stat(join(folder, PID_FILE)).catch(() => undefined)) === undefined) throw await failure(program, folder, swtpm);
  } catch (error) {
    await endProcess(swtpm, PATIENCE_MS);
    throw error;
  }
  return { pid: swtpm.child.pid ?? 0, ended: swtpm.ended, [Symbol.asyncDispose]: () => endProcess(swtpm, PATIENCE_MS) };
}

async function failure(program: string, folder: string, { ended }: GuardedProcess): Promise<HiperisoError> {
  const { code, signal, error } = await ended;
  const said = (await readFile(join(folder, LOG_FILE), "utf8").catch(() => "")).trim().split("\n").slice(-3).join("; ");
  return new HiperisoError({
    what: "start the TPM",
    where: program,
    found: error?.message ?? `swtpm ended with ${signal ?? `status ${code}`}: ${said || "it said nothing"}`,
    hint: "A folder given by --tpm-state belongs to one running guest at a time, and must be one that swtpm can read and write.",
  });
}

/** Resolves once; an abort resolves too, for the caller looks. */
function fileAppears(folder: string, name: string, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let watcher: FSWatcher | undefined;
    const done = () => {
      watcher?.close();
      signal.removeEventListener("abort", done);
      resolve();
    };
    const look = () => void stat(join(folder, name)).then(done, () => {});
    watcher = watch(folder, look);
    watcher.once("error", reject);
    signal.addEventListener("abort", done, { once: true });
    // An abort that came before: nobody is told of it any more.
    if (signal.aborted) done();
    else look();
  });
}
