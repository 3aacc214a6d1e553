/** How a target that is the root of a system is entered: the command of the tree's own generator for chroot and bwrap. Pure. */
import { HiperisoError } from "../contract/error.ts";
import type { PreparedRecord } from "./prepared.ts";

export interface RunPlan {
  /** Programs that have to be there, by name. */
  readonly tools: readonly string[];
  readonly needsRoot: boolean;
  /** `paths`: of the tools. The first word is the program. */
  readonly command: (paths: ReadonlyMap<string, string>) => readonly string[];
}

/** Kept from the host in the sandbox. */
const DEVICES = ["null", "zero", "random", "urandom", "ptmx", "tty"];

/** Throws (`usage`) for a target that is booted. `target` is absolute. */
export function planRun(target: string, { plan }: Pick<PreparedRecord, "plan">): RunPlan {
  const { form, archDir, options } = plan;
  const seed = `/bootstrap-seeds/POSIX/${archDir}/kaem-optional-seed`;
  if (form === "chroot") {
    return {
      tools: ["env", "chroot"],
      needsRoot: true,
      command: (paths) => [toolOf(paths, "env"), "-i", "PATH=/bin", toolOf(paths, "chroot"), target, seed],
    };
  }
  if (form === "bwrap") {
    // Later passes of the original's own tests go on in a system that has an init already.
    const init = options.internalCi === undefined || options.internalCi === "pass1" ? seed : "/init";
    const sandbox = [
      ...["--unshare-user", "--uid", "0", "--gid", "0"],
      ...(options.externalSources ? ["--unshare-net"] : []),
      ...["--setenv", "PATH", "/usr/bin", "--bind", target, "/", "--dir", "/dev"],
      ...DEVICES.flatMap((name) => ["--dev-bind", `/dev/${name}`, `/dev/${name}`]),
      ...["--tmpfs", "/dev/shm", "--proc", "/proc", "--bind", "/sys", "/sys", "--tmpfs", "/tmp"],
      // Ours: what runs in it ends with us.
      "--die-with-parent",
    ];
    return {
      tools: ["env", "bwrap"],
      needsRoot: false,
      command: (paths) => [toolOf(paths, "env"), "-i", toolOf(paths, "bwrap"), ...sandbox, init],
    };
  }
  throw new HiperisoError({
    what: "run the target",
    where: target,
    expected: "a target prepared with --chroot or --bwrap",
    found: `one for ${plan.mode}`,
    hint: "`hiperiso bootstrap boot` boots it.",
    kind: "usage",
  });
}

function toolOf(paths: ReadonlyMap<string, string>, name: string): string {
  const path = paths.get(name);
  if (path === undefined) throw new Error(`${name} was not looked for`);
  return path;
}
