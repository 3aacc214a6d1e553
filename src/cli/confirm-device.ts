/** Before a disk of this computer is written: a person types its name, or a script says exactly which disk it means. */
import { once } from "node:events";
import { createInterface } from "node:readline";
import { HiperisoError } from "../contract/error.ts";
import type { DeviceIdentity } from "../disk/device/exclusive-device.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Cli } from "./cli.ts";
import { byteSize } from "./terminal.ts";

export interface ConfirmFlags {
  readonly yes?: boolean | undefined;
  readonly expectSerial?: string | undefined;
  /** Bytes, as a number. */
  readonly expectSize?: string | undefined;
}

export interface DeviceChange {
  readonly identity: DeviceIdentity;
  /** What is on it now, as `disk devices` says it. */
  readonly contents: string;
  /** What will be done to it: "make a new partition table: everything on it is lost". */
  readonly change: string;
}

/**
 * Whether the flags say enough. Throws HiperisoError of kind `usage` where one of them names another disk, or `--yes` stands without one: a name like
 * /dev/sdb is another disk after the next boot.
 */
export function judgeConfirmation(identity: DeviceIdentity, { yes, expectSerial, expectSize }: ConfirmFlags): "confirmed" | "ask" {
  const refuse = (expected: string, found: string, hint?: string) =>
    new HiperisoError({ what: "write to the disk", where: identity.path, expected, found, kind: "usage", ...(hint && { hint }) });
  if (expectSize !== undefined && !/^\d{1,20}$/.test(expectSize)) throw refuse("--expect-size with a number of bytes", expectSize);
  if (expectSize !== undefined && BigInt(expectSize) !== identity.sizeBytes)
    throw refuse(`${expectSize} bytes, as --expect-size says`, `${identity.sizeBytes}`, OTHER_HINT);
  if (expectSerial !== undefined && expectSerial !== identity.serial)
    throw refuse(`the serial number ${expectSerial}, as --expect-serial says`, identity.serial ?? "none", OTHER_HINT);
  if (yes !== true) return "ask";
  if (expectSerial === undefined && expectSize === undefined)
    throw refuse("with --yes also --expect-serial or --expect-size", "neither", `This disk has ${exactFlags(identity)}.`);
  return "confirmed";
}

const OTHER_HINT = "This is another disk: `hiperiso disk devices` lists them.";

/** The flags that name this disk and no other: a disk without a serial number has at least its size. */
const exactFlags = ({ serial, sizeBytes }: DeviceIdentity): string =>
  serial === null ? `--expect-size ${sizeBytes}` : `--expect-serial '${serial.replaceAll("'", "'\\''")}'`;

/** `sdb` and `/dev/sdb` are what it can be called by. Upper and lower case differ. */
export function isNameOf(typed: string, { path }: DeviceIdentity): boolean {
  const name = typed.trim();
  return name !== "" && (name === path || name === path.replace(/^\/dev\//, ""));
}

/** One line from a person; undefined where there is nobody, or the input ended. */
export type AskPerson = (question: string) => Promise<string | undefined>;

/** Returns when the change is confirmed. Throws HiperisoError of kind `usage` where it is not, or nobody is there to be asked. */
export async function confirmDevice(
  cli: Cli,
  device: DeviceChange,
  flags: ConfirmFlags,
  ask: AskPerson = askAtTerminal(cli),
): Promise<void> {
  const { identity, contents, change } = device;
  if (judgeConfirmation(identity, flags) === "confirmed") return;
  const name = identity.path.replace(/^\/dev\//, "");
  const facts = [byteSize(Number(identity.sizeBytes)), identity.model, identity.serial === null ? null : `serial ${identity.serial}`];
  const known = facts.filter((fact) => fact !== null).join(", ");
  const typed = await ask(
    [
      `${printable(identity.path)}  ${printable(known)}`,
      `  on it: ${printable(contents)}`,
      `  ${printable(change)}`,
      `Type its name (${printable(name)}) to go on: `,
    ].join("\n"),
  );
  if (typed !== undefined && isNameOf(typed, identity)) return;
  throw new HiperisoError({
    what: "write to the disk",
    where: identity.path,
    expected: `its name typed, ${name}`,
    found: typed === undefined ? "nobody who could be asked" : typed.trim() === "" ? "nothing" : typed.trim(),
    hint: typed === undefined ? `In a script: --yes ${exactFlags(identity)}.` : "Nothing was written.",
    kind: "usage",
  });
}

const askAtTerminal =
  ({ interactive, job }: Cli): AskPerson =>
  async (question) => {
    if (!interactive || process.stdin.isTTY !== true) return undefined;
    const lines = createInterface({ input: process.stdin, output: process.stderr });
    try {
      const answer = once(lines, "line", { signal: job.signal }) as Promise<[string]>;
      const closed = once(lines, "close", { signal: job.signal }).then(() => undefined);
      lines.setPrompt(question);
      lines.prompt();
      // Ctrl-C in the prompt is the line editor's, not a signal: closing without an answer is a no.
      lines.once("SIGINT", () => lines.close());
      return (await Promise.race([answer, closed]))?.[0] ?? "";
    } finally {
      lines.close();
    }
  };
