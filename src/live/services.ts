/** Services of a root file system that start at boot, by the service manager that it brings. */
import { HiperisoError } from "../contract/error.ts";
import type { Tree, TreeCommand } from "./sandbox/tree.ts";

export interface ServiceChanges {
  readonly enable: readonly string[];
  readonly disable: readonly string[];
  readonly mask: readonly string[];
}

interface ServiceManager {
  readonly id: string;
  /** Where its program stands. */
  readonly program: string;
  /** Undefined where it knows no such thing. */
  command(change: keyof ServiceChanges, service: string): readonly string[] | undefined;
}

const SERVICE_MANAGERS: readonly ServiceManager[] = [
  {
    id: "systemd",
    program: "usr/bin/systemctl",
    command: (change, service) => ["systemctl", "--no-reload", "--quiet", change, "--", service],
  },
  {
    id: "OpenRC",
    program: "sbin/rc-update",
    command: (change, service) => {
      const [name, level] = service.split("|") as [string, string?];
      if (change === "mask") return undefined;
      return change === "enable"
        ? ["rc-update", "add", name, level ?? "default"]
        : ["rc-update", "del", name, ...(level === undefined ? ["--all"] : [level])];
    },
  },
  {
    id: "sysvinit",
    program: "usr/sbin/update-rc.d",
    command: (change, service) => (change === "mask" ? ["update-rc.d", service, "remove"] : ["update-rc.d", service, change]),
  },
];

/** Throws where the tree has no service manager, or does not know the service. */
export async function changeServices(tree: Tree, changes: ServiceChanges, command: TreeCommand): Promise<void> {
  const wanted = (["enable", "disable", "mask"] as const).flatMap((change) => changes[change].map((service) => ({ change, service })));
  if (wanted.length === 0) return;
  let manager: ServiceManager | undefined;
  for (const candidate of SERVICE_MANAGERS) if (manager === undefined && (await tree.exists(candidate.program))) manager = candidate;
  for (const { change, service } of wanted) {
    const words = manager?.command(change, service);
    const refuse = (found: string): HiperisoError =>
      new HiperisoError({ what: `${change} a service`, where: service, expected: "a service that the root file system has", found });
    if (manager === undefined) throw refuse(`none of ${SERVICE_MANAGERS.map(({ id }) => id).join(", ")} in the root file system`);
    if (words === undefined) throw refuse(`${manager.id}, which cannot ${change}`);
    const { status, lastLines } = await tree.run(words, {
      ...command,
      variables: { ...command.variables, SYSTEMD_OFFLINE: "1" },
      anyStatus: true,
    });
    if (status !== 0) throw refuse(`${status}: ${lastLines}`);
  }
}
