/** Files out of packages of the npm registry, each checked against the digest that the spec gives: Node itself comes this way. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readdir } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { readable } from "../../formats/byte-text.ts";
import { trimmedElf } from "../../formats/elf-trim.ts";
import { isPlainPath } from "../../formats/file-tree.ts";
import { wholeContent } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";
import { decompressed } from "../seed/compressed.ts";
import { type SourceFile, writeTarOf } from "../source-file.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { askTool } from "../tool.ts";

const PLAIN_PATH = z.string().refine(isPlainPath, "expected a plain path without a slash in front");

const Options = z.strictObject({
  packages: z
    .record(
      z.string().regex(/^(?:@[a-z0-9][a-z0-9._-]*\/)?[a-z0-9][a-z0-9._-]*$/, "expected the name of a package"),
      z.strictObject({
        version: z.string().regex(/^\d+\.\d+\.\d+(?:-[0-9A-Za-z.-]+)?$/, "expected one version, such as 1.2.3"),
        integrity: z
          .string()
          .regex(/^sha512-[A-Za-z0-9+/]{86}==$/, "expected sha512- and 88 characters, as the registry says it (dist.integrity)")
          .describe("Of the package's archive."),
        into: PLAIN_PATH.describe("Folder for its files."),
        files: z.array(PLAIN_PATH).min(1).describe("Which of its files, by their paths in the package."),
        trim: z.array(PLAIN_PATH).default([]).describe("Programs among them that lose what only debuggers read."),
      }),
    )
    .describe("By name."),
});
type Options = z.infer<typeof Options>;
type Wanted = Options["packages"][string];

/** Output: `root.tar`, with the files at their places. Fetched by npm: its configuration says from where, and its cache is asked first. */
export const npmStage = stageKind({
  kind: "npm",
  revision: 1,
  options: Options,
  inputs: {},
  needs: { cores: 1, memoryMb: 512 },
  ingredients: async () => ({}),

  async run({ packages }, run) {
    const files: SourceFile[] = [];
    for (const [name, wanted] of Object.entries(packages)) {
      const archive = await fetchedArchive(name, wanted, run);
      files.push(...(await takenFiles(archive, name, wanted, run)));
    }
    await writeTarOf(files, join(run.output, "root.tar"), run);
  },
});

/** An archive is at most this large; Node's is some 40 MB. */
const FILE_BYTES_MAX = 512 * 2 ** 20;

async function fetchedArchive(name: string, { version, integrity }: Wanted, run: StageRun): Promise<string> {
  const { scratch, env, job, log } = run;
  const folder = join(scratch, "fetched", name);
  await mkdir(folder, { recursive: true });
  const step = job.progress.begin(`download ${name} ${version}`);
  try {
    // A person's npm settings may stand in variables too.
    const settings = Object.fromEntries(
      Object.entries(env).flatMap(([key, value]) => (/^npm_config_/i.test(key) && value !== undefined ? [[key, value]] : [])),
    );
    const words = ["pack", `${name}@${version}`, "--pack-destination", folder, "--ignore-scripts", "--prefer-offline", "--loglevel=error"];
    const { status, lastLines } = await askTool("npm", words, { env, signal: job.signal, cwd: scratch, variables: settings, log });
    const [archive] = (await readdir(folder)).filter((file) => file.endsWith(".tgz"));
    if (status !== 0 || archive === undefined) {
      throw new HiperisoError({
        what: "fetch a package of the npm registry",
        where: `${name}@${version}`,
        found: lastLines || `exit status ${status}, and no archive`,
        hint: "It needs the registry that npm is set to (npm config get registry), or npm's cache with the package in it.",
      });
    }
    const path = join(folder, archive);
    const hash = createHash("sha512");
    for await (const piece of createReadStream(path)) hash.update(piece as Uint8Array);
    const found = `sha512-${hash.digest("base64")}`;
    if (found === integrity) return path;
    throw new HiperisoError({ what: "check a package of the npm registry", where: `${name}@${version}`, expected: integrity, found });
  } finally {
    step.end();
  }
}

/** Everything in a package's archive stands below one folder, mostly `package` (npm's "package tarball"). */
async function takenFiles(archive: string, name: string, wanted: Wanted, run: StageRun): Promise<readonly SourceFile[]> {
  const { env, job } = run;
  const left = new Set(wanted.files);
  const taken: SourceFile[] = [];
  const content = decompressed(createReadStream(archive), { where: `${name}@${wanted.version}`, env, signal: job.signal });
  for await (const member of readTar(content, { where: `${name}@${wanted.version}` })) {
    const path = readable(member.entry.path).replace(/^[^/]+\//, "");
    if (member.entry.kind !== "file" || !left.delete(path)) continue;
    if (member.entry.sizeBytes > FILE_BYTES_MAX)
      throw new HiperisoError({
        what: "read a package",
        where: `${name}: ${path}`,
        expected: `at most ${FILE_BYTES_MAX} bytes`,
        found: `${member.entry.sizeBytes}`,
      });
    const pieces: Uint8Array[] = [];
    for await (const piece of wholeContent(member)) pieces.push(piece);
    const bytes = Buffer.concat(pieces);
    const from = wanted.trim.includes(path) ? trimmedElf(bytes, `${name}: ${path}`) : bytes;
    taken.push({ path: `${wanted.into}/${path}`, mode: (member.entry.mode & 0o111) === 0 ? 0o644 : 0o755, from });
  }
  if (left.size === 0) return taken;
  throw new HiperisoError({
    what: "take files out of a package",
    where: `${name}@${wanted.version}`,
    expected: [...left].join(", "),
    found: "no such files",
  });
}
