/** `hiperiso payload`: the disk that brings a bootstrap its files, as a container made, read and checked. */
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { decodeChecksums } from "../bootstrap/payload/checksums.ts";
import { createPayload, type PayloadSource, type PayloadSummary } from "../bootstrap/payload/create.ts";
import { type ExtractSummary, extractPayload } from "../bootstrap/payload/extract.ts";
import { gatherSources } from "../bootstrap/payload/gather.ts";
import { openPayload, type PayloadInput, pipedPayload } from "../bootstrap/payload/input.ts";
import { readPayloadContents } from "../bootstrap/payload/list.ts";
import { blockDevices, type ScannedDevice, scanForPayload } from "../bootstrap/payload/scan.ts";
import { decodeSourceFields, decodeSourceLines } from "../bootstrap/payload/source-list.ts";
import { type PayloadRemark, type PayloadReport, verifyPayload } from "../bootstrap/payload/verify.ts";
import { EXIT, HiperisoError } from "../contract/error.ts";
import { printable, printableBytes } from "../formats/escape-terminal.ts";
import { decodePayload, type PayloadEntry } from "../formats/lbpayld1.ts";
import { readBounded } from "../host/bounded-file.ts";
import { diskNumber } from "../image/image-facts.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("payload")
    .description("Make, read and check payload containers (LBPAYLD1): the disk that brings a bootstrap its files.")
    .addCommand(create(cli))
    .addCommand(list(cli))
    .addCommand(extract(cli))
    .addCommand(verify(cli))
    .addCommand(scan(cli))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso payload create external.img distfiles/", "all files of a folder"],
        ["hiperiso payload verify external.img --against SHA256SUMS", "is it whole, and are its files the right ones"],
        ["hiperiso payload extract external.img somewhere/", "its files, into a folder"],
        ["hiperiso payload scan", "which disk of this computer is one"],
      ]),
    );
}

/** A list of all sources that there are is some 60 KB. */
const LIST_BYTES_MAX = 64 * 1024 * 1024;

function create(cli: Cli) {
  return new Command("create")
    .summary("make a container of files")
    .description("Make a container of files, sorted by the bytes of their names. The same files give the same bytes.")
    .argument("<container>", "the file to make; one that is there is replaced when the new one is whole")
    .argument("[source...]", "files, and folders whose plain files go in")
    .option("--list <file>", "what goes in, a line `NAME PATH` each; words with blanks in double quotes; - reads from a pipe")
    .option("--null", "the list is separated by NUL instead: NAME, NUL, PATH, NUL, …")
    .option("--wide", "64-bit fields, for files of 4 GiB and more; not every reader knows them")
    .option("--no-pad", "without zeros to the next 1,024 bytes: kernels that count disks in KiB do not see the rest")
    .option("--no-sync", "do not wait until all is on the disk")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso payload create external.img distfiles/", "all files of a folder"],
        ["hiperiso payload create external.img --list late.txt", "files by other names: `gcc.tar.xz /srv/gcc-13.tar.xz` a line"],
        ["find . -type f -printf '%f\\0%p\\0' | hiperiso payload create x.img --null --list -", "names with blanks, from a pipe"],
      ]),
    )
    .action(async (out, paths, { list, null: isSeparatedByNul, wide, pad, sync, json }) => {
      if (isSeparatedByNul === true && list === undefined) throw usage("--null", "a list to separate: --list FILE", "none");
      if (paths.length === 0 && list === undefined) throw usage(out, "files, folders or --list: what goes in", "none");
      const { sources, leftOut } = await gatherSources(paths);
      for (const { path, kind } of leftOut) cli.job.progress.warn(`${path} is left out: ${kind}, and a container holds plain files alone`);
      const listed = list === undefined ? [] : await readSources(list, isSeparatedByNul === true);
      const summary = await createPayload([...sources, ...listed], out, { wide, pad, sync }, cli.job);
      warnOfSize(cli, summary);
      const { endOffset, sizeBytes, ...rest } = summary;
      if (json === true) cli.json({ ...rest, endOffset: diskNumber(endOffset), sizeBytes: diskNumber(sizeBytes), leftOut });
      else cli.out(`${printable(summary.path)}: ${summary.width}-bit, ${counted(summary.entryCount, "file")}, ${sizeBytes} bytes\n`);
    });
}

const usage = (where: string, expected: string, found: string): HiperisoError =>
  new HiperisoError({ what: "make a payload container", where, expected, found, kind: "usage" });

async function readSources(path: string, isSeparatedByNul: boolean): Promise<readonly PayloadSource[]> {
  const isPiped = path === "-";
  const name = isPiped ? "standard input" : path;
  const bytes = isPiped ? await readPiped(process.stdin) : await readBounded(path, LIST_BYTES_MAX, "read a list of files");
  if (bytes.length > LIST_BYTES_MAX) throw usage(name, `a list of at most ${LIST_BYTES_MAX} bytes`, "more");
  return isSeparatedByNul ? decodeSourceFields(bytes, name) : decodeSourceLines(bytes, name);
}

/** To the end, or to where it is too much for a list. */
async function readPiped(chunks: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const read: Uint8Array[] = [];
  let length = 0;
  for await (const chunk of chunks) {
    read.push(chunk);
    length += chunk.length;
    if (length > LIST_BYTES_MAX) break;
  }
  return Buffer.concat(read);
}

/** The build of Fiwix that a bootstrap uses has 32-bit offsets. */
const SMALL_KERNEL_BYTES_MAX = 1n << 32n;

function warnOfSize(cli: Cli, { path, sizeBytes }: PayloadSummary): void {
  if (sizeBytes <= SMALL_KERNEL_BYTES_MAX) return;
  cli.job.progress.warn(`${path} is larger than 4 GiB: a bootstrap must import it under Linux, its small kernel reads no further`);
}

/** Standard input is named `-`, as everywhere. */
async function openInput(path: string, cli: Cli): Promise<PayloadInput> {
  return path === "-" ? pipedPayload(process.stdin, "standard input") : await openPayload(path, cli.job);
}

function list(cli: Cli) {
  return new Command("list")
    .summary("print what is in a container")
    .description("Print what is in a container: size, offset and name of each file.")
    .argument("<container>", "a file, a disk, or - for standard input")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso payload list external.img", "a line a file"],
        ["xz -dc external.img.xz | hiperiso payload list -", "of one that comes through a pipe"],
      ]),
    )
    .action(async (path, { json }) => {
      await using input = await openInput(path, cli);
      if (json === true) {
        const { width, entries, endOffset } = await readPayloadContents(input);
        cli.json({ name: input.name, width, endOffset: diskNumber(endOffset), entries: entries.map(entryFacts) });
        return;
      }
      for await (const entry of decodePayload(input.feed, input.name)) {
        cli.job.signal.throwIfAborted();
        const { sizeBytes, dataOffset, nameBytes } = entry;
        cli.out(`${String(sizeBytes).padStart(12)}  ${String(dataOffset).padStart(12)}  ${printableBytes(nameBytes)}\n`);
      }
    });
}

const entryFacts = ({ nameBytes, headerOffset, dataOffset, sizeBytes }: PayloadEntry) => ({
  name: new TextDecoder("utf-8", { ignoreBOM: true }).decode(nameBytes),
  headerOffset: diskNumber(headerOffset),
  dataOffset: diskNumber(dataOffset),
  sizeBytes: diskNumber(sizeBytes),
});

function extract(cli: Cli) {
  return new Command("extract")
    .summary("take files out of a container")
    .description("Take files out of a container into a folder. Each gets its name when it is whole; until then it is NAME.part.")
    .argument("<container>", "a file or a disk")
    .argument("<folder>", "where they go; it is made where it is missing")
    .argument("[name...]", "these files alone")
    .option("--keep", "leave files that are there already, if their sizes are right: completes an interrupted run")
    .option("--replace", "make files anew that are there already")
    .option("--no-sync", "do not wait until all is on the disk")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso payload extract external.img distfiles/", "all files"],
        ["hiperiso payload extract /dev/sdb distfiles/ --keep", "from a disk, what is not there yet"],
        ["hiperiso payload extract external.img . gcc-13.3.0.tar.xz", "one file"],
      ]),
    )
    .action(async (path, folder, names, { keep, replace, sync, json }) => {
      if (keep === true && replace === true) {
        throw new HiperisoError({
          what: "extract the payload container",
          where: path,
          expected: "--keep or --replace",
          found: "both",
          kind: "usage",
        });
      }
      const existing = keep === true ? "keep" : replace === true ? "replace" : "refuse";
      const summary = await extractPayload(path, folder, { names, existing, sync }, cli.job);
      if (json === true) cli.json({ ...summary, sizeBytes: diskNumber(summary.sizeBytes) });
      else cli.out(extractText(summary));
    });
}

function extractText({ folder, extracted, kept, sizeBytes }: ExtractSummary): string {
  const stayed = kept.length === 0 ? "" : `; ${counted(kept.length, "file")} stayed`;
  return `${printable(folder)}: ${counted(extracted.length, "file")} extracted, ${sizeBytes} bytes${stayed}\n`;
}

function verify(cli: Cli) {
  return new Command("verify")
    .summary("say whether a container is whole and right")
    .description(
      "Say whether a container is whole, whether importers take it, and whether its files are those of a list. Exit status 1: no.",
    )
    .argument("<container>", "a file, a disk, or - for standard input")
    .option("--against <file>", "what source_manifest.py prints, or SHA256SUMS as sha256sum writes it")
    .option("--ignore-missing", "the list may name files that are not in the container: the early ones")
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso payload verify external.img", "its structure alone"],
        ["hiperiso payload verify external.img --against SHA256SUMS", "and every file's checksum"],
        ["hiperiso payload verify /dev/sdb --against manifest.txt --ignore-missing", "a disk against the sources of a whole bootstrap"],
      ]),
    )
    .action(async (path, { against, ignoreMissing, json }) => {
      if (ignoreMissing === true && against === undefined) {
        throw new HiperisoError({
          what: "check a payload container",
          where: "--ignore-missing",
          expected: "a list: --against FILE",
          found: "none",
          kind: "usage",
        });
      }
      const checksums = against === undefined ? undefined : decodeChecksums(await readText(against), against);
      await using input = await openInput(path, cli);
      const report = await verifyPayload(input, { checksums, ignoreMissing }, cli.job);
      if (json === true) cli.json(report);
      else cli.out(reportText(report, ignoreMissing === true));
      if (!report.good) cli.exit(EXIT.goalMissed);
    });
}

async function readText(path: string): Promise<string> {
  const what = "read a list of checksums";
  const bytes = await readBounded(path, LIST_BYTES_MAX, what);
  if (bytes.length <= LIST_BYTES_MAX) return new TextDecoder().decode(bytes);
  throw new HiperisoError({ what, where: path, expected: `at most ${LIST_BYTES_MAX} bytes`, found: "more", kind: "usage" });
}

function reportText({ name, good, width, files, missing, problems, notes, endOffset }: PayloadReport, ignoreMissing: boolean): string {
  const verdicts = (verdict: PayloadReport["files"][number]["verdict"]) => files.filter((file) => file.verdict === verdict);
  const remarks = (word: string, all: readonly PayloadRemark[]) =>
    all.map(({ offset, text }) => `${word} at ${offset}: ${printable(text)}`);
  const same = verdicts("same").length;
  const lines = [
    ...remarks("problem", problems),
    ...verdicts("different").map((file) => `different: ${printable(file.name)} has the SHA-256 ${file.sha256}`),
    ...verdicts("unlisted").map((file) => `not in the list: ${printable(file.name)}`),
    ...(ignoreMissing ? [] : missing.map((file) => `not in the container: ${printable(file)}`)),
    ...remarks("note", notes),
    `${printable(name)}: ${good ? "good" : "not good"}${width === undefined ? "" : `, ${width}-bit`}, ${counted(files.length, "file")}${same === 0 ? "" : `, ${same} as listed`}${endOffset === undefined ? "" : `, ${endOffset} bytes`}`,
  ];
  return `${lines.join("\n")}\n`;
}

function scan(cli: Cli) {
  return new Command("scan")
    .summary("say which disk is a container")
    .description("Say which disks of this computer, or which of the disks and images named, start with a container.")
    .argument("[device...]", "disks and images; left out: all disks and partitions of this computer")
    .option("--json", "as JSON")
    .addHelpText(
      "after",
      () =>
        `${examplesText([
          ["hiperiso payload scan", "all disks; reading them mostly needs root"],
          ["hiperiso payload scan /dev/sdb build/*.img", "these alone"],
        ])}\n\nExit status: 0 a container was found, 1 none was, 3 none was and something could not be read.`,
    )
    .action(async (paths, { json }) => {
      const isNamed = paths.length > 0;
      const devices: ScannedDevice[] = [];
      for await (const device of scanForPayload(isNamed ? paths : await blockDevices(), cli.job)) {
        devices.push(device);
        // Of a whole computer most disks are something else, and nobody asked about them.
        if (json !== true && (isNamed || device.answer !== "other")) cli.out(`${printable(device.path)}: ${scanText(device)}\n`);
      }
      const answered = (answer: ScannedDevice["answer"]) => devices.some((device) => device.answer === answer);
      if (json === true) cli.json(devices);
      else if (!answered("payload"))
        cli.out(
          `no container on ${counted(devices.length, isNamed ? "device" : "disk or partition", isNamed ? undefined : "disks and partitions")}\n`,
        );
      if (!answered("payload")) cli.exit(answered("unreadable") ? EXIT.failure : EXIT.goalMissed);
    });
}

function scanText(device: ScannedDevice): string {
  switch (device.answer) {
    case "payload":
      return `a container, ${device.width}-bit, ${device.entryCount} files said`;
    case "damaged":
      return `a damaged container: ${printable(device.because)}`;
    case "other":
      return "no container";
    case "unreadable":
      return `cannot be read: ${printable(device.because)}`;
  }
}

const counted = (count: number, one: string, many = `${one}s`): string => `${count} ${count === 1 ? one : many}`;
