/**
 * `npm run bench:live -- [first] [live-build]`: building live media, by the compiled program, from spawn to exit.
 *
 *   again      a second build with nothing changed: limit 1 s
 *   file       one file of the root file system changed: only root, image and ISO may run
 *   entry      a boot entry changed: only the ISO may run
 *   iso        writing the ISO against `cp` of its content: limit 1.3
 *   first      (where asked for; it fetches a distribution twice) the first build from an empty store against bench/live/bare.sh, the bare sequence of
 *              the same tools: limit 1.2; and the image's size at the same compression against theirs: limit 1
 *   live-build (with `first`; where live-build is installed, as root) the same image by live-build, without a limit
 *
 * The ISO stage's time is what the build says of it: xorriso, and its output brought onto the disk. `cp` copies what is in the ISO, the same
 * files by their sizes, and brings it onto the disk too. In turns, medians of ROUNDS. All in one folder, whose file system is measured with it.
 */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { timedLine } from "./timed-line.ts";

const ROUNDS = 5;
const LIMITS = { again: 1, iso: 1.3, first: 1.2, size: 1 } as const;
const withFirst = process.argv.includes("first");
const withLiveBuild = process.argv.includes("live-build");

const folder = mkdtempSync(join(process.env["BENCH_FOLDER"] ?? tmpdir(), "hiperiso-bench-"));
const program = resolve("dist/cli/hiperiso.js");
const spec = join(folder, "spec/spec.yaml");

interface Build {
  readonly seconds: number;
  readonly image: string;
  readonly stages: readonly { readonly name: string; readonly reused: boolean; readonly elapsedMs: number; readonly output: string }[];
}

function build(words = ""): Build {
  const line = `'${process.execPath}' '${program}' live build '${spec}' --store store --json ${words} > built.json`;
  const { seconds } = timedLine(folder, line);
  return { seconds, ...(JSON.parse(readFileSync(join(folder, "built.json"), "utf8")) as Omit<Build, "seconds">) };
}

const ran = ({ stages }: Build): readonly string[] => stages.filter(({ reused }) => !reused).map(({ name }) => name);
const stageOf = ({ stages }: Build, name: string) => stages.find((stage) => stage.name === name)!;

try {
  cpSync("bench/live", join(folder, "spec"), { recursive: true });
  const bare = withFirst ? timedLine(folder, "mkdir bare && bash spec/bare.sh bare spec/overlay > bare.log 2>&1") : undefined;
  const liveBuild = withLiveBuild ? timedLine(folder, "mkdir lb && bash spec/live-build.sh lb spec/overlay > lb.log 2>&1") : undefined;
  const first = build();
  const rows: object[] = [];
  let isWithin = true;
  const row = (what: string, facts: object, isGood: boolean): void => {
    rows.push({ what, ...facts, isGood });
    isWithin &&= isGood;
  };
  if (bare !== undefined) {
    const ratio = first.seconds / bare.seconds;
    row(
      "first",
      { ours: rounded(first.seconds), bare: rounded(bare.seconds), ratio: rounded(ratio), limit: LIMITS.first },
      ratio <= LIMITS.first,
    );
    const squashfs = join(stageOf(first, "image").output, "root.squashfs");
    const sizes = [sizeOf(squashfs), sizeOf(join(folder, "bare/iso/live/root.squashfs"))] as const;
    const sizeRatio = sizes[0] / sizes[1];
    row("size", { ours: sizes[0], bare: sizes[1], ratio: rounded(sizeRatio, 4), limit: LIMITS.size }, sizeRatio <= LIMITS.size);
    rmSync(join(folder, "bare"), { recursive: true });
  }
  if (liveBuild !== undefined) {
    row(
      "live-build",
      { ours: rounded(first.seconds), theirs: rounded(liveBuild.seconds), ratio: rounded(first.seconds / liveBuild.seconds) },
      true,
    );
  }

  const again = Array.from({ length: ROUNDS }, () => build());
  const seconds = median(again.map((one) => one.seconds));
  row(
    "again",
    { seconds: rounded(seconds), limit: LIMITS.again, ran: ran(again[0]!) },
    seconds < LIMITS.again && again.every((one) => ran(one).length === 0),
  );

  writeFileSync(join(folder, "spec/overlay/etc/motd"), `changed ${process.pid}\n`);
  const file = build();
  row("file", { seconds: rounded(file.seconds), ran: ran(file) }, ran(file).join() === "root,image,iso");

  const content = join(folder, "content");
  mkdirSync(content);
  const image = stageOf(file, "image").output;
  const kernel = stageOf(file, "kernel").output;
  const from = [join(image, "root.squashfs"), join(kernel, "vmlinuz"), join(kernel, "initrd.img")].map((path) => `'${path}'`).join(" ");
  const isoSeconds: number[] = [];
  const cpSeconds: number[] = [];
  let entry: Build | undefined;
  for (let round = 0; round < ROUNDS; round += 1) {
    timedLine(folder, "sync");
    entry = build(`--set iso.title=title-${round}`);
    isoSeconds.push(stageOf(entry, "iso").elapsedMs / 1000);
    timedLine(folder, "sync");
    cpSeconds.push(timedLine(folder, `cp ${from} content && sync -f content`).seconds);
    timedLine(folder, "rm content/*");
  }
  row("entry", { seconds: rounded(entry!.seconds), ran: ran(entry!) }, ran(entry!).join() === "iso");
  const ratio = median(isoSeconds) / median(cpSeconds);
  const facts = { ours: rounded(median(isoSeconds)), cp: rounded(median(cpSeconds)), imageMb: rounded(sizeOf(entry!.image) / 1e6) };
  row("iso", { ...facts, ratio: rounded(ratio), limit: LIMITS.iso }, ratio <= LIMITS.iso);

  process.stdout.write(`${JSON.stringify({ rounds: ROUNDS, rows }, null, 1)}\n`);
  process.exitCode = isWithin ? 0 : 1;
} finally {
  rmSync(folder, { recursive: true, force: true });
}

function sizeOf(path: string): number {
  return statSync(path).size;
}

function median(values: readonly number[]): number {
  return values.toSorted((one, other) => one - other)[Math.floor(values.length / 2)]!;
}

function rounded(value: number, digits = 2): number {
  return Number(value.toFixed(digits));
}
