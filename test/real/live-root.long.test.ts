/** Debian by mmdebstrap and apt, from the computer's own package sources: as root and as a normal user. Needs the network. */
import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { quietJob } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { removeTree } from "../../src/live/sandbox/tree.ts";
import { makeUser, type TestUser } from "../live/sandbox/bundled.ts";

const tools = ["mmdebstrap", "apt-get", "bwrap", "newuidmap"];
const isPossible =
  process.getuid?.() === 0 && (await Promise.all(tools.map((name) => lookForTool(name, process.env)))).every((path) => path !== undefined);

const plan = (rest: string): string => `name: debian
epoch: 1767225600
result: { stage: root, file: root.tar }
stages:
  base: { kind: seed, mmdebstrap: { suite: bookworm, variant: apt } }
  root:
    kind: rootfs
    inputs: { base: base }
${rest.replace(/^/gm, "    ")}
`;
const INSTALL = "packages: [less]\nhostname: live\nusers: { ann: {} }";

let folder: string;
let user: TestUser | undefined;
beforeAll(async () => {
  if (!isPossible) return;
  user = await makeUser();
  folder = await mkdtemp(join(tmpdir(), "hiperiso-debian-"));
  await chmod(folder, 0o755);
});
afterAll(async () => {
  await user?.[Symbol.asyncDispose]();
  if (folder !== undefined) await removeTree(folder, { env: process.env, job: quietJob });
});

async function build(text: string) {
  await writeFile(join(folder, "plan.yaml"), plan(text));
  return await buildPlan(join(folder, "plan.yaml"), { store: join(folder, "store"), env: process.env }, quietJob);
}

describe.skipIf(!isPossible)("a Debian root file system", () => {
  test("is the same, byte for byte, whether root builds it or a normal user", async () => {
    const { output, stages } = await build(INSTALL);
    const program = await user!.bundle(join(import.meta.dirname, "../live/sandbox/build-program.ts"));
    const home = join(user!.folder, "builds");
    await mkdir(home);
    await chmod(home, 0o777);
    const answer = user!.run(program, join(folder, "plan.yaml"), join(home, "store"));
    expect(answer).toMatchObject({ status: 0, stderr: "" });
    expect((await readFile(answer.stdout)).equals(await readFile(output))).toBe(true);
    const listed = spawnSync("tar", ["--list", "--verbose", "--numeric-owner", "--file", output], {
      encoding: "utf8",
      maxBuffer: 2 ** 26,
    }).stdout;
    expect(listed).toMatch(/ 0\/0 .* usr\/bin\/less$/m);
    expect(listed).toMatch(/^drwx------ 1000\/1000 .* home\/ann\/$/m);
    expect(listed).toMatch(/^crw-rw-rw- 0\/0 +1,3 .* dev\/null$/m);
    expect(listed).not.toMatch(/ etc\/resolv\.conf$| usr\/sbin\/policy-rc\.d$|lib\/apt\/lists\/.*Packages/m);
    const packages = JSON.parse(await readFile(join(output, "../packages.json"), "utf8")) as { packages: { name: string }[] };
    expect(packages.packages.map(({ name }) => name)).toContain("less");
    expect(stages.every(({ reused }) => !reused)).toBe(true);
  });

  test("is not built again when nothing has changed", async () => {
    await build(INSTALL);
    const { stages } = await build(INSTALL);
    expect(stages.every(({ reused }) => reused)).toBe(true);
  });

  test("of packages that do not exist is refused by their names", async () => {
    await expect(build("packages: [less, no-such-package]")).rejects.toThrow(
      /install packages: less no-such-package: expected packages that the sources have, found E: Unable to locate package no-such-package/,
    );
  });

  test("without a network says so", async () => {
    // Sources of the spec stand in the tree before packages are installed; nobody answers under this name (RFC 6761, 6.4).
    await mkdir(join(folder, "files/etc/apt"), { recursive: true });
    await writeFile(join(folder, "files/etc/apt/apt.conf"), 'Acquire::http::Proxy "http://nowhere.invalid:1/";\nAcquire::Retries "0";\n');
    await expect(build("files: files\npackages: [cowsay]")).rejects.toThrow(/expected a network on which the package sources answer/);
  });

  test("whose seed has no network says so", async () => {
    const text = plan("{}")
      .replace("variant: apt", 'variant: apt, sources: ["deb http://nowhere.invalid/debian bookworm main"]')
      .replace(/\n +\{\}/, "");
    await writeFile(join(folder, "plan.yaml"), text);
    const built = buildPlan(join(folder, "plan.yaml"), { store: join(folder, "store"), env: process.env }, quietJob);
    await expect(built).rejects.toThrow(/make a root file system by mmdebstrap: .*expected a network/);
  });
});
