import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { HiperisoError } from "../contract/error.ts";
import { printable } from "../formats/escape-terminal.ts";
import { readComputer } from "../host/block-devices.ts";
import { type DeviceVerdict, judgeDevices } from "../host/device-refusals.ts";
import type { Cli } from "./cli.ts";
import { examplesText } from "./program.ts";
import { byteSize } from "./terminal.ts";

export function devicesCommand(cli: Cli): CommandUnknownOpts {
  return new Command("devices")
    .description("List the disks of this computer: which could be written, and why each other one is refused. Nothing is opened.")
    .option("--allow-fixed", "count disks that are built in as writable too")
    .option("--needed <bytes>", "refuse smaller ones", wholeBytes, 0n)
    .option("--json", "as JSON")
    .addHelpText("after", () =>
      examplesText([
        ["hiperiso disk devices", "what is plugged in, and what may be written"],
        ["hiperiso disk devices --allow-fixed --json", "built-in disks too, for programs"],
      ]),
    )
    .action(async ({ allowFixed, needed, json }) => {
      const facts = await readComputer(cli.env, cli.job.signal);
      const verdicts = judgeDevices(facts, { allowFixed: allowFixed === true, neededBytes: needed });
      if (json === true) cli.json(verdicts.map(asJson));
      else if (verdicts.length === 0) cli.err("This computer shows no disks.");
      else cli.out(verdicts.map((verdict) => pageOf(verdict, picocolors.createColors(cli.colourOut))).join(""));
    });
}

function wholeBytes(text: string): bigint {
  if (/^\d{1,18}$/.test(text)) return BigInt(text);
  throw new HiperisoError({ what: "read an option", where: "--needed", expected: "a number of bytes", found: text, kind: "usage" });
}

function pageOf({ device, contents, refusals }: DeviceVerdict, { bold, green, dim }: ReturnType<typeof picocolors.createColors>): string {
  const { path, sizeBytes, bus, vendor, model, serial } = device;
  const name = [vendor, model].filter((word) => word !== null).join(" ");
  const facts = [byteSize(Number(sizeBytes)), bus, name === "" ? null : name, serial === null ? null : `serial ${serial}`];
  const head = `${bold(printable(path))}  ${facts.flatMap((fact) => (fact === null ? [] : [printable(fact)])).join(", ")}\n`;
  const verdict =
    refusals.length === 0
      ? `  ${green("can be written")}\n`
      : refusals
          .map(({ text, hint }) => `  refused: ${printable(text)}\n${hint === undefined ? "" : `           ${dim(printable(hint))}\n`}`)
          .join("");
  return `${head}  on it: ${printable(contents)}\n${verdict}`;
}

const asJson = ({ device, contents, refusals }: DeviceVerdict) => ({
  path: device.path,
  number: device.number,
  size_bytes: Number(device.sizeBytes),
  sector_bytes: device.sectorBytes,
  bus: device.bus,
  vendor: device.vendor,
  model: device.model,
  serial: device.serial,
  wwn: device.wwn,
  removable: device.removable,
  hotplug: device.hotplug,
  read_only: device.readOnly,
  contents,
  writable: refusals.length === 0,
  refusals: refusals.map(({ id, text, hint }) => ({ id, text, hint: hint ?? null })),
});
