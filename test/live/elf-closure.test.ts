import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { programClosure } from "../../src/live/elf-closure.ts";
import { folderLookup } from "../../src/live/folder-lookup.ts";
import { buildElf, type ElfWish } from "../formats/build-elf.ts";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-closure-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** A tree: an ELF file, a text, or a link for each path. */
async function closureOf(programs: readonly string[], tree: Readonly<Record<string, ElfWish | string | { readonly link: string }>>) {
  for (const [path, what] of Object.entries(tree)) {
    await mkdir(dirname(join(folder, path)), { recursive: true });
    if (typeof what === "object" && "link" in what) await symlink(what.link, join(folder, path));
    else await writeFile(join(folder, path), typeof what === "string" ? what : buildElf(what));
  }
  return (await programClosure(programs, await folderLookup(folder))).map(({ path }) => path);
}

const LOADER = "lib64/ld-linux-x86-64.so.2";
const program = (needed: readonly string[], more: ElfWish = {}): ElfWish => ({ interpreter: `/${LOADER}`, needed, ...more });

describe("the closure of a program", () => {
  test("is the program, its loader, and the libraries of its libraries, where they are looked for", async () => {
    const found = await closureOf(["tool"], {
      "usr/sbin/tool": program(["liba.so"]),
      [LOADER]: {},
      "usr/lib/x86_64-linux-gnu/liba.so": { needed: ["libb.so"] },
      "lib/x86_64-linux-gnu/libb.so": { needed: ["liba.so"] },
      "lib/x86_64-linux-gnu/libother.so": {},
    });
    expect(found).toEqual([LOADER, "lib/x86_64-linux-gnu/libb.so", "usr/lib/x86_64-linux-gnu/liba.so", "usr/sbin/tool"].sort());
  });

  test("follows links of folders and files inside the tree, and stands at the names that were asked for", async () => {
    const found = await closureOf(["/sbin/tool"], {
      sbin: { link: "usr/sbin" },
      lib64: { link: "/usr/lib64" },
      "usr/sbin/tool": program(["liba.so"]),
      "usr/lib64/ld-linux-x86-64.so.2": { link: "ld-2.36.so" },
      "usr/lib64/ld-2.36.so": {},
      "usr/lib/liba.so": { link: "liba.so.1.2" },
      "usr/lib/liba.so.1.2": {},
    });
    expect(found).toEqual([LOADER, "sbin/tool", "usr/lib/liba.so"]);
  });

  test("looks where the program says, from where it stands", async () => {
    const found = await closureOf(["opt/app/bin/tool"], {
      "opt/app/bin/tool": program(["liba.so"], { runpath: "$ORIGIN/../lib" }),
      [LOADER]: {},
      "opt/app/lib/liba.so": {},
      "usr/lib/liba.so": {},
    });
    expect(found).toEqual([LOADER, "opt/app/bin/tool", "opt/app/lib/liba.so"]);
  });

  test("hands DT_RPATH on to what libraries need, but not DT_RUNPATH", async () => {
    const tree = (kind: "rpath" | "runpath") => ({
      "bin/tool": program(["liba.so"], { [kind]: "/opt" }),
      [LOADER]: {},
      "opt/liba.so": { needed: ["libb.so"] },
      "opt/libb.so": {},
      "lib/libb.so": {},
    });
    expect(await closureOf(["tool"], tree("rpath"))).toContain("opt/libb.so");
    expect(await closureOf(["tool"], tree("runpath"))).toContain("lib/libb.so");
  });

  test("reads ld.so.conf with what it includes", async () => {
    const found = await closureOf(["tool"], {
      "bin/tool": program(["liba.so"]),
      [LOADER]: {},
      "etc/ld.so.conf": "include /etc/ld.so.conf.d/*.conf\n",
      "etc/ld.so.conf.d/x.conf": "# ours\n/opt/lib\n",
      "opt/lib/liba.so": {},
    });
    expect(found).toContain("opt/lib/liba.so");
  });

  test("passes over a library for another processor", async () => {
    const found = await closureOf(["tool"], {
      "bin/tool": program(["liba.so"]),
      [LOADER]: {},
      "lib/x86_64-linux-gnu/liba.so": { bits: 32, machine: 3 },
      "usr/lib/liba.so": {},
    });
    expect(found).toContain("usr/lib/liba.so");
    expect(found).not.toContain("lib/x86_64-linux-gnu/liba.so");
  });

  test("of a script has its interpreter", async () => {
    expect(await closureOf(["tool"], { "bin/tool": "#! /bin/sh -e\n", "bin/sh": program([]), [LOADER]: {} })).toEqual(
      ["bin/sh", "bin/tool", LOADER].sort(),
    );
  });

  test("names what is missing, and who asked for it", async () => {
    await expect(closureOf(["tool"], { "bin/tool": program(["liba.so"]), [LOADER]: {} })).rejects.toThrow(
      /\/bin\/tool: expected liba\.so, found nothing/,
    );
    await expect(closureOf(["none"], {})).rejects.toThrow(/find the program none: \/usr\/local\/sbin\/none, .*expected it in the root/);
  });

  test("never leaves the tree", async () => {
    await expect(closureOf(["tool"], { "bin/tool": { link: "../../../../../../bin/sh" } })).rejects.toThrow(/find the program tool/);
  });

  test("of a program of this computer is what its own loader finds", async () => {
    const listed = spawnSync("ldd", ["/bin/sh"], { encoding: "utf8" });
    const libraries = [...listed.stdout.matchAll(/(?:=> )?(\/\S+) \(0x/g)].map((match) => match[1]!.split("/").at(-1)!);
    const closure = await programClosure(["/bin/sh"], await folderLookupOfComputer());
    expect(closure.map(({ path }) => path.split("/").at(-1)).sort()).toEqual([...libraries, "sh"].sort());
  });
});

/** The whole computer cannot be walked for its links: the kernel follows them. */
async function folderLookupOfComputer() {
  const { readFile, readdir } = await import("node:fs/promises");
  return {
    read: async (path: string) => await readFile(join("/", path)).catch(() => undefined),
    list: async (path: string) => (await readdir(join("/", path)).catch(() => [])).sort(),
  };
}
