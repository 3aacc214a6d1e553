import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { serveFolder } from "../../../src/live/medium/folder-server.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-served-"));
  await mkdir(join(folder, "in/below"), { recursive: true });
  await writeFile(join(folder, "in/root.squashfs"), "0123456789");
  await writeFile(join(folder, "in/below/x"), "x");
  await writeFile(join(folder, "secret"), "s");
});
afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** `path` goes out as it is: fetch would tidy it up. */
const ask = (port: number, path: string, method = "GET", headers: Record<string, string> = {}) =>
  new Promise<{ status: number | undefined; text: string; length: string | undefined }>((resolve, reject) => {
    request({ port, host: "127.0.0.1", path, method, headers }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (part: string) => {
        text += part;
      });
      response.on("end", () => resolve({ status: response.statusCode, text, length: response.headers["content-length"] }));
    })
      .on("error", reject)
      .end();
  });

test("gives a folder's own files, whole or from a byte on", async () => {
  await using server = await serveFolder(join(folder, "in"));
  const { port } = server;
  expect(await ask(port, "/root.squashfs")).toEqual({ status: 200, text: "0123456789", length: "10" });
  expect(await ask(port, "/root.squashfs", "HEAD")).toEqual({ status: 200, text: "", length: "10" });
  expect(await ask(port, "/root.squashfs", "GET", { range: "bytes=7-" })).toEqual({ status: 206, text: "789", length: "3" });
  expect((await ask(port, "/root.squashfs", "GET", { range: "bytes=10-" })).status).toBe(416);
});

test.each(["/", "/below/x", "/../secret", "/%2e%2e/secret", "/below", "/.", "//root.squashfs", "/nothing", "http://x/root.squashfs"])(
  "gives nothing for %s",
  async (path) => {
    await using server = await serveFolder(join(folder, "in"));
    expect(await ask(server.port, path)).toMatchObject({ status: 404, text: "" });
  },
);

test("takes no other method, and is gone when it is given up", async () => {
  let port = 0;
  {
    await using server = await serveFolder(folder);
    port = server.port;
    expect((await ask(port, "/secret", "POST")).status).toBe(405);
  }
  await expect(ask(port, "/secret")).rejects.toThrow(/ECONNREFUSED|socket hang up/);
});
