/** The kinds of stages that a stick's runtime is made by: single programs, packages of the npm registry, this program, what is put behind an image. */
import { execFileSync, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmod, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { gunzipSync, gzipSync } from "node:zlib";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { decodeCpio } from "../../src/formats/cpio.ts";
import { decodeElf } from "../../src/formats/elf.ts";
import type { TreeEntry } from "../../src/formats/file-tree.ts";
import { encodeTar } from "../../src/formats/tar.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { stageKind } from "../../src/live/stage.ts";
import { STAGE_KINDS } from "../../src/live/stages/kinds.ts";
import { RuntimeFactsSchema } from "../../src/live/stages/stick-runtime.ts";
import { openTarTree } from "../../src/live/tar-tree.ts";
import { buildProgram } from "../cli/built-program.ts";
import { buildElf } from "../formats/build-elf.ts";
import { buildModule } from "../formats/build-module.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const hasDpkg = (await lookForTool("dpkg-deb", process.env)) !== undefined;
const hasSquashfs = (await lookForTool("mksquashfs", process.env)) !== undefined;
const bytes = (content: string): Uint8Array => new TextEncoder().encode(content);
const file = (path: string, content: Uint8Array | string = path, mode = 0o644): TreeEntry => ({
  ...{ kind: "file", path, mode },
  content: typeof content === "string" ? bytes(content) : content,
});

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-runtime-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

type Made = (output: string, scratch: string) => Promise<void>;
/** Two of one kind in one store are not taken for each other. */
let count = 0;
const madeBy = (name: string, made: Made) =>
  stageKind({
    ...{ kind: `made-${name}`, revision: ++count, options: z.strictObject({}), inputs: {} },
    ingredients: async () => ({}),
    run: (_options, { output, scratch }) => made(output, scratch),
  });

const treeOf =
  (entries: readonly TreeEntry[]): Made =>
  async (output) => {
    await writeFile(join(output, "root.tar"), Buffer.concat([...encodeTar(entries, { mtimeS: 0 })]));
  };

const debsOf =
  (debs: Readonly<Record<string, readonly TreeEntry[]>>): Made =>
  async (output, scratch) => {
    for (const [name, entries] of Object.entries(debs)) {
      const tree = join(scratch, name);
      const control = `Package: ${name}\nVersion: 1.0\nArchitecture: amd64\nMaintainer: x <x@example.org>\nDescription: x\n`;
      for (const entry of [file("DEBIAN/control", control), ...entries]) {
        await mkdir(dirname(join(tree, entry.path)), { recursive: true });
        if (entry.kind === "file") await writeFile(join(tree, entry.path), entry.content, { mode: entry.mode });
        else if (entry.kind === "symlink") execFileSync("ln", ["-s", entry.target, join(tree, entry.path)]);
      }
      execFileSync("dpkg-deb", ["--build", "--root-owner-group", tree, join(output, `${name}_1.0_amd64.deb`)], { stdio: "ignore" });
    }
  };

/** Folder of the output of the stage that is named. `stages`: their text; `given`: kinds that make what the stages begin with, each a stage of its own name. */
async function build(
  stages: Readonly<Record<string, string>>,
  { given = {}, env = {}, wanted = "x" }: { given?: Readonly<Record<string, Made>>; env?: NodeJS.ProcessEnv; wanted?: string } = {},
): Promise<string> {
  const spec = join(folder, "spec.yaml");
  const all = { ...Object.fromEntries(Object.keys(given).map((name) => [name, `{ kind: made-${name} }`])), ...stages };
  const lines = Object.entries(all).map(([name, text]) => `  ${name}: ${text}\n`);
  await writeFile(spec, `name: test\nepoch: 1767225600\nresult: { stage: ${wanted}, file: none }\nstages:\n${lines.join("")}`);
  const kinds = [...STAGE_KINDS, ...Object.entries(given).map(([name, made]) => madeBy(name, made))];
  const options = { store: join(folder, "store"), env: { ...process.env, ...env }, kinds, stages: [wanted] };
  return (await buildPlan(spec, options, quietJob)).output;
}

async function pathsOf(output: string): Promise<readonly string[]> {
  await using tree = await openTarTree(join(output, "root.tar"));
  return [...tree.entries].filter(([, { kind }]) => kind === "file").map(([path]) => path);
}

const LOADER = "lib64/ld-linux-x86-64.so.2";
const program = (needed: readonly string[]) => buildElf({ interpreter: `/${LOADER}`, needed });

describe.skipIf(!hasDpkg)("programs out of packages", () => {
  const DEBS = {
    emulator: [
      file("usr/bin/emulator", program(["liba.so"]), 0o755),
      file("usr/lib/emulator/accel.so", buildElf({ needed: ["libonly.so"] })),
      file("usr/lib/emulator/other.so", buildElf({ needed: ["libmissing.so"] })),
      file("usr/share/emulator/one.bin"),
      file("usr/share/emulator/two.bin"),
      file("usr/share/doc/emulator/copyright", "License of the emulator"),
    ],
    libs: [
      file(LOADER, buildElf({})),
      file("usr/lib/liba.so.1", buildElf({})),
      { kind: "symlink", path: "usr/lib/liba.so", target: "liba.so.1" } as const,
      file("usr/lib/libonly.so", buildElf({})),
      { kind: "symlink", path: "usr/share/doc/libs", target: "base" } as const,
    ],
    base: [file("usr/share/doc/base/copyright", "License of the libraries")],
    unused: [file("usr/bin/unused", "x", 0o755)],
  };
  const given = { debs: debsOf(DEBS) };

  test("bring their libraries, what they open by name, and the records of the packages that they came in", async () => {
    const output = await build(
      {
        x: "{ kind: programs, inputs: { packages: debs }, programs: [emulator], plugins: [usr/lib/emulator/accel.so], files: [usr/share/emulator/*.bin] }",
      },
      { given },
    );
    expect([...(await pathsOf(output))].sort()).toEqual(
      [
        ...[LOADER, "usr/bin/emulator", "usr/lib/emulator/accel.so", "usr/lib/liba.so", "usr/lib/libonly.so"],
        ...["usr/share/emulator/one.bin", "usr/share/emulator/two.bin"],
        ...["usr/share/doc/emulator/copyright", "usr/share/doc/libs/copyright"],
        ...["var/lib/dpkg/status.d/emulator", "var/lib/dpkg/status.d/libs"],
      ].sort(),
    );
    await using tree = await openTarTree(join(output, "root.tar"));
    expect(Buffer.from((await tree.read("usr/share/doc/libs/copyright"))!).toString()).toBe("License of the libraries");
    expect(tree.entries.get("usr/bin/emulator" as never)?.mode).toBe(0o755);
  });

  test("that are in the input base find their libraries in the packages", async () => {
    const output = await build(
      { x: "{ kind: programs, inputs: { packages: debs, base: own }, programs: [opt/tool] }" },
      { given: { ...given, own: treeOf([file("opt/tool", program(["liba.so"]), 0o755), file("opt/data")]) } },
    );
    expect([...(await pathsOf(output))].filter((path) => !/^(?:usr\/share\/doc|var)/.test(path)).sort()).toEqual(
      [LOADER, "opt/data", "opt/tool", "usr/lib/liba.so"].sort(),
    );
  });

  test.each([
    ["programs: [none]", /find the program none/],
    ["plugins: [usr/lib/emulator/none.so]", /\/usr\/lib\/emulator\/none\.so: expected a file, found none/],
    ["plugins: [usr/lib/emulator/other.so]", /libmissing\.so/],
    ["files: [usr/share/emulator/*.rom]", /\*\.rom: expected a file, found none/],
    ["files: [../etc/passwd]", /expected a plain path/],
  ])("that are not there are named: %s", async (option, message) => {
    await expect(build({ x: `{ kind: programs, inputs: { packages: debs }, ${option} }` }, { given })).rejects.toThrow(message);
  });
});

/** A registry of one package, as npm asks for it. */
async function registry(archive: Uint8Array) {
  const integrity = `sha512-${createHash("sha512").update(archive).digest("base64")}`;
  const server = createServer((request, response) => {
    const { port } = server.address() as AddressInfo;
    if (request.url?.endsWith(".tgz") === true) return void response.end(archive);
    const version = { name: "tool-x64", version: "1.2.3", dist: { integrity, tarball: `http://127.0.0.1:${port}/tool-x64-1.2.3.tgz` } };
    response.setHeader("content-type", "application/json");
    response.end(JSON.stringify({ name: "tool-x64", "dist-tags": { latest: "1.2.3" }, versions: { "1.2.3": version } }));
  });
  await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
  const { port } = server.address() as AddressInfo;
  const env = {
    npm_config_registry: `http://127.0.0.1:${port}/`,
    npm_config_cache: join(folder, "npm-cache"),
    npm_config_fetch_retries: "0",
  };
  return { integrity, env, close: () => new Promise((done) => server.close(done)) };
}

describe("packages of the npm registry", () => {
  const symbols = Buffer.alloc(3000, 1);
  const archive = gzipSync(
    Buffer.concat([
      ...encodeTar(
        [
          file("package/bin/tool", Buffer.concat([program([]), symbols]), 0o755),
          file("package/package.json", '{"name":"tool-x64","version":"1.2.3","license":"MIT"}'),
          file("package/README.md"),
        ],
        { mtimeS: 0 },
      ),
    ]),
  );
  const stage = (integrity: string, files = "bin/tool, package.json") =>
    `{ kind: npm, packages: { tool-x64: { version: 1.2.3, integrity: ${integrity}, into: usr/lib/tool, files: [${files}], trim: [bin/tool] } } }`;

  test("come from the registry that npm is set to, checked, without what only debuggers read", async () => {
    const { integrity, env, close } = await registry(archive);
    try {
      const output = await build({ x: stage(integrity) }, { env });
      await using tree = await openTarTree(join(output, "root.tar"));
      expect([...(await pathsOf(output))]).toEqual(["usr/lib/tool/bin/tool", "usr/lib/tool/package.json"]);
      expect(tree.entries.get("usr/lib/tool/bin/tool" as never)?.mode).toBe(0o755);
      const tool = (await tree.read("usr/lib/tool/bin/tool"))!;
      expect(tool.length).toBeLessThanOrEqual(program([]).length);
      expect(decodeElf(tool, "tool").interpreter).toBe(`/${LOADER}`);
    } finally {
      await close();
    }
  });

  test("that are not what the spec says are refused, with both digests", async () => {
    const { integrity, env, close } = await registry(archive);
    const other = `sha512-${createHash("sha512").update("other").digest("base64")}`;
    try {
      await expect(build({ x: stage(other) }, { env })).rejects.toThrow(
        new RegExp(`tool-x64@1\\.2\\.3: expected ${other.replaceAll(/[+/]/g, ".")}, found ${integrity.replaceAll(/[+/]/g, ".")}`),
      );
      await expect(build({ x: stage(integrity, "bin/none") }, { env })).rejects.toThrow(/expected bin\/none, found no such files/);
    } finally {
      await close();
    }
  });

  test("that cannot be fetched are told, with what it needs", async () => {
    const { integrity, env, close } = await registry(archive);
    await close();
    await expect(build({ x: stage(integrity) }, { env })).rejects.toThrow(
      /fetch a package of the npm registry: tool-x64@1\.2\.3: found [\s\S]*registry that npm is set to.*or npm's cache/,
    );
  });
});

describe.skipIf(!hasSquashfs)("an image with files put behind it", () => {
  const BASE = "{ kind: squashfs, inputs: { root: base }, compression: gzip }";
  const given = { base: treeOf([file("usr/bin/a", "a", 0o755), file("etc/b", "b")]) };
  const on = "{ kind: squashfs, inputs: { root: more, onto: below } }";
  const listed = (image: string) => execFileSync("unsquashfs", ["-lln", "-d", "", image], { encoding: "utf8" });

  test("holds both, owned by root, and is the same bytes from another store", async () => {
    const more = treeOf([file("app/run", "run", 0o755), file("app/data/x", "x")]);
    const image = join(await build({ below: BASE, x: on }, { given: { ...given, more } }), "root.squashfs");
    const first = await readFile(image);
    expect(listed(image)).toMatch(/-rwxr-xr-x 0\/0 .* \/app\/run/);
    expect(listed(image)).toMatch(/-rw-r--r-- 0\/0 .* \/app\/data\/x/);
    expect(listed(image)).toMatch(/-rwxr-xr-x 0\/0 .* \/usr\/bin\/a/);
    await rm(join(folder, "store"), { recursive: true });
    expect(first.equals(await readFile(join(await build({ below: BASE, x: on }, { given: { ...given, more } }), "root.squashfs")))).toBe(
      true,
    );
  });

  test("is not made where both have a name at the top, or a file is not root's to keep", async () => {
    const twice = { ...given, more: treeOf([file("usr/bin/z")]) };
    await expect(build({ below: BASE, x: on }, { given: twice })).rejects.toThrow(
      /\/usr: expected names that the image has not at its top/,
    );
    const link = { ...given, more: treeOf([{ kind: "symlink", path: "app/x", target: "y" }]) };
    await expect(build({ below: BASE, x: on }, { given: link })).rejects.toThrow(
      /\/app\/x: expected files and folders of root, found symlink/,
    );
  });
});

describe("this program as a stage", () => {
  test("runs where it is put, compiled or as its bundle, which counts only while it is of the same program", async () => {
    const built = buildProgram();
    try {
      for (const path of ["trace", "LICENSE"]) await cp(join(ROOT, path), join(built.folder, path), { recursive: true });
      await cp(join(ROOT, "scripts/bundle.mjs"), join(built.folder, "scripts/bundle.mjs"));
      const spec = join(built.folder, "spec.yaml");
      await writeFile(
        spec,
        "name: own\nepoch: 1767225600\nresult: { stage: x, file: root.tar }\nstages:\n  x: { kind: own-program, into: app }\n",
      );
      const taken = async (name: string): Promise<readonly string[]> => {
        const words = ["live", "build", spec, "--store", join(folder, name)];
        const tar = execFileSync(process.execPath, [built.module("cli/hiperiso.js"), ...words], {
          encoding: "utf8",
          stdio: ["ignore", "pipe", "pipe"],
        });
        const into = join(folder, `${name}-tree`);
        await mkdir(into);
        execFileSync("tar", ["-xf", tar.trim(), "-C", into]);
        // Nothing of this checkout is above it.
        const version = spawnSync(join(into, "app/dist/cli/hiperiso.js"), ["onboard", "--help"], { encoding: "utf8", cwd: "/" });
        expect(version, name).toMatchObject({ status: 0, stderr: "" });
        return (await readdir(join(into, "app"), { recursive: true })).sort();
      };
      const plain = await taken("plain");
      expect(plain).toContain("dist/host/tools.js");
      expect(plain).toContain("node_modules/zod/package.json");
      execFileSync(process.execPath, [join(built.folder, "scripts/bundle.mjs")], { stdio: "ignore" });
      const bundled = await taken("bundled");
      expect(bundled).not.toContain("dist/host/tools.js");
      expect(bundled).toEqual(
        expect.arrayContaining(["node_modules/zod/package.json", "node_modules/zod/LICENSE", "trace/standard.events"]),
      );
      expect(bundled.filter((path) => /node_modules\/.*\.js$/.test(path))).toEqual([]);
      await chmod(built.module("host/tools.js"), 0o644);
      await writeFile(built.module("host/tools.js"), `${await readFile(built.module("host/tools.js"), "utf8")}\n// another program\n`);
      expect(await taken("older")).toContain("dist/host/tools.js");
    } finally {
      built.remove();
    }
  });
});

describe.skipIf(!hasDpkg)("a stick's runtime", () => {
  const given = {
    loaders: async (output: string) => {
      await mkdir(join(output, "shim"));
      for (const name of ["BOOTX64.EFI", "grubx64.efi", "mmx64.efi"]) await writeFile(join(output, "shim", name), name);
    },
    kernel: async (output: string) => await writeFile(join(output, "vmlinuz"), "kernel"),
    initramfs: async (output: string) => await writeFile(join(output, "initrd.img"), "initramfs"),
    image: async (output: string) => await writeFile(join(output, "root.squashfs"), new Uint8Array(2 ** 21)),
    firmware: async (output: string) => await writeFile(join(output, "OVMF.fd"), "firmware"),
    modules: async (output: string) => await writeFile(join(output, "exfat.mod"), "module"),
    root: treeOf([
      file("usr/bin/big", new Uint8Array(3 * 2 ** 20)),
      file("usr/bin/small", new Uint8Array(10)),
      file("usr/lib/node_modules/tool/package.json", '{"name":"tool","version":"2.0.0","license":"MIT"}'),
      file("usr/lib/node_modules/tool/LICENSE", "terms of the tool"),
    ]),
    own: treeOf([file("hiperiso/x", "x")]),
    debs: debsOf({ "linux-image": [file("boot/vmlinuz"), file("usr/share/doc/linux-image/copyright", "terms of the kernel")] }),
  };
  const inputs = Object.keys(given).filter((name) => name !== "debs");
  const stage = (more = "") =>
    `{ kind: stick-runtime, inputs: { ${inputs.map((name) => `${name}: ${name}`).join(", ")}, kernel-package: debs, busybox-package: debs, loader-package: debs }${more} }`;

  test("is laid out as the boot partition, with what takes the room, the packages and their terms beside it", async () => {
    const output = await build({ x: stage() }, { given });
    const paths = (await readdir(join(output, "esp"), { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map((entry) => join(entry.parentPath, entry.name).slice(join(output, "esp").length));
    expect(paths.sort()).toEqual(
      [
        ...[
          "/EFI/BOOT/BOOTX64.EFI",
          "/EFI/BOOT/grubx64.efi",
          "/EFI/BOOT/mmx64.efi",
          "/EFI/debian/grub.cfg",
          "/EFI/debian/x86_64-efi/exfat.mod",
        ],
        ...["/EFI/hiperiso/OVMF.fd", "/EFI/hiperiso/initramfs.cpio.gz", "/EFI/hiperiso/runtime.squashfs", "/EFI/hiperiso/vmlinuz"],
        ...["detailed", "full", "standard"].map((tier) => `/EFI/hiperiso/trace/${tier}.events`),
      ].sort(),
    );
    const facts = RuntimeFactsSchema.parse(JSON.parse(await readFile(join(output, "runtime.json"), "utf8")));
    expect(facts.files.map(({ path }) => path)).toEqual(paths.sort());
    expect(facts.contents[0]).toEqual({ what: "/usr/bin/big", size_bytes: 3 * 2 ** 20 });
    expect(facts.packages.map(({ manager, name, version, licences }) => ({ manager, name, version, licences }))).toEqual([
      { manager: "deb", name: "linux-image", version: "1.0", licences: [] },
      { manager: "npm", name: "tool", version: "2.0.0", licences: ["MIT"] },
    ]);
    expect(await readFile(join(output, "licences/linux-image_1.0.deb.txt"), "utf8")).toBe("terms of the kernel");
    expect(await readFile(join(output, "licences/tool_2.0.0.npm.txt"), "utf8")).toBe("terms of the tool");
  });

  test("that does not fit is refused, with what takes the room", async () => {
    await expect(build({ x: stage(", room_mib: 1") }, { given })).rejects.toThrow(
      /expected at most 1048576 bytes, found 21\d{5}: \/EFI\/hiperiso\/runtime\.squashfs 2097152/,
    );
  });
});

test("a stick's initramfs holds the stick's init and the modules that are named, and no others", async () => {
  const modules = "usr/lib/modules/6.1.0-test/kernel";
  const module = (path: string, name: string) => file(`${modules}/${path}`, buildModule(`name=${name}\0depends=\0`));
  const system = treeOf([
    file("boot/vmlinuz-6.1.0-test"),
    module("fs/exfat.ko", "exfat"),
    module("fs/isofs.ko", "isofs"),
    module("net/odd.ko", "odd"),
  ]);
  const busybox: Made = async (output) => await writeFile(join(output, "busybox"), buildElf({}));
  const kernel = "{ kind: kernel, inputs: { root: system }, modules: [exfat, odd] }";
  const output = await build(
    { kernel, x: "{ kind: initramfs, by: stick, modules: [exfat], inputs: { kernel: kernel, busybox: busybox } }" },
    { given: { system, busybox } },
  );
  const entries = decodeCpio(gunzipSync(await readFile(join(output, "initrd.img"))), "initrd").entries;
  const init = entries.find(({ path }) => path === "init");
  expect(init).toMatchObject({ kind: "file", mode: 0o755 });
  const content = init?.kind === "file" ? Buffer.from(init.content).toString() : undefined;
  expect(content).toBe(await readFile(join(ROOT, "guest/stick/init"), "utf8"));
  expect(entries.map(({ path }) => path).filter((path) => path.endsWith(".ko"))).toEqual(["lib/modules/6.1.0-test/kernel/fs/exfat.ko"]);
  expect(await readdir(output)).toEqual(["initrd.img"]);
});
