import { join, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { readCheckout } from "../bootstrap/checkout.ts";
import { distfileSizes, inspectDistfiles } from "../bootstrap/distfiles.ts";
import { type FetchSummary, fetchDistfiles, missingDistfiles } from "../bootstrap/download.ts";
import { serveFolder } from "../bootstrap/file-mirror.ts";
import { MIRROR_SUMS, writeMirrorSums } from "../bootstrap/mirror-sums.ts";
import { readSourceSet, SOURCE_SETS, type SourceSet, type SourceSetName } from "../bootstrap/source-sets.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { FETCH_VALUES, fetchOptions, wholeNumber } from "./fetch-options.ts";
import { examplesText } from "./program.ts";

export function sourcesCommand(cli: Cli): CommandUnknownOpts {
  return new Command("sources")
    .description("The source files that a bootstrap needs: list, fetch and check them, make a mirror of them.")
    .addCommand(list(cli))
    .addCommand(fetch(cli))
    .addCommand(verify(cli))
    .addCommand(mirror(cli));
}

/** Options that say which files are meant. */
function setCommand(name: string, set: SourceSetName) {
  return new Command(name)
    .option("--tree <folder>", "checkout of live-bootstrap", ".")
    .option("--distfiles <folder>", "where the files are kept (default: distfiles in the checkout)")
    .option("--set <name>", `which files: ${SOURCE_SETS.join(", ")}`, set)
    .option("--build-guix-also", "with those of steps-guix, where the tree has it")
    .option("--import-after <step>", "for the sets early and late, as in `hiperiso bootstrap plan`")
    .option("--json", "as JSON");
}

interface SetValues {
  readonly tree: string;
  readonly distfiles?: string | undefined;
  readonly set: string;
  readonly buildGuixAlso?: true | undefined;
  readonly importAfter?: string | undefined;
}

const folderOf = ({ tree, distfiles }: SetValues): string => resolve(distfiles ?? join(tree, "distfiles"));

async function setOf(values: SetValues, { job }: Cli): Promise<SourceSet> {
  const name = SOURCE_SETS.find((set) => set === values.set);
  if (name === undefined) {
    const expected = `one of ${SOURCE_SETS.join(", ")}`;
    throw new HiperisoError({ what: "use the options", where: "--set", expected, found: JSON.stringify(values.set), kind: "usage" });
  }
  const checkout = await readCheckout(values.tree, job);
  for (const warning of checkout.warnings) job.progress.warn(warning);
  const options = { distfiles: folderOf(values), guix: values.buildGuixAlso === true, importAfter: values.importAfter };
  return readSourceSet(checkout, name, options, job);
}

/** Options that say how files are fetched. */
const fetchCommand = (name: string, set: SourceSetName) =>
  setCommand(name, set)
    .option("-m, --mirrors <url...>", "tried before the files' own addresses; file:///absolute/path for a folder")
    .option("--no-shuffle", "try the mirrors as given, not in random order")
    .option("--jobs <n>", "files at a time", FETCH_VALUES.jobs)
    .option("--timeout <seconds>", "how long a server may keep silent", FETCH_VALUES.timeout);

function list(cli: Cli) {
  return setCommand("list", "full")
    .description("Print checksum, folder, address and name of each source file, as source_manifest.py does.")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso bootstrap sources list --tree lb", "what the whole manifest wants"],
        ["hiperiso bootstrap sources list --tree lb --set early --json", "what travels on the first image, for programs"],
      ]),
    )
    .action(async (values) => {
      const { distfiles, lines } = await setOf(values, cli);
      if (values.json === true)
        cli.json({
          set: values.set,
          files: distfiles.map(({ name, sha256, urls, wantedBy }) => ({ name, sha256, urls, wanted_by: wantedBy })),
        });
      else if (lines.length > 0) cli.out(`${lines.map((line) => printable(line)).join("\n")}\n`);
    });
}

function fetch(cli: Cli) {
  return fetchCommand("fetch", "full")
    .description("Download what is missing or damaged, and check everything.")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso bootstrap sources fetch --tree lb", "from the addresses that the tree names"],
        ["hiperiso bootstrap sources fetch --tree lb -m https://mirror.example", "from a mirror first; some files are nowhere else"],
        [
          "hiperiso bootstrap sources fetch --tree lb -m file:///srv/mirror --set pre-network",
          "from a folder, without what the guest downloads",
        ],
      ]),
    )
    .action(async (values) => {
      const options = fetchOptions(values, cli);
      const { distfiles } = await setOf(values, cli);
      const summary = await fetchDistfiles(folderOf(values), distfiles, options, cli.job);
      if (values.json === true) cli.json(summaryJson(summary));
      else if (summary.failed.length === 0) cli.out(`${summaryText(summary)}\n`);
      throwMissing(summary);
    });
}

function throwMissing(summary: FetchSummary): void {
  const missing = missingDistfiles(summary);
  if (missing !== undefined) throw missing;
}

const summaryText = ({ folder, present, fetched }: FetchSummary): string =>
  printable(`${fetched.length} fetched, ${present.length} were there: ${files(fetched.length + present.length)} in ${folder}, all checked`);

const summaryJson = ({ folder, present, fetched, failed }: FetchSummary): object => ({
  folder,
  present,
  fetched: fetched.map(({ name, sizeBytes, from, replaced }) => ({ name, size_bytes: sizeBytes, from, replaced })),
  failed: failed.map(({ name, sha256, wantedBy, places }) => ({ name, sha256, wanted_by: wantedBy, places })),
});

const files = (count: number): string => `${count} file${count === 1 ? "" : "s"}`;

function verify(cli: Cli) {
  return setCommand("verify", "full")
    .description("Check what is there against its checksums, and name what is missing or damaged (exit status 1). Nothing is changed.")
    .addHelpText("after", () => examplesText([["hiperiso bootstrap sources verify --tree lb", "before media are made from them"]]))
    .action(async (values) => {
      const folder = folderOf(values);
      const { distfiles } = await setOf(values, cli);
      const findings = await inspectDistfiles(folder, distfiles, cli.job);
      const names = new Set(distfiles.map(({ name }) => name));
      const strays = [...(await distfileSizes(folder)).keys()].filter((name) => !names.has(name));
      const bad = findings.filter(({ state }) => state !== "good");
      const counts = (["good", "damaged", "missing"] as const).map((state) => [
        state,
        findings.filter((one) => one.state === state).length,
      ]);
      if (values.json === true) {
        const checked = findings.map(({ name, state, sha256, sizeBytes, found }) => ({
          name,
          state,
          sha256,
          size_bytes: sizeBytes,
          found,
        }));
        cli.json({ folder, ...Object.fromEntries(counts), files: checked, others: strays });
      } else {
        const lines = bad.map(({ name, state, sha256, found }) =>
          state === "missing" ? `missing  ${name}` : `damaged  ${name}: wanted ${sha256}, found ${found}`,
        );
        const all = counts.map(([state, count]) => `${count} ${state}`).join(", ");
        const other = strays.length === 0 ? "" : `; ${files(strays.length)} that this set does not name`;
        cli.out([...lines, `${all} in ${folder}${other}`].map((line) => `${printable(line)}\n`).join(""));
      }
      if (bad.length > 0) cli.exit(EXIT.goalMissed);
    });
}

function mirror(cli: Cli) {
  return fetchCommand("mirror", "all")
    .argument("<folder>", "the mirror; made where it is missing, and brought up to date where it is there")
    .description("Make a folder that can be used as a mirror, or put on a web server: every file by its name, and SHA256SUMS.")
    .option("--serve", "then serve it on 127.0.0.1 until Ctrl-C")
    .option("--port <n>", "for --serve; 0 takes a free one", "0")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso bootstrap sources mirror /srv/mirror --tree lb", "what distfiles/ has is copied, the rest downloaded"],
        ["hiperiso bootstrap sources mirror /srv/mirror --tree lb --serve --port 8080", "and served to guests: they reach it as 10.0.2.2"],
      ]),
    )
    .action(async (to, values) => {
      const port = wholeNumber("--port", values.port, 0, 65_535);
      const folder = resolve(to);
      const cache = folderOf(values);
      const options = { ...fetchOptions(values, cli), ...(cache === folder ? {} : { cache }) };
      const { distfiles } = await setOf(values, cli);
      const summary = await fetchDistfiles(folder, distfiles, options, cli.job);
      const failed = new Set(summary.failed.map(({ name }) => name));
      const listed = await writeMirrorSums(
        folder,
        distfiles.filter(({ name }) => !failed.has(name)),
      );
      await using served =
        values.serve === true ? await serveFolder(folder, { port, onRequest: (line) => cli.job.progress.say(line) }) : undefined;
      if (values.json === true) cli.json({ ...summaryJson(summary), listed, ...(served === undefined ? {} : { url: served.url }) });
      else if (failed.size === 0) cli.out(`${summaryText(summary)}; ${listed} in ${MIRROR_SUMS}\n`);
      if (served === undefined) return throwMissing(summary);
      // A mirror that lacks some files still serves the others.
      const missing = missingDistfiles(summary);
      if (missing !== undefined) cli.job.progress.warn(missing.message);
      if (values.json !== true) cli.out(`${served.url}\n`);
      await aborted(cli.job.signal);
    });
}

const aborted = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve(), { once: true });
  });
