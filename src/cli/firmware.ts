/** `hiperiso firmware`: the firmware descriptors of this computer, what is wrong with them, and their mending. */
import { join, resolve } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { EXIT } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { readBounded } from "../host/bounded-file.ts";
import { type FirmwareEntry, findFirmware, firmwareFolders, readFirmwareEntries } from "../host/firmware.ts";
import { machineVersionOf, qemuFacts } from "../host/qemu-facts.ts";
import { lookForTool } from "../host/tools.ts";
import { expandTilde, xdgFolders } from "../host/xdg.ts";
import { checkDescriptor, type FirmwareProblem } from "../machine/firmware/check.ts";
import { checkNvram, decodeNvram, libvirtBlock, libvirtPlaces, type NvramEntry, type NvramProblem } from "../machine/firmware/libvirt.ts";
import { type Mending, type MendingWrite, planMending, writeMending } from "../machine/firmware/mend.ts";
import { type FirmwarePair, firmwarePairs, pairsByCode } from "../machine/firmware/pairs.ts";
import { type FirmwareStock, namedFiles, readFirmwareStock, STOCK_FOLDERS } from "../machine/firmware/stock.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("firmware")
    .description(
      "The firmware for guests: QEMU's descriptors of it (small JSON files), whether what they name exists and goes together,\nand the mending of those that are wrong.",
    )
    .addCommand(listCommand(cli))
    .addCommand(checkCommand(cli))
    .addCommand(fixCommand(cli))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso firmware list", "the descriptors, the pairs that exist, and what a boot takes"],
        ["hiperiso firmware check", "is anything wrong with them"],
        ["hiperiso firmware fix", "what would be mended; with --yes it is"],
      ]),
    );
}

const collected = (value: string, before: readonly string[]): string[] => [...before, value];
const SEARCH = ["--search <folder>", "look for firmware files there too; may be repeated"] as const;

function listCommand(cli: Cli): CommandUnknownOpts {
  return new Command("list")
    .summary("show descriptors, the pairs that exist, and what a boot takes")
    .description(
      "Shows the firmware descriptors in the order in which they are asked, the pairs of files that exist, and what a boot takes.",
    )
    .option(...SEARCH, collected, [])
    .option("--json", "as JSON")
    .addHelpText("after", () => examplesText([["hiperiso firmware list", "all that this computer has"]]))
    .action(async ({ search, json }) => {
      const survey = await surveyed(cli, { folders: [...STOCK_FOLDERS, ...search.map((folder) => pathOf(folder, cli))] });
      const choices = await choicesOf(cli);
      if (json === true) cli.json({ ...surveyJson(survey), choices });
      else cli.out(`${survey.entries.map((entry) => entryText(entry, survey)).join("")}\n${pairsText(survey)}\n${choicesText(choices)}`);
    });
}

function checkCommand(cli: Cli): CommandUnknownOpts {
  return new Command("check")
    .summary("look for what is wrong")
    .description(
      "Looks for descriptors that are broken, that name files which do not exist or do not go together, or that promise what the files do not hold;\nand for the same in libvirt's qemu.conf. Nothing is written. Exit status 0: all is well, 1: there are errors.",
    )
    .option("--json", "as JSON")
    .addHelpText("after", () => examplesText([["hiperiso firmware check", "why does no guest start with UEFI"]]))
    .action(async ({ json }) => {
      const survey = await surveyed(cli, { folders: [] });
      if (json === true) cli.json(surveyJson(survey));
      else cli.out(checkText(survey));
      if (hasErrors(survey)) cli.exit(EXIT.goalMissed);
    });
}

function fixCommand(cli: Cli): CommandUnknownOpts {
  return new Command("fix")
    .summary("mend what check finds, out of files that exist")
    .description(
      "Mends descriptors that name what is not there: each gets a pair of files of this computer that does what it promises, in a file of its name in\na folder that counts more. What would be written is shown; --yes writes it. The files of packages are never touched.\nExit status 0: all is well now, 1: something is left.",
    )
    .option("--system", "for all users: write to /etc/qemu/firmware, not to your own folder")
    .option("--mask", "what cannot be mended gets an empty file of its name, so that nobody takes it")
    .option(...SEARCH, collected, [])
    .option("--yes", "write what is shown")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso firmware fix", "what would be written, and why"],
        ["hiperiso firmware fix --yes", "for you"],
        ["sudo hiperiso firmware fix --system --yes", "for all users, and for libvirt's system service"],
        ["hiperiso firmware fix --search /opt/edk2", "with a firmware of your own"],
      ]),
    )
    .action(async ({ system, mask, search, yes, json }) => {
      const survey = await surveyed(cli, { folders: [...STOCK_FOLDERS, ...search.map((folder) => pathOf(folder, cli))] });
      const into = system === true ? SYSTEM_FOLDER : survey.folders.at(-1)!;
      const mending = planMending(survey.entries, survey.stock, { folders: survey.folders, into, mask: mask === true });
      const wanted = mending.writes.length > 0;
      if (json !== true) cli.out(mendingText(mending));
      if (yes === true && wanted) await writeMending(mending);
      const left = yes === true && wanted ? await surveyed(cli, { folders: [] }) : survey;
      const libvirt = libvirtBlock(pairsByCode(survey.stock));
      if (json === true) {
        cli.json({
          written: yes === true && wanted,
          ...mendingJson(mending),
          left: problemsJson(left),
          libvirt: { ...libvirtPlaces(cli.env), ...libvirtJson(libvirt) },
        });
      } else {
        if (wanted) cli.out(yes === true ? afterText(left) : "Nothing was written: --yes writes it.\n");
        cli.out(libvirtText(cli, libvirt));
      }
      if (hasErrors(left) || (wanted && yes !== true)) cli.exit(EXIT.goalMissed);
    });
}

const SYSTEM_FOLDER = "/etc/qemu/firmware";
const pathOf = (path: string, { env }: Cli): string => resolve(expandTilde(path, env));

interface LibvirtFile {
  readonly path: string;
  readonly entries: readonly NvramEntry[];
}

interface Survey {
  readonly folders: readonly string[];
  readonly entries: readonly FirmwareEntry[];
  readonly stock: FirmwareStock;
  readonly libvirt: readonly LibvirtFile[];
  /** `qemu.config`, which libvirt does not read; undefined where there is none. */
  readonly mistaken: string | undefined;
}

/** qemu.conf as libvirt installs it has 50 kB. */
const LIBVIRT_MAX_BYTES = 1024 * 1024;

async function surveyed(cli: Cli, { folders: search }: { readonly folders: readonly string[] }): Promise<Survey> {
  const folders = firmwareFolders(cli.env);
  const entries = await readFirmwareEntries(folders);
  const places = libvirtPlaces(cli.env);
  const libvirt: LibvirtFile[] = [];
  for (const path of [places.system, places.session]) {
    const text = await textOf(path);
    if (text !== undefined) libvirt.push({ path, entries: decodeNvram(text) });
  }
  const paths = libvirt.flatMap((file) =>
    file.entries.flatMap(({ code, variables }) => (variables === undefined ? [] : [code, variables])),
  );
  const stock = await readFirmwareStock({ descriptors: entries, paths, folders: search, known: search.length > 0 }, cli.job);
  return { folders, entries, stock, libvirt, mistaken: (await textOf(places.mistaken)) === undefined ? undefined : places.mistaken };
}

/** Undefined: it is not there, or may not be read, as the system's qemu.conf often may not. */
async function textOf(path: string): Promise<string | undefined> {
  return await readBounded(path, LIBVIRT_MAX_BYTES, "read libvirt's configuration").then(
    (bytes) => Buffer.from(bytes).toString("utf8"),
    () => undefined,
  );
}

const isActive = ({ state }: FirmwareEntry): boolean => state === "active";

const nvramProblems = ({ libvirt, stock }: Survey): readonly (NvramProblem & { readonly path: string })[] =>
  libvirt.flatMap(({ path, entries }) => checkNvram(entries, stock).map((problem) => ({ path, ...problem })));

const hasErrors = (survey: Survey): boolean =>
  survey.entries.some((entry) => isActive(entry) && checkDescriptor(entry, survey.stock).some(({ severity }) => severity === "error")) ||
  nvramProblems(survey).length > 0;

const line = (text: string): string => `${printable(text)}\n`;

function entryText(entry: FirmwareEntry, { stock }: Survey): string {
  const { path, content, state } = entry;
  if (state === "mask") return line(`${path}: empty: it masks all of its name`);
  if (state === "shadowed") return line(`${path}: does not count: a later folder has one of its name`);
  const lines = [line(`${path}`)];
  if ("facts" in content) {
    const { description, targets, features, mapping } = content.facts;
    lines.push(line(`  ${description}`));
    for (const { architecture, machines } of targets) lines.push(line(`  for ${architecture}: ${machines.join(", ")}`));
    if (features.length > 0) lines.push(line(`  features: ${features.join(", ")}`));
    for (const file of namedFiles(mapping)) lines.push(line(`  ${file}`));
  }
  return [...lines, ...checkDescriptor(entry, stock).map(problemText)].join("");
}

const problemText = ({ id, severity, text }: FirmwareProblem): string => line(`  ${severity}: ${id}: ${text}`);

function pairsText({ stock }: Survey): string {
  const pairs = firmwarePairs(stock);
  if (pairs.length === 0) return "No pair of firmware files was found on this computer.\n";
  return `Pairs that exist:\n${pairs.map((pair) => line(`  ${pairText(pair)}`)).join("")}`;
}

function pairText(pair: FirmwarePair): string {
  return `${pair.code.path} + ${pair.variables.path} (${aboutPair(pair).join(", ")})`;
}

function aboutPair({ code, variables, architecture, smm, enrolledKeys, microsoft }: FirmwarePair): readonly string[] {
  const mebibytes = (code.image.sizeBytes + variables.image.sizeBytes) / 1_048_576n;
  const keys = enrolledKeys ? `keys enrolled${microsoft ? ", Microsoft's among them" : ""}` : "no keys";
  return [architecture ?? "architecture unknown", `${mebibytes} MiB`, ...(smm ? ["needs SMM"] : []), keys];
}

interface Choice {
  readonly secure_boot: boolean;
  readonly source: string | null;
  readonly because: string;
}

/** What a boot by UEFI takes; nothing where there is no QEMU to ask for the version of its machines. */
async function choicesOf(cli: Cli): Promise<readonly Choice[]> {
  const qemu = await lookForTool("qemu-system-x86_64", cli.env);
  if (qemu === undefined) return [];
  const cacheDir = join(xdgFolders(cli.env).cache, "hiperiso");
  const facts = await qemuFacts(qemu, { cacheDir, signal: cli.job.signal });
  const machine = machineVersionOf(facts.machines, "q35");
  return await Promise.all(
    [false, true].map(async (secureBoot) => {
      const want = { interface: "uefi", architecture: "x86_64", machine, secureBoot, formats: ["raw", "qcow2"] } as const;
      const { chosen, because } = await findFirmware(want, cli.env);
      return { secure_boot: secureBoot, source: chosen?.source ?? null, because };
    }),
  );
}

function choicesText(choices: readonly Choice[]): string {
  return choices
    .map(({ secure_boot, because }) => line(`A boot by UEFI${secure_boot ? " with Secure Boot" : ""} takes: ${because}`))
    .join("");
}

function checkText(survey: Survey): string {
  const lines: string[] = [];
  for (const entry of survey.entries.filter(isActive)) {
    const problems = checkDescriptor(entry, survey.stock);
    lines.push(line(`${entry.path}: ${problems.length === 0 ? "nothing is wrong" : ""}`.trimEnd()), ...problems.map(problemText));
  }
  if (lines.length === 0) lines.push(line(`No firmware descriptor is in ${survey.folders.join(", ")}.`));
  for (const { path, line: at, text } of nvramProblems(survey)) lines.push(line(`${path}:${at}: error: ${text}`));
  if (survey.mistaken !== undefined) lines.push(line(`${survey.mistaken}: warning: libvirt does not read it: its name is qemu.conf`));
  if (hasErrors(survey)) lines.push("`hiperiso firmware fix` shows what can be mended.\n");
  return lines.join("");
}

function mendingText({ writes, unmended }: Mending): string {
  const lines = writes.flatMap(writeText);
  for (const { descriptor, because } of unmended) lines.push(line(`${descriptor}: cannot be mended: ${because}`));
  return lines.length === 0 ? "There is nothing to mend.\n" : lines.join("");
}

function writeText({ path, content, mends, pair, because, keptAs }: MendingWrite): readonly string[] {
  const lines = [line(`${path}${mends === undefined ? " (new)" : mends === path ? "" : ` in the place of ${mends}`}`)];
  lines.push(line(`  why: ${because}`));
  if (pair !== undefined) lines.push(line(`  with: ${pairText(pair)}`));
  if (keptAs !== undefined) lines.push(line(`  what stands there is kept as ${keptAs}`));
  if (content === "") lines.push("  an empty file: it masks all of its name\n");
  else
    lines.push(
      ...content
        .trimEnd()
        .split("\n")
        .map((text) => line(`    ${text}`)),
    );
  return lines;
}

function afterText(survey: Survey): string {
  return hasErrors(survey) ? `Written. What is left:\n${checkText(survey)}` : "Written. All descriptors are sound now.\n";
}

function libvirtText(cli: Cli, { text, leftOut }: ReturnType<typeof libvirtBlock>): string {
  if (text === "") return "";
  const { system, session } = libvirtPlaces(cli.env);
  return [
    "\nlibvirt reads descriptors too, and this list where it finds none, or where a domain names its loader:\n",
    line(`  for the system (qemu:///system):  ${system}, then restart virtqemud (or libvirtd)`),
    line(`  for your session (qemu:///session):  ${session}, then end your session's virtqemud (or libvirtd)`),
    "\n",
    printable(text, { keepNewlines: true }),
    ...leftOut.map(({ pair, because }) => line(`# left out: ${pair.code.path}: ${because}`)),
  ].join("");
}

const pairJson = (pair: FirmwarePair) => ({
  code: pair.code.path,
  variables: pair.variables.path,
  format: pair.code.format,
  flash_bytes: Number(pair.code.image.sizeBytes + pair.variables.image.sizeBytes),
  architecture: pair.architecture ?? null,
  requires_smm: pair.smm,
  secure_boot: pair.secureBoot,
  enrolled_keys: pair.enrolledKeys,
  microsoft_keys: pair.microsoft,
});

const problemJson = ({ id, severity, file, text }: FirmwareProblem) => ({ id, severity, file: file ?? null, text });

function problemsJson(survey: Survey) {
  return {
    descriptors: survey.entries.filter(isActive).flatMap((entry) => {
      const problems = checkDescriptor(entry, survey.stock);
      return problems.length === 0 ? [] : [{ path: entry.path, problems: problems.map(problemJson) }];
    }),
    libvirt: nvramProblems(survey),
  };
}

function surveyJson(survey: Survey) {
  return {
    folders: survey.folders,
    descriptors: survey.entries.map((entry) => ({
      path: entry.path,
      state: entry.state,
      description: "facts" in entry.content ? entry.content.facts.description : null,
      features: "facts" in entry.content ? entry.content.facts.features : [],
      files: "facts" in entry.content ? namedFiles(entry.content.facts.mapping) : [],
      problems: isActive(entry) ? checkDescriptor(entry, survey.stock).map(problemJson) : [],
    })),
    pairs: firmwarePairs(survey.stock).map(pairJson),
    libvirt: nvramProblems(survey),
    clean: !hasErrors(survey),
  };
}

const mendingJson = ({ writes, unmended }: Mending) => ({
  writes: writes.map(({ path, content, mends, pair, because, keptAs }) => ({
    path,
    content,
    mends: mends ?? null,
    pair: pair === undefined ? null : pairJson(pair),
    because,
    kept_as: keptAs ?? null,
  })),
  unmended,
});

const libvirtJson = ({ text, leftOut }: ReturnType<typeof libvirtBlock>) => ({
  block: text,
  left_out: leftOut.map(({ pair, because }) => ({ pair: pairJson(pair), because })),
});
