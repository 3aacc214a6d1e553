/** apt itself, on a repository of files that the test makes: packages come, change and go. */
import { spawnSync } from "node:child_process";
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { decodePackageRecord } from "../../src/live/stages/package.ts";
import { sha256 } from "../../src/live/tool.ts";

const tools = ["apt-get", "apt-cache", "apt-config", "dpkg-deb"];
const hasApt = (await Promise.all(tools.map((name) => lookForTool(name, process.env)))).every((path) => path !== undefined);

let folder: string;
let env: NodeJS.ProcessEnv;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-apt-"));
  for (const name of ["repository", "state/lists/partial", "cache/archives/partial", "etc", "plan"])
    await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, "etc/sources.list"), `deb [trusted=yes] copy:${folder}/repository ./\n`);
  await writeFile(join(folder, "state/status"), "");
  await writeFile(
    join(folder, "apt.conf"),
    `Dir::Etc "${folder}/etc"; Dir::Etc::sourceparts "-"; Dir::State "${folder}/state"; Dir::State::status "${folder}/state/status"; Dir::Cache "${folder}/cache"; APT::Architecture "amd64"; APT::Sandbox::User "";\n`,
  );
  env = { PATH: process.env["PATH"], HOME: folder, APT_CONFIG: join(folder, "apt.conf") };
  await writeFile(
    join(folder, "plan/plan.yaml"),
    "name: p\nepoch: 1767225600\nresult: { stage: file, file: word }\nstages:\n" +
      '  package: { kind: package, first_of: [no-such, linux-image-test], follow: "^linux-modules-" }\n' +
      "  file: { kind: unpack, inputs: { package: package }, files: { word: [none, usr/share/word] } }\n",
  );
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** Replaces all that the mirror has by one version of both packages. */
async function publish(version: string): Promise<void> {
  const repository = join(folder, "repository");
  for (const name of await readdir(repository)) await rm(join(repository, name));
  const records: string[] = [];
  for (const [name, depends] of [
    ["linux-image-test", "linux-modules-test, libc6"],
    ["linux-modules-test", "kmod"],
  ] as const) {
    const tree = join(folder, "tree");
    await mkdir(join(tree, "DEBIAN"), { recursive: true });
    await mkdir(join(tree, "usr/share"), { recursive: true });
    const control = `Package: ${name}\nVersion: ${version}\nArchitecture: all\nMaintainer: nobody\nDepends: ${depends}\nDescription: test\n`;
    await writeFile(join(tree, "DEBIAN/control"), control);
    if (name === "linux-modules-test") await writeFile(join(tree, "usr/share/word"), `word ${version}`);
    const file = `${name}_${version}_all.deb`;
    expect(spawnSync("dpkg-deb", ["--build", tree, join(repository, file)]).status).toBe(0);
    await rm(tree, { recursive: true });
    const bytes = await readFile(join(repository, file));
    records.push(`${control}Filename: ./${file}\nSize: ${(await stat(join(repository, file))).size}\nSHA256: ${sha256(bytes)}\n`);
  }
  await writeFile(join(repository, "Packages"), records.join("\n"));
}

const updateSystem = () => expect(spawnSync("apt-get", ["-qq", "update"], { env, encoding: "utf8" })).toMatchObject({ status: 0 });
const build = (store = "store") => buildPlan(join(folder, "plan/plan.yaml"), { store: join(folder, store), env }, quietJob);
const word = async (store?: string): Promise<string> => await readFile((await build(store)).output, "utf8");

describe.skipIf(!hasApt)("packages of the distribution", () => {
  test("are fetched with the dependencies that are followed, and not installed", async () => {
    await publish("1");
    updateSystem();
    expect(await word()).toBe("word 1");
    const packages = join(folder, "store/outputs", (await build()).stages.find(({ name }) => name === "package")!.hash);
    expect((await readdir(packages)).sort()).toEqual(["linux-image-test_1_all.deb", "linux-modules-test_1_all.deb"]);
  });

  test("are found where the computer has no package lists", async () => {
    await publish("1");
    expect(await word()).toBe("word 1");
    expect(await readdir(join(folder, "state/lists"))).toEqual(["partial"]);
  });

  test("are found where the computer's lists name what the mirror no longer has", async () => {
    await publish("1");
    updateSystem();
    await publish("2");
    expect(await word()).toBe("word 2");
    const again = await build();
    expect(again.stages.every(({ reused }) => reused)).toBe(true);
  });

  test("of a new version are taken when the lists say so, and not before", async () => {
    await publish("1");
    updateSystem();
    expect(await word()).toBe("word 1");
    await publish("2");
    expect(await word()).toBe("word 1");
    updateSystem();
    expect(await word()).toBe("word 2");
  });

  test("that the mirror gives with other bytes are refused", async () => {
    await publish("1");
    updateSystem();
    const [file] = (await readdir(join(folder, "repository"))).filter((name) => name.startsWith("linux-image"));
    const bytes = await readFile(join(folder, "repository", file!));
    bytes[bytes.length - 1]! ^= 1;
    await writeFile(join(folder, "repository", file!), bytes);
    await expect(build()).rejects.toThrow(/build stage package: .*linux-image-test/s);
  });

  test("that no source has are named", async () => {
    await writeFile(join(folder, "repository/Packages"), "");
    await expect(build()).rejects.toThrow(/find a package: no-such or linux-image-test: .*Check the package sources/);
  });
});

describe("a record of apt-cache", () => {
  const record = `Package: linux-image-6.8.0-31-generic\nVersion: 6.8.0-31.31\nPre-Depends: dpkg (>= 1.17)\nDepends: kmod, linux-base (>= 4.5), linux-modules-6.8.0-31-generic | other:any\nSHA256: ${"ab".repeat(32)}\nDescription: x\n`;

  test("gives version, digest and names of dependencies", () => {
    expect(decodePackageRecord(record)).toEqual({
      name: "linux-image-6.8.0-31-generic",
      version: "6.8.0-31.31",
      sha256: "ab".repeat(32),
      depends: ["dpkg", "kmod", "linux-base", "linux-modules-6.8.0-31-generic", "other"],
    });
  });

  test.each([
    ["of a virtual package", ""],
    ["without a digest", record.replace(/SHA256.*\n/, "")],
    ["with half a digest", record.replace(/ab\n/, "\n")],
  ])("%s gives nothing", (_, text) => {
    expect(decodePackageRecord(text)).toBeUndefined();
  });
});
