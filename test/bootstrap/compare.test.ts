import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { compareBootstraps, type Difference } from "../../src/bootstrap/compare.ts";
import { makeFileSystemDisk } from "../../src/bootstrap/file-system-disk.ts";
import { type InitImageLayout, planInitImage, writeInitImage } from "../../src/bootstrap/init-image.ts";
import { createPayload } from "../../src/bootstrap/payload/create.ts";
import { listTree } from "../../src/bootstrap/target-tree.ts";
import { quietJob } from "../../src/contract/job.ts";
import { shell, testFolder } from "./folder.ts";
import { makeSmallTree } from "./small-tree.ts";

const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const hasMke2fs = spawnSync("mke2fs", ["-V"], { env }).status === 0;
const folder = testFolder("compare");
const compare = (first: string, second: string, times = false): Promise<Difference | undefined> =>
  compareBootstraps(folder.at(first), folder.at(second), { env, times }, quietJob);

let layout: InitImageLayout;
let image: Uint8Array;
beforeAll(async () => {
  await makeSmallTree(folder.at("lb"));
  const { bootSector } = await readCheckout(folder.at("lb"), quietJob);
  const listed = await listTree(folder.at("lb/seed/stage0-posix"), quietJob);
  const entries = listed.filter(({ path }) => path !== "" && !path.startsWith("bootstrap-seeds"));
  layout = planInitImage({ bootSector: bootSector!, entries, targetSizeBytes: 0n });
  await writeInitImage(layout, folder.at("init.img"), {}, quietJob);
  image = new Uint8Array(readFileSync(folder.at("init.img")));
});

const entry = (path: string): InitImageLayout["parts"][number] => layout.parts.find((part) => part.kind === "entry" && part.path === path)!;

/** The image with one byte changed. */
function changed(offset: number, name = "changed.img"): string {
  const bytes = image.slice();
  bytes[offset]! ^= 1;
  writeFileSync(folder.at(name), bytes);
  return name;
}

describe("two first images", () => {
  test("that are the same", async () => {
    cpSync(folder.at("init.img"), folder.at("copy.img"));
    expect(await compare("init.img", "copy.img")).toBeUndefined();
  });

  test.each([
    ["in the boot sector", () => 17, "boot sector, byte 17"],
    ["in the partition table", () => 450, "MBR of the boot sector, byte 450"],
    ["in the source of stage 2", () => 512 + 200, "stage 2 source, byte 200, line 2"],
    ["in the padding", () => 175 * 512 - 1, "zeros behind the stage 2 source"],
    ["in a line", () => Number(entry("x86/kaem.run").offset) + 12, "line of srcfs entry x86/kaem.run"],
    ["in a file", () => Number(entry("x86/kaem.run").offset) + entry("x86/kaem.run").head.length + 3, "srcfs entry x86/kaem.run, byte 3"],
    ["in a command", () => Number(layout.parts.at(-1)!.offset) + 6, 'kick-off line "src 0 /bootstrap-seeds"'],
    ["behind the commands", () => 1_000_000, "zeros behind the commands"],
  ])("that differ %s: named so, with the byte", async (_, offset, place) => {
    const found = await compare("init.img", changed(offset()));
    expect(found).toMatchObject({ path: "", place, offset: BigInt(offset()) });
  });

  test("of which one has a file less, or a longer one: both lines are said", async () => {
    const input = { bootSector: (await readCheckout(folder.at("lb"), quietJob)).bootSector!, targetSizeBytes: 0n };
    const listed = (await listTree(folder.at("lb/seed/stage0-posix"), quietJob)).filter(
      ({ path }) => path !== "" && !path.startsWith("bootstrap-seeds") && path !== "README.md",
    );
    await writeInitImage(planInitImage({ ...input, entries: listed }), folder.at("less.img"), {}, quietJob);
    expect(await compare("init.img", "less.img")).toMatchObject({
      place: "line of srcfs entry README.md",
      first: "src 38 ./README.md",
      second: "src 46 ./after.kaem",
    });
  });

  test("of which one is longer", async () => {
    shell('cp "$1" "$2"; truncate -s +1M "$2"', folder.at("init.img"), folder.at("longer.img"));
    expect(await compare("init.img", "longer.img")).toMatchObject({
      place: "length of the file",
      first: "1048576 bytes",
      second: "2097152 bytes",
    });
  });

  test("of which both are damaged before: the byte is all that can be said, and nothing throws", async () => {
    const start = Number(entry("kaem.x86").offset);
    const bytes = image.slice();
    bytes.set(new TextEncoder().encode("srx"), start);
    writeFileSync(folder.at("damaged.img"), bytes);
    bytes[start + 500]! ^= 1;
    writeFileSync(folder.at("damaged2.img"), bytes);
    expect(await compare("damaged.img", "damaged2.img")).toMatchObject({ place: `byte ${start + 500}` });
  });
});

describe("two payload containers", () => {
  const container = async (name: string, files: Readonly<Record<string, string>>): Promise<string> => {
    const entries = Object.entries(files).map(([file, content]) => ({ name: file, from: { bytes: new TextEncoder().encode(content) } }));
    await createPayload(entries, folder.at(name), {}, quietJob);
    return name;
  };
  test.each([
    ["a byte of a file", { a: "one", b: "twice" }, { place: "payload entry b, byte 1" }],
    ["a name", { a: "one", c: "three" }, { place: "header of payload entry 2, byte 8", first: "b, 5 bytes", second: "c, 5 bytes" }],
    ["a length", { a: "one", b: "four" }, { place: "header of payload entry 2, byte 4", first: "b, 5 bytes", second: "b, 4 bytes" }],
    ["the number of files", { a: "one", b: "three", c: "" }, { place: "number of payload entries" }],
  ])("that differ in %s", async (_, files, found) => {
    await container("one.payload", { a: "one", b: "three" });
    expect(await compare("one.payload", await container("other.payload", files))).toMatchObject(found);
  });

  test("that differ behind the last entry", async () => {
    const bytes = readFileSync(folder.at(await container("one.payload", { a: "one", b: "three" })));
    bytes[1000]! ^= 1;
    writeFileSync(folder.at("tail.payload"), bytes);
    expect(await compare("one.payload", "tail.payload")).toMatchObject({ place: "behind the last payload entry, byte 962" });
  });
});

describe.skipIf(!hasMke2fs)("two disks with file systems", () => {
  test("are named by the file, or by what stands around them", async () => {
    mkdirSync(folder.at("files/distfiles"), { recursive: true });
    writeFileSync(folder.at("files/distfiles/a b"), "0123456789".repeat(300));
    const disk = { folder: folder.at("files"), sizeBytes: 24n * 1024n * 1024n, partitionOffsetBytes: 1024n * 1024n, name: "external.img" };
    await makeFileSystemDisk(disk, folder.at("one.disk"), { env }, quietJob);
    const bytes = readFileSync(folder.at("one.disk"));
    const at = bytes.indexOf("0123456789");
    const differing = async (offset: number) => {
      const other = Buffer.from(bytes);
      other[offset]! ^= 1;
      writeFileSync(folder.at("other.disk"), other);
      return (await compare("one.disk", "other.disk"))?.place;
    };
    expect(await differing(at + 1500)).toBe("ext file system, file distfiles/a b, byte 1500");
    expect(await differing(440)).toBe("MBR, byte 440");
    expect(await differing(4096)).toBe("before the partition, byte 4096");
    expect(await differing(1024 * 1024 + 1024 + 12)).toMatch(/^ext file system, block 1, byte 1036/);
  });
});

describe("two targets", () => {
  const target = (name: string, script = ""): string => {
    mkdirSync(folder.at(`${name}/steps`), { recursive: true });
    writeFileSync(folder.at(`${name}/steps/manifest`), "build: a\n");
    writeFileSync(folder.at(`${name}/init`), "x");
    shell(`cd "$1"; touch -d @1 steps/manifest init steps; ${script}`, folder.at(name));
    return name;
  };
  test.each([
    ["content", "echo 'build: b' >steps/manifest", { path: "steps/manifest", offset: 7n, place: "byte 7", first: "0x61", second: "0x62" }],
    ["a file less", "rm init", { path: "init", place: "kind", first: "file", second: "nothing" }],
    ["a file more", "echo >a", { path: "a", place: "kind", first: "nothing", second: "file" }],
    ["a mode", "chmod 755 init", { path: "init", place: "mode" }],
    ["a kind", "rm init; mkdir init", { path: "init", place: "kind", first: "file", second: "folder" }],
    ["a length", "printf xy >init", { path: "init", place: "length of the file", first: "1 bytes", second: "2 bytes" }],
  ])("that differ in %s", async (name, script, found) => {
    expect(await compare(target("target"), target(`other ${name}`, script))).toMatchObject(found);
  });

  test("that are the same, whatever their record and what is being made", async () => {
    const script = "echo {} >bootstrap.json; echo >.bootstrap-01234567.tmp; touch -d @5 init";
    expect(await compare(target("target"), target("same", script))).toBeUndefined();
    expect(await compare("target", "same", true)).toMatchObject({ path: "init", place: "time of the last change" });
  });

  test("with links, which are not followed", async () => {
    symlinkSync("nothing", folder.at(`${target("links")}/way`));
    symlinkSync("nowhere", folder.at(`${target("links2")}/way`));
    expect(await compare("links", "links2")).toMatchObject({
      path: "way",
      place: "target of the symbolic link",
      first: "nothing",
      second: "nowhere",
    });
  });

  test("of which one is not there: refused", async () => {
    await expect(compare(target("target"), "none")).rejects.toMatchObject({ kind: "usage", found: "nothing there" });
  });
});
