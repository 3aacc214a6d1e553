/**
 * `npm run bench:trace [-- decode|tiers [ROUNDS]]`: how fast traces are read, and what each tier costs a boot.
 *
 * decode: 2,000,000 records, 158 MB, of the mixture that a `full` boot writes, to text; processor seconds of `hiperiso-log trace` with its start. Limit:
 * five times what QEMU's own scripts/simpletrace.py does, 154,000 records a second with Python 3.11 on the computer where this was written.
 * `HIPERISO_SIMPLETRACE=…/simpletrace.py` runs that beside it, and its rate counts then.
 *
 * tiers: the demo image to its login prompt under SeaBIOS and OVMF with each tier, processor seconds (user and system) of QEMU and the recorder. The
 * tiers take turns within a round, and the median of a round's ratios to `none` is printed. Limit: 1.03 for `standard`.
 */
import { execFileSync, spawn, spawnSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SimpletraceEncoder } from "../src/formats/simpletrace.js";

const HIPERISO = resolve("dist/cli/hiperiso.js");
const HIPERISO_LOG = resolve("dist/cli/hiperiso-log.js");
const REFERENCE_RECORDS_S = 154_000;
const RECORDS = 2_000_000;
const PROMPT = "hiperiso-demo login:";
const TIERS = ["none", "standard", "detailed", "full"] as const;
const FIRMWARES = ["bios", "uefi"] as const;
/** Clock ticks a second: sysconf(_SC_CLK_TCK), 100 on every Linux of today. */
const TICKS = 100;

const [part = "all", roundsText = "3"] = process.argv.slice(2);
const rounds = Number(roundsText);
const root = mkdtempSync(join(tmpdir(), "hiperiso-bench-"));

/** Accesses to devices, ports and disks as a `full` boot has them: 79 bytes a record. */
function writeSample(path: string): void {
  const declarations = [
    'memory_region_ops_read(int cpu_index, void *mr, uint64_t addr, uint64_t value, unsigned size, const char *name) "cpu %d mr %p addr 0x%"PRIx64" value 0x%"PRIx64" size %u name \'%s\'"',
    'pic_ioport_write(int master, uint64_t addr, uint64_t val) "master %d addr 0x%"PRIx64" val 0x%"PRIx64',
    'blk_co_preadv(void *blk, void *bs, int64_t offset, int64_t bytes, int flags) "blk %p bs %p offset %"PRId64" bytes %" PRId64 " flags 0x%x"',
    'ide_exec_cmd(void *bus, void *state, uint32_t cmd) "IDE exec cmd: bus %p; state %p; cmd 0x%02x"',
  ];
  writeFileSync(join(root, "trace.events"), `${declarations.join("\n")}\n`);
  const encoder = new SimpletraceEncoder();
  encoder.header();
  for (const [id, text] of declarations.entries()) encoder.mapping(id, text.slice(0, text.indexOf("(")));
  const names = ["serial", "ahci", "vga ioports remapped", "hpet", "ioapic"].map((name) => Buffer.from(name));
  const file = openSync(path, "w");
  for (let index = 0; index < RECORDS; index++) {
    const time = 1_000_000_000_000n + BigInt(index) * 1000n;
    const n = BigInt(index);
    const kind = index % 8;
    if (kind < 5)
      encoder.event(0, time, 4711, [n & 1n, 0x5561_2345_6780n + n, 0xfed0_0000n + (n & 0xfffn), n * 77n, 4n, names[index % 5]!]);
    else if (kind === 5) encoder.event(1, time, 4711, [1n, 0x21n, n & 0xffn]);
    else if (kind === 6) encoder.event(2, time, 4711, [0x5561_0000_1000n, 0x5561_0000_2000n, n * 512n, 2048n, 0n]);
    else encoder.event(3, time, 4711, [0x5561_0000_3000n, 0x5561_0000_4000n, 0xa0n]);
    if (encoder.pending > 1 << 20) writeSync(file, encoder.take());
  }
  writeSync(file, encoder.take());
  closeSync(file);
}

/** Processor seconds of a program and all it started. */
function cpuOf(program: string, args: readonly string[]): number {
  const script = 'exec 3>&2; "$@" > /dev/null 2>/dev/null; times >&3';
  const { status, stderr } = spawnSync("/bin/sh", ["-c", script, "sh", program, ...args], { encoding: "utf8" });
  if (status !== 0) throw new Error(`${program} ${args.join(" ")}: status ${status}: ${stderr}`);
  const [user = 0, system = 0] = [
    ...stderr
      .trim()
      .split("\n")
      .at(-1)!
      .matchAll(/(\d+)m([\d.]+)s/g),
  ].map(([, minutes, seconds]) => Number(minutes) * 60 + Number(seconds));
  return user + system;
}

function benchDecode(): boolean {
  const trace = join(root, "sample.bin");
  writeSample(trace);
  const events = join(root, "trace.events");
  const bytes = statSync(trace).size;
  const runs = Array.from({ length: 3 }, () => cpuOf(process.execPath, [HIPERISO_LOG, "trace", trace, "--events", events]));
  const seconds = median(runs);
  const script = process.env["HIPERISO_SIMPLETRACE"];
  const reference = script === undefined ? REFERENCE_RECORDS_S : RECORDS / cpuOf("python3", [script, events, trace]);
  const rate = RECORDS / seconds;
  const result = {
    decode: "text",
    records: RECORDS,
    mb: Math.round(bytes / 1e6),
    cpu_s: Number(seconds.toFixed(2)),
    records_per_s: Math.round(rate),
    reference_records_per_s: Math.round(reference),
    times_reference: Number((rate / reference).toFixed(1)),
    limit: 5,
  };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  return result.times_reference >= result.limit;
}

function cpuSeconds(pid: number): number {
  const fields = readFileSync(`/proc/${pid}/stat`, "latin1").split(") ").at(-1)!.split(" ");
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

interface Boot {
  readonly seconds: number;
  readonly events: number;
  readonly dropped: number;
  readonly traceBytes: number;
}

async function boot(image: string, firmware: string, tier: string): Promise<Boot> {
  const logs = mkdtempSync(join(root, "logs-"));
  const words = ["boot", image, "--firmware", firmware, "--accel", "tcg", "--ram", "512", "--trace-level", tier, "--log-dir", logs];
  const child = spawn(process.execPath, [HIPERISO, ...words], { stdio: "ignore" });
  const ended = new Promise((over) => child.once("exit", over));
  const session = () => readdirSync(logs).find((name) => !name.startsWith(".") && !name.endsWith(".jsonl"));
  const read = (name: string): string => {
    try {
      return readFileSync(join(logs, session() ?? "-", name), "latin1");
    } catch {
      return "";
    }
  };
  while (read("qemu.cmdline") === "") await delay(2);
  const before = cpuSeconds(child.pid!); // its own start, the image and the plan are not part of recording
  while (read("qemu.json") === "") await delay(2);
  const { pid } = JSON.parse(read("qemu.json")) as { pid: number };
  while (!read("serial.log").includes(PROMPT)) await delay(50);
  const seconds = cpuSeconds(pid) + cpuSeconds(child.pid!) - before;
  await ended;
  const facts = tier === "none" ? { events: 0, dropped: 0 } : (JSON.parse(read("trace.json")) as { events: number; dropped: number });
  const traceBytes = tier === "none" ? 0 : statSync(join(logs, session()!, "trace.bin")).size;
  rmSync(logs, { recursive: true });
  return { seconds, ...facts, traceBytes };
}

async function benchTiers(): Promise<boolean> {
  const image = execFileSync(process.execPath, [HIPERISO, "live", "demo"], { encoding: "utf8" }).trim().split("\n").at(-1)!;
  let good = true;
  for (const firmware of FIRMWARES) {
    await boot(image, firmware, "none"); // files into memory
    const boots: Record<string, Boot[]> = { none: [], standard: [], detailed: [], full: [] };
    for (let round = 0; round < rounds; round++) {
      // The order is turned each time: a busy or a slow moment falls on all of them.
      for (let turn = 0; turn < TIERS.length; turn++) {
        const tier = TIERS[(turn + round) % TIERS.length]!;
        boots[tier]!.push(await boot(image, firmware, tier));
        process.stderr.write(`${firmware} ${tier}: ${boots[tier]!.at(-1)!.seconds.toFixed(2)} s\n`);
      }
    }
    for (const tier of TIERS) {
      const ratio = median(boots[tier]!.map(({ seconds }, round) => seconds / boots["none"]![round]!.seconds));
      const { events, dropped, traceBytes } = boots[tier]!.at(-1)!;
      const cpu_s = Number(median(boots[tier]!.map(({ seconds }) => seconds)).toFixed(2));
      const limit = tier === "standard" ? { limit: 1.03 } : {};
      process.stdout.write(
        `${JSON.stringify({ firmware, tier, cpu_s, ratio: Number(ratio.toFixed(3)), ...limit, events, dropped, mb: Number((traceBytes / 1e6).toFixed(2)) })}\n`,
      );
      if (tier === "standard" && ratio > 1.03) good = false;
    }
  }
  return good;
}

const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;

try {
  const decoded = part === "tiers" || benchDecode();
  const tiers = part === "decode" || (await benchTiers());
  process.exitCode = decoded && tiers ? 0 : 1;
} finally {
  rmSync(root, { recursive: true, force: true });
}
