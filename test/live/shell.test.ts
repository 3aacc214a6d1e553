/** `hiperiso live shell` in the tree of a stage whose script failed, typed on a terminal, as root and as a normal user. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { removeTree } from "../../src/live/sandbox/tree.ts";
import { makeUser, type TestUser } from "./sandbox/bundled.ts";
import { hasSandboxTools, writeSandboxSpec } from "./sandbox-spec.ts";

const isPossible = hasSandboxTools && process.getuid?.() === 0 && (await lookForTool("script", process.env)) !== undefined;

const SPEC = `name: broken
epoch: 1767225600
result: { stage: root, file: root.tar }
stages:
  base: { kind: seed, tarball: { file: seed.tar.gz } }
  root:
    kind: rootfs
    inputs: { base: base }
    scripts:
      - run: |
          echo half done >/srv/half
          chown 1000:1000 /srv/half && chmod 0600 /srv/half
          echo the last words
          no-such-command
`;

let folder: string;
let user: TestUser;
let program: string;
beforeAll(async () => {
  if (!isPossible) return;
  folder = await mkdtemp(join(tmpdir(), "hiperiso-shell-"));
  await chmod(folder, 0o755);
  writeSandboxSpec(folder);
  await writeFile(join(folder, "broken.yaml"), SPEC);
  const made = await makeUser();
  if (made === undefined) throw new Error("useradd failed");
  user = made;
  // Where it finds the package's version.
  program = join(folder, "dist/cli/program.mjs");
  await mkdir(join(folder, "dist/cli"), { recursive: true });
  await copyFile(await user.bundle(join(import.meta.dirname, "sandbox/live-program.ts")), program);
  await copyFile(join(import.meta.dirname, "../../package.json"), join(folder, "package.json"));
});
afterAll(async () => {
  if (!isPossible) return;
  await user[Symbol.asyncDispose]();
  await removeTree(folder, { env: process.env, job: quietJob });
});

/** Whether the command is there that a test interrupts. */
const isSleeping = (): boolean => spawnSync("pgrep", ["-f", "^busybox sleep 1000000$"]).status === 0;

/** What stands on a terminal, and the keyboard before it. */
class Terminal {
  readonly child: ChildProcess;
  #seen = "";
  #from = 0;

  constructor(words: readonly string[], env: NodeJS.ProcessEnv) {
    const line = words.map((word) => `'${word}'`).join(" ");
    this.child = spawn("script", ["--quiet", "--return", "--command", line, "/dev/null"], {
      cwd: "/",
      env,
      stdio: ["pipe", "pipe", "inherit"],
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.#seen += text;
    });
  }

  /** Waits for a text behind the one that was waited for before. What was written until there. */
  async sees(text: string): Promise<string> {
    await vi.waitUntil(() => this.#seen.indexOf(text, this.#from) >= 0 || this.child.exitCode !== null, { timeout: 60_000 });
    const at = this.#seen.indexOf(text, this.#from);
    expect(at, `${JSON.stringify(text)} in ${JSON.stringify(this.#seen.slice(this.#from))}`).toBeGreaterThanOrEqual(0);
    const before = this.#seen.slice(this.#from, at);
    this.#from = at + text.length;
    return before;
  }

  /** A line, Ctrl-C as `\x03`. */
  types(keys: string): void {
    this.child.stdin!.write(keys);
  }
}

describe.skipIf(!isPossible).each(["root", "a normal user"])("the shell of a failed stage, for %s", (who) => {
  const words = (...rest: readonly string[]): readonly string[] => {
    const own = who === "root" ? [] : ["setpriv", "--reuid", user.name, "--regid", user.name, "--init-groups", "--"];
    return [...own, process.execPath, program, "live", ...rest];
  };
  const env = { ...process.env, HOME: "/", NO_COLOR: "1", TERM: "dumb" };
  let store: string;

  const runWords = async (...rest: readonly string[]) => {
    const [first, ...more] = words(...rest) as [string, ...string[]];
    const child = spawn(first, more, { cwd: "/", env, stdio: ["ignore", "pipe", "pipe"] });
    const said = { stdout: "", stderr: "" };
    child.stdout.setEncoding("utf8").on("data", (text: string) => (said.stdout += text));
    child.stderr.setEncoding("utf8").on("data", (text: string) => (said.stderr += text));
    await once(child, "close");
    return { status: child.exitCode, ...said };
  };

  beforeAll(async () => {
    const place = join(folder, who);
    await mkdir(place);
    await chmod(place, 0o777);
    store = join(place, "store");
    const { status, stderr } = await runWords("build", join(folder, "broken.yaml"), "--store", store);
    expect(status).toBe(3);
    expect(stderr).toMatch(/the last words/);
    expect(stderr).toMatch(/line 4/);
    expect(stderr).toContain(`Its log: ${store}/failed/broken.root/log.txt. To look around in it: hiperiso live shell root`);
  });

  test("stands where its commands ran, with the terminal, its keys and its job control", async () => {
    const terminal = new Terminal(words("shell", "root", "--store", store), env);
    expect(await terminal.sees("End with exit.")).toMatch(/the last words[\s\S]*broken\.root failed; its log: /);
    await terminal.sees("# ");
    terminal.types("cat /srv/half; busybox stat -c %u:%g /srv/half; busybox id -u; test -t 0 && echo on a $((40 + 2)) terminal\n");
    expect(await terminal.sees("on a 42 terminal")).toMatch(/half done\r\n1000:1000\r\n0\r\n/);
    await terminal.sees("# ");
    terminal.types("busybox sleep 1000000 || echo ended by $((600 + 66))\n");
    await terminal.sees("\r\n");
    // Ctrl-C counts once the command is there to be interrupted.
    await vi.waitUntil(() => isSleeping(), { timeout: 60_000 });
    terminal.types("\x03");
    await terminal.sees("# ");
    terminal.types("echo still $((40 + 2)); echo new >/srv/new; test -e /etc/passwd || echo nothing of the computer\n");
    expect(await terminal.sees("nothing of the computer\r\n")).toMatch(/still 42/);
    await terminal.sees("# ");
    terminal.types("exit 5\n");
    await once(terminal.child, "close");
    expect(terminal.child.exitCode, "the last command of a visit says nothing about it").toBe(0);
  });

  test("runs one command instead, and tells how it ended", async () => {
    expect(
      await runWords("shell", "root", "--store", store, "--", "/bin/sh", "-c", "echo changed >/srv/more; busybox ls /srv"),
    ).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^half\nmore\n(new\n)?$/),
    });
    expect((await runWords("shell", "root", "--store", store, "--", "/bin/sh", "-c", "exit 3")).status).toBe(1);
  });

  test("is gone when the stage ends well, with what other ids own in it", async () => {
    const mended = join(folder, "broken.yaml");
    const text = await readFile(mended, "utf8");
    await writeFile(mended, text.replace("no-such-command", "true"));
    const { status, stderr } = await runWords("build", mended, "--store", store);
    await writeFile(mended, text);
    expect([status, stderr]).toEqual([0, expect.stringMatching(/1 kept, 1 built/)]);
    for (const name of ["work", "failed"]) expect([name, await readdir(join(store, name))]).toEqual([name, []]);
    expect((await runWords("shell", "root", "--store", store)).status).toBe(2);
  });
});
