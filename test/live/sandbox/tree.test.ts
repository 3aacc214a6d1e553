/** Trees in which commands run. */
import { mkdir, mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { quietJob } from "../../../src/contract/job.ts";
import { lookForTool } from "../../../src/host/tools.ts";
import { readSandboxFacts } from "../../../src/live/sandbox/facts.ts";
import { planSandbox } from "../../../src/live/sandbox/plan.ts";
import { openTree } from "../../../src/live/sandbox/tree.ts";

const busybox = await lookForTool("busybox", process.env);
const hasSandbox = planSandbox(await readSandboxFacts(process.env)).kind !== "refused";
const run = { env: process.env, job: quietJob };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-tree-"));
});
afterEach(async () => {
  await rm(folder, { recursive: true });
});

/** A tree of busybox in which lib is a link, as in a distribution with a merged /usr. */
async function smallTree() {
  const tree = await openTree({ scratch: folder, run });
  await tree.put([
    { kind: "file", path: "bin/busybox", mode: 0o755, content: await readFile(busybox!) },
    { kind: "symlink", path: "bin/sh", target: "busybox" },
    { kind: "symlink", path: "lib", target: "usr/lib" },
    { kind: "directory", path: "usr/lib", mode: 0o755 },
  ]);
  return tree;
}

describe.skipIf(busybox === undefined || !hasSandbox)("a tree", () => {
  test("runs a script with itself as the root, and tells what that left running", async () => {
    await using tree = await smallTree();
    const script = "busybox ls /; busybox sleep 1000 & busybox echo done >/dev/stdout; busybox echo no >/dev/stderr\n";
    const answer = await tree.run(["/bin/sh", "/run/hiperiso/script"], { script });
    expect(answer.stdout).toBe("bin\ndev\nlib\nproc\nrun\ntmp\nusr\ndone\n");
    expect(answer.leftBehind).toEqual(["busybox"]);
  });

  test("takes files where its links lead, and gives them out", async () => {
    await using tree = await smallTree();
    await tree.put([{ kind: "file", path: "lib/x/y", mode: 0o644, content: new TextEncoder().encode("content") }]);
    expect(new TextDecoder().decode(await tree.read("usr/lib/x/y"))).toBe("content");
    await mkdir(join(folder, "out"));
    await tree.copyOut("lib/x", join(folder, "out/x"));
    expect(await readFile(join(folder, "out/x/y"), "utf8")).toBe("content");
    expect(await tree.exists("lib/x/y")).toBe(true);
    expect(await tree.exists("lib/x/z")).toBe(false);
  });

  test("is gone when it is disposed of", async () => {
    await (await smallTree())[Symbol.asyncDispose]();
    expect(await readdir(folder)).toEqual(["tree.json"]);
  });
});
