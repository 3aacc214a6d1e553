/**
 * Targets against those of the tree's own generator, byte for byte, on a real checkout of live-bootstrap. Runs where HIPERISO_LIVE_BOOTSTRAP
 * names one, with its submodules, and where Python 3, parted and mke2fs are; nothing in it is changed. In a copy its distfiles are small
 * inventions, with checksums to match. The original runs with its folders sorted, with PAYLOAD_REQUIRED=False in its configuration, and with
 * nothing started at its end; all else is its own.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { compareBootstraps } from "../../src/bootstrap/compare.ts";
import { checkOptions, type RawOptions } from "../../src/bootstrap/options.ts";
import { planBootstrap } from "../../src/bootstrap/plan.ts";
import { readPlanFacts } from "../../src/bootstrap/plan-facts.ts";
import { prepareBootstrap } from "../../src/bootstrap/prepare.ts";
import type { PreparedRecord } from "../../src/bootstrap/prepared.ts";
import { quietJob } from "../../src/contract/job.ts";
import { shell, testFolder } from "./folder.ts";

const original = process.env["HIPERISO_LIVE_BOOTSTRAP"];
const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const MIRROR = "http://127.0.0.1:1";

const folder = testFolder("media");
const tree = (): string => folder.at("lb");

const INVENT = `
import hashlib, os, sys
steps, distfiles = 'steps', 'distfiles'
os.makedirs(distfiles)
for package in sorted(os.listdir(steps)):
    path = os.path.join(steps, package, 'sources')
    if not os.path.isfile(path): continue
    stat = os.stat(path)
    lines = open(path).read().split('\\n')
    for number, line in enumerate(lines):
        words = line.split(' ')
        if len(words) < 3: continue
        at = 3 if words[0] in ('g', 'git') else 2
        name = words[at + 1] if len(words) > at + 1 and words[at + 1] else os.path.basename(words[at - 1])
        content = ('invented %s\\n' % name).encode() * (1 + len(name) % 5)
        words[at] = hashlib.sha256(content).hexdigest()
        open(os.path.join(distfiles, name), 'wb').write(content)
        lines[number] = ' '.join(words)
    open(path, 'w').write('\\n'.join(lines))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
open(os.path.join(distfiles, 'stray.txt'), 'w').write('nobody wants this\\n')
`;

/** What makes the original's output depend on nothing but the checkout. */
const HARNESS = `
import os, subprocess, sys
sys.path.insert(0, os.getcwd())
key = lambda name: name.encode('utf-8', 'surrogateescape')
listdir, walk, run = os.listdir, os.walk, subprocess.run
os.listdir = lambda path='.': sorted(listdir(path), key=key)
def sorted_walk(top, *rest, **more):
    for root, folders, files in walk(top, *rest, **more):
        folders.sort(key=key)
        files.sort(key=key)
        yield root, folders, files
os.walk = sorted_walk
def quiet_run(args, **more):
    if args[0] in ('env', 'true'): return subprocess.CompletedProcess(args, 0)
    return run(args, stdout=more.pop('stdout', subprocess.DEVNULL if 'capture_output' not in more else None), **more)
subprocess.run = quiet_run
`;

const ROOTFS = `${HARNESS}
import rootfs
configure = rootfs.create_configuration_file
def configured(args):
    configure(args)
    text = open('steps/bootstrap.cfg').read()
    line = 'INTERACTIVE=%s\\n' % args.interactive
    open('steps/bootstrap.cfg', 'w').write(text.replace(line, line + 'PAYLOAD_REQUIRED=False\\n', 1))
rootfs.create_configuration_file = configured
rootfs.main()
`;

function python(program: string, args: readonly string[] = []): string {
  const pythonEnv = { ...env, PYTHONPATH: folder.at("stub"), PYTHONDONTWRITEBYTECODE: "1" };
  const { status, stdout, stderr } = spawnSync("python3", ["-c", program, ...args], { cwd: tree(), env: pythonEnv, encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return stdout;
}

beforeAll(() => {
  if (original === undefined) return;
  shell(
    'cp -a "$1" "$2"; rm -rf "$2/.git" "$2/distfiles"; mkdir -p "$3" "$4/deep"',
    original,
    tree(),
    folder.at("stub"),
    folder.at("repo"),
  );
  // Downloads nothing here; the module may not be installed.
  writeFileSync(folder.at("stub/requests.py"), "class HTTPError(Exception): pass\nclass RequestException(Exception): pass\n");
  writeFileSync(folder.at("repo/deep/package_0.tar.bz2"), "packed");
  python(INVENT);
});

async function ours(name: string, raw: RawOptions): Promise<PreparedRecord> {
  rmSync(`${tree()}/steps/bootstrap.cfg`, { force: true });
  const distfiles = `${tree()}/distfiles`;
  const options = checkOptions({ mirrors: [MIRROR], ...raw });
  const checkout = await readCheckout(tree(), quietJob);
  const plan = planBootstrap(checkout, options, await readPlanFacts(distfiles, options, quietJob));
  const input = { plan, checkout, tree: tree(), distfiles, target: folder.at(`ours-${name}`), env, sync: false };
  return (await prepareBootstrap(input, quietJob)).record;
}

const theirs = (name: string, words: readonly string[]): string =>
  python(ROOTFS, [...words, "--qemu-cmd", "true", "--mirrors", MIRROR, "--target", folder.at(`theirs-${name}`)]);

describe.skipIf(original === undefined)("a target of a real checkout (HIPERISO_LIVE_BOOTSTRAP names one)", { timeout: 600_000 }, () => {
  test.each([
    ["qemu", ["--qemu", "--target-size", "1M"], { qemu: true, targetSize: "1M" }],
    [
      "options",
      ["--qemu", "--interactive", "--cores", "5", "--swap", "4G", "--target-size", "100M", "--update-checksums", "--configurator"],
      { qemu: true, interactive: true, cores: "5", swap: "4G", targetSize: "100M", updateChecksums: true, configurator: true },
    ],
    ["no-config", ["--bare-metal", "--no-create-config"], { bareMetal: true, createConfig: false }],
    ["bare", ["--bare-metal", "--force-timestamps", "--build-kernels"], { bareMetal: true, forceTimestamps: true, buildKernels: true }],
    ["amd64", ["--bare-metal", "--arch", "amd64"], { bareMetal: true, arch: "amd64" }],
  ] as const)("%s: the first image is the same", async (name, words, raw) => {
    theirs(name, words);
    await ours(name, raw);
    expect(
      await compareBootstraps(folder.at(`theirs-${name}/init.img`), folder.at(`ours-${name}/init.img`), { env }, quietJob),
    ).toBeUndefined();
  });

  test.each([
    ["chroot", ["--chroot"], { chroot: true }],
    ["chroot-ext", ["--chroot", "--external-sources"], { chroot: true, externalSources: true }],
    ["bwrap", ["--bwrap", "--build-kernels"], { bwrap: true, buildKernels: true }],
    ["bwrap-ext", ["--bwrap", "--external-sources", "--internal-ci", "pass1"], { bwrap: true, externalSources: true, internalCi: "pass1" }],
  ] as const)("%s: the root is the same, names, kinds, modes and contents", async (name, words, raw) => {
    theirs(name, words);
    await ours(name, raw);
    expect(await compareBootstraps(folder.at(`theirs-${name}`), folder.at(`ours-${name}`), { env }, quietJob)).toBeUndefined();
  });

  test.each([
    ["kernel", "disk.img", 1_073_741_824, ["--qemu", "--kernel", "/bin/true"], { qemu: true, kernel: "/bin/true" }],
    [
      "bare-kernel",
      "disk.img",
      1_073_741_824,
      ["--bare-metal", "--kernel", "k", "--external-sources"],
      { bareMetal: true, kernel: "k", externalSources: true },
    ],
    ["repo", "external.img", 1_048_576, ["--bare-metal", "--repo", "REPO"], { bareMetal: true, repo: "REPO" }],
    [
      "repo-ext",
      "external.img",
      1_048_576,
      ["--qemu", "--external-sources", "--repo", "REPO", "--target-size", "1M"],
      { qemu: true, externalSources: true, repo: "REPO", targetSize: "1M" },
    ],
  ] as const)("%s: %s holds the same files, in a partition at the same place", async (name, image, offset, words, raw) => {
    theirs(
      name,
      words.map((word) => (word === "REPO" ? folder.at("repo") : word)),
    );
    await ours(name, { ...raw, ...("repo" in raw ? { repo: folder.at("repo") } : {}) });
    const [one, other] = [folder.at(`theirs-${name}`), folder.at(`ours-${name}`)];
    shell(
      'cmp <(dd if="$1" bs=1 skip=444 count=68 status=none) <(dd if="$2" bs=1 skip=444 count=68 status=none)',
      `${one}/${image}`,
      `${other}/${image}`,
    );
    for (const target of [one, other])
      shell(`mkdir "$1/files"; debugfs -R "rdump / $1/files" "$1/$2?offset=$3" 2>/dev/null >&2`, target, image, `${offset}`);
    expect(await compareBootstraps(`${one}/files`, `${other}/files`, { env }, quietJob)).toBeUndefined();
    expect(shell('e2fsck -fn "$1?offset=$2" 2>&1', `${other}/${image}`, `${offset}`)).toMatch(/files \(/);
    if (image === "external.img") {
      expect(await compareBootstraps(`${one}/init.img`, `${other}/init.img`, { env }, quietJob)).toBeUndefined();
    }
  });

  test("with a payload: the original's first image with our changes to its folder, and the late files in a container", async () => {
    theirs("payload", ["--bare-metal", "--external-sources"]);
    const { plan } = await ours("payload", { bareMetal: true, externalSources: true });
    const init = folder.at("theirs-payload/init");
    const text = readFileSync(`${init}/steps/bootstrap.cfg`, "utf8");
    const changed = text.replace("PAYLOAD_REQUIRED=False", "PAYLOAD_REQUIRED=True").replace("DISK=sdb1", "DISK=sda");
    expect(plan.configuration).toBe(changed);
    writeFileSync(`${init}/steps/bootstrap.cfg`, changed);
    const lines = (manifest: string) =>
      manifest.split("\n").filter((line) => !/^(build: payload-import|improve: import_payload)/.test(line));
    expect(lines(plan.manifest)).toEqual(readFileSync(`${init}/steps/manifest`, "utf8").split("\n"));
    writeFileSync(`${init}/steps/manifest`, plan.manifest);
    for (const { path, guestFile } of plan.additions) {
      const own = new URL(`../../guest/${guestFile}`, import.meta.url).pathname;
      shell('mkdir -p "$(dirname "$2")"; cp "$1" "$2"', own, `${init}/${path}`);
    }
    shell(
      'cd "$1"; shift; find . -type f | while IFS= read -r file; do for keep; do [ "$file" = "./$keep" ] && continue 2; done; rm "$file"; done',
      `${init}/external/distfiles`,
      ...plan.early.map(({ name }) => name),
    );
    python(
      `${HARNESS}
from lib.generator import Generator
maker = object.__new__(Generator)
maker.target_dir = sys.argv[1]
maker.create_builder_hex0_disk_image(sys.argv[2], 0)`,
      [init, folder.at("by-rules.img")],
    );
    expect(await compareBootstraps(folder.at("by-rules.img"), folder.at("ours-payload/init.img"), { env }, quietJob)).toBeUndefined();
    expect(new Set([...plan.early, ...plan.late].map(({ name }) => name)).size).toBe(plan.early.length + plan.late.length);
    expect(plan.early.length).toBe(6);
  });
});
