/** `hiperiso stick verify`, `update` and `config`: is a stick whole, its boot partition anew, its configuration. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { CONFIG_FILE_BYTES_MAX, decodeConfig } from "../config/config-file.ts";
import type { ConfigFinding } from "../config/hiperiso-json.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { STICK_DATA } from "../contract/stick.ts";
import type { StickConfigChecked, StickUpdated, StickVerified } from "../contract/stick-answers.ts";
import { printable } from "../formats/escape-terminal.ts";
import { readBounded } from "../host/bounded-file.ts";
import { diskNumber } from "../image/image-facts.ts";
import { verifyAdopted } from "../stick/adopt/verify.ts";
import { makeDataFolders, readDataFile, writeDataFile } from "../stick/data.ts";
import { stickMenu } from "../stick/menu-maker.ts";
import { planUpdate, type UpdateWish, writeUpdate } from "../stick/update.ts";
import { type StickCheck, verifyMounted, verifyStick } from "../stick/verify.ts";
import type { Cli } from "./cli.ts";
import { withWriteFlags } from "./disk-target.ts";
import { examplesText, programVersion } from "./program.ts";
import {
  forgetterOf,
  idsOf,
  openAdoptedForReading,
  openDataForReading,
  openDataForWriting,
  openStickForReading,
  openStickForWriting,
  renewMenu,
  runtimeOf,
  stickAndWords,
  timeOf,
  withMounted,
} from "./stick-target.ts";
import { byteSize } from "./terminal.ts";

export function verifyCommand(cli: Cli): CommandUnknownOpts {
  return withMounted(
    new Command("verify")
      .summary("is a stick what was written to it")
      .description(
        "Check a stick: partition table, both file systems, the files that boot, and all images against the sums that were kept. Nothing is written.\nExit status 0: all is well, 1: there are problems.",
      )
      .argument("[stick]", "its image or device"),
  )
    .option("--quick", "do not read the images, only look at them")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick verify stick.img", "all of an image"],
        ["sudo hiperiso stick verify /dev/sdb --quick", "a stick, without reading its images"],
      ]),
    )
    .action(async (place, { quick, json, mounted }) => {
      const { stick } = stickAndWords(place === undefined ? [] : [place], { mounted });
      const options = { contents: quick !== true };
      let check: StickCheck;
      if (stick === undefined) {
        await using opened = await openDataForReading(cli, undefined, { mounted });
        check = await verifyMounted(opened.data, options, cli.job);
      } else {
        await using adopted = await openAdoptedForReading(cli, stick);
        if (adopted === undefined) {
          await using opened = await openStickForReading(stick);
          if (!opened.target.isDevice) await forgetterOf(cli, undefined, stick)();
          check = await verifyStick(opened, options, cli.job);
        } else check = await verifyAdopted(adopted.data, options, cli.job);
      }
      const { problems, notes, imagesChecked, espFilesChecked } = check;
      if (json === true) {
        cli.json({
          clean: problems.length === 0,
          imagesChecked,
          espFilesChecked,
          problems: problems.map(({ id, path, text, hint }) => ({ id, path: path ?? null, text, hint: hint ?? null })),
          notes: [...notes],
        } satisfies StickVerified);
      } else {
        for (const { path, text, hint } of problems)
          cli.out(`${printable(path === undefined ? text : `${path}: ${text}`)}${hint === undefined ? "" : `\n  ${printable(hint)}`}\n`);
        for (const note of notes) cli.out(`note: ${printable(note)}\n`);
        const seen = `${counted(imagesChecked, "image")}${stick === undefined ? "" : `, ${counted(espFilesChecked, "boot file")}`}`;
        cli.out(problems.length === 0 ? `All is well: ${seen}.\n` : `${counted(problems.length, "problem")}; looked at: ${seen}.\n`);
      }
      if (problems.length > 0) cli.exit(EXIT.goalMissed);
    });
}

const counted = (count: number, word: string): string => `${count} ${word}${count === 1 ? "" : "s"}`;

export function updateCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    new Command("update")
      .summary("make a stick's boot partition anew")
      .description(
        "Make the boot partition of a stick anew, with what boots and the menu. The data partition keeps every byte. If it is cut off, do it again.",
      )
      .argument("<stick>", "its image or device")
      .option("--runtime <folder>", "what boots, laid out as on the boot partition; otherwise what `hiperiso runtime build` builds")
      .option("--ids-from <seed>", "a serial number from this text, where the old one is lost")
      .option("--no-verify", "do not read back what was written")
      .option("-n, --dry-run", "say what would be written, and write nothing"),
  )
    .option("--json", "as JSON")
    .addHelpText("after", () => examplesText([["hiperiso stick update stick.img", "with what this version boots"]]))
    .action(async (place, { runtime, idsFrom, verify, dryRun, json, ...flags }) => {
      // What is no stick is told before minutes go into building what boots.
      await (await openStickForReading(place))[Symbol.asyncDispose]();
      const wish: UpdateWish = {
        runtime: (await runtimeOf(cli, runtime))!,
        makeMenu: stickMenu,
        timeMs: timeOf(cli.env).ms,
        version: programVersion(),
        ids: idsOf(idsFrom),
      };
      const planned = await (async () => {
        await using looked = await openStickForReading(place);
        return await planUpdate(looked, wish, cli.job);
      })();
      const before = planned.before?.hiperiso_version;
      if (dryRun !== true) {
        const change = "make its boot partition anew; images and sessions stay";
        await using opened = await openStickForWriting(cli, place, flags, change);
        await writeUpdate(opened, planned, wish, cli.job);
        if (verify) {
          await forgetterOf(cli, opened.medium, opened.target.isDevice ? undefined : place)();
          const { problems } = await verifyStick(opened, { contents: false }, cli.job);
          const first = problems.find(({ id }) => id.startsWith("esp-"));
          if (first !== undefined)
            throw new HiperisoError({ what: "read back the boot partition", where: `${place}${first.path ?? ""}`, found: first.text });
        }
      }
      if (json === true)
        cli.json({
          dryRun: dryRun === true,
          before: before ?? null,
          after: wish.version,
          usedBytes: diskNumber(planned.usedBytes),
        } satisfies StickUpdated);
      else
        cli.out(
          `${printable(place)}: boot partition of ${printable(before ?? "an unknown version")}${dryRun === true ? " would become" : " is now"} of ${wish.version}, ${byteSize(Number(planned.usedBytes))}\n`,
        );
    });
}

export function configCommand(cli: Cli): CommandUnknownOpts {
  return withWriteFlags(
    withMounted(
      new Command("config")
        .summary("check or write a stick's hiperiso.json")
        .description(
          "Check the hiperiso.json that is on a stick, or check one and put it there. One with errors is not written unless --force says so: what is\nwrong in it would be left out at a boot. Exit status 2 when there are errors.",
        )
        .argument("<words...>", "the stick's image or device, then, to write it, a file"),
    ).option("-f, --force", "write one with errors too"),
  )
    .option("--json", "print the findings as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso stick config stick.img", "check what is on it"],
        ["hiperiso stick config stick.img hiperiso.json", "check a file, and put it there"],
      ]),
    )
    .action(async (words, { force, json, ...flags }) => {
      const { stick, rest } = stickAndWords(words, flags);
      if (rest.length > 1)
        throw new HiperisoError({ what: "write the configuration", expected: "one file", found: `${rest.length}`, kind: "usage" });
      const [file] = rest;
      const found = await (file === undefined ? checkThere(cli, stick, flags.mounted) : checkFile(file));
      const errors = found.findings.filter(({ severity }) => severity === "error").length;
      const writes = file !== undefined && (errors === 0 || (force === true && found.bytes.length <= CONFIG_FILE_BYTES_MAX));
      if (writes) {
        await using opened = await openDataForWriting(cli, stick, flags, `write its ${STICK_DATA.config}`);
        const { ms } = timeOf(cli.env);
        await makeDataFolders(opened.data, STICK_DATA.folder, ms);
        await writeDataFile(opened.data, STICK_DATA.config, found.bytes, ms, cli.job);
        await opened.data.flush();
        await renewMenu(cli, opened);
      }
      if (json === true) {
        const warnings = found.findings.length - errors;
        cli.json({ written: writes, errors, warnings, findings: [...found.findings] } satisfies StickConfigChecked);
      } else {
        for (const finding of found.findings) cli.out(findingLine(finding));
        if (writes) cli.out(`${printable(STICK_DATA.config)} is on the stick.\n`);
        else if (file !== undefined) cli.out("It was not written.\n");
        else if (found.findings.length === 0) cli.out(`${printable(found.where)}: nothing is wrong.\n`);
      }
      if (errors > 0 && !writes) cli.exit(EXIT.usage);
    });
}

const findingLine = ({ where, line, column, path, message, severity }: ConfigFinding): string =>
  `${printable(where)}:${line}:${column}: ${severity}: ${path === "" ? "" : `${path}: `}${message}\n`;

interface CheckedConfig {
  readonly where: string;
  readonly bytes: Uint8Array;
  readonly findings: readonly ConfigFinding[];
}

async function checkFile(path: string): Promise<CheckedConfig> {
  const bytes = await readBounded(path, CONFIG_FILE_BYTES_MAX, "read the configuration");
  return { where: path, bytes, findings: decodeConfig(bytes, path).findings };
}

async function checkThere(cli: Cli, stick: string | undefined, mounted: string | undefined): Promise<CheckedConfig> {
  await using opened = await openDataForReading(cli, stick, { mounted });
  const { data } = opened;
  const where = data.tree.shown(data.at(STICK_DATA.config));
  const bytes = await readDataFile(data, STICK_DATA.config, CONFIG_FILE_BYTES_MAX);
  if (bytes === undefined) return { where, bytes: new Uint8Array(), findings: [] };
  return { where, bytes, findings: decodeConfig(bytes, where).findings };
}
