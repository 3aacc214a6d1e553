/**
 * `npm run bench:stick-boot`: from the start of a stick's kernel to the start of the guest's QEMU, phase by phase, as `timing.json` of the stick's session has them.
 *
 * The stick is booted in QEMU, by emulation where there is no KVM. What a computer of today takes is reckoned from that: Node's start on the stick is measured in
 * the emulated computer (`program_start` to `program`) and, in processor time, on this one; their ratio is how much slower the emulated one is, and each phase is
 * divided by it. So the computer has to be quiet. Each phase has a budget, and all of them together 10 seconds.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { timingSchema } from "../src/contract/session.ts";
import { timedLine } from "./timed-line.ts";

/** Seconds, by the phase that ends with the next one's begin. */
const BUDGETS: Readonly<Record<string, number>> = {
  kernel: 2,
  init: 2,
  stick_found: 0.5,
  runtime_mounted: 0.5,
  data_mounted: 0.25,
  program_start: 0.75,
  program: 2.5,
  started: 1.5,
};
const LIMIT_SECONDS = 10;

const dist = join(process.cwd(), "dist");
const HIPERISO = `'${process.execPath}' '${dist}/cli/hiperiso.js'`;
const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "hiperiso-bench-"));
try {
  mkdirSync(join(folder, "isos"));
  run(`${HIPERISO} live demo > demo`);
  copyFileSync(readFileSync(join(folder, "demo"), "utf8").trim(), join(folder, "isos/demo.iso"));
  const config = { control: { timeout: 3600 }, iso_overrides: { "*": { ram: 384, cpus: 1 } } };
  writeFileSync(join(folder, "hiperiso.json"), JSON.stringify(config));
  const steps = [
    { expect: "Pick on the computer", within: 600 },
    { send: "\n" },
    { expect: "Boot recorded, emulated", within: 600 },
    { send: "m" },
    { expect: "The boot is over", within: 3000 },
    { shutdown: "o", within: 600 },
  ];
  writeFileSync(join(folder, "script.yaml"), JSON.stringify({ ignore_fatal: true, steps }));
  run(`${HIPERISO} stick create stick.img --iso isos --config hiperiso.json > made`);
  const machine = "--as usb --firmware uefi --writable --ram 2048 --trace-level none --script script.yaml --log-dir outside";
  run(`${HIPERISO} boot stick.img ${machine} > booted`);
  run(`${HIPERISO} stick pull stick.img --to home --no-open > pulled`);
  const [session = ""] = readdirSync(join(folder, "home")).filter((name) => name.startsWith("demo"));
  const { phases } = timingSchema.parse(JSON.parse(readFileSync(join(folder, "home", session, "timing.json"), "utf8")));
  const uptimeOf = (name: string): number => {
    const found = phases.find(({ phase }) => phase === name);
    if (found === undefined) throw new Error(`timing.json has no phase ${name}`);
    return found.uptime_s;
  };
  const start = run(`'${process.execPath}' '${dist}/bundled/hiperiso.js' onboard --help > help`).processorSeconds;
  const slower = (uptimeOf("program") - uptimeOf("program_start")) / start;
  const end = phases.findIndex(({ phase }) => phase === "qemu_start");
  const rows = phases.slice(0, end).map(({ phase, uptime_s: begin }, index) => {
    const seconds = phases[index + 1]!.uptime_s - begin;
    return { phase, seconds: rounded(seconds), reckoned: rounded(seconds / slower), budget: BUDGETS[phase] ?? 0 };
  });
  const all = rounded(rows.reduce((sum, { reckoned }) => sum + reckoned, 0));
  process.stdout.write(`${JSON.stringify({ slower: rounded(slower), phases: rows, reckoned: all, limit: LIMIT_SECONDS }, null, 1)}\n`);
  process.exitCode = all <= LIMIT_SECONDS && rows.every(({ reckoned, budget }) => reckoned <= budget) ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function run(line: string): ReturnType<typeof timedLine> {
  return timedLine(folder, line);
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
