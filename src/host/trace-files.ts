/** Files that a trace needs: the tiers' lists of events, ours or the person's own, and QEMU's declarations. */
import { access, constants, realpath } from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { type Environment, xdgFolders } from "./xdg.ts";

const TIERS = ["standard", "detailed", "full"] as const;
type Tier = (typeof TIERS)[number];

/** What comes with this program, at the same place of the source and of the installed package. */
export const ownTraceList = (tier: Tier): string => fileURLToPath(new URL(`../../trace/${tier}.events`, import.meta.url));

/** A person's own list goes before ours: `$XDG_CONFIG_HOME/hiperiso/trace/<tier>.events`. */
export async function traceLists(env: Environment): Promise<Readonly<Record<Tier, string>>> {
  const folder = join(xdgFolders(env).config, "hiperiso", "trace");
  const [standard, detailed, full] = await Promise.all(
    TIERS.map(async (tier) => ((await isReadable(join(folder, `${tier}.events`))) ? join(folder, `${tier}.events`) : ownTraceList(tier))),
  );
  return { standard: standard!, detailed: detailed!, full: full! };
}

const FILE = "trace-events-all";

/** `trace-events-all` of this QEMU: in `share/qemu` beside the program's own folder, else where distributions have it. */
export async function traceDeclarations(qemu: string): Promise<string | undefined> {
  const program = await realpath(qemu).catch(() => qemu);
  const prefix = dirname(dirname(program));
  for (const folder of [join(prefix, "share", "qemu"), "/usr/share/qemu", "/usr/local/share/qemu"]) {
    if (await isReadable(join(folder, FILE))) return join(folder, FILE);
  }
  return undefined;
}

const isReadable = (path: string): Promise<boolean> =>
  access(path, constants.R_OK).then(
    () => true,
    () => false,
  );
