/** `hiperiso stick adopt`: hiperiso as a guest on a stick of Ventoy, and off it again. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { VENTOY_MODES, type VentoyMode } from "../config/ventoy-json.ts";
import { ADOPTION, type Adoption } from "../contract/adoption.ts";
import { HiperisoError } from "../contract/error.ts";
import { STICK_DATA } from "../contract/stick.ts";
import type { StickAdopted, StickUnadopted } from "../contract/stick-answers.ts";
import type { BlockStore } from "../disk/block-store.ts";
import { openForReading, openVolume, sectorsOf } from "../disk/open-volume.ts";
import { printable } from "../formats/escape-terminal.ts";
import { diskNumber } from "../image/image-facts.ts";
import { type AdoptPlan, type AdoptWish, adoptStick, planAdoption, type Removal, removeAdoption } from "../stick/adopt/adopt.ts";
import type { TakeoverLine } from "../stick/adopt/translate.ts";
import { VENTOY_MENU_TITLE } from "../stick/adopt/ventoy-menu.ts";
import { openVentoyStick, type VentoyStick } from "../stick/adopt/ventoy-stick.ts";
import { type StickData, volumeData } from "../stick/data.ts";
import { mendAfterCut } from "../stick/mend.ts";
import type { Cli } from "./cli.ts";
import { openTargetForWriting, type WriteFlags, withWriteFlags } from "./disk-target.ts";
import { examplesText, programVersion } from "./program.ts";
import { forgetterOf, keptRuntimeOf, requireWritable, runtimeOf, stickTarget, timeOf } from "./stick-target.ts";
import { byteSize } from "./terminal.ts";

export function adoptCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("adopt")
      .summary("add hiperiso to a Ventoy stick")
      .description(
        "Add hiperiso to a Ventoy stick: its files go into /hiperiso of the data partition, and an entry into the menu that Ventoy opens with F6. Partition\ntable and boot partition are not written. What ventoy.json says is taken over into hiperiso.json, and what is not is listed. --remove takes it all away.",
      )
      .argument("<stick>", "its image or device")
      .option("--runtime <folder>", "what boots, laid out as on a boot partition; otherwise what `hiperiso runtime build` builds")
      .option("--mode <mode>", `whose part of ventoy.json counts: ${VENTOY_MODES.join(", ")}`, modeOf, "uefi" as VentoyMode)
      .option("--remove", "take hiperiso off the stick again; its sessions stay")
      .option("--no-verify", "do not read back what was written")
      .option("-f, --force", "replace a hiperiso.json that was written by hand; it is kept in /hiperiso/before")
      .option("-n, --dry-run", "say what would be done, and write nothing"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick adopt ventoy.img --dry-run", "what would be taken over, and what not"],
        ["sudo hiperiso stick adopt /dev/sdb", "a stick; its name is asked for first"],
        ["sudo hiperiso stick adopt /dev/sdb --remove", "as it was before"],
      ]),
    )
    .action(async (place, { runtime, mode, remove, verify, force, dryRun, json, ...flags }) => {
      const dry = dryRun === true;
      const timeMs = timeOf(cli.env).ms;
      if (remove === true) {
        const look = async (data: StickData, write: boolean) => await removeAdoption(data, { write, timeMs }, cli.job);
        const removal = dry
          ? await onData(cli, place, undefined, ({ data }) => look(data, false))
          : await onData(cli, place, { flags, change: "take hiperiso off it; images and sessions stay" }, ({ data }) => look(data, true));
        if (json === true) cli.json(unadoptedOf(removal, dry));
        else cli.out(removalText(place, removal, dry));
        return;
      }
      // What is no stick of Ventoy's is told before minutes go into building what boots.
      await onData(cli, place, undefined, async () => {});
      const files = await (dry ? keptRuntimeOf : runtimeOf)(cli, runtime);
      const common = { runtime: files, mode, replaceConfig: force === true, timeMs, version: programVersion() };
      const wishFor = ({ diskId }: VentoyStick): AdoptWish => ({ ...common, diskId: diskId ?? "" });
      // Planned before anybody is asked: what stands against it is told first.
      const planned = await onData(cli, place, undefined, ({ data, stick }) => planAdoption(data, wishFor(stick), cli.job));
      let adoption: Adoption | undefined;
      if (!dry) {
        const change = "add hiperiso to its data partition";
        adoption = await onData(cli, place, { flags, change }, async ({ data, stick, medium, isDevice }) => {
          const forget = forgetterOf(cli, medium, isDevice ? undefined : place);
          return await adoptStick(data, await planAdoption(data, wishFor(stick), cli.job), wishFor(stick), { verify, forget }, cli.job);
        });
      }
      if (json === true) cli.json(answerOf(planned, adoption, mode));
      else cli.out(planText(place, planned, mode, dry));
    });
}

function modeOf(text: string): VentoyMode {
  const mode = VENTOY_MODES.find((one) => one === text);
  if (mode !== undefined) return mode;
  throw new HiperisoError({ what: "use --mode", expected: VENTOY_MODES.join(", "), found: text, kind: "usage" });
}

interface OpenedVentoy {
  readonly data: StickData;
  readonly stick: VentoyStick;
  readonly medium: BlockStore;
  readonly isDevice: boolean;
}

/** `writing`: undefined opens for reading alone. Only a window on the first partition is ever written. */
async function onData<T>(
  cli: Cli,
  place: string,
  writing: { readonly flags: WriteFlags; readonly change: string } | undefined,
  use: (opened: OpenedVentoy) => Promise<T>,
): Promise<T> {
  const target = await stickTarget(place);
  const open = async (): Promise<BlockStore> => {
    if (writing === undefined) return await openForReading(target);
    return (await openTargetForWriting(cli, target, { ...writing, needsVolume: false })).medium;
  };
  await using medium = await open();
  const stick = await openVentoyStick(medium, sectorsOf(target, medium), cli.job);
  if (writing !== undefined) await mendAfterCut(stick.dataStore, cli.job);
  await using volume = await openVolume(stick.dataStore, { readOnly: writing === undefined }, cli.job);
  if (writing !== undefined) requireWritable(volume, stick.dataStore.name);
  return await use({ data: volumeData(volume, stick.dataStore), stick, medium, isDevice: target.isDevice });
}

function answerOf(plan: AdoptPlan, adoption: Adoption | undefined, mode: VentoyMode): StickAdopted {
  return {
    dryRun: adoption === undefined,
    mode,
    renewed: plan.before !== undefined,
    files: plan.files.map(({ path, sizeBytes }) => ({ path, sizeBytes: diskNumber(sizeBytes) })),
    totalBytes: diskNumber(plan.totalBytes),
    freeBytes: diskNumber(plan.freeBytes),
    images: plan.images,
    config: { path: STICK_DATA.config, fate: plan.config.fate, text: new TextDecoder().decode(plan.config.bytes) },
    ventoyMenu: { path: ADOPTION.ventoyMenu, existed: plan.ventoyMenu.existed },
    ventoyJson: { found: plan.hasVentoyConfig, findings: [...plan.findings], taken: [...plan.lines] },
    adoption: adoption ?? null,
  };
}

const unadoptedOf = ({ removed, restored, kept }: Removal, dryRun: boolean): StickUnadopted => ({
  dryRun,
  removed: [...removed],
  restored: [...restored],
  kept: [...kept],
});

const OUTCOMES = [
  ["taken", "taken over"],
  ["partly", "in part"],
  ["left", "left out"],
] as const;

function planText(place: string, plan: AdoptPlan, mode: VentoyMode, dry: boolean): string {
  const will = (now: string, later: string) => (dry ? later : now);
  const lines = [
    `${printable(place)}: a Ventoy stick, ${plan.images} ${plan.images === 1 ? "image" : "images"} in its menu`,
    ...(plan.cut ? ["  it has more files than were looked at: of the others nothing is taken over"] : []),
    ...(plan.recordDamage === undefined ? [] : [`  the record of an earlier adoption was damaged: ${printable(plan.recordDamage)}`]),
    `  ${ADOPTION.runtime}  ${byteSize(Number(plan.totalBytes))} ${will("were written", "would be written")}, ${byteSize(Number(plan.freeBytes))} were free`,
    `  ${ADOPTION.ventoyMenu}  ${will("has", "would get")} an entry${plan.ventoyMenu.existed ? `; as it was: ${ADOPTION.before}` : ""}`,
    plan.config.fate === "kept"
      ? `  ${STICK_DATA.config}  stays as it is: somebody wrote it; --force replaces it`
      : `  ${STICK_DATA.config}  ${will("was made", "would be made")}${plan.hasVentoyConfig ? ` from ${ADOPTION.ventoyConfig}` : "; there is no ventoy.json"}`,
    "  partition table and boot partition  not touched",
  ];
  if (plan.hasVentoyConfig) {
    lines.push("", `${ADOPTION.ventoyConfig}, as Ventoy takes it (${mode}):`);
    for (const { line, column, message } of plan.findings) lines.push(`  line ${line}, column ${column}: ${printable(message)}`);
    for (const [outcome, title] of OUTCOMES)
      lines.push(...plan.lines.filter((one) => one.outcome === outcome).map((one) => takeoverText(title, one)));
  }
  lines.push(
    "",
    dry
      ? "Nothing was written."
      : `Start it from Ventoy's menu: F6, then "${VENTOY_MENU_TITLE}". \`hiperiso stick adopt --remove\` takes it away.`,
    "",
  );
  return lines.join("\n");
}

const takeoverText = (title: string, { plugin, line, what, why }: TakeoverLine): string =>
  `  ${title.padEnd(10)}  ${plugin}${line === null ? "" : `, line ${line}`}: ${printable(what)}${why === null ? "" : ` (${printable(why)})`}`;

function removalText(place: string, { removed, restored, kept }: Removal, dry: boolean): string {
  const listed = (title: string, paths: readonly string[]) =>
    paths.length === 0 ? [] : [`  ${title}: ${paths.map((path) => printable(path)).join(", ")}`];
  return [
    `${printable(place)}: hiperiso ${dry ? "would be taken" : "was taken"} off it`,
    ...listed("removed", removed),
    ...listed("as it was", restored),
    ...listed("kept", kept),
    ...(dry ? ["Nothing was written."] : []),
    "",
  ].join("\n");
}
