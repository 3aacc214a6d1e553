import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { type AddressInfo, connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type FetchSummary, fetchDistfiles } from "../../src/bootstrap/download.ts";
import { quietJob } from "../../src/contract/job.ts";

const FILE = Buffer.from("the file");
const hasOpenssl = ((): boolean => {
  try {
    execFileSync("openssl", ["version"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
})();

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-proxied-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

/** Relays to 127.0.0.1 whatever host is asked for; keeps what it was asked. */
async function proxy(port: number, refuse = false) {
  const asked: string[] = [];
  const server = createServer((request, response) => {
    asked.push(
      `${request.method} ${request.url} ${request.headers["proxy-authorization"]} ${request.headers.authorization} ${request.headers.host}`,
    );
    response.end(FILE);
  });
  server.on("connect", (request, socket) => {
    asked.push(`${request.method} ${request.url} ${request.headers["proxy-authorization"]}`);
    if (refuse) return void socket.end("HTTP/1.1 407 Who are you\r\n\r\n");
    const target = connect(port, "127.0.0.1", () => {
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      target.pipe(socket).pipe(target);
    });
    for (const one of [socket, target]) one.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    asked,
    url: new URL(`http://me:s%20t@127.0.0.1:${(server.address() as AddressInfo).port}`),
    [Symbol.asyncDispose]: () =>
      new Promise<void>((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

const LOGIN = `Basic ${Buffer.from("me:s t").toString("base64")}`;

function fetchOne(url: string, through: URL): Promise<FetchSummary> {
  const distfile = { name: "a", sha256: createHash("sha256").update(FILE).digest("hex"), urls: [url], wantedBy: ["a"] };
  const options = { mirrors: [], jobs: 1, perHost: 1, bytesMax: 1000, patience: { windowMs: 60_000, bytesMin: 1 }, userAgent: "test" };
  return fetchDistfiles(folder, [distfile], { ...options, proxy: () => through }, quietJob);
}

test("http is asked of the proxy, whole address and both passwords", async () => {
  await using through = await proxy(0);
  expect((await fetchOne("http://you:x@files.invalid:81/a#b", through.url)).failed).toEqual([]);
  expect(readFileSync(join(folder, "a")).equals(FILE)).toBe(true);
  const own = `Basic ${Buffer.from("you:x").toString("base64")}`;
  expect(through.asked).toEqual([`GET http://files.invalid:81/a ${LOGIN} ${own} files.invalid:81`]);
});

test.skipIf(!hasOpenssl)("https goes through the proxy as it is, to a server whose certificate is checked", async () => {
  const [key, cert] = [join(folder, "key"), join(folder, "cert")];
  const words = [
    "req",
    "-x509",
    "-newkey",
    "ec",
    "-pkeyopt",
    "ec_paramgen_curve:prime256v1",
    "-nodes",
    "-days",
    "2",
    "-subj",
    "/CN=files.invalid",
  ];
  execFileSync("openssl", [...words, "-keyout", key, "-out", cert], { stdio: "ignore" });
  const names: (string | false | undefined)[] = [];
  const server = createSecureServer({
    key: readFileSync(key),
    cert: readFileSync(cert),
    SNICallback: (name, done) => {
      names.push(name);
      done(null);
    },
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  await using through = await proxy((server.address() as AddressInfo).port);
  const { failed } = await fetchOne("https://files.invalid/a", through.url);
  expect(through.asked).toEqual([`CONNECT files.invalid:443 ${LOGIN}`]);
  expect(names).toEqual(["files.invalid"]);
  expect(failed[0]?.places[0]?.problem).toMatch(/self-signed/);
  server.close();
});

test("a proxy that refuses is named, without its password", async () => {
  await using through = await proxy(0, true);
  const { failed } = await fetchOne("https://files.invalid/a", through.url);
  expect(failed[0]?.places).toEqual([
    { place: "https://files.invalid/a", problem: `the proxy ${through.url.host} answers 407 Who are you` },
  ]);
});
