/**
 * How a prepared target is booted: the machine that the tree's own generator asks for, in our words; the goal that shows its end; and how
 * much of the work is done. Pure.
 */
import { isAbsolute, join } from "node:path";
import type { ExpectedStep } from "../analysis/build-notes.ts";
import { HiperisoError } from "../contract/error.ts";
import type { AskedLimits } from "../machine/limits.ts";
import type { AcceleratorWish } from "../machine/plan.ts";
import { type Disk, type MachineParts, standardParts } from "../machine/plan-parts.ts";
import type { BootstrapPlan } from "./plan.ts";
import type { PreparedRecord } from "./prepared.ts";

/** What a person says of this boot alone; undefined: as the target was prepared. */
export interface BootWish extends AcceleratorWish {
  readonly cores?: number | undefined;
  readonly ramMib?: number | undefined;
  readonly interactive?: boolean | undefined;
  readonly kernel?: string | undefined;
  readonly limits: AskedLimits;
}

/** Throws (`usage`) for a target that is no machine. `target` is absolute. */
export function planBoot(target: string, { plan, outputs }: Pick<PreparedRecord, "plan" | "outputs">, wish: BootWish): MachineParts {
  const { form, options } = plan;
  if (form !== "kernel" && form !== "kernel-bootstrap") {
    throw refused(target, "a target prepared with --qemu or --bare-metal", `one for ${form}`, "`hiperiso bootstrap run` starts it.");
  }
  const images = outputs
    .filter(({ kind }) => kind !== "tree")
    .map(
      ({ name, kind }): Disk => ({
        path: join(target, name),
        // The original's `-drive file=…` without a word more.
        bus: "ide",
        writable: true,
        because: WHAT_DISKS_ARE[kind] ?? "a disk of the target",
      }),
    );
  const interactive = wish.interactive ?? options.interactive;
  return {
    ...standardParts,
    kernel: form === "kernel" ? { path: kernelOf(target, plan, wish), append: appendFor(interactive) } : undefined,
    disks: images,
    machine: "pc",
    splitIrqchip: true,
    // The original's -nographic: the first kernel speaks through the BIOS alone.
    serialScreen: true,
    memoryMb: wish.ramMib ?? options.qemuRamMib,
    processors: wish.cores ?? options.cores,
    // The original names none: packages that look at the processor see QEMU's plainest, whatever the host has.
    processor: "qemu64",
    accelerator: wish.accelerator,
    fallback: wish.fallback,
    network: { mode: "user", card: "e1000", ipv6: false },
    stopOnReset: !interactive,
    waiting: "build",
    limits: wish.limits,
  };
}

const WHAT_DISKS_ARE: Readonly<Record<string, string>> = {
  "boot-sector-and-sources": "the first image: boot sector and sources",
  "payload-container": "the payload disk, which the guest imports",
  ext3: "an ext3 disk of the target",
};

function kernelOf(target: string, { options }: BootstrapPlan, { kernel }: BootWish): string {
  const path = kernel ?? options.kernel;
  if (path === undefined) throw refused(target, "a kernel to boot", "none", "Give one with --kernel FILE.");
  if (isAbsolute(path)) return path;
  throw refused(target, "the kernel's absolute path", path, "Give it anew with --kernel FILE.");
}

/** As the original writes it. */
const appendFor = (interactive: boolean): string =>
  `${interactive ? "consoleblank=0 earlyprintk=vga" : "console=ttyS0 earlycon=uart8250,io,0x3f8,115200n8"} root=/dev/sda1 rootfstype=ext3 init=/init rw`;

const refused = (where: string, expected: string, found: string, hint: string): HiperisoError =>
  new HiperisoError({ what: "boot the target", where, expected, found, hint, kind: "usage" });

/**
 * What the console shows when the manifest came to its end: a tree that jumps into Linux switches the machine off itself, one that stays in
 * the first kernel ends with that kernel's last words (which it says after a failure too: the analyser knows).
 */
export function standardGoal({ form, story }: Pick<BootstrapPlan, "form" | "story">): string {
  const jumps = story.steps.some(({ directive }) => directive === "jump");
  return form === "kernel" || jumps ? "pattern:reboot: Power down" : "text:Build finished.";
}

/** The plan's steps, each with its share of the work: how many bytes its sources have is the best that is known before. */
export function expectedSteps({
  story,
  early,
  late,
  network,
}: Pick<BootstrapPlan, "story" | "early" | "late" | "network">): readonly ExpectedStep[] {
  const bytes = new Map<string, number>();
  for (const { sizeBytes = 0, wantedBy } of [...early, ...late, ...network]) {
    for (const name of wantedBy) bytes.set(name, (bytes.get(name) ?? 0) + sizeBytes);
  }
  return story.steps.map(({ number, directive, name, pass }) => ({
    number,
    directive,
    name,
    ...(pass === undefined ? {} : { pass }),
    weight: directive === "build" ? 1 + (bytes.get(name) ?? 0) / 1_000_000 : 0.1,
  }));
}

/** Less than this share of the work says nothing of the rest. */
const SHARE_MIN = 0.01;

/**
 * Milliseconds until the last step's end, if the steps to come are like those that are done; undefined where too little is. `atStep` runs
 * now, and the first step began `sinceFirstMs` ago.
 */
export function timeLeftMs(steps: readonly ExpectedStep[], atStep: number, sinceFirstMs: number): number | undefined {
  const weigh = (some: readonly ExpectedStep[]) => some.reduce((sum, { weight = 1 }) => sum + weight, 0);
  const all = weigh(steps);
  const done = weigh(steps.filter(({ number }) => number < atStep));
  if (all === 0 || done / all < SHARE_MIN) return undefined;
  return (sinceFirstMs / done) * (all - done);
}

/**
 * A tree can begin behind its first bash, where it was prepared with what an earlier run built (`--early-preseed`). Throws (`usage`) unless
 * the target begins at just this step.
 */
export function checkResume(target: string, plan: Pick<BootstrapPlan, "story" | "options">, step: string): void {
  const [first] = plan.story.steps;
  const bad = (found: string, hint: string) =>
    new HiperisoError({
      what: "begin in the middle of the build",
      where: target,
      expected: `a target that begins at ${step}`,
      found,
      hint,
      kind: "usage",
    });
  if (first === undefined) throw bad("a target without steps", "Prepare it anew.");
  const names = [first.name, `${first.directive}: ${first.name}`, String(first.line)];
  if (names.includes(step)) return;
  const bash = plan.story.steps.find(({ directive, name }) => directive === "build" && name.startsWith("bash-"));
  if (plan.options.earlyPreseed === undefined) {
    throw bad(
      `one that begins at ${first.directive}: ${first.name}`,
      `The tree can begin ${bash === undefined ? "behind its first bash" : `behind build: ${bash.name}`} and nowhere else: run \`hiperiso bootstrap prepare\` with --early-preseed TAR, and with --repo FOLDER for packages that were built before.`,
    );
  }
  throw bad(
    `one whose preseed ends before ${first.directive}: ${first.name}`,
    `Leave --resume-from out, or say --resume-from ${first.name}.`,
  );
}
