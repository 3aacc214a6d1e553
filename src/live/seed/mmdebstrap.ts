/** A root file system out of packages of Debian or one of its children, by mmdebstrap. */
import { createReadStream, createWriteStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { writeTar } from "../../formats/tar.ts";
import type { TarMember } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";
import { findTool } from "../../host/tools.ts";
import { cleanFiles } from "../clean-tree.ts";
import { packageFailure } from "../package-failure.ts";
import { ArchiveFiles } from "../sandbox/archive-files.ts";
import { readSandboxFacts } from "../sandbox/facts.ts";
import { runInNamespace } from "../sandbox/namespace.ts";
import { acceptedPlan, planSandbox } from "../sandbox/plan.ts";
import type { StageRun, StageSurroundings } from "../stage.ts";
import { toolVersion } from "../tool.ts";
import { ownSources, releaseDigests } from "./apt-sources.ts";

const VARIANTS = [
  "extract",
  "custom",
  "essential",
  "apt",
  "required",
  "minbase",
  "buildd",
  "important",
  "debootstrap",
  "standard",
] as const;

export const MmdebstrapSchema = z
  .strictObject({
    suite: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9._+-]*$/)
      .describe("The release: bookworm."),
    variant: z.enum(VARIANTS).default("minbase").describe("Which packages beside those that are named, as mmdebstrap calls it."),
    packages: z
      .array(z.string().regex(/^[A-Za-z0-9?~][A-Za-z0-9+.:=~_?()*/-]*$/))
      .default([])
      .describe("More packages, by name."),
    components: z
      .array(z.string().regex(/^[a-z0-9][a-z0-9/-]*$/))
      .default([])
      .describe("main, contrib, …; those of the sources unless given."),
    sources: z
      .array(z.string().regex(/^deb[ \t][^\n]+$/, "expected a line as in sources.list: deb ADDRESS RELEASE COMPONENT…"))
      .default([])
      .describe("Lines for sources.list. Unless given the computer's own for this release, else the distribution's usual ones."),
    architecture: z
      .string()
      .regex(/^[a-z0-9-]+$/)
      .default("amd64"),
    recommends: z.boolean().default(false).describe("Packages that others recommend too."),
  })
  .describe("Packages of Debian or a distribution made from it, by mmdebstrap.");
export type Mmdebstrap = z.infer<typeof MmdebstrapSchema>;

/** What decides the packages' versions is the state of the computer's lists: nothing is resolved for it. */
export async function mmdebstrapIngredients(
  { suite }: Mmdebstrap,
  surroundings: StageSurroundings,
): Promise<Readonly<Record<string, string>>> {
  const [tool, lists] = await Promise.all([mmdebstrapVersion(surroundings), releaseDigests(suite, surroundings)]);
  return { mmdebstrap: tool, ...lists };
}

/** It stands in its text, which is one Perl program. Before it would say so itself it asks apt for all of its settings, again and again. */
async function mmdebstrapVersion({ env, job }: StageSurroundings): Promise<string> {
  const text = await readFile(await findTool("mmdebstrap", env), "latin1");
  const version = /^our \$VERSION = '([^'\n]+)';$/m.exec(text)?.[1];
  return version === undefined ? await toolVersion("mmdebstrap", ["--version"], { env, signal: job.signal }) : `mmdebstrap ${version}`;
}

const PASSED_ON = ["APT_CONFIG", "http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
const LISTS = "var/lib/apt/lists/";

/** Writes `root.tar` and, beside it, `apt-lists.tar`: the lists that were used, so that stages above take packages of the same moment. */
export async function runMmdebstrap(options: Mmdebstrap, run: StageRun): Promise<void> {
  const { env, job, scratch, output, epochS } = run;
  const plan = acceptedPlan(planSandbox(await readSandboxFacts(env)));
  const sources = options.sources.length > 0 ? options.sources : await ownSources(options.suite, run);
  const raw = join(scratch, "mmdebstrap.tar");
  // In our own namespaces it is root, and ends with us; in those that it makes for other users it would go on.
  const given = PASSED_ON.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]] as const]));
  const answer = await runInNamespace(plan, ["mmdebstrap", ...mmdebstrapArguments(options, { sources, target: raw })], run, {
    kind: "command",
    variables: { ...Object.fromEntries(given), SOURCE_DATE_EPOCH: `${epochS}`, TMPDIR: scratch },
  });
  if (answer.status !== 0) throw packageFailure("make a root file system by mmdebstrap", options.packages, answer.tail);

  await pipeline(writeTar(listsIn(readTar(createReadStream(raw), { where: raw }))), createWriteStream(join(output, "apt-lists.tar")));
  const files = await ArchiveFiles.open(raw, { mtimeS: epochS });
  // Both are this computer's: mmdebstrap copies them so that packages can be fetched.
  for (const path of ["etc/hostname", "etc/resolv.conf"]) await files.remove(path);
  await cleanFiles(files);
  await files.write(join(output, "root.tar"), { epochS, scratch, signal: job.signal });
}

/** Pure. */
export function mmdebstrapArguments(
  { suite, variant, packages, components, architecture, recommends }: Mmdebstrap,
  { sources, target }: { readonly sources: readonly string[]; readonly target: string },
): readonly string[] {
  return [
    "--mode=root",
    "--format=tar",
    `--variant=${variant}`,
    `--architectures=${architecture}`,
    ...(packages.length === 0 ? [] : [`--include=${packages.join(",")}`]),
    ...(components.length === 0 ? [] : [`--components=${components.join(",")}`]),
    `--aptopt=APT::Install-Recommends "${recommends}"`,
    '--aptopt=Acquire::Languages "none"',
    '--aptopt=Acquire::GzipIndexes "true"',
    "--skip=cleanup/apt/lists",
    suite,
    target,
    ...sources,
  ];
}

async function* listsIn(members: AsyncIterable<TarMember>): AsyncGenerator<TarMember> {
  for await (const member of members) {
    const name = member.entry.path.slice(LISTS.length);
    if (!member.entry.path.startsWith(LISTS) || member.entry.kind !== "file" || /^(?:lock$|partial\/)/.test(name)) continue;
    yield member;
  }
}
