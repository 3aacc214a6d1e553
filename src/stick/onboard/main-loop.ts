/**
 * The program on the stick, from its start to the word for the first process: what the boot menu said is done, or a person is asked; then again, until
 * the computer shall be started anew, turned off, or given to an image's own kernel.
 */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { readOwnRules } from "../../analysis/own-rules.ts";
import type { Rule } from "../../analysis/rule.ts";
import { CONFIG_FILE_BYTES_MAX } from "../../config/config-file.ts";
import { type Config, emptyConfig } from "../../config/hiperiso-json.ts";
import { resolveSettings, type SettingValues } from "../../config/settings.ts";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { type Job, silentProgress } from "../../contract/job.ts";
import { STICK_DATA, STICK_ESP, type StickManifest, type StickNext } from "../../contract/stick.ts";
import type { Clock } from "../../host/clock.ts";
import { sweepOrphans } from "../../session/orphans.ts";
import { openMountedData } from "../data.ts";
import { decodeManifest } from "../manifest.ts";
import type { MenuBefore } from "../menu-files.ts";
import { type MakeMenu, menuConfig } from "../menu-maker.ts";
import type { PickerChoice } from "../picker/facts.ts";
import { lookIntoImage, readPickerFacts } from "../picker/read-facts.ts";
import { bootImage } from "./boot-image.ts";
import type { BootLine } from "./boot-line.ts";
import type { AfterChoice, BootOutcome, OnboardFace } from "./face.ts";
import { earlierPhases } from "./phases.ts";
import { onHost, type StickPlaces } from "./places.ts";
import { type MountedEsp, mountedMenuBefore, renewMountedMenu } from "./renew-menu.ts";
import { clockDoubt } from "./stick-clock.ts";

export interface Onboard {
  readonly places: StickPlaces;
  readonly line: BootLine;
  /** The stick's own kernel speaks on a serial line. */
  readonly serial: boolean;
  /** Undefined: the menu is somebody else's. */
  readonly makeMenu: MakeMenu | undefined;
  readonly esp: MountedEsp;
  readonly face: OnboardFace;
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly job: Job;
}

/** Without a key for so long behind a boot, the computer is turned off: a menu that boots by itself would fill the stick overnight. */
const PATIENCE_S = 60;

/** Aborted, it ends what runs in order and asks for a restart. */
export async function runOnboard(onboard: Onboard): Promise<StickNext> {
  try {
    return await loop(onboard);
  } catch (error) {
    if (onboard.job.signal.aborted) return "reboot";
    throw error;
  }
}

async function loop(onboard: Onboard): Promise<StickNext> {
  const { places, line, face, clock, job } = onboard;
  const phases = await earlierPhases(places, clock);
  const known = await lookAround(onboard);
  let boots = 0;
  let marked = line.image;
  let wanted: Extract<PickerChoice, { type: "boot" }> | undefined =
    line.image === undefined ? undefined : { type: "boot", path: line.image, settings: line.settings };
  for (;;) {
    job.signal.throwIfAborted();
    const choice = wanted ?? (await pickImage(onboard, known, marked));
    if (choice.type === "leave") return choice.way === "poweroff" ? "poweroff" : "reboot";
    marked = choice.path;
    const outcome = await boot(onboard, known, choice, boots === 0 ? phases : []);
    boots += 1;
    if (outcome.type === "handed_over") return "kexec";
    const after = await whatNext(onboard, outcome, choice.path);
    if (after === "menu") return "reboot";
    if (after === "poweroff") return "poweroff";
    wanted = after === "again" ? choice : undefined;
    face.say("");
  }
}

interface Known {
  readonly config: Config;
  readonly rules: readonly Rule[];
  /** For each session. */
  readonly warnings: readonly string[];
  /** Those that the picker does not find by itself. */
  readonly notes: readonly string[];
}

/** What there is to do and to know before anything is booted. Nothing of it stops a boot. */
async function lookAround(onboard: Onboard): Promise<Known> {
  const { places, line, face, clock, job } = onboard;
  const warnings: string[] = [...line.problems];
  const tell = async (what: string, work: () => Promise<void>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      job.signal.throwIfAborted();
      warnings.push(`${what}: ${error instanceof HiperisoError ? error.message : reasonOf(error)}`);
    }
  };
  const manifest = await readManifest(places);
  const doubt = manifest === undefined ? undefined : clockDoubt(clock.nowMs(), Date.parse(manifest.written_utc));
  if (doubt !== undefined) warnings.push(doubt);
  const before = await mountedMenuBefore(places.esp);
  const { config, problems } = await readStickConfig(places, before);
  const rules = await readStickRules(places, warnings);
  await tell("Sessions that were cut off could not be closed", async () => {
    for (const folder of logFolders(places, line.settings, config)) {
      for (const id of await sweepOrphans(folder, clock, job.signal, async () => rules)) {
        face.say(`Session ${id} had been cut off; it is marked failed and analysed.`);
      }
    }
  });
  await tell("The boot menu could not be written anew", async () => {
    const { esp, makeMenu } = onboard;
    if (makeMenu === undefined) return;
    await using data = await openMountedData(places.data);
    const diskGuid = line.disk ?? manifest?.disk_guid ?? "";
    const written = await renewMountedMenu({ data, esp, diskGuid, before, makeMenu }, quiet(job));
    if (written.length > 0) face.say("The boot menu was written anew: images or the configuration had changed.");
  });
  for (const warning of [...warnings, ...problems]) face.say(warning);
  return { config, rules, warnings: [...warnings, ...problems], notes: warnings };
}

const quiet = (job: Job): Job => ({ ...job, progress: silentProgress });

/** The menu's folder, and the standard one: an earlier boot may have had the other. */
function logFolders(places: StickPlaces, said: SettingValues, config: Config): ReadonlySet<string> {
  const { settings } = resolveSettings({ flags: said, overrides: {}, control: config.control });
  return new Set([onHost(places, STICK_DATA.logs), onHost(places, settings.logDir)]);
}

/** What `stick` wrote when it made the boot partition; a stick that was adopted has none. */
async function readManifest({ esp }: StickPlaces): Promise<StickManifest | undefined> {
  try {
    return decodeManifest(await readFile(join(esp, STICK_ESP.manifest)), STICK_ESP.manifest);
  } catch {
    return undefined;
  }
}

/** A broken configuration costs what is broken in it; of one that is broken as a whole the last good one holds, as in the menu. */
async function readStickConfig(
  places: StickPlaces,
  { goodConfig }: MenuBefore,
): Promise<{ readonly config: Config; readonly problems: readonly string[] }> {
  let bytes: Uint8Array;
  try {
    const path = onHost(places, STICK_DATA.config);
    const isTooLong = (await stat(path)).size > CONFIG_FILE_BYTES_MAX;
    bytes = isTooLong ? new Uint8Array(CONFIG_FILE_BYTES_MAX + 1) : await readFile(path);
  } catch (error) {
    const isMissing = (error as NodeJS.ErrnoException).code === "ENOENT";
    return { config: emptyConfig, problems: isMissing ? [] : [`${STICK_DATA.config} cannot be read: ${reasonOf(error)}`] };
  }
  const { config, findings, keepsLastGood } = menuConfig(bytes, goodConfig);
  const problems = findings.map(
    ({ where, line, column, path, message }) => `${where}:${line}:${column}: ${path === "" ? "" : `${path}: `}${message}`,
  );
  return {
    config,
    problems: keepsLastGood ? [...problems, `${STICK_DATA.config} is broken: the last one that could be read holds.`] : problems,
  };
}

async function readStickRules(places: StickPlaces, warnings: string[]): Promise<readonly Rule[]> {
  try {
    const { rules, findings } = await readOwnRules(onHost(places, STICK_DATA.rules));
    for (const { line, column, message } of findings) warnings.push(`${STICK_DATA.rules}:${line}:${column}: ${message}`);
    return rules;
  } catch (error) {
    const { cause } = error as Error;
    if ((cause as NodeJS.ErrnoException | undefined)?.code !== "ENOENT")
      warnings.push(`${STICK_DATA.rules} does not hold: ${reasonOf(error)}`);
    return [];
  }
}

export const WAYS_OUT = [
  { id: "menu", title: "back to the boot menu (restarts the computer)" },
  { id: "poweroff", title: "turn the computer off" },
] as const;

async function pickImage({ places, line, face, job }: Onboard, { notes }: Known, marked: string | undefined): Promise<PickerChoice> {
  await using data = await openMountedData(places.data);
  const facts = await readPickerFacts(data, { title: "this stick", said: line.settings, waysOut: WAYS_OUT, notes }, quiet(job));
  return await face.pick({ facts, marked, look: (path, signal) => lookIntoImage(data, path, signal) }, job.signal);
}

async function boot(
  { places, serial, face, env, clock, job }: Onboard,
  { config, rules, warnings }: Known,
  { path, settings }: Extract<PickerChoice, { type: "boot" }>,
  phases: Awaited<ReturnType<typeof earlierPhases>>,
): Promise<BootOutcome> {
  await using shown = face.show({ title: path, notes: warnings });
  const wish = { image: path, said: settings, config, warnings, rules, earlierPhases: phases, serial };
  const signal = AbortSignal.any([job.signal, shown.stopped]);
  return await bootImage(wish, { places, env, clock, job: { ...job, signal }, onEvent: shown.onEvent });
}

async function whatNext({ line, face, job }: Onboard, outcome: BootOutcome, image: string): Promise<AfterChoice> {
  job.signal.throwIfAborted();
  switch (line.after) {
    case "menu":
    case "poweroff":
      return line.after;
    case "next":
      return "another";
    case "ask":
      return await face.after(outcome, image, PATIENCE_S, job.signal);
  }
}
