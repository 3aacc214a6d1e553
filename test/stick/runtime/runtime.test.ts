import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { handOutRuntime } from "../../../src/stick/runtime/hand-out.ts";
import { runtimeTable } from "../../../src/stick/runtime/table.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-runtime-"));
});
afterEach(() => rmSync(folder, { recursive: true }));

describe("a copy of a runtime", () => {
  const built = (version: string): string => {
    const from = join(folder, `store-${version}`);
    mkdirSync(join(from, "esp/EFI/hiperiso"), { recursive: true });
    writeFileSync(join(from, "esp/EFI/hiperiso/runtime.squashfs"), version);
    mkdirSync(join(from, "licences"));
    writeFileSync(join(from, "licences/tool.txt"), version);
    writeFileSync(join(from, "packages.json"), version);
    return from;
  };
  const squashfs = () => readFileSync(join(folder, "runtime/EFI/hiperiso/runtime.squashfs"), "utf8");

  test("is made, replaced by another, and stands beside its packages and licences", async () => {
    await handOutRuntime(built("1"), join(folder, "runtime"), quietJob);
    expect(squashfs()).toBe("1");
    expect(readFileSync(join(folder, "runtime.licences/tool.txt"), "utf8")).toBe("1");
    await handOutRuntime(built("2"), join(folder, "runtime"), quietJob);
    expect(squashfs()).toBe("2");
    expect(readFileSync(join(folder, "runtime.packages.json"), "utf8")).toBe("2");
    expect(readdirSync(folder).sort()).toEqual(["runtime", "runtime.licences", "runtime.packages.json", "store-1", "store-2"]);
  });

  test("goes into an empty folder, and over nothing else", async () => {
    mkdirSync(join(folder, "runtime"));
    await handOutRuntime(built("1"), join(folder, "runtime"), quietJob);
    expect(squashfs()).toBe("1");
    mkdirSync(join(folder, "mine"));
    writeFileSync(join(folder, "mine/letter"), "dear");
    writeFileSync(join(folder, "letter"), "dear");
    for (const name of ["mine", "letter"]) {
      await expect(handOutRuntime(built(`for-${name}`), join(folder, name), quietJob)).rejects.toMatchObject({
        kind: "usage",
        expected: "a new folder, an empty one, or an earlier runtime",
      });
    }
    expect(readFileSync(join(folder, "mine/letter"), "utf8")).toBe("dear");
  });

  test("that was cancelled, or whose source is gone, leaves what was there", async () => {
    await handOutRuntime(built("1"), join(folder, "runtime"), quietJob);
    const stopped = { ...quietJob, signal: AbortSignal.abort(new Error("stopped")) };
    await expect(handOutRuntime(built("2"), join(folder, "runtime"), stopped)).rejects.toThrow("stopped");
    await expect(handOutRuntime(join(folder, "none"), join(folder, "runtime"), quietJob)).rejects.toThrow(/copy the runtime/);
    expect(squashfs()).toBe("1");
    expect(readdirSync(folder).filter((name) => name.startsWith("."))).toEqual([]);
    expect(existsSync(join(folder, "none"))).toBe(false);
  });
});

test("what takes the room is a table: the files, their sum, and what the largest holds", () => {
  const sha256 = "0".repeat(64);
  const table = runtimeTable({
    files: [
      { path: "/EFI/BOOT/BOOTX64.EFI", size_bytes: 1_048_576, sha256 },
      { path: "/EFI/hiperiso/runtime.squashfs", size_bytes: 42 * 2 ** 20, sha256 },
    ],
    used_bytes: 43 * 2 ** 20,
    room_bytes: 62 * 2 ** 20,
    contents: [
      { what: "/usr/bin/\u001b[31mnode", size_bytes: 80 * 2 ** 20 },
      ...Array.from({ length: 12 }, (_, at) => ({ what: `/${at}`, size_bytes: 2 ** 20 })),
    ],
    packages: [],
  });
  expect(table).not.toContain("\u001b");
  expect(table.split("\n").slice(0, 3)).toEqual([
    "42.00 MiB  /EFI/hiperiso/runtime.squashfs",
    " 1.00 MiB  /EFI/BOOT/BOOTX64.EFI",
    "43.00 MiB  of 62.00 MiB that are there for it; 19.00 MiB are left",
  ]);
  expect(table.split("\n").slice(-2)).toEqual(["     1.00 MiB  all else", "0 packages"]);
});
