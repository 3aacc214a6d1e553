/** The files of one folder over HTTP, on this computer's loopback alone: what a boot over the network fetches in a test. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";

export interface FolderServer extends AsyncDisposable {
  readonly port: number;
}

/** Files right in the folder, by GET and HEAD, whole or from a byte on (`Range: bytes=N-`). Nothing below it, and no links. */
export async function serveFolder(folder: string): Promise<FolderServer> {
  const server = createServer((request, response) => {
    answer(folder, request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject).listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

async function answer(folder: string, { method, url = "", headers }: IncomingMessage, response: ServerResponse): Promise<void> {
  const end = (status: number, more: Readonly<Record<string, string>> = {}) => void response.writeHead(status, more).end();
  if (method !== "GET" && method !== "HEAD") return end(405, { allow: "GET, HEAD" });
  const name = /^\/([A-Za-z0-9][A-Za-z0-9._-]*)$/.exec(url)?.[1];
  const path = name === undefined ? undefined : join(folder, name);
  const facts = path === undefined ? undefined : await stat(path).catch(() => undefined);
  if (path === undefined || facts?.isFile() !== true) return end(404);
  const start = Number(/^bytes=(\d{1,15})-$/.exec(headers.range ?? "")?.[1] ?? 0);
  if (start > 0 && start >= facts.size) return end(416, { "content-range": `bytes */${facts.size}` });
  const more = start > 0 ? { "content-range": `bytes ${start}-${facts.size - 1}/${facts.size}` } : {};
  response.writeHead(start > 0 ? 206 : 200, { "content-length": `${facts.size - start}`, "accept-ranges": "bytes", ...more });
  if (method === "HEAD") return void response.end();
  createReadStream(path, { start })
    .on("error", () => response.destroy())
    .pipe(response);
}
