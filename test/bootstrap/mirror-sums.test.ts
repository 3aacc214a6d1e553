import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { decodeMirrorSums, encodeMirrorSums, MIRROR_SUMS, writeMirrorSums } from "../../src/bootstrap/mirror-sums.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-sums-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

const sha256 = (text: string): string => createHash("sha256").update(text).digest("hex");
const put = (name: string, text: string) => {
  writeFileSync(join(folder, name), text);
  return { name, sha256: sha256(text) };
};

test("sha256sum accepts the list, and finds what is damaged", async () => {
  const files = [put("b.tar", "b"), put("dl.php?file=a b.tar", "a"), put("ü", "u")];
  expect(await writeMirrorSums(folder, files)).toBe(3);
  execFileSync("sha256sum", ["--strict", "-c", MIRROR_SUMS], { cwd: folder });
  put("b.tar", "damaged");
  expect(() => execFileSync("sha256sum", ["--strict", "-c", MIRROR_SUMS], { cwd: folder, stdio: "pipe" })).toThrow();
});

test("what earlier lists named stays while it is there; a new sum takes the place of an old one", async () => {
  await writeMirrorSums(folder, [put("a", "1"), put("old", "2"), put("gone", "3")]);
  rmSync(join(folder, "gone"));
  expect(await writeMirrorSums(folder, [put("a", "new")])).toBe(2);
  expect(readFileSync(join(folder, MIRROR_SUMS), "utf8")).toBe(`${sha256("new")}  a\n${sha256("2")}  old\n`);
});

test("a list that does not change is not written", async () => {
  await writeMirrorSums(folder, [put("a", "1")]);
  utimesSync(join(folder, MIRROR_SUMS), 1, 1);
  await writeMirrorSums(folder, [put("a", "1")]);
  expect(statSync(join(folder, MIRROR_SUMS)).mtimeMs).toBe(1000);
});

test("what is written is read back, and nothing else is believed", () => {
  const name = fc
    .string({ minLength: 1 })
    .filter((text) => !/[/\\\0-\x1f\x7f\p{Surrogate}]/u.test(text) && text !== MIRROR_SUMS && !text.startsWith(".hiperiso-"));
  const sum = fc.stringMatching(/^[0-9a-f]{64}$/);
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(name, sum), { selector: ([key]) => key }), (sums) => {
      expect(decodeMirrorSums(encodeMirrorSums(sums))).toEqual(new Map([...sums].sort(([a], [b]) => (a < b ? -1 : 1))));
    }),
  );
  const a = "a".repeat(64);
  expect(
    decodeMirrorSums(`${a}  ../x\n${a}  /etc/x\n${a}  .hiperiso-x\n${a}  ${MIRROR_SUMS}\n${a.slice(1)}  short\n\\${a}  odd\nnonsense`),
  ).toEqual(new Map());
});
