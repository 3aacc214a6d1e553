/** `hiperiso live catalyst`: specs of catalyst as a spec of ours. */
import { basename, dirname, resolve } from "node:path";
import { Command, InvalidArgumentError, Option } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { readBounded } from "../host/bounded-file.ts";
import { systemClock } from "../host/clock.ts";
import { expandTilde } from "../host/xdg.ts";
import { archiveEnding, CATALYST_BUILDS, findSeed, writeMediaSpec } from "../live/catalyst/beside-files.ts";
import { planMediaGraph } from "../live/catalyst/media-graph.ts";
import { PACKAGE_WORLDS, worldOf } from "../live/catalyst/package-worlds.ts";
import { type CatalystSpec, decodeCatalystSpec } from "../live/catalyst/spec-file.ts";
import { besideText, mediaSpecText, notCarriedText } from "../live/catalyst/spec-text.ts";
import { type CatalystMedia, checkSpecs } from "../live/catalyst/specs.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function catalystCommand(cli: Cli) {
  return new Command("catalyst")
    .summary("Read specs of catalyst as a spec of ours.")
    .description(
      "Reads catalyst's .spec files for livecd-stage1 and livecd-stage2 and writes a spec of ours that makes the same medium, as far as it goes.\nWhat is not carried over is listed, each key with its line and the reason.",
    )
    .argument("<spec...>", "one spec for livecd-stage1, one for livecd-stage2, or both")
    .option("--to <file>", "write the spec there, and beside it copies of the files that the specs name; without it the spec is printed")
    .option("--name <name>", "name of the spec; from --to or the specs unless given", nameFrom)
    .addOption(
      new Option("--packages <manager>", "whose names the packages have; seen from the names unless given").choices(PACKAGE_WORLDS),
    )
    .option("--builds <folder>", "where catalyst keeps its archives", CATALYST_BUILDS)
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso live catalyst livecd-stage1.spec livecd-stage2.spec", "what they come to"],
        ["hiperiso live catalyst *.spec --to my/live.yaml", "a spec with all that it needs beside it"],
        ["hiperiso live build my/live.yaml --to my.iso", "the medium"],
      ]),
    )
    .action(async (paths, { to, name, packages, builds, json }) => {
      const specs = await Promise.all(paths.map(readSpec));
      const media = checkSpecs(specs);
      const first = (media.stage1 ?? media.stage2)!;
      const base = dirname(resolve(first.path));
      const folder = resolve(expandTilde(builds, cli.env));
      const seed = await findSeed(first.text("source_subpath")!, [folder, base]);
      const target = to === undefined ? undefined : resolve(to);
      const graph = planMediaGraph(media, {
        name: name ?? nameOf(media, target),
        epochS: epochOf(media, cli.env["SOURCE_DATE_EPOCH"]),
        world: packages ?? worldOf([...(media.stage1?.words("livecd/packages") ?? []), ...kernelPackages(media)]),
        seedEnding: archiveEnding(seed),
      });
      const text = mediaSpecText(graph, { from: paths });
      const missing = target === undefined ? [] : await writeMediaSpec(target, text, graph.beside, { from: base, seed }, cli.job);
      for (const { path, faults } of specs) for (const { line, text: says } of faults) cli.job.progress.warn(`${path}:${line}: ${says}`);
      if (json === true) {
        cli.json({ spec: graph.spec, path: target ?? null, beside: graph.beside, not_carried: graph.notCarried, missing });
        return;
      }
      cli.out(target === undefined ? text : `${printable(target)}\n`);
      if (graph.notCarried.length > 0)
        cli.err(["Not carried over:", ...graph.notCarried.map((row) => `  ${printable(notCarriedText(row))}`)].join("\n"));
      if (target === undefined && graph.beside.length > 0) {
        cli.err(
          [
            "What has to stand beside the spec (--to brings it there):",
            ...graph.beside.map((file) => `  ${printable(besideText(file))}`),
          ].join("\n"),
        );
      }
      for (const { from, to: where, because } of missing) cli.job.progress.warn(`${from}: ${because}: put it at ${where}`);
    });
}

/** catalyst's own examples have 20 kB, most of it comments. */
const SPEC_MAX_BYTES = 1024 * 1024;

async function readSpec(path: string): Promise<CatalystSpec> {
  const bytes = await readBounded(path, SPEC_MAX_BYTES, "read a catalyst spec");
  if (bytes.length > SPEC_MAX_BYTES) {
    throw new HiperisoError({
      what: "read a catalyst spec",
      where: path,
      expected: `at most ${SPEC_MAX_BYTES} bytes`,
      found: "more",
      kind: "usage",
    });
  }
  return decodeCatalystSpec(Buffer.from(bytes).toString("utf8"), path);
}

const kernelPackages = ({ stage2 }: CatalystMedia): readonly string[] =>
  (stage2?.words("boot/kernel") ?? []).flatMap((label) =>
    ["sources", "packages"].flatMap((key) => stage2?.words(`boot/kernel/${label}/${key}`) ?? []),
  );

const NAME = /^[a-z0-9][a-z0-9-]{0,62}$/;

function nameFrom(text: string): string {
  if (NAME.test(text)) return text;
  throw new InvalidArgumentError("It has lower-case letters, digits and -, at most 63.");
}

/** After the file that is written, else after the image or the version. */
function nameOf({ stage1, stage2 }: CatalystMedia, target: string | undefined): string {
  const wanted = [
    target === undefined ? undefined : basename(target).replace(/\.ya?ml$/, ""),
    basename(stage2?.text("livecd/iso") ?? "").replace(/\.iso$/, ""),
  ];
  const version = (stage2 ?? stage1)?.text("version_stamp");
  for (const text of [...wanted, `livecd-${version ?? ""}`]) {
    const name = (text ?? "")
      .toLowerCase()
      .replaceAll(/[^a-z0-9-]+/g, "-")
      .replaceAll(/^-+|-+$/g, "")
      .slice(0, 63);
    if (NAME.test(name)) return name;
  }
  return "livecd";
}

const DAY_S = 86_400;

/** Time of every file: $SOURCE_DATE_EPOCH, a date in the version stamp, else today. */
function epochOf({ stage1, stage2 }: CatalystMedia, given: string | undefined): number {
  if (given !== undefined && /^\d{9,10}$/.test(given)) return Number(given);
  const [, year, month, day] = /^(\d{4})-?(\d{2})-?(\d{2})/.exec((stage2 ?? stage1)?.text("version_stamp") ?? "") ?? [];
  const stamp = Date.UTC(Number(year), Number(month) - 1, Number(day)) / 1000;
  if (stamp >= 315_532_800 && stamp <= 4_294_967_295) return stamp;
  return Math.floor(systemClock.nowMs() / 1000 / DAY_S) * DAY_S;
}
