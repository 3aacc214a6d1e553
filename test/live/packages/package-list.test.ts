import { createWriteStream } from "node:fs";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { TreeEntry } from "../../../src/formats/file-tree.ts";
import { encodeTar } from "../../../src/formats/tar.ts";
import { licencesOfCopyrightFile, TEXT_RULES } from "../../../src/live/packages/copyright-file.ts";
import { readPackages, writePackages } from "../../../src/live/packages/package-list.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-packages-"));
});
afterEach(() => rm(folder, { recursive: true }));

const file = (path: string, content: string): TreeEntry => ({
  kind: "file",
  path,
  mode: 0o644,
  content: new TextEncoder().encode(content),
});

async function packagesOf(files: readonly TreeEntry[]) {
  await pipeline(Readable.from(encodeTar(files, { mtimeS: 0 })), createWriteStream(join(folder, "root.tar")));
  await writePackages(folder);
  return await readPackages(folder);
}

const DEP5 = `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: tool

Files: *
Copyright: 2020 Somebody
License: GPL-2+ or Artistic
 This program is free software.

Files: lib/*
License: Expat

License: GPL-2+
 The text of it.

License: Never-Used
 Text that no file points to.
`;

describe("the packages of a root file system", () => {
  test("of npm are those whose package.json stands in a node_modules, at any depth and with a scope", async () => {
    const found = await packagesOf([
      file("opt/app/package.json", '{"name":"app","version":"9.0.0"}'),
      file("opt/app/node_modules/one/package.json", '{"name":"one","version":"1.0.0","license":"MIT OR Apache-2.0"}'),
      file("opt/app/node_modules/one/lib/package.json", '{"name":"inner","version":"1.0.0"}'),
      file("opt/app/node_modules/@scope/two/package.json", '{"name":"@scope/two","version":"2.0.0","license":{"type":"MIT"}}'),
      file("opt/app/node_modules/one/node_modules/three/package.json", '{"name":"three","version":"3.0.0"}'),
      file("opt/app/node_modules/broken/package.json", "{"),
      file("opt/app/node_modules/list/package.json", "[]"),
    ]);
    expect(found?.packages.map(({ manager, name, version, licences }) => [manager, name, version, licences])).toEqual([
      ["npm", "@scope/two", "2.0.0", []],
      ["npm", "one", "1.0.0", ["MIT OR Apache-2.0"]],
      ["npm", "three", "3.0.0", []],
    ]);
  });

  test("of Debian: installed ones with source, section and the licences of their copyright files", async () => {
    const status = `Package: tool
Status: install ok installed
Section: non-free/utils
Architecture: amd64
Source: tool-src (1.0-1)
Version: 1.0-1+b2
Description: a tool
 Status: not this one

Package: gone
Status: deinstall ok config-files
Architecture: all
Version: 3

Package: libtool1
Status: hold ok installed
Architecture: amd64
Version: 1:2
`;
    const list = await packagesOf([
      file("var/lib/dpkg/status", status),
      file("usr/share/doc/tool/copyright", DEP5),
      // Packages of one source share a folder.
      { kind: "symlink", path: "usr/share/doc/libtool1", target: "tool" },
      file("usr/share/doc/gone/copyright", DEP5),
    ]);
    const licences = ["Expat", "GPL-2+ OR Artistic"];
    expect(list).toEqual({
      packages: [
        { manager: "deb", name: "libtool1", version: "1:2", architecture: "amd64", source: { name: "libtool1", version: "1:2" }, licences },
        {
          manager: "deb",
          name: "tool",
          version: "1.0-1+b2",
          architecture: "amd64",
          source: { name: "tool-src", version: "1.0-1" },
          section: "non-free/utils",
          licences,
        },
      ],
      unread: [],
    });
  });

  test("of images without a package manager: one file a package", async () => {
    const list = await packagesOf([
      file("var/lib/dpkg/status.d/base", "Package: base-files\nVersion: 12\nArchitecture: amd64\n"),
      file("var/lib/dpkg/status.d/base.md5sums", "Package: not-this\n"),
    ]);
    expect(list?.packages.map(({ name, licences }) => [name, licences])).toEqual([["base-files", []]]);
  });

  test("of Alpine", async () => {
    const installed =
      "C:Q1abc=\nP:musl-utils\nV:1.2.5-r1\nA:x86_64\nL:MIT AND BSD-2-Clause\no:musl\nF:sbin\nR:ldconfig\n\nP:x\nV:1\nA:noarch\nL:\n\n";
    expect((await packagesOf([file("lib/apk/db/installed", installed)]))?.packages).toEqual([
      {
        manager: "apk",
        name: "musl-utils",
        version: "1.2.5-r1",
        architecture: "x86_64",
        source: { name: "musl", version: "1.2.5-r1" },
        licences: ["MIT AND BSD-2-Clause"],
      },
      { manager: "apk", name: "x", version: "1", architecture: "noarch", source: { name: "x", version: "1" }, licences: [] },
    ]);
  });

  test("of Arch", async () => {
    const desc =
      "%NAME%\ngcc-libs\n\n%VERSION%\n14.1-1\n\n%BASE%\ngcc\n\n%ARCH%\nx86_64\n\n%LICENSE%\nGPL-3.0-with-GCC-exception\nGFDL-1.3-or-later\n\n%DEPENDS%\nglibc\n\n";
    expect((await packagesOf([file("var/lib/pacman/local/gcc-libs-14.1-1/desc", desc)]))?.packages).toEqual([
      {
        manager: "alpm",
        name: "gcc-libs",
        version: "14.1-1",
        architecture: "x86_64",
        source: { name: "gcc", version: "14.1-1" },
        licences: ["GPL-3.0-with-GCC-exception", "GFDL-1.3-or-later"],
      },
    ]);
  });

  test("of Gentoo", async () => {
    const at = "var/db/pkg/sys-apps/util-linux-2.39.3-r7";
    const list = await packagesOf([
      file(`${at}/PF`, "util-linux-2.39.3-r7\n"),
      file(`${at}/LICENSE`, "GPL-2 || ( BSD-4 MIT ) static? ( LGPL-3 )\n"),
      file(`${at}/CHOST`, "x86_64-pc-linux-gnu\n"),
    ]);
    expect(list?.packages).toEqual([
      {
        ...{ manager: "ebuild", name: "sys-apps/util-linux", version: "2.39.3-r7", architecture: "x86_64", section: "sys-apps" },
        ...{ source: { name: "sys-apps/util-linux", version: "2.39.3-r7" }, licences: ["GPL-2 AND (BSD-4 OR MIT) AND LGPL-3"] },
      },
    ]);
  });

  test("of Fedora are known to be there, and not read", async () => {
    expect(await packagesOf([file("usr/lib/sysimage/rpm/rpmdb.sqlite", "SQLite format 3\0")])).toEqual({ packages: [], unread: ["rpm"] });
  });

  test("are none, and no file is written, where there is no database", async () => {
    expect(await packagesOf([file("etc/hostname", "x")])).toBeUndefined();
    await expect(readFile(join(folder, "packages.json"))).rejects.toThrow(/ENOENT/);
  });

  test("a link that leads out of the tree leads to nothing", async () => {
    await writeFile(join(folder, "outside"), "Package: outside\nVersion: 1\nStatus: install ok installed\n");
    const list = await packagesOf([{ kind: "symlink", path: "var/lib/dpkg/status", target: `../../../../../..${folder}/outside` }]);
    expect(list?.packages).toEqual([]);
  });

  test("damaged lists are told", async () => {
    await writeFile(join(folder, "packages.json"), '{"packages": [{}]}');
    await expect(readPackages(folder)).rejects.toThrow(/cannot read the list of packages: .*packages\.json/);
  });
});

describe("a copyright file", () => {
  test.each(TEXT_RULES.map((rule) => [rule.licence, rule] as const))("in words: %s", (licence, { matches, ignores }) => {
    expect(licencesOfCopyrightFile(matches.replaceAll(" ", "\n * "))).toContain(licence);
    expect(licencesOfCopyrightFile(ignores)).not.toContain(licence);
  });

  test("in words: points to the licences that every Debian has", () => {
    const text =
      "On Debian systems the text is in `/usr/share/common-licenses/LGPL-2.1'; see also /usr/share/common-licenses/GPL.\nThe rest: /usr/share/common-licenses/LGPL";
    expect(licencesOfCopyrightFile(text)).toEqual(["GPL", "LGPL-2.1"]);
  });

  test("for machines: names with the field twice, texts in the place of a name, and none at all", () => {
    const of = (licence: string) =>
      licencesOfCopyrightFile(
        `Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nFiles: *\nLicense: ${licence}\n`,
      );
    expect(of("License: BSD-3-clause")).toEqual(["BSD-3-clause"]);
    expect(of("")).toEqual([]);
    expect(of(`\n Permission is hereby granted, free of charge, to any person\n obtaining a copy`)).toEqual(["Expat"]);
  });
});
