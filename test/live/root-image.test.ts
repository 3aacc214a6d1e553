/** Root images with the tools that really make them. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { byteText } from "../../src/formats/byte-text.ts";
import type { TreeEntry } from "../../src/formats/file-tree.ts";
import { encodePosixAcl } from "../../src/formats/posix-acl.ts";
import { encodeTar, writeTar } from "../../src/formats/tar.ts";
import type { TarMember } from "../../src/formats/tar-entry.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { writePackages } from "../../src/live/packages/package-list.ts";
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
async function build(
  root: readonly TreeEntry[] | AsyncIterable<Uint8Array>,
  options: string,
  kernel: readonly TreeEntry[] | undefined = undefined,
  job: Job = quietJob,
): Promise<string> {
  const tars = stageKind({
    kind: "tars",
    revision: 1,
    options: z.strictObject({}),
    inputs: {},
    ingredients: async () => ({}),
    run: async (_options, { output }) => {
      await writeFile(join(output, "root.tar"), Symbol.asyncIterator in root ? root : Buffer.concat([...encodeTar(root, { mtimeS: 0 })]));
      await writePackages(output);
      await writeFile(join(output, "modules.tar"), Buffer.concat([...encodeTar(kernel ?? [], { mtimeS: 0 })]));
    },
  });
  await mkdir(join(folder, "spec"), { recursive: true });
  const inputs = kernel === undefined ? "{ root: tars }" : "{ root: tars, kernel: tars }";
  const spec = `{ name: i, epoch: 1767225600, result: { stage: image, file: image.json },
    stages: { tars: { kind: tars }, image: { kind: squashfs, inputs: ${inputs}, ${options} } } }`;
  await writeFile(join(folder, "spec/spec.yaml"), spec);
  const store = await mkdtemp(join(folder, "store-"));
  const { output } = await buildPlan(join(folder, "spec/spec.yaml"), { store, env: process.env, kinds: [...STAGE_KINDS, tars] }, job);
  return dirname(output);
}
const facts = async (output: string) => JSON.parse(await readFile(join(output, "image.json"), "utf8"));
const contentOf = (image: string, path: string): string => spawnSync("unsquashfs", ["-cat", image, path], { encoding: "utf8" }).stdout;
const listOf = (image: string): readonly string[] =>
  spawnSync("unsquashfs", ["-l", "-d", "", image], { encoding: "utf8" })
    .stdout.trim()
    .split("\n")
    .map((path) => path.replace(/^\//, ""));

const jobThatWarns = (warnings: string[]): Job => ({ ...quietJob, progress: { ...silentProgress, warn: (line) => warnings.push(line) } });

const accessList = (user: number): string => `user::rw-,user:${user}:r--,group::r--,mask::r--,other::r--`;
const ACCESS_LISTS = [encodePosixAcl(accessList(1234), "list"), encodePosixAcl(accessList(4321), "listed")] as const;

/** An archive of files with attributes of every kind, those with one of the names in `but` left out. */
function attributeFiles(but: readonly string[] = []): AsyncIterable<Uint8Array> {
  const member = (path: string, xattrs: Record<string, Uint8Array>, records: Record<string, string> = {}): TarMember => ({
    entry: {
      ...{ kind: "file", path: byteText(path), mode: 0o644, uid: 0, gid: 0, mtimeS: 0, sizeBytes: 0 },
      xattrs: new Map(Object.entries(xattrs).map(([name, value]) => [byteText(name), value])),
      records: new Map(Object.entries(records).map(([name, value]) => [byteText(name), new TextEncoder().encode(value)])),
    },
    content: (async function* () {})(),
  });
  const x = new Uint8Array([0x78]);
  const members = [
    member("kept", { "user.a": x, "security.capability": new Uint8Array([1, 0, 0, 2, ...new Array<number>(16).fill(0)]) }),
    member("list", { "system.posix_acl_access": ACCESS_LISTS[0] }),
    member("listed", {}, { "SCHILY.acl.access": accessList(4321) }),
    member("other", { "system.other": x }),
  ].filter(({ entry }) => [...entry.xattrs.keys()].every((name) => !but.includes(name)));
  return writeTar(
    (async function* () {
      yield* members;
    })(),
  );
}

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

  test("of packages that its licence policy does not take is refused by their names", async () => {
    const root = [
      file("var/lib/dpkg/status", "Package: blob\nStatus: install ok installed\nVersion: 1\nArchitecture: all\nSection: non-free/x\n"),
    ];
    await expect(build(root, "licences: free")).rejects.toThrow(/check the licences: .*blob 1: its distribution keeps it in non-free/s);
    await expect(build(root, "licences: { free: true, packages: [blob] }, compression: gzip")).resolves.toMatch(/./);
    await expect(build([file("a", "")], "licences: free")).rejects.toThrow(/no database of packages/);
  });

  test("names files whose attributes it cannot hold, and no others", async () => {
    const warnings: string[] = [];
    await build(attributeFiles(), "compression: gzip", undefined, jobThatWarns(warnings));
    expect(warnings).toEqual([
      expect.stringMatching(/a squashfs does not hold access lists, .* lost for \/list, \/listed, \/other; an erofs/),
    ]);
    warnings.length = 0;
    await build([file("a", "")], "compression: gzip", undefined, jobThatWarns(warnings));
    expect(warnings).toEqual([]);
  });

  test("in a form that it cannot have is refused before anything runs", async () => {
    await expect(build([], "compression: lz4hc")).rejects.toThrow(
      /spec\.yaml:\d+:\d+: stages\.image\.compression: squashfs is compressed by/,
    );
  });

  test("is compressed as hard as its level says, and a level that its compression does not have is refused", async () => {
    const told = async (options: string): Promise<string> => {
      const image = join(await build([file("a", "x")], options), "root.squashfs");
      return /compression-level (\d+)/.exec(spawnSync("unsquashfs", ["-s", image], { encoding: "utf8" }).stdout)?.[1] ?? "";
    };
    expect(await told("compression: zstd, level: 3")).toBe("3");
    expect(await told("compression: zstd")).toBe("19");
    expect(await told("compression: gzip, level: 4")).toBe("4");
    for (const options of ["compression: gzip, level: 10", "compression: xz, level: 6", "format: erofs, level: 13"]) {
      await expect(build([], options)).rejects.toThrow(/stages\.image\.level: expected of gzip 1 to 9, zstd 1 to 22, lz4hc 1 to 12/);
    }
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

  test("holds access lists, of which archives know two forms", async () => {
    const warnings: string[] = [];
    const output = await build(attributeFiles(["system.other"]), "format: erofs", undefined, jobThatWarns(warnings));
    expect(warnings).toEqual([]);
    const image = await readFile(join(output, "root.erofs"));
    expect(ACCESS_LISTS.map((list) => image.includes(Buffer.from(list.subarray(4))))).toEqual([true, true]);
  });
});
