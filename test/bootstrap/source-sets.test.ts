import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { readSourceSet, type SourceSetName } from "../../src/bootstrap/source-sets.ts";
import { quietJob } from "../../src/contract/job.ts";
import { makeSmallTree, SMALL_TREE_EARLY, SMALL_TREE_LATE, SMALL_TREE_PRE_NETWORK } from "./small-tree.ts";

const SUM = "0".repeat(64);

let folder: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-sets-"));
  await makeSmallTree(join(folder, "tree"), { withPayloadStep: true });
  await makeSmallTree(join(folder, "more"), {
    distfiles: [],
    files: {
      "steps/unbuilt-1.0/sources": `f https://example.invalid/unbuilt.tar ${SUM}\n`,
      "steps-guix/manifest": "build: guix-1.0\n",
      "steps-guix/guix-1.0/sources": `f https://example.invalid/guix.tar ${SUM}\n`,
    },
  });
});
afterAll(() => rmSync(folder, { recursive: true }));

async function setOf(tree: string, name: SourceSetName, guix = false) {
  const root = join(folder, tree);
  return readSourceSet(await readCheckout(root, quietJob), name, { distfiles: join(root, "distfiles"), guix }, quietJob);
}

const namesIn = async (...given: Parameters<typeof setOf>) => (await setOf(...given)).distfiles.map(({ name }) => name);

describe("the set", () => {
  test("full is the whole manifest", async () => {
    expect(await namesIn("tree", "full")).toEqual([...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE]);
  });

  test("pre-network is what a guest needs before it can download", async () => {
    expect(await namesIn("tree", "pre-network")).toEqual(SMALL_TREE_PRE_NETWORK);
  });

  test("early and late are the two halves of full", async () => {
    const [early, late] = [await namesIn("tree", "early"), await namesIn("tree", "late")];
    expect(early).toEqual(SMALL_TREE_EARLY);
    expect([...early, ...late]).toEqual(await namesIn("tree", "full"));
  });

  test("all has the lists of packages that nothing builds too", async () => {
    expect(await namesIn("more", "all")).toEqual([...(await namesIn("more", "full")), "unbuilt.tar"]);
  });

  test("is larger with steps-guix", async () => {
    expect(await namesIn("more", "full", true)).toEqual([...(await namesIn("more", "full")), "guix.tar"]);
    expect((await setOf("more", "full", true)).lines.at(-1)).toBe(`${SUM} distfiles https://example.invalid/guix.tar guix.tar`);
  });
});

test("each address of a file has a line, each line once, in the order of the manifest; _ where only mirrors have it", async () => {
  const { lines, distfiles } = await setOf("tree", "full");
  const parts = lines.map((line) => line.split(" "));
  expect(parts.map(([, , url, name]) => [url, name])).toEqual([
    ["https://example.invalid/seed-cc-0.1.tar.gz", "seed-cc-0.1.tar.gz"],
    ["https://example.invalid/first/parser-1.0.tar.gz", "parser-1.0.tar.gz"],
    ["https://example.invalid/second/parser-1.0.tar.gz", "parser-1.0.tar.gz"],
    ["https://example.invalid/small-kernel-1.0.tar.gz", "small-kernel-1.0.tar.gz"],
    ["https://example.invalid/releases/1.2.tar", "maker-1.2.tar"],
    ["https://example.invalid/bash-2.05b.tar.gz", "bash-2.05b.tar.gz"],
    ["https://example.invalid/big-kernel-4.0.tar.xz", "big-kernel-4.0.tar.xz"],
    ["https://example.invalid/big-kernel-4.0.patch", "big-kernel-4.0.patch"],
    ["https://example.invalid/snapshot/v8.0.tar.gz", "fetcher-8.0.tar.gz"],
    ["_", "late-1.0.tar.gz"],
    ["https://example.invalid/dl.php?file=late-2.0.tar.xz", "dl.php?file=late-2.0.tar.xz"],
  ]);
  expect(parts.every(([sum, directory]) => sum?.length === 64 && directory === "distfiles")).toBe(true);
  // A snapshot of a git repository is downloaded; one that only mirrors have has no address of its own.
  expect(distfiles.find(({ name }) => name === "fetcher-8.0.tar.gz")?.urls).toEqual(["https://example.invalid/snapshot/v8.0.tar.gz"]);
  expect(distfiles.find(({ name }) => name === "late-1.0.tar.gz")?.urls).toEqual([]);
});
