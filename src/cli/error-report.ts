/** An error as the person or a program sees it. Outside text is made harmless here, once. */
import { CommanderError } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { type ErrorKind, HiperisoError } from "../contract/error.ts";
import { printable, printableJson } from "../formats/escape-terminal.ts";

/** With `--json`, one line on stderr: these fields behind `"event": "error"`. */
export interface ErrorReport {
  readonly kind: ErrorKind | "interrupted" | "fault";
  /** What could not be done, in one sentence part. */
  readonly message: string;
  readonly where?: string | undefined;
  readonly expected?: string | undefined;
  readonly found?: string | undefined;
  readonly because?: string | undefined;
  readonly hint?: string | undefined;
  /** Only shown with HIPERISO_DEBUG=1. */
  readonly stack?: string | undefined;
}

interface Circumstances {
  readonly program: string;
  readonly command: string | undefined;
  readonly signal: AbortSignal;
}

export function reportOf(thrown: unknown, { program, command, signal }: Circumstances): ErrorReport {
  const stack = thrown instanceof Error ? thrown.stack : undefined;
  if (signal.aborted && (thrown === signal.reason || !(thrown instanceof HiperisoError))) {
    return { kind: "interrupted", message: signal.reason instanceof Error ? signal.reason.message : "interrupted", stack };
  }
  if (thrown instanceof HiperisoError) {
    const { kind, what, where, expected, found, hint, cause } = thrown;
    const because = cause instanceof Error && !(found ?? "").includes(cause.message) ? cause.message : undefined;
    return { kind, message: `cannot ${what}`, where, expected, found, because, hint, stack };
  }
  if (thrown instanceof CommanderError) {
    const [message = "", ...suggestion] = thrown.message.replace(/^error: /, "").split("\n");
    const help = `${[program, command].filter((word) => word !== undefined).join(" ")} --help`;
    const meant = suggestion.map((line) => line.replace(/^\(|\)$/g, "")).filter((line) => line !== "");
    return { kind: "usage", message, hint: [...meant, `See \`${help}\`.`].join(" ") };
  }
  if (isSystemError(thrown)) {
    return { kind: "failure", message: `cannot ${thrown.syscall}`, where: thrown.path, found: thrown.message, stack };
  }
  return {
    kind: "fault",
    message: `${program} failed in a way it should not: ${thrown instanceof Error ? thrown.message : String(thrown)}`,
    hint: "This is a fault of the program, not yours. Please report it in the project's issue tracker, with the command line; HIPERISO_DEBUG=1 shows where it happened.",
    stack,
  };
}

function isSystemError(thrown: unknown): thrown is NodeJS.ErrnoException & { readonly syscall: string } {
  return thrown instanceof Error && "syscall" in thrown && typeof thrown.syscall === "string" && "code" in thrown;
}

export function renderError(report: ErrorReport, { asJson, colour, debug }: { asJson: boolean; colour: boolean; debug: boolean }): string {
  const { stack, ...shown } = report;
  if (asJson) return printableJson({ event: "error", ...shown, ...(debug ? { stack } : {}) });
  const { bold, dim, red } = picocolors.createColors(colour);
  const { kind: _, message, ...details } = shown;
  const lines = [`${red(bold("error:"))} ${printable(message, { keepNewlines: true })}`];
  for (const [name, value] of Object.entries(details)) {
    if (value !== undefined) lines.push(`  ${dim(name.padEnd(8))}  ${indented(printable(value, { keepNewlines: true }))}`);
  }
  if (debug && stack !== undefined) lines.push(printable(stack, { keepNewlines: true }));
  return lines.join("\n");
}

const indented = (text: string): string => text.replaceAll("\n", `\n${" ".repeat(12)}`);
