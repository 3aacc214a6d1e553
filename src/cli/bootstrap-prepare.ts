import { createHash } from "node:crypto";
import { resolve } from "node:path";
import { Command } from "@commander-js/extra-typings";
import { type Checkout, readCheckout } from "../bootstrap/checkout.ts";
import { compareBootstraps, type Difference } from "../bootstrap/compare.ts";
import { inspectDistfiles } from "../bootstrap/distfiles.ts";
import { fetchDistfiles, missingDistfiles } from "../bootstrap/download.ts";
import { serveFolder } from "../bootstrap/file-mirror.ts";
import { parseMirror } from "../bootstrap/mirror-list.ts";
import type { BootstrapOptions } from "../bootstrap/options.ts";
import { type BootstrapPlan, planBootstrap } from "../bootstrap/plan.ts";
import { readPlanFacts } from "../bootstrap/plan-facts.ts";
import { type Prepared, prepareBootstrap } from "../bootstrap/prepare.ts";
import { isTreeForm, type PreparedRecord } from "../bootstrap/prepared.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { shellCommand } from "../formats/escape-shell.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { SrcfsLoss } from "../formats/srcfs.ts";
import { askedOf, bootstrapCommand } from "./bootstrap-options.ts";
import type { Cli } from "./cli.ts";
import { fetchOptions } from "./fetch-options.ts";
import { examplesText } from "./program.ts";

export function prepareCommand(cli: Cli) {
  return bootstrapCommand("prepare")
    .description("Make a target: the root of a chroot or sandbox, or the disks that boot. The checkout is not changed.")
    .option("--no-fetch", "check the source files, but download none")
    .option("--no-shuffle", "try the mirrors as given, not in random order")
    .option("--replace", "make a target anew that is complete; what a guest did in it is lost")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      [
        examplesText([
          ["hiperiso bootstrap prepare --tree lb --qemu --external-sources -m http://mirror", "a small first image and a payload disk"],
          ["hiperiso bootstrap prepare --tree lb --bare-metal -m http://mirror -t usb", "an image for a real computer"],
          ["hiperiso bootstrap prepare --tree lb --chroot -m file:///srv/distfiles", "the root of a chroot, in ./target"],
        ]),
        "In images the files of a folder are sorted by the bytes of their names, so that the same checkout gives the same bytes.",
        "",
      ].join("\n"),
    )
    .action(async (values) => {
      const { tree, distfiles, options } = askedOf(values);
      const target = resolve(options.target);
      const checkout = await readCheckout(tree, cli.job);
      const { urls, served } = await guestMirrors(options);
      const planNow = async (): Promise<BootstrapPlan> =>
        planBootstrap(checkout, options, { ...(await readPlanFacts(distfiles, options, cli.job)), mirrorUrls: urls });
      await bringSources(checkout, await planNow(), distfiles, { fetch: values.fetch, shuffle: values.shuffle }, cli);
      const plan = await planNow();
      for (const warning of plan.warnings) cli.job.progress.warn(warning);
      const input = {
        plan,
        checkout,
        tree: resolve(tree),
        distfiles,
        target,
        mirrors: served,
        replace: values.replace === true,
        env: cli.env,
      };
      const prepared = await prepareBootstrap(input, cli.job);
      for (const line of lossLines(prepared.losses)) cli.job.progress.warn(line);
      if (values.json === true) cli.json(preparedFacts(target, prepared));
      else cli.out(preparedText(target, prepared));
    });
}

/**
 * The mirrors as the guest reaches them. A folder is served while the guest runs, and its configuration has to name the port now; the same folder
 * gets the same one, where it is free, so that the same target has the same bytes.
 */
async function guestMirrors({
  mirrors,
}: BootstrapOptions): Promise<{ readonly urls: readonly string[]; readonly served: PreparedRecord["mirrors"] }> {
  const urls: string[] = [];
  const served: { folder: string; port: number }[] = [];
  for (const text of mirrors) {
    const mirror = parseMirror(text);
    if (mirror.kind === "server") {
      urls.push(text);
      continue;
    }
    const wanted = 20_000 + (createHash("sha256").update(mirror.folder).digest().readUInt32LE(0) % 10_000);
    await using server = await serveFolder(mirror.folder, { port: wanted }).catch(() => serveFolder(mirror.folder));
    urls.push(server.url);
    served.push({ folder: mirror.folder, port: server.port });
  }
  return { urls, served };
}

/** All that the target gets is there and has the right checksum when this returns; what is not is named at once. */
async function bringSources(
  checkout: Checkout,
  plan: BootstrapPlan,
  folder: string,
  { fetch, shuffle }: { readonly fetch: boolean; readonly shuffle: boolean },
  cli: Cli,
): Promise<void> {
  const wanted = [...plan.early, ...plan.late];
  if (wanted.length === 0) return;
  if (fetch) {
    const options = fetchOptions({ mirrors: plan.options.mirrors, shuffle }, cli);
    const missing = missingDistfiles(await fetchDistfiles(folder, wanted, options, cli.job));
    if (missing !== undefined) throw missing;
    return;
  }
  const bad = (await inspectDistfiles(folder, wanted, cli.job)).filter(({ state }) => state !== "good");
  if (bad.length === 0) return;
  throw new HiperisoError({
    what: "make the target",
    where: folder,
    expected: `${wanted.length} source files with the checksums of ${checkout.root}`,
    found: bad.map(({ name, state }) => `${name} ${state}`).join(", "),
    hint: "Leave out --no-fetch, or bring them with `hiperiso bootstrap sources fetch`.",
    kind: "usage",
  });
}

const LOSSES: Readonly<Record<SrcfsLoss["loss"], string>> = {
  "empty-file": "files without a byte do not reach the next kernel",
  "empty-directory": "folders without a file that has one do not reach the next kernel",
  dot: "names of which a part begins with a dot reach the next kernel without the dot and the letter behind it",
};

function lossLines(losses: readonly SrcfsLoss[]): readonly string[] {
  return Object.entries(LOSSES).flatMap(([kind, text]) => {
    const paths = losses.filter(({ loss }) => loss === kind).map(({ path }) => path);
    return paths.length === 0 ? [] : [`init.img: ${text}: ${paths.join(", ")}`];
  });
}

function nextCommand(target: string, { plan }: PreparedRecord): string | undefined {
  if (plan.mode === "bare-metal") return undefined;
  return shellCommand(["hiperiso", "bootstrap", isTreeForm(plan.form) ? "run" : "boot", "--target", target]);
}

function preparedText(target: string, { record }: Prepared): string {
  const { plan, outputs, mirrors } = record;
  const lines = isTreeForm(plan.form)
    ? [`${printable(target)}: the root of a ${plan.form === "bwrap" ? "sandbox" : "chroot"}`]
    : outputs.map(({ name, kind, sizeBytes }) => `${printable(`${target}/${name}`)}  ${KIND_WORDS[kind]}, ${sizeBytes} bytes`);
  for (const { folder, port } of mirrors) lines.push(`while the guest runs, ${printable(folder)} is served at http://127.0.0.1:${port}`);
  const next = nextCommand(target, record);
  if (plan.mode === "bare-metal") lines.push("next: write the images to disks of the computer, the first one to the disk that it boots");
  if (next !== undefined) lines.push(`next: ${printable(next)}`);
  return `${lines.join("\n")}\n`;
}

const KIND_WORDS = {
  "boot-sector-and-sources": "boots; boot sector and sources",
  "payload-container": "payload container LBPAYLD1",
  ext3: "ext3 file system",
  tree: "files",
} as const;

function preparedFacts(target: string, { record, losses }: Prepared) {
  return {
    target,
    form: record.plan.form,
    outputs: record.outputs.map(({ name, kind, sizeBytes }) => ({ name, kind, size_bytes: sizeBytes })),
    mirrors: record.mirrors,
    losses,
    next: nextCommand(target, record) ?? null,
  };
}

export function compareCommand(cli: Cli) {
  return new Command("compare")
    .description("Compare two targets or images: the first file and byte that differ, named by its place in the format.")
    .argument("<first>", "target or image")
    .argument("<second>", "target or image")
    .option("--times", "times of files too")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso bootstrap compare target other/target", "all that is in them"],
        ["hiperiso bootstrap compare target/init.img other/target/init.img", "two first images"],
      ]),
    )
    .action(async (first, second, { times, json }) => {
      const found = await compareBootstraps(resolve(first), resolve(second), { env: cli.env, times: times === true }, cli.job);
      if (json === true) cli.json(differenceFacts(found));
      else cli.out(`${differenceText(found)}\n`);
      if (found !== undefined) cli.exit(EXIT.goalMissed);
    });
}

const differenceFacts = (found: Difference | undefined) =>
  found === undefined
    ? { same: true }
    : {
        same: false,
        path: found.path,
        offset: found.offset === undefined ? null : Number(found.offset),
        place: found.place,
        first: found.first,
        second: found.second,
      };

function differenceText(found: Difference | undefined): string {
  if (found === undefined) return "the same";
  const { path, offset, place, first, second } = found;
  const at = offset === undefined ? "" : ` (byte ${offset} of the file)`;
  return printable(`${path === "" ? "" : `${path}: `}${place}${at}: ${first} in the first, ${second} in the second`);
}
