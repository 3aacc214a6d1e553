import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { sourcesCommand } from "../../src/cli/bootstrap-sources.ts";
import { runProgram } from "../../src/cli/program.ts";
import { mirrorOf, serve } from "../bootstrap/servers.ts";
import {
  makeSmallTree,
  SMALL_TREE_EARLY,
  SMALL_TREE_LATE,
  SMALL_TREE_PRE_NETWORK,
  type SmallTreeOptions,
} from "../bootstrap/small-tree.ts";
import { keptStreams } from "./streams.ts";

const ALL = [...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE];

let folder: string;
let tree: string;
let files: Record<string, Uint8Array>;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-cli-sources-"));
  tree = join(folder, "tree");
});
afterEach(() => rmSync(folder, { recursive: true }));

async function make(options: SmallTreeOptions = {}): Promise<void> {
  files = Object.fromEntries((await makeSmallTree(tree, options)).distfiles);
}

async function sources(words: readonly string[], signal = new AbortController().signal, wrote: (text: string) => void = () => {}) {
  const kept = keptStreams();
  const streams = {
    ...kept,
    out: (text: string) => {
      kept.out(text);
      wrote(text);
    },
  };
  const commands = [{ name: "sources", summary: "", load: async () => ({ command: sourcesCommand }) }];
  const status = await runProgram({ name: "hiperiso", description: "", examples: [], commands }, ["sources", ...words], streams, signal);
  return { status, stdout: kept.stdout(), stderr: kept.stderr() };
}

describe("hiperiso bootstrap sources", () => {
  test("list prints what source_manifest.py prints, and JSON for programs", async () => {
    await make({ distfiles: [] });
    const { status, stdout } = await sources(["list", "--tree", tree]);
    const lines = stdout.trimEnd().split("\n");
    expect([status, lines.length, lines[0]?.slice(64)]).toEqual([
      0,
      11,
      " distfiles https://example.invalid/seed-cc-0.1.tar.gz seed-cc-0.1.tar.gz",
    ]);
    const json = JSON.parse((await sources(["list", "--tree", tree, "--set", "pre-network", "--json"])).stdout);
    expect(json.files.map(({ name }: { name: string }) => name)).toEqual(SMALL_TREE_PRE_NETWORK);
    expect(json.files[1]).toMatchObject({
      name: "parser-1.0.tar.gz",
      urls: ["https://example.invalid/first/parser-1.0.tar.gz", "https://example.invalid/second/parser-1.0.tar.gz"],
      wanted_by: ["seed-cc-0.1"],
    });
    expect(existsSync(join(tree, "distfiles/x"))).toBe(false);
  });

  test("fetch brings everything from one mirror, and then has nothing to do", async () => {
    await make({ distfiles: [] });
    await using server = await serve(mirrorOf(files));
    const first = await sources(["fetch", "--tree", tree, "--mirrors", server.url]);
    expect([first.status, first.stdout]).toEqual([0, `10 fetched, 0 were there: 10 files in ${tree}/distfiles, all checked\n`]);
    expect(first.stderr).toMatch(/10 of 10: .* bytes from http:/);
    const second = await sources(["fetch", "--tree", tree]);
    expect([second.status, second.stdout]).toEqual([0, `0 fetched, 10 were there: 10 files in ${tree}/distfiles, all checked\n`]);
    for (const name of ALL) expect(readFileSync(join(tree, "distfiles", name)).equals(files[name]!)).toBe(true);
  });

  test("fetch uses the tree's own addresses; what only mirrors have is named with all else that is missing", async () => {
    await using server = await serve((request, response) => {
      const own: Record<string, string> = {
        "/releases/1.2.tar": "maker-1.2.tar",
        "/snapshot/v8.0.tar.gz": "fetcher-8.0.tar.gz",
        "/second/parser-1.0.tar.gz": "parser-1.0.tar.gz",
        "/dl.php?file=late-2.0.tar.xz": "dl.php?file=late-2.0.tar.xz",
      };
      const bytes = files[own[request.url ?? ""] ?? (request.url ?? "").slice(1)];
      if (bytes === undefined || request.url === "/big-kernel-4.0.patch") response.writeHead(404).end();
      else response.end(bytes);
    });
    await make({ distfiles: [], urlBase: server.url });
    const { status, stdout, stderr } = await sources(["fetch", "--tree", tree]);
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toContain("cannot fetch 2 distfiles");
    expect(stderr).toContain(`big-kernel-4.0.patch (for big-kernel-4.0)\n              ${server.url}/big-kernel-4.0.patch: 404 Not Found`);
    expect(stderr).toMatch(/late-1\.0\.tar\.gz \(for late-1\.0\)\n +there is no place to get it from: only a mirror has it/);
    expect(readdirSync(join(tree, "distfiles"))).toHaveLength(8);
    const json = JSON.parse((await sources(["fetch", "--tree", tree, "--json"])).stdout);
    expect([json.present.length, json.fetched, json.failed.length]).toEqual([8, [], 2]);
  });

  test("fetch takes mirrors in the order given with --no-shuffle, folders among them", async () => {
    await make({ distfiles: [] });
    const mirror = join(folder, "mirror");
    await makeSmallTree(join(folder, "other"));
    rmSync(join(folder, "other/distfiles", SMALL_TREE_EARLY[0]!));
    execFileSync("cp", ["-r", join(folder, "other/distfiles"), mirror]);
    await using server = await serve(mirrorOf(files));
    const words = ["fetch", "--tree", tree, "--no-shuffle", "--jobs", "1", "--mirrors", `file://${mirror}`, server.url];
    expect((await sources(words)).status).toBe(0);
    expect(server.requests).toEqual([`GET /${SMALL_TREE_EARLY[0]}`]);
  });

  test("verify names what is missing or damaged and changes nothing; a fetch mends it", async () => {
    await make({ distfiles: ALL.slice(1), files: { "distfiles/parser-1.0.tar.gz": "damage", "distfiles/stray": "" } });
    const before = readdirSync(join(tree, "distfiles"));
    const { status, stdout } = await sources(["verify", "--tree", tree]);
    expect(status).toBe(1);
    expect(stdout).toMatch(/^missing {2}seed-cc-0\.1\.tar\.gz\ndamaged {2}parser-1\.0\.tar\.gz: wanted [0-9a-f]{64}, found [0-9a-f]{64}\n/);
    expect(stdout).toContain(`8 good, 1 damaged, 1 missing in ${tree}/distfiles; 1 file that this set does not name\n`);
    expect(readdirSync(join(tree, "distfiles"))).toEqual(before);
    const json = JSON.parse((await sources(["verify", "--tree", tree, "--json"])).stdout);
    expect(json).toMatchObject({ good: 8, damaged: 1, missing: 1, others: ["stray"] });
    await using server = await serve(mirrorOf(files));
    expect((await sources(["fetch", "--tree", tree, "--mirrors", server.url])).stderr).toContain(
      "parser-1.0.tar.gz is not the file that is wanted",
    );
    expect((await sources(["verify", "--tree", tree])).status).toBe(0);
  });

  test("mirror makes a folder that another checkout fetches everything from, and brings it up to date", async () => {
    await make();
    const mirror = join(folder, "mirror");
    const first = await sources(["mirror", mirror, "--tree", tree]);
    expect([first.status, first.stdout]).toEqual([0, `10 fetched, 0 were there: 10 files in ${mirror}, all checked; 10 in SHA256SUMS\n`]);
    expect(readdirSync(mirror).sort()).toEqual([...ALL, "SHA256SUMS"].sort());
    execFileSync("sha256sum", ["--strict", "--quiet", "-c", "SHA256SUMS"], { cwd: mirror });
    rmSync(join(mirror, SMALL_TREE_LATE[0]!));
    writeFileSync(join(mirror, SMALL_TREE_LATE[1]!), "damage");
    expect((await sources(["mirror", mirror, "--tree", tree])).stdout).toMatch(/^2 fetched, 8 were there/);
    execFileSync("sha256sum", ["--strict", "--quiet", "-c", "SHA256SUMS"], { cwd: mirror });
    await makeSmallTree(join(folder, "other"), { distfiles: [] });
    expect((await sources(["fetch", "--tree", join(folder, "other"), "--mirrors", `file://${mirror}`])).status).toBe(0);
  });

  test("mirror --serve serves it until Ctrl-C, what it has even if something is missing", async () => {
    await using none = await serve(mirrorOf({}));
    await make({ distfiles: SMALL_TREE_EARLY, withPayloadStep: true, urlBase: none.url });
    const abort = new AbortController();
    const other = join(folder, "other");
    await makeSmallTree(other, { distfiles: [], withPayloadStep: true });
    let inner: Awaited<ReturnType<typeof sources>> | undefined;
    const words = ["mirror", join(folder, "mirror"), "--tree", tree, "--serve"];
    const { status, stdout, stderr } = await sources(words, abort.signal, (text) => {
      const url = /^http:\/\/127\.0\.0\.1:\d+$/m.exec(text)?.[0];
      if (url === undefined) return;
      sources(["fetch", "--tree", other, "--set", "early", "--mirrors", url]).then((result) => {
        inner = result;
        abort.abort();
      });
    });
    expect(status).toBe(0);
    expect(stdout).toMatch(/^http:\/\/127\.0\.0\.1:\d+\n$/);
    expect(stderr).toContain("cannot fetch 7 distfiles");
    expect(inner?.status).toBe(0);
  });

  test.each([
    [["list", "--set", "some"], /--set.*\n.*one of full, pre-network, early, late, all/s],
    [["fetch", "--jobs", "0"], /--jobs/],
    [["fetch", "--timeout", "1.5"], /--timeout/],
    [["fetch", "--mirrors", "file://relative"], /file:\/\/ with an absolute path/],
    [["fetch", "--mirrors", "/srv"], /For a folder write file:\/\/\/srv/],
    [["mirror"], /missing required argument 'folder'/],
    [["mirror", "x", "--port", "65536"], /--port/],
  ])("%j is wrong usage: status 2", async (words, message) => {
    const { status, stderr, stdout } = await sources([...words, "--tree", tree]);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });

  test("a folder that is no checkout is named", async () => {
    const { status, stderr } = await sources(["list", "--tree", folder]);
    expect(status).toBe(2);
    expect(stderr).toContain("steps/manifest");
  });
});
