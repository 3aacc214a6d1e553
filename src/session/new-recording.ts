/** From a machine that is decided to all that a recording needs: who we are, what the session says from its start, where private files go. */
import { basename, isAbsolute } from "node:path";
import type { ExpectedStep } from "../analysis/build-notes.ts";
import type { Rule } from "../analysis/rule.ts";
import type { Job } from "../contract/job.ts";
import { PARAMETERS, type Settings, standardSettings } from "../contract/parameters.ts";
import type { SessionEnded } from "../contract/session.ts";
import { printable } from "../formats/escape-terminal.ts";
import type { Clock } from "../host/clock.ts";
import type { HostFacts } from "../host/host-facts.ts";
import { readIdentity } from "../host/identity.ts";
import { collectHostInventory } from "../host/inventory.ts";
import { maskIdentity } from "../host/mask.ts";
import { ownIdentity } from "../host/process-identity.ts";
import { type Environment, tildify } from "../host/xdg.ts";
import { forwardText } from "../machine/features/forward.ts";
import type { MachinePlan } from "../machine/plan.ts";
import type { MachineParts } from "../machine/plan-parts.ts";
import { type PreparedMachine, prepareParts } from "./prepare-boot.ts";
import { type Recorded, recordBoot } from "./record.ts";
import type { Recording } from "./recording.ts";
import type { PhaseMark } from "./timing.ts";

/** Where a recording takes place. */
export interface RecordingPlace {
  readonly env: NodeJS.ProcessEnv;
  readonly clock: Clock;
  readonly job: Job;
  readonly onEvent: Recording["onEvent"];
}

export interface RecordingWish {
  readonly prepared: PreparedMachine;
  /** What the session is of: the image, the first disk or the kernel; an absolute path. */
  readonly subject: string;
  readonly settings: Settings;
  readonly goal: string;
  readonly rules: readonly Rule[];
  readonly steps?: readonly ExpectedStep[];
  readonly warnings: readonly string[];
  /** Fields that `session.json` has besides. */
  readonly added?: Readonly<Record<string, unknown>>;
  /** How paths are written in what the session says; undefined: those below a home folder with `~`. */
  readonly shownPath?: ((path: string) => string) | undefined;
  readonly earlierPhases?: readonly PhaseMark[] | undefined;
  readonly roomKeptBytes?: bigint | undefined;
}

export function newRecording(wish: RecordingWish, { env, clock, job, onEvent }: RecordingPlace): Recording {
  const { subject, settings, goal, rules, steps = [], warnings, added = {} } = wish;
  const shownPath = wish.shownPath ?? ((path: string) => tildify(path, env));
  const { host, kvm, plan, emulated, firmware, furnish, added: prepared = {} } = wish.prepared;
  const identity = readIdentity(env);
  const mask = (text: string) => maskIdentity(text, identity);
  const hostOfSession = sessionHost(host, mask);
  return {
    plan,
    emulated,
    furnish,
    goal,
    rules,
    steps,
    session: {
      logDirectory: settings.logDir,
      imageBaseName: basename(subject),
      started: {
        iso_path: shownPath(subject),
        iso_basename: basename(subject),
        kvm: kvm.state,
        trace_level: settings.traceLevel,
        guest_ram_mb: settings.guestRam,
        guest_cpus: settings.guestCpus,
        goal,
        kvm_because: mask(kvm.because),
        firmware: plan.firmware.interface,
        accelerator: plan.accelerator.use,
        ...specialsOf(plan, mask),
        warnings: warnings.map(mask),
        firmware_rejected: firmware.rejected.map(({ descriptor, reason }) => ({ descriptor: tildify(descriptor, env), reason })),
        host: hostOfSession,
        ...prepared,
        ...added,
      },
      environment: environmentLines(settings, hostOfSession, shownPath),
      shownPath,
      earlierPhases: wish.earlierPhases,
    },
    host: hostOfSession,
    roomKeptBytes: wish.roomKeptBytes,
    ownIdentity: ownIdentity(),
    scratchRoot: scratchRoot(env),
    env,
    mask,
    hostInventory: (signal) => collectHostInventory({ identity, signal }),
    clock,
    job,
    onEvent,
  };
}

/** What `session.json` says of the computer. */
export const sessionHost = (host: HostFacts, mask: (text: string) => string): SessionEnded["host"] => ({
  kernel_version: mask(host.kernel_version),
  cpu_model: host.cpu_model,
  cpu_logical_cores: host.cpu_logical_cores,
  total_ram_mb: host.total_ram_mb,
  virt_supported: host.virt_supported,
});

/** What is special about the machine, as far as it is: fields of `session.json`. */
function specialsOf(plan: MachinePlan, mask: (text: string) => string): Readonly<Record<string, unknown>> {
  const { firmware, tpm, display, network, shares, extraArguments } = plan;
  return {
    secure_boot: firmware.interface === "uefi" && firmware.secureBoot,
    tpm: tpm !== null,
    display: display.kind,
    network: network.mode,
    ...(network.forwards.length > 0 ? { forwards: network.forwards.map(forwardText) } : {}),
    ...(shares.length > 0 ? { shares: shares.map(({ path, tag, writable }) => ({ tag, path: mask(path), writable })) } : {}),
    ...(extraArguments.length > 0 ? { qemu_args: extraArguments.map(mask) } : {}),
  };
}

export interface MachineToRecord {
  readonly parts: MachineParts;
  /** Under it the session's directory is made; absolute. */
  readonly logDir: string;
  readonly goal: string;
  readonly rules?: readonly Rule[];
  /** The steps of the build that runs in the guest, in order. */
  readonly steps?: readonly ExpectedStep[];
  /** QEMU's program; undefined: the one on PATH. A name is looked for there, a path is taken as it is. */
  readonly qemu?: string;
  /** What the session is named after; undefined: the kernel, else the first disk. */
  readonly subject?: string;
  readonly warnings?: readonly string[];
  readonly added?: RecordingWish["added"];
}

/** Plans a machine of these parts, boots and records it. Throws (kind `usage`) on parts that no machine has, before anything is made. */
export async function recordMachine(wish: MachineToRecord, place: RecordingPlace): Promise<Recorded> {
  const { parts, logDir, goal, rules = [], steps = [], warnings = [], added = {} } = wish;
  const prepared = await prepareParts(parts, place.env, place.clock, place.job, wish.qemu);
  const subject = wish.subject ?? parts.kernel?.path ?? parts.disks[0]!.path; // planParts refuses a machine without both
  const settings: Settings = {
    ...standardSettings,
    iso: subject,
    logDir,
    traceLevel: "none",
    guestRam: parts.memoryMb,
    guestCpus: parts.processors,
    vga: parts.vga,
    fallback: parts.fallback,
    firmware: parts.firmware,
  };
  const told = [...warnings, ...prepared.plan.warnings];
  for (const text of told) place.onEvent({ type: "warning", text });
  return await recordBoot(newRecording({ prepared, subject, settings, goal, rules, steps, warnings: told, added }, place));
}

/** `env.txt`: the settings in force and facts of the host, never the process environment. Control characters become escapes: a line is a value. */
export function environmentLines(
  settings: Settings,
  host: Readonly<Record<string, unknown>>,
  shownPath: (path: string) => string,
): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const { setting, kernel, value } of PARAMETERS) {
    const said = settings[setting];
    const text =
      said === undefined
        ? ""
        : value.type === "switch"
          ? said
            ? "1"
            : "0"
          : value.type === "path"
            ? shownPath(String(said))
            : String(said);
    lines.set(kernel ?? `hiperiso_${setting}`, printable(text));
  }
  for (const [name, value] of Object.entries(host)) lines.set(`host_${name}`, printable(String(value)));
  return lines;
}

/** Where private files go. Not /tmp: the overlay that takes a guest's writes may be larger than the memory that is behind /tmp on many computers. */
export const scratchRoot = (env: Environment): string =>
  env["TMPDIR"] !== undefined && isAbsolute(env["TMPDIR"]) ? env["TMPDIR"] : "/var/tmp";
