/** Single files out of packages. */
import { copyFile, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { isPlainPath } from "../../formats/file-tree.ts";
import { type StageRun, stageKind } from "../stage.ts";
import { runTool } from "../tool.ts";

const Options = z.strictObject({
  files: z
    .record(z.string().regex(/^[A-Za-z0-9._+-]+$/), z.array(z.string().refine(isPlainPath, "expected a plain relative path")).min(1))
    .describe("Name in the output: where in the packages it may stand; the first path that exists is taken."),
});

/** Output: the files that are named. */
export const unpackStage = stageKind({
  kind: "unpack",
  revision: 1,
  options: Options,
  inputs: { package: "required" },
  ingredients: async () => ({}),

  async run({ files }, run) {
    await unpackPackages(run.inputs["package"]!, run.scratch, run);
    for (const [name, places] of Object.entries(files)) {
      await copyFile(await firstFile(run.scratch, places), join(run.output, name));
    }
  },
});

/** All files of all packages in a folder, as installing them would lay them out. */
export async function unpackPackages(folder: string, into: string, { env, job }: Pick<StageRun, "env" | "job">): Promise<void> {
  for (const name of (await readdir(folder)).sort()) {
    await runTool("dpkg-deb", ["--extract", join(folder, name), into], { env, signal: job.signal });
  }
}

async function firstFile(folder: string, places: readonly string[]): Promise<string> {
  for (const place of places) {
    const path = join(folder, place);
    if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  }
  throw new HiperisoError({ what: "take a file out of packages", where: places.join(", "), expected: "one of them", found: "none" });
}
