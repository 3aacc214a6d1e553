import { createHash } from "node:crypto";
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { brotliCompressSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FetchOptions, type FetchSummary, fetchDistfiles, missingDistfiles } from "../../src/bootstrap/download.ts";
import { parseMirror } from "../../src/bootstrap/mirror-list.ts";
import type { Distfile } from "../../src/bootstrap/source-list.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { type Job, quietJob } from "../../src/contract/job.ts";
import { mirrorOf, sendPart, serve, serveRaw } from "./servers.ts";

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const FILE = Uint8Array.from({ length: 300_000 }, (_, index) => (index * 7 + (index >> 8)) & 0xff);
const WRONG = FILE.map((byte) => byte ^ 1);

let root: string;
let folder: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "hiperiso-download-"));
  folder = join(root, "distfiles");
});
afterEach(() => {
  if (existsSync(folder)) chmodSync(folder, 0o755);
  rmSync(root, { recursive: true });
});

const wanted = (urls: readonly string[], name = "a-1.0.tar.gz", bytes: Uint8Array = FILE): Distfile => ({
  name,
  sha256: sha256(bytes),
  urls,
  wantedBy: ["a-1.0"],
});

const patient = { windowMs: 60_000, bytesMin: 1 };
/** Long enough for a server that answers at once, short enough to wait for. */
const impatient = { windowMs: 1200, bytesMin: 1000 };

interface Watched {
  readonly job: Job;
  readonly lines: string[];
  bytes: number;
}

function watched(signal: AbortSignal = quietJob.signal): Watched {
  const lines: string[] = [];
  const all: Watched = {
    lines,
    bytes: 0,
    job: {
      signal,
      progress: {
        begin: (title) => ({
          advance: (amount) => {
            if (title.startsWith("download")) all.bytes += amount;
          },
          end: () => lines.push(`ended: ${title}`),
        }),
        say: (line) => lines.push(line),
        warn: (line) => lines.push(`warning: ${line}`),
      },
    },
  };
  return all;
}

function fetchAll(distfiles: readonly Distfile[], given: Partial<FetchOptions> & { job?: Job } = {}): Promise<FetchSummary> {
  const { job = quietJob, ...options } = given;
  const defaults = { mirrors: [], jobs: 2, perHost: 2, bytesMax: 1_000_000, patience: patient, userAgent: "hiperiso/test" };
  return fetchDistfiles(folder, distfiles, { ...defaults, ...options }, job);
}

const inFolder = (): readonly string[] => readdirSync(folder).sort();
const kept = (): Uint8Array => readFileSync(join(folder, `.hiperiso-${sha256(FILE)}.part`));
const problemsOf = ({ failed }: FetchSummary): readonly string[] => failed.flatMap(({ places }) => places.map(({ problem }) => problem));

function expectWhole(summary: FetchSummary): void {
  expect(summary.failed).toEqual([]);
  expect(sha256(readFileSync(join(folder, "a-1.0.tar.gz")))).toBe(sha256(FILE));
  expect(inFolder()).toEqual(["a-1.0.tar.gz"]);
}

describe("a file", () => {
  test("comes from its URL, asked for as it is, and is not fetched twice", async () => {
    let headers: Record<string, unknown> = {};
    await using server = await serve((request, response) => {
      headers = request.headers;
      response.end(FILE);
    });
    const watch = watched();
    const summary = await fetchAll([wanted([`${server.url}/x`])], { job: watch.job });
    expectWhole(summary);
    expect(summary.fetched).toEqual([{ name: "a-1.0.tar.gz", sizeBytes: FILE.length, from: `${server.url}/x`, replaced: false }]);
    expect(headers).toMatchObject({ "accept-encoding": "identity", "user-agent": "hiperiso/test" });
    expect(watch.bytes).toBe(FILE.length);
    expect(watch.lines).toContain(`1 of 1: a-1.0.tar.gz, ${FILE.length} bytes from ${server.url}/x`);
    expect((await fetchAll([wanted([`${server.url}/x`])])).present).toEqual(["a-1.0.tar.gz"]);
    expect(server.requests).toEqual(["GET /x"]);
  });

  test("is taken from a mirror before its URL, its name quoted", async () => {
    await using origin = await serve(mirrorOf({}));
    await using mirror = await serve(mirrorOf({ "dl.php?file=ü 1.tar": FILE }));
    const mirrors = [parseMirror(`${mirror.url}/`)];
    const { failed } = await fetchAll([wanted([`${origin.url}/a`], "dl.php?file=ü 1.tar")], { mirrors });
    expect([failed, origin.requests, mirror.requests]).toEqual([[], [], ["GET /dl.php%3Ffile%3D%C3%BC%201.tar"]]);
  });

  test("is taken from a folder, which has nothing but names", async () => {
    mkdirSync(join(root, "mirror"));
    writeFileSync(join(root, "mirror/a-1.0.tar.gz"), FILE);
    const mirrors = [parseMirror(`file://${root}/none`), parseMirror(`file://${root}/mirror`)];
    const summary = await fetchAll([wanted([])], { mirrors });
    expectWhole(summary);
    expect(summary.fetched[0]?.from).toBe(`file://${root}/mirror`);
  });

  test("that no place has is named with every place and what was wrong there, all files in one error", async () => {
    await using none = await serve(mirrorOf({}));
    await using broken = await serve((_, response) => void response.writeHead(500).end());
    const summary = await fetchAll([wanted([`${none.url}/a`, `${broken.url}/b`]), wanted([], "b-2.tar"), wanted(["ftp://h/c"], "c-3.tar")]);
    const error = missingDistfiles(summary);
    expect(error).toMatchObject({ what: "fetch 3 distfiles", where: folder, kind: "failure" });
    expect(error?.found).toBe(
      [
        "",
        "a-1.0.tar.gz (for a-1.0)",
        `  ${none.url}/a: 404 Not Found`,
        `  ${broken.url}/b: 500 Internal Server Error`,
        "b-2.tar (for a-1.0)",
        "  there is no place to get it from: only a mirror has it",
        "c-3.tar (for a-1.0)",
        "  ftp://h/c: not http or https, but ftp",
      ].join("\n"),
    );
    expect(missingDistfiles({ folder, failed: [] })).toBeUndefined();
    expect(inFolder()).toEqual([]);
  });

  test.each(["../x", "/etc/x", "..", "", "a/b", "a\\b", "a\nb", ".hiperiso-x"])("with the name %j is refused", async (name) => {
    await using server = await serve((_, response) => void response.end(FILE));
    await expect(fetchAll([wanted([server.url], name)])).rejects.toMatchObject({ what: "use a distfile", kind: "usage" });
    expect([existsSync(folder), server.requests]).toEqual([false, []]);
  });

  test("that is damaged is named and replaced, a link with its name too, and what the link leads to stays", async () => {
    mkdirSync(folder);
    writeFileSync(join(root, "elsewhere"), "precious");
    symlinkSync(join(root, "elsewhere"), join(folder, "a-1.0.tar.gz"));
    await using server = await serve((_, response) => void response.end(FILE));
    const watch = watched();
    const summary = await fetchAll([wanted([server.url])], { job: watch.job });
    expectWhole(summary);
    expect(summary.fetched[0]?.replaced).toBe(true);
    expect(watch.lines[1]).toBe(
      `warning: a-1.0.tar.gz is not the file that is wanted and is fetched again: wanted ${sha256(FILE)}, found ${sha256(Buffer.from("precious"))}`,
    );
    expect(readFileSync(join(root, "elsewhere"), "utf8")).toBe("precious");
  });
});

describe("a mirror that", () => {
  /** What the first place did is told; the second brings the file. */
  async function withSecond(answer: Parameters<typeof serve>[0], given: Partial<FetchOptions> = {}) {
    await using bad = await serve(answer);
    await using good = await serve(mirrorOf({ a: FILE }));
    const watch = watched();
    const summary = await fetchAll([wanted([`${bad.url}/a`, `${good.url}/a`])], { job: watch.job, ...given });
    expectWhole(summary);
    expect(summary.fetched[0]?.from).toBe(`${good.url}/a`);
    return { warnings: watch.lines.filter((line) => line.startsWith("warning")), bad: bad.requests, good: good.requests, badUrl: bad.url };
  }

  test.each([404, 403, 500, 503, 204, 206, 304, 416])("answers %d is left", async (status) => {
    const { warnings } = await withSecond((_, response) => void response.writeHead(status).end());
    expect(warnings).toEqual([]);
  });

  test("sends an HTML page with 200 is named as such, with the page's title", async () => {
    const page = "\n<!DOCTYPE html>\n<html><head><title>\n Just a\tmoment…</title>";
    const { warnings, badUrl } = await withSecond((_, response) => void response.writeHead(200, { "content-type": "text/html" }).end(page));
    expect(warnings).toEqual([
      `warning: ${badUrl}/a: an HTML page (Just a moment…) instead of the file: wanted ${sha256(FILE)}, found ${sha256(Buffer.from(page))}`,
    ]);
  });

  test("sends wrong bytes is named with the wanted and the found sum, and the next one is asked from the start", async () => {
    const { warnings, badUrl, good } = await withSecond((_, response) => void response.end(WRONG));
    expect(warnings).toEqual([`warning: ${badUrl}/a: the checksum is wrong: wanted ${sha256(FILE)}, found ${sha256(WRONG)}`]);
    expect(good).toEqual(["GET /a"]);
  });

  test("sends nothing with 200 is named as such", async () => {
    const { warnings } = await withSecond((_, response) => void response.end());
    expect(warnings[0]).toMatch(/: an empty file: wanted/);
  });

  test("announces too much is not listened to", async () => {
    const { warnings } = await withSecond((_, response) => {
      response.writeHead(200, { "content-length": 5_000_000 });
      response.write(FILE);
    });
    expect(warnings[0]).toMatch(/more than the 1000000 bytes that a distfile may have: 5000000$/);
  });

  test("sends more and more is cut off", async () => {
    const { warnings } = await withSecond((_, response) => {
      const pour = (): void => {
        while (!response.destroyed && response.write(FILE)) {}
      };
      response.on("drain", pour);
      pour();
    });
    expect(warnings[0]).toMatch(/more than the 1000000 bytes that a distfile may have: more$/);
  });

  test("closes early is gone on with at the next", async () => {
    const { bad, good } = await withSecond((request, response) =>
      request.headers.range === undefined ? sendPart(response, FILE, 100_000) : void response.destroy(),
    );
    expect(bad).toEqual(["GET /a", "GET /a bytes=100000-"]);
    expect(good).toEqual(["GET /a bytes=100000-"]);
  });

  test("hangs before its answer is left after the limit", async () => {
    const { bad } = await withSecond(() => {}, { patience: impatient });
    expect(bad).toEqual(["GET /a"]);
  });

  test("hangs in the middle is left after the limit, and the next one sends the rest", async () => {
    const { bad, good } = await withSecond(
      (_, response) => {
        response.writeHead(200, { "content-length": FILE.length });
        response.write(FILE.subarray(0, 100_000));
      },
      { patience: impatient },
    );
    expect([bad, good]).toEqual([["GET /a"], ["GET /a bytes=100000-"]]);
  });

  test("trickles is left: a byte now and then is no answer", async () => {
    const timers: NodeJS.Timeout[] = [];
    await withSecond(
      (_, response) => {
        response.writeHead(200, { "content-length": FILE.length });
        timers.push(setInterval(() => response.write(FILE.subarray(0, 1)), 50));
      },
      { patience: impatient },
    );
    for (const timer of timers) clearInterval(timer);
  });

  test("packs what it was asked to send as it is: the file inside counts", async () => {
    await using server = await serve((_, response) => void response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync(FILE)));
    expectWhole(await fetchAll([wanted([server.url])]));
  });

  test("says gzip of a file that is the .gz itself: the bytes count as they are", async () => {
    const packed = gzipSync(FILE);
    await using server = await serve((_, response) => void response.writeHead(200, { "content-encoding": "x-gzip" }).end(packed));
    expect((await fetchAll([wanted([server.url], "a.gz", packed)])).failed).toEqual([]);
  });

  test.each([
    ["gzip that is none", "gzip", FILE.subarray(0, 99)],
    ["a bomb", "gzip", gzipSync(new Uint8Array(50_000_000))],
    ["another packing", "br", brotliCompressSync(FILE)],
  ])("sends %s is left", async (_, encoding, body) => {
    const { warnings } = await withSecond((_request, response) => void response.writeHead(200, { "content-encoding": encoding }).end(body));
    expect(warnings[0]).toContain(`, sent as ${encoding} unasked`);
  });

  test("redirects is followed, and named where that led to nothing", async () => {
    await using server = await serve((request, response) => {
      const next: Record<string, string> = { "/a": "b", "/b": "/c/d", "/c/d": "../e", "/gone": "/nothing" };
      const location = next[request.url ?? ""];
      if (location !== undefined) response.writeHead(302, { location }).end();
      else if (request.url === "/e") response.end(FILE);
      else response.writeHead(404).end();
    });
    const summary = await fetchAll([wanted([`${server.url}/gone`, `${server.url}/a`])]);
    expectWhole(summary);
    expect(server.requests).toEqual(["GET /gone", "GET /nothing", "GET /a", "GET /b", "GET /c/d", "GET /e"]);
    expect(problemsOf(await fetchAll([wanted([`${server.url}/gone`], "b")]))).toEqual([
      `404 Not Found (redirected to ${server.url}/nothing)`,
    ]);
  });

  test("redirects in a circle is left", async () => {
    await using server = await serve(
      (request, response) => void response.writeHead(301, { location: request.url === "/a" ? "/b#x" : "/a" }).end(),
    );
    expect(problemsOf(await fetchAll([wanted([`${server.url}/a`])]))).toEqual([`redirects in a circle, back to ${server.url}/a`]);
    expect(server.requests).toHaveLength(2);
  });

  test("redirects for ever is left", async () => {
    await using server = await serve((request, response) => void response.writeHead(307, { location: `${request.url}a` }).end());
    expect(problemsOf(await fetchAll([wanted([`${server.url}/a`])]))[0]).toMatch(/^more than 10 redirects, the last to .*\/a{12}$/);
  });

  test.each([
    ["file:///etc/passwd", "redirects to file, which is not followed: file:///etc/passwd"],
    ["ftp://h/a", "redirects to ftp, which is not followed: ftp://h/a"],
    ["http://[", "redirects to no URL: http://["],
    [undefined, "a redirect that does not say where to"],
  ])("redirects to %s is left", async (location, problem) => {
    await using server = await serve((_, response) => void response.writeHead(302, location === undefined ? {} : { location }).end());
    expect(problemsOf(await fetchAll([wanted([server.url])]))).toEqual([problem]);
  });

  test("needs a password gets it, and the server that it redirects to does not", async () => {
    const seen: (string | undefined)[] = [];
    await using other = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(404).end();
    });
    await using server = await serve((request, response) => {
      seen.push(request.headers.authorization);
      response.writeHead(302, { location: request.url === "/a" ? "/b" : `${other.url}/c` }).end();
    });
    const url = `${server.url.replace("//", "//name:secret@")}/a`;
    const { failed } = await fetchAll([wanted([url])]);
    const basic = `Basic ${Buffer.from("name:secret").toString("base64")}`;
    expect(seen).toEqual([basic, basic, undefined]);
    expect(failed[0]?.places).toEqual([{ place: `${server.url}/a`, problem: `404 Not Found (redirected to ${other.url}/c)` }]);
  });

  test.each([
    ["speaks no HTTP", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["has headers without end", `HTTP/1.1 200 OK\r\nx: ${"y".repeat(100_000)}`],
    ["breaks off its headers", "HTTP/1.1 200 OK\r\ncontent-le"],
  ])("%s is left", async (_, text) => {
    await using server = await serveRaw((socket) => socket.end(text));
    const problems = problemsOf(await fetchAll([wanted([`${server.url}/a`])]));
    expect(problems).toHaveLength(1);
    expect(problems[0]).not.toBe("");
  });

  test("is not there is left, with a reason that says something", async () => {
    const server = await serve(() => {});
    await server[Symbol.asyncDispose]();
    expect(problemsOf(await fetchAll([wanted([server.url])]))[0]).toMatch(/ECONNREFUSED/);
  });

  test("never answers is not asked for every file again", async () => {
    await using silent = await serve(() => {});
    const files = ["a", "b", "c", "d", "e"].map((name) => wanted([`${silent.url}/${name}`], name));
    const summary = await fetchAll(files, { jobs: 1, patience: { windowMs: 100, bytesMin: 1 } });
    expect(silent.requests).toEqual(["GET /a", "GET /b", "GET /c"]);
    expect(problemsOf(summary)[2]).toBe("no answer in 0.1 s");
    expect(problemsOf(summary)[4]).toMatch(/^not asked: 127\.0\.0\.1:\d+ did not answer 3 times in a row$/);
  });
});

describe("half a file", () => {
  /** A run that a broken connection ended after `count` bytes. */
  async function half(count: number, headers: Record<string, string> = {}): Promise<void> {
    await using server = await serve((request, response) =>
      request.headers.range === undefined ? sendPart(response, FILE, count, headers) : void response.destroy(),
    );
    expect((await fetchAll([wanted([`${server.url}/a`])])).failed).toHaveLength(1);
    expect(kept()).toEqual(Buffer.from(FILE.subarray(0, count)));
  }

  test("stays under a name of its own, and the next run asks for the rest alone", async () => {
    await half(123_456);
    expect(inFolder()).toEqual([`.hiperiso-${sha256(FILE)}.part`]);
    await using server = await serve(mirrorOf({ a: FILE }));
    const watch = watched();
    expectWhole(await fetchAll([wanted([`${server.url}/a`])], { job: watch.job }));
    expect([server.requests, watch.bytes]).toEqual([["GET /a bytes=123456-"], FILE.length - 123_456]);
  });

  test("of a file that changed at its address comes whole: If-Range", async () => {
    const seen: (string | undefined)[] = [];
    let etag = '"old"';
    await using server = await serve((request, response) => {
      seen.push(request.headers["if-range"] as string | undefined);
      if (request.headers.range === undefined) sendPart(response, WRONG, 1000, { etag });
      else if (request.headers["if-range"] === etag)
        response.destroy(); // goes on with the old file, and breaks
      else response.end(FILE);
    });
    await fetchAll([wanted([`${server.url}/a`])]);
    etag = '"new"';
    expectWhole(await fetchAll([wanted([`${server.url}/a`])]));
    expect(seen).toEqual([undefined, '"old"', '"old"']);
  });

  test("is not bound to the validator of another address, nor to a weak one", async () => {
    const seen: (string | undefined)[] = [];
    await half(1000, { etag: '"1"' });
    await using server = await serve((request, response) => {
      seen.push(request.headers["if-range"] as string | undefined);
      if (request.headers.range === "bytes=1000-") sendPart(response, FILE, 0);
      else mirrorOf({ a: FILE })(request, response);
    });
    expectWhole(await fetchAll([wanted([`${server.url}/a`, `${server.url}/a`])]));
    expect(seen).toEqual([undefined, undefined]);
  });

  test.each([
    ["ignores Range", (_: unknown, response: Parameters<typeof sendPart>[0]) => void response.writeHead(200).end(FILE)],
    ["has wrong first bytes", undefined],
  ])("that a server %s of is fetched whole", async (what, answer) => {
    if (what === "has wrong first bytes") {
      mkdirSync(folder);
      writeFileSync(join(folder, `.hiperiso-${sha256(FILE)}.part`), WRONG.subarray(0, 5000));
    } else await half(5000);
    await using server = await serve(answer ?? mirrorOf({ a: FILE }));
    expectWhole(await fetchAll([wanted([`${server.url}/a`])]));
    expect(server.requests).toEqual(answer === undefined ? ["GET /a bytes=5000-", "GET /a"] : ["GET /a bytes=5000-"]);
  });

  test.each([
    ["bytes 4999-299999/300000"],
    ["bytes 5001-299999/300000"],
    ["bytes 5000-299998/300000"],
    ["bytes 5000-4999/5000"],
    ["bytes 5000-299999/*"],
    ["bytes 5000-9999999999/10000000000"],
    ["nonsense"],
    [""],
  ])("is not gone on with on Content-Range: %s", async (range) => {
    await half(5000);
    await using server = await serve((request, response) => {
      if (request.headers.range === undefined) response.end(FILE);
      else response.writeHead(206, { "content-range": range }).end(WRONG);
    });
    expectWhole(await fetchAll([wanted([`${server.url}/a`])]));
    expect(server.requests).toEqual(["GET /a bytes=5000-", "GET /a"]);
  });

  test.each([400, 500, 501])("is asked for whole where the question for a part is answered by %d", async (status) => {
    await half(5000);
    await using server = await serve((request, response) =>
      request.headers.range === undefined ? void response.end(FILE) : void response.writeHead(status).end(),
    );
    expectWhole(await fetchAll([wanted([`${server.url}/a`])]));
    expect(server.requests).toEqual(["GET /a bytes=5000-", "GET /a"]);
  });

  test("stays when a place has nothing of the file", async () => {
    await half(5000);
    await using broken = await serve((_, response) => void response.writeHead(500).end());
    await using none = await serve(mirrorOf({}));
    expect((await fetchAll([wanted([broken.url, none.url])])).failed).toHaveLength(1);
    expect(kept()).toHaveLength(5000);
  });

  test("that is longer than the file is thrown away: 416", async () => {
    mkdirSync(folder);
    writeFileSync(join(folder, `.hiperiso-${sha256(FILE)}.part`), Buffer.concat([FILE, FILE]));
    await using server = await serve((request, response) =>
      request.headers.range === undefined ? void response.end(FILE) : void response.writeHead(416).end(),
    );
    expectWhole(await fetchAll([wanted([`${server.url}/a`])]));
    expect(server.requests).toEqual(["GET /a bytes=600000-", "GET /a"]);
  });

  test("that is whole already needs no server", async () => {
    mkdirSync(folder);
    writeFileSync(join(folder, `.hiperiso-${sha256(FILE)}.part`), FILE);
    const summary = await fetchAll([wanted([])]);
    expectWhole(summary);
    expect(summary.fetched[0]?.from).toBe("an earlier download");
  });

  test("of a process that was killed is found, and that of one that runs is left alone", async () => {
    mkdirSync(folder);
    const stranger = `.hiperiso-${sha256(FILE)}.00000000.1-1-00000000_0000_0000_0000_000000000000.tmp`;
    writeFileSync(join(folder, stranger), FILE.subarray(0, 77));
    const { ownIdentity } = await import("../../src/host/process-identity.ts");
    const { pid, pid_start_ticks, boot_id } = ownIdentity();
    const running = `.hiperiso-${sha256(WRONG)}.00000000.${pid}-${pid_start_ticks}-${boot_id.replaceAll("-", "_")}.tmp`;
    writeFileSync(join(folder, running), "x");
    await using server = await serve(mirrorOf({ a: FILE }));
    await fetchAll([wanted([`${server.url}/a`])]);
    expect(server.requests).toEqual(["GET /a bytes=77-"]);
    expect(inFolder()).toEqual([running, "a-1.0.tar.gz"].sort());
  });

  test("is gone on with at the same place while each try brings something, and no longer", async () => {
    let at = 0;
    await using server = await serve((_, response) => {
      const from = at;
      at += 1000;
      if (from === 0) return sendPart(response, FILE, 1000);
      response.writeHead(206, { "content-length": FILE.length - from, "content-range": `bytes ${from}-299999/300000` });
      response.write(FILE.subarray(from, at), () => response.destroy());
    });
    expect(problemsOf(await fetchAll([wanted([server.url])]))).toEqual(["the connection was closed in the middle of the file"]);
    expect(server.requests).toHaveLength(6);
    expect(kept()).toHaveLength(6000);
  });

  test("of a folder or a link under the name of a half file is no half file", async () => {
    mkdirSync(join(folder, `.hiperiso-${sha256(FILE)}.part/x`), { recursive: true });
    await using server = await serve((_, response) => void response.end(FILE));
    expectWhole(await fetchAll([wanted([server.url])]));
  });
});

describe("the folder", () => {
  test("that is made by somebody else, or cannot be, is named with what to do", async () => {
    writeFileSync(join(root, "file"), "");
    folder = join(root, "file");
    await expect(fetchAll([wanted([])])).rejects.toThrow(/ENOTDIR|EEXIST/);
  });

  test.skipIf(process.getuid?.() === 0)("that is read-only ends the work at once", async () => {
    mkdirSync(folder, { mode: 0o555 });
    await using server = await serve((_, response) => void response.end(FILE));
    await expect(fetchAll([wanted([server.url])])).rejects.toMatchObject({
      what: "write a distfile",
      hint: expect.stringContaining("permissions"),
    });
    expect(server.requests).toEqual([]);
  });

  test("is used by one after the other: the second finds what the first fetched", async () => {
    let firstAsked = (): void => {};
    const asked = new Promise<void>((resolve) => {
      firstAsked = resolve;
    });
    let answer = (): void => {};
    await using server = await serve((_, response) => {
      answer = () => void response.end(FILE);
      firstAsked();
    });
    const first = fetchAll([wanted([server.url])]);
    await asked;
    const waits = watched();
    const second = fetchAll([wanted([server.url])], {
      job: {
        ...waits.job,
        progress: {
          ...waits.job.progress,
          say: (line) => {
            waits.lines.push(line);
            answer();
          },
        },
      },
    });
    expect((await first).fetched).toHaveLength(1);
    expect((await second).present).toEqual(["a-1.0.tar.gz"]);
    expect(waits.lines[0]).toMatch(/^Another hiperiso downloads into /);
    expect(server.requests).toHaveLength(1);
  });
});

describe("many files", () => {
  const names = Array.from({ length: 12 }, (_, index) => `f-${index}.tar`);

  test("come in parallel, at most so many from one host", async () => {
    const open = new Set<() => void>();
    let most = 0;
    await using server = await serve((_, response) => {
      open.add(() => response.end(FILE));
      most = Math.max(most, open.size);
      // The third would have come by now, were it let.
      if (open.size === 3 || server.requests.length % 3 === 0) for (const end of open) end();
      if (open.size >= 3) open.clear();
    });
    const { fetched } = await fetchAll(
      names.map((name) => wanted([`${server.url}/${name}`], name)),
      { jobs: 8, perHost: 3 },
    );
    expect(fetched.map(({ name }) => name)).toEqual(names);
    expect(most).toBe(3);
  });

  test("that all wait for one host are no leak to Node", async () => {
    const warnings: Error[] = [];
    const keep = (warning: Error): void => void warnings.push(warning);
    process.on("warning", keep);
    await using server = await serve((_, response) => void response.end(FILE));
    const many = Array.from({ length: 40 }, (_, index) => wanted([server.url], `m-${index}`));
    expect((await fetchAll(many, { jobs: 40, perHost: 1 })).fetched).toHaveLength(40);
    process.off("warning", keep);
    expect(warnings).toEqual([]);
  });

  test("are given up in order when the work is cancelled, and what was begun is kept", async () => {
    const abort = new AbortController();
    await using server = await serve((_, response) => {
      response.writeHead(200, { "content-length": FILE.length });
      response.write(FILE.subarray(0, 1000));
    });
    const watch = watched(abort.signal);
    const { begin } = watch.job.progress;
    const job: Job = {
      ...watch.job,
      progress: {
        ...watch.job.progress,
        begin: (title, total) => {
          const step = begin(title, total);
          return {
            ...step,
            advance: (amount) => {
              step.advance(amount);
              if (watch.bytes > 0) abort.abort(new Error("interrupted"));
            },
          };
        },
      },
    };
    await expect(fetchAll([wanted([server.url])], { job })).rejects.toThrow("interrupted");
    expect(watch.lines).toContain("ended: download 1 file");
    expect(kept()).toHaveLength(1000);
    expect(inFolder()).toEqual([`.hiperiso-${sha256(FILE)}.part`]);
  });

  test("stop all at once when this computer cannot go on", async () => {
    mkdirSync(join(folder, "f-1.tar/x"), { recursive: true });
    await using server = await serve((request, response) => {
      if (request.url === "/f-1.tar") response.end(FILE);
    });
    const failing = fetchAll(
      names.map((name) => wanted([`${server.url}/${name}`], name)),
      { jobs: 2 },
    );
    await expect(failing).rejects.toBeInstanceOf(HiperisoError);
    await expect(failing).rejects.toMatchObject({ what: "write a distfile", where: join(folder, "f-1.tar") });
    expect(inFolder().filter((name) => name.endsWith(".tmp"))).toEqual([]);
  });
});
