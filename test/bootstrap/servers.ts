/** Mirrors on the loop-back that do what a test asks of them. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import { type AddressInfo, createServer as createTcpServer, type Socket } from "node:net";

export interface TestServer extends AsyncDisposable {
  readonly url: string;
  /** Each request's method, path and, where it has one, Range. */
  readonly requests: readonly string[];
}

export type Answer = (request: IncomingMessage, response: ServerResponse) => void;

export async function serve(answer: Answer): Promise<TestServer> {
  const requests: string[] = [];
  const server = createServer((request, response) => {
    const { range } = request.headers;
    requests.push([request.method, request.url, ...(range === undefined ? [] : [range])].join(" "));
    answer(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** For answers that are not HTTP, or that break it. */
export async function serveRaw(connected: (socket: Socket) => void): Promise<TestServer> {
  const requests: string[] = [];
  const sockets = new Set<Socket>();
  const server = createTcpServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => {}).on("close", () => sockets.delete(socket));
    socket.once("data", (bytes) => {
      requests.push(bytes.toString("latin1").split(" HTTP")[0] ?? "");
      connected(socket);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    [Symbol.asyncDispose]: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

/** A well-behaved mirror of these files, by name; ranges as asked. */
export const mirrorOf =
  (files: Readonly<Record<string, Uint8Array>>): Answer =>
  (request, response) => {
    const bytes = files[decodeURIComponent((request.url ?? "").slice(1))];
    if (bytes === undefined) return void response.writeHead(404).end("no such file");
    const from = Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0);
    if (from > 0 && from >= bytes.length) return void response.writeHead(416).end();
    const headers = { etag: '"1"', "content-length": bytes.length - from };
    if (from === 0) response.writeHead(200, headers).end(bytes);
    else
      response
        .writeHead(206, { ...headers, "content-range": `bytes ${from}-${bytes.length - 1}/${bytes.length}` })
        .end(bytes.subarray(from));
  };

/** Says how long the file is, sends its first `count` bytes and closes the connection. */
export function sendPart(response: ServerResponse, bytes: Uint8Array, count: number, headers: Record<string, string> = {}): void {
  response.writeHead(200, { "content-length": bytes.length, ...headers });
  response.write(bytes.subarray(0, count), () => response.destroy());
}
