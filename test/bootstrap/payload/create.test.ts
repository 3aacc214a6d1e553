import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { describe, expect, test } from "vitest";
import { createPayload } from "../../../src/bootstrap/payload/create.ts";
import { openPayload } from "../../../src/bootstrap/payload/input.ts";
import { readPayloadContents } from "../../../src/bootstrap/payload/list.ts";
import type { HiperisoError } from "../../../src/contract/error.ts";
import { type Job, quietJob, silentProgress } from "../../../src/contract/job.ts";
import { layoutOf } from "../../../src/formats/lbpayld1.ts";
import { makeContainer, testFolder, thrownBy, writeSources } from "./folder.ts";
import { canMount, withSmallDisk } from "./small-disk.ts";

const folder = testFolder();

/** A job that does something while the first stretch of bytes is reported, and tells how often it heard of any. */
function jobThat(act: () => void): Job & { heard(): number } {
  let heard = 0;
  const advance = () => {
    heard += 1;
    if (heard === 1) act();
  };
  const progress = { ...silentProgress, begin: () => ({ advance, end: () => {} }) };
  return { ...quietJob, progress, heard: () => heard };
}

const MB = 1024 * 1024;

describe("a container that is made", () => {
  test("holds its sources by the order of their names, and is as long as was reckoned", async () => {
    const big = new Uint8Array(3 * MB + 17).map((_, index) => index % 251);
    const sources = writeSources(folder.at("in"), { z: "last", big, "a b": "", ä: "umlaut" });
    const summary = await createPayload(sources, folder.at("out.img"), {}, quietJob);
    const layout = layoutOf(sources.map(({ name, from }) => ({ name, sizeBytes: BigInt(statSync(from.file).size) })));
    expect(summary).toEqual({
      path: folder.at("out.img"),
      width: 32,
      entryCount: 4,
      endOffset: layout.endOffset,
      sizeBytes: layout.sizeBytes,
    });
    const bytes = readFileSync(folder.at("out.img"));
    expect(bytes.length % 1024).toBe(0);
    expect(BigInt(bytes.length)).toBe(layout.sizeBytes);
    for (const { name, dataOffset, sizeBytes } of layout.entries) {
      expect(bytes.subarray(Number(dataOffset), Number(dataOffset + sizeBytes)).equals(readFileSync(folder.at("in", name))), name).toBe(
        true,
      );
    }
    await using input = await openPayload(folder.at("out.img"), quietJob);
    const { entries } = await readPayloadContents(input);
    expect(entries.map(({ nameBytes }) => new TextDecoder().decode(nameBytes))).toEqual(["a b", "big", "z", "ä"]);
  });

  test.each([{}, { wide: true }, { pad: false }, { wide: true, pad: false }])(
    "has the same bytes from another order and at another time: %j",
    async (options) => {
      const sources = writeSources(folder.at("in"), { a: "1", b: "2", c: "3" });
      await createPayload(sources, folder.at("one"), options, quietJob);
      for (const { from } of sources) utimesSync(from.file, 1, 1);
      await createPayload(sources.toReversed(), folder.at("two"), options, quietJob);
      expect(readFileSync(folder.at("one")).equals(readFileSync(folder.at("two")))).toBe(true);
    },
  );

  test("takes the place of an older one, also of a longer one, also behind a link, and leaves nothing else", async () => {
    writeFileSync(folder.at("out"), "x".repeat(100_000));
    symlinkSync("out", folder.at("link"));
    await makeContainer(folder.at("link"), { a: "1" });
    expect(lstatSync(folder.at("link")).isSymbolicLink()).toBe(true);
    expect(statSync(folder.at("out")).size).toBe(1024);
    expect(readdirSync(folder.path).sort()).toEqual(["link", "out"]);
  });

  test("keeps its progress and its event loop going", async () => {
    const sources = writeSources(folder.at("in"), { a: new Uint8Array(40 * MB) });
    const job = jobThat(() => {});
    await createPayload(sources, folder.at("out"), { sync: false }, job);
    expect(job.heard()).toBeGreaterThanOrEqual(5);
  });
});

describe("nothing is made, and nothing is left,", () => {
  const names = () => readdirSync(folder.path).sort();

  test.each([
    ["grows", (path: string) => appendFileSync(path, "more"), /expected the 41943040 bytes.*found 41943044.*Wait until nothing writes/],
    ["shrinks", (path: string) => truncateSync(path, 5 * MB), /expected the 41943040 bytes.*found \d+/],
    ["is written to", (path: string) => writeFileSync(path, "x", { flag: "r+" }), /found other bytes: it was written to or replaced/],
  ])("where a source %s while it is read", async (_, change, message) => {
    const sources = writeSources(folder.at("in"), { a: "", b: new Uint8Array(40 * MB) });
    await makeContainer(folder.at("out"), { old: "one" });
    const before = readFileSync(folder.at("out"));
    const job = jobThat(() => change(folder.at("in", "b")));
    const error = (await thrownBy(createPayload(sources, folder.at("out"), {}, job))) as HiperisoError;
    expect(error.message).toMatch(message);
    expect(error.kind).toBe("failure");
    expect(error.where).toBe(folder.at("in", "b"));
    expect(readFileSync(folder.at("out")).equals(before)).toBe(true);
    expect(names()).toEqual(["in", "out"]);
  });

  test("where a source is gone when its turn comes", async () => {
    const sources = writeSources(folder.at("in"), { a: new Uint8Array(20 * MB), b: "x" });
    const job = jobThat(() => spawnSync("rm", [folder.at("in", "b")]));
    const error = (await thrownBy(createPayload(sources, folder.at("out"), {}, job))) as HiperisoError;
    expect(error.message).toMatch(/in\/b: found ENOENT.*It would be "b" in the container/);
    expect(names()).toEqual(["in"]);
  });

  test("where a pipe took a source's place", async () => {
    const sources = writeSources(folder.at("in"), { a: new Uint8Array(20 * MB), b: "" });
    const job = jobThat(() => spawnSync("sh", ["-c", 'rm "$1" && mkfifo "$1"', "-", folder.at("in", "b")]));
    expect(String(await thrownBy(createPayload(sources, folder.at("out"), {}, job)))).toMatch(/in\/b: .*written to or replaced/);
    expect(names()).toEqual(["in"]);
  });

  test("where a source has more bytes than its size says", async () => {
    const sources = [{ name: "a", from: { file: "/proc/self/status" } }];
    expect(String(await thrownBy(createPayload(sources, folder.at("out"), {}, quietJob)))).toMatch(/expected the 0 bytes .*found more/);
    expect(names()).toEqual([]);
  });

  test("where the work is aborted", async () => {
    const abort = new AbortController();
    const sources = writeSources(folder.at("in"), { a: new Uint8Array(40 * MB) });
    const job = { ...jobThat(() => abort.abort(new DOMException("stop", "AbortError"))), signal: abort.signal };
    expect(await thrownBy(createPayload(sources, folder.at("out"), {}, job))).toBe(abort.signal.reason);
    expect(names()).toEqual(["in"]);
  });

  test("where the container would be one of its own sources, by whatever name", async () => {
    const [source] = writeSources(folder.path, { a: "1" });
    linkSync(folder.at("a"), folder.at("same"));
    for (const out of ["a", "same", "./a"]) {
      const error = (await thrownBy(createPayload([source!], folder.at(out), {}, quietJob))) as HiperisoError;
      expect(error.message).toMatch(/found the container among them, as "a"\. Write it into another folder/);
      expect(error.kind).toBe("usage");
    }
    expect(readFileSync(folder.at("a"), "utf8")).toBe("1");
  });

  test.each([
    ["a folder", () => mkdirSync(folder.at("out")), /found a folder/],
    ["a pipe", () => spawnSync("mkfifo", [folder.at("out")]), /found a pipe/],
    ["a link to nothing", () => symlinkSync("nowhere", folder.at("out")), /found a symbolic link to nothing/],
    ["a device", () => symlinkSync("/dev/null", folder.at("out")), /found a device/],
  ])("where %s stands in the container's place", async (_, make, message) => {
    make();
    const error = (await thrownBy(makeContainer(folder.at("out"), { a: "1" }))) as HiperisoError;
    expect(error.message).toMatch(message);
    expect(error.kind).toBe("usage");
    expect(names()).toEqual(["out"]);
  });

  test.each([
    ["a folder", (path: string) => mkdirSync(path), /found a folder/],
    ["a pipe", (path: string) => spawnSync("mkfifo", [path]), /found a pipe/],
    ["nothing", () => {}, /found ENOENT/],
  ])("where a source is %s", async (_, make, message) => {
    make(folder.at("a"));
    const error = (await thrownBy(
      createPayload([{ name: "a", from: { file: folder.at("a") } }], folder.at("out"), {}, quietJob),
    )) as HiperisoError;
    expect(error.message).toMatch(message);
    expect(error.kind).toBe("usage");
  });

  test("where two files have one name: both are named", async () => {
    const sources = [...writeSources(folder.at("x"), { a: "1" }), ...writeSources(folder.at("y"), { a: "2" })];
    const { message } = (await thrownBy(createPayload(sources, folder.at("out"), {}, quietJob))) as HiperisoError;
    expect(message).toContain(folder.at("x", "a"));
    expect(message).toContain(folder.at("y", "a"));
  });

  test("where a file needs 64 bits: the error comes before the first byte, and names --wide", async () => {
    const [source] = writeSources(folder.at("in"), { big: "" });
    truncateSync(folder.at("in", "big"), 0x1_0000_0000);
    const error = (await thrownBy(createPayload([source!], folder.at("out"), {}, quietJob))) as HiperisoError;
    expect(error.message).toMatch(/big: .*found 4294967296 bytes\. Write the 64-bit form: --wide/);
    expect(names()).toEqual(["in"]);
  });

  test("where the folder is not there", async () => {
    expect(String(await thrownBy(makeContainer(folder.at("no", "out"), { a: "1" })))).toMatch(/ENOENT.*Make the folder first/);
  });

  test.skipIf(!canMount)("where the disk is full in the middle", async () => {
    const sources = writeSources(folder.at("in"), { a: new Uint8Array(3 * MB), b: new Uint8Array(3 * MB) });
    await withSmallDisk(folder.at("disk"), 4096, async () => {
      await makeContainer(folder.at("disk", "out"), { old: "one" });
      const before = readFileSync(folder.at("disk", "out"));
      const error = (await thrownBy(createPayload(sources, folder.at("disk", "out"), {}, quietJob))) as HiperisoError;
      expect(error.message).toMatch(/disk\/out: found ENOSPC.*The file system is full/);
      expect(error.kind).toBe("failure");
      expect(readdirSync(folder.at("disk"))).toEqual(["out"]);
      expect(readFileSync(folder.at("disk", "out")).equals(before)).toBe(true);
    });
  });

  test.skipIf(!canMount)("where the target is read-only", async () => {
    await withSmallDisk(folder.at("disk"), 1024, async (makeReadOnly) => {
      makeReadOnly();
      expect(String(await thrownBy(makeContainer(folder.at("disk", "out"), { a: "1" })))).toMatch(/EROFS.*The file system is read-only/);
      expect(readdirSync(folder.at("disk"))).toEqual([]);
    });
  });
});
