/**
 * `npm run bench:startup`: what `hiperiso --help` costs against Node doing nothing.
 *
 * Whole processes, from spawn to exit, in interleaved pairs, so that a busy moment falls on both; the median of the pairs'
 * ratios is printed. Limit: 2.
 */
import { spawnSync } from "node:child_process";
import { resolve } from "node:path";

/** npm runs scripts in the project's folder. */
const PROGRAM = resolve("dist/cli/hiperiso.js");
const PAIRS = 31;

function elapsedMs(args: readonly string[]): number {
  const start = performance.now();
  const { status, error } = spawnSync(process.execPath, args, { stdio: "ignore" });
  if (status !== 0) throw new Error(`node ${args.join(" ")} ended with ${status}`, { cause: error });
  return performance.now() - start;
}

const median = (values: readonly number[]): number => values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;

const NOTHING = ["-e", "0"];
const HELP = [PROGRAM, "--help"];
elapsedMs(NOTHING); // both once, so that the files are in memory
elapsedMs(HELP);
const pairs = Array.from({ length: PAIRS }, () => ({ nothing: elapsedMs(NOTHING), help: elapsedMs(HELP) }));
const result = {
  ratio: Number(median(pairs.map(({ nothing, help }) => help / nothing)).toFixed(2)),
  limit: 2,
  pairs: PAIRS,
  help_ms: Number(median(pairs.map(({ help }) => help)).toFixed(1)),
  node_ms: Number(median(pairs.map(({ nothing }) => nothing)).toFixed(1)),
};
process.stdout.write(`${JSON.stringify(result)}\n`);
process.exitCode = result.ratio <= result.limit ? 0 : 1;
