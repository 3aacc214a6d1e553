import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { decodeSums, sumBeside, sumFromList } from "../../src/stick/sha256sums.ts";

const A = "a".repeat(64);
const B = "b".repeat(64);

describe("a list of sums", () => {
  test.each([
    ["GNU", `${A}  x.iso\n${B} *y.iso\n`],
    ["with folders and in capitals", `${A.toUpperCase()}  ./some/x.iso\r\n${B}  y.iso\r\n`],
    ["BSD", `SHA256 (x.iso) = ${A}\nSHA256 (dir/y.iso) = ${B}\n`],
    [
      "signed",
      `-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\n# x\n${A}  x.iso\n${B}  y.iso\n-----BEGIN PGP SIGNATURE-----\n\niQ==\n`,
    ],
    ["with other sums beside", `${"c".repeat(128)}  x.iso\n${A}  x.iso\n${"d".repeat(32)}  y.iso\n${B}  y.iso\n`],
  ])("%s is read", (_, text) => {
    expect([...decodeSums(text).byName]).toEqual([["x.iso", A], ["y.iso", B]]); // biome-ignore format: pairs
  });

  test("an escaped name is undone, one that is there twice with other sums has none", () => {
    expect([...decodeSums(`\\${A}  a\\\\b\\nc.iso\n`).byName]).toEqual([["a\\b\nc.iso", A]]);
    expect([...decodeSums(`${A}  x.iso\n${B}  x.iso\n${A}  y.iso\n`).byName]).toEqual([["y.iso", A]]);
    expect(decodeSums(`${A}\n`).alone).toBe(A);
    expect(decodeSums(`${A}\n${B}\n`).alone).toBeUndefined();
  });

  test("of any bytes throws nothing, and finds only sums", () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 80 }), fc.constantFrom("", A, `SHA256 (`, `${A}  `), (noise, start) => {
        for (const sum of decodeSums(start + noise).byName.values()) expect(sum).toMatch(/^[0-9a-f]{64}$/);
      }),
    );
  });

  describe("beside an image", () => {
    let folder: string;
    beforeEach(() => {
      folder = mkdtempSync(join(tmpdir(), "hiperiso-sums-"));
    });
    afterEach(() => rmSync(folder, { recursive: true }));

    test.each([
      ["SHA256SUMS", `${A}  x.iso\n`],
      ["sha256sum.txt", `${A}  ./x.iso\n`],
      ["x.iso.sha256", `${A}\n`],
      ["x.iso.sha256", `${A}  another-name-here.iso\n${A}  x.iso\n`],
    ])("%s is found", async (name, text) => {
      writeFileSync(join(folder, name), text);
      expect(await sumBeside(join(folder, "x.iso"))).toEqual({ sha256: A, list: join(folder, name) });
    });

    test("one that does not name it says nothing; a list that was given must", async () => {
      writeFileSync(join(folder, "SHA256SUMS"), `${A}  y.iso\n`);
      expect(await sumBeside(join(folder, "x.iso"))).toBeUndefined();
      await expect(sumFromList(join(folder, "x.iso"), join(folder, "SHA256SUMS"))).rejects.toThrow(/a line for x\.iso.*1 other name/);
      await expect(sumFromList(join(folder, "x.iso"), join(folder, "none"))).rejects.toMatchObject({ kind: "usage" });
    });
  });
});
