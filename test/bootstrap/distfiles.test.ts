import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { checkName, distfileFacts, distfileSizes, inspectDistfiles } from "../../src/bootstrap/distfiles.ts";
import { quietJob, silentProgress } from "../../src/contract/job.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-distfiles-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const wanted = (...names: string[]) => names.map((name) => ({ name, sha256: sha256(name) }));

/** Every kind of thing that can stand under a distfile's name. */
function everyKind(): void {
  writeFileSync(join(folder, "good"), "good");
  writeFileSync(join(folder, "damaged"), "damage");
  writeFileSync(join(folder, "cut"), "");
  mkdirSync(join(folder, "a-folder"));
  execFileSync("mkfifo", [join(folder, "pipe")]);
  writeFileSync(join(folder, "stray"), "link");
  symlinkSync("stray", join(folder, "link"));
  symlinkSync("nowhere", join(folder, "dangling"));
  symlinkSync("loop", join(folder, "loop"));
  writeFileSync(join(folder, `.hiperiso-${sha256("x")}.part`), "half");
}

test("what stands there is read and told: good, damaged or missing", async () => {
  everyKind();
  const findings = await inspectDistfiles(
    folder,
    wanted("good", "damaged", "cut", "a-folder", "pipe", "link", "dangling", "loop", "none"),
    quietJob,
  );
  expect(findings.map(({ name, state, sizeBytes, found }) => [name, state, sizeBytes, found])).toEqual([
    ["good", "good", 4, undefined],
    ["damaged", "damaged", 6, sha256("damage")],
    ["cut", "damaged", 0, sha256("")],
    ["a-folder", "damaged", undefined, "a folder"],
    ["pipe", "damaged", undefined, "no file"],
    ["link", "good", 4, undefined],
    ["dangling", "missing", undefined, undefined],
    ["loop", "missing", undefined, undefined],
    ["none", "missing", undefined, undefined],
  ]);
  expect((await inspectDistfiles(join(folder, "none"), wanted("a"), quietJob))[0]?.state).toBe("missing");
  expect((await inspectDistfiles(join(folder, "good"), wanted("a"), quietJob))[0]?.state).toBe("missing");
});

test("one byte decides", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ minLength: 1, maxLength: 5000 }),
      fc.nat(),
      fc.integer({ min: 1, max: 255 }),
      async (bytes, at, flip) => {
        const distfiles = [{ name: "f", sha256: createHash("sha256").update(bytes).digest("hex") }];
        const state = async () => (await inspectDistfiles(folder, distfiles, quietJob))[0]?.state;
        writeFileSync(join(folder, "f"), bytes);
        expect(await state()).toBe("good");
        bytes[at % bytes.length]! ^= flip;
        writeFileSync(join(folder, "f"), bytes);
        expect(await state()).toBe("damaged");
      },
    ),
    { numRuns: 30 },
  );
});

test("a plan is told sizes without a file being read, and with it whether they are right", async () => {
  everyKind();
  const names = wanted("good", "damaged", "a-folder", "dangling");
  expect([...(await distfileFacts(folder, names, { verify: false }, quietJob))]).toEqual([
    ["good", { present: true, sizeBytes: 4, verified: false }],
    ["damaged", { present: true, sizeBytes: 6, verified: false }],
    ["a-folder", { present: false, verified: false }],
    ["dangling", { present: false, verified: false }],
  ]);
  expect([...(await distfileFacts(folder, names, { verify: true }, quietJob))].map(([name, { verified }]) => [name, verified])).toEqual([
    ["good", true],
    ["damaged", false],
    ["a-folder", false],
    ["dangling", false],
  ]);
});

test("all plain files have a size, but not what is half downloaded", async () => {
  everyKind();
  expect([...(await distfileSizes(folder))]).toEqual([
    ["cut", 0],
    ["damaged", 6],
    ["good", 4],
    ["link", 4],
    ["stray", 4],
  ]);
  expect((await distfileSizes(join(folder, "none"))).size).toBe(0);
  await expect(distfileSizes(join(folder, "good"))).rejects.toMatchObject({ what: "read the folder of distfiles" });
});

test("a check that is cancelled ends, in the middle of a file too", async () => {
  writeFileSync(join(folder, "large"), Buffer.alloc(5_000_000));
  const abort = new AbortController();
  const job = {
    signal: abort.signal,
    progress: { ...silentProgress, begin: () => ({ advance: () => abort.abort(new Error("enough")), end: () => {} }) },
  };
  await expect(inspectDistfiles(folder, wanted("large"), job)).rejects.toThrow("enough");
});

test.each(["", ".", "..", "a/b", "/a", "a\\b", "a\0", "a\n", "\x7f", ".hiperiso-a"])("%j is no distfile's name", async (name) => {
  expect(() => checkName(name)).toThrow(expect.objectContaining({ kind: "usage" }));
  await expect(inspectDistfiles(folder, [{ name, sha256: "" }], quietJob)).rejects.toMatchObject({ what: "use a distfile" });
});

test.each(["a", "..a", "a b", "dl.php?file=late-2.0.tar.xz", "ü", ".a"])("%j is one", (name) => {
  expect(() => checkName(name)).not.toThrow();
});
