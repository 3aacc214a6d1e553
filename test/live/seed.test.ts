import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { isReleaseOf, planSources } from "../../src/live/seed/apt-sources.ts";
import { MmdebstrapSchema, mmdebstrapArguments } from "../../src/live/seed/mmdebstrap.ts";
import { publishedDigests } from "../../src/live/seed/stage-digests.ts";
import { binaryKeys } from "../../src/live/stages/seed.ts";
import { sha256 } from "../../src/live/tool.ts";

const hasGpg = (await lookForTool("gpg", process.env)) !== undefined && (await lookForTool("gpgv", process.env)) !== undefined;
const isRoot = process.getuid?.() === 0;

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-seed-"));
  await mkdir(join(folder, "root/etc"), { recursive: true });
  await writeFile(join(folder, "root/etc/name"), "name\n");
  await writeFile(join(folder, "root/run-me"), "#!/bin/sh\n");
  await chmod(join(folder, "root/run-me"), 0o711);
  await symlink("etc/name", join(folder, "root/link"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const sh = (command: string, env: NodeJS.ProcessEnv = process.env): string => {
  const { status, stdout, stderr } = spawnSync("sh", ["-ec", command], { cwd: folder, encoding: "utf8", env });
  if (status !== 0) throw new Error(stderr);
  return stdout;
};

async function build(seed: string, store = "store") {
  await writeFile(
    join(folder, "plan.yaml"),
    `name: p\nepoch: 1767225600\nresult: { stage: seed, file: root.tar }\nstages:\n  seed: { kind: seed, ${seed} }\n`,
  );
  return await buildPlan(join(folder, "plan.yaml"), { store: join(folder, store), env: process.env }, quietJob);
}
const listed = async (seed: string): Promise<string> =>
  sh(`tar --list --verbose --numeric-owner --utc --file "${(await build(seed)).output}"`);

const TREE = `drwxr-xr-x 0/0               0 2026-01-01 00:00 ./
drwxr-xr-x 0/0               0 2026-01-01 00:00 etc/
-rw-r--r-- 0/0               5 2026-01-01 00:00 etc/name
lrwxrwxrwx 0/0               0 2026-01-01 00:00 link -> etc/name
-rwxr-xr-x 0/0              10 2026-01-01 00:00 run-me
`;

describe("a folder as a seed", () => {
  test("belongs to root, and what may be run may be run by all", async () => {
    expect(await listed("directory: { path: root }")).toBe(TREE);
  });

  test.skipIf(!isRoot)("may keep owners, modes, times and links", async () => {
    sh("chown 5:6 root/etc/name; chmod 4750 root/run-me; ln root/etc/name root/twice; touch -d @1000 root/etc/name");
    const lines = await listed("directory: { path: root, owners: kept }");
    expect(lines).toMatch(/^-rw-r--r-- 5\/6 +5 1970-01-01 00:16 etc\/name$/m);
    expect(lines).toMatch(/^-rwsr-x--- 0\/0 +10 .* run-me$/m);
    expect(lines).toMatch(/^hrw-r--r-- 5\/6 +0 .* twice link to etc\/name$/m);
  });

  test("is built again when a file in it changes, and not otherwise", async () => {
    for (const owners of ["root", "kept"]) {
      const seed = `directory: { path: root, owners: ${owners} }`;
      expect((await build(seed)).stages[0]!.reused).toBe(false);
      expect((await build(seed)).stages[0]!.reused).toBe(true);
      await writeFile(join(folder, "root/etc/name"), `other ${owners}`);
      expect((await build(seed)).stages[0]!.reused).toBe(false);
    }
  });

  test.each([
    ["../outside", /expected a path inside/],
    ["none", /ENOENT/],
  ])("%s is refused", async (path, message) => {
    await expect(build(`directory: { path: ${path} }`)).rejects.toThrow(message);
  });
});

describe("an archive as a seed", () => {
  const packers = { tar: "cat", gz: "gzip -n", xz: "xz", zst: "zstd -q", bz2: "bzip2" };
  test.each(Object.entries(packers).filter(([, packer]) => spawnSync(packer.split(" ")[0]!, ["--version"]).error === undefined))(
    "packed as %s is the same, sorted, whatever its order was",
    async (suffix, packer) => {
      sh(
        `chmod -R go=u-w root; tar --create --owner=0 --group=0 --mtime=2030-01-01 -C root run-me link etc . | ${packer} > seed.tar.${suffix}`,
      );
      expect(await listed(`tarball: { file: seed.tar.${suffix} }`)).toBe(TREE);
    },
  );

  test("must come to the digest that the spec says", async () => {
    sh("tar --create --file seed.tar -C root .");
    const digest = sha256(await readFile(join(folder, "seed.tar")));
    expect((await build(`tarball: { file: seed.tar, sha256: ${digest} }`)).stages[0]!.reused).toBe(false);
    const wrong = "0".repeat(64);
    await expect(build(`tarball: { file: seed.tar, sha256: "${wrong}" }`)).rejects.toThrow(
      new RegExp(`check a seed: seed.tar: expected sha256 ${wrong}, found ${digest}`),
    );
  });

  test("that is cut, or damaged, is refused, and leaves nothing in the store", async () => {
    sh(
      "tar --create --file seed.tar -C root .; gzip -n -k seed.tar; head -c 700 seed.tar > cut.tar; head -c 100 seed.tar.gz > cut.tar.gz; head -c 3000 /dev/urandom > noise",
    );
    await expect(build("tarball: { file: cut.tar }")).rejects.toThrow(/read a tar archive/);
    await expect(build("tarball: { file: cut.tar.gz }")).rejects.toThrow(/unpack gzip/);
    await expect(build("tarball: { file: noise }")).rejects.toThrow(/read a tar archive: .*noise@/);
    expect(sh("ls store/outputs")).toBe("");
  });

  test("is built again when its bytes change, also by as many", async () => {
    sh("tar --create --file seed.tar -C root .");
    await build("tarball: { file: seed.tar }");
    expect((await build("tarball: { file: seed.tar }")).stages[0]!.reused).toBe(true);
    await writeFile(join(folder, "root/etc/name"), "eman\n");
    sh("tar --create --file seed.tar -C root .");
    expect((await build("tarball: { file: seed.tar }")).stages[0]!.reused).toBe(false);
  });

  test("is one of the kinds of seeds, and no other beside it", async () => {
    await expect(build("licences: free")).rejects.toThrow(/expected one of mmdebstrap, tarball, stage_tarball, directory, oci/);
    await expect(build("tarball: { file: a }, directory: { path: b }")).rejects.toThrow(/expected one of mmdebstrap/);
  });
});

describe("a distribution's stage tarball", () => {
  beforeEach(() => {
    sh("tar --create --gzip --file stage3.tar.gz --owner=0 --group=0 -C root .; sha512sum stage3.tar.gz > stage3.tar.gz.DIGESTS");
  });

  test("is taken where its digest is among those published", async () => {
    expect(await listed("stage_tarball: { file: stage3.tar.gz, digests: stage3.tar.gz.DIGESTS }")).toContain("etc/name");
  });

  test("is refused where it differs, and where the list knows nothing of it", async () => {
    sh("printf x >> stage3.tar.gz");
    await expect(build("stage_tarball: { file: stage3.tar.gz, digests: stage3.tar.gz.DIGESTS }")).rejects.toThrow(
      /check a seed: stage3\.tar\.gz: expected sha512/,
    );
    sh("mv stage3.tar.gz other.tar.gz");
    await expect(build("stage_tarball: { file: other.tar.gz, digests: stage3.tar.gz.DIGESTS }")).rejects.toThrow(
      /expected a SHA-256, SHA-512 or BLAKE2b digest of other\.tar\.gz, found none/,
    );
  });

  test.skipIf(!hasGpg)("is believed only what a key of the keyring has signed: in the list, or beside it", async () => {
    sh("mkdir -m 0700 home");
    const gpg = { ...process.env, GNUPGHOME: join(folder, "home") };
    const make = (name: string) =>
      sh(
        `gpg --batch --quiet --passphrase '' --quick-gen-key ${name}@example.org ed25519 sign never 2>/dev/null; gpg --armor --export ${name}@example.org > ${name}.asc; gpg --export ${name}@example.org > ${name}.gpg`,
        gpg,
      );
    make("good");
    make("bad");
    sh(
      "gpg --batch --quiet -u good@example.org --clearsign --output signed.DIGESTS stage3.tar.gz.DIGESTS; gpg --batch --quiet -u good@example.org --detach-sign --armor --output list.sig stage3.tar.gz.DIGESTS",
      gpg,
    );
    sh("gpgconf --kill all", gpg);
    const stage = (rest: string) => `stage_tarball: { file: stage3.tar.gz, ${rest} }`;
    for (const keyring of ["good.asc", "good.gpg"]) {
      expect(await listed(stage(`digests: signed.DIGESTS, keyring: ${keyring}`))).toContain("etc/name");
      expect(await listed(stage(`digests: stage3.tar.gz.DIGESTS, signature: list.sig, keyring: ${keyring}`))).toContain("etc/name");
    }
    await expect(build(stage("digests: signed.DIGESTS, keyring: bad.asc"))).rejects.toThrow(/expected a signature by a key of bad\.asc/);
    await expect(build(stage("digests: stage3.tar.gz.DIGESTS, keyring: good.asc"))).rejects.toThrow(
      /expected a signature by a key of good\.asc/,
    );
    // What stands in front of the signed text is nobody's word.
    sh("printf x >> stage3.tar.gz; sha512sum stage3.tar.gz > forged; cat forged signed.DIGESTS > forged.DIGESTS");
    await expect(build(stage("digests: forged.DIGESTS, keyring: good.asc"))).rejects.toThrow(/check a seed: stage3\.tar\.gz|signature/);
    await expect(build(stage("digests: a, signature: b"))).rejects.toThrow(/a signature needs the keys to check it with/);
  });
});

describe("published digests", () => {
  const [a, b] = ["a".repeat(128), "B".repeat(128)];
  test("are read as Gentoo writes them, the strong ones", () => {
    const text = `# BLAKE2B HASH\n${b}  s.tar.xz\n# SHA512 HASH\n${a}  s.tar.xz\n# MD5 HASH\n${"c".repeat(32)}  s.tar.xz\n# SHA512 HASH\n${"d".repeat(128)}  s.tar.xz.CONTENTS.gz\n`;
    expect(publishedDigests(text, "s.tar.xz")).toEqual([
      { algorithm: "blake2b512", hex: b!.toLowerCase() },
      { algorithm: "sha512", hex: a },
    ]);
  });

  test.each([
    ["sha256sum", `${"1".repeat(64)} *./dir/s.tar\n`, "sha256"],
    ["sha512sum", `${a}  s.tar\r\n`, "sha512"],
    ["BSD", `SHA256 (s.tar) = ${"1".repeat(64)}\n`, "sha256"],
  ])("are read as %s writes them", (_, text, algorithm) => {
    expect(publishedDigests(text, "s.tar")).toMatchObject([{ algorithm }]);
  });

  test.each([
    [`# WHIRLPOOL HASH\n${a}  s.tar\n`],
    [`${"1".repeat(40)}  s.tar\n`],
    [`${a}  other.tar\n`],
    [`MD5 (s.tar) = ${"1".repeat(64)}\n`],
    [""],
  ])("that prove nothing of the file are none: %#", (text) => {
    expect(publishedDigests(text, "s.tar")).toEqual([]);
  });
});

test("keys in armour and in binary form are the same keys", () => {
  const key = Uint8Array.from({ length: 100 }, (_, index) => index);
  const armoured = `-----BEGIN PGP PUBLIC KEY BLOCK-----\nComment: x\n\n${Buffer.from(key)
    .toString("base64")
    .match(/.{1,64}/g)!
    .join("\n")}\n=abcd\n-----END PGP PUBLIC KEY BLOCK-----\n`;
  expect([...binaryKeys(Buffer.from(armoured))]).toEqual([...key]);
  expect([...binaryKeys(Buffer.from(armoured + armoured))]).toEqual([...key, ...key]);
  expect([...binaryKeys(key)]).toEqual([...key]);
});

describe("mmdebstrap", () => {
  const targets = [
    "http://deb.debian.org/debian\tbookworm\tmain",
    "http://deb.debian.org/debian\tbookworm\tcontrib",
    "http://deb.debian.org/debian\tbookworm\tmain",
    "http://deb.debian.org/debian\tbookworm-updates\tmain",
    "http://deb.debian.org/debian-security\tbookworm-security\tmain",
    "http://deb.debian.org/debian\ttrixie\tmain",
    "https://deb.nodesource.com/node_20.x\tnodistro\tmain",
    "https://example.org/debian\tbookworm-backports\tmain",
  ].join("\n");

  test("is given the computer's own sources of the release, and no others", () => {
    expect(planSources("bookworm", targets)).toEqual([
      "deb http://deb.debian.org/debian bookworm main contrib",
      "deb http://deb.debian.org/debian bookworm-updates main",
      "deb http://deb.debian.org/debian-security bookworm-security main",
    ]);
    expect(planSources("sid", targets)).toEqual([]);
  });

  test("knows which lists speak for the release", () => {
    expect(isReleaseOf("deb.debian.org_debian_dists_bookworm_InRelease", "bookworm")).toBe(true);
    expect(isReleaseOf("deb.debian.org_debian-security_dists_bookworm-security_Release", "bookworm")).toBe(true);
    expect(isReleaseOf("deb.debian.org_debian_dists_bookworm-backports_InRelease", "bookworm")).toBe(false);
    expect(isReleaseOf("deb.debian.org_debian_dists_bookworm_main_binary-amd64_Packages", "bookworm")).toBe(false);
  });

  test("gets no option out of names of the spec", () => {
    const options = MmdebstrapSchema.parse({
      suite: "bookworm",
      packages: ["less", "linux-image-amd64"],
      components: ["main", "non-free-firmware"],
    });
    const words = mmdebstrapArguments(options, { sources: ["deb http://x bookworm main"], target: "/t" });
    expect(words.slice(0, 6)).toEqual([
      "--mode=root",
      "--format=tar",
      "--variant=minbase",
      "--architectures=amd64",
      "--include=less,linux-image-amd64",
      "--components=main,non-free-firmware",
    ]);
    expect(words.slice(-3)).toEqual(["bookworm", "/t", "deb http://x bookworm main"]);
    for (const bad of [
      { suite: "--x" },
      { suite: "b", packages: ["--a"] },
      { suite: "b", sources: ["rm -rf"] },
      { suite: "b", variant: "none" },
    ]) {
      expect(MmdebstrapSchema.safeParse(bad).success).toBe(false);
    }
  });
});
