/** The computer's own package sources, as far as they are of one release of a distribution, and the state of its package lists. */
import { createHash } from "node:crypto";
import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { lookForTool } from "../../host/tools.ts";
import type { StageSurroundings } from "../stage.ts";
import { askTool } from "../tool.ts";

/** Pockets of a release that are installed from beside the release itself. */
const POCKETS = ["", "-updates", "-security", "-proposed-updates"];

/**
 * Lines for sources.list, one for each site and pocket; empty where apt is not there, or has no source of that release. Several releases of one distribution may
 * be configured on a computer, and sources of others too.
 */
export async function ownSources(suite: string, { env, job }: Pick<StageSurroundings, "env" | "job">): Promise<readonly string[]> {
  if ((await lookForTool("apt-get", env)) === undefined) return [];
  const format = "$(SITE)\t$(RELEASE)\t$(COMPONENT)";
  const answer = await askTool("apt-get", ["indextargets", "--format", format, "Created-By: Packages"], { env, signal: job.signal });
  return answer.status === 0 ? planSources(suite, answer.stdout) : [];
}

/** `targets`: a line for each list of packages: site, release and component, between tabs. Pure. */
export function planSources(suite: string, targets: string): readonly string[] {
  const sources = new Map<string, string[]>();
  for (const line of targets.split("\n")) {
    const [site = "", release = "", component = ""] = line.split("\t");
    if (site === "" || component === "" || !POCKETS.some((pocket) => release === `${suite}${pocket}`)) continue;
    const head = `deb ${site} ${release}`;
    const components = sources.get(head) ?? [];
    if (!components.includes(component)) components.push(component);
    sources.set(head, components);
  }
  return [...sources].map(([head, components]) => `${head} ${components.join(" ")}`);
}

/**
 * Of the computer's lists of a release: name of the file that vouches for a source → SHA-256. They change when the computer's lists are updated and
 * the distribution has something new. Asking apt itself would take a second.
 */
export async function releaseDigests(suite: string, surroundings: StageSurroundings): Promise<Readonly<Record<string, string>>> {
  const folder = await listsFolder(surroundings);
  const names = (await readdir(folder).catch(() => [])).filter((name) => isReleaseOf(name, suite)).sort();
  const digests = names.map(async (name) => {
    const content = await readFile(join(folder, name)).catch(() => new Uint8Array());
    return [`lists ${name}`, createHash("sha256").update(content).digest("hex")] as const;
  });
  return Object.fromEntries(await Promise.all(digests));
}

/** apt names its lists after their address: `deb.debian.org_debian_dists_bookworm-updates_InRelease`. */
export function isReleaseOf(name: string, suite: string): boolean {
  return /_(?:In)?Release$/.test(name) && POCKETS.some((pocket) => name.includes(`_dists_${suite}${pocket}_`));
}

async function listsFolder({ env, job }: StageSurroundings): Promise<string> {
  if ((await lookForTool("apt-config", env)) === undefined) return "/var/lib/apt/lists/";
  const { stdout } = await askTool("apt-config", ["shell", "lists", "Dir::State::lists/d"], { env, signal: job.signal });
  return /^lists='(.*)'$/m.exec(stdout)?.[1] ?? "/var/lib/apt/lists/";
}
