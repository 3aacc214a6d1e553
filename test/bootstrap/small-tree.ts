/**
 * A small checkout of our own, in the grammar and the layout of live-bootstrap's: what the tests of `bootstrap/` work on, since nothing of
 * that project stands in this one. Every byte, mode and time of it is fixed.
 *
 * Its first image boots: stage 1 assembles stage 2, which says each line of the source file system and each kick-off line on COM1, then
 * sends the file that the last of them names (`kaem.x86`), as if that were what running it prints, and restarts the computer.
 */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { chmod, lutimes, mkdir, readdir, symlink, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { assembleHex0 } from "../../src/formats/hex0.ts";

export interface SmallTreeOptions {
  /** Where stage 2 looks for the source file system; its source is filled up so that this is true. 13 to 1,000,000. */
  readonly sector?: number;
  /** The tree brings the importer and its step, as a later checkout would. */
  readonly withPayloadStep?: boolean;
  /** Which of its files `distfiles/` holds: all of them unless said. */
  readonly distfiles?: readonly string[];
  /** What the addresses in `sources` begin with; a host that is nowhere unless said. */
  readonly urlBase?: string;
  /** Files to add or replace, by path in the checkout; undefined leaves one out. */
  readonly files?: Readonly<Record<string, string | Uint8Array | undefined>>;
}

export interface SmallTree {
  readonly root: string;
  /** Content of every distfile that its `sources` name, in the order of the manifest, also of those that are not in `distfiles/`. */
  readonly distfiles: ReadonlyMap<string, Uint8Array>;
}

/** 2024-01-01: the time of every file. */
export const SMALL_TREE_MTIME_MS = 1_704_067_200_000;
/** The sector that is known of the real second stage. */
export const SMALL_TREE_SECTOR = 175;
/** Of the distfiles: those of `build:` lines before the jump, before the network, and behind it. */
export const SMALL_TREE_EARLY = ["seed-cc-0.1.tar.gz", "parser-1.0.tar.gz", "small-kernel-1.0.tar.gz"];
export const SMALL_TREE_PRE_NETWORK = [
  ...SMALL_TREE_EARLY,
  "maker-1.2.tar",
  "bash-2.05b.tar.gz",
  "big-kernel-4.0.tar.xz",
  "big-kernel-4.0.patch",
  "fetcher-8.0.tar.gz",
];
export const SMALL_TREE_LATE = ["late-1.0.tar.gz", "dl.php?file=late-2.0.tar.xz"];

const distfile = (name: string, index: number): Uint8Array => {
  const block = createHash("sha256").update(name).digest();
  return Uint8Array.from({ length: 700 + 977 * index }, (_, at) => block[at % 32]! ^ (at >> 5));
};

const DISTFILES: ReadonlyMap<string, Uint8Array> = new Map(
  [...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE].map((name, index) => [name, distfile(name, index)]),
);

const MANIFEST = `# The order in which the small tree is built.
#
# A comment may stand anywhere.

build: sum-1.0
build: seed-cc-0.1
define: BUILD_SMALL = ( KERNEL_BOOTSTRAP == True || BUILD_KERNELS == True )
build: small-kernel-1.0 ( BUILD_SMALL == True )
jump: fiwix ( KERNEL_BOOTSTRAP == True )
improve: reconfigure ( CONFIGURATOR != True )
define: JOBS = 1 ( KERNEL_BOOTSTRAP == True )
build: maker-1.2
build: bash-2.05b
improve: update_env
define: CONSOLES = ( INTERACTIVE == True && CHROOT == False )
improve: open_console ( CONSOLES == True )
build: maker-1.2
uninstall: maker-1.2 /usr/bin/left-over
define: BUILD_LINUX = ( CHROOT == False || BUILD_KERNELS == True )
build: big-kernel-4.0 ( BUILD_LINUX == True )
jump: break ( INTERNAL_CI == pass1 )
improve: populate_device_nodes
jump: linux ( CHROOT == False )
jump: move_disk ( KERNEL_BOOTSTRAP == True )
build: fetcher-8.0
improve: get_network ( CHROOT == False ) # from here on the guest can download
build: late-1.0
build: late-2.0
improve: after
`;

/** The same with the two lines that a checkout brings which knows the payload. */
const PAYLOAD_MANIFEST = MANIFEST.replace(
  /^(jump: fiwix .*)$/m,
  "build: payload-import-1.0 ( KERNEL_BOOTSTRAP == True )\n$1\nimprove: import_payload ( KERNEL_BOOTSTRAP == True )",
);

const sha256 = (bytes: Uint8Array): string => createHash("sha256").update(bytes).digest("hex");
const sum = (name: string): string => sha256(DISTFILES.get(name)!);

function steps(base: string, withPayloadStep: boolean): Record<string, string> {
  const packages: Readonly<Record<string, { readonly sources?: string; readonly scripts: readonly string[] }>> = {
    "sum-1.0": { scripts: ["pass1.kaem"] },
    "seed-cc-0.1": {
      sources:
        `f ${base}/seed-cc-0.1.tar.gz ${sum("seed-cc-0.1.tar.gz")}\n` +
        `f ${base}/first/parser-1.0.tar.gz ${sum("parser-1.0.tar.gz")}\n` +
        `f ${base}/second/parser-1.0.tar.gz ${sum("parser-1.0.tar.gz")}\n`,
      scripts: ["pass1.kaem"],
    },
    "small-kernel-1.0": { sources: `file ${base}/small-kernel-1.0.tar.gz ${sum("small-kernel-1.0.tar.gz")}\n`, scripts: ["pass1.kaem"] },
    "maker-1.2": { sources: `f ${base}/releases/1.2.tar ${sum("maker-1.2.tar")} maker-1.2.tar\n`, scripts: ["pass1.kaem", "pass2.sh"] },
    "bash-2.05b": { sources: `f ${base}/bash-2.05b.tar.gz ${sum("bash-2.05b.tar.gz")}\n`, scripts: ["pass1.kaem"] },
    "big-kernel-4.0": {
      sources:
        `f ${base}/big-kernel-4.0.tar.xz ${sum("big-kernel-4.0.tar.xz")}\n` +
        `f ${base}/big-kernel-4.0.patch ${sum("big-kernel-4.0.patch")}\n`,
      scripts: ["pass1.sh"],
    },
    "fetcher-8.0": {
      sources: `g ${base}/fetcher.git~v8.0 ${base}/snapshot/v8.0.tar.gz ${sum("fetcher-8.0.tar.gz")} fetcher-8.0.tar.gz\n`,
      scripts: ["pass1.sh"],
    },
    "late-1.0": { sources: `git ${base}/late.git~v1.0 _ ${sum("late-1.0.tar.gz")} late-1.0.tar.gz\n`, scripts: ["pass1.sh"] },
    // No newline at the end: it counts all the same.
    "late-2.0": { sources: `f ${base}/dl.php?file=late-2.0.tar.xz ${sum("dl.php?file=late-2.0.tar.xz")}`, scripts: ["pass1.sh"] },
    ...(withPayloadStep ? { "payload-import-1.0": { scripts: ["pass1.kaem"] } } : {}),
  };
  const files: Record<string, string> = {
    manifest: withPayloadStep ? PAYLOAD_MANIFEST : MANIFEST,
    env: "DISTFILES=/external/distfiles\nPREFIX=/usr\n",
    configurator: "# What the small tree asks.\n",
    "helpers.sh": "# Functions of the scripts.\n",
    "SHA256SUMS.pkgs": "",
    "jump/fiwix.sh": "set -ex\nstart-small-kernel\n",
    "jump/linux.sh": "set -e\nstart-big-kernel\n",
    "jump/move_disk.sh": "set -e\nmove-disk\n",
    "jump/break.sh": "exit\n",
  };
  for (const name of ["reconfigure", "update_env", "open_console", "populate_device_nodes", "get_network", "after"]) {
    files[`improve/${name}.sh`] = `# Improves the system: ${name}\n`;
  }
  if (withPayloadStep) {
    files["improve/import_payload.sh"] = "payload-import /external/distfiles\n";
    files["payload-import-1.0/src/payload-import.c"] = "int main(void) { return 2; }\n";
  }
  for (const [name, { sources, scripts }] of Object.entries(packages)) {
    if (sources !== undefined) files[`${name}/sources`] = sources;
    for (const script of scripts) files[`${name}/${script}`] = `# Builds ${name}: ${script}\n`;
    files[`${name}/${name}.x86.checksums`] = `${sha256(new TextEncoder().encode(name))}  /usr/bin/${name}\n`;
  }
  return files;
}

/** Our second stage, filled up so that the source file system starts at the sector that it looks at. */
function stage2Source(sector: number): string {
  const source = ownSource("stage2.hex0").replace("AF 00 00 00", hexBytes(sector));
  const filler = `${"# Filler: the source file system starts at a whole sector, and stage 2 knows at which.".padEnd(99)}\n`;
  // Boot sector, source, at least one NUL: up to the last byte but 100 of the sector before.
  const length = (sector - 1) * 512 - 100 - source.length;
  if (length < 0) throw new Error(`stage 2 of the small tree has ${source.length} bytes: sector ${sector} is too low`);
  const last = length % filler.length;
  return source + filler.repeat(Math.floor(length / filler.length)) + (last === 0 ? "" : `${"#".repeat(last - 1)}\n`);
}

const ownSource = (name: string): string => readFileSync(new URL(`small-tree/${name}`, import.meta.url), "utf8");

const hexBytes = (value: number): string =>
  [0, 8, 16, 24].map((shift) => ((value >>> shift) & 0xff).toString(16).toUpperCase().padStart(2, "0")).join(" ");

/** Sends itself line by line when the small tree's first image boots: what a boot of the real one prints has this form. */
const KAEM_SCRIPT = ` +> /x86/bin/sum-1.0
sum-1.0: beginning build using script pass1.kaem
 +> seed-cc-0.1
Build finished.
`;

function stage0(): Record<string, string | Uint8Array> {
  const seed = ownSource("seed.hex0");
  const program = assembleHex0(new TextEncoder().encode(seed), "seed.hex0");
  return {
    ".git": "gitdir: ../../.git/modules/seed/stage0-posix\n",
    ".gitmodules": ["bootstrap-seeds", "x86", "AMD64", "M2libc"]
      .map((name) => `[submodule "${name}"]\n\tpath = ${name}\n\turl = https://example.invalid/${name}.git\n`)
      .join(""),
    "README.md": "The first programs of the small tree.\n",
    "kaem.x86": KAEM_SCRIPT,
    "kaem.amd64": KAEM_SCRIPT,
    "after.kaem": "# Replaced by the file of this name in seed/.\n",
    "bootstrap-seeds/README.md": "Programs that were there before all others.\n",
    "bootstrap-seeds/POSIX/x86/hex0-seed": program,
    "bootstrap-seeds/POSIX/x86/kaem-optional-seed": program,
    "bootstrap-seeds/POSIX/AMD64/hex0-seed": program,
    "bootstrap-seeds/POSIX/AMD64/kaem-optional-seed": program,
    "x86/.git": "gitdir: ../../../.git/modules/seed/stage0-posix/modules/x86\n",
    "x86/hex0_x86.hex0": seed,
    "x86/kaem-minimal.hex0": seed,
    "x86/kaem.run": "# Builds the compiler.\n",
    // What git cannot keep empty: in the first image nothing of it is left but an empty folder.
    "x86/artifact/.gitignore": "*\n",
    "x86/nothing.txt": "",
    "AMD64/hex0_AMD64.hex0": seed,
    "M2libc/stdio.h": "int puts(char *);\n",
    "Odd names/a b.txt": "A name with a blank.\n",
    "Odd names/ü.txt": "A name beyond ASCII.\n",
    "Odd names/x.github.txt": "Left out by the original, for its name.\n",
  };
}

/** Of the files, those that can be run. */
const PROGRAM = /\.kaem$|\/kaem\.[a-z0-9]+$|-seed$|\.sh$/;

/** Makes the checkout at `root`, which must not exist. */
export async function makeSmallTree(root: string, options: SmallTreeOptions = {}): Promise<SmallTree> {
  const {
    sector = SMALL_TREE_SECTOR,
    withPayloadStep = false,
    urlBase = "https://example.invalid",
    distfiles = [...DISTFILES.keys()],
  } = options;
  const within = (folder: string, files: Record<string, string | Uint8Array>) =>
    Object.fromEntries(Object.entries(files).map(([path, content]) => [`${folder}/${path}`, content]));
  const files: Record<string, string | Uint8Array | undefined> = {
    ".gitmodules":
      '[submodule "seed/stage0-posix"]\n\tpath = seed/stage0-posix\n\turl = https://example.invalid/stage0-posix\n' +
      '[submodule "builder-hex0"]\n\tpath = builder-hex0\n\turl = https://example.invalid/builder-hex0\n',
    "rootfs.py": "# Stands where the generator of a real checkout stands.\n",
    "builder-hex0/.git": "gitdir: ../.git/modules/builder-hex0\n",
    "builder-hex0/builder-hex0-x86-stage1.hex0": ownSource("stage1.hex0"),
    "builder-hex0/builder-hex0-x86-stage2.hex0": stage2Source(sector),
    "seed/seed.kaem": "# Starts the steps.\n",
    "seed/after.kaem": "# What follows the first programs.\n",
    "seed/preseeded.kaem": "# What a preseeded system starts with.\n",
    "seed/script-generator.c": "int main(void) { return 0; }\n",
    "seed/configurator.c": "int main(void) { return 0; }\n",
    ...within("seed/stage0-posix", stage0()),
    ...within("steps", steps(urlBase, withPayloadStep)),
    ...within("distfiles", Object.fromEntries(distfiles.map((name) => [name, DISTFILES.get(name)!]))),
    ...options.files,
  };
  await mkdir(join(root, "distfiles"), { recursive: true });
  for (const [path, content] of Object.entries(files)) {
    if (content === undefined) continue;
    await mkdir(dirname(join(root, path)), { recursive: true });
    await writeFile(join(root, path), content);
    await chmod(join(root, path), PROGRAM.test(path) ? 0o755 : 0o644);
  }
  // Followed when the target is made: no link gets there.
  await symlink("README.md", join(root, "seed/stage0-posix/READ-ME-TOO"));
  await fixTimes(root);
  return { root, distfiles: DISTFILES };
}

async function fixTimes(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) await fixTimes(path);
    else await lutimes(path, SMALL_TREE_MTIME_MS / 1000, SMALL_TREE_MTIME_MS / 1000);
  }
  await chmod(folder, 0o755);
  await utimes(folder, SMALL_TREE_MTIME_MS / 1000, SMALL_TREE_MTIME_MS / 1000);
}
