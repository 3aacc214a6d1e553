/** Programs of tests for another user of this computer: bundled into one file, since that user may see no more of the project than it. */
import { spawn, spawnSync } from "node:child_process";
import { chmod, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";

/** A normal user with ranges of ids, as useradd makes one. Undefined where we may make none. */
export async function makeUser(): Promise<TestUser | undefined> {
  if (process.getuid?.() !== 0) return undefined;
  const name = `hiperiso-${process.pid}`;
  if (spawnSync("useradd", ["--create-home", name]).status !== 0) return undefined;
  const folder = await mkdtemp(join(tmpdir(), "hiperiso-user-"));
  await chmod(folder, 0o755);
  return {
    name,
    folder,
    async bundle(entry) {
      const target = join(folder, "program.mjs");
      const build = await rolldown({ input: entry, platform: "node", external: [/^node:/], transform: { target: "node20" } });
      await build.write({ file: target, format: "esm", codeSplitting: false });
      await build.close();
      await chmod(target, 0o644);
      return target;
    },
    start: (program, ...args) =>
      spawn("runuser", ["-u", name, "--", process.execPath, program, ...args], { cwd: "/", stdio: ["ignore", "pipe", "pipe"] }),
    run(program, ...args) {
      const { status, stdout, stderr } = spawnSync("runuser", ["-u", name, "--", process.execPath, program, ...args], {
        cwd: "/",
        encoding: "utf8",
      });
      return { status, stdout, stderr };
    },
    async [Symbol.asyncDispose]() {
      spawnSync("userdel", ["--remove", name]);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export interface TestUser extends AsyncDisposable {
  readonly name: string;
  readonly folder: string;
  bundle(entry: string): Promise<string>;
  start(program: string, ...args: readonly string[]): ReturnType<typeof spawn>;
  run(program: string, ...args: readonly string[]): { readonly status: number | null; readonly stdout: string; readonly stderr: string };
}
