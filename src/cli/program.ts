/**
 * What every command has in common: the line is read, one module is loaded, one error printer and one place decide
 * the exit status. `hiperiso` and `hiperiso-log` are two tables of commands run by this.
 */
import { setMaxListeners } from "node:events";
import { readFileSync } from "node:fs";
import { Command, CommanderError, type CommandUnknownOpts } from "@commander-js/extra-typings";
import { EXIT } from "../contract/error.ts";
import type { CommandModule } from "./cli.ts";
import { renderError, reportOf } from "./error-report.ts";
import { openTerminal, type Streams } from "./terminal.ts";

export interface CommandRow {
  readonly name: string;
  readonly summary: string;
  readonly load: () => Promise<CommandModule>;
  /** Called by programs and not by people: it is left out of the list. */
  readonly hidden?: true;
}

export interface Program {
  readonly name: string;
  readonly description: string;
  readonly commands: readonly CommandRow[];
  /** A line to type, and what it does. */
  readonly examples: readonly (readonly [line: string, does: string])[];
}

/** The process: streams, signals, exit status. Does not end it, so that what is still being written gets written. */
export async function main(program: Program): Promise<void> {
  const abort = new AbortController();
  setMaxListeners(0, abort.signal); // whatever waits listens to it
  for (const name of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
    process.once(name, () => {
      abort.abort(new DOMException(`interrupted by ${name}`, "AbortError"));
      process.once(name, () => process.exit(128 + SIGNAL_NUMBERS[name]));
    });
  }
  // A reader that has seen enough (`hiperiso sessions list | head -1`), or a terminal that is gone, ends the work without a word.
  let outLost: NodeJS.ErrnoException | undefined;
  process.stdout.on("error", (error: NodeJS.ErrnoException) => {
    outLost ??= error;
    abort.abort(new DOMException("nobody reads the output any more", "AbortError"));
  });
  process.stderr.on("error", () => {});
  const streams: Streams = {
    out: (text) => outLost === undefined && process.stdout.write(text),
    err: (text) => outLost === undefined && process.stderr.write(text),
    interactive: process.stderr.isTTY === true,
    outInteractive: process.stdout.isTTY === true,
    columns: () => process.stderr.columns ?? 80,
    env: process.env,
  };
  const argv = process.argv.slice(2);
  const status = await runProgram(program, argv, streams, abort.signal);
  // A stream tells its errors later than the write.
  await new Promise((resolve) => process.stdout.write("", resolve));
  process.exitCode = outLost === undefined ? status : endWithoutOutput(outLost, status);
}

/** EPIPE: the reader closed its end. EIO: the terminal hung up. Anything else, such as a full disk, the person has to know. */
function endWithoutOutput(lost: NodeJS.ErrnoException, status: number): number {
  if (lost.code === "EPIPE" || lost.code === "EIO") return status === EXIT.failure ? EXIT.goalReached : status;
  process.stderr.write(`error: cannot write to standard output: ${lost.message}\n`);
  return EXIT.failure;
}

const SIGNAL_NUMBERS = { SIGHUP: 1, SIGINT: 2, SIGTERM: 15 } as const;

/** Runs one command line (without node and script) and gives its exit status. Never throws. */
export async function runProgram(program: Program, line: readonly string[], streams: Streams, signal: AbortSignal): Promise<number> {
  const argv = jsonBehindTheCommand(line);
  const asJson = optionsOf(argv).includes("--json");
  let status: number = EXIT.goalReached;
  await using terminal = openTerminal(streams, {
    asJson,
    signal,
    exit: (wanted) => {
      status = wanted;
    },
  });
  try {
    const called = calledCommand(argv, program.commands);
    const root = commandTree(
      program,
      await Promise.all(program.commands.map(async (row) => ({ row, command: await loaded(row, row === called, terminal.cli) }))),
    );
    adopt(root, streams);
    await root.parseAsync(argv, { from: "user" });
    return status;
  } catch (thrown) {
    if (thrown instanceof CommanderError && thrown.exitCode === 0) return status;
    if (thrown instanceof CommanderError && thrown.code === "commander.help") return EXIT.usage;
    terminal.clear();
    const report = reportOf(thrown, { program: program.name, command: calledCommand(argv, program.commands)?.name, signal });
    terminal.cli.err(renderError(report, { asJson, colour: terminal.cli.colour, debug: streams.env["HIPERISO_DEBUG"] === "1" }));
    return report.kind === "usage" ? EXIT.usage : EXIT.failure;
  }
}

/** `hiperiso --json inspect x` means `hiperiso inspect --json x`. */
function jsonBehindTheCommand(line: readonly string[]): string[] {
  const leading = line.findIndex((word) => word !== "--json");
  return leading <= 0 ? [...line] : [line[leading]!, "--json", ...line.slice(leading + 1)];
}

const optionsOf = (argv: readonly string[]): readonly string[] => (argv.includes("--") ? argv.slice(0, argv.indexOf("--")) : argv);

function calledCommand(argv: readonly string[], rows: readonly CommandRow[]): CommandRow | undefined {
  const [name] = argv[0] === "help" ? argv.slice(1) : argv;
  return rows.find((row) => row.name === name);
}

async function loaded(row: CommandRow, isCalled: boolean, cli: Parameters<CommandModule["command"]>[0]): Promise<CommandUnknownOpts> {
  // One that is not called stands there for the list in the help and for "did you mean".
  return isCalled
    ? (await row.load()).command(cli).summary(row.summary)
    : new Command(row.name).summary(row.summary).description(row.summary);
}

function commandTree(
  program: Program,
  commands: readonly { readonly row: CommandRow; readonly command: CommandUnknownOpts }[],
): CommandUnknownOpts {
  const root = new Command(program.name).description(program.description).version(programVersion(), "-V, --version", "print the version");
  for (const { row, command } of commands) root.addCommand(command, { hidden: row.hidden === true });
  return root.addHelpText("after", () => examplesText(program.examples)).showSuggestionAfterError();
}

export function examplesText(examples: Program["examples"]): string {
  const width = Math.max(...examples.map(([line]) => line.length));
  return `\nExamples:\n${examples.map(([line, does]) => `  ${line.padEnd(width)}  ${does}`).join("\n")}`;
}

/** Wrong usage throws instead of ending the process, for every command below too, and one place prints it. */
function adopt(command: CommandUnknownOpts, streams: Streams): void {
  command
    .exitOverride()
    .showSuggestionAfterError()
    .configureHelp({ sortSubcommands: false })
    .configureOutput({ writeOut: (text) => void streams.out(text), writeErr: (text) => void streams.err(text), outputError: () => {} });
  for (const child of command.commands) adopt(child, streams);
}

/** From package.json, which stands two folders up from both `src/cli` and `dist/cli`. */
export function programVersion(): string {
  const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8")) as { version: string };
  return version;
}
