/** What a session says of the computer it was recorded on: nothing that identifies it or its owner. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { readIdentity } from "./identity.ts";
import { type Identity, maskIdentity } from "./mask.ts";
import { readBootId } from "./process-identity.ts";

/** The first five as in `session.json`, `host`. Memory in MB of 2^20 bytes. */
export interface HostFacts {
  /** As `uname -r`. */
  readonly kernel_version: string;
  readonly cpu_model: string;
  readonly cpu_logical_cores: number;
  readonly total_ram_mb: number;
  /** True when the processor says that it can run guests (flag `vmx` or `svm`). Whether KVM works, only a probe guest tells. */
  readonly virt_supported: boolean;
  readonly available_ram_mb: number;
  /** Random, new at every start of the computer. */
  readonly boot_id: string;
  /** Seconds since the computer started. */
  readonly uptime_s: number;
}

/**
 * Facts that the kernel does not tell are empty or 0. Throws only where there is no /proc at all.
 * `identity`: who is hidden, for whoever builds a kernel may give it a name.
 */
export async function hostFacts(proc = "/proc", identity: Identity = readIdentity(process.env)): Promise<HostFacts> {
  const [release, cpuinfo, meminfo, uptime] = await Promise.all(
    ["sys/kernel/osrelease", "cpuinfo", "meminfo", "uptime"].map((name) => readFile(join(proc, name), "utf8").catch(() => "")),
  );
  const memory = decodeMeminfo(meminfo ?? "");
  return {
    kernel_version: maskIdentity((release ?? "").trim(), identity),
    ...decodeCpuinfo(cpuinfo ?? ""),
    total_ram_mb: memory.totalMb,
    available_ram_mb: memory.availableMb,
    boot_id: readBootId(proc),
    uptime_s: Number.parseFloat(uptime ?? "") || 0,
  };
}

/** /proc/cpuinfo of an x86 computer: a block of `key : value` lines for each logical processor. */
export function decodeCpuinfo(text: string): Pick<HostFacts, "cpu_model" | "cpu_logical_cores" | "virt_supported"> {
  return {
    cpu_model: /^model name[ \t]*:[ \t]*(.*)$/m.exec(text)?.[1]?.trim() ?? "",
    cpu_logical_cores: text.match(/^processor[ \t]*:/gm)?.length ?? 0,
    virt_supported: /^flags[ \t]*:.*\b(?:vmx|svm)\b/m.test(text),
  };
}

/** /proc/meminfo: kB, which are 1,024 bytes each. Kernels before 3.14 have no MemAvailable: then what is free. */
export function decodeMeminfo(text: string): { readonly totalMb: number; readonly availableMb: number } {
  const kilobytes = (key: string) => Number(new RegExp(`^${key}:\\s*(\\d+) kB$`, "m").exec(text)?.[1] ?? Number.NaN);
  const mb = (kb: number) => (Number.isFinite(kb) ? Math.floor(kb / 1024) : 0);
  const available = kilobytes("MemAvailable");
  return { totalMb: mb(kilobytes("MemTotal")), availableMb: mb(Number.isFinite(available) ? available : kilobytes("MemFree")) };
}
