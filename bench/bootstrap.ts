/**
 * `npm run bench:bootstrap [-- PAIRS]`: what making bootstrap media costs.
 *
 * The first image of 300 MB against `cat` of the same files to one, in interleaved pairs, so that a busy moment falls on both: the median of
 * the pairs' ratios, once where neither waits for the medium and once where both do. Limit: 1.3. hex0 assembled: at least 50 MB of source a
 * second. The plan of a tree of 200 steps: at most 0.5 s.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readCheckout } from "../src/bootstrap/checkout.ts";
import { planInitImage, writeInitImage } from "../src/bootstrap/init-image.ts";
import { checkOptions } from "../src/bootstrap/options.ts";
import { planBootstrap } from "../src/bootstrap/plan.ts";
import { readPlanFacts } from "../src/bootstrap/plan-facts.ts";
import { listTree } from "../src/bootstrap/target-tree.ts";
import { quietJob } from "../src/contract/job.ts";
import { assembleHex0 } from "../src/formats/hex0.ts";

const PAIRS = Number(process.argv[2] ?? 11);
const folder = mkdtempSync(join(tmpdir(), "hiperiso-bench-bootstrap-"));

const rounded = (value: number): number => Number(value.toFixed(3));
const median = (values: readonly number[]): number => [...values].sort((one, other) => one - other)[values.length >> 1]!;
async function seconds(work: () => unknown): Promise<number> {
  const start = performance.now();
  await work();
  return (performance.now() - start) / 1000;
}

/** Enough for a layout, though nothing could boot it. */
const BOOT_SECTOR = {
  stage1: `${"00 ".repeat(450)}B5 ${"00 ".repeat(59)}55 AA\n`,
  stage2: "C7 05 00 00 00 01 02 00 00 00\n",
};

/** 1,800 small files and 72 large ones, as a checkout with its distfiles has them: 300 MB together. */
function makeTree(root: string): void {
  const content = Buffer.alloc(4_100_000, "The quick brown fox jumps over the lazy dog.\n");
  for (const name of ["x86", "steps", "distfiles"]) mkdirSync(join(root, name), { recursive: true });
  for (const name of ["x86/hex0_x86.hex0", "x86/kaem-minimal.hex0", "kaem.x86"]) writeFileSync(join(root, name), "00\n");
  for (let index = 0; index < 1800; index += 1) writeFileSync(join(root, `steps/file-${index}`), content.subarray(0, 1000 + 7 * index));
  for (let index = 0; index < 72; index += 1) writeFileSync(join(root, `distfiles/file-${index}`), content);
}

async function benchImage() {
  const tree = join(folder, "tree");
  makeTree(tree);
  const entries = (await listTree(tree, quietJob)).filter(({ path }) => path !== "");
  const files = entries.flatMap(({ from }) => ("file" in from ? [from.file] : []));
  const bytes = files.reduce((sum, file) => sum + statSync(file).size, 0);
  const list = join(folder, "files");
  writeFileSync(list, files.join("\0"));
  const cat = (sync: boolean): void => {
    const out = join(folder, "cat.out");
    const { status } = spawnSync("sh", [
      "-c",
      'xargs -0 cat <"$1" >"$2" && if [ "$3" = 1 ]; then sync "$2"; fi',
      "sh",
      list,
      out,
      sync ? "1" : "0",
    ]);
    if (status !== 0) throw new Error("cat failed");
  };
  // The listing and the layout are part of the work: cat is given its files.
  const ours = async (sync: boolean): Promise<void> => {
    const listed = (await listTree(tree, quietJob)).filter(({ path }) => path !== "");
    const layout = planInitImage({ bootSector: BOOT_SECTOR, entries: listed, targetSizeBytes: 0n });
    await writeInitImage(layout, join(folder, "init.img"), { sync }, quietJob);
  };
  const pairsOf = async (sync: boolean) => {
    const pairs: { readonly theirs: number; readonly mine: number }[] = [];
    // The first pair warms the caches.
    for (let pair = 0; pair <= PAIRS; pair += 1) {
      rmSync(join(folder, "cat.out"), { force: true });
      const theirs = await seconds(() => cat(sync));
      rmSync(join(folder, "init.img"), { force: true });
      const mine = await seconds(() => ours(sync));
      if (pair > 0) pairs.push({ theirs, mine });
    }
    return {
      ratio: rounded(median(pairs.map(({ theirs, mine }) => mine / theirs))),
      image_s: rounded(median(pairs.map(({ mine }) => mine))),
      cat_s: rounded(median(pairs.map(({ theirs }) => theirs))),
    };
  };
  return { mb: Math.round(bytes / 1e6), files: files.length, in_memory: await pairsOf(false), on_medium: await pairsOf(true), limit: 1.3 };
}

async function benchHex0() {
  const commented = "B8 01 00 00 00      # mov eax, 1          ; as hand-written sources look\n";
  const dense = `${"B801000000BF01000000488D3510000000BA1A0000000F05B83C000000".repeat(2)}\n`;
  const speedOf = async (line: string): Promise<number> => {
    const source = Buffer.from(line.repeat(Math.ceil(32e6 / line.length)));
    const times: number[] = [];
    for (let run = 0; run < PAIRS; run += 1) times.push(await seconds(() => assembleHex0(source, "bench")));
    return Math.round(source.length / 1e6 / median(times));
  };
  return { commented_mb_s: await speedOf(commented), dense_mb_s: await speedOf(dense), least_mb_s: 50 };
}

async function benchPlan() {
  const root = join(folder, "checkout");
  const names = Array.from({ length: 200 }, (_, index) => `package-${index}.0`);
  const files: Record<string, string> = {
    "builder-hex0/builder-hex0-x86-stage1.hex0": BOOT_SECTOR.stage1,
    "builder-hex0/builder-hex0-x86-stage2.hex0": BOOT_SECTOR.stage2,
    "seed/seed.kaem": "",
    "seed/preseeded.kaem": "",
    "seed/stage0-posix/kaem.x86": "",
    "seed/stage0-posix/x86/hex0_x86.hex0": "",
    "seed/stage0-posix/x86/kaem-minimal.hex0": "",
    "seed/stage0-posix/bootstrap-seeds/POSIX/x86/kaem-optional-seed": "",
    "steps/jump/fiwix.sh": "",
    "steps/manifest": `${names.map((name, index) => `build: ${name} ( KERNEL_BOOTSTRAP == True )\n${index === 9 ? "jump: fiwix ( KERNEL_BOOTSTRAP == True )\n" : ""}`).join("")}improve: get_network\n`,
  };
  for (const [index, name] of names.entries()) {
    const sum = index.toString(16).padStart(64, "0");
    files[`steps/${name}/sources`] =
      `f https://example.invalid/${name}.tar.gz ${sum}\nf https://example.invalid/${name}.patch ${sum.replace(/^0/, "1")}\n`;
    files[`steps/${name}/pass1.kaem`] = "true\n";
    for (let file = 0; file < 5; file += 1) files[`steps/${name}/files/file-${file}`] = "x\n";
  }
  for (const [path, content] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), content);
  }
  const options = checkOptions({ qemu: true, externalSources: true, mirrors: ["http://127.0.0.1:1"] });
  const times: number[] = [];
  for (let run = 0; run <= PAIRS; run += 1) {
    const time = await seconds(async () => {
      const checkout = await readCheckout(root, quietJob);
      planBootstrap(checkout, options, await readPlanFacts(join(root, "distfiles"), options, quietJob));
    });
    if (run > 0) times.push(time);
  }
  return { files: Object.keys(files).length, plan_s: rounded(median(times)), limit_s: 0.5 };
}

try {
  const result = { hex0: await benchHex0(), plan: await benchPlan(), image: await benchImage() };
  process.stdout.write(`${JSON.stringify(result)}\n`);
  const { hex0, plan, image } = result;
  const slow =
    Math.min(hex0.commented_mb_s, hex0.dense_mb_s) < hex0.least_mb_s ||
    plan.plan_s > plan.limit_s ||
    Math.max(image.in_memory.ratio, image.on_medium.ratio) > image.limit;
  process.exitCode = slow ? 1 : 0;
} finally {
  rmSync(folder, { recursive: true, force: true });
}
