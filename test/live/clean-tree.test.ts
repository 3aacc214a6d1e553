import { describe, expect, test } from "vitest";
import { byteText } from "../../src/formats/byte-text.ts";
import type { TarEntry, TarMember } from "../../src/formats/tar-entry.ts";
import { CLEAN_RULES, cleanedMembers, cleanFiles, cleanUpOf } from "../../src/live/clean-tree.ts";
import { ArchiveFiles } from "../../src/live/sandbox/archive-files.ts";
import { EMPTY } from "../../src/live/sandbox/tree-index.ts";

describe("the rules of what is cleaned", () => {
  test.each(CLEAN_RULES.map((rule) => [rule.path.source, rule] as const))("%s fits its example, and spares what looks alike", (_, rule) => {
    expect(rule.path.test(rule.fits)).toBe(true);
    expect(cleanUpOf(rule.fits)).toBe(rule.does);
    expect(cleanUpOf(rule.spares)).toBeUndefined();
  });
});

const entry = (path: string, kind: TarEntry["kind"] = "file", more = {}): TarMember => ({
  entry: {
    kind,
    path: byteText(path),
    mode: 0o640,
    uid: 5,
    gid: 6,
    mtimeS: 1,
    xattrs: new Map(),
    records: new Map(),
    sizeBytes: 3,
    ...more,
  } as unknown as TarEntry,
  content: EMPTY,
});

describe("cleaning", () => {
  test("leaves folders, drops files and their further names, and empties what must be there", async () => {
    const members = [
      entry("etc/machine-id"),
      entry("etc/ssh/ssh_host_rsa_key"),
      entry("var/log", "directory"),
      entry("var/log/apt", "directory"),
      entry("var/log/apt/x"),
      entry("x", "hard-link", { target: byteText("var/log/apt/x") }),
      entry("y"),
    ];
    const left: TarEntry[] = [];
    for await (const { entry: kept } of cleanedMembers(
      (async function* () {
        yield* members;
      })(),
    ))
      left.push(kept);
    expect(left.map(({ path }) => path)).toEqual(["etc/machine-id", "var/log", "var/log/apt", "y"]);
    expect(left[0]).toMatchObject({ sizeBytes: 0, mode: 0o640, uid: 5, gid: 6 });
  });

  test("does the same in a tree that is an archive", async () => {
    const files = await ArchiveFiles.open(undefined, { mtimeS: 0 });
    const content = new Uint8Array([1]);
    await files.put(
      ["etc/machine-id", "var/log/apt/x", "tmp/y", "etc/passwd-", "etc/passwd"].map((path) => ({
        kind: "file",
        path,
        mode: 0o644,
        content,
      })),
    );
    await cleanFiles(files);
    expect((await files.list("")).filter(({ kind }) => kind === "file").map(({ path }) => path)).toEqual(["etc/machine-id", "etc/passwd"]);
    expect(await files.readIfThere("etc/machine-id")).toHaveLength(0);
  });
});
