import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { command } from "../../src/cli/bootstrap.ts";
import { askedOf, bootstrapCommand } from "../../src/cli/bootstrap-options.ts";
import { runProgram } from "../../src/cli/program.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { makeSmallTree } from "../bootstrap/small-tree.ts";
import { keptStreams } from "./streams.ts";

let folder: string;
let root: string;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "hiperiso-bootstrap-plan-"));
  ({ root } = await makeSmallTree(join(folder, "tree")));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function plan(...options: string[]) {
  const streams = keptStreams();
  const program = {
    name: "hiperiso",
    description: "",
    examples: [],
    commands: [{ name: "bootstrap", summary: "", load: async () => ({ command }) }],
  };
  const status = await runProgram(program, ["bootstrap", "plan", "--tree", root, ...options], streams, new AbortController().signal);
  return { status, stdout: streams.stdout(), stderr: streams.stderr() };
}

/** What a line of options means, as the commands take it. */
function asked(...line: string[]) {
  const parsed = bootstrapCommand("x")
    .exitOverride()
    .configureOutput({ writeErr: () => {}, writeOut: () => {} });
  parsed.parse(line, { from: "user" });
  return askedOf(parsed.opts()).options;
}

describe("hiperiso bootstrap plan", () => {
  test("prints a page", async () => {
    const { status, stdout, stderr } = await plan("-q", "--external-sources", "-m", "http://mirror");
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    // The importer is a program of ours that changes; what is counted with it is left out here.
    const page = stdout.replaceAll(/\d[\d.]* (?:KiB|MiB) +at most/g, "SIZE at most");
    expect(page).toMatchInlineSnapshot(`
      "Bootstrap of x86 from a boot sector of hand-readable code, for QEMU, late sources on a payload disk.

      Disks
        init.img      boot sector and source file system  content 1.00 MiB  file 16.0 GiB
        external.img  payload container (LBPAYLD1), raw   content 45.1 KiB  file 46.0 KiB

      Import of the payload
        line 11 of the target's manifest, behind "jump: fiwix"
        because: right behind the first kernel that can read a second disk, and everything fits

      Added to the target; the checkout stays as it is
        steps/payload-import-1.0/pass1.kaem            the importer; the checkout has none
        steps/payload-import-1.0/src/payload-import.c  the importer; the checkout has none
        steps/improve/import_payload.sh                calls the importer; kaem reads it in line 11
        steps/manifest                                 with the import's lines
        steps/bootstrap.cfg                            the configuration

      Early, in external/distfiles: steps before line 11, "improve: import_payload": 3 files, 4.91 KiB
        seed-cc-0.1.tar.gz       700 bytes  seed-cc-0.1
        parser-1.0.tar.gz        1.64 KiB   seed-cc-0.1
        small-kernel-1.0.tar.gz  2.59 KiB   small-kernel-1.0

      Late, in external.img, sorted by name there: steps behind line 11, "improve: import_payload": 7 files, 44.9 KiB
        maker-1.2.tar                3.55 KiB  maker-1.2
        bash-2.05b.tar.gz            4.50 KiB  bash-2.05b
        big-kernel-4.0.tar.xz        5.45 KiB  big-kernel-4.0
        big-kernel-4.0.patch         6.41 KiB  big-kernel-4.0
        fetcher-8.0.tar.gz           7.36 KiB  fetcher-8.0
        late-1.0.tar.gz              8.32 KiB  late-1.0
        dl.php?file=late-2.0.tar.xz  9.27 KiB  late-2.0

      Limits of the early code
        holds  sector of the source file system  175        exactly 175
        holds  file slots                        94         at most 14332
        holds  bytes of all files                SIZE at most 1.63 GiB
        holds  longest file                      SIZE at most 4.00 GiB
        holds  longest name                      53 bytes   at most 1022 bytes
        holds  files beside the memory disk      SIZE at most 315 MiB
        holds  first image below the partition   SIZE at most 1.00 GiB
        holds  memory                            4096 MiB   at least 4096 MiB
        holds  memory disk                       SIZE at most 1.32 GiB
        holds  hand-over area                    SIZE at most 195 MiB
        holds  payload disk under Fiwix          SIZE at most 4.00 GiB
        holds  size of the first disk            16384 MiB  at least 1025 MiB

      Story: 21 steps
        /steps/0.sh, read by kaem: the first one
            1  build: sum-1.0               line 5
            2  build: seed-cc-0.1           line 6
            3  build: small-kernel-1.0      line 8
            4  build: payload-import-1.0    line 9
            5  jump: fiwix                  line 10
        /steps/1.sh, read by kaem: the jump fiwix
            6  improve: import_payload    line 11
            7  improve: reconfigure       line 12
            8  build: maker-1.2           line 14
            9  build: bash-2.05b          line 15
        /steps/2.sh, read by bash: bash-2.05b was built
           10  improve: update_env                              line 16
           11  build: maker-1.2                         pass 2  line 19
           12  uninstall: maker-1.2 /usr/bin/left-over          line 20
           13  build: big-kernel-4.0                            line 22
           14  improve: populate_device_nodes                   line 24
           15  jump: linux                                      line 25
        /steps/3.sh, read by bash: the jump linux
           16  jump: move_disk    line 26
        /steps/4.sh, read by bash: the jump move_disk
           17  build: fetcher-8.0      line 27
           18  improve: get_network    line 28
           19  build: late-1.0         line 29
           20  build: late-2.0         line 30
           21  improve: after          line 31
        does not run
          line 18  improve: open_console ( CONSOLES == True )  ( CONSOLES == True ) does not hold
          line 23  jump: break ( INTERNAL_CI == pass1 )        ( INTERNAL_CI == pass1 ) does not hold

      Warnings
        steps/late-2.0/sources: the last line has no newline, so the guest will not see it.
      "
    `);
  });

  test("--json prints the plan", async () => {
    const { status, stdout } = await plan("-q", "--external-sources", "-m", "http://mirror", "--json");
    const made = JSON.parse(stdout) as Record<string, unknown>;
    expect(status).toBe(0);
    expect(made).toMatchObject({ mode: "qemu", form: "kernel-bootstrap", payload: true, import: { after: "jump: fiwix", line: 11 } });
    expect(Object.keys(made)).toEqual(
      expect.arrayContaining([
        "configuration",
        "manifest",
        "additions",
        "story",
        "early",
        "late",
        "network",
        "strays",
        "disks",
        "limits",
        "warnings",
      ]),
    );
  });

  test("ends with 1 where media cannot be made", async () => {
    const small = ["-q", "-qk", "vmlinuz", "--target-size", "1G", "--external-sources", "-m", "http://mirror"];
    const { status, stdout } = await plan(...small);
    expect(status).toBe(1);
    expect(stdout).toMatch(/BROKEN +content of disk\.img/);
  });

  test("ends with 2 on wrong options, without a page", async () => {
    const { status, stdout, stderr } = await plan("-q", "-bw", "-m", "http://mirror");
    expect({ status, stdout }).toEqual({ status: 2, stdout: "" });
    expect(stderr).toMatch(/exactly one of --chroot, --bwrap, --qemu, --bare-metal/);
  });

  test("text of the checkout does nothing to a terminal", async () => {
    const sum = "0".repeat(64);
    const { root: evil } = await makeSmallTree(join(folder, "evil"), {
      files: {
        "steps/manifest": "build: \u009b31mpkg\u202e\n",
        "steps/\u009b31mpkg\u202e/sources": `f http://x/\u009b2Jname ${sum}\n`,
        "distfiles/stray\u001b]0;x": "",
      },
    });
    const { stdout, stderr, status } = await plan("--tree", evil, "--chroot", "-m", "http://mirror");
    expect({ stderr, status }).toEqual({ stderr: "", status: 0 });
    expect(stdout).not.toMatch(/[\0-\x09\x0b-\x1f\x7f-\x9f\u202e]/);
    expect(stdout).toContain("2Jname");
  });
});

describe("options have the original's names", () => {
  test.each([
    [["-c"], { mode: "chroot" }],
    [["-bw"], { mode: "bwrap" }],
    [["--bwrap"], { mode: "bwrap" }],
    [["-b"], { mode: "bare-metal" }],
    [
      ["-q", "-qc", "my-qemu", "-qr", "8192", "-qs", "32G", "-qk", "vmlinuz"],
      { qemuCmd: "my-qemu", qemuRamMib: 8192, targetSizeMib: 32_768, kernel: "vmlinuz" },
    ],
    [
      ["-q", "-qc=my-qemu", "-qr=8192", "-qs=32G", "-qk=vmlinuz"],
      { qemuCmd: "my-qemu", qemuRamMib: 8192, targetSizeMib: 32_768, kernel: "vmlinuz" },
    ],
    [["--qemu", "--qemu-cmd", "q", "--qemu-ram", "1", "--target-size", "1", "--kernel", "k"], { qemuCmd: "q", kernel: "k" }],
    [
      ["-q", "-a", "amd64", "-t", "there", "-r", "repo", "-s", "2G", "-i"],
      { arch: "amd64", target: "there", repo: "repo", swapMib: 2048, interactive: true },
    ],
    [["-q", "--early-preseed", "p.tar", "--internal-ci", "pass1"], { earlyPreseed: "p.tar", internalCi: "pass1" }],
    [["-c", "--tmpfs", "--tmpfs-size", "4G", "--cores", "8"], { tmpfs: true, tmpfsSize: "4G", cores: 8 }],
    [
      ["-c", "--force-timestamps", "--update-checksums", "--build-kernels"],
      { forceTimestamps: true, updateChecksums: true, buildKernels: true },
    ],
    [
      ["-c", "--no-create-config", "--configurator", "--external-sources"],
      { createConfig: false, configurator: true, externalSources: true },
    ],
    [["-q", "--build-guix-also"], { buildGuixAlso: true }],
  ])("%j", (line, options) => {
    expect(asked(...line, "-m", "http://a", "http://b")).toMatchObject({ ...options, mirrors: ["http://a", "http://b"] });
  });

  test("mirrors end at the next option", () => {
    expect(asked("-m", "http://a", "file:///b", "-bw")).toMatchObject({ mirrors: ["http://a", "file:///b"], mode: "bwrap" });
  });

  test.each([[["-q", "-qc"]], [["-q", "--nonsense"]], [["-q", "stray"]], [["-q", "-m"]]])("%j is refused", (line) => {
    expect(() => asked(...line)).toThrow();
  });

  test("what is refused later is told by its long name", () => {
    try {
      asked("-q", "-qs", "0", "-m", "http://a");
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(HiperisoError);
      expect((error as HiperisoError).where).toBe("--target-size");
    }
  });
});
