import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { decodeChecksums } from "../../../src/bootstrap/payload/checksums.ts";
import { openPayload, pipedPayload } from "../../../src/bootstrap/payload/input.ts";
import { type VerifyOptions, verifyPayload } from "../../../src/bootstrap/payload/verify.ts";
import type { HiperisoError } from "../../../src/contract/error.ts";
import { quietJob } from "../../../src/contract/job.ts";
import { makeContainer, testFolder, writeSources } from "./folder.ts";

const folder = testFolder();

async function verify(options: VerifyOptions = {}) {
  await using input = await openPayload(folder.at("disk"), quietJob);
  return await verifyPayload(input, options, quietJob);
}

/** As coreutils writes it, of files with the given contents. */
function sums(files: Readonly<Record<string, string>>, ...options: readonly string[]): string {
  writeSources(folder.at("sums"), files);
  const { stdout, status } = spawnSync("sha256sum", [...options, "--", ...Object.keys(files)], {
    cwd: folder.at("sums"),
    encoding: "utf8",
  });
  expect(status).toBe(0);
  return stdout;
}

describe("a container is verified", () => {
  test("for its structure alone", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "22" });
    expect(await verify()).toEqual({
      name: folder.at("disk"),
      good: true,
      width: 32,
      files: [
        { name: "a", sizeBytes: 1, sha256: undefined, verdict: "not compared" },
        { name: "b", sizeBytes: 2, sha256: undefined, verdict: "not compared" },
      ],
      missing: [],
      problems: [],
      notes: [],
      endOffset: 33,
      sizeBytes: 1024,
    });
  });

  test.each([[], ["--binary"], ["--tag"]])("against what sha256sum %s writes", async (...options) => {
    await makeContainer(folder.at("disk"), { a: "1", "b c": "22" }, { wide: true });
    const checksums = decodeChecksums(sums({ a: "1", "b c": "22" }, ...options.filter((word) => typeof word === "string")), "SHA256SUMS");
    const { good, files, width } = await verify({ checksums });
    expect([good, width, files.map(({ verdict }) => verdict)]).toEqual([true, 64, ["same", "same"]]);
  });

  test("against the manifest of all sources: other bytes, files that are not listed, files that are not there", async () => {
    await makeContainer(folder.at("disk"), { "a.tar": "1", "b.tar": "x", "c.tar": "3" });
    const [a, b, d] = sums({ a: "1", b: "2", d: "4" })
      .split("\n")
      .map((line) => line.slice(0, 64));
    const manifest = `${a} distfiles https://one.example/a.tar a.tar\n${a} distfiles https://two.example/a.tar a.tar\n${b} distfiles https://b.example/?x=1 b.tar\n${d} distfiles _ d.tar`;
    const report = await verify({ checksums: decodeChecksums(manifest, "manifest") });
    expect(report.files.map(({ name, verdict }) => [name, verdict])).toEqual([
      ["a.tar", "same"],
      ["b.tar", "different"],
      ["c.tar", "unlisted"],
    ]);
    expect([report.good, report.missing]).toEqual([false, ["d.tar"]]);
  });

  test("against a list that names more, where that is said to be meant", async () => {
    await makeContainer(folder.at("disk"), { a: "1" });
    const checksums = decodeChecksums(sums({ a: "1", early: "2" }), "list");
    expect((await verify({ checksums })).good).toBe(false);
    expect((await verify({ checksums, ignoreMissing: true })).good).toBe(true);
  });

  test("of each cut: not good, with the offset; never a throw", async () => {
    await makeContainer(folder.at("disk"), { a: "12345", b: "6789" }, { pad: false });
    const checksums = decodeChecksums(sums({ a: "12345", b: "6789" }), "list");
    const whole = readFileSync(folder.at("disk"));
    expect((await verify({ checksums })).good).toBe(true);
    for (let length = whole.length - 1; length > 0; length -= 1) {
      truncateSync(folder.at("disk"), length);
      for (const options of [{}, { checksums }]) {
        const { good, problems, endOffset } = await verify(options);
        expect([good, problems.length, endOffset], `${length}`).toEqual([false, 1, undefined]);
        expect(Number(problems[0]?.offset)).toBeLessThanOrEqual(length);
      }
    }
  });

  test("with every byte changed in turn: never good against its list", async () => {
    await makeContainer(folder.at("disk"), { a: "12345", b: "6789" }, { pad: false });
    const checksums = decodeChecksums(sums({ a: "12345", b: "6789" }), "list");
    const whole = readFileSync(folder.at("disk"));
    for (let at = 0; at < whole.length; at += 1) {
      const changed = Uint8Array.from(whole);
      changed[at]! ^= 0x20;
      writeFileSync(folder.at("disk"), changed);
      expect((await verify({ checksums })).good, `${at}`).toBe(false);
    }
  });

  test("and bytes behind it that are not zero are accepted and told, wherever they are", async () => {
    await makeContainer(folder.at("disk"), { a: "1" });
    truncateSync(folder.at("disk"), 3 * 1024 * 1024);
    appendFileSync(folder.at("disk"), "rubbish");
    const { good, notes, sizeBytes, endOffset } = await verify();
    expect([good, sizeBytes, endOffset]).toEqual([true, 3 * 1024 * 1024 + 7, 22]);
    expect(notes).toEqual([
      { offset: 3 * 1024 * 1024, text: "bytes that are not zero stand behind the last file: no reader looks at them" },
    ]);
  });

  test("and a tail that a kernel counting in KiB cannot read is told", async () => {
    await makeContainer(folder.at("disk"), { a: "x".repeat(1020) }, { pad: false });
    const { good, notes } = await verify();
    expect(good).toBe(true);
    expect(notes).toEqual([{ offset: 1041, text: expect.stringMatching(/no multiple of 1024.*cannot read the last 17 bytes/) }]);
  });

  test("and names that importers refuse are problems, an order that is not sorted is a note", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "2", c: "3" });
    const bytes = readFileSync(folder.at("disk"));
    for (const [at, name] of [
      [20, "c"],
      [30, "/"],
      [40, "c"],
    ] as const)
      bytes.set(Buffer.from(name), at);
    writeFileSync(folder.at("disk"), bytes);
    const { good, problems, notes } = await verify();
    expect(good).toBe(false);
    expect(problems).toEqual([
      { offset: 22, text: 'a name with "/": /' },
      { offset: 32, text: "a name that an earlier entry has: c" },
    ]);
    expect(notes).toEqual([{ offset: 22, text: "from / on the names are not in the order of their bytes" }]);
  });

  test("from a pipe as from a file", async () => {
    await makeContainer(folder.at("disk"), { a: "1", b: "x".repeat(5000) });
    appendFileSync(folder.at("disk"), "\0\0!\0");
    const checksums = decodeChecksums(sums({ a: "1", b: "x".repeat(5000) }), "list");
    const bytes = readFileSync(folder.at("disk"));
    async function* pieces() {
      for (let at = 0; at < bytes.length; at += 11) yield bytes.subarray(at, at + 11);
    }
    await using input = pipedPayload(pieces(), folder.at("disk"));
    expect(await verifyPayload(input, { checksums }, quietJob)).toEqual(await verify({ checksums }));
  });
});

describe("a list of checksums", () => {
  const SUM = "0123456789abcdef".repeat(4);

  test("takes all its forms, mixed, with folders, comments, CR LF, a byte order mark and no last line end", () => {
    const text = `\ufeff# sources\r\n\n${SUM}  plain\r\n${SUM.toUpperCase()} *distfiles/binary\n\\${SUM}  back\\\\slash\\nline\n${SUM} distfiles http://x/y manifest\nSHA256 (./tagged (1)) = ${SUM}`;
    expect([...decodeChecksums(text, "list").keys()]).toEqual(["plain", "binary", "back\\slash\nline", "manifest", "tagged (1)"]);
    expect(new Set(decodeChecksums(text, "list").values())).toEqual(new Set([SUM]));
  });

  test("of names with a backslash is what sha256sum writes for them", () => {
    expect([...decodeChecksums(sums({ "a\\b": "1" }), "list").keys()]).toEqual(["a\\b"]);
    expect([...decodeChecksums(sums({ "a\nb": "1" }, "--tag"), "list").keys()]).toEqual(["a\nb"]);
  });

  test.each([
    ["another sum", "da39a3ee5e6b4b0d3255bfef95601890afd80709  sha1\n", /list:1: expected .*SHA-256: 64/],
    ["a field too few", `${SUM}  good\n${SUM} distfiles name\n`, /list:2/],
    ["a field too many", `${SUM} distfiles url name more\n`, /list:1/],
    ["no name", `${SUM}\n`, /list:1/],
    ["two sums for a name", `${SUM}  a\n${SUM.replace("0", "f")}  x/a\n`, /list:2: expected one sum for "a"/],
    ["no line", "# nothing\n", /expected at least one file, found none/],
  ])("with %s is refused, by its line", (_, text, message) => {
    const thrown = (() => {
      try {
        return decodeChecksums(text, "list");
      } catch (error) {
        return error as HiperisoError;
      }
    })();
    expect(String(thrown)).toMatch(message);
    expect(thrown).toMatchObject({ kind: "usage" });
  });
});
