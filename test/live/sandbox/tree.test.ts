/** Trees in which commands run: as whoever runs the tests, and as a normal user that they make. */
import { createWriteStream } from "node:fs";
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { type Job, quietJob, silentProgress } from "../../../src/contract/job.ts";
import { byteText } from "../../../src/formats/byte-text.ts";
import { lookForTool } from "../../../src/host/tools.ts";
import { readSandboxFacts } from "../../../src/live/sandbox/facts.ts";
import { planSandbox } from "../../../src/live/sandbox/plan.ts";
import { enterTree, openTree, removeTree, type Tree } from "../../../src/live/sandbox/tree.ts";
import { makeUser } from "./bundled.ts";
import { archiveOf, EPOCH_S, unusualFiles } from "./unusual-files.ts";

const busyboxPath = await lookForTool("busybox", process.env);
const hasSandbox = planSandbox(await readSandboxFacts(process.env)).kind !== "refused";
const isPossible = busyboxPath !== undefined && hasSandbox;
const isRoot = process.getuid?.() === 0;
const busybox = busyboxPath === undefined ? new Uint8Array() : await readFile(busyboxPath);
const run = { env: process.env, job: quietJob, epochS: EPOCH_S };

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "hiperiso-tree-"));
  await chmod(folder, 0o755);
});
afterEach(async () => {
  await removeTree(folder, run);
});

/** A tree of busybox in which lib is a link, as in a distribution with a merged /usr. */
async function smallTree(job: Job = quietJob): Promise<Tree> {
  const tree = await openTree({ scratch: folder, run: { ...run, job } });
  await tree.put([
    { kind: "file", path: "bin/busybox", mode: 0o755, content: busybox },
    { kind: "symlink", path: "bin/sh", target: "busybox" },
    { kind: "symlink", path: "lib", target: "usr/lib" },
    { kind: "directory", path: "usr/lib", mode: 0o755 },
  ]);
  return tree;
}

const shell = (tree: Tree, script: string, more = {}) => tree.run(["/bin/sh", "-c", script], more);
const text = (bytes: Uint8Array | undefined) => (bytes === undefined ? undefined : new TextDecoder().decode(bytes));
const file = (path: string, content: string, mode = 0o644) => ({
  kind: "file" as const,
  path,
  mode,
  content: new TextEncoder().encode(content),
});

describe.skipIf(!isPossible)("a command in a tree", () => {
  test("has the tree as its root, a script outside of it, and outputs that can be opened by name", async () => {
    await using tree = await smallTree();
    const script = "busybox ls /; busybox echo done >/dev/stdout; busybox echo wrong >/dev/stderr\n";
    const answer = await tree.run(["/bin/sh", "/run/hiperiso/script"], { script });
    expect(answer.stdout).toBe("bin\ndev\nlib\nproc\nrun\ntmp\nusr\ndone\n");
    expect(answer.stderr).toBe("wrong");
    expect(await tree.list("run")).toEqual([]);
  });

  test("is alone: no other processes, no network but the loopback device, no devices but harmless ones, its own host name", async () => {
    await using tree = await smallTree();
    const answer = await shell(
      tree,
      "busybox ls /sys/class/net /proc/sys/net/ipv4/conf; busybox hostname; busybox ps | busybox grep -c -E '[n]ode|[v]itest'; busybox ls /dev",
      { anyStatus: true },
    );
    expect(answer.stdout).toContain("all\ndefault\nlo\n");
    expect(answer.stdout).not.toMatch(/eth|en[ops]\d/);
    expect(answer.stdout).toContain("localhost\n0\n");
    expect(answer.stdout).not.toMatch(/^(?:sd|vd|nvme|kvm|mem|loop)/m);
  });

  test("may become anybody, and give files to anybody", async () => {
    await using tree = await smallTree();
    await shell(tree, "busybox touch /x; busybox chown 1000:33 /x; busybox chmod 4755 /x");
    expect((await shell(tree, "busybox stat -c %u:%g:%a /x")).stdout).toBe("1000:33:4755\n");
  });

  test("makes no device node where it has no rights over the kernel", async () => {
    await using tree = await smallTree();
    const answer = await shell(tree, "busybox mknod /disk b 8 0; busybox mount -t tmpfs x /usr && busybox touch /usr/hidden", {
      anyStatus: true,
    });
    expect(answer.stderr).toMatch(/mknod: \/disk: Operation not permitted/);
    expect(await tree.list("usr")).toEqual([{ path: "lib", kind: "directory" }]);
  });

  test("that leaves processes behind has them named, and ended, daemons too", async () => {
    const warnings: string[] = [];
    await using tree = await smallTree({ ...quietJob, progress: { ...silentProgress, warn: (line) => warnings.push(line) } });
    const answer = await shell(tree, "busybox setsid busybox sleep 1000000 & (busybox sleep 1000000 >/dev/null 2>&1 &); busybox echo done");
    expect(answer.stdout).toBe("done\n");
    // What busybox starts of itself goes by the name "exe".
    expect(answer.leftBehind.length).toBe(2);
    expect(warnings.join("\n")).toMatch(/left processes behind, which were ended: \w+, \w+/);
  });

  test("that fails is told with its status and its last lines", async () => {
    await using tree = await smallTree();
    await expect(shell(tree, "busybox echo one; busybox echo two >&2; exit 7")).rejects.toThrow(
      /run a command in a tree: \/bin\/sh .*found 7: (?:one\ntwo|two\none)/s,
    );
    await expect(tree.run(["/bin/none"])).rejects.toThrow(/No such file or directory/);
    await expect(shell(tree, "busybox kill -9 $$")).rejects.toThrow(/found 137/);
  });

  test("reads what it is given", async () => {
    await using tree = await smallTree();
    const input = (async function* () {
      yield new TextEncoder().encode("given");
    })();
    expect((await shell(tree, "busybox cat", { input })).stdout).toBe("given");
    expect((await shell(tree, "busybox cat")).stdout).toBe("");
  });

  test("sees what is bound into it, and writes there only where it may", async () => {
    await using tree = await smallTree();
    await mkdir(join(folder, "shared"));
    await writeFile(join(folder, "shared/x"), "x");
    const from = join(folder, "shared");
    const answer = await shell(tree, "busybox cat /run/a/x; busybox touch /run/a/y; busybox touch /run/b/z", {
      anyStatus: true,
      binds: [
        { from, to: "/run/a" },
        { from, to: "/run/b", writable: true },
      ],
    });
    expect(answer.stdout).toBe("x");
    expect(answer.stderr).toMatch(/\/run\/a\/y: Read-only file system/);
    expect((await readdir(from)).sort()).toEqual(["x", "z"]);
    expect((await stat(join(from, "z"))).uid).toBe(process.getuid?.());
  });

  test("ends with the job", async () => {
    const abort = new AbortController();
    await using tree = await smallTree({ ...quietJob, signal: abort.signal });
    const started = shell(tree, "busybox echo begun >&2; busybox sleep 1000000", { hearError: () => abort.abort(new Error("Ctrl-C")) });
    await expect(started).rejects.toThrow("Ctrl-C");
  });

  test.each(["dev", "proc", "run", "tmp"])("is refused where /%s is a link out of the tree", async (name) => {
    await using tree = await smallTree();
    await tree.put([{ kind: "symlink", path: name, target: "/etc" }]);
    await expect(shell(tree, "true")).rejects.toThrow(new RegExp(`run a command in a tree: /${name}: expected a folder, found a symlink`));
  });
});

describe.skipIf(!isPossible)("files of a tree", () => {
  test("are put where links lead inside it, and given out", async () => {
    await using tree = await smallTree();
    await tree.put([file("lib/x/y", "content")]);
    expect(text(await tree.read("usr/lib/x/y"))).toBe("content");
    await mkdir(join(folder, "out"));
    await tree.copyOut("lib/x", join(folder, "out/x"));
    expect(await readFile(join(folder, "out/x/y"), "utf8")).toBe("content");
    await tree.copyOut("lib/x/y", join(folder, "out/y"));
    expect(await readFile(join(folder, "out/y"), "utf8")).toBe("content");
    expect([await tree.exists("lib/x/y"), await tree.exists("lib/x/z")]).toEqual([true, false]);
  });

  test("never leave it through a link", async () => {
    await using tree = await smallTree();
    await mkdir(join(folder, "outside"));
    await writeFile(join(folder, "outside/secret"), "secret");
    await tree.put([
      { kind: "symlink", path: "out", target: join(folder, "outside") },
      { kind: "symlink", path: "up", target: "../../../../../../../etc" },
    ]);
    expect(await tree.readIfThere("out/secret")).toBeUndefined();
    expect(await tree.readIfThere("up/passwd")).toBeUndefined();
    await tree.put([file("out/new", "x"), file("up/new", "x")]);
    expect(await readdir(join(folder, "outside"))).toEqual(["secret"]);
    expect(text(await tree.readIfThere("etc/new"))).toBe("x");
    await expect(tree.copyOut("out/secret", join(folder, "copy"))).rejects.toThrow(/found nothing/);
    await tree.remove("out/new");
    await tree.remove("out");
    expect(await readdir(join(folder, "outside"))).toEqual(["secret"]);
  });

  test("keep modes of folders on the way, and take the modes that are said", async () => {
    await using tree = await smallTree();
    await tree.put([{ kind: "directory", path: "root", mode: 0o700 }]);
    await tree.put([file("root/x", "x", 0o600), { kind: "directory", path: "tmp", mode: 0o1777 }]);
    expect((await shell(tree, "busybox stat -c %a /root /root/x")).stdout).toBe("700\n600\n");
  });

  test("that are no plain paths, or stand in each other's way, are refused", async () => {
    await using tree = await smallTree();
    await expect(tree.put([file("../x", "")])).rejects.toThrow(/expected a relative path/);
    await expect(tree.put([file("bin/busybox/x", "")])).rejects.toThrow(/expected a folder at bin\/busybox, found a file/);
    await expect(tree.put([file("usr", "")])).rejects.toThrow(/expected nothing or a file to replace, found a directory/);
    await expect(tree.remove("/")).rejects.toThrow(/expected a path below the root/);
  });

  test("that are links to themselves are told", async () => {
    await using tree = await smallTree();
    await tree.put([{ kind: "symlink", path: "loop", target: "loop" }]);
    await expect(tree.read("loop")).rejects.toThrow(/found a loop/);
  });

  test("go when the tree goes, and with a folder that holds it", async () => {
    const tree = await smallTree();
    await shell(tree, "busybox mkdir -m 0 /closed; busybox chown 5:5 /closed /usr; busybox chmod 0 /usr");
    await tree[Symbol.asyncDispose]();
    expect(await readdir(folder)).toEqual(["tree.json"]);
  });
});

describe.skipIf(!isPossible)("an archive of all that is hard to carry", () => {
  const script = [
    "/bin/sh",
    "-c",
    "busybox stat -c '%u %g %a %h' /a/first; busybox stat -c %s,%b /a/sparse; busybox ls -ln /a/fifo | busybox cut -c1",
  ];
  const expected = /^33 44 6755 2\n3221225472,(\d{1,2})\np\n$/;

  test("comes back byte for byte: devices, hard links, attributes, capabilities, access lists, holes, any name", async () => {
    const archive = join(folder, "in.tar");
    await pipeline(Readable.from(archiveOf(unusualFiles(busybox))), createWriteStream(archive));
    const tree = await openTree({ tar: archive, scratch: folder, run });
    expect((await tree.run(script)).stdout).toMatch(expected);
    expect((await tree.run(["/bin/sh", "-c", "[ ! -e /disk ] && [ ! -b /dev/console ]"], { anyStatus: true })).status).toBe(0);
    await tree.pack(join(folder, "out.tar"), { epochS: EPOCH_S });
    await tree[Symbol.asyncDispose]();
    expect((await readFile(join(folder, "out.tar"))).equals(await readFile(archive))).toBe(true);
  });

  test.skipIf(!isRoot)("comes back the same to a normal user with a range of ids, who is left with nothing to clean up", async () => {
    await using user = await makeUser();
    if (user === undefined) throw new Error("useradd failed");
    const program = await user.bundle(join(import.meta.dirname, "repack-program.ts"));
    const archive = join(user.folder, "in.tar");
    await pipeline(Readable.from(archiveOf(unusualFiles(busybox))), createWriteStream(archive));
    await mkdir(join(user.folder, "scratch"));
    await chmod(join(user.folder, "scratch"), 0o777);
    const scratch = join(user.folder, "scratch");
    const answer = user.run(program, archive, join(scratch, "out.tar"), scratch, ...script);
    expect(answer.stderr).toBe("");
    expect(answer.stdout).toMatch(expected);
    expect((await readFile(join(scratch, "out.tar"))).equals(await readFile(archive))).toBe(true);
    expect((await readdir(scratch)).sort()).toEqual(["out.tar", "tree.json"]);
  });

  test("loses devices with their folder, and to files that took their place", async () => {
    const archive = join(folder, "in.tar");
    await pipeline(Readable.from(archiveOf(unusualFiles(busybox))), createWriteStream(archive));
    await using tree = await openTree({ tar: archive, scratch: folder, run });
    await tree.put([file("disk", "no disk")]);
    await tree.remove("dev");
    await tree.pack(join(folder, "out.tar"), { epochS: EPOCH_S });
    await using again = await openTree({ tar: join(folder, "out.tar"), scratch: await mkdtemp(join(folder, "second-")), run });
    expect(text(await again.read("disk"))).toBe("no disk");
    expect(await again.exists("dev")).toBe(false);
  });

  test("keeps the root's attributes of a file only as long as it is that file", async () => {
    const archive = join(folder, "in.tar");
    await pipeline(Readable.from(archiveOf(unusualFiles(busybox))), createWriteStream(archive));
    await using tree = await openTree({ tar: archive, scratch: folder, run });
    await tree.run(["/bin/sh", "-c", "busybox echo new >/a/new; busybox mv /a/new /a/attributes"]);
    await tree.pack(join(folder, "out.tar"), { epochS: EPOCH_S });
    expect((await readFile(join(folder, "out.tar"))).includes("trusted.x")).toBe(false);
  });

  test("with a name that leads out of it is refused", async () => {
    const members = unusualFiles(busybox);
    const [first] = members;
    for (const path of ["../x", "a/../../x"]) {
      const archive = join(folder, "bad.tar");
      const bad = { ...first!, entry: { ...first!.entry, kind: "file" as const, sizeBytes: 0, path: byteText(path) } };
      await pipeline(Readable.from(archiveOf([bad])), createWriteStream(archive));
      const scratch = await mkdtemp(join(folder, "s-"));
      await expect(openTree({ tar: archive, scratch, run })).rejects.toThrow(/a name inside the archive/);
    }
  });

  test("whose links lead out of it writes nothing there", async () => {
    const [root] = unusualFiles(busybox);
    await mkdir(join(folder, "outside"));
    const link = {
      ...root!,
      entry: { ...root!.entry, kind: "symlink" as const, path: byteText("l"), target: byteText(join(folder, "outside")) },
    };
    const through = { ...root!, entry: { ...root!.entry, kind: "file" as const, sizeBytes: 0, path: byteText("l/x") } };
    const archive = join(folder, "bad.tar");
    await pipeline(Readable.from(archiveOf([link, through])), createWriteStream(archive));
    await expect(openTree({ tar: archive, scratch: folder, run })).rejects.toThrow(/run tar on a tree/);
    expect(await readdir(join(folder, "outside"))).toEqual([]);
  });
});

test.skipIf(!isPossible)("a tree that a stage left can be entered", async () => {
  await smallTree();
  expect(await enterTree(folder, run, { command: ["/bin/sh", "-c", "busybox test -d /usr/lib -a ! -d /home && exit 7"] })).toBe(7);
});

test("a folder without a tree cannot be entered, and one that is not there can be removed", async () => {
  await expect(enterTree(folder, run)).rejects.toThrow(/enter a tree: .*expected tree\.json of a stage/);
  await symlink("/etc", join(folder, "link"));
  await removeTree(join(folder, "link"), run);
  await removeTree(join(folder, "none"), run);
  expect((await stat("/etc")).isDirectory()).toBe(true);
  await rm(join(folder, "link"), { force: true });
});
