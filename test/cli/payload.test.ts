import { spawnSync } from "node:child_process";
import { appendFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { command } from "../../src/cli/payload.ts";
import { runProgram } from "../../src/cli/program.ts";
import { type BuiltProgram, buildProgram } from "./built-program.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
const at = (...names: string[]): string => join(folder, ...names);
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-cli-payload-"));
  mkdirSync(at("in"));
  for (const [name, text] of Object.entries({ "gcc.tar.xz": "gcc", "a b": "blank", ж: "" })) writeFileSync(at("in", name), text);
});
afterEach(() => rmSync(folder, { recursive: true }));

async function payload(...words: string[]) {
  const streams = keptStreams();
  const commands = [{ name: "payload", summary: "", load: async () => ({ command }) }];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["payload", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

const made = async (...words: string[]) =>
  expect(await payload("create", at("x.img"), at("in"), ...words)).toMatchObject({ status: 0, stderr: expect.any(String) });

/** What sha256sum writes for the files that go in. */
const sums = (): string => spawnSync("sh", ["-c", "sha256sum -- *"], { cwd: at("in"), encoding: "utf8" }).stdout;

describe("hiperiso payload create", () => {
  test("makes a container of a folder, and says what it did", async () => {
    const { status, stdout } = await payload("create", at("x.img"), at("in"));
    expect([status, stdout]).toEqual([0, `${at("x.img")}: 32-bit, 3 files, 1024 bytes\n`]);
    expect(readFileSync(at("x.img")).subarray(0, 12).toString("latin1")).toBe("LBPAYLD1\x03\0\0\0");
  });

  test("takes files by other names from a list, beside others", async () => {
    writeFileSync(at("list"), `"other name" "${at("in", "a b")}"\nshort ${at("in", "gcc.tar.xz")}\n`);
    await made("--list", at("list"), "--wide", "--no-pad", "--no-sync");
    expect((await payload("list", at("x.img"))).stdout).toBe(
      [
        "           5            35  a b",
        "           3            66  gcc.tar.xz",
        "           5            95  other name",
        "           3           121  short",
        "           0           142  ж\n",
      ].join("\n"),
    );
  });

  test("as JSON tells what it left out, and warns of it", async () => {
    mkdirSync(at("in", "sub"));
    const { status, stdout, stderr } = await payload("create", at("x.img"), at("in"), "--json");
    expect(status).toBe(0);
    expect(JSON.parse(stdout)).toEqual({
      path: at("x.img"),
      width: 32,
      entryCount: 3,
      endOffset: 59,
      sizeBytes: 1024,
      leftOut: [{ path: at("in", "sub"), kind: "a folder" }],
    });
    expect(stderr).toMatch(/sub is left out: a folder, and a container holds plain files alone/);
  });

  test.each([
    [["create"], /missing required argument 'container'/],
    [["create", "x.img"], /files, folders or --list/],
    [["create", "x.img", "/none"], /no such file/],
    [["create", "x.img", "--null", "/etc"], /--null/],
    [["create", "x.img", "--list", "/none"], /readable file/],
    [["create", "x.img", "--wdie"], /unknown option '--wdie'.*--wide/s],
    [["creat", "x.img"], /unknown command 'creat'.*create/s],
  ])("%j is wrong usage: status 2", async (words, message) => {
    const { status, stdout, stderr } = await payload(...words);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });

  test("names the way out for a file of 4 GiB", async () => {
    writeFileSync(at("in", "big"), "");
    truncateSync(at("in", "big"), 2 ** 32);
    const { status, stderr } = await payload("create", at("x.img"), at("in"));
    expect(status).toBe(2);
    expect(stderr).toMatch(/Write the 64-bit form: --wide/);
    expect(readdirSync(folder)).toEqual(["in"]);
  });
});

describe("hiperiso payload list", () => {
  test("prints names so that a terminal does nothing with them", async () => {
    await made();
    const bytes = readFileSync(at("x.img"));
    bytes.set(Buffer.from("\x1b[A"), bytes.indexOf("a b"));
    writeFileSync(at("x.img"), bytes);
    const { status, stdout } = await payload("list", at("x.img"));
    expect(status).toBe(0);
    expect(stdout).toContain("  \\x1b[A\n");
  });

  test("prints what it could read before it fails", async () => {
    await made();
    truncateSync(at("x.img"), 40);
    const { status, stdout, stderr } = await payload("list", at("x.img"));
    expect([status, stdout]).toEqual([3, "           5            23  a b\n"]);
    expect(stderr).toMatch(/x\.img@40.*entry 2 of 3/s);
  });

  test("as JSON", async () => {
    await made();
    const { stdout } = await payload("list", at("x.img"), "--json");
    expect(JSON.parse(stdout)).toEqual({
      name: at("x.img"),
      width: 32,
      endOffset: 59,
      entries: [
        { name: "a b", headerOffset: 12, dataOffset: 23, sizeBytes: 5 },
        { name: "gcc.tar.xz", headerOffset: 28, dataOffset: 46, sizeBytes: 3 },
        { name: "ж", headerOffset: 49, dataOffset: 59, sizeBytes: 0 },
      ],
    });
  });
});

describe("hiperiso payload extract", () => {
  test("brings back what went in; a second time it refuses, and completes with --keep", async () => {
    await made();
    expect(await payload("extract", at("x.img"), at("out"))).toMatchObject({
      status: 0,
      stdout: `${at("out")}: 3 files extracted, 8 bytes\n`,
    });
    for (const name of readdirSync(at("in"))) expect(readFileSync(at("out", name))).toEqual(readFileSync(at("in", name)));
    expect(await payload("extract", at("x.img"), at("out"))).toMatchObject({ status: 2, stderr: expect.stringMatching(/--keep/) });
    rmSync(at("out", "a b"));
    expect((await payload("extract", at("x.img"), at("out"), "--keep")).stdout).toBe(
      `${at("out")}: 1 file extracted, 5 bytes; 2 files stayed\n`,
    );
    expect(JSON.parse((await payload("extract", at("x.img"), at("out"), "ж", "--replace", "--json")).stdout)).toEqual({
      folder: at("out"),
      extracted: ["ж"],
      kept: [],
      sizeBytes: 0,
    });
    expect((await payload("extract", at("x.img"), at("out"), "--keep", "--replace")).status).toBe(2);
  });
});

describe("hiperiso payload verify", () => {
  test("is good: status 0", async () => {
    await made();
    writeFileSync(at("SHA256SUMS"), sums());
    expect(await payload("verify", at("x.img"), "--against", at("SHA256SUMS"))).toMatchObject({
      status: 0,
      stdout: `${at("x.img")}: good, 32-bit, 3 files, 3 as listed, 59 bytes\n`,
    });
  });

  test("is not good: status 1, each reason on a line", async () => {
    writeFileSync(at("SHA256SUMS"), sums());
    writeFileSync(at("in", "gcc.tar.xz"), "GCC");
    writeFileSync(at("in", "more"), "");
    rmSync(at("in", "a b"));
    await made();
    appendFileSync(at("x.img"), "!");
    const { status, stdout } = await payload("verify", at("x.img"), "--against", at("SHA256SUMS"));
    expect(status).toBe(1);
    expect(stdout.split("\n")).toEqual([
      expect.stringMatching(/^different: gcc\.tar\.xz has the SHA-256 [0-9a-f]{64}$/),
      "not in the list: more",
      "not in the container: a b",
      "note at 1024: bytes that are not zero stand behind the last file: no reader looks at them",
      `${at("x.img")}: not good, 32-bit, 3 files, 1 as listed, 55 bytes`,
      "",
    ]);
  });

  test("of a damaged one names the place: status 1", async () => {
    await made();
    truncateSync(at("x.img"), 40);
    expect(await payload("verify", at("x.img"))).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/^problem at 40: expected entry 2 of 3.*\n.*: not good, 32-bit, 1 file\n$/),
    });
    expect(JSON.parse((await payload("verify", at("x.img"), "--json")).stdout)).toMatchObject({ good: false, width: 32 });
  });

  test.each([
    [["--ignore-missing"], /--against FILE/],
    [["--against", "/none"], /readable file/],
  ])("%j is wrong usage: status 2", async (words, message) => {
    await made();
    expect(await payload("verify", at("x.img"), ...words)).toMatchObject({ status: 2, stdout: "", stderr: expect.stringMatching(message) });
  });
});

describe("hiperiso payload scan", () => {
  test("finds it among others: status 0", async () => {
    await made();
    const { status, stdout } = await payload("scan", at("none"), at("in", "a b"), at("x.img"));
    expect([status, stdout.split("\n")]).toEqual([
      0,
      [
        `${at("none")}: cannot be read: no such file`,
        `${at("in", "a b")}: no container`,
        `${at("x.img")}: a container, 32-bit, 3 files said`,
        "",
      ],
    ]);
  });

  test("finds none: status 1; and 3 where one could not be read", async () => {
    expect(await payload("scan", at("in", "a b"))).toMatchObject({
      status: 1,
      stdout: expect.stringMatching(/no container on 1 device\n$/),
    });
    expect(await payload("scan", at("in", "a b"), at("none"))).toMatchObject({
      status: 3,
      stdout: expect.stringMatching(/no container on 2 devices\n$/),
    });
    const { status, stdout } = await payload("scan", at("none"), "--json");
    expect([status, JSON.parse(stdout)]).toEqual([3, [{ path: at("none"), answer: "unreadable", because: "no such file" }]]);
  });
});

test.each(["create", "list", "extract", "verify", "scan"])("the help of %s leads to examples", async (name) => {
  const { status, stdout } = await payload(name, "--help");
  expect(status).toBe(0);
  expect(stdout).toMatch(new RegExp(`Examples:\\n  (.*\\n  )?.*hiperiso payload ${name}`));
});

describe("through pipes", () => {
  let built: BuiltProgram;
  beforeAll(() => {
    built = buildProgram();
  }, 120_000);
  afterAll(() => built.remove());

  /** A shell line in which $hiperiso is the program. */
  function shell(line: string) {
    const program = `
      const { main } = await import(${JSON.stringify(built.module("cli/program.js"))});
      const { command } = await import(${JSON.stringify(built.module("cli/payload.js"))});
      await main({ name: "hiperiso", description: "", examples: [], commands: [{ name: "payload", summary: "", load: async () => ({ command }) }] });`;
    writeFileSync(at("hiperiso.mjs"), program);
    const env = { ...process.env, hiperiso: `${process.execPath} ${at("hiperiso.mjs")} payload` };
    return spawnSync("sh", ["-c", line], { cwd: folder, encoding: "utf8", env });
  }

  test("find names the files, and the container is listed and verified as it comes", () => {
    const { status, stdout, stderr } = shell(
      `(cd in && sha256sum -- *) > sums
       find in -type f -printf '%f\\0%p\\0' | $hiperiso create x.img --null --list - &&
       gzip < x.img | gzip -dc | $hiperiso list - &&
       cat x.img | $hiperiso verify - --against sums`,
    );
    expect(stderr).not.toMatch(/error/);
    expect([status, stdout.split("\n")]).toEqual([
      0,
      [
        "x.img: 32-bit, 3 files, 1024 bytes",
        "           5            23  a b",
        "           3            46  gcc.tar.xz",
        "           0            59  ж",
        "standard input: good, 32-bit, 3 files, 3 as listed, 59 bytes",
        "",
      ],
    ]);
  });

  test("Ctrl-C in the middle leaves no file", () => {
    truncateSync(at("in", "a b"), 2 ** 32 - 1);
    // The signal comes when the first bytes are in the temporary file: 4 GB take longer than that.
    const { stdout } = shell(
      `$hiperiso create x.img in & pid=$!
       until [ -n "$(find . -maxdepth 1 -name '.payload-*' -size +1M)" ] || ! kill -0 $pid; do :; done
       kill -INT $pid; wait $pid; echo "status $?"; ls -A`,
    );
    expect(stdout).toBe("status 3\nhiperiso.mjs\nin\n");
  });
});
