import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { once } from "node:events";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, rmSync, truncateSync, watch, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readRecord } from "../../src/bootstrap/prepared.ts";
import { command } from "../../src/cli/bootstrap.ts";
import { runProgram } from "../../src/cli/program.ts";
import { testFolder } from "../bootstrap/folder.ts";
import { makeSmallTree } from "../bootstrap/small-tree.ts";
import { type BuiltProgram, buildProgram } from "./built-program.ts";
import { keptStreams } from "./streams.ts";

const folder = testFolder("cli-prepare");
let distfiles: ReadonlyMap<string, Uint8Array>;
beforeAll(async () => {
  ({ distfiles } = await makeSmallTree(folder.at("lb")));
});

async function bootstrap(...words: string[]) {
  const streams = keptStreams({ env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", HOME: folder.at(".") } });
  const program = {
    name: "hiperiso",
    description: "",
    examples: [],
    commands: [{ name: "bootstrap", summary: "", load: async () => ({ command }) }],
  };
  const status = await runProgram(program, ["bootstrap", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}
const prepare = (target: string, ...words: string[]) =>
  bootstrap("prepare", "--tree", folder.at("lb"), "--target", folder.at(target), ...words);
/** Nobody answers there: what is in the folder of distfiles has to do. */
const nobody = ["-m", "http://127.0.0.1:1"];

describe("hiperiso bootstrap prepare", () => {
  test("says what it made, what does not survive in it, and what to run next", async () => {
    const { status, stdout, stderr } = await prepare("first", "-q", "--external-sources", "--target-size", "3M", ...nobody);
    expect(status).toBe(0);
    expect(stdout.replaceAll(folder.at("."), "FOLDER")).toBe(
      `FOLDER/first/init.img  boots; boot sector and sources, 3145728 bytes
FOLDER/first/external.img  payload container LBPAYLD1, 47104 bytes
next: hiperiso bootstrap boot --target FOLDER/first
`,
    );
    expect(stderr).toContain("files without a byte do not reach the next kernel: steps/SHA256SUMS.pkgs, x86/nothing.txt");
    expect(stderr).toContain("folders without a file that has one do not reach the next kernel: x86/artifact");
  });

  test.each([
    [["-c"], "the root of a chroot", "hiperiso bootstrap run"],
    [["-bw"], "the root of a sandbox", "hiperiso bootstrap run"],
    [["-b"], "boots; boot sector and sources, 1048576 bytes", "next: write the images to disks"],
  ])("%j: %s", async (words, made, next) => {
    const { status, stdout } = await prepare(`mode${words.join("")}`, ...words, ...nobody);
    expect(status).toBe(0);
    expect(stdout).toContain(made);
    expect(stdout).toContain(next);
  });

  test("--json gives the same to programs", async () => {
    const { stdout } = await prepare("json", "-b", ...nobody, "--json");
    expect(JSON.parse(stdout)).toMatchObject({
      target: folder.at("json"),
      form: "kernel-bootstrap",
      outputs: [{ name: "init.img", kind: "boot-sector-and-sources", size_bytes: 1_048_576 }],
      next: null,
    });
  });

  test("brings what is missing from a mirror, and replaces what is damaged", async () => {
    await makeSmallTree(folder.at("bare"), { distfiles: [] });
    mkdirSync(folder.at("mirror"));
    for (const [name, bytes] of distfiles) writeFileSync(folder.at(`mirror/${name}`), bytes);
    writeFileSync(folder.at("bare/distfiles/bash-2.05b.tar.gz"), "<html>not found</html>");
    const words = ["prepare", "--tree", folder.at("bare"), "-b", "-t", folder.at("fetched"), "-m", `file://${folder.at("mirror")}`];
    const offline = await bootstrap(...words, "--no-fetch");
    expect(offline.status).toBe(2);
    expect(offline.stderr).toMatch(/seed-cc-0\.1\.tar\.gz missing, .*bash-2\.05b\.tar\.gz damaged/);
    const { status, stdout } = await bootstrap(...words);
    expect(status).toBe(0);
    expect(readFileSync(folder.at("bare/distfiles/bash-2.05b.tar.gz"))).toEqual(Buffer.from(distfiles.get("bash-2.05b.tar.gz")!));
    // The folder is served while the guest runs, at an address that stands in the configuration now.
    const record = await readRecord(folder.at("fetched"));
    expect(record?.mirrors).toEqual([{ folder: folder.at("mirror"), port: expect.any(Number) as number }]);
    expect(record?.plan.configuration).toContain(`MIRRORS="http://127.0.0.1:${record?.mirrors[0]?.port}"\nMIRRORS_LEN=1\n`);
    expect(stdout).toContain(`is served at http://127.0.0.1:${record?.mirrors[0]?.port}`);
    // The same folder has the same port: the image is the same.
    await bootstrap(...words, "--replace");
    expect((await readRecord(folder.at("fetched")))?.mirrors).toEqual(record?.mirrors);
  });

  test("what nobody has is named, every file of it", async () => {
    await makeSmallTree(folder.at("none"), { distfiles: [], urlBase: "http://127.0.0.1:1" });
    const { status, stderr } = await bootstrap("prepare", "--tree", folder.at("none"), "-b", "-t", folder.at("nothing"), ...nobody);
    expect(status).toBe(3);
    for (const name of ["seed-cc-0.1.tar.gz", "maker-1.2.tar", "fetcher-8.0.tar.gz"]) expect(stderr).toContain(name);
  });

  test("wrong usage ends with status 2 before anything is made", async () => {
    for (const words of [["-q"], ["-q", "-b", ...nobody], ["-q", "--cores", "0", ...nobody], ["-q", "--repo", "/none", ...nobody]]) {
      expect((await prepare("wrong", ...words)).status).toBe(2);
    }
    expect(readdirSync(folder.at("."))).not.toContain("wrong");
  });
});

describe("hiperiso bootstrap compare", () => {
  test("says that two are the same: status 0", async () => {
    await prepare("same", "-b", ...nobody);
    await prepare("same2", "-b", ...nobody);
    expect(await bootstrap("compare", folder.at("same"), folder.at("same2"))).toMatchObject({ status: 0, stdout: "the same\n" });
    expect(JSON.parse((await bootstrap("compare", folder.at("same"), folder.at("same2"), "--json")).stdout)).toEqual({ same: true });
  });

  test("names the first byte that differs: status 1; a name cannot act on the terminal", async () => {
    await prepare("one", "-b", ...nobody);
    mkdirSync(folder.at("two"));
    copyFileSync(folder.at("one/init.img"), folder.at("two/init.img"));
    const bytes = readFileSync(folder.at("two/init.img"));
    const at = bytes.indexOf("# What the small tree asks");
    bytes[at]! ^= 1;
    writeFileSync(folder.at("two/init.img"), bytes);
    const { status, stdout } = await bootstrap("compare", folder.at("one"), folder.at("two"));
    expect(status).toBe(1);
    expect(stdout).toBe(
      `init.img: srcfs entry steps/configurator, byte 0 (byte ${at} of the file): 0x23 in the first, 0x22 in the second\n`,
    );
    rmSync(folder.at("two/init.img"));
    writeFileSync(folder.at("two/\u001b[31minit"), "");
    expect((await bootstrap("compare", folder.at("one"), folder.at("two"))).stdout).not.toContain("\u001b");
  });

  test("what is not there is wrong usage", async () => {
    expect((await bootstrap("compare", folder.at("lb"), folder.at("absent"))).status).toBe(2);
  });
});

describe("a process that is killed while it writes", () => {
  let program: BuiltProgram;
  beforeAll(() => {
    program = buildProgram();
  });
  afterAll(() => program.remove());

  test("leaves no image under its name; the next run completes the target", async () => {
    // Large enough that the writing is seen; mostly a hole, so that it takes no room.
    const large = folder.at("lb/distfiles/seed-cc-0.1.tar.gz");
    const kept = readFileSync(large);
    truncateSync(large, 300_000_000);
    const sum = createHash("sha256").update(readFileSync(large)).digest("hex");
    const sources = folder.at("lb/steps/seed-cc-0.1/sources");
    const text = readFileSync(sources, "utf8");
    writeFileSync(sources, text.replace(createHash("sha256").update(kept).digest("hex"), sum));
    const driver = `${program.folder}/prepare.mjs`;
    const [main, commands] = ["cli/program.js", "cli/bootstrap.js"].map((name) => pathToFileURL(program.module(name)).href);
    writeFileSync(
      driver,
      `import { main } from "${main}"; import { command } from "${commands}";
await main({ name: "hiperiso", description: "", examples: [], commands: [{ name: "bootstrap", summary: "", load: async () => ({ command }) }] });`,
    );
    const words = ["bootstrap", "prepare", "--tree", folder.at("lb"), "-t", folder.at("killed"), "-b", ...nobody];
    mkdirSync(folder.at("killed"));
    const child = spawn(process.execPath, [driver, ...words], { stdio: "ignore" });
    const watcher = watch(folder.at("killed"), (_, name) => {
      if (name?.startsWith(".bootstrap-")) child.kill("SIGKILL");
    });
    const [, signal] = (await once(child, "close")) as [number | null, string | null];
    watcher.close();
    expect(signal).toBe("SIGKILL");
    const left = readdirSync(folder.at("killed")).sort();
    expect(left).toEqual([expect.stringMatching(/^\.bootstrap-[0-9a-f]{8}\.tmp$/), "bootstrap.json"]);
    expect((await readRecord(folder.at("killed")))?.state).toBe("making");

    const { status } = await prepare("killed", "-b", ...nobody);
    expect(status).toBe(0);
    expect(readdirSync(folder.at("killed")).sort()).toEqual(["bootstrap.json", "init.img"]);
    expect((await readRecord(folder.at("killed")))?.state).toBe("complete");
  });
});
