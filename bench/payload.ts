/**
 * `npm run bench:payload -- [MB [FILES]]`: payload containers against `cat` and `tar`, by default 3,000 MB in 1,000 files.
 *
 *   create     against `cat FILES > ONE`: limit 1.2
 *   extract    against `tar -x` of an archive of the same files: limit 1.3
 *
 * Each twice. "flushed": until all is on the medium: `create` and `extract` as they are, `cat` with `sync FILE` and `tar` with `sync -f` behind them.
 * "cached": no one waits for the medium: `--no-sync` against the bare tools. Whole processes from spawn to exit, so Node's own start counts
 * against us; in rounds, the two in turns, from a page cache that holds the sources (memory for three times MB is wanted), with everything before
 * them flushed. The medians' ratio is printed, of the clock and
 * (flushing apart, which no process is charged for) of processor seconds: where other work or a virtual machine's memory disturbs the clock, those tell more.
 * Resident memory is the largest that any of our processes had, and the same for a quarter of the bytes: it must not grow with them.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Measured, timedLine, timedNode } from "./timed-line.ts";

const [totalMb = 3000, fileCount = 1000] = process.argv.slice(2).map(Number);
const ROUNDS = 5;
const LIMITS = { create: 1.2, extract: 1.3 } as const;
/** How much more memory four times the bytes may take: the heap's own coming and going. */
const GROWTH_LIMIT = 1.25;

/** `npm run` starts in the project's folder; without the row in the table of commands the module is called by itself. */
const PROGRAM = `
  const { main } = await import(${JSON.stringify(`file://${process.cwd()}/dist/cli/program.js`)});
  const { command } = await import(${JSON.stringify(`file://${process.cwd()}/dist/cli/payload.js`)});
  await main({ name: "hiperiso", description: "", examples: [], commands: [{ name: "payload", summary: "", load: async () => ({ command }) }] });
`;

const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "hiperiso-bench-"));
try {
  writeFileSync(join(folder, "payload.mjs"), PROGRAM);
  makeFiles("files", totalMb, fileCount);
  makeFiles("quarter", totalMb / 4, fileCount / 4);
  const created = [
    compared("create", "cached", "cat files/* > one", "create one files --no-sync", "rm one"),
    compared("create", "flushed", "cat files/* > one && sync one", "create one files", "rm one"),
  ];
  const memory = [grown("create", "create one quarter", "create one files", "rm one")];
  run("tar -cf archive.tar -C files .");
  ours("create container files");
  ours("create small quarter");
  run("rm -r files quarter; sync"); // room in the page cache for what is compared
  const extracted = [
    compared("extract", "cached", "mkdir out && tar -xf archive.tar -C out", "extract container out --no-sync", "rm -r out"),
    compared("extract", "flushed", "mkdir out && tar -xf archive.tar -C out && sync -f out", "extract container out", "rm -r out"),
  ];
  memory.push(grown("extract", "extract small out", "extract container out", "rm -r out"));
  const rows = [...created, ...extracted];
  process.stdout.write(`${JSON.stringify({ mb: totalMb, files: fileCount, rounds: ROUNDS, rows, memory }, null, 1)}\n`);
  const isWithin = rows.every(({ what, ratio }) => ratio <= LIMITS[what]) && memory.every(({ ratio }) => ratio <= GROWTH_LIMIT);
  process.exitCode = isWithin ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Bytes that no disk can leave out or pack. */
function makeFiles(name: string, mb: number, count: number): void {
  mkdirSync(join(folder, name));
  const bytes = Math.floor((mb * 1e6) / count);
  run(
    `i=0; while [ $i -lt ${Math.floor(count)} ]; do head -c ${bytes} /dev/urandom > ${name}/distfile-$i.tar.xz; i=$((i + 1)); done; sync`,
  );
}

function run(line: string): Measured {
  return timedLine(folder, line);
}

function ours(words: string): Measured {
  // Progress goes to a file, as to any log.
  return run(`${timedNode("payload.mjs")} payload ${words} > log`);
}

function compared(what: keyof typeof LIMITS, until: "flushed" | "cached", theirLine: string, ourWords: string, cleanUp: string) {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const turns = [() => ({ theirs: run(theirLine) }), () => ({ ours: ours(ourWords) })];
    const measured = (round % 2 === 0 ? turns : turns.toReversed()).map((turn) => {
      touchMemory();
      const result = turn();
      run(`${cleanUp}; sync`);
      return result;
    });
    return Object.assign({}, ...measured) as { readonly ours: Measured; readonly theirs: Measured };
  });
  const middle = (whose: "ours" | "theirs", value: keyof Measured) => median(rounds.map((round) => round[whose][value]));
  const ratioOf = (value: keyof Measured) => rounded(middle("ours", value) / middle("theirs", value));
  return {
    what,
    until,
    ratio: ratioOf("seconds"),
    limit: LIMITS[what],
    processorRatio: ratioOf("processorSeconds"),
    ourSeconds: rounded(middle("ours", "seconds")),
    theirSeconds: rounded(middle("theirs", "seconds")),
    residentMb: rounded(Math.max(...rounds.map((round) => round.ours.residentMb))),
  };
}

/** Where the host of a virtual machine takes back free memory, whoever takes it next waits for it: here nobody who is measured. */
function touchMemory(): void {
  run(`head -c ${Math.floor(totalMb * 1.5e6)} /dev/zero > touched; rm touched`);
}

function grown(what: string, quarter: string, whole: string, cleanUp: string) {
  const [less, more] = [quarter, whole].map((words) => {
    const { residentMb } = ours(words);
    run(cleanUp);
    return residentMb;
  }) as [number, number];
  return { what, quarterMb: rounded(less), wholeMb: rounded(more), ratio: rounded(more / less), limit: GROWTH_LIMIT };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
