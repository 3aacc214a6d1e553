/** A root file system unpacked where commands can run in it: with all its owners, without being root, kept apart from the computer. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import { type ByteText, byteText, readable, toBytes } from "../../formats/byte-text.ts";
import type { TreeEntry } from "../../formats/file-tree.ts";
import { writeTar } from "../../formats/tar.ts";
import { type TarEntry, type TarMember, wholeContent } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";
import { KeptApart } from "./apart.ts";
import { listed } from "./archive-files.ts";
import { readSandboxFacts } from "./facts.ts";
import {
  type AcceptedPlan,
  enterNamespace,
  type NamespaceAnswer,
  type NamespaceOptions,
  runInNamespace,
  type SandboxRun,
} from "./namespace.ts";
import { acceptedPlan, planSandbox } from "./plan.ts";
import type { TreeFiles, TreeOwner } from "./tree-files.ts";
import { followIn, type IndexedFile, membersOf, Placement, type TreeIndex } from "./tree-index.ts";

export interface TreeBind {
  /** Path of the computer. */
  readonly from: string;
  /** Where it appears in the tree; a mount point is made where there is none. */
  readonly to: string;
  /** Read only unless true. */
  readonly writable?: boolean;
}

export interface TreeCommand {
  /** The computer's network, its resolv.conf and its proxies. Without it there is the loopback device only. */
  readonly network?: boolean;
  /** Beside PATH, HOME, LC_ALL and TZ. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly binds?: readonly TreeBind[];
  /** What the command reads from its standard input; nothing unless given. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Seen by the command as a file at `SCRIPT_PATH`, which is outside of the tree. */
  readonly script?: string;
  /** Told of each piece of the error output as it comes. */
  readonly hearError?: (chunk: Uint8Array) => void;
  /** Any status is an answer. Otherwise all but 0 is thrown, with the last lines. */
  readonly anyStatus?: boolean;
}

export interface TreeAnswer {
  readonly status: number;
  readonly stdout: string;
  /** Its end, where it is long. */
  readonly stderr: string;
  /** Both outputs as they came; their end, where they are long. */
  readonly output: string;
  /** Of both outputs, as they came. */
  readonly lastLines: string;
  /** Names of processes that still ran when the command ended. They are gone now. */
  readonly leftBehind: readonly string[];
}

export const SCRIPT_PATH = "/run/hiperiso/script";

export interface Tree extends TreeFiles, AsyncDisposable {
  /** Where the tree stands on the computer. Its files may belong to ids that the caller has no rights over. */
  readonly root: string;
  /** Runs a program of the tree, with the tree as its root, in its own namespaces; /proc, /dev, /tmp and /run are fresh. */
  run(command: readonly string[], options?: TreeCommand): Promise<TreeAnswer>;
  /** As `readIfThere`; throws where there is no such file. */
  read(path: string): Promise<Uint8Array>;
  /**
   * A file or a folder with all that is in it, to `target` on the computer, which must not exist, where it belongs to the caller. Of a folder's
   * content files, folders and links are taken; the links may lead anywhere.
   */
  copyOut(path: string, target: string): Promise<void>;
  /** The tree as a sorted archive in `target`, synced, no time later than the epoch. `change` may leave out what it is shown, or replace it. */
  pack(target: string, options: PackOptions): Promise<void>;
}

export interface PackOptions {
  readonly epochS: number;
  readonly change?: (members: AsyncIterable<TarMember>) => AsyncIterable<TarMember>;
}

export interface OpenTreeOptions {
  /** The archive that is unpacked; an empty tree unless given. */
  readonly tar?: string;
  /** A folder for the tree; must exist. */
  readonly scratch: string;
  readonly run: SandboxRun;
}

/** Throws where this user can have no sandbox, with what to add to which file. */
export async function openTree({ tar, scratch, run }: OpenTreeOptions): Promise<Tree> {
  const plan = await readPlan(run);
  const root = join(scratch, "tree");
  await mkdir(root, { mode: 0o755 });
  await writeFile(join(scratch, "tree.json"), `${JSON.stringify({ tree: "tree" })}\n`);
  const tree = new SandboxedTree(plan, root, run);
  // What was unpacked until an error stays for `live shell`; whoever cleans up removes it with `removeTree`.
  if (tar !== undefined) await tree.unpack(readTar(createReadStream(tar), { where: tar }));
  return tree;
}

const readPlan = async ({ env }: SandboxRun): Promise<AcceptedPlan> => acceptedPlan(planSandbox(await readSandboxFacts(env)));

/** Removes a folder in which a tree may stand, also where other ids own its files. Does nothing where there is none. */
export async function removeTree(path: string, run: SandboxRun): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    const { status, tail } = await runInNamespace(await readPlan(run), ["rm", "-rf", "--one-file-system", "--", path], run);
    if (status !== 0) throw new HiperisoError({ what: "remove a tree", where: path, found: tail });
  }
}

/**
 * Runs a program, a shell unless given, in the tree that a stage left in `folder`, with the caller's terminal. Its status.
 * Throws where no stage left one there.
 */
export async function enterTree(folder: string, run: SandboxRun, { command, network = false }: EnterOptions = {}): Promise<number> {
  const root = join(folder, await treeNameIn(folder));
  const plan = await readPlan(run);
  const tree = new SandboxedTree(plan, root, run);
  const variables = run.env["TERM"] === undefined ? {} : { TERM: run.env["TERM"] };
  const shell = (await tree.exists("bin/bash")) ? ["/bin/bash", "-l"] : ["/bin/sh", "-l"];
  const bubble = await tree.bubbleArguments({ network, variables });
  return await enterNamespace(plan, [...bubble, "--", ...(command ?? shell)], run);
}

export interface EnterOptions {
  readonly command?: readonly string[];
  readonly network?: boolean;
}

async function treeNameIn(folder: string): Promise<string> {
  try {
    const { tree } = JSON.parse(await readFile(join(folder, "tree.json"), "utf8")) as { tree?: unknown };
    if (tree === "tree") return tree;
    throw new Error(`no tree named in it`);
  } catch (error) {
    throw new HiperisoError({
      what: "enter a tree",
      where: folder,
      expected: "tree.json of a stage",
      found: reasonOf(error),
      kind: "usage",
    });
  }
}

const RESOLV_CONF = "etc/resolv.conf";
const SEARCHED = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
const PROXIES = ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"];
const XATTRS = ["--xattrs", "--xattrs-include=*"];
const LINES_SHOWN = 12;

class SandboxedTree implements Tree {
  readonly root: string;
  readonly #plan: AcceptedPlan;
  readonly #run: SandboxRun;
  readonly #apart = new KeptApart();
  #index: TreeIndex | undefined;

  constructor(plan: AcceptedPlan, root: string, run: SandboxRun) {
    this.#plan = plan;
    this.root = root;
    this.#run = run;
  }

  /** Links on the way are followed by tar wherever they lead, so names of members must not pass any that stands in the tree already. */
  async unpack(members: AsyncIterable<TarMember> | Iterable<TarMember>): Promise<void> {
    this.#index = undefined;
    const owners = ["--numeric-owner", "--same-owner", "--preserve-permissions"];
    const words = ["--extract", "--file=-", "--directory", this.root, ...owners, ...XATTRS, "--warning=no-timestamp"];
    const input = writeTar(this.#apart.takeFrom(this.#withOwnersThatExist(members)));
    const { stderr } = await this.#tool(["tar", ...words], { input });
    // GNU tar takes it for a warning that an attribute was lost.
    const lost = stderr.split("\n").find((line) => /\b(?:setxattrat|setxattr|acl_set_\w+|xattr|ACL)/i.test(line));
    if (lost === undefined) return;
    const hint = "Put the store (--store) on a file system that has extended attributes and access lists: ext4, xfs or btrfs.";
    throw new HiperisoError({ what: "unpack a tree with its attributes", where: this.root, found: lost, hint });
  }

  async *#withOwnersThatExist(members: AsyncIterable<TarMember> | Iterable<TarMember>): AsyncGenerator<TarMember> {
    const plan = this.#plan;
    for await (const member of members) {
      const { uid, gid, path } = member.entry;
      if (plan.kind === "user-namespace" && (uid > plan.uids.count || gid > plan.gids.count)) {
        throw new HiperisoError({
          what: "unpack a tree",
          where: readable(path),
          expected: `owners up to ${plan.uids.count}:${plan.gids.count}, as /etc/subuid and /etc/subgid allow`,
          found: `${uid}:${gid}`,
          hint: "Give the user longer ranges in /etc/subuid and /etc/subgid, or run as root.",
        });
      }
      yield member;
    }
  }

  async run(command: readonly string[], options: TreeCommand = {}): Promise<TreeAnswer> {
    const { input, script, hearError, anyStatus = false } = options;
    const bubble = await this.bubbleArguments(options);
    const hasResolvConf = await this.exists(RESOLV_CONF);
    this.#run.log?.append(`# ${command.join(" ")}\n`);
    const answer = await runInNamespace(this.#plan, [...bubble, "--", ...command], this.#run, {
      kind: "command",
      ...(input === undefined ? {} : { input }),
      ...(hearError === undefined ? {} : { hearError }),
      ...(script === undefined ? {} : { data: new TextEncoder().encode(script) }),
    }).finally(() => {
      this.#index = undefined;
    });
    const { status, stdout, stderr, tail, leftBehind } = answer;
    // bubblewrap has made an empty file for the computer's to be seen at.
    if (options.network === true && !hasResolvConf && (await this.readIfThere(RESOLV_CONF))?.length === 0)
      await this.remove(await this.#resolvConf());
    if (leftBehind.length > 0) {
      const says = `${command.join(" ")} left processes behind, which were ended: ${leftBehind.join(", ")}`;
      this.#run.job.progress.warn(says);
      this.#run.log?.append(`${says}\n`);
    }
    const lastLines = tail.split("\n").slice(-LINES_SHOWN).join("\n");
    if (status !== 0 && !anyStatus) {
      const where = command.join(" ");
      throw new HiperisoError({ what: "run a command in a tree", where, expected: "exit status 0", found: `${status}: ${lastLines}` });
    }
    return { status, stdout: new TextDecoder().decode(stdout), stderr, output: tail, lastLines, leftBehind };
  }

  /** bubblewrap, with the tree as the root and everything of the computer left out. */
  async bubbleArguments({ network = false, variables = {}, binds = [], script }: TreeCommand): Promise<readonly string[]> {
    await this.#makeMountPoints();
    const bind = binds.flatMap(({ from, to, writable }) => [writable ? "--bind" : "--ro-bind", from, to]);
    const { env } = this.#run;
    const proxies = network ? Object.fromEntries(PROXIES.flatMap((name) => (env[name] === undefined ? [] : [[name, env[name]]]))) : {};
    const set = { PATH: SEARCHED, HOME: "/root", LC_ALL: "C.UTF-8", TZ: "UTC", ...proxies, ...variables };
    return [
      ...["bwrap", "--bind", this.root, "/", "--dev", "/dev", "--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run"],
      ...(network ? ["--ro-bind-try", `/${RESOLV_CONF}`, await this.#resolvConf()] : ["--unshare-net"]),
      ...["--unshare-ipc", "--unshare-uts", "--hostname", "localhost", "--cap-add", "ALL", "--chdir", "/", "--clearenv"],
      ...Object.entries(set).flatMap(([name, value]) => ["--setenv", name, value]),
      ...bind,
      ...(script === undefined ? [] : ["--perms", "0755", "--ro-bind-data", "4", SCRIPT_PATH]),
    ];
  }

  async put(entries: Iterable<TreeEntry>): Promise<void> {
    const placement = new Placement(await this.#files());
    const members = [...membersOf(entries, { mtimeS: this.#run.epochS ?? 0 })].flatMap((member) => [...placement.place(member)]);
    if (members.length > 0) await this.unpack(members);
  }

  async putArchive(path: string): Promise<void> {
    const placement = new Placement(await this.#files());
    async function* members() {
      for await (const member of readTar(createReadStream(path), { where: path })) yield* placement.place(member);
    }
    await this.unpack(members());
  }

  async read(path: string): Promise<Uint8Array> {
    const content = await this.readIfThere(path);
    if (content !== undefined) return content;
    throw new HiperisoError({ what: "read a file of a tree", where: path, expected: "a file", found: "none" });
  }

  async readIfThere(path: string): Promise<Uint8Array | undefined> {
    const { place, kind } = await this.#find(path);
    if (kind !== "file") return undefined;
    return (await this.#tool(["cat", "--", this.#outside(place)])).stdout;
  }

  async exists(path: string): Promise<boolean> {
    return (await this.#find(path)).kind !== undefined;
  }

  async list(path: string): ReturnType<TreeFiles["list"]> {
    return listed(await this.#files(), (await this.#find(path)).place);
  }

  async remove(path: string): Promise<void> {
    const { place, kind } = await this.#find(path, "keep");
    if (place === "") throw new HiperisoError({ what: "remove a file of a tree", where: path, expected: "a path below the root" });
    this.#apart.forget(place);
    if (kind === undefined) return;
    this.#index = undefined;
    await this.#tool(["rm", "-rf", "--one-file-system", "--", this.#outside(place)]);
  }

  async changeOwner(path: string, { uid, gid, below = false }: TreeOwner): Promise<void> {
    const { place, kind } = await this.#find(path, "keep");
    if (kind === undefined) throw new HiperisoError({ what: "change the owner of a file of a tree", where: path, found: "nothing there" });
    await this.#tool(["chown", "-h", ...(below ? ["-R", "-P"] : []), `${uid}:${gid}`, "--", this.#outside(place)]);
  }

  async copyOut(path: string, target: string): Promise<void> {
    const { place, kind } = await this.#find(path);
    if (kind !== "file" && kind !== "directory") {
      throw new HiperisoError({ what: "copy out of a tree", where: path, expected: "a file or a folder", found: kind ?? "nothing" });
    }
    // Two names of one file may not both be in what is copied.
    const words = ["--create", "--file=-", "--format=posix", "--hard-dereference", "--numeric-owner"];
    const from = kind === "file" ? [dirname(this.#outside(place)), basename(place)] : [this.#outside(place), "."];
    await this.#tool(["tar", ...words, "--directory", from[0]!, "--", from[1]!], {
      take: async (stdout) => {
        for await (const member of readTar(stdout, { where: path })) {
          await writeMember(member, kind === "file" ? target : join(target, readable(member.entry.path)));
        }
      },
    });
  }

  async pack(target: string, { epochS, change = (members) => members }: PackOptions): Promise<void> {
    const form = ["--format=posix", "--sort=name", "--numeric-owner", ...XATTRS];
    // Looking for zeros instead would read through terabytes of holes.
    const holes = ["--sparse", "--sparse-version=1.0", "--hole-detection=seek"];
    const words = ["--create", "--file=-", "--directory", this.root, ...form, ...holes, "."];
    await this.#tool(["tar", ...words], {
      take: async (stdout) => {
        const members = change(this.#apart.giveBack(readTar(stdout, { where: this.root })));
        await pipeline(writeTar(normalised(members, epochS)), createWriteStream(target, { flags: "wx" }));
      },
    });
    await syncFile(target);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    // An abort must not keep what it leaves from being removed.
    await removeTree(this.root, { ...this.#run, job: { ...this.#run.job, signal: new AbortController().signal } });
  }

  /** A program of the computer, in the namespace where the tree's owners exist. */
  async #tool(command: readonly string[], options: NamespaceOptions = {}): Promise<NamespaceAnswer> {
    const answer = await runInNamespace(this.#plan, command, this.#run, options);
    if (answer.status === 0) return answer;
    const found = `${answer.status}: ${answer.tail.split("\n").slice(-LINES_SHOWN).join("\n")}`;
    throw new HiperisoError({ what: `run ${command[0]} on a tree`, where: this.root, expected: "exit status 0", found });
  }

  async #find(path: string, last?: "follow" | "keep"): Promise<{ readonly place: ByteText; readonly kind: string | undefined }> {
    const index = await this.#files();
    const place = followIn(index, byteText(path), last);
    return { place, kind: place === "" ? "directory" : index.get(place)?.kind };
  }

  /** Path on the computer. Arguments of programs are UTF-8 here. */
  #outside(place: ByteText): string {
    const name = readable(place);
    if (byteText(name) === place) return join(this.root, name);
    throw new HiperisoError({ what: "find a file in a tree", where: name, expected: "a name in UTF-8" });
  }

  async #files(): Promise<TreeIndex> {
    if (this.#index !== undefined) return this.#index;
    const { stdout } = await this.#tool(["find", this.root, "-mindepth", "1", "-printf", "%y%P\\0%l\\0"]);
    const words = Buffer.from(stdout).toString("latin1").split("\0");
    const index = new Map<ByteText, IndexedFile>();
    for (let at = 0; at + 1 < words.length; at += 2) {
      const kind = FIND_KINDS[words[at]![0]!];
      const target = words[at + 1] as ByteText;
      if (kind !== undefined) index.set(words[at]!.slice(1) as ByteText, kind === "symlink" ? { kind, target } : { kind });
    }
    this.#index = index;
    return index;
  }

  /** bubblewrap makes those that are missing, but with modes of its own. */
  async #makeMountPoints(): Promise<void> {
    const index = await this.#files();
    const folders: TreeEntry[] = [];
    for (const path of ["dev", "proc", "run", "tmp"]) {
      const there = index.get(byteText(path));
      if (there === undefined) folders.push({ kind: "directory", path, mode: path === "tmp" ? 0o1777 : 0o755 });
      else if (there.kind !== "directory") {
        throw new HiperisoError({ what: "run a command in a tree", where: `/${path}`, expected: "a folder", found: `a ${there.kind}` });
      }
    }
    await this.put(folders);
  }

  async #resolvConf(): Promise<string> {
    return `/${readable(followIn(await this.#files(), byteText(RESOLV_CONF)))}`;
  }
}

/** As `find -printf %y` says it. */
const FIND_KINDS: Readonly<Record<string, IndexedFile["kind"]>> = {
  f: "file",
  d: "directory",
  l: "symlink",
  p: "fifo",
  s: "socket",
  b: "block-device",
  c: "character-device",
};

/** Names of owners are this computer's, and mean nothing elsewhere. */
async function* normalised(members: AsyncIterable<TarMember>, epochS: number): AsyncGenerator<TarMember> {
  for await (const { entry, content } of members) {
    const { userName: _user, groupName: _group, ...rest } = entry;
    yield { entry: { ...rest, mtimeS: Math.min(entry.mtimeS, epochS) } as TarEntry, content };
  }
}

async function writeMember(member: TarMember, target: string): Promise<void> {
  const { entry } = member;
  switch (entry.kind) {
    case "directory":
      await mkdir(target, { recursive: true, mode: (entry.mode & 0o777) | 0o700 });
      break;
    case "symlink":
      await symlink(toBytes(entry.target) as Buffer, target);
      break;
    case "file":
      await pipeline(wholeContent(member), createWriteStream(target, { flags: "wx", mode: (entry.mode & 0o777) | 0o600 }));
      break;
    default:
      break;
  }
}

async function syncFile(path: string): Promise<void> {
  const file = await open(path, "r+");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
