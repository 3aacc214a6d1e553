/**
 * A target that was prepared from the small tree boots, and its console is followed step by step. The tree's own second stage sends
 * `kaem.x86` as if that were what running it prints, so each test says what its build prints.
 */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { makeSmallTree } from "../bootstrap/small-tree.ts";
import { onlySession, run, type Workplace, workplace } from "./harness.ts";

/** What the steps of the small tree print until the kernel that bash runs in. */
const KAEM = [
  " +> pkg=sum-1.0 ",
  " +> kaem --file pass1.kaem ",
  "/usr/bin/sum-1.0: OK",
  " +> pkg=seed-cc-0.1 ",
  " +> kaem --file pass1.kaem ",
  " +> checksum-transcriber sources ",
  " +> sha256sum -c sources.SHA256SUM ",
  "/external/distfiles/seed-cc-0.1.tar.gz: OK",
];
const JUMP = [
  " +> pkg=small-kernel-1.0 ",
  " +> kaem --file pass1.kaem ",
  " +> kaem --file /steps/jump/fiwix.sh ",
  "kexec-fiwix: jumping to trampoline...",
  "                    Fiwix kernel v1.5.0 for i386 architecture",
  " +> pkg=maker-1.2 ",
];
const BASH = [
  "maker-1.2: beginning build using script pass2.sh",
  "maker-1.2: compiling source.",
  "maker-1.2: build successful",
  "late-2.0: beginning build using script pass1.sh",
  "late-2.0: build successful",
  "[  100.123456] reboot: Power down",
];

async function prepared(place: Workplace, console_: readonly string[], ...options: readonly string[]): Promise<string> {
  const tree = join(place.root, "tree");
  const target = join(place.root, "target");
  await makeSmallTree(tree, { files: { "seed/stage0-posix/kaem.x86": `${console_.join("\n")}\n` } });
  const words = ["bootstrap", "prepare", "--tree", tree, "--qemu", "-m", "http://mirror.invalid", "--no-fetch", "-t", target, ...options];
  const { status, stderr } = await run(words);
  expect(status, stderr).toBe(0);
  return target;
}

const boot = (place: Workplace, target: string, ...more: readonly string[]) =>
  run(["bootstrap", "boot", "--target", target, "--log-dir", place.logs, "-qr", "256", ...more]);

describe("a target boots", () => {
  test("from its two disks to the manifest's end: success, with each step and hand-over", async () => {
    await using place = await workplace();
    const target = await prepared(place, [...KAEM, ...JUMP, ...BASH], "--external-sources", "-qs", "64M");
    expect(existsSync(join(target, "external.img"))).toBe(true);
    const { status, stderr } = await boot(place, target);
    expect(status, stderr).toBe(0);
    expect(stderr).toMatch(/step +step 2 of \d+, package seed-cc-0\.1$/m);
    expect(stderr).toMatch(/The guest may write to .*init\.img/);
    expect(stderr).toContain("user network");
    const { directory, session, report, ending, serial } = onlySession(place.logs);
    expect(session).toMatchObject({ status: "complete", result: "success", iso_basename: "init.img", guest_ram_mb: 256 });
    expect(ending).toMatchObject({ reason: "goal", goal: "pattern:reboot: Power down", firmware: "bios", resets: 0 });
    expect(serial).toContain("+> pkg=sum-1.0");
    const build = report["build"] as {
      steps: { name: string; number: number | null; result: string }[];
      handovers: unknown[];
      stopped: unknown;
    };
    expect(build.steps.map(({ name }) => name)).toEqual([
      "sum-1.0",
      "seed-cc-0.1",
      "small-kernel-1.0",
      "fiwix",
      "maker-1.2",
      "maker-1.2",
      "late-2.0",
    ]);
    const numbers = build.steps.map(({ number }) => number!);
    expect(numbers).toEqual([...numbers].sort((a, b) => a - b));
    expect(new Set(numbers).size).toBe(numbers.length);
    expect(build).toMatchObject({ handovers: [{ to: "Fiwix" }], stopped: null });
    const command = readFileSync(join(directory, "qemu.cmdline"), "utf8");
    for (const word of ["pc,smm=off,kernel-irqchip=split", "ide-hd,bus=ide.0,unit=1,drive=disk0", "e1000,netdev=net0", "ipv6=off"]) {
      expect(command).toContain(word);
    }
    expect(JSON.parse(readFileSync(join(directory, "build-steps.json"), "utf8"))[0]).toMatchObject({ number: 1, name: "sum-1.0" });
  });

  test("and stops in a step: which one, in which phase, with its last lines, in every report", async () => {
    await using place = await workplace();
    const failing = [
      ...KAEM.slice(0, -1),
      "/external/distfiles/seed-cc-0.1.tar.gz: FAILED",
      `Wanted:   ${"0".repeat(64)}`,
      `Received: ${"1".repeat(64)}`,
      "Subprocess error 1",
      "ABORTING HARD",
      "Build finished.",
    ];
    const target = await prepared(place, failing);
    const { status, stdout, stderr } = await boot(place, target, "--until", "text:Build finished.");
    expect(status, stderr).toBe(1);
    expect(stdout).toMatch(/^FAILURE/);
    const { directory, session, report, ending } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "failure", analysis: { failure_domain: "userspace" } });
    expect(ending.goal_reached, "the first kernel says its last words after a failure too").toBe(false);
    expect(report.findings.find(({ cause }) => cause)).toMatchObject({ id: "bootstrap/checksum-mismatch", kind: "build_failed" });
    expect(report["build"]).toMatchObject({
      stopped: {
        step: { number: 2, name: "seed-cc-0.1", phase: "check the sources" },
        last_lines: expect.arrayContaining([
          expect.stringContaining("+> sha256sum -c"),
          expect.stringContaining("seed-cc-0.1.tar.gz: FAILED"),
        ]),
      },
    });
    const place2 = /failed in step 2 of \d+, package seed-cc-0\.1, phase check the sources/;
    const text = readFileSync(join(directory, "report.txt"), "utf8");
    expect(text.split("\n", 1)[0]).toMatch(place2);
    expect(text).toMatch(/last lines\n(?: {4}\| .*\n)* {4}\| \/external\/distfiles\/seed-cc-0\.1\.tar\.gz: FAILED/);
    expect(readFileSync(join(directory, "report.html"), "utf8")).toMatch(place2);
    expect(readFileSync(join(directory, "FAILURE.txt"), "utf8")).toMatch(place2);
  });
});

describe("a target runs", () => {
  const isRoot = process.getuid?.() === 0;
  const hasBwrap = ["/usr/bin/bwrap", "/bin/bwrap", "/usr/local/bin/bwrap"].some((path) => existsSync(path));
  /** What runs there is the tree's seed, a program of its own that says one line. */
  test.each([
    ["--bwrap", hasBwrap, { status: 3, says: "bwrap" }],
    ["--chroot", isRoot, { status: 2, says: "sudo" }],
  ] as const)("as the original starts it, or is refused: %s", async (mode, may, refused) => {
    await using place = await workplace();
    const tree = join(place.root, "tree");
    const target = join(place.root, "target");
    await makeSmallTree(tree);
    const made = await run(["bootstrap", "prepare", "--tree", tree, mode, "-m", "http://mirror.invalid", "--no-fetch", "-t", target]);
    expect(made.status, made.stderr).toBe(0);
    const { status, stdout, stderr } = await run(["bootstrap", "run", "--target", target, "--log-dir", place.logs, "--serial"]);
    if (!may) {
      expect(status, stderr).toBe(refused.status);
      expect(stderr).toContain(refused.says);
      return;
    }
    expect(status, stderr).toBe(0);
    expect(stdout).toMatch(/^small tree: the seed runs\nSUCCESS/);
    const { session, ending, serial } = onlySession(place.logs);
    expect(session).toMatchObject({ result: "success", iso_basename: "target", kvm: "unknown" });
    expect(ending).toMatchObject({ reason: "goal", qemu_exit_code: 0, firmware: null });
    expect(serial).toBe("small tree: the seed runs\n");
    const other = await boot(place, target);
    expect(other.status).toBe(2);
    expect(other.stderr).toContain("hiperiso bootstrap run");
  });
});

test("a target that is none, or was made for a chroot, is refused before anything is made", async () => {
  await using place = await workplace();
  const none = await boot(place, join(place.root, "nothing"));
  expect(none.status, none.stderr).toBe(2);
  expect(none.stderr).toContain("hiperiso bootstrap prepare");
  expect(existsSync(place.logs)).toBe(false);
});
