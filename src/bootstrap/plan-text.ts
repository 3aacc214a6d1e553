/** A plan as a page for people: what goes where and why, how much it is, what it must keep within, and what will run. */
import { printable } from "../formats/escape-terminal.ts";
import { type Limit, sizeText } from "./limits.ts";
import type { BootstrapPlan, PlannedFile } from "./plan.ts";
import type { PlannedDisk } from "./planned-disks.ts";
import type { StoryStep } from "./story.ts";

/** Text from the checkout is made harmless here. */
export function planText(plan: BootstrapPlan): string {
  return [
    `${headline(plan)}\n`,
    section("Disks", table(plan.disks.map(diskRow))),
    importSection(plan),
    section(
      "Added to the target; the checkout stays as it is",
      table([
        ...plan.additions.map(({ path, because }) => [path, because]),
        ...(plan.manifestChanged ? [["steps/manifest", "with the import's lines"]] : []),
        ["steps/bootstrap.cfg", plan.configuration === "" ? "empty: --no-create-config" : "the configuration"],
      ]),
    ),
    ...fileSections(plan),
    section("Limits of the early code", table(plan.limits.map(limitRow))),
    storySection(plan),
    section(
      "Warnings",
      plan.warnings.map((warning) => printable(warning)),
    ),
  ]
    .filter((part) => part !== "")
    .join("\n");
}

const FORMS: Readonly<Record<BootstrapPlan["form"], string>> = {
  chroot: "in a chroot",
  bwrap: "in a bwrap sandbox",
  kernel: "under a given Linux kernel",
  "kernel-bootstrap": "from a boot sector of hand-readable code",
};

function headline({ arch, mode, form, payload, options }: BootstrapPlan): string {
  const where = mode === "qemu" ? ", for QEMU" : mode === "bare-metal" ? ", for bare metal" : "";
  const second = payload
    ? ", late sources on a payload disk"
    : options.repo === undefined
      ? ""
      : ", packages that were built before from a repo";
  return `Bootstrap of ${printable(arch)} ${FORMS[form]}${where}${second}.`;
}

const KINDS: Readonly<Record<PlannedDisk["kind"], string>> = {
  "boot-sector-and-sources": "boot sector and source file system",
  "payload-container": "payload container (LBPAYLD1), raw",
  ext3: "ext3",
};

function diskRow({ name, kind, from, contentBytes, unknownFiles, sizeBytes, partitionOffsetBytes }: PlannedDisk): readonly string[] {
  const offset = partitionOffsetBytes === 0 ? "" : `, partition at ${sizeText(partitionOffsetBytes)}`;
  return [
    name,
    `${KINDS[kind]}${from === undefined ? "" : ` of ${from}/`}${offset}`,
    `content ${amount(contentBytes, unknownFiles)}`,
    sizeBytes === undefined ? "" : `file ${sizeText(sizeBytes)}`,
  ];
}

const amount = (bytes: number, unknown: number): string =>
  unknown === 0 ? sizeText(bytes) : `${sizeText(bytes)} + ${unknown} files of unknown size`;

function importSection(plan: BootstrapPlan): string {
  if (plan.import === undefined) return "";
  const { line, after, because, passedOver } = plan.import;
  const place = after === undefined ? "" : `, behind "${after}"`;
  return section("Import of the payload", [
    printable(`line ${line} of the target's manifest${place}`),
    printable(`because: ${because}`),
    ...passedOver.map((reason) => printable(reason)),
  ]);
}

function fileSections(plan: BootstrapPlan): readonly string[] {
  const { boundary, early, late, network, strays, payload } = plan;
  const line = boundary === undefined ? "the end" : `line ${boundary.line}, "${boundary.step}"`;
  const onDisk = payload ? "in external.img, sorted by name there" : "in external/distfiles of external.img";
  const titled = (title: string, files: readonly PlannedFile[]): string =>
    files.length === 0 ? "" : section(`${title}: ${files.length} files, ${sum(files)}`, table(files.map(fileRow)));
  const everything = boundary === undefined && late.length + network.length === 0;
  return [
    titled(everything ? "All files, in external/distfiles" : `Early, in external/distfiles: steps before ${line}`, early),
    titled(`Late, ${onDisk}: steps behind ${line}`, late),
    titled(`Downloaded in the guest: steps behind ${line}`, network),
    strays.names.length === 0
      ? ""
      : section(
          `Wanted by no step, ${strays.copied ? "copied all the same as the original does" : "left out"}: ${strays.names.length} files`,
          strays.names.map((name) => printable(name)),
        ),
  ];
}

function sum(files: readonly PlannedFile[]): string {
  const unknown = files.filter(({ sizeBytes }) => sizeBytes === undefined).length;
  return amount(
    files.reduce((total, { sizeBytes }) => total + (sizeBytes ?? 0), 0),
    unknown,
  );
}

function fileRow({ name, sizeBytes, wantedBy }: PlannedFile): readonly string[] {
  const [first = "", ...others] = wantedBy;
  return [name, sizeBytes === undefined ? "?" : sizeText(sizeBytes), `${first}${others.length === 0 ? "" : ` and ${others.length} more`}`];
}

function limitRow({ name, value, unknown, bound, limit, unit, ok, stops, because }: Limit): readonly string[] {
  const count = (number: number): string => (unit === "bytes" ? sizeText(number) : unit === "MiB" ? `${number} MiB` : String(number));
  const verdict = ok === null ? "not known" : ok ? "holds" : stops ? "BROKEN" : "over";
  const have = unknown === 0 ? count(value) : `${count(value)} + ${unknown} unknown`;
  return [verdict, name, have, `${bound} ${count(limit)}`, ok === true ? "" : because];
}

function storySection({ story }: BootstrapPlan): string {
  const lines: string[] = [];
  for (const { path, interpreter, because } of story.scripts) {
    const steps = story.steps.filter(({ script }) => script === path);
    if (steps.length === 0) continue;
    lines.push(printable(`${path}, read by ${interpreter}: ${because}`), ...table(steps.map(stepRow)).map((row) => `  ${row}`));
  }
  const skipped = story.skipped.map(({ line, text, because }) => [`line ${line}`, text, because]);
  if (skipped.length > 0) lines.push("does not run", ...table(skipped).map((row) => `  ${row}`));
  return section(`Story: ${story.steps.length} steps`, lines);
}

const stepRow = ({ number, line, directive, name, pass }: StoryStep): readonly string[] => [
  String(number).padStart(3),
  `${directive}: ${name}`,
  pass === undefined || pass === 1 ? "" : `pass ${pass}`,
  `line ${line}`,
];

function section(title: string, lines: readonly string[]): string {
  return lines.length === 0 ? "" : `${printable(title)}\n${lines.map((line) => `  ${line}`.trimEnd()).join("\n")}\n`;
}

/** Columns as wide as their widest cell, the last one as it is. Every cell is made harmless here. */
function table(rows: readonly (readonly string[])[]): string[] {
  const cells = rows.map((row) => row.map((cell) => printable(cell)));
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]!.length)));
  return cells.map((row) =>
    row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column]!)))
      .join("  ")
      .trimEnd(),
  );
}
