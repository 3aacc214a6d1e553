import { resolve } from "node:path";
import { Command, Option } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { describeStep, type ExpectedStep, type StepSeen } from "../analysis/build-notes.ts";
import { createGoal } from "../analysis/goal.ts";
import { duration } from "../analysis/quantities.ts";
import { checkResume, expectedSteps, planBoot, standardGoal, timeLeftMs } from "../bootstrap/boot.ts";
import { serveFolder } from "../bootstrap/file-mirror.ts";
import { type PreparedRecord, requirePrepared } from "../bootstrap/prepared.ts";
import { planRun } from "../bootstrap/run.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import { findTool } from "../host/tools.ts";
import { recordMachine } from "../session/new-recording.ts";
import { sweepOrphans } from "../session/orphans.ts";
import type { Recorded } from "../session/record.ts";
import { recordProgram } from "../session/record-program.ts";
import { type BootFace, bootFace } from "./boot-face.ts";
import { withTwoLetterFlags } from "./bootstrap-options.ts";
import type { Cli } from "./cli.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";

const EXIT_STATUS = "Exit status: 0 the build came to its end, 1 it did not, 2 wrong usage, 3 hiperiso or a tool it needs failed.";

export function bootCommand(cli: Cli) {
  const command = new Command("boot")
    .description(
      "Boot a prepared target in QEMU, record it as a session, and say in which step it stands and why it stopped.\nThe guest writes to the target's disks and has QEMU's user network, as in the original.",
    )
    .option("-t, --target <folder>", "a target that `hiperiso bootstrap prepare` has made", "target")
    .option("--qemu-cmd <program>", "QEMU to run; short: -qc")
    .option("--qemu-ram <MiB>", "memory of the guest; short: -qr", (text) => wholeOf(text, "--qemu-ram", 1, 1_048_576))
    .option("--cores <n>", "processor cores", (text) => wholeOf(text, "--cores", 1, 255))
    .option("-i, --interactive", "as the target was prepared with it: a reset does not end the guest")
    .option("--kernel <file>", "another kernel than it was prepared with; short: -qk")
    .option("--resume-from <step>", "the build begins at this step: only of a target prepared with --early-preseed")
    .option("--until <goal>", "what shows the end; without it what the manifest's last step says")
    .option("--time-limit <seconds>", "end the boot after this time", (text) => wholeOf(text, "--time-limit", 1, 2_000_000))
    .option("--hang-limit <seconds>", "end it when console, disk and screen have been still for this time", (text) =>
      wholeOf(text, "--hang-limit", 1, 2_000_000),
    )
    .addOption(
      new Option("--accel <which>", "kvm tries KVM without asking the probe")
        .choices(["auto", "kvm", "tcg"] as const)
        .default("auto" as const),
    )
    .option("--log-dir <folder>", "where the session is kept")
    .option(...RULES_OPTION)
    .option("--serial", "pass the guest's console through to standard output, made harmless")
    .option("--json", "stream events on standard output, one JSON object a line")
    .addHelpText("after", () =>
      [
        examplesText([
          ["hiperiso bootstrap boot --target target", "until the last step, or until one fails"],
          ["hiperiso bootstrap boot --target target --serial", "with the console"],
          ["hiperiso bootstrap boot --target target -qr 8192 --cores 4 --accel kvm", "a bigger machine"],
        ]),
        EXIT_STATUS,
        "",
      ].join("\n"),
    )
    .action(async (options) => {
      const target = resolve(options.target);
      const record = await requirePrepared(target);
      if (options.resumeFrom !== undefined) checkResume(target, record.plan, options.resumeFrom);
      const goal = options.until ?? standardGoal(record.plan);
      createGoal(goal);
      const parts = planBoot(target, record, {
        accelerator: options.accel,
        fallback: false,
        cores: options.cores,
        ramMib: options.qemuRam,
        interactive: options.interactive,
        kernel: options.kernel === undefined ? undefined : resolve(options.kernel),
        limits: { timeLimitS: options.timeLimit, hangLimitS: options.hangLimit },
      });
      const qemu = options.qemuCmd ?? record.plan.options.qemuCmd;
      const warnings = options.interactive === true || record.plan.options.interactive ? [INTERACTIVE] : [];
      cli.job.progress.say("As in the original the guest writes to the target's disks and has QEMU's user network.");
      await recordBuild(cli, { target, record, options }, (shared) =>
        recordMachine(
          { parts, goal, qemu, subject: parts.disks[0]?.path ?? target, warnings, ...shared },
          { env: cli.env, clock: systemClock, job: cli.job, onEvent: shared.face },
        ),
      );
    });
  return withTwoLetterFlags(command);
}

const INTERACTIVE =
  "The target is interactive: behind its first kernel the guest speaks on its screen alone, and nobody can type into it here.";

export function runCommand(cli: Cli) {
  return new Command("run")
    .description("Run a target prepared for chroot or bwrap as the original does; its output is recorded and explained.")
    .option("-t, --target <folder>", "a target that `hiperiso bootstrap prepare` has made", "target")
    .option("--log-dir <folder>", "where the session is kept")
    .option(...RULES_OPTION)
    .option("--serial", "pass the output through to standard output, made harmless")
    .option("--json", "stream events on standard output, one JSON object a line")
    .addHelpText("after", () =>
      [
        examplesText([
          ["hiperiso bootstrap run --target target", "in a bwrap sandbox"],
          ["sudo hiperiso bootstrap run --target target --serial", "in a chroot, which needs root"],
        ]),
        EXIT_STATUS,
        "",
      ].join("\n"),
    )
    .action(async (options) => {
      const target = resolve(options.target);
      const record = await requirePrepared(target);
      const plan = planRun(target, record);
      const paths = new Map<string, string>();
      for (const tool of plan.tools) paths.set(tool, await findTool(tool, cli.env));
      if (plan.needsRoot && process.getuid?.() !== 0) {
        throw new HiperisoError({
          what: "enter the target",
          where: target,
          expected: "root, which chroot needs",
          found: "another user",
          hint: "Run it with sudo, or prepare the target with --bwrap.",
          kind: "usage",
        });
      }
      const typed = record.plan.options.interactive;
      await recordBuild(cli, { target, record, options }, (shared) =>
        recordProgram(
          { command: plan.command(paths), typed, subject: target, ...shared },
          { env: cli.env, clock: systemClock, job: cli.job, onEvent: shared.face },
        ),
      );
    });
}

interface BuildAsked {
  readonly target: string;
  readonly record: PreparedRecord;
  readonly options: {
    readonly logDir?: string | undefined;
    readonly rules?: string | undefined;
    readonly serial?: true | undefined;
    readonly json?: true | undefined;
  };
}

interface Shared {
  readonly logDir: string;
  readonly rules: Awaited<ReturnType<typeof ownRulesFor>>;
  readonly steps: readonly ExpectedStep[];
  readonly added: Readonly<Record<string, unknown>>;
  readonly face: BootFace;
}

/** What booting and running have in common: rules, progress, mirrors that are served meanwhile, the exit status. */
async function recordBuild(cli: Cli, { target, record, options }: BuildAsked, how: (shared: Shared) => Promise<Recorded>): Promise<void> {
  if (options.serial === true && options.json === true) {
    throw new HiperisoError({
      what: "choose what goes to standard output",
      expected: "--serial or --json",
      found: "both",
      hint: "--json has the console in its events.",
      kind: "usage",
    });
  }
  const { job } = cli;
  const logDir = logDirectoryOf(options.logDir, cli.env);
  const rules = await ownRulesFor(cli, options.rules);
  const steps = expectedSteps(record.plan);
  await sweepOrphans(logDir, systemClock, job.signal, async () => rules).catch((error: Error) => {
    job.progress.warn(`Sessions that were cut off could not be closed: ${error.message}`);
  });
  await using _mirrors = await serveMirrors(record, cli);
  const face = buildFace(cli, options, steps);
  const added = { bootstrap: { target, mode: record.plan.mode, form: record.plan.form, steps: steps.length } };
  const { session } = await how({ logDir, rules, steps, added, face });
  cli.exit(session.result === "success" ? EXIT.goalReached : EXIT.goalMissed);
}

/** The folders that the guest's configuration names by their ports. */
async function serveMirrors({ mirrors }: PreparedRecord, { job }: Cli): Promise<AsyncDisposable> {
  const served: AsyncDisposable[] = [];
  const all: AsyncDisposable = {
    [Symbol.asyncDispose]: async () => {
      for (const one of served) await one[Symbol.asyncDispose]();
    },
  };
  try {
    for (const { folder, port } of mirrors) {
      served.push(await serveFolder(folder, { port }));
      job.progress.say(`${folder} is served at http://127.0.0.1:${port} while the guest runs.`);
    }
    return all;
  } catch (error) {
    await all[Symbol.asyncDispose]();
    throw error;
  }
}

/** The face of a boot, and where the build stands: each step as it begins, the phase and the time that is left in the line that is redrawn. */
function buildFace(cli: Cli, options: BuildAsked["options"], steps: readonly ExpectedStep[]): BootFace {
  const face = bootFace(cli, options);
  if (options.json === true) return face;
  const { bold } = picocolors.createColors(cli.colour);
  let current: { readonly step: StepSeen; readonly total: number | null } | undefined;
  let firstMs: number | undefined;
  return (event) => {
    if (event.type === "console" && event.event.type === "step") {
      const { step, total, timeMs } = event.event;
      firstMs ??= timeMs;
      if (step.line !== current?.step.line) {
        cli.err(
          `${`${(timeMs / 1000).toFixed(1)} s`.padStart(9)}  ${bold("step".padEnd(11))} ${printable(describeStep({ ...step, phase: null }, total))}`,
        );
      }
      current = { step, total };
    } else if (event.type === "tick" && current !== undefined) {
      const { step, total } = current;
      const left = step.number === null ? undefined : timeLeftMs(steps, step.number, event.elapsedMs - (firstMs ?? 0));
      const rest = left === undefined ? "" : `, about ${duration(left)} left`;
      cli.status(`${duration(event.elapsedMs)}  ${bold(printable(describeStep(step, total)))}${rest}  ${printable(event.lastLine)}`);
    } else {
      face(event);
    }
  };
}

function wholeOf(text: string, flag: string, min: number, max: number): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new HiperisoError({
    what: "understand the flags",
    where: flag,
    expected: `a whole number, ${min} to ${max}`,
    found: `"${text}"`,
    kind: "usage",
  });
}
