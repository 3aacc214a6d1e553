import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { createGoal } from "../analysis/goal.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import type { BootRequest } from "../machine/plan.ts";
import { newRecording } from "../session/new-recording.ts";
import { sweepOrphans } from "../session/orphans.ts";
import { prepareBoot } from "../session/prepare-boot.ts";
import { type Recorded, recordBoot } from "../session/record.ts";
import { bootFace } from "./boot-face.ts";
import { addSettingFlags, settingsOf } from "./boot-flags.ts";
import { addMachineFlags, extrasOf, impliedSettings, type MachineOptions, waysIn } from "./boot-machine.ts";
import { settle } from "./boot-settings.ts";
import type { Cli } from "./cli.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";

const EXAMPLES = [
  ["hiperiso boot debian-live.iso", "with the firmware the image is made for, until its login prompt"],
  ["hiperiso boot debian-live.iso --firmware bios --as usb", "as a USB stick in an old computer"],
  ["hiperiso boot installer.iso --until 'text:Welcome to' --serial", "until these words, the console passed through"],
  ["hiperiso boot stick.img --ram 4096 --time-limit 300 --json", "for a program: events, one JSON object a line"],
] as const;

export function command(cli: Cli): CommandUnknownOpts {
  const command = new Command("boot")
    .description(
      "Boots an image in QEMU, records the boot as a session, and says what happened.\nThe image is never written unless --writable is given.",
    )
    .argument("<image>", "an ISO, a disk image or a block device")
    .option(
      "--until <goal>",
      "what ends the boot as a success: login, another stage (firmware, bootloader, kernel, initramfs, userspace), text:…, pattern:…, never",
      "login",
    )
    .option("--time-limit <seconds>", "end the boot after this time", secondsOf("--time-limit"))
    .option("--hang-limit <seconds>", "end it when console, disk and screen have been still for this time", secondsOf("--hang-limit"))
    .addOption(new Option("--as <kind>", "how the image is attached").choices(["cd", "usb"] as const))
    .addOption(
      new Option("--accel <which>", "kvm tries KVM without asking the probe")
        .choices(["auto", "kvm", "tcg"] as const)
        .default("auto" as const),
    )
    .addOption(
      new Option("--network <mode>", "always QEMU's user-mode network (default none; restricted where something needs one)").choices([
        "none",
        "restricted",
        "user",
      ] as const),
    )
    .option("--writable", "let the guest write to the image")
    .option(...RULES_OPTION)
    .option("--config <file>", "a hiperiso.json: defaults, and overrides by the image's name")
    .option("--serial", "pass the guest's console through to standard output, made harmless")
    .option("--json", "stream events on standard output, one JSON object a line")
    .addHelpText(
      "after",
      () =>
        `${examplesText(EXAMPLES)}\nExit status: 0 the goal was reached, 1 it was not, 2 wrong usage or configuration, 3 hiperiso or a tool it needs failed.`,
    );
  addMachineFlags(command);
  addSettingFlags(command);
  return command.action(async (image, options) => {
    const recorded = await boot(cli, image, options);
    cli.exit(recorded.session.result === "success" ? EXIT.goalReached : EXIT.goalMissed);
  });
}

interface BootOptions extends MachineOptions {
  readonly until: string;
  readonly timeLimit?: number | undefined;
  readonly hangLimit?: number | undefined;
  readonly as?: "cd" | "usb" | undefined;
  readonly accel: "auto" | "kvm" | "tcg";
  readonly network?: "none" | "restricted" | "user" | undefined;
  readonly writable?: true | undefined;
  readonly config?: string | undefined;
  readonly rules?: string | undefined;
  readonly serial?: true | undefined;
  readonly json?: true | undefined;
}

async function boot(cli: Cli, image: string, options: BootOptions): Promise<Recorded> {
  const { env, job } = cli;
  createGoal(options.until); // refused before the questions that take time
  const said = { ...impliedSettings(options), ...settingsOf({ ...options }) };
  const { settings, warnings: told, notes } = await settle(image, said, options.config, env);
  if (said.fallback === true && options.accel === "kvm") {
    throw new HiperisoError({
      what: "choose an accelerator",
      expected: "--accel kvm or --fallback",
      found: "both",
      hint: "--fallback never tries KVM.",
      kind: "usage",
    });
  }
  if (options.serial === true && options.json === true) {
    throw new HiperisoError({
      what: "choose what goes to standard output",
      expected: "--serial or --json",
      found: "both",
      hint: "--json has the console in its events.",
      kind: "usage",
    });
  }
  const request: BootRequest = {
    settings,
    attach: options.as,
    accelerator: options.accel,
    network: options.network,
    writable: options.writable === true,
    limits: { timeLimitS: options.timeLimit, hangLimitS: options.hangLimit },
    extras: extrasOf(options, env),
  };
  const rules = await ownRulesFor(cli, options.rules);
  const prepared = await prepareBoot(image, request, env, systemClock, job);
  const warnings = [...told];
  const closed = await sweepOrphans(settings.logDir, systemClock, job.signal, async () => rules).catch((error: Error) => {
    warnings.push(`Sessions that were cut off could not be closed: ${error.message}`);
    return [];
  });
  for (const id of closed) job.progress.say(`Session ${printable(id)} had been cut off; it is marked failed and analysed.`);
  warnings.push(...prepared.plan.warnings);
  const face = bootFace(cli, options);
  for (const warning of warnings) face({ type: "warning", text: warning });
  for (const line of waysIn(prepared.plan)) job.progress.say(printable(line));
  const wish = { prepared, subject: prepared.plan.image.path, settings, goal: options.until, rules, warnings: [...warnings, ...notes] };
  return await recordBoot(newRecording(wish, { env, clock: systemClock, job, onEvent: face }));
}

function secondsOf(flag: string): (text: string) => number {
  return (text) => {
    const seconds = Number(text);
    if (/^\d+$/.test(text) && seconds >= 1 && seconds <= 604_800) return seconds;
    throw new HiperisoError({
      what: "understand the flags",
      where: flag,
      expected: "whole seconds, 1 to 604800",
      found: `"${text}"`,
      kind: "usage",
    });
  };
}
