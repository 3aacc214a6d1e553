/** `hiperiso stick pick`: the stick's own picker, on this computer. */
import { mkdir, mkdtemp, open, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import type { SettingValues } from "../config/settings.ts";
import { EXIT } from "../contract/error.ts";
import { silentProgress } from "../contract/job.ts";
import { flagOf, PARAMETERS } from "../contract/parameters.ts";
import { printable } from "../formats/escape-terminal.ts";
import { type Console, openConsole } from "../host/console.ts";
import type { SessionEvent } from "../session/recording.ts";
import type { StickData } from "../stick/data.ts";
import type { PickerChoice, PickerFacts } from "../stick/picker/facts.ts";
import { pick } from "../stick/picker/pick.ts";
import { lookIntoImage, readPickerFacts } from "../stick/picker/read-facts.ts";
import { CHANGEABLE, settingsInForce } from "../stick/picker/settings.ts";
import { openRecordingScreen } from "../stick/screen/recording-screen.ts";
import { command as bootCommand } from "./boot.ts";
import { bootFace } from "./boot-face.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";
import { openDataForReading, stickAndWords, withMounted } from "./stick-target.ts";

const WAYS_OUT = [{ id: "left", title: "Leave" }] as const;

export function pickCommand(cli: Cli): CommandUnknownOpts {
  return withMounted(
    new Command("pick")
      .summary("the stick's picker, on this computer")
      .description(
        "Show the picker that the stick shows, with its images, their details and settings, and its sessions. Nothing is written to the stick. Prints what\nwas chosen, as `hiperiso boot` would be told. Exit status 1 when nothing was.",
      )
      .argument("[stick]", "its image or device"),
  )
    .option("--boot", "boot it here, as the stick would, with the same screen; the session is kept where `hiperiso sessions` looks")
    .option("--json", "print the choice as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick pick stick.img", "look around on a stick"],
        ["hiperiso stick pick stick.img --boot", "and boot what was picked, on this computer"],
        ["hiperiso stick pick --mounted /media/me/HIPERISO", "where the system has mounted it"],
      ]),
    )
    .action(async (place, { boot, json, mounted }) => {
      const { stick } = stickAndWords(place === undefined ? [] : [place], { mounted });
      await using opened = await openDataForReading(cli, stick, { mounted });
      const { data } = opened;
      const title = basename(stick ?? mounted ?? "");
      const facts = await readPickerFacts(data, { title, said: {}, waysOut: WAYS_OUT }, cli.job);
      const choice = await pickOn(cli, data, facts);
      if (choice.type === "leave") {
        if (json === true) cli.json({ image: null, settings: {} });
        cli.exit(EXIT.goalMissed);
      } else if (boot === true) await bootPicked(cli, data, facts, choice);
      else if (json === true) cli.json({ image: choice.path, settings: choice.settings });
      else cli.out(`${[choice.path, ...settingWords(choice.settings)].map((word) => printable(word)).join("\n")}\n`);
    });
}

const terminalOf = (cli: Cli): Console => openConsole({ term: cli.env["TERM"], noColour: (cli.env["NO_COLOR"] ?? "") !== "" });

async function pickOn(cli: Cli, data: StickData, facts: PickerFacts): Promise<PickerChoice> {
  await using terminal = terminalOf(cli);
  return await pick({ facts, look: (path, signal) => lookIntoImage(data, path, signal) }, [terminal], cli.job.signal);
}

type Picked = Extract<PickerChoice, { type: "boot" }>;

/** By `hiperiso boot` itself, with the settings that would be in force on the stick. */
async function bootPicked(cli: Cli, data: StickData, facts: PickerFacts, choice: Picked): Promise<void> {
  await using files = await filesAtHand(cli, data, choice.path, saidOnStick(facts, choice));
  await using terminal = terminalOf(cli);
  await using screen = openRecordingScreen({ title: choice.path }, [terminal]);
  const told: SessionEvent[] = [];
  const signal = AbortSignal.any([cli.job.signal, screen.stopped]);
  const quiet: Cli = { ...cli, out: () => {}, err: () => {}, status: () => {}, job: { signal, progress: silentProgress } };
  const face = (event: SessionEvent): void => {
    screen.onEvent(event);
    if (event.type === "session" || event.type === "verdict") told.push(event);
  };
  const boot = bootCommand(quiet, { face }).exitOverride();
  await boot.parseAsync([...files.words], { from: "user" });
  await screen[Symbol.asyncDispose]();
  await terminal[Symbol.asyncDispose]();
  const afterwards = bootFace(cli, {});
  for (const event of told) afterwards(event);
}

/** The command line for `hiperiso boot`, each path on the stick in place of it as this computer reaches it. */
interface FilesAtHand extends AsyncDisposable {
  readonly words: readonly string[];
}

/** What the person and the stick's configuration say of a boot; what nobody says is this computer's to say, where sessions go too. */
function saidOnStick(facts: PickerFacts, { path, settings: chosen }: Picked): SettingValues {
  const { settings, origin } = settingsInForce(facts, path, chosen);
  return Object.fromEntries(
    CHANGEABLE.filter(({ setting }) => origin[setting] !== "default").map(({ setting }) => [setting, settings[setting]]),
  );
}

/** A mounted file is where it is; of a stick that is not mounted it is copied out, since QEMU reads no exFAT. */
async function filesAtHand(cli: Cli, data: StickData, path: string, settings: SettingValues): Promise<FilesAtHand> {
  if (data.volume === undefined) {
    const at = (one: string) => data.at(one);
    return { words: [at(path), ...settingWords(settingsAt(settings, at))], [Symbol.asyncDispose]: async () => {} };
  }
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-pick-"));
  const remove = async () => await rm(folder, { recursive: true, force: true });
  try {
    const wanted = new Set([path]);
    settingsAt(settings, (one) => {
      wanted.add(one);
      return one;
    });
    const copied = new Map<string, string>();
    for (const one of wanted) copied.set(one, await copyOut(cli, data, one, join(folder, `${copied.size}`)));
    const at = (one: string) => copied.get(one) ?? one;
    return { words: [at(path), ...settingWords(settingsAt(settings, at))], [Symbol.asyncDispose]: remove };
  } catch (error) {
    await remove();
    throw error;
  }
}

/** The same with each path of the data partition as `at` gives it. */
function settingsAt(settings: SettingValues, at: (path: string) => string): SettingValues {
  const moved = PARAMETERS.flatMap(({ setting, value }) => {
    const said = settings[setting];
    if (typeof said !== "string") return [];
    if (value.type === "path") return [[setting, at(said)] as const];
    // org=/path/in/image;new=/path/on/data, pairs joined by ;; (CONTRACT section 1)
    return setting === "confReplace" ? [[setting, said.replace(/(?<=(?:^|;)new=)[^;]+/g, at)] as const] : [];
  });
  return { ...settings, ...Object.fromEntries(moved) };
}

/** Into a folder of its own, so that it keeps its name, by which the session is called. */
async function copyOut(cli: Cli, data: StickData, path: string, folder: string): Promise<string> {
  await mkdir(folder);
  const target = join(folder, basename(path));
  const size = (await data.tree.stat(data.at(path)))?.sizeBytes ?? 0n;
  const step = cli.job.progress.begin(`copy ${path} off the stick`, size);
  try {
    await using file = await open(target, "wx");
    for await (const piece of data.read(path, cli.job.signal)) {
      cli.job.signal.throwIfAborted();
      for (let done = 0; done < piece.length; ) done += (await file.write(piece, done)).bytesWritten;
      step.advance(piece.length);
    }
  } finally {
    step.end();
  }
  return target;
}

/** The flags of `hiperiso boot` that say what was changed for this once. */
export function settingWords(settings: SettingValues): readonly string[] {
  return PARAMETERS.flatMap((parameter) => {
    const value = settings[parameter.setting];
    if (value === undefined || value === false) return [];
    return [value === true ? flagOf(parameter) : `${flagOf(parameter)}=${value}`];
  });
}
