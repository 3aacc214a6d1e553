import { chmodSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { checkOptions, type RawOptions } from "../../src/bootstrap/options.ts";
import { planBootstrap } from "../../src/bootstrap/plan.ts";
import { readPlanFacts } from "../../src/bootstrap/plan-facts.ts";
import { compareBytes, listTree, madeFile, planTargetTrees, type TargetTrees, type TreeParts } from "../../src/bootstrap/target-tree.ts";
import { quietJob } from "../../src/contract/job.ts";
import { shell, testFolder } from "./folder.ts";
import { makeSmallTree, SMALL_TREE_EARLY, SMALL_TREE_LATE, SMALL_TREE_MTIME_MS, SMALL_TREE_PRE_NETWORK } from "./small-tree.ts";

const folder = testFolder("target-tree");
let parts: TreeParts;
beforeAll(async () => {
  await makeSmallTree(folder.at("lb"), { files: { "distfiles/stray.txt": "nobody's\n" } });
  mkdirSync(folder.at("repo"));
  writeFileSync(folder.at("repo/maker_0.tar.bz2"), "packed");
  const seed = await listTree(folder.at("lb/seed"), quietJob);
  parts = {
    stage0: await listTree(folder.at("lb/seed/stage0-posix"), quietJob),
    seed: seed.filter(({ path, kind }) => kind === "file" && !path.includes("/")),
    steps: await listTree(folder.at("lb/steps"), quietJob),
    distfiles: await listTree(folder.at("lb/distfiles"), quietJob),
    repo: await listTree(folder.at("repo"), quietJob),
    additions: [madeFile("steps/payload-import-1.0/pass1.kaem", "build\n", 0o755)],
  };
});

async function trees(raw: RawOptions, change: Partial<TreeParts> = {}): Promise<TargetTrees> {
  const options = checkOptions({ mirrors: ["http://m"], ...raw });
  const checkout = await readCheckout(folder.at("lb"), quietJob);
  const plan = planBootstrap(checkout, options, await readPlanFacts(folder.at("lb/distfiles"), options, quietJob));
  return planTargetTrees(plan, { ...parts, ...(raw.qemu === true && raw.externalSources === true ? {} : { additions: [] }), ...change });
}

const paths = (entries: TargetTrees["guest"]): readonly string[] => entries.map(({ path }) => path);
const namesIn = (entries: TargetTrees["guest"], top: string): readonly string[] =>
  paths(entries)
    .filter((path) => path.startsWith(`${top}/`))
    .map((path) => path.slice(top.length + 1));
const sorted = (names: readonly string[]): readonly string[] => [...names].sort(compareBytes);

describe("what goes where", () => {
  test.each([{ chroot: true }, { bwrap: true }, { qemu: true, kernel: "vmlinuz" }, { bareMetal: true, kernel: "vmlinuz" }])(
    "%j: all of the seeds, the first program as /init, the steps, the files from before the network",
    async (raw) => {
      const { guest, external, payload } = await trees(raw);
      expect([external, payload]).toEqual([undefined, undefined]);
      expect(paths(guest)).toEqual(sorted(paths(guest)));
      for (const path of [
        "bootstrap-seeds/POSIX/x86/kaem-optional-seed",
        "kaem.x86",
        "seed.kaem",
        "steps/manifest",
        "steps/bootstrap.cfg",
        "x86/.git",
        ".gitmodules",
        "READ-ME-TOO",
        "x86/artifact",
      ]) {
        expect(paths(guest)).toContain(path);
      }
      expect(paths(guest)).not.toContain("stage0-posix");
      expect(namesIn(guest, "external/distfiles")).toEqual(sorted(SMALL_TREE_PRE_NETWORK));
      const init = guest.find(({ path }) => path === "init");
      expect(init).toMatchObject({ mode: 0o755, mtimeMs: SMALL_TREE_MTIME_MS, sizeBytes: 179n });
      expect(init?.from).toEqual(guest.find(({ path }) => path === "bootstrap-seeds/POSIX/x86/kaem-optional-seed")?.from);
    },
  );

  test("the seed's plain files stand before those of stage0-posix with the same name", async () => {
    const { guest } = await trees({ chroot: true });
    expect(guest.find(({ path }) => path === "after.kaem")?.from).toEqual({ file: folder.at("lb/seed/after.kaem") });
  });

  test.each([{ chroot: true }, { qemu: true, kernel: "k" }])(
    "%j with external sources: the whole folder of distfiles, strays too",
    async (raw) => {
      const { guest } = await trees({ ...raw, externalSources: true, repo: folder.at("repo") }, { additions: [] });
      expect(namesIn(guest, "external/distfiles")).toEqual(sorted([...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE, "stray.txt"]));
      expect(namesIn(guest, "external/repo-preseeded")).toEqual(["maker_0.tar.bz2"]);
    },
  );

  test("another architecture starts with its own program, and without one there is nothing to start", async () => {
    const { guest } = await trees({ chroot: true, arch: "amd64" });
    expect(guest.find(({ path }) => path === "init")?.from).toEqual({
      file: folder.at("lb/seed/stage0-posix/bootstrap-seeds/POSIX/AMD64/kaem-optional-seed"),
    });
    const without = parts.stage0.filter(({ path }) => !path.includes("POSIX/x86"));
    await expect(trees({ chroot: true }, { stage0: without })).rejects.toThrow("bootstrap-seeds/POSIX/x86/kaem-optional-seed");
  });

  test("kernel bootstrap: no seeds, no /init; the second disk by what was asked for", async () => {
    const plain = await trees({ qemu: true });
    expect(paths(plain.guest).filter((path) => path === "init" || path.startsWith("bootstrap-seeds"))).toEqual([]);
    expect(namesIn(plain.guest, "external/distfiles")).toEqual(sorted(SMALL_TREE_PRE_NETWORK));
    expect([plain.external, plain.payload]).toEqual([undefined, undefined]);

    const withRepo = await trees({ qemu: true, repo: folder.at("repo") });
    expect(namesIn(withRepo.guest, "external/distfiles")).toEqual(sorted(SMALL_TREE_PRE_NETWORK));
    expect(paths(withRepo.external!)).toEqual(
      sorted([
        "distfiles",
        ...SMALL_TREE_PRE_NETWORK.map((name) => `distfiles/${name}`),
        "repo-preseeded",
        "repo-preseeded/maker_0.tar.bz2",
      ]),
    );

    const both = await trees({ qemu: true, repo: folder.at("repo"), externalSources: true }, { additions: [] });
    expect(namesIn(both.guest, "external/distfiles")).toEqual(sorted(SMALL_TREE_PRE_NETWORK));
    expect(namesIn(both.external!, "distfiles")).toEqual(sorted([...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE, "stray.txt"]));
  });

  test("with a payload: the early set on the first image, the rest in the container, the importer in the steps", async () => {
    const { guest, external, payload } = await trees({ qemu: true, externalSources: true });
    expect(external).toBeUndefined();
    expect(namesIn(guest, "external/distfiles")).toEqual(sorted(SMALL_TREE_EARLY));
    expect(payload?.map(({ name }) => name)).toEqual(
      [...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE].filter((name) => !SMALL_TREE_EARLY.includes(name)),
    );
    expect(paths(guest)).toContain("steps/payload-import-1.0/pass1.kaem");
    // A folder that nobody listed comes with its file.
    expect(guest.find(({ path }) => path === "steps/payload-import-1.0")).toMatchObject({ kind: "directory", mode: 0o755 });
    const manifest = guest.find(({ path }) => path === "steps/manifest")!;
    expect(new TextDecoder().decode((manifest.from as { bytes: Uint8Array }).bytes)).toContain("improve: import_payload");
  });

  test("an early preseed stands in for the seeds, without its steps and sources", async () => {
    const preseed = [madeFile("bin/sh", "x", 0o755), madeFile("steps/old", "x"), madeFile("external/old", "x"), madeFile("kaem.x86", "x")];
    const { guest } = await trees({ qemu: true, earlyPreseed: "seed.tar" }, { preseed });
    expect(paths(guest)).toContain("bin/sh");
    expect(paths(guest).filter((path) => path.endsWith("/old") || path.startsWith("x86/"))).toEqual([]);
    expect(guest.find(({ path }) => path === "kaem.x86")?.from).toEqual({ file: folder.at("lb/seed/preseeded.kaem") });
  });

  test("all files that are missing are named at once", async () => {
    const distfiles = parts.distfiles.filter(({ path }) => !/^(bash|maker)/.test(path));
    await expect(trees({ chroot: true }, { distfiles })).rejects.toThrow("2 of them missing: maker-1.2.tar, bash-2.05b.tar.gz");
  });

  test("a path that would be a file and a folder is refused", async () => {
    await expect(trees({ chroot: true }, { additions: [madeFile("kaem.x86/x", "x")] })).rejects.toThrow(
      "expected a file or a folder, found both",
    );
  });
});

describe("a folder that is listed", () => {
  test("has its links followed, and its modes and times", async () => {
    mkdirSync(folder.at("links/inside"), { recursive: true });
    writeFileSync(folder.at("links/inside/file"), "12345", { mode: 0o640 });
    symlinkSync("inside", folder.at("links/way"));
    chmodSync(folder.at("links/inside"), 0o711);
    shell('touch -d @1500000000.25 "$1"', folder.at("links/inside/file"));
    const listed = await listTree(folder.at("links"), quietJob);
    expect(listed.map(({ path, kind, sizeBytes }) => `${path} ${kind} ${sizeBytes}`).sort()).toEqual([
      " directory 0",
      "inside directory 0",
      "inside/file file 5",
      "way directory 0",
      "way/file file 5",
    ]);
    expect(listed.find(({ path }) => path === "way/file")).toMatchObject({ mode: 0o640, mtimeMs: 1_500_000_000_250 });
    expect(listed.find(({ path }) => path === "inside")).toMatchObject({ mode: 0o711 });
    const walked = await listTree(folder.at("links"), quietJob, "walk");
    expect(walked.map(({ path }) => path).sort()).toEqual(["", "inside", "inside/file", "way"]);
  });

  test.each([
    ["a link to nothing", 'ln -s nothing "$1/x"', "follow", "a symbolic link to nothing"],
    ["a link in a circle", 'ln -s . "$1/x"', "follow", "symbolic links in a circle"],
    ["a pipe", 'mkfifo "$1/x"', "follow", "something else"],
    ["a name that is not UTF-8", `touch "$1"/$'\\xff'`, "follow", "a name in UTF-8"],
    ["a link out of an archive's folder", 'ln -s /etc/passwd "$1/x"', "walk", "that stays in the folder"],
  ] as const)("%s is refused", async (name, script, links, message) => {
    const root = folder.at(`bad/${name}`);
    mkdirSync(root, { recursive: true });
    shell(script, root);
    await expect(listTree(root, quietJob, links)).rejects.toThrow(message);
  });
});

test("names are sorted by their bytes in UTF-8", () => {
  fc.assert(
    fc.property(fc.string({ unit: "binary" }), fc.string({ unit: "binary" }), (one, other) => {
      expect(Math.sign(compareBytes(one, other))).toBe(Buffer.compare(Buffer.from(one), Buffer.from(other)));
    }),
  );
  expect(["\u{10000}", "\uffee", "a/b", "a-b", "a"].sort(compareBytes)).toEqual(["a", "a-b", "a/b", "\uffee", "\u{10000}"]);
});
