import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type BootWish, checkResume, expectedSteps, planBoot, standardGoal, timeLeftMs } from "../../src/bootstrap/boot.ts";
import { readCheckout } from "../../src/bootstrap/checkout.ts";
import { checkOptions, type RawOptions } from "../../src/bootstrap/options.ts";
import { type BootstrapPlan, planBootstrap } from "../../src/bootstrap/plan.ts";
import { readPlanFacts } from "../../src/bootstrap/plan-facts.ts";
import type { PreparedOutput } from "../../src/bootstrap/prepared.ts";
import { planRun } from "../../src/bootstrap/run.ts";
import { HiperisoError } from "../../src/contract/error.ts";
import { quietJob } from "../../src/contract/job.ts";
import { planParts } from "../../src/machine/plan-parts.ts";
import { qemuArguments } from "../../src/machine/qemu-arguments.ts";
import { host, PLACES } from "../machine/requests.ts";
import { makeSmallTree } from "./small-tree.ts";

let folder: string;
let root: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-test-"));
  root = join(folder, "tree");
  await makeSmallTree(root);
});
afterAll(() => rm(folder, { recursive: true }));

async function planned(raw: RawOptions): Promise<BootstrapPlan> {
  const options = checkOptions({ mirrors: ["http://mirror.invalid"], ...raw });
  const facts = await readPlanFacts(join(root, "distfiles"), options, quietJob);
  return planBootstrap(await readCheckout(root, quietJob), options, { ...facts, mirrorUrls: ["http://mirror.invalid"] });
}

const INIT: PreparedOutput = { name: "init.img", kind: "boot-sector-and-sources", sizeBytes: 9 };
const PAYLOAD: PreparedOutput = { name: "external.img", kind: "payload-container", sizeBytes: 9 };
const DISK: PreparedOutput = { name: "disk.img", kind: "ext3", sizeBytes: 9 };
const asPrepared: BootWish = { accelerator: "auto", fallback: false, limits: { timeLimitS: undefined, hangLimitS: undefined } };

function refusal(act: () => unknown): HiperisoError {
  try {
    act();
  } catch (error) {
    if (error instanceof HiperisoError) return error;
    throw error;
  }
  throw new Error("it was not refused");
}

describe("the machine", () => {
  const words = (plan: BootstrapPlan, outputs: readonly PreparedOutput[], wish: Partial<BootWish> = {}) => {
    const parts = planBoot("/t/a,b", { plan, outputs }, { ...asPrepared, ...wish });
    return qemuArguments(planParts(parts, host()), PLACES);
  };
  const value = (args: readonly string[], flag: string) => args[args.indexOf(flag) + 1];

  test("is the original's: both disks on IDE, written, e1000 without IPv6, one end at a reset", async () => {
    const args = words(await planned({ qemu: true, externalSources: true }), [INIT, PAYLOAD]);
    expect(value(args, "-m")).toBe("4096M");
    expect(value(args, "-smp")).toBe("2");
    expect(value(args, "-machine")).toBe("pc,smm=off,kernel-irqchip=split,graphics=off");
    expect(args).toContain("if=none,id=image,snapshot=off,format=raw,file.driver=file,file.filename=/t/a,,b/init.img");
    expect(args).toContain("ide-hd,bus=ide.0,unit=0,drive=image,bootindex=1");
    expect(args).toContain("if=none,id=disk0,snapshot=off,format=raw,file.driver=file,file.filename=/t/a,,b/external.img");
    expect(args).toContain("ide-hd,bus=ide.0,unit=1,drive=disk0");
    expect(args).toContain("user,id=net0,restrict=off,ipv6=off");
    expect(args).toContain("e1000,netdev=net0,romfile=");
    expect(value(args, "-action")).toContain("reboot=shutdown");
    expect(args).not.toContain("-kernel");
  });

  test("takes what is said of this boot alone", async () => {
    const plan = await planned({ qemu: true, cores: "3", qemuRam: "2048" });
    const prepared = words(plan, [INIT]);
    expect([value(prepared, "-smp"), value(prepared, "-m")]).toEqual(["3", "2048M"]);
    const said = words(plan, [INIT], { cores: 1, ramMib: 512, interactive: true });
    expect([value(said, "-smp"), value(said, "-m")]).toEqual(["1", "512M"]);
    expect(value(said, "-action")).not.toContain("reboot=shutdown");
  });

  test("with a kernel starts that, the disk is its root, and nothing else is booted", async () => {
    const plan = await planned({ qemu: true, kernel: "/boot/vm linuz" });
    const args = words(plan, [DISK]);
    expect(value(args, "-kernel")).toBe("/boot/vm linuz");
    expect(value(args, "-append")).toBe("console=ttyS0 earlycon=uart8250,io,0x3f8,115200n8 root=/dev/sda1 rootfstype=ext3 init=/init rw");
    expect(value(words(plan, [DISK], { interactive: true }), "-append")).toMatch(/^consoleblank=0 earlyprintk=vga root=/);
    expect(value(words(plan, [DISK], { kernel: "/other" }), "-kernel")).toBe("/other");
    expect(args.join(" ")).not.toContain("bootindex");
  });

  test("is patient: a build may be silent for hours, and ends by itself", async () => {
    const parts = planBoot("/t", { plan: await planned({ qemu: true }), outputs: [INIT] }, asPrepared);
    expect(parts.waiting).toBe("build");
    expect(planParts(parts, host()).limits).toMatchObject({ leaveMs: expect.any(Number), idleMs: expect.any(Number) });
  });

  test("is refused for a chroot, and with a kernel that nobody can find again", async () => {
    const chroot = await planned({ chroot: true });
    expect(refusal(() => planBoot("/t", { plan: chroot, outputs: [] }, asPrepared))).toMatchObject({
      kind: "usage",
      hint: expect.stringContaining("bootstrap run"),
    });
    const relative = await planned({ qemu: true, kernel: "vmlinuz" });
    expect(refusal(() => planBoot("/t", { plan: relative, outputs: [DISK] }, asPrepared))).toMatchObject({
      kind: "usage",
      found: "vmlinuz",
    });
  });
});

describe("the goal", () => {
  test("is the end of what the manifest runs last", async () => {
    expect(standardGoal(await planned({ qemu: true }))).toBe("pattern:reboot: Power down");
    const stays = await planned({ qemu: true });
    expect(standardGoal({ ...stays, story: { ...stays.story, steps: stays.story.steps.slice(0, 2) } })).toBe("text:Build finished.");
    expect(standardGoal(await planned({ qemu: true, kernel: "/k" }))).toBe("pattern:reboot: Power down");
  });
});

describe("the steps", () => {
  test("are the story's, and what has more source weighs more", async () => {
    const plan = await planned({ qemu: true, externalSources: true });
    const [late] = plan.late;
    const sized = { ...plan, late: [{ ...late!, sizeBytes: 50_000_000 }] };
    const steps = expectedSteps(sized);
    expect(steps.map(({ number, name }) => [number, name])).toEqual(plan.story.steps.map(({ number, name }) => [number, name]));
    const heavy = steps.filter(({ weight = 0 }) => weight > 50);
    expect(heavy.length).toBeGreaterThan(0);
    expect([...new Set(heavy.map(({ name }) => name))]).toEqual(late!.wantedBy.filter((name) => steps.some((step) => step.name === name)));
  });

  const even = Array.from({ length: 10 }, (_, index) => ({ number: index + 1, directive: "build" as const, name: `p${index}`, weight: 1 }));
  test("the time that is left goes by the work that is done", () => {
    expect(timeLeftMs(even, 6, 50_000)).toBe(50_000);
    expect(timeLeftMs(even, 10, 90_000)).toBe(10_000);
    expect(timeLeftMs(even, 1, 1_000), "nothing is done yet").toBeUndefined();
    expect(timeLeftMs([], 1, 1_000)).toBeUndefined();
    const heavyEnd = [...even.slice(0, 9), { ...even[9]!, weight: 91 }];
    expect(timeLeftMs(heavyEnd, 10, 9_000)).toBe(91_000);
  });
});

describe("--resume-from", () => {
  test("is what a preseeded target begins with, and nothing else", async () => {
    const whole = await planned({ qemu: true });
    expect(refusal(() => checkResume("/t", whole, "maker-1.2"))).toMatchObject({
      kind: "usage",
      hint: expect.stringMatching(/behind build: bash-2\.05b.*--early-preseed/),
    });
    const seeded = await planned({ qemu: true, earlyPreseed: "/seed.tar" });
    const [first] = seeded.story.steps;
    checkResume("/t", seeded, first!.name);
    checkResume("/t", seeded, `${first!.directive}: ${first!.name}`);
    expect(refusal(() => checkResume("/t", seeded, "late-1.0"))).toMatchObject({ hint: expect.stringContaining(first!.name) });
  });
});

describe("chroot and bwrap", () => {
  const paths = new Map([
    ["env", "/usr/bin/env"],
    ["chroot", "/usr/sbin/chroot"],
    ["bwrap", "/usr/bin/bwrap"],
  ]);
  const SEED = "/bootstrap-seeds/POSIX/x86/kaem-optional-seed";

  test("chroot as the original has it, which root alone may", async () => {
    const plan = planRun("/t", { plan: await planned({ chroot: true }) });
    expect(plan).toMatchObject({ tools: ["env", "chroot"], needsRoot: true });
    expect(plan.command(paths)).toEqual(["/usr/bin/env", "-i", "PATH=/bin", "/usr/sbin/chroot", "/t", SEED]);
  });

  test("bwrap as the original has it, without a network where the sources are there", async () => {
    const command = async (raw: RawOptions) => planRun("/t", { plan: await planned({ bwrap: true, ...raw }) }).command(paths);
    const plain = await command({});
    expect(plain.slice(0, 7)).toEqual(["/usr/bin/env", "-i", "/usr/bin/bwrap", "--unshare-user", "--uid", "0", "--gid"]);
    expect(plain.join(" ")).toContain("--setenv PATH /usr/bin --bind /t / --dir /dev --dev-bind /dev/null /dev/null");
    expect(plain.join(" ")).toContain("--tmpfs /dev/shm --proc /proc --bind /sys /sys --tmpfs /tmp");
    expect(plain.at(-1)).toBe(SEED);
    expect(plain).not.toContain("--unshare-net");
    expect(await command({ externalSources: true })).toContain("--unshare-net");
    expect((await command({ internalCi: "pass2" })).at(-1)).toBe("/init");
    expect((await command({ internalCi: "pass1" })).at(-1)).toBe(SEED);
  });

  test("a target that boots is refused", async () => {
    const plan = await planned({ qemu: true });
    expect(refusal(() => planRun("/t", { plan }))).toMatchObject({ kind: "usage", hint: expect.stringContaining("bootstrap boot") });
  });
});
