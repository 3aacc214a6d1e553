/** The specs that come with the program, as a start for one's own. */
import { randomBytes } from "node:crypto";
import { cp, mkdir, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { HiperisoError, reasonOf } from "../contract/error.ts";

/** Two folders up from both `src/live` and `dist/live`. */
export const EXAMPLES_FOLDER = fileURLToPath(new URL("../../live/", import.meta.url));

export interface Example {
  readonly name: string;
  /** The first line of comment in it, without its `#`. */
  readonly about: string;
}

export async function listExamples(folder = EXAMPLES_FOLDER): Promise<readonly Example[]> {
  const names = (await readdir(folder)).filter((name) => name.endsWith(".yaml")).sort();
  return await Promise.all(
    names.map(async (name) => {
      const lines = (await readFile(join(folder, name), "utf8")).split("\n");
      // A first line for editors names their schema.
      const about = lines.find((line) => line.startsWith("# ") && !line.includes("$schema="))?.slice("# ".length) ?? "";
      return { name: basename(name, ".yaml"), about };
    }),
  );
}

/**
 * Copies a spec, and the folder of its name with the files that go into the image, into a new folder. Gives the spec's path. Throws (`usage`) where there is
 * something already. The folder appears whole or not at all.
 */
export async function copyExample(name: string, folder: string, from = EXAMPLES_FOLDER): Promise<string> {
  const examples = await listExamples(from);
  if (!examples.some((example) => example.name === name)) {
    const expected = `one of ${examples.map((example) => example.name).join(", ")}`;
    throw new HiperisoError({ what: "copy an example", where: "--example", expected, found: name, kind: "usage" });
  }
  const target = resolve(folder);
  const there = await readdir(target).catch((error: NodeJS.ErrnoException) => (error.code === "ENOENT" ? undefined : [reasonOf(error)]));
  if (there !== undefined && there.length > 0) {
    const found = `${there.length === 1 ? there[0] : `${there.length} files`} in it`;
    throw new HiperisoError({ what: "start a spec", where: target, expected: "a folder that is new or empty", found, kind: "usage" });
  }
  const temporary = join(dirname(target), `.${basename(target)}.${randomBytes(4).toString("hex")}.tmp`);
  try {
    await mkdir(temporary, { recursive: true });
    const parts = [`${name}.yaml`, name];
    for (const part of parts) if (await isThere(join(from, part))) await cp(join(from, part), join(temporary, part), { recursive: true });
    if (there !== undefined) await rm(target, { recursive: true }); // it is empty
    await rename(temporary, target);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw new HiperisoError({ what: "start a spec", where: target, found: reasonOf(error), cause: error });
  }
  return join(target, `${name}.yaml`);
}

const isThere = (path: string): Promise<boolean> =>
  stat(path).then(
    () => true,
    () => false,
  );
