/** The words of a verdict and of a finding: CONTRACT sections 4 and 6. Programs rely on every value. */

export const BOOT_RESULTS = ["success", "failure", "incomplete", "no_serial"] as const;
export type BootResult = (typeof BOOT_RESULTS)[number];

/** In the order in which a boot passes them; `error` and `unknown` are no places on that way. */
export const BOOT_STAGES = ["firmware", "bootloader", "kernel", "initramfs", "userspace", "login", "error", "unknown"] as const;
export type BootStage = (typeof BOOT_STAGES)[number];

/** The stages that a boot really passes, in order. */
export const PASSED_STAGES = ["firmware", "bootloader", "kernel", "initramfs", "userspace", "login"] as const;
export type PassedStage = (typeof PASSED_STAGES)[number];

export const FAILURE_DOMAINS = ["none", "firmware", "bootloader", "kernel", "hardware", "userspace", "unknown"] as const;
export type FailureDomain = (typeof FAILURE_DOMAINS)[number];

export const SEVERITIES = ["info", "warning", "error", "fatal"] as const;
export type Severity = (typeof SEVERITIES)[number];

export const FINDING_SOURCES = ["serial", "screen", "trace", "qemu", "network"] as const;
export type FindingSource = (typeof FINDING_SOURCES)[number];

/** Add at the end, never rename (CONTRACT section 6). */
export const FINDING_KINDS = [
  "panic",
  "oops",
  "warning",
  "kasan",
  "kmsan",
  "kcsan",
  "kfence",
  "ubsan",
  "lockdep",
  "sleeping_atomic",
  "list_corruption",
  "refcount",
  "bad_page",
  "slab_error",
  "memory_leak",
  "soft_lockup",
  "hard_lockup",
  "spinlock_lockup",
  "workqueue_lockup",
  "rcu_stall",
  "hung_task",
  "oom",
  "machine_check",
  "nmi",
  "io_error",
  "fs_error",
  "kmod_error",
  "no_root",
  "no_init",
  "init_died",
  "emergency_shell",
  "device_timeout",
  "timeout_job",
  "dependency_failed",
  "service_failed",
  "user_crash",
  "no_boot_device",
  "bootloader_error",
  "secure_boot_violation",
  "kvm_error",
  "qemu_error",
  "hang",
  "reset_loop",
  /** Ours, behind the contract's: a step of a build failed. */
  "build_failed",
  /** Ours: a script that drove the guest did not come to its end. */
  "script_failed",
] as const;
export type FindingKind = (typeof FINDING_KINDS)[number];
