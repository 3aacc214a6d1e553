/** What only whole processes show: two at a time, Ctrl-C, a kill, a disk that is full or read-only. */
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { pathToFileURL } from "node:url";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { type Answer, mirrorOf, serve } from "../bootstrap/servers.ts";
import { type BuiltProgram, buildProgram } from "./built-program.ts";

/** More than a pipe holds, less than a small disk does not. */
const FILES: Readonly<Record<string, Uint8Array>> = Object.fromEntries(
  ["a.tar", "b.tar", "c.tar"].map((name, index) => [name, new Uint8Array(400_000).fill(index + 1)]),
);
const sum = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

let program: BuiltProgram;
let driver: string;
beforeAll(() => {
  program = buildProgram();
  driver = join(program.folder, "sources.mjs");
  const [main, sources] = ["cli/program.js", "cli/bootstrap-sources.js"].map((name) => pathToFileURL(program.module(name)).href);
  writeFileSync(
    driver,
    `import { main } from "${main}"; import { sourcesCommand } from "${sources}";
await main({ name: "hiperiso", description: "", examples: [], commands: [{ name: "sources", summary: "", load: async () => ({ command: sourcesCommand }) }] });`,
  );
});
afterAll(() => program.remove());

let folder: string;
let tree: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-sources-process-"));
  tree = join(folder, "tree");
  mkdirSync(join(tree, "steps/a-1.0"), { recursive: true });
  writeFileSync(join(tree, "steps/manifest"), "build: a-1.0\n");
  const lines = Object.entries(FILES).map(([name, bytes]) => `g https://host.invalid/x~1 _ ${sum(bytes)} ${name}\n`);
  writeFileSync(join(tree, "steps/a-1.0/sources"), lines.join(""));
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

const words = (url: string, more: readonly string[] = []): readonly string[] => [
  driver,
  "sources",
  "fetch",
  "--tree",
  tree,
  "--mirrors",
  url,
  "--jobs",
  "1",
  ...more,
];

interface Ended {
  readonly status: number | null;
  readonly signal: string | null;
  readonly stdout: string;
  readonly stderr: string;
}

async function ended(child: ChildProcess): Promise<Ended> {
  const [stdout, stderr, [status, signal]] = await Promise.all([text(child.stdout!), text(child.stderr!), once(child, "close")]);
  return { status: status as number | null, signal: signal as string | null, stdout, stderr };
}

const start = (command: string, args: readonly string[]): ChildProcess => spawn(command, args, { stdio: ["ignore", "pipe", "pipe"] });
const inFolder = (): readonly string[] => readdirSync(join(tree, "distfiles")).sort();

function expectAll(): void {
  expect(inFolder()).toEqual(Object.keys(FILES));
  for (const [name, bytes] of Object.entries(FILES)) expect(sum(readFileSync(join(tree, "distfiles", name)))).toBe(sum(bytes));
}

/** Sends the first bytes of a.tar, calls back, and then nothing more; ranges of it as asked. */
function stuck(begun: () => void): Answer {
  return (request, response) => {
    if (request.headers.range !== undefined || request.url !== "/a.tar") return mirrorOf(FILES)(request, response);
    response.writeHead(200, { "content-length": 400_000, etag: '"1"' });
    response.write(FILES["a.tar"]!.subarray(0, 200_000), begun);
  };
}

/** Until this many bytes stand in the file that is being written. */
async function written(bytes: number): Promise<void> {
  for (;;) {
    const names = readdirSync(join(tree, "distfiles")).filter((name) => name.endsWith(".tmp"));
    if (names.some((name) => readFileSync(join(tree, "distfiles", name)).length >= bytes)) return;
    await new Promise((resolve) => setImmediate(resolve));
  }
}

describe("hiperiso bootstrap sources fetch, as a process", () => {
  test("two of them at the same time fetch each file once", async () => {
    await using server = await serve(mirrorOf(FILES));
    const both = await Promise.all([ended(start(process.execPath, words(server.url))), ended(start(process.execPath, words(server.url)))]);
    expect(both.map(({ status }) => status)).toEqual([0, 0]);
    expect([...server.requests].sort()).toEqual(["GET /a.tar", "GET /b.tar", "GET /c.tar"]);
    expectAll();
  });

  test.each(["SIGINT", "SIGTERM"] as const)("ended by %s keeps what has come, and the next one asks for the rest", async (signal) => {
    let begun = (): void => {};
    const first = new Promise<void>((resolve) => {
      begun = resolve;
    });
    await using server = await serve(stuck(begun));
    const child = start(process.execPath, words(server.url));
    const end = ended(child);
    await first;
    await written(200_000);
    child.kill(signal);
    const { status, stdout, stderr } = await end;
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/interrupted|SIG/);
    expect(inFolder()).toEqual([`.hiperiso-${sum(FILES["a.tar"]!)}.part`, `.hiperiso-${sum(FILES["a.tar"]!)}.part.json`]);
    expect((await ended(start(process.execPath, words(server.url)))).status).toBe(0);
    expect(server.requests).toEqual(["GET /a.tar", "GET /a.tar bytes=200000-", "GET /b.tar", "GET /c.tar"]);
    expectAll();
  });

  test("killed leaves nothing under a final name, and the next one goes on", async () => {
    let begun = (): void => {};
    const first = new Promise<void>((resolve) => {
      begun = resolve;
    });
    await using server = await serve(stuck(begun));
    const child = start(process.execPath, words(server.url));
    const end = ended(child);
    await first;
    await written(200_000);
    child.kill("SIGKILL");
    expect((await end).signal).toBe("SIGKILL");
    expect(inFolder()).toEqual([expect.stringMatching(/^\.hiperiso-.*\.tmp$/)]);
    expect((await ended(start(process.execPath, words(server.url)))).status).toBe(0);
    expect(server.requests[1]).toBe("GET /a.tar bytes=200000-");
    expectAll();
  });

  test("that may not write a larger file stops at once and says why", async () => {
    await using server = await serve(mirrorOf(FILES));
    // The limit counts blocks of 512 bytes or of 1,024: 150 are less than a file in both.
    const { status, stderr } = await ended(start("sh", ["-c", 'ulimit -f 150 && exec "$@"', "sh", process.execPath, ...words(server.url)]));
    expect(status).toBe(3);
    expect(stderr).toMatch(/cannot write a distfile/);
    expect(stderr).toMatch(/EFBIG/);
    expect(server.requests).toEqual(["GET /a.tar"]);
  });
});

/** A mount of our own needs a user namespace, which not every computer allows. */
const canMount = ((): boolean => {
  try {
    execFileSync("unshare", ["-rm", "mount", "-t", "tmpfs", "none", "/mnt"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

describe.skipIf(!canMount)("on a file system of its own", () => {
  const mounted = (options: string, url: string, script = ""): Promise<Ended> => {
    const shell = `mount -t tmpfs -o ${options} none "$0" && ${script} "$@"; status=$?; ls -A "$0" >&2; exit $status`;
    const distfiles = join(tree, "distfiles");
    mkdirSync(distfiles);
    return ended(start("unshare", ["-rm", "sh", "-c", shell, distfiles, process.execPath, ...words(url)]));
  };

  test("a disk that is full in the middle stops everything, with what to do; what is whole stays", async () => {
    await using server = await serve(mirrorOf(FILES));
    const { status, stdout, stderr } = await mounted("size=600k", server.url);
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/cannot write a distfile\n.*\n {2}found {5}ENOSPC.*\n {2}hint {6}The file system is full/);
    expect(server.requests).toEqual(["GET /a.tar", "GET /b.tar"]);
    // The listing behind the error: no half file fills the disk further.
    expect(stderr).toMatch(/hint .*\na\.tar\n$/);
  });

  test("a folder that is read-only is said before anything is asked for", async () => {
    await using server = await serve(mirrorOf(FILES));
    const { status, stderr } = await mounted("size=600k", server.url, 'mount -o remount,ro "$0" &&');
    expect(status).toBe(3);
    expect(stderr).toMatch(/EROFS.*\n {2}hint {6}The file system is read-only/);
    expect(server.requests).toEqual([]);
  });
});
