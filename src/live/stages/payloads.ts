/** Boot loaders and what else a medium starts, out of the packages or the root file system of a stage: nothing of them is the computer's own. */
import { mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import type { TreeEntry } from "../../formats/file-tree.ts";
import { type ClosureFile, type FileLookup, programClosure } from "../elf-closure.ts";
import { folderLookup } from "../folder-lookup.ts";
import { openTree } from "../sandbox/tree.ts";
import { readSourceTree, treeDigest } from "../source-files.ts";
import { type StageRun, type StageSurroundings, stageKind } from "../stage.ts";
import { openTarTree } from "../tar-tree.ts";
import { runTool, sha256, toolVersion } from "../tool.ts";
import { unpackPackages } from "./unpack.ts";

const MODULE = z.string().regex(/^[a-z0-9_]+$/);

/** What reading any of our menus needs, a person's own entries included. */
const GRUB_MODULES = [
  ...["iso9660", "part_gpt", "part_msdos", "fat", "exfat", "ext2", "search", "search_fs_file", "search_fs_uuid", "search_label", "probe"],
  ...[
    "configfile",
    "normal",
    "linux",
    "loopback",
    "test",
    "regexp",
    "true",
    "echo",
    "ls",
    "cat",
    "sleep",
    "serial",
    "reboot",
    "halt",
    "boot",
  ],
];
const GRUB_BIOS_MODULES = ["biosdisk", "linux16", "chain", "vga_text"];
const GRUB_EFI_MODULES = ["efi_gop", "efi_uga", "all_video", "font", "gfxterm", "chain", "efifwsetup"];

const GrubSchema = z.strictObject({
  modules: z.array(MODULE).default(GRUB_MODULES).describe("Modules built into both images."),
  bios_modules: z.array(MODULE).default(GRUB_BIOS_MODULES),
  efi_modules: z.array(MODULE).default(GRUB_EFI_MODULES),
  platforms: z
    .array(z.enum(["bios", "uefi"]))
    .min(1)
    .default(["bios", "uefi"]),
});

const Options = z
  .strictObject({
    grub: GrubSchema.optional().describe("GRUB for BIOS and for UEFI, made of its modules; {} takes what our menus need."),
    shim: z.boolean().default(false).describe("For Secure Boot: shim with Microsoft's signature, and the distribution's signed GRUB."),
    systemd_boot: z.boolean().default(false).describe("For UEFI."),
    isolinux: z.boolean().default(false).describe("For BIOS."),
    memtest: z.boolean().default(false).describe("memtest86+, for BIOS and for UEFI."),
    from_computer: z.boolean().default(false).describe("Without an input: take what is installed on this computer."),
  })
  .refine(
    (wish) => wish.grub !== undefined || wish.shim || wish.systemd_boot || wish.isolinux || wish.memtest,
    "expected something to take",
  );
type Options = z.infer<typeof Options>;

interface Taken {
  /** In the stage's output. */
  readonly to: string;
  /** Where distributions have it; the first that is there is taken. */
  readonly places: readonly string[];
  readonly packages: string;
  /** Left out where it is not there. */
  readonly optional?: boolean;
}

const SYSLINUX_FOLDERS = ["usr/lib/syslinux/modules/bios", "usr/share/syslinux", "usr/lib/syslinux/bios"];
const SYSLINUX_MODULES = [
  "ldlinux.c32",
  "libcom32.c32",
  "libutil.c32",
  "menu.c32",
  "vesamenu.c32",
  "chain.c32",
  "reboot.c32",
  "poweroff.c32",
];

const FILES: Readonly<Record<Exclude<keyof Options, "grub" | "from_computer">, readonly Taken[]>> = {
  shim: [
    {
      to: "shim/BOOTX64.EFI",
      places: ["usr/lib/shim/shimx64.efi.signed.latest", "usr/lib/shim/shimx64.efi.signed", "boot/efi/EFI/fedora/shimx64.efi"],
      packages: "shim-signed",
    },
    {
      to: "shim/mmx64.efi",
      places: ["usr/lib/shim/mmx64.efi.signed", "usr/lib/shim/mmx64.efi", "boot/efi/EFI/fedora/mmx64.efi"],
      packages: "shim-helpers-amd64-signed",
      optional: true,
    },
    {
      to: "shim/grubx64.efi",
      places: ["usr/lib/grub/x86_64-efi-signed/grubx64.efi.signed", "boot/efi/EFI/fedora/grubx64.efi"],
      packages: "grub-efi-amd64-signed",
    },
  ],
  systemd_boot: [
    { to: "systemd-boot/systemd-bootx64.efi", places: ["usr/lib/systemd/boot/efi/systemd-bootx64.efi"], packages: "systemd-boot-efi" },
  ],
  isolinux: [
    ...["isolinux.bin", "isohdpfx.bin"].map((name) => ({
      to: `isolinux/${name}`,
      places: [`usr/lib/ISOLINUX/${name}`, `usr/share/syslinux/${name}`, `usr/lib/syslinux/bios/${name}`],
      packages: "isolinux",
    })),
    ...SYSLINUX_MODULES.map((name, index) => ({
      to: `isolinux/${name}`,
      places: SYSLINUX_FOLDERS.map((folder) => `${folder}/${name}`),
      packages: "syslinux-common",
      optional: index > 3,
    })),
  ],
  memtest: [
    {
      to: "memtest/memtest.bin",
      places: ["boot/memtest86+x64.bin", "usr/share/memtest86+/memtest.bin", "boot/memtest86+/memtest.bin"],
      packages: "memtest86+",
    },
    {
      to: "memtest/memtest.efi",
      places: ["boot/memtest86+x64.efi", "usr/share/memtest86+/memtest.efi", "boot/memtest86+/memtest.efi"],
      packages: "memtest86+",
      optional: true,
    },
  ],
};

/**
 * Output: of `grub/bios.img` (for El Torito, and the core that the MBR loads), `grub/boot_hybrid.img` (the MBR's code), `grub/BOOTX64.EFI`,
 * `shim/`, `systemd-boot/`, `isolinux/` and `memtest/` what was asked for; and `payloads.json`, which says of each file where it was.
 * GRUB's image for BIOS reads /boot/grub/grub.cfg of the medium that it came from; the one for UEFI /EFI/BOOT/grub.cfg beside it.
 */
export const payloadsStage = stageKind({
  kind: "payloads",
  revision: 2,
  options: Options,
  inputs: { root: "optional", packages: "optional" },
  async ingredients(options, surroundings) {
    return options.from_computer ? await computerIngredients(options, surroundings) : {};
  },

  async run(options, run) {
    const { grub, from_computer, ...others } = options;
    await using source = await openSource(run, from_computer);
    const record: Record<string, unknown> = {};
    for (const [name, wanted] of Object.entries(others)) {
      for (const taken of wanted ? FILES[name as keyof typeof FILES] : []) {
        const found = await firstOf(taken.places, source.tree);
        if (found !== undefined) {
          await put(run, taken.to, found.content);
          record[taken.to] = { from: `/${found.path}`, sha256: sha256(found.content) };
        } else if (taken.optional !== true) throw notThere(taken.places, taken.packages, name);
      }
    }
    if (grub !== undefined) Object.assign(record, await makeGrub(grub, source, run));
    await writeFile(join(run.output, "payloads.json"), `${JSON.stringify(record, null, 2)}\n`);
  },
});

interface Source extends AsyncDisposable {
  readonly tree: FileLookup;
  /** Runs a program of the tree that sees `files` beside what it needs itself, and returns the files that it made by the paths it was told. */
  makeFiles(
    command: (file: (path: string) => string) => readonly string[],
    files: readonly ClosureFile[],
    made: readonly string[],
  ): Promise<ReadonlyMap<string, Uint8Array>>;
}

async function openSource(run: StageRun, fromComputer: boolean): Promise<Source> {
  const { root, packages } = run.inputs;
  const given = [root, packages, fromComputer ? "/" : undefined].filter((source) => source !== undefined);
  if (given.length !== 1) {
    const hint =
      "`packages` is a stage of kind package, `root` a root file system in which the loaders' packages are installed; `from_computer: true` takes this computer's.";
    const found = given.length === 0 ? "nothing" : "more than one";
    throw new HiperisoError({ what: "take boot loaders", expected: "one of packages, root and from_computer", found, hint, kind: "usage" });
  }
  if (root !== undefined) return await rootSource(join(root, "root.tar"), run);
  return packages === undefined ? computerSource(run) : await packagesSource(packages, run);
}

const COMPUTER: FileLookup = {
  read: async (path) => await readFile(join("/", path)).catch(() => undefined),
  list: async (folder) => (await readdir(join("/", folder)).catch(() => [])).sort(),
};

function computerSource(run: StageRun): Source {
  return {
    tree: COMPUTER,
    [Symbol.asyncDispose]: async () => {},
    makeFiles: async (command, files, made) => await makeInFolder(command, files, made, run, async (program) => [nameOf(program)]),
  };
}

/** Files of packages differ in their patches though their versions are the same to their programs. */
async function computerIngredients(options: Options, { env, job }: StageSurroundings): Promise<Record<string, string>> {
  const digests: Record<string, string> = {};
  const { grub, from_computer, ...others } = options;
  for (const [name, wanted] of Object.entries(others)) {
    for (const { to, places } of wanted ? FILES[name as keyof typeof FILES] : []) {
      const found = await firstOf(places, COMPUTER);
      if (found !== undefined) digests[to] = sha256(found.content);
    }
  }
  for (const platform of grub?.platforms ?? []) {
    const { platform: name, packages } = GRUB_IMAGES[platform];
    digests[`GRUB for ${platform}`] = treeDigest(await readSourceTree(join("/", await grubFolder(name, packages, COMPUTER))));
  }
  if (grub === undefined) return digests;
  return { ...digests, "grub-mkimage": await toolVersion(nameOf(await mkimagePath(COMPUTER)), ["--version"], { env, signal: job.signal }) };
}

const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1);

/** Its programs run in a sandbox, in a small tree of their own: whoever made the root file system may have changed them. */
async function rootSource(tar: string, run: StageRun): Promise<Source> {
  const tree = await openTarTree(tar);
  let runs = 0;
  return {
    tree,
    [Symbol.asyncDispose]: () => tree[Symbol.asyncDispose](),
    async makeFiles(command, files, made) {
      const words = command((path) => `/${path}`);
      const scratch = join(run.scratch, `run-${++runs}`);
      await mkdir(scratch);
      await using small = await openTree({ scratch, run });
      const all = [...(await programClosure([words[0]!], tree)), ...files];
      const folders = made.map((path): TreeEntry => ({ kind: "directory", path: dirname(path), mode: 0o755 }));
      await small.put([...folders, ...all.map(({ path, content }): TreeEntry => ({ kind: "file", path, mode: 0o755, content }))]);
      await small.run(words);
      return new Map(await Promise.all(made.map(async (path) => [path, await small.read(path)] as const)));
    },
  };
}

/** Its programs are the distribution's, as signed as those of this computer: they run as they are, with the libraries among the packages. */
async function packagesSource(packages: string, run: StageRun): Promise<Source> {
  const folder = join(run.scratch, "packages");
  await mkdir(folder);
  await unpackPackages(packages, folder, run);
  const tree = await folderLookup(folder);
  return {
    tree,
    [Symbol.asyncDispose]: async () => {},
    makeFiles: async (command, files, made) =>
      await makeInFolder(command, files, made, run, async (program) => await ownProgram(program, tree, join(run.scratch, "program"))),
  };
}

async function makeInFolder(
  command: Parameters<Source["makeFiles"]>[0],
  files: readonly ClosureFile[],
  made: readonly string[],
  { scratch, env, job, log }: StageRun,
  programWords: (program: string) => Promise<readonly [string, ...string[]]>,
): ReturnType<Source["makeFiles"]> {
  const work = join(scratch, "made");
  for (const { path, content } of files) {
    await mkdir(dirname(join(work, path)), { recursive: true });
    await writeFile(join(work, path), content);
  }
  for (const path of made) await mkdir(dirname(join(work, path)), { recursive: true });
  const [program, ...args] = command((path) => join(work, path)) as [string, ...string[]];
  const [tool, ...words] = await programWords(program);
  await runTool(tool, [...words, ...args], { env, signal: job.signal, log });
  return new Map(await Promise.all(made.map(async (path) => [path, new Uint8Array(await readFile(join(work, path)))] as const)));
}

/**
 * Words that start a program of unpacked packages by the loader and the libraries among them, which are written to `into`. Where they are
 * not complete, with the computer's libraries; where the program itself is not there, the computer's.
 */
async function ownProgram(path: string, tree: FileLookup, into: string): Promise<readonly [string, ...string[]]> {
  const content = await tree.read(path);
  if (content === undefined) return [nameOf(path)];
  const closure = await programClosure([path], tree).catch(() => [{ path: path.replace(/^\/+/, ""), content }]);
  for (const file of closure) {
    await mkdir(dirname(join(into, file.path)), { recursive: true });
    await writeFile(join(into, file.path), file.content, { mode: 0o755 });
  }
  const loader = closure.find(({ path: file }) => /(^|\/)ld-[^/]*\.so\.\d+$/.test(file));
  const folders = new Set(closure.map(({ path: file }) => join(into, dirname(file))));
  const words = loader === undefined ? [] : [join(into, loader.path), "--library-path", [...folders].join(":")];
  // A tool is looked for by its name; this one has a place.
  return ["sh", "-c", 'exec "$0" "$@"', ...words, join(into, path)];
}

async function firstOf(places: readonly string[], tree: FileLookup): Promise<ClosureFile | undefined> {
  for (const path of places) {
    const content = await tree.read(path);
    if (content !== undefined) return { path, content };
  }
  return undefined;
}

function notThere(places: readonly string[], packages: string, because: string): HiperisoError {
  const where = places.map((place) => `/${place}`).join(", ");
  const hint = `Debian and Ubuntu have it in ${packages}: put that into the packages or the root file system, or take \`${because}\` away.`;
  return new HiperisoError({ what: "take a boot loader", where, expected: "one of these files", found: "none", hint });
}

async function put({ output }: StageRun, path: string, content: Uint8Array): Promise<void> {
  await mkdir(dirname(join(output, path)), { recursive: true });
  await writeFile(join(output, path), content);
}

/** Where distributions put GRUB's modules. */
const GRUB_FOLDERS = ["usr/lib/grub", "usr/share/grub2", "usr/share/grub"];
const GRUB_IMAGES = {
  bios: { platform: "i386-pc", format: "i386-pc-eltorito", prefix: "/boot/grub", to: "grub/bios.img", packages: "grub-pc-bin" },
  uefi: { platform: "x86_64-efi", format: "x86_64-efi", prefix: "/EFI/BOOT", to: "grub/BOOTX64.EFI", packages: "grub-efi-amd64-bin" },
} as const;

/**
 * What GRUB for BIOS does first. It knows the disk that it came from and nothing of partitions: its menu is on the disk itself (a CD, a stick with
 * an ISO image) or on the second partition (a disk image). Other disks are looked at only after these.
 */
const BIOS_CONFIG: ClosureFile = {
  path: "made/early.cfg",
  content: new TextEncoder().encode(
    "search --no-floppy --set=root --hint=$root --hint=$root,gpt2 --file /boot/grub/grub.cfg\nset prefix=($root)/boot/grub\n",
  ),
};

async function makeGrub(wish: z.infer<typeof GrubSchema>, source: Source, run: StageRun): Promise<Record<string, unknown>> {
  const { tree } = source;
  const tool = await mkimagePath(tree);
  const record: Record<string, unknown> = {};
  for (const platform of wish.platforms) {
    const { platform: name, format, prefix, to, packages } = GRUB_IMAGES[platform];
    const folder = await grubFolder(name, packages, tree);
    const modules = [...wish.modules, ...(platform === "bios" ? wish.bios_modules : wish.efi_modules)];
    const files: ClosureFile[] = [];
    for (const file of await tree.list(folder)) {
      const content = await tree.read(`${folder}/${file}`);
      if (content !== undefined) files.push({ path: `${folder}/${file}`, content });
    }
    const missing = modules.filter((module) => files.every(({ path }) => path !== `${folder}/${module}.mod`));
    if (missing.length > 0) {
      const where = `/${folder}`;
      throw new HiperisoError({ what: "make GRUB", where, expected: `modules ${missing.join(", ")}`, found: "none of these names" });
    }
    const made = await source.makeFiles(
      (file) => [
        ...[`/${tool}`, "--format", format, "--directory", file(folder), "--prefix", prefix],
        ...(platform === "bios" ? ["--config", file(BIOS_CONFIG.path)] : []),
        ...["--output", file("made/image"), ...modules],
      ],
      platform === "bios" ? [...files, BIOS_CONFIG] : files,
      ["made/image"],
    );
    const image = made.get("made/image")!;
    await put(run, to, image);
    record[to] = { from: `/${folder}`, sha256: sha256(image), modules };
    if (platform === "bios") {
      const code = files.find(({ path }) => path === `${folder}/boot_hybrid.img`);
      if (code === undefined) throw notThere([`${folder}/boot_hybrid.img`], packages, "grub");
      await put(run, "grub/boot_hybrid.img", code.content);
      record["grub/boot_hybrid.img"] = { from: `/${code.path}`, sha256: sha256(code.content) };
    }
  }
  return record;
}

const mkimagePath = async (tree: FileLookup): Promise<string> =>
  (await firstOf(["usr/bin/grub-mkimage", "usr/bin/grub2-mkimage"], tree))?.path ?? "usr/bin/grub-mkimage";

async function grubFolder(platform: string, packages: string, tree: FileLookup): Promise<string> {
  const folders = GRUB_FOLDERS.map((parent) => `${parent}/${platform}`);
  for (const folder of folders) {
    if ((await tree.read(`${folder}/moddep.lst`)) !== undefined) return folder;
  }
  throw notThere(folders, packages, "grub");
}
