import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, readlink, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { encodeTar } from "../../src/formats/tar.ts";
import { ownIdentity } from "../../src/host/process-identity.ts";
import { packageUrl } from "../../src/live/cyclonedx.ts";
import { type Manifest, writeManifestBeside } from "../../src/live/manifest.ts";
import { writePackages } from "../../src/live/packages/package-list.ts";
import { type PublishOptions, publishBuild } from "../../src/live/publish.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { type StageKind, stageKind, TestFailed } from "../../src/live/stage.ts";

const EPOCH = 1_767_225_600;
const STATUS = `Package: tool
Status: install ok installed
Architecture: amd64
Version: 1:2~rc1+b1
`;

/** A root file system of one package. */
const root = stageKind({
  kind: "root",
  revision: 1,
  options: z.strictObject({ package: z.string() }),
  inputs: {},
  ingredients: async () => ({ tool: "tool 1.2.3" }),
  run: async ({ package: name }, { output }) => {
    const file = (path: string, content: string) => ({ kind: "file" as const, path, mode: 0o644, content: Buffer.from(content) });
    const files = [
      file("var/lib/dpkg/status", STATUS.replace("tool", name)),
      file(`usr/share/doc/${name}/copyright`, "see /usr/share/common-licenses/GPL-2 <script>"),
    ];
    await writeFile(join(output, "root.tar"), Buffer.concat([...encodeTar(files, { mtimeS: 0 })]));
    await writePackages(output);
  },
});

const image = stageKind({
  kind: "image",
  revision: 1,
  options: z.strictObject({ text: z.string() }),
  inputs: { root: "required", kernel: "optional" },
  ingredients: async () => ({}),
  run: async ({ text }, { output }) => await writeFile(join(output, "live.iso"), text),
});

const PNG = Buffer.from("iVBORw0KGgo=", "base64");

/** Leaves what a boot-test stage leaves. */
const boot = stageKind({
  kind: "boot",
  revision: 1,
  options: z.strictObject({ good: z.boolean().default(true) }),
  inputs: { image: "required" },
  isTest: true,
  ingredients: async () => ({}),
  run: async ({ good }, { output }) => {
    const status = good ? "passed" : "failed";
    const run = {
      ...{ why: "", stage: "login", result: "success", domain: "none", duration_ms: 1200, session: "/home/me/sessions/one" },
      status,
    };
    const result = {
      ...{
        name: "boots",
        started_utc: "2026-01-01T00:00:00Z",
        duration_ms: 1200,
        passed: good ? 1 : 0,
        failed: good ? 0 : 1,
        errors: 0,
        not_run: 0,
        flaky: 0,
      },
      jobs: [
        {
          id: "bios <cd>",
          test: "boot",
          image: null,
          settings: {},
          words: [],
          script: "/home/me/spec/login.script",
          status,
          flaky: false,
          runs: [run],
        },
      ],
      screenshots: { "bios <cd>": ["screenshots/1-end.png"] },
    };
    await mkdir(join(output, "screenshots"));
    await writeFile(join(output, "screenshots/1-end.png"), PNG);
    await writeFile(join(output, "results.json"), JSON.stringify(result));
    if (!good) throw new TestFailed({ what: "boot the image", found: "1 failed" });
  },
});

const KINDS: readonly StageKind[] = [root, image, boot];
const SPEC = `name: mine
epoch: ${EPOCH}
result: { stage: iso, file: live.iso }
stages:
  rootfs: { kind: root, package: tool }
  builder: { kind: root, package: compiler }
  iso: { kind: image, text: an image, inputs: { root: rootfs, kernel: builder } }
  test: { kind: boot, inputs: { image: iso } }
`;

let folder: string;
let spec: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-publish-"));
  spec = join(folder, "spec.yaml");
  await writeFile(spec, SPEC);
});
afterEach(() => rm(folder, { recursive: true }));

const shell = (script: string, variables: Readonly<Record<string, string>> = {}) => {
  const { status, stdout, stderr } = spawnSync("bash", ["-ec", script], {
    cwd: folder,
    encoding: "utf8",
    env: { ...process.env, ...variables },
  });
  expect(status, stderr).toBe(0);
  return stdout;
};

async function publish(options: Partial<PublishOptions> & { readonly tests?: boolean } = {}, job: Job = quietJob) {
  const store = join(folder, "store");
  const { tests = true, ...rest } = options;
  const built = await buildPlan(spec, { store, env: process.env, kinds: KINDS, tests }, quietJob);
  return await publishBuild(
    {
      ...{
        planPath: spec,
        built,
        store,
        target: join(folder, "out"),
        untested: false,
        bill: false,
        env: process.env,
        program: "hiperiso 9.9",
      },
      ...rest,
    },
    job,
  );
}

const there = async () => (await readdir(join(folder, "out")).catch(() => [])).sort();

describe("a release", () => {
  test("holds the image, its spec, manifest, sums, boot report and page; `latest` leads to it", async () => {
    const { folder: release, image: path, manifest } = await publish({ bill: true });
    const name = `mine-20260101-${manifest.image.sha256.slice(0, 12)}`;
    expect(release).toBe(join(folder, "out", name));
    expect(await readFile(path, "utf8")).toBe("an image");
    expect((await readdir(release, { recursive: true })).sort()).toEqual(
      [
        ...["SHA256SUMS", "boot-report", "boot-report/test", "boot-report/test/screenshots", "boot-report/test/screenshots/1-end.png"],
        ...["boot-report/test/results.html", "boot-report/test/results.json", "boot-report/test/results.xml"],
        ...["index.html", "live.iso", "manifest.json", "sbom.cdx.json", "spec.yaml"],
      ].sort(),
    );
    expect(await there()).toEqual(["latest", name]);
    expect(await readlink(join(folder, "out/latest"))).toBe(name);
    expect(shell("cd out/latest && sha256sum --check --strict SHA256SUMS | grep -c OK$")).toBe("9\n");
    // Readable to who serves it.
    expect((await stat(release)).mode & 0o777).toBe(0o755);
  });

  test("has a manifest of packages with licences, of every stage with its hashes and tools, and of the tests", async () => {
    const { manifest, folder: release } = await publish();
    expect(JSON.parse(await readFile(join(release, "manifest.json"), "utf8"))).toEqual(manifest);
    expect(manifest).toMatchObject({
      ...{ format: 1, made_by: "hiperiso 9.9", name: "mine", epoch: EPOCH, unread_packages: [] },
      image: { path: "live.iso", size_bytes: 8 },
      packages: [{ name: "tool", version: "1:2~rc1+b1", licences: ["GPL-2"] }],
      tests: [{ stage: "test", passed: true }],
    } satisfies Partial<Record<keyof Manifest, unknown>>);
    const sha256 = (name: string) => shell(`sha256sum < ${name}`).slice(0, 64);
    expect(manifest.spec).toEqual({ path: "spec.yaml", size_bytes: SPEC.length, sha256: sha256("spec.yaml") });
    const stages = Object.fromEntries(manifest.stages.map((stage) => [stage.name, stage]));
    expect(stages["rootfs"]).toMatchObject({
      kind: "root",
      inputs: {},
      ingredients: { tool: "tool 1.2.3" },
      files: [{ path: "packages.json" }, { path: "root.tar" }],
    });
    expect(stages["rootfs"]).not.toHaveProperty("packages");
    // What was only there to build with is told apart.
    expect(stages["builder"]?.packages?.map(({ name }) => name)).toEqual(["compiler"]);
    expect(stages["iso"]).toMatchObject({
      inputs: { root: "rootfs", kernel: "builder" },
      files: [{ path: "live.iso", sha256: manifest.image.sha256 }],
    });
    expect(stages["iso"]?.recipe).toMatch(/^[0-9a-f]{64}$/);
  });

  test("tells nothing of the computer that it was made on", async () => {
    const { folder: release } = await publish({ bill: true });
    expect(shell(`grep -rlaE '/home/me|${folder}' ${release} || true`)).toBe("");
  });

  test("has the same bytes from another store", async () => {
    const first = await publish({ bill: true });
    await rm(join(folder, "store"), { recursive: true });
    const second = await publish({ bill: true, target: join(folder, "again") });
    expect(shell(`diff -r ${first.folder} ${second.folder}`)).toBe("");
  });

  test("has a page in which names are text, with its screens and what it takes to check it", async () => {
    const page = await readFile(join((await publish()).folder, "index.html"), "utf8");
    expect(page).toContain("Boot test passed: 1 boot.");
    expect(page).toContain("bios &lt;cd&gt;");
    expect(page).not.toContain("<cd>");
    expect(page).toContain(`<img src="data:image/png;base64,${PNG.toString("base64")}"`);
    expect(page).toContain("sha256sum --check --ignore-missing SHA256SUMS");
    expect(page).toContain('href="./live.iso"');
    expect(page).toContain("1 packages and their licences");
  });

  test("has a bill of materials with package URLs", async () => {
    const { folder: release } = await publish({ bill: true });
    const bill = JSON.parse(await readFile(join(release, "sbom.cdx.json"), "utf8"));
    expect(bill).toMatchObject({
      ...{ bomFormat: "CycloneDX", specVersion: "1.5", metadata: { timestamp: "2026-01-01T00:00:00Z" } },
      components: [{ name: "tool", purl: "pkg:deb/debian/tool@1:2~rc1%2Bb1?arch=amd64", licenses: [{ license: { name: "GPL-2" } }] }],
    });
    const gentoo = {
      manager: "ebuild",
      name: "sys-apps/sed",
      version: "4.9",
      architecture: "",
      source: { name: "", version: "" },
      licences: [],
    } as const;
    expect(packageUrl(gentoo)).toBe("pkg:ebuild/sys-apps/sed@4.9");
  });

  test("gives a spec whose name could be taken for something else a plain one", async () => {
    for (const name of ["a\nb.yaml", "index.html", "..x.yaml"]) {
      await writeFile(join(folder, name), SPEC);
      const { folder: release, manifest } = await publish({ planPath: join(folder, name), target: join(folder, "named") });
      expect(manifest.spec.path).toBe("spec.yaml");
      expect(shell(`cd ${release} && sha256sum --check --strict --quiet SHA256SUMS`)).toBe("");
    }
  });

  test("that was published is kept; another content of the same image gets a number", async () => {
    const first = await publish();
    expect(await publish()).toMatchObject({ isKept: true, folder: first.folder });
    const second = await publish({ bill: true });
    expect(second).toMatchObject({ isKept: false, folder: `${first.folder}-2` });
    expect(await readlink(join(folder, "out/latest"))).toBe(`mine-20260101-${first.manifest.image.sha256.slice(0, 12)}-2`);
  });
});

describe("a copy of the image", () => {
  test("has its manifest and its sum beside it, under its own name", async () => {
    const { image: path, manifest } = await publish();
    const copy = join(folder, "my copy.iso");
    await writeFile(copy, await readFile(path));
    expect(await writeManifestBeside(copy, manifest)).toEqual([`${copy}.manifest.json`, `${copy}.sha256`]);
    expect(shell("sha256sum --check --strict 'my copy.iso.sha256'")).toBe("my copy.iso: OK\n");
    expect(JSON.parse(await readFile(`${copy}.manifest.json`, "utf8"))).toEqual({
      ...manifest,
      image: { ...manifest.image, path: "my copy.iso" },
    });
  });
});

describe("an image is refused", () => {
  test("whose boot test was not passed, unless told; the page then says so", async () => {
    await writeFile(spec, SPEC.replace("kind: boot,", "kind: boot, good: false,"));
    await expect(publish()).rejects.toThrow(/live\.iso: expected boot tests that were passed, found test was not: .*1 failed.*--untested/s);
    expect(await there()).toEqual([]);
    const page = await readFile(join((await publish({ untested: true })).folder, "index.html"), "utf8");
    expect(page).toContain("<b>Boot test failed:</b> test.");
  });

  test("that no boot test has booted, unless told", async () => {
    await expect(publish({ tests: false })).rejects.toThrow(
      /expected a stage of kind boot-test with the input image: iso, found no boot test/,
    );
    const page = await readFile(join((await publish({ tests: false, untested: true })).folder, "index.html"), "utf8");
    expect(page).toContain("<b>Not tested:</b>");
  });

  test("where the test booted another image than the one that is published", async () => {
    await writeFile(
      spec,
      SPEC.replace("inputs: { image: iso }", "inputs: { image: other }").concat(
        "  other: { kind: image, text: other, inputs: { root: rootfs } }\n",
      ),
    );
    await expect(publish()).rejects.toThrow(/input image: iso, found tests of other stages/);
  });
});

describe("nothing half is seen", () => {
  test("when it is stopped", async () => {
    const abort = new AbortController();
    const watched: Job = { signal: abort.signal, progress: silentProgress };
    abort.abort(new Error("Ctrl-C"));
    await expect(publish({}, watched)).rejects.toThrow("Ctrl-C");
    expect(await there()).toEqual([]);
  });

  test("when the signature fails", async () => {
    await writeFile(join(folder, "key"), "no key");
    await expect(publish({ key: { by: "minisign", key: join(folder, "key") } })).rejects.toThrow(/cannot sign by minisign/);
    expect(await there()).toEqual([]);
  });

  test.skipIf(process.getuid?.() !== 0)("when the disk is full (only root can mount one)", async () => {
    // A file system of 64 KiB, which the release does not fit into.
    const full = join(folder, "full");
    await mkdir(full);
    expect(spawnSync("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", full]).status).toBe(0);
    try {
      await writeFile(spec, SPEC.replace("text: an image", `text: ${"x".repeat(100_000)}`));
      await expect(publish({ target: full })).rejects.toThrow(/cannot publish an image: .*ENOSPC/);
      expect(await readdir(full)).toEqual([]);
    } finally {
      spawnSync("umount", [full]);
    }
  });

  test("of those that were killed: the next one removes it, and leaves what others are making", async () => {
    const { pid, pid_start_ticks, boot_id } = ownIdentity();
    const living = `.part-${pid}-${pid_start_ticks}-${boot_id.replaceAll("-", "_")}-aaaa`;
    for (const name of [`.part-${pid}-1-x_y-bbbb`, living, "kept"]) await mkdir(join(folder, "out", name), { recursive: true });
    await publish();
    expect((await there()).filter((name) => !name.startsWith("mine-"))).toEqual([living, "kept", "latest"]);
  });
});

describe("a release is signed", () => {
  const has = spawnSync("minisign", ["-v"]).error === undefined;

  test.skipIf(!has)("over its sums, by minisign", async () => {
    shell("minisign -G -W -p key.pub -s key >&2");
    const { folder: release } = await publish({ key: { by: "minisign", key: join(folder, "key") } });
    expect(shell(`minisign -V -p key.pub -m ${release}/SHA256SUMS`)).toMatch(/Trusted comment: mine live\.iso [0-9a-f]{64}/);
    const page = await readFile(join(release, "index.html"), "utf8");
    expect(page).toContain("minisign -V -p PUBLIC-KEY -m SHA256SUMS");
    // The signature is not the same each time; the release is.
    expect(await publish({ key: { by: "minisign", key: join(folder, "key") } })).toMatchObject({ isKept: true });
  });
});
