import type { KvmState } from "../contract/session.ts";
import type { Clock } from "./clock.ts";

/** Whether KVM runs guests here, and how that was found out. */
export interface KvmProbe {
  readonly state: KvmState;
  /** One sentence for a person. */
  readonly because: string;
  /** How long the probe guest took; 0 where none was started. */
  readonly durationMs: number;
  /** The start of the computer for which this holds. */
  readonly at_boot_id: string;
}

export interface KvmProbeOptions {
  /** Path of the QEMU to ask. */
  readonly qemu: string;
  /** Folder for the answer, kept until the computer restarts: `$XDG_CACHE_HOME/hiperiso`. Made when missing. */
  readonly cacheDir: string;
  /** Folder in which the probe makes a private one: `xdgFolders(env).runtime`. */
  readonly runtimeDir: string;
  readonly signal: AbortSignal;
  readonly clock: Clock;
  /** Ask a guest even when an answer is kept. */
  readonly fresh?: boolean;
  readonly device?: string;
  readonly proc?: string;
}

export async function probeKvm(options: KvmProbeOptions): Promise<KvmProbe> {
  options.signal.throwIfAborted();
  return { state: "unknown", because: "no probe guest was started", durationMs: 0, at_boot_id: "" };
}
