import { spawnSync } from "node:child_process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { HiperisoError } from "../../src/contract/error.ts";
import { decodeCpio, encodeCpio } from "../../src/formats/cpio.ts";
import { completeTree, type TreeEntry } from "../../src/formats/file-tree.ts";
import { anyTree } from "./tree-arbitrary.ts";

const bsdtar = (args: readonly string[], input: Uint8Array) => spawnSync("bsdtar", args, { input, encoding: "utf8" });
const hasReferee = bsdtar(["--version"], new Uint8Array()).status === 0;

const text = (content: string): Uint8Array => new TextEncoder().encode(content);
const small: readonly TreeEntry[] = [
  { kind: "file", path: "init", mode: 0o755, content: text("#!/bin/sh\n") },
  { kind: "symlink", path: "bin/sh", target: "busybox" },
  { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
];
const archive = encodeCpio(small, { mtimeS: 1_767_225_600 });

describe("a cpio archive", () => {
  test("is read back as it was", () => {
    fc.assert(
      fc.property(anyTree, (entries) => {
        const { entries: read, end } = decodeCpio(encodeCpio(entries, { mtimeS: 1 }), "archive");
        expect(read).toEqual(completeTree(entries));
        expect(end % 4).toBe(0);
      }),
    );
  });

  test("has the header that the kernel's documentation gives", () => {
    const header = new TextDecoder().decode(archive.subarray(0, 114));
    // inode 1, mode 040755, uid, gid, 2 links, 2026-01-01, no bytes, no devices, a name of 4 bytes with its NUL
    expect(header).toBe(
      `07070100000001000041ED000000000000000000000002${(1_767_225_600).toString(16).toUpperCase()}${"0".repeat(40)}0000000400000000bin\0`,
    );
  });

  test("may be followed by another, as in an initramfs", () => {
    const both = new Uint8Array([...archive, ...encodeCpio([], { mtimeS: 0 })]);
    const { end } = decodeCpio(both, "both");
    expect(end).toBe(archive.length);
    expect(decodeCpio(both.subarray(end), "second").entries).toEqual([]);
  });

  test("gives every name of a file the bytes that stand at one of them", () => {
    const linked = encodeCpio(
      [
        { kind: "file", path: "a", mode: 0o644, content: new Uint8Array() },
        { kind: "file", path: "b", mode: 0o644, content: text("bytes") },
        { kind: "file", path: "c", mode: 0o644, content: new Uint8Array() },
      ],
      { mtimeS: 0 },
    );
    const header = (name: string): number => Buffer.from(linked).indexOf(`${name}\0`) - 110;
    for (const name of ["a", "b"]) {
      linked.set(text("00000007"), header(name) + 6);
      linked.set(text("00000002"), header(name) + 38);
    }
    const { entries } = decodeCpio(linked, "linked");
    expect(entries.map((entry) => entry.kind === "file" && Buffer.from(entry.content).toString())).toEqual(["bytes", "bytes", ""]);
  });

  test("has the bytes of a file with several names once, at its last name, where that is asked for", () => {
    const content = text("bytes");
    const names = ["a", "b", "c"].map((path): TreeEntry => ({ kind: "file", path, mode: 0o755, content }));
    const others: TreeEntry[] = [
      { kind: "file", path: "d", mode: 0o644, content },
      { kind: "file", path: "e", mode: 0o755, content: text("bytes") },
    ];
    const linked = encodeCpio([...names, ...others], { mtimeS: 0, linkShared: true });
    const numbers = (name: string, at: number): number => {
      const header = Buffer.from(linked).indexOf(`${name}\0`) - 110 + at;
      return Number.parseInt(Buffer.from(linked.subarray(header, header + 8)).toString(), 16);
    };
    expect(["a", "b", "c", "d", "e"].map((name) => [numbers(name, 6), numbers(name, 38), numbers(name, 54)])).toEqual([
      [1, 3, 0],
      [1, 3, 0],
      [1, 3, 5],
      [2, 1, 5],
      [3, 1, 5],
    ]);
    const { entries } = decodeCpio(linked, "linked");
    expect(entries).toEqual(completeTree([...names, ...others]));
    expect(encodeCpio(entries, { mtimeS: 0, linkShared: true })).toEqual(linked);
  });

  test("that is cut anywhere is refused", () => {
    for (let length = 0; length < archive.length - 3; length += 1) {
      expect(() => decodeCpio(archive.subarray(0, length), "cut")).toThrow(HiperisoError);
    }
  });

  test("with any bit flipped is read or refused, never worse", () => {
    const flipped = archive.slice();
    for (let bit = 0; bit < archive.length * 8; bit += 1) {
      flipped[bit >> 3]! ^= 1 << (bit & 7);
      try {
        decodeCpio(flipped, "flipped");
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
        expect((error as HiperisoError).where).toMatch(/^flipped@\d+$/);
      }
      flipped[bit >> 3]! ^= 1 << (bit & 7);
    }
  });

  test.each([
    ["its magic", 0, "x", /archive@0: expected "070701", found "x70701"/],
    ["a number", 14, "z", /archive@14: expected 8 hexadecimal digits, found "z00041ED"/],
    ["its type", 18, "F", /archive@14: expected a file, folder, link or device/],
  ])("names the place where %s is wrong", (_, at, character, message) => {
    const damaged = archive.slice();
    damaged[at] = character.charCodeAt(0);
    expect(() => decodeCpio(damaged, "archive")).toThrow(message);
  });

  test("does not take a name that is too long", () => {
    expect(() => encodeCpio([{ kind: "symlink", path: "a".repeat(4096), target: "" }], { mtimeS: 0 })).toThrow(/at most 4095 bytes/);
  });

  test.skipIf(!hasReferee)("is listed by bsdtar as we mean it", () => {
    const { stdout, stderr } = bsdtar(["-tvf", "-"], archive);
    const lines = stdout.trim().split("\n");
    expect(stderr).toBe("");
    expect(lines.map((line) => line.replace(/ +/g, " "))).toEqual([
      "drwxr-xr-x 2 0 0 0 Jan 1 2026 bin",
      "lrwxrwxrwx 1 0 0 7 Jan 1 2026 bin/sh -> busybox",
      "drwxr-xr-x 2 0 0 0 Jan 1 2026 dev",
      "crw------- 1 0 0 5,1 Jan 1 2026 dev/console",
      "-rwxr-xr-x 1 0 0 10 Jan 1 2026 init",
    ]);
  });

  test.skipIf(!hasReferee)("that bsdtar wrote is read", () => {
    const { status, stdout } = spawnSync("bsdtar", ["-c", "--format", "newc", "-f", "-", "@-"], { input: archive });
    expect(status).toBe(0);
    expect(decodeCpio(new Uint8Array(stdout), "bsdtar").entries).toEqual(completeTree(small));
  });
});
