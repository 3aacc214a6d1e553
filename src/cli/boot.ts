import { resolve } from "node:path";
import { Command, type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { createGoal } from "../analysis/goal.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { STICK_DATA_NAME, STICK_ESP_LABEL } from "../contract/stick.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import type { ImageFacts } from "../image/image-facts.ts";
import { newRecording, type RecordingWish } from "../session/new-recording.ts";
import { sweepOrphans } from "../session/orphans.ts";
import { type BootWish, prepareBoot } from "../session/prepare-boot.ts";
import { type Recorded, recordBoot } from "../session/record.ts";
import type { Script } from "../suite/script.ts";
import { addDriveFlags, type DriveOptions, drivesOf } from "./boot-drives.ts";
import { type BootFace, bootFace } from "./boot-face.ts";
import { addSettingFlags, settingsOf } from "./boot-flags.ts";
import { addMachineFlags, extrasOf, impliedSettings, type MachineOptions, waysIn } from "./boot-machine.ts";
import { addMenuFlags, type MenuOptions, menuSettings, menuWishOf } from "./boot-menu-flags.ts";
import { addScriptFlags, type ScriptOptions, scriptedBoot } from "./boot-script.ts";
import { settle } from "./boot-settings.ts";
import { addTraceFlags, type TraceOptions } from "./boot-trace.ts";
import { collectSaid, requestWords } from "./boot-words.ts";
import type { Cli } from "./cli.ts";
import { ownRulesFor, RULES_OPTION } from "./own-rules.ts";
import { examplesText } from "./program.ts";
import { secondsOf } from "./seconds.ts";

const EXAMPLES = [
  ["hiperiso boot debian-live.iso", "with the firmware the image is made for, until its login prompt"],
  ["hiperiso boot debian-live.iso --firmware bios --as usb", "as a USB stick in an old computer"],
  ["hiperiso boot installer.iso --until 'text:Welcome to' --serial", "until these words, the console passed through"],
  ["hiperiso boot debian-live.iso --script login.yaml", "driven by a script, until its last step"],
  ["hiperiso boot stick.img --ram 4096 --time-limit 300 --json", "for a program: events, one JSON object a line"],
] as const;

/** For whoever boots many images: it has read the script, and takes the events. */
export interface BootHooks {
  readonly script?: Script;
  readonly face?: BootFace;
}

export function command(cli: Cli, hooks: BootHooks = {}): CommandUnknownOpts {
  const command = new Command("boot")
    .description(
      "Boots an image in QEMU, records the boot as a session, and says what happened.\nThe image is never written unless --writable is given.",
    )
    .argument("[image]", "an ISO, a disk image (raw, qcow2, vmdk, vdi, vhdx, vhd) or a block device; none where a --kernel is enough")
    .option(
      "--until <goal>",
      "what ends the boot as a success: login, another stage (firmware, bootloader, kernel, initramfs, userspace), text:…, pattern:…, never (default login)",
    )
    .option("--time-limit <seconds>", "end the boot after this time", secondsOf("--time-limit"))
    .option("--hang-limit <seconds>", "end it when console, disk and screen have been still for this time", secondsOf("--hang-limit"))
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
    .option(...RULES_OPTION)
    .option("--config <file>", "a hiperiso.json: defaults, and overrides by the image's name")
    .option("--serial", "pass the guest's console through to standard output, made harmless")
    .option("--json", "stream events on standard output, one JSON object a line")
    .addHelpText(
      "after",
      () =>
        `${examplesText(EXAMPLES)}\nExit status: 0 the goal was reached, 1 it was not, 2 wrong usage or configuration, 3 hiperiso or a tool it needs failed.`,
    );
  addDriveFlags(command);
  addMenuFlags(command);
  addMachineFlags(command);
  addScriptFlags(command);
  addTraceFlags(command);
  addSettingFlags(command);
  const said = collectSaid(command);
  return command.action(async (image, options) => {
    const request = requestWords(image, said, cli.env);
    const recorded = await boot(cli, image, options, { ...hooks, added: { request } });
    cli.exit(recorded.session.result === "success" ? EXIT.goalReached : EXIT.goalMissed);
  });
}

/** By its partition table, as `stick` itself knows one. */
const isStick = ({ gpt }: ImageFacts): boolean =>
  [STICK_DATA_NAME, STICK_ESP_LABEL].every((name, index) => gpt?.partitions[index]?.name === name);

interface BootOptions extends DriveOptions, MachineOptions, MenuOptions, ScriptOptions, TraceOptions {
  readonly timeLimit?: number | undefined;
  readonly hangLimit?: number | undefined;
  readonly accel: "auto" | "kvm" | "tcg";
  readonly network?: "none" | "restricted" | "user" | undefined;
  readonly config?: string | undefined;
  readonly rules?: string | undefined;
  readonly serial?: true | undefined;
  readonly json?: true | undefined;
}

async function boot(
  cli: Cli,
  image: string | undefined,
  options: BootOptions,
  hooks: BootHooks & Pick<RecordingWish, "added">,
): Promise<Recorded> {
  const { env, job } = cli;
  const { goal, drive, limits } = await scriptedBoot(options, env, hooks.script);
  createGoal(goal); // refused before the questions that take time
  const said = { ...impliedSettings(options), ...menuSettings(options), ...settingsOf({ ...options }) };
  const drives = drivesOf(options, env);
  const subject = resolve(image ?? drives.kernel?.path ?? "");
  const { settings, warnings: told, notes } = await settle(subject, said, options.config, env);
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
  const request: BootWish = {
    ...drives,
    settings,
    menu: menuWishOf(options),
    accelerator: options.accel,
    network: options.network,
    limits: { timeLimitS: options.timeLimit, hangLimitS: options.hangLimit, ...limits },
    extras: extrasOf(options, env),
    traceLimitMb: options.traceLimit,
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
  if (options.writable !== true && prepared.image !== undefined && isStick(prepared.image))
    warnings.push("This is a stick of hiperiso, and nothing that it records will stay on it: --writable lets it be written.");
  const face = hooks.face ?? bootFace(cli, options);
  for (const warning of warnings) face({ type: "warning", text: warning });
  for (const line of waysIn(prepared.plan)) job.progress.say(printable(line));
  const { added = {} } = hooks;
  const wish = { prepared, subject, settings, goal, rules, warnings: [...warnings, ...notes], added };
  const recording = newRecording(wish, { env, clock: systemClock, job, onEvent: face });
  return await recordBoot(drive === undefined ? recording : { ...recording, drive });
}
