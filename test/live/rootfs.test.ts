import { spawnSync } from "node:child_process";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Job, quietJob, silentProgress } from "../../src/contract/job.ts";
import { lookForTool } from "../../src/host/tools.ts";
import { buildPlan } from "../../src/live/runner.ts";
import { readSandboxFacts } from "../../src/live/sandbox/facts.ts";
import { planSandbox } from "../../src/live/sandbox/plan.ts";
import { removeTree } from "../../src/live/sandbox/tree.ts";

const busybox = await lookForTool("busybox", process.env);
const hasSandbox = busybox !== undefined && planSandbox(await readSandboxFacts(process.env)).kind !== "refused";

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-rootfs-"));
  // A distribution in little: a shell, a merged /usr, accounts, what a new user gets.
  for (const path of ["usr/bin", "usr/lib", "etc/skel", "var/log", "usr/share/zoneinfo/Europe"])
    await mkdir(join(folder, "seed", path), { recursive: true });
  await symlink("usr/bin", join(folder, "seed/bin"));
  await symlink("usr/lib", join(folder, "seed/lib"));
  await symlink("busybox", join(folder, "seed/usr/bin/sh"));
  await writeFile(join(folder, "seed/usr/bin/busybox"), busybox === undefined ? "" : await readFile(busybox));
  await chmod(join(folder, "seed/usr/bin/busybox"), 0o755);
  await writeFile(join(folder, "seed/etc/passwd"), "root:x:0:0:root:/root:/bin/sh\n");
  await writeFile(join(folder, "seed/etc/group"), "root:x:0:\nshadow:x:42:\n");
  await writeFile(join(folder, "seed/etc/shadow"), "root:*:1:0:99999:7:::\n");
  await writeFile(join(folder, "seed/etc/skel/.profile"), "profile\n");
  await writeFile(join(folder, "seed/usr/share/zoneinfo/Europe/Berlin"), "TZif");
  await writeFile(join(folder, "seed/var/log/old.log"), "old");
  await mkdir(join(folder, "files/lib"), { recursive: true });
  await writeFile(join(folder, "files/lib/mine"), "mine");
});
afterEach(async () => {
  await removeTree(folder, { env: process.env, job: quietJob });
  await rm(folder, { recursive: true, force: true });
});

async function build(options: string, { job = quietJob, inputs = "base: base" }: { readonly job?: Job; readonly inputs?: string } = {}) {
  await writeFile(
    join(folder, "plan.yaml"),
    `name: p\nepoch: 1767225600\nresult: { stage: root, file: root.tar }\nstages:\n  base: { kind: seed, directory: { path: seed } }\n  root:\n    kind: rootfs\n    inputs: { ${inputs} }\n${options.replace(/^/gm, "    ")}\n`,
  );
  return await buildPlan(join(folder, "plan.yaml"), { store: join(folder, "store"), env: process.env }, job);
}
const tar = (output: string, ...words: readonly string[]): string =>
  spawnSync("tar", ["--file", output, ...words], { encoding: "utf8" }).stdout;
const listed = (output: string): string => tar(output, "--list", "--verbose", "--numeric-owner", "--utc");
const content = (output: string, path: string): string => tar(output, "--extract", "--to-stdout", path);
const bytesOf = async (built: Promise<{ readonly output: string }>): Promise<Buffer> => await readFile((await built).output);

const DESCRIBED = `files: files
folders: { root: "0700", opt/x: "2775" }
devices: { dev/console: { type: character, major: 5, minor: 1, mode: "0600" } }
hostname: live.example.org
locale: C.UTF-8
timezone: Europe/Berlin
users:
  root: { no_password: true }
  ann: { password_hash: "$6$a$b", groups: [video] }
remove: [usr/share/zoneinfo/Europe/Rome, etc/skel]`;

function expectDescribed(output: string): void {
  const lines = listed(output);
  expect(lines).toMatch(/^lrwxrwxrwx .* lib -> usr\/lib$/m);
  expect(lines).toMatch(/^-rw-r--r-- 0\/0 .* usr\/lib\/mine$/m);
  expect(lines).toMatch(/^drwx------ 0\/0 .* root\/$/m);
  expect(lines).toMatch(/^drwxrwsr-x 0\/0 .* opt\/x\/$/m);
  expect(lines).toMatch(/^crw------- 0\/0 +5,1 .* dev\/console$/m);
  expect(lines).toMatch(/^drwx------ 1000\/1000 .* home\/ann\/$/m);
  expect(lines).toMatch(/^-rw-r--r-- 1000\/1000 .* home\/ann\/\.profile$/m);
  expect(lines).toMatch(/^-rw-r----- 0\/42 .* etc\/shadow$/m);
  expect(lines).toMatch(/^lrwxrwxrwx .* etc\/localtime -> \/usr\/share\/zoneinfo\/Europe\/Berlin$/m);
  expect(lines).not.toMatch(/ etc\/skel/);
  expect(content(output, "etc/hostname")).toBe("live.example.org\n");
  expect(content(output, "etc/hosts")).toMatch(/^127\.0\.1\.1\tlive\.example\.org live$/m);
  expect(content(output, "etc/locale.conf")).toBe("LANG=C.UTF-8\n");
  expect(content(output, "etc/passwd")).toMatch(/^ann:x:1000:1000::\/home\/ann:\/bin\/sh$/m);
  expect(content(output, "etc/group")).toMatch(/^video:x:999:ann$/m);
  expect(content(output, "etc/shadow")).toMatch(/^root::20454:.*\nann:\$6\$a\$b:20454:/);
}

describe("a root file system in which nothing runs", () => {
  test("gets files, folders, devices, users, a name, a language and a time zone", async () => {
    expectDescribed((await build(DESCRIBED)).output);
  });

  test("needs no base", async () => {
    const { output } = await build("files: files", { inputs: "" });
    expect(listed(output)).toMatch(/ lib\/mine$/m);
  });

  test.each([
    ["timezone: Mars/Olympus", /set the time zone: Mars\/Olympus/],
    ["busybox: { bin: [sh] }", /expected the input "busybox"/],
    ["files: ../outside", /expected a path inside/],
    ["files: none", /read a source folder/],
    ["remove: [../etc]", /expected a plain path/],
    ['folders: { etc/passwd: "0755" }', /expected nothing or a folder, found a file/],
    ["users: { ann: { uid: 0 } }", /which is root's/],
    ["hostname: -x-", /expected a host name/],
    ["scripts: [{ run: x, file: y }]", /expected either file or run|Invalid input/],
    ["scripts: [none.sh]", /read a script of the spec/],
    ["licences: free", /no database of packages/],
    ["unknown: 1", /unknown key "unknown"/],
  ])("is refused with %s", async (options, message) => {
    await expect(build(options)).rejects.toThrow(message);
  });
});

describe.skipIf(!hasSandbox)("a root file system in which scripts run", () => {
  test("is the same as one in which nothing does, where these change nothing", async () => {
    const still = await bytesOf(build(`${DESCRIBED}, var/log/old.log]`.replace("etc/skel],", "etc/skel,")));
    const { output } = await build(`${DESCRIBED}\nscripts: [{ run: "busybox true" }]`);
    expectDescribed(output);
    // Running needs places for /proc, /run and /tmp; nothing else may differ.
    const withoutPlaces = listed(output).replace(/^.* (?:proc|run|tmp)\/\n/gm, "");
    await writeFile(join(folder, "still.tar"), still);
    expect(withoutPlaces).toBe(listed(join(folder, "still.tar")));
  });

  test("has what they did, and not what belongs to one computer or to the moment", async () => {
    await writeFile(
      join(folder, "second.sh"),
      '#!/bin/sh\nbusybox test -e /first\nbusybox test "$WORD" = word -a "$SOURCE_DATE_EPOCH" = 1767225600\nbusybox touch /second\n',
    );
    const { output } = await build(
      "scripts:\n  - run: |\n      busybox touch /first\n      busybox echo x >/var/log/x.log\n      busybox echo x >/tmp/x\n      busybox mkdir -p /etc/ssh\n      busybox touch /etc/ssh/ssh_host_x_key\n      busybox chown 5:6 /first\n  - file: second.sh\n    variables: { WORD: word }",
    );
    const lines = listed(output);
    expect(lines).toMatch(/^-rw-r--r-- 5\/6 .* 2026-01-01 00:00 first$/m);
    expect(lines).toMatch(/ second$/m);
    expect(lines).not.toMatch(/x\.log|old\.log|ssh_host|tmp\/x/);
  });

  test("comes out the same when it is built again", async () => {
    const options =
      'scripts: [{ run: "for i in 3 1 2; do busybox date >/x$i; busybox touch -d @1000 /x$i; busybox rm /x$i; busybox mkdir /d$i; done" }]';
    const first = await bytesOf(build(options));
    await removeTree(join(folder, "store"), { env: process.env, job: quietJob });
    expect((await bytesOf(build(options))).equals(first)).toBe(true);
  });

  test("is built again when a script changes, and not otherwise", async () => {
    await writeFile(join(folder, "s.sh"), "busybox true\n");
    const reused = async (): Promise<boolean> => (await build("scripts: [s.sh]")).stages.find(({ name }) => name === "root")!.reused;
    expect([await reused(), await reused()]).toEqual([false, true]);
    await writeFile(join(folder, "s.sh"), "busybox true # other\n");
    expect(await reused()).toBe(false);
  });

  test("whose script fails in its middle says which, in which line, and keeps its tree to be looked at", async () => {
    await writeFile(join(folder, "s.sh"), "#!/bin/sh\nbusybox echo begun\n\nbusybox touch /traces\nbusybox ls /none\nbusybox echo never\n");
    const error = await build("scripts: [s.sh]").catch((thrown: Error) => thrown);
    expect((error as Error).message).toMatch(
      /run a script of the spec: s\.sh:5: expected exit status 0, found 1: .*\/none: No such file or directory/s,
    );
    expect((error as Error).message).toMatch(/The command that failed ends in line 5: busybox ls \/none/);
    expect(await readdir(join(folder, "store/outputs"))).toHaveLength(1);
    const log = await readFile(join(folder, "store/failed/p.root/log.txt"), "utf8");
    expect(log).toMatch(/begun[\s\S]*\/none: No such file/);
    expect(log).not.toMatch(/^never$/m);
    const left = await readdir(join(folder, "store/failed/p.root"), { recursive: true });
    expect(left.some((path) => path.endsWith("tree.json"))).toBe(true);
    expect(left.some((path) => path.endsWith("tree/traces"))).toBe(true);
  });

  test("whose script asks for an interpreter that it has not is told", async () => {
    await expect(build('scripts: [{ run: "#!/usr/bin/python9\\nprint()" }]')).rejects.toThrow(
      /scripts\[0\]: expected \/usr\/bin\/python9 in the root file system/,
    );
  });

  test("whose script leaves processes behind is made all the same, and says so", async () => {
    const warnings: string[] = [];
    const job: Job = { ...quietJob, progress: { ...silentProgress, warn: (line) => warnings.push(line) } };
    await build('scripts: [{ run: "busybox sleep 1000000 & busybox true" }]', { job });
    expect(warnings.join("\n")).toMatch(/left processes behind, which were ended: \w+/);
  });

  test("has no network in its scripts unless they ask for it", async () => {
    const probe = "busybox ip -o link | busybox grep -vc ' lo:' || busybox true";
    await build(`scripts: [{ run: "${probe}" }]`);
    const root = (await build(`scripts: [{ run: "${probe}" }]`)).stages.find(({ name }) => name === "root")!;
    expect(await readFile(root.log!, "utf8")).toMatch(/^0$/m);
  });

  test.each([
    ["packages: [less]", /install packages: less: expected a package manager: apt, .*found none in the root file system/],
    [
      "packages: [=sys-apps/less-1.2, '>=sys-apps/less-1', '<sys-apps/less-9', ~sys-apps/less-1.2]",
      /install packages: =sys-apps\/less-1\.2 /,
    ],
    ["packages: [--force]", /expected the name of a package/],
    ["packages: [=-x/less]", /expected the name of a package/],
    ["packages: [=less]", /expected the name of a package/],
    ["services: { enable: [x] }", /enable a service: x: .*none of systemd, OpenRC, sysvinit/],
    ["locale: de_DE.UTF-8", /make a locale: de_DE\.UTF-8: expected locale-gen/],
  ])("is refused with %s", async (options, message) => {
    await expect(build(options)).rejects.toThrow(message);
  });
});
