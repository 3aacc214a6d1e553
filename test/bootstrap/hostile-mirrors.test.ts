/** Whatever mirrors do, in whatever order: what stands under the file's name is the file, and one good place is enough. */
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { expect, test } from "vitest";
import { fetchDistfiles } from "../../src/bootstrap/download.ts";
import { quietJob } from "../../src/contract/job.ts";
import { mirrorOf, serve } from "./servers.ts";

const FILE = Uint8Array.from({ length: 5000 }, (_, index) => (index * 31) ^ (index >> 4));
const sha256 = createHash("sha256").update(FILE).digest("hex");

/** One answer to one request. */
interface Behaviour {
  readonly status: number;
  /** Where the body is taken from, and how much of it comes before the connection is closed. */
  readonly body: "file" | "wrong" | "page" | "gzip" | "long";
  readonly bytes: number;
  readonly lengthSaid: "right" | "none" | "wrong";
  readonly range: "as asked" | "another start" | "another end" | "nonsense" | "none";
  readonly headers: Readonly<Record<string, string>>;
}

const behaviour: fc.Arbitrary<Behaviour> = fc.record({
  status: fc.oneof({ weight: 4, arbitrary: fc.constantFrom(200, 206) }, fc.constantFrom(404, 416, 500, 302, 204)),
  body: fc.constantFrom("file", "file", "file", "wrong", "page", "gzip", "long"),
  bytes: fc.nat(6000),
  lengthSaid: fc.constantFrom("right", "none", "wrong"),
  range: fc.constantFrom("as asked", "as asked", "another start", "another end", "nonsense", "none"),
  headers: fc.constantFrom(
    {},
    { etag: '"1"' },
    { etag: 'W/"2"' },
    { "last-modified": "yes" },
    { "content-encoding": "gzip" },
    { location: "/again" },
  ),
});

const BODIES: Readonly<Record<Behaviour["body"], Uint8Array>> = {
  file: FILE,
  wrong: FILE.map((byte) => byte ^ 0x80),
  page: new TextEncoder().encode("<!doctype html><title>No</title>"),
  gzip: gzipSync(FILE),
  long: Buffer.concat([FILE, FILE, FILE]),
};

function act({ status, body, bytes, lengthSaid, range, headers }: Behaviour, from: number, response: ServerResponse): void {
  const rest = BODIES[body].subarray(status === 206 ? from : 0);
  const last = BODIES[body].length - 1;
  const ranges: Readonly<Record<Behaviour["range"], Record<string, string>>> = {
    "as asked": { "content-range": `bytes ${from}-${last}/${last + 1}` },
    "another start": { "content-range": `bytes ${from + 1}-${last}/${last + 1}` },
    "another end": { "content-range": `bytes ${from}-${last - 1}/${last + 1}` },
    nonsense: { "content-range": "bytes */-1" },
    none: {},
  };
  const length = { right: { "content-length": `${rest.length}` }, none: {}, wrong: { "content-length": `${rest.length + 1}` } }[lengthSaid];
  response.writeHead(status, { ...headers, ...ranges[range], ...length });
  if (bytes >= rest.length && lengthSaid !== "wrong") response.end(rest);
  else response.write(rest.subarray(0, bytes), () => response.destroy());
}

test("mirrors in any mood, and a half file of any bytes", { timeout: 120_000 }, async () => {
  let moods: readonly Behaviour[] = [];
  let asked = 0;
  await using hostile = await serve((request, response) => {
    const mood = moods[asked++ % moods.length]!;
    act(mood, Number(/^bytes=(\d+)-$/.exec(request.headers.range ?? "")?.[1] ?? 0), response);
  });
  await using good = await serve(mirrorOf({ f: FILE }));
  await fc.assert(
    fc.asyncProperty(
      fc.array(behaviour, { minLength: 1, maxLength: 8 }),
      fc.integer({ min: 1, max: 3 }),
      fc.option(fc.tuple(fc.nat(6000), fc.boolean())),
      async (given, places, kept) => {
        [moods, asked] = [given, 0];
        const folder = mkdtempSync(join(tmpdir(), "hiperiso-hostile-"));
        try {
          if (kept !== null)
            writeFileSync(join(folder, `.hiperiso-${sha256}.part`), BODIES[kept[1] ? "file" : "wrong"].subarray(0, kept[0]));
          const hostileUrls = Array.from({ length: places }, (_, index) => `${hostile.url}/${index}`);
          const distfile = { name: "f", sha256, urls: [...hostileUrls, `${good.url}/f`], wantedBy: ["p"] };
          const patience = { windowMs: 60_000, bytesMin: 1 };
          const options = { mirrors: [], jobs: 1, perHost: 1, bytesMax: 12_000, patience, userAgent: "test" };
          const { failed } = await fetchDistfiles(folder, [distfile], options, quietJob);
          expect(failed).toEqual([]);
          expect(readdirSync(folder)).toEqual(["f"]);
          expect(readFileSync(join(folder, "f")).equals(FILE)).toBe(true);
        } finally {
          rmSync(folder, { recursive: true });
        }
      },
    ),
    { numRuns: 150 },
  );
});
