/**
 * `npm run bench:log -- LOG…`: how fast the analyser reads, and in how much memory.
 *
 * The logs given are repeated to 200 MB. Beside it, in the same run and on the same file: `grep -c -E` with one alternation of all the patterns,
 * as far as grep knows their syntax. Then a line of 200 MB, and 50 million empty ones. Processor seconds, not the clock: other work on the machine counts less.
 */
import { execFileSync, spawnSync } from "node:child_process";
import { once } from "node:events";
import { createReadStream, createWriteStream, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { finished } from "node:stream/promises";
import { gunzipSync } from "node:zlib";
import { analyseConsole } from "../src/analysis/analyse.ts";
import { RULES } from "../src/analysis/rules.ts";
import { STAGE_MARKS } from "../src/analysis/stage-marks.ts";

const TARGET_BYTES = 200_000_000;
const EMPTY_LINES = 50_000_000;
const GREP_LIMIT_MS = 120_000;
const CHUNK_BYTES = 1024 * 1024;

const paths = process.argv.slice(2);
if (paths.length === 0) {
  process.stderr.write("usage: npm run bench:log -- LOG…\n");
  process.exit(2);
}
const scratch = mkdtempSync(join(tmpdir(), "hiperiso-bench-"));
try {
  const grown = join(scratch, "grown.log");
  const bytes = await grow(grown, Buffer.concat(paths.map(readLog)));
  const ours = await measure(createReadStream(grown, { highWaterMark: CHUNK_BYTES }) as AsyncIterable<Buffer>);
  const other = grep(grown);
  print("200 MB of logs", bytes, ours);
  process.stdout.write(
    `  grep -c -E with ${other.patterns} patterns: ${other.seconds.toFixed(2)} s, ${(other.seconds / ours.seconds).toFixed(2)} times ours\n`,
  );
  print("one line of 200 MB", TARGET_BYTES, await measure(repeated(Buffer.alloc(CHUNK_BYTES, "panic login boot "), TARGET_BYTES)));
  print("50 million empty lines", EMPTY_LINES, await measure(repeated(Buffer.alloc(CHUNK_BYTES, "\n"), EMPTY_LINES)));
} finally {
  rmSync(scratch, { recursive: true, force: true });
}

function readLog(path: string): Buffer {
  const bytes = readFileSync(path);
  return path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
}

async function grow(path: string, seed: Buffer): Promise<number> {
  const out = createWriteStream(path);
  let bytes = 0;
  for (; bytes < TARGET_BYTES; bytes += seed.length) if (!out.write(seed)) await once(out, "drain");
  out.end();
  await finished(out);
  return bytes;
}

function* repeated(chunk: Buffer, bytes: number): Generator<Buffer> {
  for (let left = bytes; left > 0; left -= chunk.length) yield chunk.subarray(0, Math.min(left, chunk.length));
}

interface Measured {
  readonly seconds: number;
  readonly residentMb: number;
}

async function measure(source: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Measured> {
  const before = process.cpuUsage();
  await analyseConsole(source);
  const { user, system } = process.cpuUsage(before);
  return { seconds: (user + system) / 1e6, residentMb: process.resourceUsage().maxRSS / 1024 };
}

/** Patterns without what POSIX extended expressions lack: lookaround, named groups, lazy repetition, \d and its like. */
function patternsForGrep(): readonly string[] {
  return [...STAGE_MARKS, ...RULES].flatMap(({ pattern: { source } }) => {
    if (/\(\?[=!]|\(\?<[=!]/.test(source)) return [];
    return [
      source
        .replace(/\(\?(?::|<\w+>)/g, "(")
        .replace(/([*+?}])\?/g, "$1")
        .replaceAll("\\d", "[0-9]")
        .replaceAll("[\\w", "[A-Za-z0-9_")
        .replaceAll("[^\\w", "[^A-Za-z0-9_")
        .replaceAll("\\w", "[A-Za-z0-9_]")
        .replaceAll("\\S", "[^ ]")
        .replaceAll("\\/", "/")
        .replaceAll("\\b", "")
        // Bounded repetitions make grep's automaton explode; unbounded ones only match a little more.
        .replace(/\{0,\d+\}/g, "*")
        .replace(/\{\d+,\d*\}/g, "+"),
    ];
  });
}

function grep(path: string): { readonly seconds: number; readonly patterns: number } {
  const patterns = join(scratch, "patterns");
  const usable = patternsForGrep().filter((pattern) => {
    try {
      execFileSync("grep", ["-c", "-E", "-e", pattern], {
        input: "x\n",
        stdio: ["pipe", "ignore", "ignore"],
        env: { LC_ALL: "C", PATH: process.env["PATH"] },
      });
      return true;
    } catch (error) {
      return (error as { readonly status?: number }).status === 1;
    }
  });
  writeFileSync(patterns, `${usable.join("\n")}\n`);
  const started = performance.now();
  const { status, stderr } = spawnSync("grep", ["-c", "-a", "-E", "-f", patterns, path], {
    encoding: "utf8",
    timeout: GREP_LIMIT_MS,
    env: { LC_ALL: "C", PATH: process.env["PATH"] },
  });
  if (status !== null && status > 1) throw new Error(`grep failed: ${stderr}`);
  return { seconds: (performance.now() - started) / 1000, patterns: usable.length };
}

function print(what: string, bytes: number, { seconds, residentMb }: Measured): void {
  process.stdout.write(
    `${what}: ${seconds.toFixed(2)} s of processor time, ${(bytes / 1e6 / seconds).toFixed(0)} MB/s, at most ${residentMb.toFixed(0)} MB resident\n`,
  );
}
