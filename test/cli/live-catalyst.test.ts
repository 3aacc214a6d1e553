import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { catalystCommand } from "../../src/cli/live-catalyst.ts";
import { runProgram } from "../../src/cli/program.ts";
import { STAGE1, STAGE2 } from "../live/catalyst/every-key.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-catalyst-"));
  put("one.spec", STAGE1);
  put("two.spec", STAGE2);
});
afterEach(() => rmSync(folder, { recursive: true }));

function put(path: string, text: string): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true });
  writeFileSync(join(folder, path), text);
}

async function catalyst(...words: string[]) {
  const streams = keptStreams({ env: { HOME: folder } });
  const commands = [
    {
      name: "live",
      summary: "",
      load: async () => ({ command: (cli: Parameters<typeof catalystCommand>[0]) => new Command("live").addCommand(catalystCommand(cli)) }),
    },
  ];
  const program = { name: "hiperiso", description: "", examples: [], commands };
  const status = await runProgram(program, ["live", "catalyst", ...words], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}
const at = (path: string) => join(folder, path);

describe("hiperiso live catalyst", () => {
  test("prints a spec, and tells what it leaves out and what has to stand beside it", async () => {
    const { status, stdout, stderr } = await catalyst(at("one.spec"), at("two.spec"));
    expect(status).toBe(0);
    expect(parse(stdout)).toMatchObject({ name: "install-media", epoch: Date.UTC(2026, 0, 2) / 1000, result: { stage: "iso" } });
    expect(stderr).toMatch(/^Not carried over:\n {2}.*one\.spec:\d+: /);
    expect(stderr).toContain("livecd/cdtar: boot loaders come from packages");
    expect(stderr).toContain("install-media/fsscript.sh, from fsscript.sh");
  });

  test("--to writes it, with copies of what the specs name beside it", async () => {
    put("default/stage3-amd64-20260102.tar.gz", "seed");
    put("confdir/package.use/live", "use");
    put("root-overlay/etc/motd", "of the overlay");
    put("root-overlay/etc/issue", "issue");
    put("motd.txt", "motd");
    put("fsscript.sh", "true");
    put("overlay/docs/a", "a");
    put("README.txt", "read me");
    const { status, stdout, stderr } = await catalyst(at("one.spec"), at("two.spec"), "--to", at("new/my.yaml"));
    expect([status, stdout]).toEqual([0, `${at("new/my.yaml")}\n`]);
    expect(stderr).not.toContain("put it at");
    const spec = parse(readFileSync(at("new/my.yaml"), "utf8"));
    expect(spec).toMatchObject({ name: "my", stages: { seed: { tarball: { file: "my/seed.tar.gz" } } } });
    const read = (path: string) => readFileSync(at(`new/my/${path}`), "utf8");
    expect([read("seed.tar.gz"), read("system-stage1/etc/portage/package.use/live"), read("fsscript.sh")]).toEqual(["seed", "use", "true"]);
    // What a spec names by itself counts more than what lies in a folder.
    expect([read("system/etc/motd"), read("system/etc/issue")]).toEqual(["motd", "issue"]);
    expect(read("system/etc/modprobe.d/livecd-blacklist.conf")).toContain("blacklist pcspkr\n");
    expect([read("medium/docs/a"), read("medium/README.txt")]).toEqual(["a", "read me"]);
    expect(readdirSync(at("new")).sort()).toEqual(["my", "my.yaml"]);
  });

  test("what is not there is told, with the place where it belongs", async () => {
    const { status, stderr } = await catalyst(at("one.spec"), "--to", at("my.yaml"));
    expect(status).toBe(0);
    expect(stderr).toContain(
      `default/stage3-amd64-20260102: it was not found; give the folder of catalyst's builds by --builds: put it at ${at("my/seed.tar.xz")}`,
    );
    expect(stderr).toMatch(new RegExp(`confdir: no such file: put it at ${at("my/system-stage1/etc/portage")}`));
  });

  test("--builds says where archives are", async () => {
    put("builds/default/stage3-amd64-20260102.tar.zst", "seed");
    await catalyst(at("one.spec"), "--to", at("my.yaml"), "--builds", at("builds"));
    expect(readFileSync(at("my/seed.tar.zst"), "utf8")).toBe("seed");
  });

  test("nothing that is there is written over", async () => {
    put("my/kept", "kept");
    const { status, stderr } = await catalyst(at("one.spec"), "--to", at("my.yaml"));
    expect(status).toBe(2);
    expect(stderr).toContain(`${at("my")}`);
    expect([existsSync(at("my.yaml")), readdirSync(at("my"))]).toEqual([false, ["kept"]]);
  });

  test.each([
    [["two.spec", "two.spec"], /a second spec for livecd-stage2/],
    [["none.spec"], /none\.spec/],
    [["bad.spec"], /bad\.spec:2: expected target: livecd-stage1 or livecd-stage2, found the target stage4/],
  ])("%j is wrong usage", async (names, message) => {
    put("bad.spec", "# \u001b[31m\ntarget: stage4\n");
    const { status, stdout, stderr } = await catalyst(...names.map(at));
    expect([status, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(message);
  });

  test("--json, --name and --packages", async () => {
    const { stdout } = await catalyst(at("two.spec"), "--json", "--name", "mine", "--packages", "apt");
    const { spec, beside, not_carried } = JSON.parse(stdout);
    expect(spec.name).toBe("mine");
    expect(spec.stages["kernel-system"].packages).toContain("grub-pc-bin");
    expect(beside).toContainEqual({ kind: "file", from: "fsscript.sh", to: "mine/fsscript.sh" });
    expect(not_carried).toContainEqual(expect.objectContaining({ key: "livecd/cdtar", path: at("two.spec") }));
    expect((await catalyst(at("two.spec"), "--name", "No")).status).toBe(2);
    expect((await catalyst(at("two.spec"), "--packages", "dnf")).status).toBe(2);
  });
});
