import { spawnSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { TreeEntry } from "../../src/formats/file-tree.ts";
import { encodeTar } from "../../src/formats/tar.ts";

/** tar is on every system that npm runs on. */
function tar(args: readonly string[], entries: readonly TreeEntry[]): string {
  const input = Buffer.concat([...encodeTar(entries, { mtimeS: 1_767_225_600 })]);
  const { status, stdout, stderr } = spawnSync("tar", args, {
    input,
    encoding: "utf8",
    env: { ...process.env, TZ: "UTC", LC_ALL: "C.UTF-8" },
  });
  expect(stderr).toBe("");
  expect(status).toBe(0);
  return stdout;
}

const file = (path: string, content: string, mode = 0o644): TreeEntry => ({
  kind: "file",
  path,
  mode,
  content: new TextEncoder().encode(content),
});

describe("a tar archive", () => {
  test("is listed by tar as we mean it", () => {
    const list = tar(
      ["-tvf", "-"],
      [
        { kind: "directory", path: "tmp", mode: 0o1777 },
        { kind: "symlink", path: "bin/sh", target: "/bin/busybox" },
        { kind: "character-device", path: "dev/console", mode: 0o600, major: 5, minor: 1 },
        { kind: "block-device", path: "dev/sda", mode: 0o660, major: 8, minor: 0 },
        file("etc/issue", "hello\n"),
        file("bin/su", "", 0o4755),
      ],
    );
    expect(
      list
        .replace(/ +/g, " ")
        .split("\n")
        .filter((line) => line !== ""),
    ).toEqual([
      "drwxr-xr-x root/root 0 2026-01-01 00:00 bin/",
      "lrwxrwxrwx root/root 0 2026-01-01 00:00 bin/sh -> /bin/busybox",
      "-rwsr-xr-x root/root 0 2026-01-01 00:00 bin/su",
      "drwxr-xr-x root/root 0 2026-01-01 00:00 dev/",
      "crw------- root/root 5,1 2026-01-01 00:00 dev/console",
      "brw-rw---- root/root 8,0 2026-01-01 00:00 dev/sda",
      "drwxr-xr-x root/root 0 2026-01-01 00:00 etc/",
      "-rw-r--r-- root/root 6 2026-01-01 00:00 etc/issue",
      "drwxrwxrwt root/root 0 2026-01-01 00:00 tmp/",
    ]);
  });

  test.each([99, 100, 101, 255, 1000])("keeps names and targets of %d bytes", (length) => {
    const name = "n".repeat(length);
    const target = "t".repeat(length);
    expect(tar(["-tvf", "-"], [file(name, "x"), { kind: "symlink", path: "z", target }])).toMatch(
      new RegExp(` ${name}\n.* z -> ${target}\n$`),
    );
  });

  test("keeps names that are not ASCII, and contents of any length", () => {
    expect(tar(["-tf", "-", "--quoting-style=literal"], [file("ä ö/名前", "")])).toBe("ä ö/\nä ö/名前\n");
    for (const length of [0, 1, 511, 512, 513])
      expect(tar(["-xOf", "-", "a"], [file("a", "x".repeat(length)), file("b", "y")])).toBe("x".repeat(length));
  });

  test("is the same for the same entries in any order", () => {
    const entries = [file("b", "1"), file("a", "2")];
    const bytes = (list: readonly TreeEntry[]) => Buffer.concat([...encodeTar(list, { mtimeS: 7 })]);
    expect(bytes([...entries].reverse()).equals(bytes(entries))).toBe(true);
  });
});
