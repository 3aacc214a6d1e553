/** Root images with the tools that really make them. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import type { TreeEntry } from "../../src/formats/file-tree.ts";
import { encodeTar } from "../../src/formats/tar.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { stageKind } from "../../src/live/stage.ts";
import { STAGE_KINDS } from "../../src/live/stages/kinds.ts";

const has = async (...tools: readonly string[]): Promise<boolean> =>
  (await Promise.all(tools.map((tool) => lookForTool(tool, process.env)))).every((path) => path !== undefined);
const [hasSquashfs, hasVerity, hasErofs] = [
  await has("mksquashfs", "unsquashfs"),
  await has("veritysetup"),
  (await has("mkfs.erofs", "fsck.erofs", "bwrap")) && process.getuid?.() === 0,
];

const file = (path: string, content: string): TreeEntry => ({
  kind: "file",
  path,
  mode: 0o644,
  content: new TextEncoder().encode(content),
});
const MODULES = [file("lib/modules/6.1/modules.dep", "kernel/x.ko:\n"), file("lib/modules/6.1/kernel/x.ko", "the kernel stage's")];

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-image-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Folder of the image's output. */
async function build(root: readonly TreeEntry[], options: string, kernel: readonly TreeEntry[] | undefined = undefined): Promise<string> {
  const tars = stageKind({
    kind: "tars",
    revision: 1,
    options: z.strictObject({}),
    inputs: {},
    ingredients: async () => ({}),
    run: async (_options, { output }) => {
      await writeFile(join(output, "root.tar"), Buffer.concat([...encodeTar(root, { mtimeS: 0 })]));
      await writeFile(join(output, "modules.tar"), Buffer.concat([...encodeTar(kernel ?? [], { mtimeS: 0 })]));
    },
  });
  await mkdir(join(folder, "spec"), { recursive: true });
  const inputs = kernel === undefined ? "{ root: tars }" : "{ root: tars, kernel: tars }";
  const spec = `{ name: i, epoch: 1767225600, result: { stage: image, file: image.json },
    stages: { tars: { kind: tars }, image: { kind: squashfs, inputs: ${inputs}, ${options} } } }`;
  await writeFile(join(folder, "spec/spec.yaml"), spec);
  const store = await mkdtemp(join(folder, "store-"));
  const { output } = await buildPlan(join(folder, "spec/spec.yaml"), { store, env: process.env, kinds: [...STAGE_KINDS, tars] }, quietJob);
  return dirname(output);
}
const facts = async (output: string) => JSON.parse(await readFile(join(output, "image.json"), "utf8"));
const contentOf = (image: string, path: string): string => spawnSync("unsquashfs", ["-cat", image, path], { encoding: "utf8" }).stdout;
const listOf = (image: string): readonly string[] =>
  spawnSync("unsquashfs", ["-l", "-d", "", image], { encoding: "utf8" })
    .stdout.trim()
    .split("\n")
    .map((path) => path.replace(/^\//, ""));

describe.skipIf(!hasSquashfs)("a squashfs", () => {
  test("gets the kernel stage's modules by the edge between them, and says whose they are", async () => {
    const output = await build([file("etc/issue", "hello\n")], "compression: gzip", MODULES);
    expect(contentOf(join(output, "root.squashfs"), "lib/modules/6.1/kernel/x.ko")).toBe("the kernel stage's");
    const { size } = await stat(join(output, "root.squashfs"));
    expect(await facts(output)).toEqual({ format: "squashfs", file: "root.squashfs", sizeBytes: size, modules: ["6.1"] });
  });

  test("has them below usr/lib where lib is a link to it", async () => {
    const root: TreeEntry[] = [{ kind: "symlink", path: "lib", target: "usr/lib" }, file("usr/lib/os-release", "ID=x\n")];
    const output = await build(root, "compression: gzip", MODULES);
    expect(contentOf(join(output, "root.squashfs"), "usr/lib/modules/6.1/kernel/x.ko")).toBe("the kernel stage's");
    expect(listOf(join(output, "root.squashfs"))).not.toContain("lib/modules");
  });

  test("has the modules of a release once: those of the kernel stage; and keeps those of others", async () => {
    const root = [
      file("lib/modules/6.1/kernel/x.ko", "the root's"),
      file("lib/modules/6.1/kernel/gone.ko", "the root's"),
      file("lib/modules/5.9/modules.dep", ""),
    ];
    const output = await build(root, "compression: gzip", MODULES);
    const image = join(output, "root.squashfs");
    expect(contentOf(image, "lib/modules/6.1/kernel/x.ko")).toBe("the kernel stage's");
    expect(listOf(image).filter((path) => path.endsWith(".ko"))).toEqual(["lib/modules/6.1/kernel/x.ko"]);
    expect((await facts(output)).modules).toEqual(["5.9", "6.1"]);
  });

  test("without a kernel has those of its root, or says that it has none", async () => {
    expect((await facts(await build([file("a", "")], "compression: gzip"))).modules).toEqual([]);
    const merged = await build([file("usr/lib/modules/6.6/modules.dep", "")], "compression: gzip");
    expect((await facts(merged)).modules).toEqual(["6.6"]);
  });

  test.skipIf(!hasVerity)("with a tree of hashes is verified by veritysetup, and the same in another store", async () => {
    const [one, two] = [await build([file("a", "b")], "verity: true"), await build([file("a", "b")], "verity: true")];
    const { verity } = await facts(one);
    expect(verity).toMatchObject({ file: "root.verity", algorithm: "sha256", blockBytes: 4096 });
    expect(spawnSync("veritysetup", ["verify", join(one, "root.squashfs"), join(one, "root.verity"), verity.rootHash]).status).toBe(0);
    expect((await facts(two)).verity).toEqual(verity);
    for (const name of ["root.squashfs", "root.verity"]) {
      expect(Buffer.compare(await readFile(join(one, name)), await readFile(join(two, name)))).toBe(0);
    }
  });

  test("in a form that it cannot have is refused before anything runs", async () => {
    await expect(build([], "compression: lz4hc")).rejects.toThrow(
      /spec\.yaml:\d+:\d+: stages\.image\.compression: squashfs is compressed by/,
    );
  });
});

describe.skipIf(!hasErofs)("an erofs", () => {
  test("holds the root, its modules, and is the same each time", async () => {
    const [one, two] = [
      await build([file("etc/issue", "x")], "format: erofs", MODULES),
      await build([file("etc/issue", "x")], "format: erofs", MODULES),
    ];
    expect(await facts(one)).toMatchObject({ format: "erofs", file: "root.erofs", modules: ["6.1"] });
    expect(spawnSync("fsck.erofs", [join(one, "root.erofs")]).status).toBe(0);
    expect(Buffer.compare(await readFile(join(one, "root.erofs")), await readFile(join(two, "root.erofs")))).toBe(0);
  });
});
