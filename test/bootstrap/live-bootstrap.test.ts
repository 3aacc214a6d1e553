/**
 * The same as the tree's own generator, on a real checkout of live-bootstrap. Runs where HIPERISO_LIVE_BOOTSTRAP names one, with its
 * submodules; nothing in it is changed. Python 3 runs its `source_manifest.py` and reads its `rootfs.py`.
 */
import { spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { encodeConfiguration } from "../../src/bootstrap/configuration.ts";
import { checkOptions, hasPayload, type RawOptions } from "../../src/bootstrap/options.ts";
import { planBootstrap } from "../../src/bootstrap/plan.ts";
import { readPlanFacts } from "../../src/bootstrap/plan-facts.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";

const tree = process.env["HIPERISO_LIVE_BOOTSTRAP"];

let folder: string;
let copy: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-live-bootstrap-"));
  copy = join(folder, "tree");
  if (tree === undefined) return;
  mkdirSync(copy);
  for (const name of ["lib", "rootfs.py", "steps"]) cpSync(join(tree, name), join(copy, name), { recursive: true });
  // Downloads nothing here; the module may not be installed.
  mkdirSync(join(folder, "stub"));
  writeFileSync(join(folder, "stub/requests.py"), "class HTTPError(Exception): pass\nclass RequestException(Exception): pass\n");
});
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs Python beside the original; `said` is what the program prints as JSON. */
function python(program: string, input: unknown): unknown {
  const env = { ...process.env, PYTHONPATH: `${join(folder, "stub")}:${copy}`, PYTHONDONTWRITEBYTECODE: "1" };
  const { stdout, stderr, status } = spawnSync("python3", ["-c", program], {
    cwd: copy,
    env,
    input: JSON.stringify(input),
    encoding: "utf8",
  });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout);
}

type Entry = readonly [sha256: string, folder: string, url: string, name: string];

describe.skipIf(tree === undefined)("a real checkout (HIPERISO_LIVE_BOOTSTRAP names one)", () => {
  const plan = async (raw: RawOptions) => {
    const options = checkOptions({ mirrors: ["http://m"], ...raw });
    const checkout = await readCheckout(tree!, quietJob);
    return planBootstrap(checkout, options, await readPlanFacts(join(folder, "none"), options, quietJob));
  };

  test("wants the same files, in the same order, from the same addresses", async () => {
    const { full, early } = python(
      "import json\nfrom lib.generator import Generator as g\nprint(json.dumps({'full': g.get_source_manifest(False), 'early': g.get_source_manifest(True)}))",
      null,
    ) as { full: readonly Entry[]; early: readonly Entry[] };
    const namesOf = (entries: readonly Entry[]) => [...new Set(entries.map(([, , , name]) => name))];
    const guestFetches = await plan({ qemu: true });
    expect(guestFetches.early.map(({ name }) => name)).toEqual(namesOf(early));
    expect([...guestFetches.early, ...guestFetches.network].map(({ name }) => name)).toEqual(namesOf(full));
    const whole = await plan({ chroot: true, externalSources: true });
    expect(whole.early.map(({ name }) => name)).toEqual(namesOf(full));
    for (const { name, sha256, urls } of whole.early) {
      const entries = full.filter((entry) => entry[3] === name);
      expect([...new Set(entries.map(([sum]) => sum))]).toEqual([sha256]);
      expect(entries.map(([, , url]) => url).filter((url) => url !== "_")).toEqual(urls);
    }
    const payload = await plan({ qemu: true, externalSources: true });
    expect([...payload.early, ...payload.late].map(({ name }) => name).sort()).toEqual(namesOf(full).sort());
  });

  test("gets the same configuration for every combination of options, and the same are refused", () => {
    const lines: string[][] = [];
    for (const mode of [["-c"], ["-bw"], ["-q"], ["-b"], ["-q", "-bw"], []])
      for (const sources of [[], ["--external-sources"]])
        for (const repo of [[], ["-r", "repo"]])
          for (const kernel of [[], ["-qk", "vmlinuz"]])
            for (const more of [[], ["-i"], ["--update-checksums", "-s", "2G", "--cores", "8"], ["--tmpfs", "-a", "amd64"], ["-qs", "0"]])
              lines.push([...mode, ...sources, ...repo, ...kernel, ...more, "-m", "http://a", "http://b"]);
    const theirs = python(
      `import contextlib, io, json, os, sys
import rootfs
class Stop(Exception): pass
class Target:
    def __init__(self, path): raise Stop()
rootfs.Target = Target
said = []
for line in json.load(sys.stdin):
    sys.argv = ["rootfs.py"] + line
    try:
        with contextlib.redirect_stdout(io.StringIO()): rootfs.main()
    except Stop: said.append(open("steps/bootstrap.cfg").read())
    except ValueError: said.append(None)
print(json.dumps(said))`,
      lines,
    ) as readonly (string | null)[];
    const ours = lines.map((line) => {
      try {
        const options = checkOptions(rawOf(line));
        const text = encodeConfiguration(options, options.mirrors);
        expect(text).toContain(
          `\nINTERACTIVE=${options.interactive ? "True" : "False"}\nPAYLOAD_REQUIRED=${hasPayload(options) ? "True" : "False"}\n`,
        );
        const plain = text.replace(/^PAYLOAD_REQUIRED=.*\n/m, "");
        // There is no second file system then: the original's answer is the one thing that differs.
        return hasPayload(options) ? plain.replace("\nDISK=sda\n", "\nDISK=sdb1\n") : plain;
      } catch (error) {
        if (error instanceof HiperisoError) return null;
        throw error;
      }
    });
    expect(ours).toEqual(theirs);
    expect(theirs.filter((text) => text === null).length).toBeGreaterThan(40);
  });

  test("finds the second stage where its own code looks, and every step's script", async () => {
    const { limits, warnings, story } = await plan({ qemu: true, externalSources: true });
    expect(limits[0]).toMatchObject({ name: "sector of the source file system", value: 175, ok: true });
    expect(limits.filter(({ ok }) => ok === false)).toEqual([]);
    expect(warnings.filter((warning) => warning.includes("will fail"))).toEqual([]);
    expect(story.unset).toEqual([]);
    expect(story.scripts.length).toBeGreaterThan(3);
  });
});

/** The few options of the test above, without the command line's own reader. */
function rawOf(line: readonly string[]): RawOptions {
  const after = (flag: string): string | undefined => (line.includes(flag) ? line[line.indexOf(flag) + 1] : undefined);
  return {
    chroot: line.includes("-c"),
    bwrap: line.includes("-bw"),
    qemu: line.includes("-q"),
    bareMetal: line.includes("-b"),
    externalSources: line.includes("--external-sources"),
    interactive: line.includes("-i"),
    updateChecksums: line.includes("--update-checksums"),
    tmpfs: line.includes("--tmpfs"),
    repo: after("-r"),
    kernel: after("-qk"),
    swap: after("-s"),
    cores: after("--cores"),
    arch: after("-a"),
    targetSize: after("-qs"),
    mirrors: line.slice(line.indexOf("-m") + 1),
  };
}
