/**
 * A folder of distfiles as a mirror: a server on 127.0.0.1 for the guest, which knows no folders of ours, and plain reading for ourselves.
 * Nothing outside of the folder is ever given, whatever the request or a symbolic link says.
 */
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, realpath, stat } from "node:fs/promises";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { isAbsolute, join, sep } from "node:path";
import { pipeline } from "node:stream/promises";
import { HiperisoError, reasonOf } from "../contract/error.ts";

export interface FileMirror extends AsyncDisposable {
  readonly folder: string;
  readonly port: number;
  /** `http://127.0.0.1:PORT`: what the configuration of the guest names; QEMU's guest turns the address into 10.0.2.2 itself. */
  readonly url: string;
}

/**
 * Serves `folder`, an absolute path, until it is disposed of. `port` 0 takes one that is free. `onRequest` is told each request's method,
 * path and answer. Throws (`usage`) unless the folder is there, and where the port is taken.
 */
export async function serveFolder(
  folder: string,
  { port = 0, onRequest = () => {} }: { readonly port?: number; readonly onRequest?: (line: string) => void } = {},
): Promise<FileMirror> {
  const bad = (expected: string, found: string, hint?: string, cause?: unknown): HiperisoError =>
    new HiperisoError({
      what: "serve a mirror",
      where: folder,
      expected,
      found,
      kind: "usage",
      ...(hint === undefined ? {} : { hint }),
      ...(cause === undefined ? {} : { cause }),
    });
  if (!isAbsolute(folder)) throw bad("an absolute path", "a relative one");
  const found = await stat(folder).catch((error: unknown) => {
    throw bad("a folder", reasonOf(error), undefined, error);
  });
  if (!found.isDirectory()) throw bad("a folder", "something else");
  const server = createServer((request, response) => {
    answer(folder, request, response)
      .catch(() => {
        // The other side left, or the disk failed in the middle of the file: a closed connection says that it is not whole.
        if (!response.headersSent) response.writeHead(500).end();
        else response.destroy();
      })
      .finally(() => onRequest(`${request.method} ${request.url} ${response.statusCode}`));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", (error) =>
      reject(bad(`port ${port} free`, reasonOf(error), "Choose another port, or 0 for one that is free.", error)),
    );
    server.listen(port, "127.0.0.1", resolve);
  });
  const bound = (server.address() as AddressInfo).port;
  return {
    folder,
    port: bound,
    url: `http://127.0.0.1:${bound}`,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** A file in `folder` or below, by its path from there; undefined where there is none, or where it leads outside. */
export async function openInFolder(folder: string, path: string): Promise<FileHandle | undefined> {
  // Names that begin with a dot are nobody's distfiles: half downloads, and whatever a person keeps out of sight.
  if (path.split("/").some((part) => part === "" || part.startsWith(".") || /[\\\0]/.test(part))) return undefined;
  let file: FileHandle | undefined;
  try {
    const root = await realpath(folder);
    const real = await realpath(join(root, path));
    if (!real.startsWith(root.endsWith(sep) ? root : root + sep)) return undefined;
    file = await open(real, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOFOLLOW);
    if ((await file.stat()).isFile()) return file;
  } catch {
    // Not there, or not readable: to who asks it is the same.
  }
  await file?.close();
  return undefined;
}

async function answer(folder: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const say = (status: number, headers: Record<string, string> = {}): void => {
    response.writeHead(status, { "content-length": "0", ...headers }).end();
  };
  if (request.method !== "GET" && request.method !== "HEAD") return say(405, { allow: "GET, HEAD" });
  if (!isLocalHost(request.headers.host)) return say(403);
  await using file = await requestedFile(folder, request.url ?? "");
  if (file === undefined) return say(404);
  const stats = await file.stat();
  const etag = etagOf(stats);
  const headers = {
    "accept-ranges": "bytes",
    "content-type": "application/octet-stream",
    etag,
    "last-modified": stats.mtime.toUTCString(),
  };
  const range = wantedRange(request, stats, etag);
  if (range === "none") return say(416, { "content-range": `bytes */${stats.size}` });
  const { first, last } = range ?? { first: 0, last: stats.size - 1 };
  response.writeHead(range === undefined ? 200 : 206, {
    ...headers,
    "content-length": `${last - first + 1}`,
    ...(range === undefined ? {} : { "content-range": `bytes ${first}-${last}/${stats.size}` }),
  });
  if (request.method === "HEAD" || last < first) response.end();
  else await pipeline(file.createReadStream({ start: first, end: last, autoClose: false }), response);
}

/** A page in a browser that has a name of its own resolve to 127.0.0.1 must not read the folder: names but localhost are refused. */
const isLocalHost = (host: string | undefined): boolean => /^(localhost|[\d.]+|\[[\da-f:.]+\])?(:\d+)?$/i.test(host ?? "");

/** The guest's curl is given names as they are: a `?` in one arrives as the start of a query. */
async function requestedFile(folder: string, url: string): Promise<FileHandle | undefined> {
  const [path = "", query] = /^\/+([^?#]*)(?:\?([^#]*))?/.exec(url)?.slice(1) ?? [];
  for (const raw of query === undefined ? [path] : [`${path}?${query}`, path]) {
    const decoded = decodedPath(raw);
    const file = decoded === undefined ? undefined : await openInFolder(folder, decoded);
    if (file !== undefined) return file;
  }
  return undefined;
}

function decodedPath(raw: string): string | undefined {
  try {
    return decodeURIComponent(raw);
  } catch {
    return undefined;
  }
}

const etagOf = ({ size, mtimeMs, ino }: Stats): string =>
  `"${[size, Math.round(mtimeMs * 1000), ino].map((part) => part.toString(16)).join("-")}"`;

interface ByteRange {
  readonly first: number;
  readonly last: number;
}

/** RFC 9110, 14.1.2 and 13.1.5: one range; undefined where the whole file is to be sent, as for anything that is not understood. */
function wantedRange({ headers }: IncomingMessage, { size, mtime }: Stats, etag: string): ByteRange | "none" | undefined {
  const condition = headers["if-range"];
  if (condition !== undefined && condition !== etag && condition !== mtime.toUTCString()) return undefined;
  const [, from = "", to = ""] = /^bytes=(\d{0,15})-(\d{0,15})$/.exec(headers.range ?? "") ?? [];
  if (from === "" && to === "") return undefined;
  if (from === "") return Number(to) === 0 || size === 0 ? "none" : { first: Math.max(size - Number(to), 0), last: size - 1 };
  if (to !== "" && Number(to) < Number(from)) return undefined;
  if (Number(from) >= size) return "none";
  return { first: Number(from), last: to === "" ? size - 1 : Math.min(Number(to), size - 1) };
}
