import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { printable } from "../formats/escape-terminal.ts";
import { findSession, listSessions, removeSession, type SessionEntry, sessionSize } from "../session/catalogue.ts";
import type { Cli } from "./cli.ts";
import { sweep } from "./cut-off-sessions.ts";
import { logDirectoryOf } from "./log-directory.ts";
import { examplesText } from "./program.ts";
import { byteSize, duration } from "./terminal.ts";

const LOG_DIR = "folder that holds the sessions (default: hiperiso/logs in the XDG state folder)";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("sessions")
    .description("Lists, shows and removes recorded boots. Sessions whose recorder was killed are closed first.")
    .addCommand(listCommand(cli))
    .addCommand(showCommand(cli))
    .addCommand(removeCommand(cli))
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso sessions list", "every boot, oldest first"],
        ["hiperiso sessions show", "the newest one"],
        ["hiperiso sessions rm debian.iso_20261121T", "the one whose id begins so"],
      ]),
    );
}

function listCommand(cli: Cli): CommandUnknownOpts {
  return new Command("list")
    .description("Lists the recorded boots, oldest first.")
    .option("--log-dir <path>", LOG_DIR)
    .option("--json", "print session.json of each, as an array")
    .action(async ({ logDir, json }) => {
      const directory = logDirectoryOf(logDir, cli.env);
      await sweep(cli, directory);
      const sessions = await listSessions(directory);
      if (json === true) return cli.json(sessions.map(asJson));
      if (sessions.length === 0) return cli.err(`No sessions in ${printable(directory)}.`);
      const width = Math.max(...sessions.map(({ id }) => printable(id).length));
      for (const entry of sessions) cli.out(`${printable(entry.id).padEnd(width)}  ${summaryOf(entry, cli.colourOut)}\n`);
    });
}

function showCommand(cli: Cli): CommandUnknownOpts {
  return new Command("show")
    .description("Shows one session: what was booted, how, how it went, and its files.")
    .argument("[session]", "its id, the beginning of it, or its directory; the newest without one")
    .option("--log-dir <path>", LOG_DIR)
    .option("--json", "print its session.json")
    .action(async (reference, { logDir, json }) => {
      const directory = logDirectoryOf(logDir, cli.env);
      await sweep(cli, directory);
      const entry = await findSession(directory, reference);
      if (json === true) return cli.json(asJson(entry));
      cli.out(pageOf(entry, await sessionSize(entry.directory), cli.colourOut));
    });
}

function removeCommand(cli: Cli): CommandUnknownOpts {
  return new Command("rm")
    .description("Removes sessions: their directories with all evidence. Their lines in the index stay.")
    .argument("<session...>", "ids, or beginnings of just one id each")
    .option("--log-dir <path>", LOG_DIR)
    .action(async (references, { logDir }) => {
      const directory = logDirectoryOf(logDir, cli.env);
      await sweep(cli, directory); // a session gets its line in the index before it goes
      // All are found before the first is removed: a slip in the third name removes nothing.
      const entries = await Promise.all(references.map((reference) => findSession(directory, reference)));
      for (const entry of new Map(entries.map((one) => [one.directory, one])).values()) {
        await removeSession(entry);
        cli.err(`Removed ${printable(entry.directory)}.`);
      }
    });
}

const asJson = ({ id, directory, state, session }: SessionEntry) => ({ ...session, session_id: id, state, directory });

function summaryOf({ state, session }: SessionEntry, colour: boolean): string {
  const { green, red, yellow, dim } = picocolors.createColors(colour);
  if (!("result" in session) || session.status === "started") return yellow(state);
  const { result, analysis } = session as Extract<typeof session, { result: unknown }> & {
    analysis: { boot_stage_final: string; boot_duration_ms: number };
  };
  const paint = result === "success" ? green : result === "failure" ? red : yellow;
  return `${paint(String(result).padEnd(10))}  ${analysis.boot_stage_final.padEnd(10)}  ${dim(duration(analysis.boot_duration_ms))}${state === "failed" ? red("  recorder failed") : ""}`;
}

function pageOf(entry: SessionEntry, bytes: number, colour: boolean): string {
  const { session } = entry;
  const rows: readonly (readonly [string, string])[] = [
    ["session", entry.id],
    ["state", entry.state],
    ["went", summaryOf(entry, colour)],
    ["image", session.iso_path],
    ["started", session.start_time_utc],
    [
      "guest",
      `${session.guest_ram_mb} MB, ${session.guest_cpus} processors, ${String(session["firmware"] ?? "?").toUpperCase()}, ${String(session["accelerator"] ?? "?")}`,
    ],
    ["kvm", `${session.kvm}: ${String(session["kvm_because"] ?? "")}`],
    ["directory", `${entry.directory} (${byteSize(bytes)})`],
  ];
  return rows.map(([name, value]) => `${name.padEnd(10)} ${name === "went" ? value : printable(value)}\n`).join("");
}
