import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type FileMirror, openInFolder, serveFolder } from "../../src/bootstrap/file-mirror.ts";

const FILE = Buffer.from(Array.from({ length: 200_000 }, (_, index) => (index * 13) & 0xff));

let root: string;
let folder: string;
let mirror: FileMirror;
const log: string[] = [];
beforeEach(async () => {
  root = mkdtempSync(join(tmpdir(), "hiperiso-mirror-"));
  folder = join(root, "mirror");
  mkdirSync(join(folder, "sub"), { recursive: true });
  writeFileSync(join(root, "secret"), "secret");
  writeFileSync(join(root, "mirror-2"), "secret");
  writeFileSync(join(folder, "a.tar"), FILE);
  writeFileSync(join(folder, "empty"), "");
  writeFileSync(join(folder, "sub/b.tar"), "b");
  writeFileSync(join(folder, "dl.php?file=ü 1.tar"), "query");
  writeFileSync(join(folder, ".hidden"), "hidden");
  symlinkSync("a.tar", join(folder, "link-within"));
  symlinkSync("../secret", join(folder, "link-out"));
  symlinkSync("..", join(folder, "folder-out"));
  mirror = await serveFolder(folder, { onRequest: (line) => log.push(line) });
});
afterEach(async () => {
  await mirror[Symbol.asyncDispose]();
  log.length = 0;
  rmSync(root, { recursive: true });
});

interface Got {
  readonly status: number;
  readonly headers: Record<string, unknown>;
  readonly body: Buffer;
}

/** With the path as it is: fetch() would take `..` out of it. */
function get(path: string, headers: Record<string, string> = {}, method = "GET"): Promise<Got> {
  return new Promise((resolve, reject) => {
    request({ port: mirror.port, host: "127.0.0.1", path, headers, method, agent: false }, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("end", () => resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) }));
    })
      .on("error", reject)
      .end();
  });
}

describe("the server", () => {
  test("gives files by name, below the folder too", async () => {
    expect(mirror.url).toBe(`http://127.0.0.1:${mirror.port}`);
    const { status, headers, body } = await get("/a.tar");
    expect([status, body.equals(FILE)]).toEqual([200, true]);
    expect(headers).toMatchObject({ "content-length": "200000", "accept-ranges": "bytes", "content-type": "application/octet-stream" });
    expect((await get("/sub/b.tar")).body.toString()).toBe("b");
    expect((await get("//link-within")).body.equals(FILE)).toBe(true);
    expect(await get("/empty")).toMatchObject({ status: 200, body: Buffer.alloc(0) });
    expect(await get("/a.tar", {}, "HEAD")).toMatchObject({ status: 200, headers: { "content-length": "200000" }, body: Buffer.alloc(0) });
    expect(log.slice(0, 2)).toEqual(["GET /a.tar 200", "GET /sub/b.tar 200"]);
  });

  test("knows names with a question mark, quoted or as a guest's curl sends them", async () => {
    for (const path of ["/dl.php%3Ffile%3D%C3%BC%201.tar", "/dl.php?file=%C3%BC%201.tar"])
      expect((await get(path)).body.toString()).toBe("query");
    expect((await get("/a.tar?x=1")).status).toBe(200);
  });

  test.each([
    "/../secret",
    "/%2e%2e/secret",
    "/..%2fsecret",
    "/sub/../../secret",
    "/..%5csecret",
    "/../mirror-2",
    "/link-out",
    "/folder-out/secret",
    "/.hidden",
    "/sub",
    "/sub/",
    "/",
    "/none",
    "/a.tar/",
    "/a.tar%00",
    "/%zz",
    "/%ff",
    "//etc/passwd",
    "/?../secret",
  ])("gives nothing for %s", async (path) => {
    expect(await get(path)).toMatchObject({ status: 404, body: Buffer.alloc(0) });
  });

  test("never gives what is outside, whatever is asked", async () => {
    const part = fc.oneof(
      fc.constantFrom("..", ".", "", "%2e%2e", "..%2f", "sub", "folder-out", "link-out", "secret", "mirror-2", "%5c"),
      fc.webPath(),
    );
    await fc.assert(
      fc.asyncProperty(fc.array(part, { maxLength: 6 }), async (parts) => {
        const { body } = await get(`/${parts.join("/").replace(/[^\x21-\x7e]/g, "")}`);
        expect(body.toString("latin1")).not.toContain("secret");
      }),
    );
  });

  test("answers nothing but GET and HEAD", async () => {
    expect(await get("/a.tar", {}, "PUT")).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
    expect((await get("/a.tar", {}, "DELETE")).status).toBe(405);
  });

  test.each([
    ["localhost:1", 200],
    ["10.0.2.2:1", 200],
    ["[::1]", 200],
    ["evil.example", 403],
    ["127.0.0.1.evil.example:80", 403],
  ])("asked as %s answers %d: a page that has a name of its own lead here reads nothing", async (host, status) => {
    expect((await get("/a.tar", { host })).status).toBe(status);
  });

  test.each([
    ["bytes=0-", 0, 200_000],
    ["bytes=1000-", 1000, 200_000],
    ["bytes=5-5", 5, 6],
    ["bytes=199999-999999", 199_999, 200_000],
    ["bytes=-1", 199_999, 200_000],
    ["bytes=-999999", 0, 200_000],
  ])("sends the range %s", async (range, from, to) => {
    const { status, headers, body } = await get("/a.tar", { range });
    expect([status, headers["content-range"], body.equals(FILE.subarray(from, to))]).toEqual([206, `bytes ${from}-${to - 1}/200000`, true]);
  });

  test.each(["bytes=200000-", "bytes=-0"])("has no range %s", async (range) => {
    expect(await get("/a.tar", { range })).toMatchObject({ status: 416, headers: { "content-range": "bytes */200000" } });
    expect((await get("/empty", { range: "bytes=0-" })).status).toBe(416);
  });

  test.each(["bytes=5-4", "bytes=-", "bytes=0-1,3-4", "lines=1-2", "bytes=a-b"])("sends everything for %s", async (range) => {
    expect(await get("/a.tar", { range })).toMatchObject({ status: 200 });
  });

  test("sends the rest only of the file that was begun: If-Range", async () => {
    const { headers } = await get("/a.tar");
    const range = "bytes=10-";
    expect((await get("/a.tar", { range, "if-range": `${headers["etag"]}` })).status).toBe(206);
    expect((await get("/a.tar", { range, "if-range": `${headers["last-modified"]}` })).status).toBe(206);
    writeFileSync(join(folder, "a.tar"), Buffer.concat([FILE, FILE]));
    expect((await get("/a.tar", { range, "if-range": `${headers["etag"]}` })).status).toBe(200);
  });

  test("lives on when a guest leaves in the middle", async () => {
    writeFileSync(join(folder, "large"), Buffer.alloc(20_000_000));
    await new Promise<void>((resolve) => {
      const socket = connect(mirror.port, "127.0.0.1", () => socket.write("GET /large HTTP/1.1\r\nhost: localhost\r\n\r\n"));
      socket.once("data", () => socket.destroy()).once("close", () => resolve());
    });
    expect((await get("/empty")).status).toBe(200);
  });

  test("listens on 127.0.0.1, at the port that is asked for; one that is taken is named", async () => {
    const { port } = mirror;
    await expect(serveFolder(folder, { port })).rejects.toMatchObject({
      kind: "usage",
      expected: `port ${port} free`,
      hint: expect.stringContaining("another port"),
    });
    await mirror[Symbol.asyncDispose]();
    mirror = await serveFolder(folder, { port });
    expect((await get("/empty")).status).toBe(200);
  });

  test.each([
    ["mirror", /absolute/],
    ["/none/such", /ENOENT/],
    ["file", /something else/],
  ])("of %s is refused", async (path, message) => {
    const where = path === "file" ? join(root, "secret") : path;
    await expect(serveFolder(where)).rejects.toMatchObject({ kind: "usage", message: expect.stringMatching(message) });
  });
});

test("a file in a folder is opened without a server, by the same rules", async () => {
  await using file = await openInFolder(folder, "sub/b.tar");
  expect((await file?.readFile())?.toString()).toBe("b");
  for (const path of ["none", "sub", "link-out", "../secret", "/etc/passwd", "", ".hidden", "folder-out/secret"]) {
    expect(await openInFolder(folder, path)).toBeUndefined();
  }
});
