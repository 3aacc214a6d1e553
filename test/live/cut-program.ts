/**
 * Builds a spec and is cut at one of its calls to the file system that change the store: SPEC STORE killed|full NUMBER. Prints how many such calls
 * there were, where it came to its end.
 */
import fs from "node:fs/promises";
import { syncBuiltinESMExports } from "node:module";
import { reasonOf } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { buildPlan } from "../../src/live/runner.ts";

const [plan, store, cut, number] = process.argv.slice(2) as [string, string, "killed" | "full", string];
let calls = 0;

/** What takes room; the others go on with a full disk. */
const TAKES_ROOM = new Set(["mkdir", "writeFile", "appendFile", "open"]);

const calledOn = (path: unknown): boolean => typeof path === "string" && path.startsWith(store);
const isReading = (name: string, args: readonly unknown[]): boolean => name === "open" && (args[1] === undefined || args[1] === "r");

for (const name of ["rename", "mkdir", "rm", "writeFile", "appendFile", "open", "utimes"] as const) {
  const real = fs[name] as (...args: unknown[]) => Promise<unknown>;
  const cutting = async (...args: unknown[]): Promise<unknown> => {
    if (!calledOn(args[0]) || isReading(name, args)) return await real(...args);
    if (cut === "full" && !TAKES_ROOM.has(name)) return await real(...args);
    calls += 1;
    if (cut === "killed" && calls === Number(number)) process.kill(process.pid, "SIGKILL");
    if (cut === "full" && calls >= Number(number)) {
      throw Object.assign(new Error(`ENOSPC: no space left on device, ${name} '${args[0]}'`), { code: "ENOSPC", syscall: name });
    }
    return await real(...args);
  };
  Object.assign(fs, { [name]: cutting });
}
syncBuiltinESMExports();

try {
  await buildPlan(plan, { store, env: process.env }, quietJob);
  process.stdout.write(`${calls}`);
} catch (error) {
  process.stderr.write(reasonOf(error));
  process.exitCode = 3;
}
