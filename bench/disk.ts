/**
 * `npm run bench:disk -- [MB [FILES [LISTED]]]`: volumes in image files against the tools of the system, by default 4,000 MB in 10 files, and
 * 100,000 files listed.
 *
 *   add     `disk cp` of all files into an empty exFAT image, until they are on the medium, against `cp` + `sync` of the same files onto the same disk: limit 1.1
 *   read    all files of that image through our exFAT, with SHA-256, against `sha256sum` of the same files: limit 1.1
 *   list    `disk ls -R` of all files in folders of 100: limit 2 seconds and 100 MB. dump.exfat and `mdir -/` are timed beside it, for the ratio; dump.exfat reads
 *           the root and the bitmap alone, so `fsck.exfat -n`, which reads all folders, is there too
 *
 * Whole processes from spawn to exit, so Node's own start counts against us; in rounds, in turns, from a page cache that holds the sources, with everything before
 * them flushed. The medians' ratio is printed, of the clock and of processor seconds. BENCH_FOLDER: where the files are, if not among the temporary ones.
 */
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { quietJob } from "../src/contract/job.ts";
import { type BlockStore, memoryStore } from "../src/disk/block-store.ts";
import { makeExfat } from "../src/disk/exfat/make.ts";
import { openExfat } from "../src/disk/exfat/volume.ts";
import { makeFat } from "../src/disk/fat/make.ts";
import { openFat } from "../src/disk/fat/volume.ts";
import type { Volume } from "../src/disk/volume.ts";
import { type Measured, timedLine, timedNode } from "./timed-line.ts";

const [totalMb = 4000, fileCount = 10, listed = 100_000] = process.argv.slice(2).map(Number);
const ROUNDS = 3;
const RATIO_LIMIT = 1.1;
const LIST_LIMITS = { seconds: 2, residentMb: 100 } as const;
const LISTED_PER_FOLDER = 100;

const DIST = `file://${process.cwd()}/dist`;
const HIPERISO = `'${process.execPath}' '${process.cwd()}/dist/cli/hiperiso.js'`;
/** The volume's files one after the other, and the sum of each: as a program that uses the library does it. */
const READER = `
  import { createHash } from "node:crypto";
  const { quietJob } = await import("${DIST}/contract/job.js");
  const { openFileStore } = await import("${DIST}/disk/block-store.js");
  const { openExfat } = await import("${DIST}/disk/exfat/volume.js");
  const store = await openFileStore(process.argv[2]); // the process ends with it
  const volume = await openExfat(store, { readOnly: true }, quietJob);
  for await (const { name } of volume.list("/")) {
    const hash = createHash("sha256");
    for await (const piece of volume.read("/" + name)) hash.update(piece);
    console.log(hash.digest("hex") + "  " + name);
  }
`;

const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "hiperiso-bench-"));
try {
  writeFileSync(join(folder, "reader.mjs"), READER);
  makeFiles();
  const image = `truncate -s ${Math.ceil(totalMb * 1.1) + 64}MB volume.img && ${HIPERISO} disk mkfs volume.img --type exfat --serial 12345678 > log && sync volume.img`;
  const add = compared(
    { prepare: image, line: node("disk cp files/* volume.img/") },
    { prepare: "mkdir copy", line: "cp files/* copy && sync copy/* && sync -f copy" },
    "rm -rf volume.img copy",
  );
  run(`${image} && ${HIPERISO} disk cp files/* volume.img/ > log && cat volume.img > /dev/null`);
  const read = compared(
    { prepare: "true", line: `${timedNode("reader.mjs")} volume.img > ours.sums` },
    { prepare: "true", line: "cd files && sha256sum * > ../theirs.sums" },
    "cmp <(sort ours.sums) <(sort theirs.sums)",
  );
  run("rm -rf volume.img files");
  await makeListed("exfat.img", 256, (store) => makeExfat(store, { serial: 1, clusterBytes: 4096 }, quietJob), openExfat);
  await makeListed("fat.img", 256, (store) => makeFat(store, { serial: 1, bits: 32, clusterBytes: 1024 }, quietJob), openFat);
  const list = { exfat: ours("disk ls -R exfat.img"), fat: ours("disk ls -R fat.img") };
  const theirs = {
    "dump.exfat": median([1, 2, 3].map(() => run("dump.exfat exfat.img > log").seconds)),
    "fsck.exfat": median([1, 2, 3].map(() => run("fsck.exfat -n exfat.img > log").seconds)),
    mdir: median([1, 2, 3].map(() => run("mdir -/ -b -i fat.img :: > log").seconds)),
  };
  const rows = {
    mb: totalMb,
    files: fileCount,
    rounds: ROUNDS,
    add: { ...add, limit: RATIO_LIMIT },
    read: { ...read, limit: RATIO_LIMIT },
    list: { files: listed, ...list, limits: LIST_LIMITS },
    ratios: {
      "exfat/dump.exfat": rounded(list.exfat.seconds / theirs["dump.exfat"]),
      "exfat/fsck.exfat": rounded(list.exfat.seconds / theirs["fsck.exfat"]),
      "fat/mdir": rounded(list.fat.seconds / theirs.mdir),
    },
  };
  process.stdout.write(`${JSON.stringify(rows, null, 1)}\n`);
  const isListed = [list.exfat, list.fat].every(
    ({ seconds, residentMb }) => seconds < LIST_LIMITS.seconds && residentMb < LIST_LIMITS.residentMb,
  );
  process.exitCode = add.ratio <= RATIO_LIMIT && read.ratio <= RATIO_LIMIT && isListed ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

/** Bytes that no disk can leave out or pack. */
function makeFiles(): void {
  mkdirSync(join(folder, "files"));
  const bytes = Math.floor((totalMb * 1e6) / fileCount);
  run(`for i in $(seq ${fileCount}); do head -c ${bytes} /dev/urandom > files/image-$i.iso; done; sync -f files`);
}

/** An image of empty files, made in memory: a hundred thousand flushes of a file would take longer than all else. */
async function makeListed(
  name: string,
  megabytes: number,
  make: (store: BlockStore) => Promise<void>,
  open: (store: BlockStore, options: object, job: typeof quietJob) => Promise<Volume>,
): Promise<void> {
  const bytes = new Uint8Array(megabytes << 20);
  const store = memoryStore(bytes);
  await make(store);
  const volume = await open(store, {}, quietJob);
  for (let number = 0; number < listed; number += 1) {
    const directory = `/folder ${Math.floor(number / LISTED_PER_FOLDER)}`;
    if (number % LISTED_PER_FOLDER === 0) await volume.makeDirectory(directory, 0);
    await volume.write(`${directory}/file number ${number}.iso`, [], { sizeBytes: 0n, modifiedMs: 0 }, quietJob);
  }
  await volume.flush();
  writeFileSync(join(folder, name), bytes);
}

function run(line: string): Measured {
  return timedLine(folder, line);
}

function node(words: string): string {
  return `${timedNode(`'${process.cwd()}/dist/cli/hiperiso.js'`)} ${words} > log`;
}

function ours(words: string): Measured {
  const rounds = [1, 2, 3].map(() => run(node(words)));
  return {
    seconds: rounded(median(rounds.map(({ seconds }) => seconds))),
    processorSeconds: rounded(median(rounds.map(({ processorSeconds }) => processorSeconds))),
    residentMb: rounded(Math.max(...rounds.map(({ residentMb }) => residentMb))),
  };
}

interface Contender {
  readonly prepare: string;
  readonly line: string;
}

function compared(ourTurn: Contender, theirTurn: Contender, cleanUp: string) {
  const rounds = Array.from({ length: ROUNDS }, (_, round) => {
    const turns = [["ours", ourTurn] as const, ["theirs", theirTurn] as const];
    const measured = (round % 2 === 0 ? turns : turns.toReversed()).map(([whose, { prepare, line }]) => {
      run(`${prepare}; sync`);
      return [whose, run(line)] as const;
    });
    run(`${cleanUp}; sync`);
    return Object.fromEntries(measured) as { readonly ours: Measured; readonly theirs: Measured };
  });
  const middle = (whose: "ours" | "theirs", value: keyof Measured) => median(rounds.map((round) => round[whose][value]));
  const ratioOf = (value: keyof Measured) => rounded(middle("ours", value) / middle("theirs", value));
  return {
    ratio: ratioOf("seconds"),
    processorRatio: ratioOf("processorSeconds"),
    ourSeconds: rounded(middle("ours", "seconds")),
    theirSeconds: rounded(middle("theirs", "seconds")),
    residentMb: rounded(Math.max(...rounds.map((round) => round.ours.residentMb))),
  };
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function rounded(value: number): number {
  return Number(value.toFixed(2));
}
