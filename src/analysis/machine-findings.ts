import type { Ending, EndingReason } from "../contract/session.ts";
import type { BootStage, FailureDomain, FindingKind, Severity } from "../contract/verdict.ts";
import type { ToldFinding } from "./findings.ts";
import type { SessionEvidence } from "./session-evidence.ts";

/** What the machine under the guest tells of the end: rows by the recorder's reason. */
interface MachineRule {
  readonly id: string;
  readonly reason: EndingReason;
  readonly kind: FindingKind;
  readonly severity: Severity;
  readonly domain: FailureDomain;
  /** Findings of these kinds are its cause. */
  readonly follows: readonly FindingKind[];
  readonly explanation: string;
  readonly hint: string;
}

const KERNEL_STOPS = ["panic", "init_died", "no_root", "no_init", "oom", "oops"] as const;

export const MACHINE_RULES: readonly MachineRule[] = [
  {
    id: "machine/kvm-internal-error",
    reason: "internal_error",
    kind: "kvm_error",
    severity: "fatal",
    domain: "hardware",
    follows: [],
    explanation: "QEMU stopped the guest: KVM could not carry out one of its instructions, or the disk failed.",
    hint: "Boot it again with --accel tcg. If that works, the host's KVM (or the nesting it runs in) is at fault.",
  },
  {
    id: "machine/qemu-died",
    reason: "qemu_died",
    kind: "qemu_error",
    severity: "fatal",
    domain: "unknown",
    follows: [],
    explanation: "QEMU ended by itself, and the guest with it.",
    hint: "Read qemu.stderr and qemu.cmdline in the session directory: mostly a missing file or too little memory on the host.",
  },
  {
    id: "machine/pvpanic",
    reason: "guest_panic",
    kind: "panic",
    severity: "fatal",
    domain: "kernel",
    follows: KERNEL_STOPS,
    explanation: "The guest's kernel told the machine (pvpanic) that it stopped for good.",
    hint: "Its message is on the console or on the screenshot. If neither shows it, add console=ttyS0 to the kernel's command line.",
  },
  {
    id: "machine/reset-loop",
    reason: "reset_loop",
    kind: "reset_loop",
    severity: "fatal",
    domain: "unknown",
    follows: [...KERNEL_STOPS, "no_boot_device", "bootloader_error"],
    explanation: "The guest reset itself again and again.",
    hint: "Look at what stands last before each reset in serial.log. Nothing at all: a triple fault early in the kernel or its loader; try the other firmware, or another processor model.",
  },
  {
    id: "machine/program-failed",
    reason: "program_failed",
    kind: "build_failed",
    severity: "fatal",
    domain: "userspace",
    follows: ["build_failed"],
    explanation: "The program that was recorded ended with an error.",
    hint: "Its last lines say why, if anything does: a shell that stops at the first error adds no word of its own.",
  },
  {
    id: "machine/processor-lost",
    reason: "processor_lost",
    kind: "build_failed",
    severity: "fatal",
    domain: "unknown",
    follows: ["build_failed"],
    explanation: "The guest's processor ran into nothing: it was sent to a program or a routine that is not there.",
    hint: "The first kernel of a bootstrap looks for no program before it calls it: the last command on the console, or on the screen, names one that is missing.",
  },
  {
    id: "machine/script-failed",
    reason: "script_failed",
    kind: "script_failed",
    severity: "fatal",
    domain: "unknown",
    follows: [...KERNEL_STOPS, "user_crash", "service_failed", "emergency_shell"],
    explanation: "A step of the script that drove the guest failed.",
    hint: "The script's steps stand above, with what the failed one waited for; serial.log and the screenshot show what was there instead.",
  },
  {
    id: "machine/hang",
    reason: "hang",
    kind: "hang",
    severity: "error",
    domain: "unknown",
    follows: [
      "soft_lockup",
      "hard_lockup",
      "rcu_stall",
      "hung_task",
      "oops",
      "workqueue_lockup",
      "spinlock_lockup",
      "device_timeout",
      "timeout_job",
    ],
    explanation: "Nothing moved any more: serial console, disk and screen were all still until the limit.",
    hint: "Look at the screenshot, at the last lines of serial.log and at the processors' registers. A guest that only draws on its screen, or waits for a key, looks like this too.",
  },
];

/** Findings of `ending.json` and `qemu.stderr`. `stage`: how far the boot had come. */
export function machineFindings(
  { ending, qemuErrors }: SessionEvidence,
  stage: BootStage,
  findings: readonly ToldFinding[],
  boot: number,
): readonly ToldFinding[] {
  const rule = ending === undefined || ending.goal_reached ? undefined : MACHINE_RULES.find(({ reason }) => reason === ending.reason);
  if (ending === undefined || rule === undefined) return [];
  // The log tells of the panic better than the device does.
  if (
    rule.reason === "guest_panic" &&
    findings.some(({ severity, kind }) => severity === "fatal" && KERNEL_STOPS.some((stop) => stop === kind))
  )
    return [];
  const cause = findings.findLastIndex(({ kind, severity }) => rule.follows.includes(kind) && severity !== "info");
  return [
    {
      id: rule.id,
      kind: rule.kind,
      severity: rule.severity,
      stage,
      domain: rule.domain,
      source: "qemu",
      line: null,
      text: textOf(ending, qemuErrors),
      explanation: rule.explanation,
      hint: rule.hint,
      count: 1,
      cause: false,
      boot,
      first_line: null,
      last_line: null,
      time_ms: ending.duration_ms,
      consequence_of: cause === -1 ? null : cause,
      context: { before: [], after: [] },
      report: null,
    },
  ];
}

/** QEMU's last words where it had any, else the recorder's sentence. */
function textOf({ reason, detail }: Ending, qemuErrors: string): string {
  const lines = qemuErrors.split("\n").filter((line) => line.trim() !== "");
  return (reason === "qemu_died" || reason === "internal_error" ? lines.at(-1) : undefined) ?? detail;
}
