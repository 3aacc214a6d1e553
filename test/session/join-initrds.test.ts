import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { joinInitrds } from "../../src/session/join-initrds.ts";

const root = mkdtempSync(join(tmpdir(), "hiperiso-initrds-"));
afterAll(() => rmSync(root, { recursive: true }));

test("initrds stand one behind the other, each padded to four bytes", async () => {
  const paths = [1, 2, 3, 4, 5].map((length) => {
    const path = join(root, String(length));
    writeFileSync(path, String(length).repeat(length));
    return path;
  });
  const target = join(root, "all");
  await joinInitrds(paths, target);
  expect(readFileSync(target, "latin1")).toBe(["1\0\0\0", "22\0\0", "333\0", "4444", "55555\0\0\0"].join(""));
});

test("one that is not there is said", async () => {
  await expect(joinInitrds([join(root, "none")], join(root, "all"))).rejects.toThrow(/ENOENT.*none/);
});
