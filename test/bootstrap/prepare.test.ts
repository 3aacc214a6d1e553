import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { TEMPORARY_NAME } from "../../src/bootstrap/init-image.ts";
import { checkOptions, type RawOptions } from "../../src/bootstrap/options.ts";
import { planBootstrap } from "../../src/bootstrap/plan.ts";
import { readPlanFacts } from "../../src/bootstrap/plan-facts.ts";
import { type Prepared, type PrepareInput, prepareBootstrap } from "../../src/bootstrap/prepare.ts";
import { type PreparedRecord, readRecord, requirePrepared, writeRecord } from "../../src/bootstrap/prepared.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { type Job, quietJob } from "../../src/contract/job.ts";
import { ownIdentity } from "../../src/host/process-identity.ts";
import { shell, testFolder } from "./folder.ts";
import { canMount, withSmallDisk } from "./payload/small-disk.ts";
import { makeSmallTree, SMALL_TREE_EARLY, SMALL_TREE_LATE, SMALL_TREE_PRE_NETWORK } from "./small-tree.ts";

const env = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin" };
const hasMke2fs = spawnSync("mke2fs", ["-V"], { env }).status === 0;
const folder = testFolder("prepare");
const tree = (): string => folder.at("lb");
let before: string;
const listing = (path: string): string =>
  shell('cd "$1"; find . -printf "%p %y %m %T@ %s %l\\n" | sort; find . -type f -print0 | sort -z | xargs -0 sha256sum', path);
beforeAll(async () => {
  await makeSmallTree(tree());
  before = listing(tree());
});

interface Change extends Partial<PrepareInput> {
  readonly job?: Job;
}

async function prepare(target: string, raw: RawOptions, { job = quietJob, ...change }: Change = {}): Promise<Prepared> {
  const root = change.tree ?? tree();
  const distfiles = `${root}/distfiles`;
  const options = checkOptions({ mirrors: ["http://m"], target, ...raw });
  const checkout = await readCheckout(root, quietJob);
  const plan = planBootstrap(checkout, options, await readPlanFacts(distfiles, options, quietJob));
  return await prepareBootstrap({ plan, checkout, tree: root, distfiles, target: folder.at(target), env, sync: false, ...change }, job);
}

const sha256 = (path: string): string => createHash("sha256").update(readFileSync(path)).digest("hex");
const payloadMode = { bareMetal: true, externalSources: true } as const;
const refusal = async (work: Promise<unknown>): Promise<HiperisoError> => {
  const error = await work.catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(HiperisoError);
  return error as HiperisoError;
};

describe("prepare", () => {
  test("in payload mode makes these two images, byte for byte, whenever and wherever", async () => {
    const { record, losses } = await prepare("payload", payloadMode);
    expect(record).toMatchObject({
      state: "complete",
      outputs: [
        { name: "init.img", kind: "boot-sector-and-sources", sizeBytes: 1_048_576 },
        { name: "external.img", kind: "payload-container", sizeBytes: 47_104 },
      ],
    });
    expect(readdirSync(folder.at("payload")).sort()).toEqual(["bootstrap.json", "external.img", "init.img"]);
    expect(losses.map(({ path, loss }) => `${path} ${loss}`)).toEqual([
      "steps/SHA256SUMS.pkgs empty-file",
      "x86/artifact empty-directory",
      "x86/nothing.txt empty-file",
    ]);
    expect(sha256(folder.at("payload/external.img"))).toBe("74080ed22d3a4c841b21b4c8be5d7aea74916a52c2549117040eefb32b864838");
    await prepare("elsewhere", payloadMode);
    for (const name of ["init.img", "external.img"])
      expect(sha256(folder.at(`elsewhere/${name}`))).toBe(sha256(folder.at(`payload/${name}`)));
  });

  test("makes the container that printf, cat and truncate make", async () => {
    await prepare("container", payloadMode);
    const late = [...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE].filter((name) => !SMALL_TREE_EARLY.includes(name));
    shell(
      `out=$1; shift; cd "$1"; shift
       u32() { printf '%b' "$(printf '\\\\x%02x' $(($1 & 255)) $(($1 >> 8 & 255)) $(($1 >> 16 & 255)) $(($1 >> 24 & 255)))"; }
       { printf LBPAYLD1; u32 $#
         printf '%s\\n' "$@" | sort | while IFS= read -r name; do u32 \${#name}; u32 "$(stat -c %s "$name")"; printf %s "$name"; cat "$name"; done
       } >"$out"
       truncate -s %1024 "$out"`,
      folder.at("theirs.img"),
      `${tree()}/distfiles`,
      ...late,
    );
    expect(sha256(folder.at("container/external.img"))).toBe(sha256(folder.at("theirs.img")));
  });

  test("where the guest downloads what comes late makes this image and no other", async () => {
    await prepare("plain", { bareMetal: true });
    expect(readdirSync(folder.at("plain")).sort()).toEqual(["bootstrap.json", "init.img"]);
    expect(sha256(folder.at("plain/init.img"))).toBe("ddbd4ba654b47a4eeff0427e755cf59daf01f655abb9fd8b463865730374058a");
  });

  test.each([
    ["chroot", { chroot: true }, SMALL_TREE_PRE_NETWORK],
    ["bwrap", { bwrap: true, externalSources: true }, [...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE]],
  ] as const)("for %s makes the root that cp makes, with modes and times", async (name, raw, distfiles) => {
    const { record } = await prepare(name, raw);
    shell(
      `lb=$1 root=$2; shift 2
       cp -rL --preserve=mode,timestamps "$lb/seed/stage0-posix" "$root"
       cp "$root/bootstrap-seeds/POSIX/x86/kaem-optional-seed" "$root/init"; touch -r "$root/kaem.x86" "$root/init"
       find "$lb/seed" -maxdepth 1 -type f -exec cp -p {} "$root" ';'
       cp -rp "$lb/steps" "$root/steps"
       mkdir -p "$root/external/distfiles"
       for file; do cp -p "$lb/distfiles/$file" "$root/external/distfiles"; done
       touch -d 2024-01-01T00:00:00Z "$root/external/distfiles" "$root/external" "$root/steps"`,
      tree(),
      folder.at(`${name}-cp`),
      ...distfiles,
    );
    const theirs = folder.at(`${name}-cp`);
    writeFileSync(`${theirs}/steps/bootstrap.cfg`, record.plan.configuration);
    shell('touch -d 2024-01-01T00:00:00Z "$1/steps/bootstrap.cfg" "$1/steps" "$1"; chmod 644 "$1/steps/bootstrap.cfg"', theirs);
    shell('touch -d 2024-01-01T00:00:00Z "$1"', folder.at(name));
    expect(listing(folder.at(name))).toBe(listing(theirs));
    // Nothing of ours stands in a root.
    expect(existsSync(folder.at(`${name}.bootstrap.json`))).toBe(true);
    expect((await requirePrepared(folder.at(name))).plan.mode).toBe(name);
  });

  test.skipIf(!hasMke2fs)("with a kernel makes a disk from which the tree comes back", async () => {
    await prepare("kernel", { qemu: true, kernel: "vmlinuz", targetSize: "1100M" });
    expect(readdirSync(folder.at("kernel")).sort()).toEqual(["bootstrap.json", "disk.img"]);
    await prepare("kernel-chroot", { chroot: true });
    mkdirSync(folder.at("back"));
    shell(
      `debugfs -R "rdump / $2" "$1?offset=1073741824" 2>/dev/null; rm -r "$2/lost+found"`,
      folder.at("kernel/disk.img"),
      folder.at("back"),
    );
    // The configurations differ, the rest does not.
    shell('rm "$1/steps/bootstrap.cfg"', folder.at("back"));
    shell('rm "$1/steps/bootstrap.cfg"', folder.at("kernel-chroot"));
    shell('diff -r "$1" "$2"', folder.at("back"), folder.at("kernel-chroot"));
  });

  test.skipIf(!hasMke2fs)("with packages makes a second disk of files", async () => {
    mkdirSync(folder.at("repo/deep"), { recursive: true });
    writeFileSync(folder.at("repo/deep/maker_0.tar.bz2"), "packed");
    await prepare("repo-disk", { bareMetal: true, repo: folder.at("repo") });
    const { size, blocks } = statSync(folder.at("repo-disk/external.img"));
    expect([size, blocks * 512 < 200_000_000]).toEqual([16 * 1024 ** 3, true]);
    const list = shell(`debugfs -R "ls -p /" "$1?offset=1048576" 2>/dev/null`, folder.at("repo-disk/external.img"));
    expect([...list.matchAll(/^\/\d+\/\d+\/\d+\/\d+\/([^/]+)\//gm)].map(([, name]) => name)).toEqual([
      ".",
      "..",
      "lost+found",
      "distfiles",
      "repo-preseeded",
    ]);
  });

  test("never changes the checkout", () => {
    expect(listing(tree())).toBe(before);
  });

  test("with an early preseed begins with what that has", async () => {
    mkdirSync(folder.at("seed/steps"), { recursive: true });
    mkdirSync(folder.at("seed/bin"));
    shell('cp -rL "$1/x86" "$2"; ln -s sh "$2/bin/bash"; ln -s bin "$2/sbin"', `${tree()}/seed/stage0-posix`, folder.at("seed"));
    writeFileSync(folder.at("seed/bin/sh"), "shell", { mode: 0o755 });
    writeFileSync(folder.at("seed/steps/old"), "old");
    // What the checkout writes there must not go through it.
    writeFileSync(folder.at("outside"), "mine");
    symlinkSync(folder.at("outside"), folder.at("seed/kaem.x86"));
    shell('tar -C "$1" -czf "$2" .', folder.at("seed"), folder.at("seed.tar.gz"));
    await prepare("preseeded", { chroot: true, earlyPreseed: folder.at("seed.tar.gz") });
    expect(shell('readlink "$1/sbin" "$1/bin/bash"', folder.at("preseeded"))).toBe("bin\nsh\n");
    expect(existsSync(folder.at("preseeded/steps/old"))).toBe(false);
    expect(readFileSync(folder.at("preseeded/kaem.x86"), "utf8")).toBe(readFileSync(`${tree()}/seed/preseeded.kaem`, "utf8"));
    expect(readFileSync(folder.at("outside"), "utf8")).toBe("mine");
    expect(existsSync(folder.at("preseeded/seed.kaem"))).toBe(false);

    // In an image a link that leads out would bring a file of this computer.
    expect((await refusal(prepare("preseeded-image", { bareMetal: true, earlyPreseed: folder.at("seed.tar.gz") }))).message).toContain(
      "a symbolic link that stays in the folder",
    );
    rmSync(folder.at("seed/kaem.x86"));
    shell('tar -C "$1" -czf "$2" .', folder.at("seed"), folder.at("seed.tar.gz"));
    await prepare("preseeded-image", { bareMetal: true, earlyPreseed: folder.at("seed.tar.gz") });
    const image = readFileSync(folder.at("preseeded-image/init.img"), "latin1");
    expect(image).toContain("src 5 ./bin/bash\nshell");
    expect(image).toContain("src 0 ./sbin\n");
    expect(image).not.toContain("./sbin/sh");
    expect(readdirSync(folder.at("preseeded-image")).sort()).toEqual(["bootstrap.json", "init.img"]);
  });

  test("goes on in the sandbox of the first pass with distfiles alone", async () => {
    await prepare("passes", { bwrap: true, externalSources: true, internalCi: "pass1" });
    rmSync(folder.at("passes/external"), { recursive: true });
    writeFileSync(folder.at("passes/made-by-pass1"), "work");
    writeFileSync(folder.at("passes/kaem.x86"), "changed");
    await prepare("passes", { bwrap: true, externalSources: true, internalCi: "pass2" });
    expect(new Set(readdirSync(folder.at("passes/external/distfiles")))).toEqual(new Set([...SMALL_TREE_PRE_NETWORK, ...SMALL_TREE_LATE]));
    expect(readFileSync(folder.at("passes/kaem.x86"), "utf8")).toBe("changed");
    await refusal(prepare("no-pass1", { bwrap: true, internalCi: "pass2" }));
  });
});

describe("a target", () => {
  test("that holds something else is refused, and not changed", async () => {
    mkdirSync(folder.at("foreign"));
    for (const name of ["thesis.tex", "init.img"]) writeFileSync(folder.at(`foreign/${name}`), "precious");
    const error = await refusal(prepare("foreign", payloadMode));
    expect([error.kind, error.found]).toEqual(["usage", "init.img, thesis.tex, which it did not make"]);
    expect(readdirSync(folder.at("foreign")).sort()).toEqual(["init.img", "thesis.tex"]);
  });

  test("that is complete is kept, and made anew only where that is asked for", async () => {
    await prepare("twice", payloadMode);
    writeFileSync(folder.at("twice/init.img"), "what the guest did");
    const error = await refusal(prepare("twice", payloadMode));
    expect(error.message).toContain("one that is complete");
    expect(error.hint).toContain("--replace");
    expect(readFileSync(folder.at("twice/init.img"), "utf8")).toBe("what the guest did");
    // Another plan, which has no second disk.
    await prepare("twice", { bareMetal: true }, { replace: true });
    expect(readdirSync(folder.at("twice")).sort()).toEqual(["bootstrap.json", "init.img"]);
    writeFileSync(folder.at("twice/thesis.tex"), "precious");
    expect((await refusal(prepare("twice", payloadMode, { replace: true }))).found).toBe("thesis.tex, which it did not make");
  });

  test("that is the root of a system which has run is made anew whole", async () => {
    await prepare("ran", { chroot: true });
    shell('mkdir -p "$1/usr/bin"; echo >"$1/usr/bin/made"; rm -r "$1/x86"; chmod 555 "$1/usr"', folder.at("ran"));
    await refusal(prepare("ran", { chroot: true }));
    await prepare("ran", { chroot: true }, { replace: true });
    await prepare("never-ran", { chroot: true });
    expect(readdirSync(folder.at("ran"))).toEqual(readdirSync(folder.at("never-ran")));
    expect((await refusal(prepare("ran", { bareMetal: true }, { replace: true }))).message).toContain("a target of the same form");
  });

  test("of a run that was cut is made whole by the next one", async () => {
    const { record } = await prepare("reference", payloadMode);
    mkdirSync(folder.at("cut"));
    const dead = { pid: 4_194_304, pid_start_ticks: "1", boot_id: "gone" };
    await writeRecord(folder.at("cut"), { ...record, state: "making", owner: dead });
    writeFileSync(folder.at("cut/init.img"), "whole, of the run before");
    writeFileSync(folder.at("cut/.bootstrap-0123abcd.tmp"), "half an image");
    writeFileSync(folder.at("cut/.payload-0123abcd.tmp"), "half a container");
    writeFileSync(folder.at("cut/.bootstrap.json.0123abcd.tmp"), "half a record");
    mkdirSync(folder.at("cut/.bootstrap-fedcba98.tmp/disk"), { recursive: true });
    await refusal(requirePrepared(folder.at("cut")));
    await prepare("cut", payloadMode);
    expect(readdirSync(folder.at("cut")).sort()).toEqual(["bootstrap.json", "external.img", "init.img"]);
    expect(sha256(folder.at("cut/init.img"))).toBe(sha256(folder.at("reference/init.img")));
  });

  test("that another process makes is left to it", async () => {
    const { record } = await prepare("busy", payloadMode);
    await writeRecord(folder.at("busy"), { ...record, state: "making", owner: ownIdentity() });
    expect((await refusal(prepare("busy", payloadMode, { replace: true }))).found).toBe(`process ${process.pid} making it`);
  });

  test.each([1, 2])("of a run that was aborted in step %d holds whole images or none, and the next run completes it", async (steps) => {
    const name = `aborted-${steps}`;
    const control = new AbortController();
    let begun = 0;
    const begin = () => {
      begun += 1;
      if (begun >= steps) control.abort();
      return { advance: () => {}, end: () => {} };
    };
    const job = { signal: control.signal, progress: { ...quietJob.progress, begin } };
    await prepare(name, payloadMode, { job }).then(
      () => expect(begun).toBeLessThan(steps),
      () => expect(begun).toBeGreaterThanOrEqual(steps),
    );
    expect(readdirSync(folder.at(name)).filter((file) => TEMPORARY_NAME.test(file))).toEqual([]);
    const record = await readRecord(folder.at(name));
    if (record?.state === "making") {
      // The process that was cut is this one, and it lives.
      const dead = { ...record, owner: { pid: 4_194_304, pid_start_ticks: "1", boot_id: "gone" } } satisfies PreparedRecord;
      await writeRecord(folder.at(name), dead);
    }
    await prepare(name, payloadMode, { replace: true });
    await prepare(`${name}-reference`, payloadMode);
    for (const image of ["init.img", "external.img"]) {
      expect(sha256(folder.at(`${name}/${image}`))).toBe(sha256(folder.at(`${name}-reference/${image}`)));
    }
  });

  test.skipIf(!canMount)("on a full or a read-only disk: said before anything is written where that can be known", async () => {
    const disk = folder.at("disk");
    await withSmallDisk(disk, 128, async (makeReadOnly) => {
      const full = await refusal(prepare(basename(disk), payloadMode));
      expect(full.expected).toMatch(/room for \d+ bytes/);
      expect(readdirSync(disk)).toEqual([]);
      makeReadOnly();
      const readOnly = await refusal(prepare(basename(disk), payloadMode));
      expect(`${readOnly.found} ${readOnly.hint}`).toMatch(/read-only|room/);
    });
    const inside = folder.at("disk2");
    await withSmallDisk(inside, 4096, async (makeReadOnly) => {
      makeReadOnly();
      expect(await refusal(prepare("disk2", payloadMode))).toMatchObject({ hint: expect.stringContaining("read-only") as string });
    });
  });

  test.each(["lb", "lb/steps/new", "lb/distfiles"])("in the checkout's own folders (%s) is refused", async (target) => {
    expect((await refusal(prepare(target, payloadMode))).message).toMatch(/a folder apart from what it is made of/);
    expect(listing(tree())).toBe(before);
  });

  test("that a file stands in the place of is refused", async () => {
    writeFileSync(folder.at("a-file"), "x");
    expect((await refusal(prepare("a-file", payloadMode))).kind).toBe("usage");
  });

  test("is not begun where a limit of the early code does not hold", async () => {
    await makeSmallTree(folder.at("longer"), { sector: 176 });
    const stage2 = folder.at("longer/builder-hex0/builder-hex0-x86-stage2.hex0");
    writeFileSync(stage2, readFileSync(stage2, "utf8").replace("B0 00 00 00", "AF 00 00 00"));
    expect((await refusal(prepare("limit", payloadMode, { tree: folder.at("longer") }))).message).toContain("sector");
    expect(existsSync(folder.at("limit"))).toBe(false);
  });

  test.skipIf(!canMount)("with something mounted in it is not made anew", async () => {
    await prepare("mounts", { chroot: true });
    mkdirSync(folder.at("mounts/proc"));
    await withSmallDisk(folder.at("mounts/proc/with blank"), 64, async () => {
      const error = await refusal(prepare("mounts", { chroot: true }, { replace: true }));
      expect(error.found).toBe(folder.at("mounts/proc/with blank"));
    });
  });

  test.skipIf(!canMount || process.getuid?.() !== 0)("gets a tmpfs where that is asked for", async () => {
    try {
      await prepare("memory", { chroot: true, tmpfs: true, tmpfsSize: "4M" });
      expect(shell('stat -f -c %T "$1"', folder.at("memory"))).toBe("tmpfs\n");
      expect(existsSync(folder.at("memory/init"))).toBe(true);
    } finally {
      shell('umount "$1"', folder.at("memory"));
    }
  });

  test("has a record that is read with care", async () => {
    mkdirSync(folder.at("record"));
    expect(await readRecord(folder.at("record"))).toBeUndefined();
    for (const text of ["", "{}", "[1", '{"version":2}', '{"version":1,"state":"complete"}']) {
      writeFileSync(folder.at("record/bootstrap.json"), text);
      expect((await refusal(readRecord(folder.at("record")))).kind).toBe("usage");
    }
  });
});
