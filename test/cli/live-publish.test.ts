import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { publishCommand } from "../../src/cli/live-publish.ts";
import { runProgram } from "../../src/cli/program.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
let spec: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-cli-publish-"));
  mkdirSync(join(folder, "tree/etc"), { recursive: true });
  writeFileSync(join(folder, "tree/etc/hostname"), "mine\n");
  spec = join(folder, "spec.yaml");
  writeFileSync(
    spec,
    "name: mine\nepoch: 1767225600\nresult: { stage: a, file: root.tar }\nstages:\n  a: { kind: seed, directory: { path: tree } }\n",
  );
});
afterEach(() => rmSync(folder, { recursive: true }));

async function publish(...words: string[]) {
  const streams = keptStreams({ env: { PATH: process.env["PATH"], HOME: folder } });
  const commands = [{ name: "publish", summary: "", load: async () => ({ command: publishCommand }) }];
  const status = await runProgram(
    { name: "hiperiso", description: "", examples: [], commands },
    ["publish", ...words],
    streams,
    new AbortController().signal,
  );
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

describe("hiperiso live publish", () => {
  test("builds, publishes what it is told to, and prints the release's folder", async () => {
    const { status, stdout, stderr } = await publish(spec, join(folder, "out"), "--no-test", "--untested", "--sbom");
    expect(stderr).toContain("published root.tar, SHA-256 ");
    expect(status).toBe(0);
    const release = stdout.trim();
    expect(release).toMatch(new RegExp(`^${folder}/out/mine-20260101-[0-9a-f]{12}$`));
    expect(readdirSync(release).sort()).toEqual(["SHA256SUMS", "index.html", "manifest.json", "root.tar", "sbom.cdx.json", "spec.yaml"]);
    const again = await publish(spec, join(folder, "out"), "--no-test", "--untested", "--sbom", "--json");
    expect(JSON.parse(again.stdout)).toMatchObject({
      folder: release,
      image: join(release, "root.tar"),
      manifest: { name: "mine", made_by: expect.stringMatching(/^hiperiso \d/) },
    });
  });

  test("refuses what no boot test has passed: status 1, and says how to publish it all the same", async () => {
    const { status, stdout, stderr } = await publish(spec, join(folder, "out"));
    expect([status, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/found +no boot test/);
    expect(stderr).toContain("--untested");
    expect(() => readdirSync(join(folder, "out"))).toThrow(/ENOENT/);
  });

  test.each([
    [["--no-test"], /--untested beside --no-test/],
    [["--minisign-key", "a", "--gpg-key", "b", "--untested"], /expected +one key/],
  ])("%j is wrong usage: status 2", async (words, message) => {
    const { status, stdout, stderr } = await publish(spec, join(folder, "out"), ...words);
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });

  test("with a key that cannot sign publishes nothing", async () => {
    writeFileSync(join(folder, "key"), "no key\n");
    const { status, stderr } = await publish(spec, join(folder, "out"), "--no-test", "--untested", "--minisign-key", join(folder, "key"));
    expect(status).toBe(2);
    expect(stderr).toMatch(/cannot sign by minisign/);
    expect(readdirSync(join(folder, "out"))).toEqual([]);
  });
});
