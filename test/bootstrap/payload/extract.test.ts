import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, statSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createPayload } from "../../../src/bootstrap/payload/create.ts";
import { type ExtractOptions, extractPayload } from "../../../src/bootstrap/payload/extract.ts";
import { HiperisoError } from "../../../src/contract/error.ts";
import { quietJob, silentProgress } from "../../../src/contract/job.ts";
import { PayloadDamage } from "../../../src/formats/lbpayld1.ts";
import { contentsOf, makeContainer, testFolder, thrownBy, writeSources } from "./folder.ts";
import { canMount, withSmallDisk } from "./small-disk.ts";

const folder = testFolder();
const extract = (options: ExtractOptions = {}) => extractPayload(folder.at("disk"), folder.at("out"), options, quietJob);

/** A container with the names as they are, which the writer would refuse. */
function writeForeign(...entries: readonly (readonly [name: string | Uint8Array, content: string])[]): void {
  const u32 = (value: number) => [value & 255, (value >> 8) & 255, (value >> 16) & 255, value >>> 24];
  const bytes = entries.flatMap(([name, content]) => [
    ...u32(Buffer.from(name).length),
    ...u32(content.length),
    ...Buffer.from(name),
    ...Buffer.from(content),
  ]);
  writeFileSync(folder.at("disk"), new Uint8Array([...Buffer.from("LBPAYLD1"), ...u32(entries.length), ...bytes]));
}

describe("files are extracted", () => {
  test.each([{ wide: false }, { wide: true }])("as they went in: %j", async (options) => {
    const big = new Uint8Array(5_000_001).map((_, index) => index % 253);
    await createPayload(writeSources(folder.at("in"), { a: "1", "b c": "", big, ж: "2" }), folder.at("disk"), options, quietJob);
    const summary = await extract();
    expect(summary).toEqual({ folder: folder.at("out"), extracted: ["a", "b c", "big", "ж"], kept: [], sizeBytes: 5_000_003n });
    expect(contentsOf(folder.at("out"))).toEqual(contentsOf(folder.at("in")));
  });

  test("round the circle for any files", async () => {
    const anyFiles = fc.dictionary(
      fc.stringMatching(/^[a-z ]{1,8}$/).filter((name) => name.trim() !== ""),
      fc.string({ unit: "grapheme-ascii", maxLength: 9 }),
      { minKeys: 1 },
    );
    await fc.assert(
      fc.asyncProperty(anyFiles, fc.boolean(), async (files, wide) => {
        const out = folder.at(`out-${Math.trunc(performance.now() * 1000)}`);
        await makeContainer(folder.at("disk"), files, { wide });
        await extractPayload(folder.at("disk"), out, { sync: false }, quietJob);
        expect(contentsOf(out)).toEqual({ ...files });
      }),
      { numRuns: 30 },
    );
  });

  test("alone, where they are named", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "2", c: "3" });
    expect((await extract({ names: ["c", "a", "c"] })).extracted).toEqual(["c", "a"]);
    expect(contentsOf(folder.at("out"))).toEqual({ a: "1", c: "3" });
  });

  test("also where one has the name that another has until it is whole", async () => {
    writeForeign(["x.part", "first"], ["x", "second"], ["x.part_", "third"]);
    await extract();
    expect(contentsOf(folder.at("out"))).toEqual({ "x.part": "first", x: "second", "x.part_": "third" });
  });

  test("from a container with bytes behind it", async () => {
    writeForeign(["a", "1"]);
    writeFileSync(folder.at("disk"), "rubbish", { flag: "a" });
    expect((await extract()).extracted).toEqual(["a"]);
  });
});

describe("files that stand there already", () => {
  test("are not touched, nor is any other file made", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "2", c: "3", d: "4", e: "5" });
    writeSources(folder.at("out"), { b: "mine", c: "mine", d: "mine", e: "mine" });
    const error = (await thrownBy(extract())) as HiperisoError;
    expect(error.message).toMatch(/found b, c, d and 1 more\. Nothing was extracted\. --keep .* --replace/);
    expect(error.kind).toBe("usage");
    expect(contentsOf(folder.at("out"))).toEqual({ b: "mine", c: "mine", d: "mine", e: "mine" });
  });

  test("stay with keep, which completes an interrupted run; a remainder of it does not disturb", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "22" });
    writeSources(folder.at("out"), { a: "1", "b.part": "half of something" });
    utimesSync(folder.at("out", "a"), 1, 1);
    expect(await extract({ existing: "keep" })).toMatchObject({ extracted: ["b"], kept: ["a"] });
    expect(contentsOf(folder.at("out"))).toEqual({ a: "1", b: "22" });
    expect(statSync(folder.at("out", "a")).mtimeMs).toBe(1000);
  });

  test("of another size are not kept", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "22" });
    writeSources(folder.at("out"), { b: "2" });
    expect(String(await thrownBy(extract({ existing: "keep" })))).toMatch(
      /out\/b: expected a file of 2 bytes, or none, found a file of 1 bytes/,
    );
    expect(contentsOf(folder.at("out"))).toEqual({ b: "2" });
  });

  test("are made anew with replace", async () => {
    await makeContainer(folder.at("disk"), { a: "1" });
    writeSources(folder.at("out"), { a: "something longer", other: "stays" });
    await extract({ existing: "replace" });
    expect(contentsOf(folder.at("out"))).toEqual({ a: "1", other: "stays" });
  });

  test.each(["refuse", "keep", "replace"] as const)("and are folders are an error: %s", async (existing) => {
    await makeContainer(folder.at("disk"), { a: "1" });
    mkdirSync(folder.at("out", "a"), { recursive: true });
    expect(String(await thrownBy(extract({ existing })))).toMatch(/out\/a: .*found a folder/);
  });
});

describe("nothing leaves the folder", () => {
  const BAD_NAMES: readonly (readonly [string | Uint8Array, RegExp])[] = [
    ["../up", /a name with "\/": "\.\.\/up"/],
    ["/tmp/x", /a name with "\/"/],
    ["..", /a name that means a folder/],
    [".", /a name that means a folder/],
    ["a\\b", /a name with "\\"/],
    ["a\0b", /control character 0x00: "a\\x00b"/],
    ["\x1b]0;x\x07", /control character 0x1b: "\\x1b\]0;x\\x07"/],
    [Uint8Array.of(0xff, 0x41), /not UTF-8: "\\xffA"/],
    ["n".repeat(251), /a name of 251 bytes/],
    ["good", /a name that an earlier entry has: "good"/],
  ];

  test.each(BAD_NAMES)("by the name %j: refused before the first file is made", async (name, message) => {
    writeForeign(["good", "1"], [name, "2"]);
    const error = await thrownBy(extract());
    expect(error).toBeInstanceOf(HiperisoError);
    expect(String(error)).toMatch(message);
    expect(String(error)).toMatch(/disk@25.*Nothing was extracted/);
    expect(readdirSync(folder.path)).toEqual(["disk"]);
  });

  test("by links that stand in it: they are replaced or refused, never followed", async () => {
    writeSources(folder.path, { victim: "untouched" });
    await makeContainer(folder.at("disk"), { a: "1", b: "2" });
    mkdirSync(folder.at("out"));
    for (const name of ["a.part", "b.part"]) symlinkSync("../victim", folder.at("out", name));
    symlinkSync("../new", folder.at("out", "b"));
    expect(String(await thrownBy(extract()))).toMatch(/found b\b/);
    expect(String(await thrownBy(extract({ existing: "keep" })))).toMatch(/found something that is no plain file/);
    await extract({ existing: "replace" });
    expect(contentsOf(folder.at("out"))).toEqual({ a: "1", b: "2" });
    expect(lstatSync(folder.at("out", "b")).isFile()).toBe(true);
    expect(readFileSync(folder.at("victim"), "utf8")).toBe("untouched");
    expect(readdirSync(folder.path).sort()).toEqual(["disk", "out", "victim"]);
  });
});

describe("an extraction that fails", () => {
  test("because the container is cut short anywhere makes no file at all", async () => {
    await makeContainer(folder.at("whole"), { a: "12345", b: "6789" }, { pad: false });
    const bytes = readFileSync(folder.at("whole"));
    for (let length = 1; length < bytes.length; length += 1) {
      writeFileSync(folder.at("disk"), bytes.subarray(0, length));
      expect(await thrownBy(extract()), `${length}`).toBeInstanceOf(PayloadDamage);
    }
    expect(readdirSync(folder.path).sort()).toEqual(["disk", "whole"]);
  });

  test("because a name is not in the container says so before", async () => {
    await makeContainer(folder.at("disk"), { a: "1" });
    expect(String(await thrownBy(extract({ names: ["a", "q", "r"] })))).toMatch(/expected a name that the container has, found q, r/);
    expect(readdirSync(folder.path)).toEqual(["disk"]);
  });

  test("because the container shrinks meanwhile leaves whole files alone", async () => {
    await createPayload(
      writeSources(folder.at("in"), { a: new Uint8Array(9_000_000), b: new Uint8Array(9_000_000) }),
      folder.at("disk"),
      {},
      quietJob,
    );
    const advance = () => truncateSync(folder.at("disk"), 10_000_000);
    const job = { ...quietJob, progress: { ...silentProgress, begin: () => ({ advance, end: () => {} }) } };
    const error = await thrownBy(extractPayload(folder.at("disk"), folder.at("out"), {}, job));
    expect(String(error)).toMatch(/read the payload container: .*disk@10000000: found it ends here/);
    expect(readdirSync(folder.at("out"))).toEqual(["a"]);
    expect(statSync(folder.at("out", "a")).size).toBe(9_000_000);
  });

  test("because it is aborted leaves whole files alone", async () => {
    const abort = new AbortController();
    await createPayload(writeSources(folder.at("in"), { a: "x", b: new Uint8Array(30_000_000) }), folder.at("disk"), {}, quietJob);
    const advance = () => abort.abort(new DOMException("stop", "AbortError"));
    const job = { signal: abort.signal, progress: { ...silentProgress, begin: () => ({ advance, end: () => {} }) } };
    expect(await thrownBy(extractPayload(folder.at("disk"), folder.at("out"), {}, job))).toBe(abort.signal.reason);
    expect(readdirSync(folder.at("out"))).toEqual(["a"]);
  });

  test("because the target is a file names it", async () => {
    await makeContainer(folder.at("disk"), { a: "1" });
    writeFileSync(folder.at("out"), "");
    expect(String(await thrownBy(extract()))).toMatch(/out: expected a folder/);
  });

  test.each([
    ["a folder", () => mkdirSync(folder.at("disk")), /found a directory/],
    ["nothing", () => {}, /no such file/],
    ["empty", () => writeFileSync(folder.at("disk"), ""), /an empty file/],
    ["a pipe", () => spawnSync("mkfifo", [folder.at("disk")]), /a pipe/],
    ["something else", () => writeFileSync(folder.at("disk"), "#!/bin/sh\n"), /expected "LBPAYLD1", found "#!\/bin\/s"/],
  ])("because the container is %s", async (_, make, message) => {
    make();
    expect(String(await thrownBy(extract()))).toMatch(message);
    expect(readdirSync(folder.path)).not.toContain(basename(folder.at("out")));
  });

  test.skipIf(!canMount)("because the disk is full leaves whole files alone, and says which file was next", async () => {
    await createPayload(
      writeSources(folder.at("in"), { a: new Uint8Array(1_000_000), b: new Uint8Array(2_000_000) }),
      folder.at("disk"),
      {},
      quietJob,
    );
    await withSmallDisk(folder.at("out"), 2048, async () => {
      expect(String(await thrownBy(extract()))).toMatch(/out\/b: found ENOSPC.*The file system is full/);
      expect(readdirSync(folder.at("out"))).toEqual(["a"]);
    });
  });

  test.skipIf(!canMount)("because the target is read-only", async () => {
    await makeContainer(folder.at("disk"), { a: "1" });
    await withSmallDisk(folder.at("out"), 1024, async (makeReadOnly) => {
      makeReadOnly();
      expect(String(await thrownBy(extract()))).toMatch(/out\/a: found EROFS.*The file system is read-only/);
    });
  });
});
