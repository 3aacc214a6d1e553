/** `hiperiso doctor`: what this computer has for hiperiso, what it lacks, and what each lack costs. */
import { join } from "node:path";
import { Command, type CommandUnknownOpts } from "@commander-js/extra-typings";
import picocolors from "picocolors";
import { EXIT } from "../contract/error.ts";
import { FIRMWARES } from "../contract/parameters.ts";
import { printable } from "../formats/escape-terminal.ts";
import { systemClock } from "../host/clock.ts";
import { findFirmware } from "../host/firmware.ts";
import { type KvmProbe, probeKvm } from "../host/kvm.ts";
import { machineVersionOf, type QemuFacts, qemuFacts } from "../host/qemu-facts.ts";
import {
  DISTRIBUTIONS,
  type Distribution,
  type FoundTool,
  installCommand,
  lookForTools,
  readDistribution,
  readSystemTools,
} from "../host/system-packages.ts";
import { xdgFolders } from "../host/xdg.ts";
import { SHARE_DEVICE, TPM_DEVICE } from "../machine/features/extras.ts";
import type { Cli } from "./cli.ts";
import { examplesText, programVersion } from "./program.ts";

export function command(cli: Cli): CommandUnknownOpts {
  return new Command("doctor")
    .description("Says what this computer has for hiperiso, what it lacks, which package brings it, and what each lack costs.")
    .option("--json", "print the facts as JSON")
    .addHelpText(
      "after",
      () =>
        `\nExit status 3 when something is missing that no boot can do without.\n${examplesText([["hiperiso doctor", "before the first boot"]])}`,
    )
    .action(async ({ json }) => {
      const checkup = await examine(cli);
      if (json === true) cli.json(checkupJson(checkup));
      else cli.out(checkupText(checkup, cli.colourOut));
      if (!checkup.ready) cli.exit(EXIT.failure);
    });
}

interface Checkup {
  readonly distribution: Distribution | undefined;
  readonly tools: readonly FoundTool[];
  readonly kvm: KvmProbe | undefined;
  readonly firmware: readonly FirmwareState[];
  readonly parts: readonly QemuPart[];
  /** Nothing is missing that a boot cannot do without. */
  readonly ready: boolean;
}

interface FirmwareState {
  readonly interface: (typeof FIRMWARES)[number];
  readonly secure_boot: boolean;
  /** Descriptor or known path, undefined when none was found. */
  readonly source: string | undefined;
  readonly because: string;
}

/** What QEMU may have been built or packed without. */
interface QemuPart {
  readonly id: string;
  readonly what: string;
  readonly found: boolean;
  readonly needed_for: string;
  readonly cost_when_missing: string;
}

function qemuParts({ displays, devices }: Pick<QemuFacts, "displays" | "devices">): readonly QemuPart[] {
  return [
    {
      id: "window",
      what: "QEMU's GTK display",
      found: displays.includes("gtk"),
      needed_for: "hiperiso boot --display gtk",
      cost_when_missing: "A guest's screen is seen by --display vnc only. It may be in a package of its own: qemu-system-gui, qemu-ui-gtk.",
    },
    {
      id: "TPM device",
      what: `QEMU's ${TPM_DEVICE}`,
      found: devices.includes(TPM_DEVICE),
      needed_for: "hiperiso boot --tpm",
      cost_when_missing: "A guest cannot be given a TPM.",
    },
    {
      id: "shared folders",
      what: `QEMU's ${SHARE_DEVICE}`,
      found: devices.includes(SHARE_DEVICE),
      needed_for: "hiperiso boot --share",
      cost_when_missing: "Folders cannot be shared with a guest.",
    },
  ];
}

async function examine(cli: Cli): Promise<Checkup> {
  const { signal } = cli.job;
  const folders = xdgFolders(cli.env);
  const cacheDir = join(folders.cache, "hiperiso");
  const tools = await lookForTools(await readSystemTools(), cli.env, signal);
  const qemu = tools.find(({ tool }) => tool.id === "qemu-system-x86_64")?.path;
  const facts = qemu === undefined ? undefined : await qemuFacts(qemu, { cacheDir, signal });
  const kvm = qemu === undefined ? undefined : await probeKvm({ qemu, cacheDir, runtimeDir: folders.runtime, signal, clock: systemClock });
  return {
    distribution: await readDistribution(),
    tools,
    kvm,
    firmware: facts === undefined ? [] : await firmwareStates(facts, cli),
    parts: facts === undefined ? [] : qemuParts(facts),
    ready: tools.every(({ tool, path }) => path !== undefined || !isVital(tool)),
  };
}

const isVital = ({ required, stage }: FoundTool["tool"]): boolean => required && stage === "boot";

async function firmwareStates(facts: QemuFacts, cli: Cli): Promise<readonly FirmwareState[]> {
  const machine = machineVersionOf(facts.machines, "q35");
  const kinds = FIRMWARES.flatMap((kind) => (kind === "uefi" ? [false, true] : [false]).map((secureBoot) => ({ kind, secureBoot })));
  return await Promise.all(
    kinds.map(async ({ kind, secureBoot }) => {
      const want = { interface: kind, architecture: "x86_64", machine, secureBoot, formats: ["raw"] } as const;
      const { chosen, because } = await findFirmware(want, cli.env);
      return { interface: kind, secure_boot: secureBoot, source: chosen?.source, because };
    }),
  );
}

function checkupJson({ distribution, tools, kvm, firmware, parts, ready }: Checkup): unknown {
  return {
    ready,
    hiperiso: programVersion(),
    node: process.versions.node,
    distribution: distribution ?? null,
    kvm: kvm === undefined ? { state: "unknown", because: "there is no QEMU to ask" } : { state: kvm.state, because: kvm.because },
    firmware: firmware.map((state) => ({ ...state, source: state.source ?? null })),
    qemu_parts: parts,
    tools: tools.map(({ tool, path, version }) => ({
      id: tool.id,
      what: tool.what,
      found: path !== undefined,
      path: path ?? null,
      version: version ?? null,
      stage: tool.stage,
      required: tool.required,
      needed_for: tool.needed_for,
      cost_when_missing: tool.cost_when_missing,
      packages: tool.packages,
    })),
  };
}

const STAGES = { boot: "To boot images", demo: "To build live images", test: "To run hiperiso's own tests" } as const;

function checkupText({ distribution, tools, kvm, firmware, parts, ready }: Checkup, colour: boolean): string {
  const { bold, green, red, yellow } = picocolors.createColors(colour);
  const width = Math.max(...tools.map(({ tool }) => tool.id.length));
  const lines = [`hiperiso ${programVersion()}, Node ${process.versions.node}`];
  const row = (mark: string, name: string, ...texts: string[]): void => {
    lines.push(`  ${mark} ${name.padEnd(width)}  ${texts.map((text) => printable(text)).join("  ")}`);
  };
  for (const [stage, title] of Object.entries(STAGES)) {
    lines.push("", bold(title));
    for (const { tool, path, version } of tools.filter(({ tool }) => tool.stage === stage)) {
      if (path !== undefined) {
        row(green("✓"), tool.id, ...(version === undefined ? [path] : [version, path]));
      } else {
        row(tool.required ? red("✗") : yellow("–"), tool.id, `missing: ${tool.what}. ${tool.cost_when_missing}`);
        if (distribution === undefined) lines.push(`    ${" ".repeat(width)}  ${packagesText(tool)}`);
      }
    }
    if (stage === "boot") {
      for (const state of firmware) {
        const name = `${state.interface}${state.secure_boot ? " secure" : ""}`;
        row(
          state.source === undefined ? yellow("–") : green("✓"),
          name,
          state.source === undefined ? `none: ${state.because}` : state.because,
        );
      }
      for (const { id, what, found, needed_for, cost_when_missing } of parts) {
        row(found ? green("✓") : yellow("–"), id, found ? `${what}, for ${needed_for}` : `missing: ${what}. ${cost_when_missing}`);
      }
      if (kvm !== undefined) {
        const cost = kvm.state === "available" ? "" : " Boots are emulated: slower, with the same result.";
        row(kvm.state === "available" ? green("✓") : yellow("–"), "KVM", `${kvm.state}: ${kvm.because}.${cost}`);
      }
    }
  }
  const missing = tools.filter(({ path }) => path === undefined).map(({ tool }) => tool);
  if (missing.length > 0 && distribution !== undefined)
    lines.push("", "To install what is missing:", `  ${installCommand(distribution, missing)}`);
  lines.push("", ready ? green("Ready to boot images.") : red("Images cannot be booted yet."));
  return `${lines.join("\n")}\n`;
}

const packagesText = ({ packages }: FoundTool["tool"]): string =>
  `package: ${DISTRIBUTIONS.map((distribution) => `${packages[distribution]} (${distribution})`).join(", ")}`;
