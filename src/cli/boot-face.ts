/** How a boot looks to whoever started it: a line that is redrawn on a terminal, plain lines elsewhere, JSON events, or the guest's own console. */
import { join } from "node:path";
import { StringDecoder } from "node:string_decoder";
import picocolors from "picocolors";
import { stoppedIn } from "../analysis/report-build.ts";
import { SESSION_FILES } from "../contract/session.ts";
import { printable, printableJson, TerminalFilter } from "../formats/escape-terminal.ts";
import type { SessionEvent } from "../session/recording.ts";
import type { Cli } from "./cli.ts";
import { duration } from "./terminal.ts";

export type BootFace = (event: SessionEvent) => void;

export function bootFace(cli: Cli, options: { readonly serial?: boolean | undefined; readonly json?: boolean | undefined }): BootFace {
  if (options.json === true) return jsonFace(cli);
  return options.serial === true ? withConsole(cli, personFace(cli)) : personFace(cli);
}

/** One object a line; console bytes as UTF-8 text, a character never cut in two. */
function jsonFace(cli: Cli): BootFace {
  const decoder = new StringDecoder("utf8");
  const print = (value: unknown) => cli.out(`${printableJson(value)}\n`);
  const printSerial = (text: string) => {
    if (text !== "") print({ type: "serial", text });
  };
  return (event) => {
    if (event.type === "ending" || event.type === "restart") printSerial(decoder.end());
    if (event.type === "serial") printSerial(decoder.write(Buffer.from(event.bytes)));
    else if (event.type === "console") print({ ...event.event, type: event.event.type, source: event.source });
    else if (event.type === "tick") print({ type: "tick", elapsed_ms: Math.round(event.elapsedMs), last_line: event.lastLine });
    else print(event);
  };
}

function withConsole(cli: Cli, rest: BootFace): BootFace {
  const filter = new TerminalFilter({ colours: cli.colourOut });
  let last = "\n";
  const pass = (text: string) => {
    if (text === "") return;
    cli.out(text);
    last = text.at(-1) ?? last;
  };
  return (event) => {
    if (event.type === "ending" || event.type === "restart") {
      pass(filter.end());
      if (last !== "\n") pass("\n"); // a prompt waits at its line's end
    }
    if (event.type === "serial") pass(filter.write(event.bytes));
    else if (event.type !== "tick") rest(event);
  };
}

/** A computer that starts anew says the same again; a console that is drawn again and again says it without end. */
const SAME_TOLD_MAX = 5;

function personFace(cli: Cli): BootFace {
  const { bold, dim, yellow, red } = picocolors.createColors(cli.colour);
  let directory = "";
  let stage = "";
  const told = new Map<string, number>();
  return (event) => {
    switch (event.type) {
      case "session": {
        const { plan } = event;
        directory = event.directory;
        cli.err(`Recording ${bold(printable(event.id))}`);
        if (plan === null) break;
        cli.err(dim(`  ${plan.firmware.interface.toUpperCase()}, ${printable(plan.firmware.because)}`));
        if (plan.kernel !== null) cli.err(dim(`  ${printable(plan.kernel.path)}, ${printable(plan.kernel.because)}`));
        for (const drive of [...(plan.image === null ? [] : [plan.image]), ...plan.drives]) {
          cli.err(dim(`  ${DRIVES[drive.attach]}, ${printable(drive.because)}`));
        }
        cli.err(dim(`  ${plan.accelerator.use === "kvm" ? "KVM" : "emulation"}, ${printable(plan.accelerator.because)}`));
        break;
      }
      case "warning":
        cli.err(yellow(`Warning: ${printable(event.text)}`));
        break;
      case "display":
        cli.err(`Screen: ${event.place.address === null ? "a window" : `VNC at ${printable(event.place.address)}`}`);
        break;
      case "restart":
        cli.err(yellow(`Once more under emulation: ${printable(event.because)}`));
        break;
      case "console":
        if (event.event.type === "stage") {
          stage = event.event.stage;
          const line = `${bold(stage.padEnd(11))} ${dim(shortened(event.event.text))}`;
          const times = (told.get(line) ?? 0) + 1;
          told.set(line, times);
          if (times <= SAME_TOLD_MAX)
            cli.err(`${timeColumn(event.event.timeMs)}  ${line}${times === SAME_TOLD_MAX ? dim(" (not told again)") : ""}`);
        } else if (event.event.type === "finding" && event.event.severity !== "info") {
          cli.err(`${timeColumn(event.event.timeMs)}  ${red(event.event.kind.padEnd(11))} ${shortened(event.event.text)}`);
        }
        break;
      case "tick":
        // No colour at the end: the line is cut to the terminal's width there.
        cli.status(`${timeColumn(event.elapsedMs)}  ${bold((stage || "starting").padEnd(11))} ${printable(event.lastLine)}`);
        break;
      case "ending":
        cli.err(`${timeColumn(event.ending.duration_ms ?? 0)}  ${dim("ended:")} ${shortened(event.ending.detail)}`);
        break;
      case "verdict":
        cli.out(verdictText(event, directory, cli.colourOut));
        break;
      default:
        break;
    }
  };
}

const DRIVES = {
  cd: "CD",
  usb: "USB stick",
  ide: "IDE disk",
  sata: "SATA disk",
  virtio: "virtio disk",
  nvme: "NVMe disk",
  sd: "SD card",
} as const;

/** The last words, on standard output: coloured as that can take it. */
function verdictText({ session, report }: Extract<SessionEvent, { type: "verdict" }>, directory: string, colour: boolean): string {
  const { bold, green, yellow, red } = picocolors.createColors(colour);
  const { result, analysis } = session;
  const paint = result === "success" ? green : result === "failure" ? red : yellow;
  const cause = report?.findings.find((finding) => finding.cause);
  const place = stoppedIn(report?.build, result);
  const reasons = [place, cause?.explanation].filter((reason) => reason !== undefined);
  return [
    `${bold(paint(result.toUpperCase()))} at ${analysis.boot_stage_final} after ${duration(analysis.boot_duration_ms)}${reasons.map((reason) => `: ${printable(reason)}`).join("")}`,
    `  session  ${printable(directory)}`,
    `  report   ${printable(join(directory, SESSION_FILES.reportText))}`,
    `           ${printable(join(directory, SESSION_FILES.reportPage))}`,
    `           ${printable(join(directory, SESSION_FILES.report))}`,
    "",
  ].join("\n");
}

const timeColumn = (ms: number): string => `${(ms / 1000).toFixed(1)} s`.padStart(9);

const LINE_MAX = 110;
const shortened = (text: string): string => {
  const line = printable(text.trim());
  return line.length <= LINE_MAX ? line : `${line.slice(0, LINE_MAX - 1)}…`;
};
