import { chmodSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../src/cli/live.ts";
import { runProgram } from "../../src/cli/program.ts";
import { ownIdentity } from "../../src/host/process-identity.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
let plan: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-cli-live-"));
  // dpkg-deb alone is needed to take a file out of a package; an apt-cache of our own says that there is none.
  plan = join(folder, "plan.yaml");
  writeFileSync(
    plan,
    "name: p\nepoch: 1767225600\nresult: { stage: a, file: f }\nstages:\n  a: { kind: package, first_of: [none] }\nvariants: {}\n",
  );
  mkdirSync(join(folder, "bin"));
  for (const name of ["apt-cache", "apt-get"]) {
    writeFileSync(join(folder, "bin", name), "#!/bin/sh\nexit 100\n");
    chmodSync(join(folder, "bin", name), 0o755);
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

async function live(...words: string[]) {
  const streams = keptStreams({ env: { PATH: `${join(folder, "bin")}:/usr/bin:/bin`, HOME: folder } });
  const commands = [{ name: "live", summary: "", load: async () => ({ command }) }];
  const status = await runProgram(
    { name: "hiperiso", description: "", examples: [], commands },
    ["live", ...words],
    streams,
    new AbortController().signal,
  );
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("hiperiso live", () => {
  test.each([
    [["build"], /missing required argument 'spec'/],
    [["build", "/none.yaml"], /\/none\.yaml/],
    [["demo", "--variant", "slient"], /one of normal, broken-init, wrong-root, hang, silent, no-acpi-shutdown/],
  ])("%j is wrong usage: status 2", async (words, message) => {
    const { status, stderr, stdout } = await live(...words);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });

  test.each(["a", "a.first_of", "=1", "a.first_of=["])("--set %s is wrong usage", async (setting) => {
    const { status, stderr } = await live("build", plan, "--set", setting);
    expect(status).toBe(2);
    expect(stderr).toMatch(/STAGE\.OPTION=VALUE/);
  });

  test("--set takes YAML, and a fault in it is named there", async () => {
    const { status, stderr } = await live("build", plan, "--set", "a.first_of=[one, 2]");
    expect(status).toBe(2);
    expect(stderr).toContain("--set a.first_of");
  });

  test("a stage that fails ends with status 3, says which and why, and leaves no file", async () => {
    const { status, stderr, stdout } = await live("build", plan, "--store", join(folder, "store"), "--to", join(folder, "x.iso"));
    expect([status, stdout]).toEqual([3, ""]);
    expect(stderr).toMatch(/apt-get|find a package/);
    expect(readdirSync(folder)).not.toContain("x.iso");
    expect(readdirSync(join(folder, "store/work"))).toEqual([]);
  });
});

/** A spec whose stages run no tool but `mksquashfs`, of which a stand-in is enough. */
function specOf(name: string): { readonly spec: string; readonly store: string; readonly source: string } {
  const at = join(folder, name);
  mkdirSync(join(at, "root/etc"), { recursive: true });
  writeFileSync(join(at, "root/etc/issue"), "hello\n");
  writeFileSync(
    join(at, "spec.yaml"),
    "name: small\nepoch: 1767225600\nresult: { stage: image, file: root.squashfs }\nstages:\n" +
      "  root: { kind: rootfs, files: root }\n  image: { kind: squashfs, inputs: { root: root } }\n",
  );
  return { spec: join(at, "spec.yaml"), store: join(at, "store"), source: join(at, "root/etc/issue") };
}

const hasSquashfs = existsSync("/usr/bin/mksquashfs");

describe.skipIf(!hasSquashfs)("hiperiso live build", () => {
  test("prints the result's path, and beside it what was built, sizes and times", async () => {
    const { spec, store } = specOf("prints");
    const first = await live("build", spec, "--store", store);
    expect([first.status, first.stdout.trim().startsWith(join(store, "outputs"))]).toEqual([0, true]);
    expect(first.stderr).toMatch(/small: 2 stages, 0 kept, 2 built\n {2}root .*\n {2}image .*\nimage: [\d.]+ KiB, SHA-256 [0-9a-f]{64}\n/);
    const second = await live("build", spec, "--store", store, "--explain", "--to", join(folder, "mine.squashfs"));
    expect(second.stderr).toMatch(/small: 2 stages, 2 kept, 0 built/);
    expect(second.stderr).toMatch(/root {3}kept {3}[0-9a-f]{12} {2}its output is kept/);
    expect(second.stdout).toBe(`${join(folder, "mine.squashfs")}\n`);
    expect(readFileSync(join(folder, "mine.squashfs")).equals(readFileSync(first.stdout.trim()))).toBe(true);
  });

  test("--dry-run says why, and builds nothing", async () => {
    const { spec, store, source } = specOf("dry");
    expect((await live("build", spec, "--store", store, "--dry-run")).stdout).toMatch(
      /^root {3}would be built .*it was never built\nimage {2}would be built/,
    );
    expect(readdirSync(join(store, "outputs"))).toEqual([]);
    await live("build", spec, "--store", store);
    writeFileSync(source, "changed\n");
    const { stdout } = await live("build", spec, "--store", store, "--dry-run");
    expect(stdout).toMatch(/^root {3}would be built .*changed: .*\nimage {2}would be built .*changed: input root\n$/);
  });

  test("--stage builds that one, and prints its folder", async () => {
    const { spec, store } = specOf("alone");
    const { status, stdout } = await live("build", spec, "--store", store, "--stage", "root");
    expect([status, readdirSync(stdout.trim()).includes("root.tar")]).toEqual([0, true]);
  });

  test("--json prints the same as a value", async () => {
    const { spec, store } = specOf("json");
    const { stdout } = await live("build", spec, "--store", store, "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      plan: "small",
      tests: [],
      stages: [{ name: "root", reused: false }, { name: "image" }],
      sha256: expect.any(String),
    });
  });

  test("--twice says that both are the same", async () => {
    const { spec, store } = specOf("twice");
    const { status, stderr, stdout } = await live("build", spec, "--store", store, "--twice");
    expect([status, existsSync(stdout.trim())]).toEqual([0, true]);
    expect(stderr).toContain("small: two builds gave the same bytes in all of 2 stages");
  });

  test.each([
    [["--to", "x", "--stage", "root"]],
    [["--to", "x", "--dry-run"]],
    [["--twice", "--dry-run"]],
    [["--jobs", "0"]],
    [["--variant", "none"]],
    [["--stage", "none"]],
    [["--set", "none.x=1"]],
  ])("%j is wrong usage", async (flags) => {
    const { spec, store } = specOf("usage");
    expect((await live("build", spec, "--store", store, ...flags)).status).toBe(2);
  });
});

describe("hiperiso live graph", () => {
  test.each([
    [[], /^image \(squashfs\) → root\.squashfs\n└─ root \(rootfs\)\n$/],
    [["--format", "dot"], /^digraph "small" \{/],
    [["--format", "svg"], /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg"/],
    [["--json"], /"plan": "small"/],
  ])("%j draws", async (flags, drawing) => {
    const { status, stdout } = await live("graph", specOf("graph").spec, ...flags);
    expect([status, stdout]).toEqual([0, expect.stringMatching(drawing)]);
  });

  test.skipIf(!hasSquashfs)("--state says what is kept", async () => {
    const { spec, store } = specOf("state");
    await live("build", spec, "--store", store, "--stage", "root");
    expect((await live("graph", spec, "--store", store, "--state")).stdout).toBe(
      "image (squashfs) → root.squashfs  [to build]\n└─ root (rootfs)  [kept]\n",
    );
  });
});

describe("hiperiso live gc", () => {
  test.skipIf(!hasSquashfs)("removes what no last build needs, and says so", async () => {
    const { spec, store, source } = specOf("gc");
    await live("build", spec, "--store", store);
    writeFileSync(source, "changed\n");
    await live("build", spec, "--store", store);
    expect((await live("gc", "--store", store, "--dry-run")).stdout).toMatch(/^rootfs .*\nsquashfs .*\nwould free .* kept in /s);
    expect(readdirSync(join(store, "outputs"))).toHaveLength(4);
    expect((await live("gc", "--store", store)).stdout).toMatch(/^rootfs .*\nsquashfs .*\nfreed /s);
    expect(readdirSync(join(store, "outputs"))).toHaveLength(2);
    expect((await live("build", spec, "--store", store)).stderr).toContain("2 kept, 0 built");
    const { stdout } = await live("gc", "--store", store, "--all", "--json");
    expect(JSON.parse(stdout)).toMatchObject({ removed: [{}, {}], keptBytes: 0, dryRun: false });
  });

  test("--cache removes what was fetched, but not while a build is running", async () => {
    const store = join(folder, "gc-cache");
    mkdirSync(join(store, "cache/apt-archives"), { recursive: true });
    writeFileSync(join(store, "cache/apt-archives/x.deb"), Buffer.alloc(100_000, 1));
    const { pid, pid_start_ticks, boot_id } = ownIdentity();
    const pin = join(store, "pins", `${pid}-${pid_start_ticks}-${boot_id.replaceAll("-", "_")}-00000000`);
    mkdirSync(join(store, "pins"));
    writeFileSync(pin, "");
    expect((await live("gc", "--store", store, "--cache")).stderr).toContain("a build is running");
    expect(existsSync(join(store, "cache/apt-archives/x.deb"))).toBe(true);
    rmSync(pin);
    expect((await live("gc", "--store", store, "--cache", "--dry-run")).stdout).toMatch(/^what stages fetched .*\nwould free /s);
    expect(existsSync(join(store, "cache/apt-archives/x.deb"))).toBe(true);
    expect((await live("gc", "--store", store, "--cache")).stdout).toMatch(/^what stages fetched .*\nfreed /s);
    expect(existsSync(join(store, "cache"))).toBe(false);
  });

  test.each([
    ["--older-than", "x"],
    ["--max-size", "much"],
  ])("%s %s is wrong usage", async (...flags) => {
    expect((await live("gc", "--store", join(folder, "none"), ...flags)).status).toBe(2);
  });
});

describe("hiperiso live shell", () => {
  test.skipIf(!hasSquashfs)("runs a command in what a failed stage left, and passes on that it failed", async () => {
    const { spec, store } = specOf("shell");
    const broken = join(folder, "bin/mksquashfs");
    writeFileSync(broken, '#!/bin/sh\ncase "$*" in *-version*) exec /usr/bin/mksquashfs "$@";; esac\necho "out of order" >&2; exit 1\n', {
      mode: 0o755,
    });
    const { status, stderr } = await live("build", spec, "--store", store);
    rmSync(broken);
    expect([status, stderr]).toEqual([3, expect.stringMatching(/out of order.*log\.txt.*hiperiso live shell image/s)]);
    const mark = join(folder, "mark");
    expect((await live("shell", "image", "--store", store, "--", "cp", "log.txt", mark)).status).toBe(0);
    expect(readFileSync(mark, "utf8")).toMatch(/^\$ mksquashfs .*\nout of order\n/s);
    expect((await live("shell", "small.image", "--store", store, "--", "false")).status).toBe(1);
  });

  test("of a stage that did not fail is wrong usage", async () => {
    const { status, stderr } = await live("shell", "none", "--store", join(folder, "shell none"));
    expect([status, stderr]).toEqual([2, expect.stringContaining("a stage that failed")]);
  });
});

describe("hiperiso live new", () => {
  test("lists the examples, and copies one", async () => {
    expect((await live("new")).stdout).toMatch(/^demo +A small live Linux/m);
    const { status, stdout, stderr } = await live("new", join(folder, "mine"), "--example", "demo");
    expect([status, stdout]).toEqual([0, `${join(folder, "mine/demo.yaml")}\n`]);
    expect(stderr).toContain("hiperiso live build");
    expect((await live("new", join(folder, "mine"), "--example", "demo")).status).toBe(2);
  });
});
