/** Hands a file to the person's desktop, which shows it in a program of its own choice. */
import { spawn } from "node:child_process";
import { setTimeout as delay } from "node:timers/promises";
import { lookForTool } from "./tools.ts";
import type { Environment } from "./xdg.ts";

/** Some openers end when the file is shown, others when its window is closed: one that lives this long has found a program. */
const OPENED_AFTER_MS = 3000;

/** Undefined: the desktop took it. Else why not: the end of a sentence. */
export async function openOnDesktop(path: string, env: Environment, signal: AbortSignal): Promise<string | undefined> {
  const name = process.platform === "darwin" ? "open" : "xdg-open";
  if (name === "xdg-open" && !env["DISPLAY"] && !env["WAYLAND_DISPLAY"]) return "there is no display here";
  const program = await lookForTool(name, env);
  if (program === undefined) return `there is no ${name} here`;
  // Its own session: the browser outlives us, and what the terminal sends to us does not reach it.
  const child = spawn(program, [path], { env: { ...env }, stdio: "ignore", detached: true });
  child.unref();
  const ended = new Promise<string | undefined>((resolve) => {
    child.once("error", (error) => resolve(`${name} did not start: ${error.message}`));
    child.once("exit", (code) => resolve(code === 0 ? undefined : `${name} ended with status ${code ?? "of a signal"}`));
  });
  const stop = new AbortController();
  try {
    return await Promise.race([ended, delay(OPENED_AFTER_MS, undefined, { signal: AbortSignal.any([signal, stop.signal]) })]);
  } finally {
    stop.abort();
  }
}
