/** This very program with what it needs of the npm registry, so that what is built can record boots and analyse them. */
import { readdir, readFile, realpath, stat } from "node:fs/promises";
import { join, sep } from "node:path";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { isPlainPath } from "../../formats/file-tree.ts";
import { canonicalJson } from "../graph.ts";
import { type SourceFile, writeTarOf } from "../source-file.ts";
import { stageKind } from "../stage.ts";
import { sha256 } from "../tool.ts";

const PLAIN_PATH = z.string().refine(isPlainPath, "expected a plain path without a slash in front");

const Options = z.strictObject({ into: PLAIN_PATH.default("opt/hiperiso").describe("Folder for it.") });

/** Three folders up from both `src/live/stages` and `dist/live/stages`. */
const OWN_FOLDER = fileURLToPath(new URL("../../..", import.meta.url));

/** Output: `root.tar`. */
export const ownProgramStage = stageKind({
  kind: "own-program",
  revision: 1,
  options: Options,
  inputs: {},
  ingredients: async () => ({ files: await digestOf(await ownFiles()) }),

  async run({ into }, run) {
    const files = (await ownFiles()).map((file) => ({ ...file, path: `${into}/${file.path}` }));
    await writeTarOf(files, join(run.output, "root.tar"), run);
  },
});

/** Below `dist`: says what the bundle beside it was made from. */
export const BUNDLE_SOURCE = "bundled/source.json";
const BUNDLED = "bundled/";

/** What the program reads while it runs, beside its code. */
const DATA = ["package.json", "LICENSE", "trace", "scripts/system-packages.json"];
/** Of our code and that of others: what Node reads. Only folders at a package's top can be told by their names. */
const CODE = /\.(?:js|cjs|mjs|json)$|(?:^|\/)LICEN[CS]E[^/]*$/i;
const NOT_RUN = /^(?:tests?|docs?|examples?|benchmarks?|browser|\.[^/]+)\/|\.d\.[cm]?ts$|(?:^|\/)package-lock\.json$/;
/** Of a package whose code is in the bundle: who made it, and what it may be used for. */
const TERMS = /^(?:package\.json|LICEN[CS]E[^/]*)$/i;

async function ownFiles(): Promise<readonly SourceFile[]> {
  const compiled = await compiledFiles();
  const bundle = await bundledFiles();
  const files: SourceFile[] = [...(bundle ?? compiled)];
  for (const path of DATA) files.push(...(await filesBelow(OWN_FOLDER, path, () => true)));
  const wanted = bundle === undefined ? (path: string) => CODE.test(path) && !NOT_RUN.test(path) : (path: string) => TERMS.test(path);
  for (const [place, folder] of await dependencies(await realpath(OWN_FOLDER))) {
    const own = await filesBelow(folder, "", wanted);
    files.push(...own.map((file) => ({ ...file, path: `${place}/${file.path}` })));
  }
  return files
    .map((file) => (file.path === "dist/cli/hiperiso.js" ? { ...file, mode: 0o755 } : file))
    .sort((one, other) => (one.path < other.path ? -1 : 1));
}

async function compiledFiles(): Promise<readonly SourceFile[]> {
  const program = join(OWN_FOLDER, "dist", "cli", "hiperiso.js");
  if (!(await isFile(program))) {
    throw new HiperisoError({
      what: "take this program",
      where: program,
      expected: "it, compiled",
      found: "nothing",
      hint: "npm run build",
    });
  }
  return await filesBelow(OWN_FOLDER, "dist", (path) => path.endsWith(".js") && !path.startsWith(`dist/${BUNDLED}`));
}

/** SHA-256 of the compiled program: names and contents. */
export const compiledDigest = async (): Promise<string> => await digestOf(await compiledFiles());

async function digestOf(files: readonly SourceFile[]): Promise<string> {
  const digests: (readonly [string, string])[] = [];
  for (const { path, from } of files) digests.push([path, sha256(typeof from === "string" ? await readFile(from) : from)]);
  return sha256(canonicalJson(digests.sort(([one], [other]) => (one < other ? -1 : 1))));
}

/** The bundle at the places of the compiled program; undefined where there is none, or one of another program than the compiled. */
async function bundledFiles(): Promise<readonly SourceFile[] | undefined> {
  const text = await readFile(join(OWN_FOLDER, "dist", BUNDLE_SOURCE), "utf8").catch(() => undefined);
  if (text === undefined || z.object({ compiled: z.string() }).safeParse(JSON.parse(text)).data?.compiled !== (await compiledDigest()))
    return undefined;
  const files = await filesBelow(OWN_FOLDER, `dist/${BUNDLED.slice(0, -1)}`, (path) => path.endsWith(".js"));
  return files.map((file) => ({ ...file, path: file.path.replace(`dist/${BUNDLED}`, "dist/cli/") }));
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

async function filesBelow(root: string, path: string, wanted: (path: string) => boolean): Promise<readonly SourceFile[]> {
  const place = join(root, path);
  if (await isFile(place)) return [{ path, mode: 0o644, from: place }];
  const files: SourceFile[] = [];
  for (const entry of await readdir(place, { withFileTypes: true })) {
    const below = path === "" ? entry.name : `${path}/${entry.name}`;
    if (entry.isDirectory() && entry.name !== "node_modules") files.push(...(await filesBelow(root, below, wanted)));
    else if (entry.isFile() && wanted(below)) files.push({ path: below, mode: 0o644, from: join(root, below) });
  }
  return files;
}

/**
 * Folders of all packages that are needed to run, by their paths here: found as Node finds them, in the nearest `node_modules`, upwards. What stands in
 * a package stands in it here too; what stands beside or above this program stands in its own `node_modules`.
 */
async function dependencies(root: string): Promise<ReadonlyMap<string, string>> {
  const found = new Map<string, string>();
  const visit = async (owners: readonly Owner[]): Promise<void> => {
    const { dependencies: needed = {} } = await manifestOf(owners[0]!.folder);
    for (const name of Object.keys(needed).sort()) {
      const { place, owner } = await nearest(name, owners);
      const path = `${owner === undefined || owner.path === "" ? "" : `${owner.path}/`}node_modules/${name}`;
      const known = found.get(path);
      if (known === place) continue;
      if (known !== undefined) {
        const hint = "Install it anew, so that one version of each package does for all: npm ci";
        throw new HiperisoError({
          what: "collect this program's packages",
          where: name,
          expected: "one version",
          found: `${known} and ${place}`,
          hint,
        });
      }
      found.set(path, place);
      await visit([{ folder: place, path }, ...(owner === undefined ? [] : owners.slice(owners.indexOf(owner)))]);
    }
  };
  await visit([{ folder: root, path: "" }]);
  return found;

  async function nearest(name: string, owners: readonly Owner[]): Promise<{ readonly place: string; readonly owner: Owner | undefined }> {
    for (const owner of owners) {
      const place = join(owner.folder, "node_modules", name);
      if (await isFile(join(place, "package.json"))) return { place: await realpath(place), owner };
    }
    const parts = root.split(sep);
    for (let depth = parts.length; depth > 0; depth -= 1) {
      if (parts[depth - 1] === "node_modules") continue;
      const place = join(parts.slice(0, depth).join(sep) || sep, "node_modules", name);
      if (await isFile(join(place, "package.json"))) return { place: await realpath(place), owner: undefined };
    }
    throw new HiperisoError({
      what: "collect this program's packages",
      where: name,
      expected: `it in node_modules of ${root} or above`,
      found: "nothing",
      hint: "npm ci",
    });
  }
}

/** A package that has been found: where it is, and its path here. */
interface Owner {
  readonly folder: string;
  readonly path: string;
}

const ManifestSchema = z.object({ dependencies: z.record(z.string(), z.string()).optional() });

async function manifestOf(folder: string): Promise<z.infer<typeof ManifestSchema>> {
  const path = join(folder, "package.json");
  try {
    return ManifestSchema.parse(JSON.parse(await readFile(path, "utf8")));
  } catch (error) {
    throw new HiperisoError({ what: "collect this program's packages", where: path, found: reasonOf(error), cause: error });
  }
}
