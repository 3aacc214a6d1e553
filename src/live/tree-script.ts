/** Scripts of a spec, run in a tree. One that fails is told with the line at which it did. */
import { HiperisoError } from "../contract/error.ts";
import { SCRIPT_PATH, type Tree, type TreeCommand } from "./sandbox/tree.ts";

export interface TreeScript {
  /** For people: its file beside the spec, or where in the spec it stands. */
  readonly name: string;
  readonly text: string;
}

/** Shells are asked to stop at the first command that fails, and to show what they read: so the line is known, whatever shell it is. */
const SHELL = /^(?:ba|da|a|k|mk|z)?sh$/;

export async function runScript(tree: Tree, script: TreeScript, command: TreeCommand): Promise<void> {
  const { name } = script;
  // A shell shows its last line as it stands: without an end, what the command prints would be in the same line of the log.
  const text = script.text.endsWith("\n") ? script.text : `${script.text}\n`;
  const interpreter = interpreterOf(text);
  const isShell = SHELL.test(nameOf(interpreter));
  const reading = new ReadingPlace(text);
  const answer = await tree.run([...interpreter, ...(isShell ? ["-e", "-v"] : []), SCRIPT_PATH], {
    ...command,
    script: text,
    anyStatus: true,
    ...(isShell ? { hearError: (chunk: Uint8Array) => reading.hear(chunk) } : {}),
  });
  if (answer.status === 0) return;
  const line = isShell ? reading.line : 0;
  const missing = answer.lastLines.includes(`bwrap: execvp ${interpreter[0]}:`);
  throw new HiperisoError({
    what: "run a script of the spec",
    where: line === 0 ? name : `${name}:${line}`,
    expected: missing ? `${interpreter[0]} in the root file system` : "exit status 0",
    found: `${answer.status}: ${answer.lastLines}`,
    ...(line === 0 ? {} : { hint: `The command that failed ends in line ${line}: ${text.split("\n")[line - 1]?.trim() ?? ""}` }),
  });
}

/** `#!/usr/bin/env bash` → its words; a script without is the shell's. */
export function interpreterOf(text: string): readonly string[] {
  const line = /^#![ \t]*([^\n]+)/.exec(text)?.[1]?.trim();
  return line === undefined || line === "" ? ["/bin/sh"] : line.split(/[ \t]+/);
}

/** Of the program that reads the script: behind env and its options. */
function nameOf(interpreter: readonly string[]): string {
  const names = interpreter
    .filter((word) => !word.startsWith("-") && !word.includes("="))
    .map((word) => word.slice(word.lastIndexOf("/") + 1));
  return (names[0] === "env" || names[0] === "busybox" ? names[1] : names[0]) ?? "";
}

/**
 * How far a shell has read its script. With -v it prints each line when it reads it, among what its commands print; the lines are known, so they are found
 * there in their order.
 */
export class ReadingPlace {
  readonly #lines: readonly string[];
  readonly #decoder = new TextDecoder();
  #rest = "";
  #read = 0;

  constructor(text: string) {
    this.#lines = text.replace(/\n$/, "").split("\n");
  }

  hear(chunk: Uint8Array): void {
    const pieces = (this.#rest + this.#decoder.decode(chunk, { stream: true })).split("\n");
    this.#rest = pieces.pop()!.slice(-PIECE_CHARACTERS_MAX);
    for (const piece of pieces) this.#take(piece);
  }

  /** Counted from 1; 0 before the first. */
  get line(): number {
    const next = this.#lines[this.#read];
    return next !== undefined && next !== "" && this.#rest.endsWith(next) ? this.#read + 1 : this.#read;
  }

  /** What a command printed without a line end stands in front of the next line. */
  #take(printed: string): void {
    const next = this.#lines[this.#read];
    if (next === undefined) return;
    if (printed === next || (next !== "" && printed.endsWith(next))) this.#read += 1;
  }
}

/** A command may print for ever without a line end. */
const PIECE_CHARACTERS_MAX = 64 * 1024;
