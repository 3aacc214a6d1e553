/** The demo image is built for real, from the distribution's mirror: twice, and through cuts. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DEMO_PLAN } from "../../src/live/demo.ts";
import { sha256 } from "../../src/live/tool.ts";
import { run, start } from "./harness.ts";

let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso live build, "));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

const words = (store: string, to: string) => ["live", "build", DEMO_PLAN, "--store", join(folder, store), "--to", join(folder, to)];
const digest = (name: string): string => sha256(readFileSync(join(folder, name)));

describe("the demo image", () => {
  let expected = "";

  it("is built, and the second time kept", async () => {
    expect(await run(words("one", "one.iso"))).toMatchObject({ status: 0, stdout: `${join(folder, "one.iso")}\n` });
    expected = digest("one.iso");
    const again = await run([...words("one", "one.iso"), "--explain"]);
    expect(again.stderr).not.toMatch(/ built /);
    expect(again.stderr.match(/ kept /g)?.length).toBeGreaterThan(5);
    expect(digest("one.iso")).toBe(expected);
  });

  it("has the same bytes after kill -9 in any stage, in another store", async () => {
    for (const line of [/^download busybox/, /^download \d+ packages/, /^build kernel$/, /^build image$/, /^build iso$/]) {
      const cut = start(words("two", "two.iso"));
      await cut.lineMatching(line);
      cut.child.kill("SIGKILL");
      expect((await cut.finished).signal).toBe("SIGKILL");
      expect(existsSync(join(folder, "two.iso"))).toBe(false);
    }
    expect(await run(words("two", "two.iso"))).toMatchObject({ status: 0 });
    expect(digest("two.iso")).toBe(expected);
    expect(readdirSync(join(folder, "two/work"))).toEqual([]);
  });

  it("leaves nothing half-made after Ctrl-C", async () => {
    const cut = start([...words("one", "three.iso"), "--variant", "silent"]);
    await cut.lineMatching(/^build iso$/);
    cut.child.kill("SIGINT");
    const { status, stderr } = await cut.finished;
    expect(stderr).toMatch(/interrupted/);
    expect(status).not.toBe(0);
    expect(existsSync(join(folder, "three.iso"))).toBe(false);
    expect(readdirSync(join(folder, "one/work"))).toEqual([]);
    expect(readdirSync(folder).filter((name) => name.includes("tmp"))).toEqual([]);
  });
});
