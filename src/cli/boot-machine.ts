/** The flags of `hiperiso boot` for what is special about the machine: its kind, window, TPM, ports, folders, and words for QEMU itself. */
import { resolve } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import type { SettingValues } from "../config/settings.ts";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { type Environment, expandTilde } from "../host/xdg.ts";
import { type ExtrasWish, mountCommand, type VncPlace } from "../machine/features/extras.ts";
import { type Forward, forwardText, parseForward } from "../machine/features/forward.ts";
import type { MachinePlan } from "../machine/plan.ts";

export interface MachineOptions {
  readonly machine?: string | undefined;
  readonly vnc?: VncPlace | undefined;
  readonly tpmState?: string | undefined;
  readonly forward?: readonly Forward[] | undefined;
  readonly share?: readonly string[] | undefined;
  readonly shareWritable?: readonly string[] | undefined;
  readonly qemuArg?: readonly string[] | undefined;
}

export function addMachineFlags(command: CommandUnknownOpts): void {
  const each =
    <T>(parse: (text: string) => T) =>
    (text: string, before: readonly T[] | undefined) => [...(before ?? []), parse(text)];
  const asItIs = (text: string): string => text;
  command.addOption(new Option("--machine <name>", "q35, pc, or a version of theirs that QEMU has, as pc-q35-7.2"));
  command.addOption(
    new Option("--vnc <place>", "with --display vnc: socket (only you can open it), auto or a port of the loop-back").argParser(vncPlace),
  );
  command.addOption(new Option("--tpm-state <folder>", "a TPM 2.0 that remembers in this folder what it was told"));
  command.addOption(
    new Option(
      "--forward <host:guest>",
      "lead a port of this computer to one of the guest; [tcp:|udp:][address:]host:guest; may be repeated",
    ).argParser(each(parseForward)),
  );
  command.addOption(new Option("--share <folder>", "let the guest read a folder (9p); may be repeated").argParser(each(asItIs)));
  command.addOption(
    new Option("--share-writable <folder>", "let the guest read and write a folder (9p); may be repeated").argParser(each(asItIs)),
  );
  command.addOption(
    new Option("--qemu-arg <word>", "a word for QEMU's own command line, as it is and unread; may be repeated").argParser(each(asItIs)),
  );
}

function vncPlace(text: string): VncPlace {
  if (text === "socket" || text === "auto") return text;
  const port = Number(text);
  if (/^\d{4,5}$/.test(text) && port >= 5900 && port <= 65_535) return port;
  throw new HiperisoError({
    what: "understand the flags",
    where: "--vnc",
    expected: "socket, auto, or a port from 5900 to 65535",
    found: `"${printable(text)}"`,
    kind: "usage",
  });
}

export function extrasOf(options: MachineOptions, env: Environment): ExtrasWish {
  const folder = (path: string): string => resolve(expandTilde(path, env));
  return {
    machine: options.machine,
    tpmState: options.tpmState === undefined ? undefined : folder(options.tpmState),
    vnc: options.vnc,
    forwards: options.forward ?? [],
    shares: [
      ...(options.share ?? []).map((path) => ({ path: folder(path), writable: false })),
      ...(options.shareWritable ?? []).map((path) => ({ path: folder(path), writable: true })),
    ],
    extraArguments: options.qemuArg ?? [],
  };
}

/** Flags of this module that say something of a setting: a TPM that remembers is one, and a place for VNC asks for it. */
export function impliedSettings({ tpmState, vnc }: MachineOptions): SettingValues {
  return { ...(tpmState === undefined ? {} : { tpm: true }), ...(vnc === undefined ? {} : { display: "vnc" as const }) };
}

/** How a person gets at what was asked for, a line each. */
export function waysIn({ network, shares }: Pick<MachinePlan, "network" | "shares">): readonly string[] {
  return [
    ...network.forwards.map((forward) => `Port of the guest: ${forwardText(forward)}`),
    ...shares.map((share) => `Shared folder, in the guest: ${mountCommand(share)}`),
  ];
}
