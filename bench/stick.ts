/**
 * `npm run bench:stick -- [MB [FILES]]`: a stick's image file made with so many MB of images (by default 4,000 in 4 files), against `cp` of the same files into a
 * folder of the same disk, and `sync`.
 *
 *   create   `stick create --no-verify`, until all is on the medium: limit 1.25 times cp + sync
 *   verified the same, read back past the page cache and compared: limit 2.2 times
 *
 * Under 150 MB of memory both. Whole processes from spawn to exit, in rounds, in turns, from a page cache that holds the sources, with everything before them flushed.
 * The medians' ratio is printed, of the clock and of processor seconds. BENCH_FOLDER: where the files are, if not among the temporary ones.
 */
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Measured, timedLine, timedNode } from "./timed-line.ts";

const [totalMb = 4000, fileCount = 4] = process.argv.slice(2).map(Number);
const ROUNDS = 3;
const LIMITS = { create: 1.25, verified: 2.2, residentMb: 150 } as const;

const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "hiperiso-bench-"));
try {
  mkdirSync(join(folder, "images"));
  const bytes = Math.floor((totalMb * 1e6) / fileCount);
  // Bytes that no disk can leave out or pack.
  run(`for i in $(seq ${fileCount}); do head -c ${bytes} /dev/urandom > images/image-$i.iso; done; sync -f images`);
  // What boots is left out: it is the same whatever the images are.
  const create = (words: string) =>
    `${timedNode(`'${process.cwd()}/dist/cli/hiperiso.js'`)} stick create stick.img --no-runtime --iso images ${words} > log && sync -f stick.img`;
  const lines = {
    theirs: "mkdir copy && cp images/* copy && sync copy/* && sync -f copy",
    create: create("--no-verify"),
    verified: create(""),
  };
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const turns = Object.entries(lines);
    const measured = (round % 2 === 0 ? turns : turns.toReversed()).map(([name, line]) => {
      run("rm -rf copy stick.img; cat images/* > /dev/null; sync");
      return [name, run(line)] as const;
    });
    return Object.fromEntries(measured) as Record<keyof typeof lines, Measured>;
  });
  const middle = (whose: keyof typeof lines, value: keyof Measured) => median(rounds.map((round) => round[whose][value]));
  const rowOf = (whose: "create" | "verified") => ({
    ratio: rounded(middle(whose, "seconds") / middle("theirs", "seconds")),
    limit: LIMITS[whose],
    processorRatio: rounded(middle(whose, "processorSeconds") / middle("theirs", "processorSeconds")),
    ourSeconds: rounded(middle(whose, "seconds")),
    theirSeconds: rounded(middle("theirs", "seconds")),
    residentMb: rounded(Math.max(...rounds.map((round) => round[whose].residentMb))),
    residentLimitMb: LIMITS.residentMb,
  });
  const rows = { mb: totalMb, files: fileCount, rounds: ROUNDS, create: rowOf("create"), verified: rowOf("verified") };
  process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
  const isWithin = [rows.create, rows.verified].every(({ ratio, limit, residentMb }) => ratio <= limit && residentMb < LIMITS.residentMb);
  process.exitCode = isWithin ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function run(line: string): Measured {
  return timedLine(folder, line);
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
