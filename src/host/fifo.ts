import { execFile } from "node:child_process";
import { promisify } from "node:util";

/** A FIFO for its owner alone. Node has no call for it; `mkfifo` is of the core utilities. Throws where the file system has none (exFAT), or the name is taken. */
export async function makeFifo(path: string): Promise<void> {
  await promisify(execFile)("mkfifo", ["-m", "600", "--", path]);
}
