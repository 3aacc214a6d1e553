import { createHash } from "node:crypto";
import { appendFileSync, mkdirSync, readdirSync, readFileSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { type InitImageLayout, planInitImage, writeInitImage } from "../../src/bootstrap/init-image.ts";
import { listTree, madeFile, type TargetEntry } from "../../src/bootstrap/target-tree.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { shell, testFolder } from "./folder.ts";
import { canMount, withSmallDisk } from "./payload/small-disk.ts";
import { makeSmallTree } from "./small-tree.ts";

const folder = testFolder("init-image");
let entries: readonly TargetEntry[];
let bootSector: { readonly stage1: string; readonly stage2: string };
beforeAll(async () => {
  await makeSmallTree(folder.at("lb"));
  bootSector = (await readCheckout(folder.at("lb"), quietJob)).bootSector!;
  // What the folder init/ of the original holds, in short: stage0-posix without the seeds.
  shell('cp -rL "$1" "$2"; rm -rf "$2/bootstrap-seeds"', folder.at("lb/seed/stage0-posix"), folder.at("init"));
  entries = (await listTree(folder.at("init"), quietJob)).filter(({ path }) => path !== "");
});

const plan = (change: Partial<Parameters<typeof planInitImage>[0]> = {}): InitImageLayout =>
  planInitImage({ bootSector, entries, targetSizeBytes: 0n, ...change });

async function written(layout: InitImageLayout, name: string): Promise<Buffer> {
  await writeInitImage(layout, folder.at(name), {}, quietJob);
  return readFileSync(folder.at(name));
}

/** The image again, by printf, cat, truncate and dd, in the words of the layout. */
const INDEPENDENT = `
  tree=$1 init=$2 out=$3
  digits() { sed 's/[#;].*//' "$1" | tr -d ' \\t\\r\\n'; }
  printf '%b' "$(digits "$tree/builder-hex0/builder-hex0-x86-stage1.hex0" | sed 's/../\\\\x&/g')" >"$out"
  cat "$tree/builder-hex0/builder-hex0-x86-stage2.hex0" >>"$out"
  cd "$init"
  walk() {
    find "$1" -mindepth 1 -maxdepth 1 -type d ! -name '*.git*' | sort | while IFS= read -r path; do printf 'src 0 %s\\n' "$path"; done
    find "$1" -mindepth 1 -maxdepth 1 -type f ! -name '*.git*' | sort | while IFS= read -r path; do
      printf 'src %d %s\\n' "$(stat -c %s "$path")" "$path"; cat "$path"
    done
    find "$1" -mindepth 1 -maxdepth 1 -type d ! -name '*.git*' | sort | while IFS= read -r path; do walk "$path"; done
  }
  { printf 'src 0 .\\n'; walk .
    printf 'src 0 /bootstrap-seeds\\nsrc 0 /bootstrap-seeds/POSIX\\nsrc 0 /bootstrap-seeds/POSIX/x86\\n'
    printf 'hex0 /x86/hex0_x86.hex0 /bootstrap-seeds/POSIX/x86/hex0-seed\\n'
    printf 'hex0 /x86/kaem-minimal.hex0 /bootstrap-seeds/POSIX/x86/kaem-optional-seed\\n'
    printf 'hex0 /x86/kaem-minimal.hex0 /init\\n'
    printf '/bootstrap-seeds/POSIX/x86/kaem-optional-seed /kaem.x86\\n'
  } >"$out.srcfs"
  dd if="$out.srcfs" of="$out" bs=512 seek=175 conv=notrunc status=none
  truncate -s $((($(stat -c %s "$out") / 1048576 + 1) * 1048576)) "$out"
`;

describe("the first image", () => {
  test("is what printf, cat, truncate and dd make of the same files", async () => {
    const ours = await written(plan(), "ours.img");
    shell(INDEPENDENT, folder.at("lb"), folder.at("init"), folder.at("theirs.img"));
    expect(ours.equals(readFileSync(folder.at("theirs.img")))).toBe(true);
  });

  test("of the small tree has this layout and these bytes", async () => {
    const layout = plan();
    expect(
      layout.parts.map(({ kind, path, offset, sizeBytes }) => `${offset} ${sizeBytes} ${kind}${path === undefined ? "" : ` ${path}`}`),
    ).toEqual([
      "0 512 boot-sector",
      "512 88988 stage2-source",
      "89600 8 entry ",
      "89608 14 entry AMD64",
      "89622 15 entry M2libc",
      "89637 18 entry Odd names",
      "89655 12 entry x86",
      "89667 59 entry READ-ME-TOO",
      "89726 57 entry README.md",
      "89783 66 entry after.kaem",
      "89849 123 entry kaem.amd64",
      "89972 121 entry kaem.x86",
      "90093 1065 entry AMD64/hex0_AMD64.hex0",
      "91158 42 entry M2libc/stdio.h",
      "91200 48 entry Odd names/a b.txt",
      "91248 47 entry Odd names/ü.txt",
      "91295 21 entry x86/artifact",
      "91316 1061 entry x86/hex0_x86.hex0",
      "92377 1065 entry x86/kaem-minimal.hex0",
      "93442 45 entry x86/kaem.run",
      "93487 24 entry x86/nothing.txt",
      "93511 310 commands",
    ]);
    expect([layout.srcfsSector, layout.endOffset, layout.imageBytes]).toEqual([175, 93821n, 1_048_576n]);
    expect(layout.losses).toEqual([
      { path: "x86/artifact", loss: "empty-directory" },
      { path: "x86/nothing.txt", loss: "empty-file" },
    ]);
    const sha256 = createHash("sha256")
      .update(await written(layout, "golden.img"))
      .digest("hex");
    expect(sha256).toBe("34cdb682c2883e2a46b4e06b6878d3e260e4ba25cdccae135f2a3ba2fa3f5d50");
  });

  test("is extended to the size that was asked for, without taking the room", async () => {
    const image = folder.at("large.img");
    await writeInitImage(plan({ targetSizeBytes: 8n * 1024n * 1024n }), image, {}, quietJob);
    const { size, blocks } = statSync(image);
    expect(size).toBe(8 * 1024 * 1024);
    expect(blocks * 512).toBeLessThan(2 * 1024 * 1024);
    expect(
      readFileSync(image)
        .subarray(93_821)
        .every((byte) => byte === 0),
    ).toBe(true);
  });

  test("that ends at a MiB gets a whole one more", () => {
    const filled = 1024n * 1024n - plan().endOffset;
    const filler = (bytes: number) => madeFile("zzz", new Uint8Array(bytes));
    // The line of the filler, "src 954xxx ./zzz", has 17 bytes with its newline.
    const full = plan({ entries: [...entries, filler(Number(filled) - 17)] });
    expect([full.endOffset, full.imageBytes]).toEqual([1_048_576n, 2_097_152n]);
    expect(plan({ entries: [...entries, filler(Number(filled) - 18)] }).imageBytes).toBe(1_048_576n);
  });

  test("is the same whatever order the files were listed in", async () => {
    const one = await written(plan(), "one.img");
    const other = await written(plan({ entries: [...entries].reverse() }), "other.img");
    expect(one.equals(other)).toBe(true);
  });

  test("leaves out whatever has .git in its path", () => {
    const paths = plan({ entries: [...entries, madeFile("a.github/b", "x"), madeFile("x86/.gitkeep", "x")] }).parts.map(
      ({ path }) => path ?? "",
    );
    expect(paths.filter((path) => path.includes(".git"))).toEqual([]);
    expect(entries.filter(({ path }) => path.includes(".git")).map(({ path }) => path)).toContain("Odd names/x.github.txt");
  });

  const stage1 = (change: (text: string) => string) => ({ bootSector: { ...bootSector, stage1: change(bootSector.stage1) } });
  const stage2 = (change: (text: string) => string) => ({ bootSector: { ...bootSector, stage2: change(bootSector.stage2) } });
  test.each([
    ["a byte too many", () => stage1((text) => `${text}00\n`), "stage1.hex0: expected 512 bytes, found 513"],
    ["no mark at its end", () => stage1((text) => text.replace(/55 AA\n$/, "55 AB\n")), "expected a boot sector"],
    ["another partition", () => stage1((text) => text.replace("00 B5 FF", "00 83 FF")), "expected a partition of type 0xb5, found 0x83"],
    ["a digit missing", () => stage1((text) => text.replace("31 C0 ", "31 C ")), /stage1\.hex0:\d+:4: expected a second digit/],
  ])("a stage 1 with %s is refused", (_, change, message) => {
    expect(() => plan(change())).toThrow(message);
  });

  test.each([
    [
      "another number",
      () => stage2((text) => text.replace("AF 00 00 00", "B0 00 00 00")),
      "from sector 176, found 88988 bytes, which put it at sector 175",
    ],
    [
      "a longer text",
      () => stage2((text) => `${text}${"# longer\n".repeat(12)}`),
      "from sector 175, found 89096 bytes, which put it at sector 176",
    ],
    [
      "no number",
      () => stage2((text) => text.replace("C7 05 00 00 00 01", "C7 06 00 00 00 01")),
      "with the number of a sector, found none",
    ],
    ["a letter that is none", () => stage2((text) => text.replace("C7 05", "C7 0x")), /stage2\.hex0:\d+:4/],
  ])("a stage 2 with %s is refused", (_, change, message) => {
    expect(() => plan(change())).toThrow(message);
  });

  test("a stage 2 that ends with its sector has none to spare for a NUL: it is refused", () => {
    // To the last byte of sector 174: the file system would begin at 175, but stage 1 would read on into it.
    const filled = (bytes: number) => stage2((text) => `${text}${"#".repeat(bytes - 1)}\n`);
    const room = 175 * 512 - 512 - bootSector.stage2.length;
    expect(() => plan(filled(room))).toThrow("which put it at sector 176");
    expect(plan(filled(room - 1)).srcfsSector).toBe(175);
  });

  test("a second number in stage 2 does no harm", () => {
    expect(plan(stage2((text) => text.replace("C7 05 00", "C7 05 00 00 00 01 08 00 00 00\nC7 05 00"))).srcfsSector).toBe(175);
  });

  test("lines of stage 2 that end as on Windows come out with newlines", async () => {
    const theirs = await written(plan(stage2((text) => text.replaceAll("\n", "\r\n"))), "windows.img");
    expect(theirs.equals(await written(plan(), "unix.img"))).toBe(true);
  });

  test.each([
    ["kaem.x86", (path: string) => path !== "kaem.x86"],
    ["x86/hex0_x86.hex0", (path: string) => path !== "x86/hex0_x86.hex0"],
  ])("without %s nothing could start: it is refused", (name, keep) => {
    expect(() => plan({ entries: entries.filter(({ path }) => keep(path)) })).toThrow(
      `/${name}: expected a file that the first commands need`,
    );
  });

  test("names that the format cannot carry are refused", () => {
    expect(() => plan({ entries: [...entries, madeFile("a\nb", "x")] })).toThrow("without newline");
    expect(() => plan({ entries: [...entries, madeFile("x".repeat(1023), "x")] })).toThrow("a name of 1 to 1022 bytes");
  });

  test.each([
    ["grows", (file: string) => appendFileSync(file, "more")],
    ["shrinks", (file: string) => truncateSync(file, 3)],
    ["is gone", (file: string) => shell('rm "$1"', file)],
    ["became a folder", (file: string) => shell('rm "$1"; mkdir "$1"', file)],
  ])("a file that %s after it was listed ends the writing; what stood there before stays, and nothing else is left", async (_, change) => {
    const file = folder.at("changing/file");
    mkdirSync(dirname(file), { recursive: true });
    writeFileSync(file, "0123456789");
    const layout = plan({ entries: [...entries, ...(await listTree(dirname(file), quietJob)).filter(({ path }) => path !== "")] });
    writeFileSync(folder.at("changing/kept.img"), "before");
    change(file);
    const error = await writeInitImage(layout, folder.at("changing/kept.img"), {}, quietJob).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(HiperisoError);
    expect((error as HiperisoError).where).toBe(file);
    expect(readFileSync(folder.at("changing/kept.img"), "utf8")).toBe("before");
    shell('rm -rf "$1"', file);
    expect(readdirSync(folder.at("changing"))).toEqual(["kept.img"]);
  });

  test("in a folder that is not there is refused", async () => {
    await expect(writeInitImage(plan(), folder.at("nowhere/x.img"), {}, quietJob)).rejects.toMatchObject({
      what: "write the first image",
      where: folder.at("nowhere/x.img"),
      hint: "Make the folder first.",
    });
  });

  test.skipIf(!canMount)("on a disk that is full or read-only: said, and nothing is left", async () => {
    const disk = folder.at("disk");
    const image = `${disk}/x.img`;
    await withSmallDisk(disk, 64, async (makeReadOnly) => {
      await expect(writeInitImage(plan(), image, {}, quietJob)).rejects.toMatchObject({
        where: image,
        found: expect.stringContaining("ENOSPC") as string,
        hint: expect.stringContaining("full") as string,
      });
      expect(readdirSync(disk)).toEqual([]);
      makeReadOnly();
      await expect(writeInitImage(plan(), image, {}, quietJob)).rejects.toMatchObject({
        hint: expect.stringContaining("read-only") as string,
      });
    });
  });

  test("that is aborted leaves nothing", async () => {
    const control = new AbortController();
    mkdirSync(folder.at("aborted"));
    control.abort();
    await expect(writeInitImage(plan(), folder.at("aborted/x.img"), {}, { ...quietJob, signal: control.signal })).rejects.toThrow();
    expect(readdirSync(folder.at("aborted"))).toEqual([]);
  });
});
