/** What apt reads is replaced by files of the test's own; apt-config alone is run. */
import { mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { z } from "zod";
import { quietJob } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { rememberedAnswer } from "../../src/live/apt-lists.ts";

const hasApt = (await lookForTool("apt-config", process.env)) !== undefined;

let folder: string;
let asked: number;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-apt-lists-"));
  asked = 0;
  for (const name of ["etc/sources.list.d", "state/lists", "cache"]) await mkdir(join(folder, name), { recursive: true });
  await writeFile(join(folder, "state/lists/mirror_Packages"), "one");
  await writeFile(join(folder, "apt.conf"), `Dir::Etc "${folder}/etc"; Dir::State "${folder}/state";\n`);
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

const answer = (question: unknown = "q", says = "a") =>
  rememberedAnswer(
    question,
    z.string(),
    {
      planFolder: folder,
      epochS: 0,
      env: { PATH: process.env["PATH"], APT_CONFIG: join(folder, "apt.conf") },
      cacheFolder: join(folder, "cache"),
      job: quietJob,
    },
    async () => {
      asked += 1;
      return says;
    },
  );

describe.skipIf(!hasApt)("an answer of apt", () => {
  test("is kept for its question", async () => {
    expect([await answer(), await answer("q", "other"), asked]).toEqual(["a", "a", 1]);
    expect([await answer("r", "b"), asked]).toEqual(["b", 2]);
  });

  test.each([
    ["a list of the computer", "state/lists/mirror_Packages"],
    ["a new list", "state/lists/other_Packages"],
    ["a list of our own", "cache/apt/lists/own_Packages"],
    ["the sources", "etc/sources.list"],
    ["a file of sources", "etc/sources.list.d/more.list"],
    ["apt's configuration", "apt.conf"],
  ])("is asked for again when %s changes", async (_what, path) => {
    await answer();
    const old = path === "apt.conf" ? `Dir::Etc "${folder}/etc"; Dir::State "${folder}/state"; APT::X "y";\n` : "changed, and longer";
    await writeFile(join(folder, path), old);
    expect([await answer("q", "new"), asked]).toEqual(["new", 2]);
  });

  test("that is damaged, or of another shape, is asked for again", async () => {
    await answer();
    const [file] = await readdir(join(folder, "cache/apt/answers"));
    for (const content of ["", "{", '{"state":1}', "null"]) {
      await writeFile(join(folder, "cache/apt/answers", file!), content);
      expect(await answer()).toBe("a");
    }
    expect(asked).toBe(5);
  });
});
