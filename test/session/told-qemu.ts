/**
 * A program in QEMU's place that does what a test says: what the real one cannot be told to do (stop with an internal
 * error, never greet, die at a given moment). What QEMU really does is shown by the boots in test/real.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";

export type Behaviour =
  /** Prints this on the console, then lives until it is told to quit. */
  | { readonly prints: string; readonly ends?: "internal-error" | "shutdown" | "killed" }
  /** Says this on standard error and ends with status 1, before it greets. */
  | { readonly refuses: string }
  | { readonly neverGreets: true };

const SCRIPT = `#!${process.execPath}
const { Socket } = require("node:net");
const { appendFileSync } = require("node:fs");
const args = process.argv.slice(2);
const behaviour = BEHAVIOURS[args[args.indexOf("-accel") + 1]];
if (behaviour.refuses !== undefined) {
  process.stderr.write(behaviour.refuses + "\\n");
  process.exit(1);
}
const monitor = new Socket({ fd: 3 });
const say = (message) => monitor.write(JSON.stringify(message) + "\\r\\n");
let status = "prelaunch", console_ = "", ran = false, pending = "";
if (behaviour.neverGreets === undefined) say({ QMP: { version: {}, capabilities: [] } });
const happen = {
  "internal-error": () => { status = "internal-error"; say({ event: "STOP" }); },
  shutdown: () => say({ event: "SHUTDOWN", data: { guest: true, reason: "guest-shutdown" } }),
  killed: () => process.kill(process.pid, "SIGKILL"),
};
const commands = {
  qmp_capabilities: () => ({}),
  "chardev-change": ({ backend }) => { console_ = backend.data.out; return {}; },
  cont: () => {
    status = "running";
    if (!ran) appendFileSync(console_, behaviour.prints);
    if (!ran && behaviour.ends !== undefined) setTimeout(happen[behaviour.ends], 150);
    ran = true;
    return {};
  },
  stop: () => ({}),
  "query-status": () => ({ status }),
  "query-blockstats": () => [],
  "human-monitor-command": (given) => given["command-line"] + ": nothing\\r\\n",
  system_powerdown: () => { setTimeout(happen.shutdown, 10); return {}; },
  quit: () => { setTimeout(() => process.exit(0), 10); return {}; },
};
monitor.on("data", (bytes) => {
  pending += bytes;
  for (let end = pending.indexOf("\\n"); end >= 0; end = pending.indexOf("\\n")) {
    const command = JSON.parse(pending.slice(0, end));
    pending = pending.slice(end + 1);
    const answer = commands[command.execute];
    if (answer === undefined) say({ error: { class: "GenericError", desc: "no " + command.execute }, id: command.id });
    else say({ return: answer(command.arguments ?? {}), id: command.id });
  }
});
monitor.on("close", () => process.exit(0));
`;

/** The program's path. What it does depends on the accelerator that it is started with. */
export function toldQemu(folder: string, behaviours: Readonly<Partial<Record<"kvm" | "tcg", Behaviour>>>): string {
  const path = join(folder, "qemu.cjs");
  writeFileSync(
    path,
    SCRIPT.replace("BEHAVIOURS", () => JSON.stringify(behaviours)),
  );
  chmodSync(path, 0o755);
  return path;
}
