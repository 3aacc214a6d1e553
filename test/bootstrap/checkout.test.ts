import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckout, submoduleCommand } from "../../src/bootstrap/checkout.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { makeSmallTree, type SmallTreeOptions } from "./small-tree.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-checkout-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

let count = 0;
async function tree(options: SmallTreeOptions = {}): Promise<string> {
  count += 1;
  return (await makeSmallTree(join(folder, `tree-${count}`), options)).root;
}

async function refusal(root: string): Promise<HiperisoError> {
  try {
    await readCheckout(root, quietJob);
  } catch (error) {
    if (error instanceof HiperisoError && error.kind === "usage") return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("a checkout", () => {
  test("is its manifest, its lists and its files", async () => {
    const root = await tree();
    const checkout = await readCheckout(root, quietJob);
    expect(checkout.manifest.where).toBe("steps/manifest");
    expect(checkout.manifest.lines[0]).toMatchObject({ line: 5, name: "sum-1.0" });
    expect([...checkout.sources.keys()]).toEqual([
      "seed-cc-0.1",
      "small-kernel-1.0",
      "maker-1.2",
      "bash-2.05b",
      "big-kernel-4.0",
      "fetcher-8.0",
      "late-1.0",
      "late-2.0",
    ]);
    expect(checkout.sources.get("seed-cc-0.1")).toHaveLength(3);
    expect(checkout.bootSector?.stage2).toContain("Filler");
    expect(checkout.guix).toBeUndefined();
    expect(checkout.missingSubmodules).toEqual([]);
    // The guest's shell does not see a last line without a newline; the host does.
    expect(checkout.warnings).toEqual(["steps/late-2.0/sources: the last line has no newline, so the guest will not see it."]);
    const paths = checkout.files.map(({ path }) => path);
    expect(paths).toEqual([...paths].sort());
    expect(paths).toContain("seed/stage0-posix/Odd names/ü.txt");
    expect(checkout.files.find(({ path }) => path === "seed/seed.kaem")).toEqual({ path: "seed/seed.kaem", kind: "file", sizeBytes: 20 });
    // A symbolic link is what it leads to.
    expect(checkout.files.find(({ path }) => path.endsWith("READ-ME-TOO"))).toMatchObject({ kind: "file", sizeBytes: 38 });
    expect(paths.filter((path) => path.startsWith("distfiles"))).toEqual([]);
  });

  test("has the steps of Guix where the tree has them", async () => {
    const sources = `f http://x/g.tar ${"0".repeat(64)}\n`;
    const root = await tree({ files: { "steps-guix/manifest": "build: g-1\n", "steps-guix/g-1/sources": sources } });
    const { guix, files } = await readCheckout(root, quietJob);
    expect(guix).toMatchObject({ folder: "steps-guix", manifest: { where: "steps-guix/manifest" } });
    expect(guix!.sources.get("g-1")).toHaveLength(1);
    expect(files.map(({ path }) => path)).toContain("steps-guix/g-1");
  });

  test("names the submodules that are not there", async () => {
    const root = await tree();
    for (const name of ["builder-hex0", "seed/stage0-posix/M2libc"]) rmSync(join(root, name), { recursive: true });
    mkdirSync(join(root, "builder-hex0"));
    const { missingSubmodules, bootSector } = await readCheckout(root, quietJob);
    expect(missingSubmodules).toEqual(["builder-hex0", "seed/stage0-posix/M2libc"]);
    expect(bootSector).toBeUndefined();
  });

  test("names the command that brings submodules, for any path", () => {
    expect(submoduleCommand("/srv/lb")).toBe("git -C /srv/lb submodule update --init --recursive");
    expect(submoduleCommand("/srv/it's lb")).toBe("git -C '/srv/it'\\''s lb' submodule update --init --recursive");
  });

  test("that is none is refused, with how to name one", async () => {
    expect(await refusal(join(folder, "nowhere"))).toMatchObject({ found: "no folder", hint: "Name it with --tree." });
    expect(await refusal(folder)).toMatchObject({ found: "a folder without steps/manifest" });
  });

  test("with a manifest that is not UTF-8 is refused", async () => {
    const root = await tree();
    writeFileSync(join(root, "steps/manifest"), Uint8Array.of(0x62, 0xff, 0x0a));
    expect(await refusal(root)).toMatchObject({ where: "steps/manifest", expected: "UTF-8" });
  });

  test("with a link to nothing, or one that leads back up, is refused by the path", async () => {
    const root = await tree();
    symlinkSync("nothing", join(root, "steps/dangling"));
    expect(await refusal(root)).toMatchObject({ where: "steps/dangling" });
    rmSync(join(root, "steps/dangling"));
    symlinkSync("..", join(root, "steps/up"));
    expect((await refusal(root)).where).toMatch(/^steps\/up\/(steps\/up|seed)/);
  });

  test("with a bad line is refused by file, line and column", async () => {
    expect(await refusal(await tree({ files: { "steps/manifest": "build: a\nbuild: b (\n" } }))).toMatchObject({
      where: "steps/manifest:2:11",
    });
    const root = await tree({ files: { "steps/late-1.0/sources": "f http://x/a\n" } });
    expect(await refusal(root)).toMatchObject({ where: "steps/late-1.0/sources:1:13" });
  });

  test("is not read any further when the work is cancelled", async () => {
    const root = await tree();
    const signal = AbortSignal.abort(new DOMException("enough", "AbortError"));
    await expect(readCheckout(root, { ...quietJob, signal })).rejects.toThrow("enough");
  });
});
