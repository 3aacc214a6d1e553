import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { assembleHex0 } from "../../src/formats/hex0.ts";
import { makeSmallTree, SMALL_TREE_LATE, SMALL_TREE_MTIME_MS, SMALL_TREE_PRE_NETWORK } from "./small-tree.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-small-tree-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

test("the small tree has what a checkout has", async () => {
  const { root, distfiles } = await makeSmallTree(join(folder, "tree"));
  expect([...distfiles.keys()]).toEqual([...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE]);
  expect(new Set(readdirSync(join(root, "distfiles")))).toEqual(new Set(distfiles.keys()));
  const stage1 = assembleHex0(readFileSync(join(root, "builder-hex0/builder-hex0-x86-stage1.hex0")), "stage 1");
  expect([stage1.length, stage1[510], stage1[511], stage1[450]]).toEqual([512, 0x55, 0xaa, 0xb5]);
  const kaem = join(root, "seed/stage0-posix/bootstrap-seeds/POSIX/x86/kaem-optional-seed");
  expect(statSync(kaem).mode & 0o777).toBe(0o755);
  expect(statSync(kaem).mtimeMs).toBe(SMALL_TREE_MTIME_MS);
  expect(statSync(join(root, "seed/stage0-posix/READ-ME-TOO")).size).toBe(statSync(join(root, "seed/stage0-posix/README.md")).size);
});

test.each([13, 14, 50, 175, 176, 300])("its second stage is as long as sector %d asks", async (sector) => {
  const { root } = await makeSmallTree(join(folder, `sector-${sector}`), { sector, distfiles: [] });
  const source = readFileSync(join(root, "builder-hex0/builder-hex0-x86-stage2.hex0"));
  expect(Math.ceil((512 + source.length + 1) / 512)).toBe(sector);
  const code = Buffer.from(assembleHex0(source, "stage 2"));
  const at = code.indexOf(Uint8Array.of(0xc7, 5, 0, 0, 0, 1));
  expect(code.readUInt32LE(at + 6)).toBe(sector);
  expect(existsSync(join(root, "distfiles/seed-cc-0.1.tar.gz"))).toBe(false);
});
