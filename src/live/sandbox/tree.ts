/** A root file system unpacked where commands can run in it: with all its owners, without being root, kept apart from the computer. */
import { createReadStream, createWriteStream } from "node:fs";
import { mkdir, open, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { HiperisoError } from "../../contract/error.ts";
import { completeTree, type TreeEntry } from "../../formats/file-tree.ts";
import { encodeTar } from "../../formats/tar.ts";
import { readSandboxFacts } from "./facts.ts";
import { type AcceptedPlan, type NamespaceAnswer, type NamespaceOptions, runInNamespace, type SandboxRun } from "./namespace.ts";
import { acceptedPlan, planSandbox } from "./plan.ts";
import { resolveInTree, type TreeLinks } from "./resolve.ts";

export interface TreeBind {
  /** Path of the computer. */
  readonly from: string;
  /** Where it appears in the tree; a mount point is made where there is none. */
  readonly to: string;
  /** Read only unless true. */
  readonly writable?: boolean;
}

export interface TreeCommand {
  /** The computer's network, and its resolv.conf. Without it there is the loopback device only. */
  readonly network?: boolean;
  /** Beside PATH, HOME, LC_ALL and TZ. */
  readonly variables?: Readonly<Record<string, string>>;
  readonly binds?: readonly TreeBind[];
  /** What the command reads from its standard input; nothing unless given. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** Seen by the command as a file at `SCRIPT_PATH`, which is outside of the tree. */
  readonly script?: string;
  /** Any status is an answer. Otherwise all but 0 is thrown, with the last lines. */
  readonly anyStatus?: boolean;
}

export interface TreeAnswer {
  readonly status: number;
  readonly stdout: string;
  /** Of both outputs, as they came. */
  readonly lastLines: string;
  /** Names of processes that still ran when the command ended. They are gone now. */
  readonly leftBehind: readonly string[];
}

export const SCRIPT_PATH = "/run/hiperiso/script";

export interface Tree extends AsyncDisposable {
  /** Where the tree stands on the computer. Its files may belong to ids that the caller has no rights over. */
  readonly root: string;
  /** Runs a program of the tree, with the tree as its root, in its own namespaces; /proc, /dev, /tmp and /run are fresh. */
  run(command: readonly string[], options?: TreeCommand): Promise<TreeAnswer>;
  /** Adds or replaces files, owned by root, times of now. Links on the way are followed inside the tree, so that `lib/x` is put where lib leads. */
  put(entries: Iterable<TreeEntry>): Promise<void>;
  /** A file's content. Links are followed inside the tree. Throws where there is no such file. */
  read(path: string): Promise<Uint8Array>;
  exists(path: string): Promise<boolean>;
  /** A file or a folder with all that is in it, to `target` on the computer, where it belongs to the caller. */
  copyOut(path: string, target: string): Promise<void>;
  /** The tree as a sorted archive in `target`, no time later than the epoch. */
  pack(target: string, options: { readonly epochS: number }): Promise<void>;
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
  const plan = acceptedPlan(planSandbox(await readSandboxFacts(run.env)));
  const root = join(scratch, "tree");
  await mkdir(root, { mode: 0o755 });
  await writeFile(join(scratch, "tree.json"), `${JSON.stringify({ root: "tree", plan: plan.kind })}\n`);
  const tree = new SandboxedTree(plan, root, run);
  if (tar !== undefined) await tree.unpack(createReadStream(tar));
  return tree;
}

/** Removes a folder in which a tree may stand, also where other ids own its files. Does nothing where there is none. */
export async function removeTree(path: string, run: SandboxRun): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch {
    const plan = acceptedPlan(planSandbox(await readSandboxFacts(run.env)));
    const { status, tail } = await runInNamespace(plan, ["rm", "-rf", "--one-file-system", "--", path], run);
    if (status !== 0) throw new HiperisoError({ what: "remove a tree", where: path, found: tail });
  }
}

const XATTRS = ["--xattrs", "--xattrs-include=*"];

class SandboxedTree implements Tree {
  readonly root: string;
  readonly #plan: AcceptedPlan;
  readonly #run: SandboxRun;
  #links: TreeLinks | undefined;

  constructor(plan: AcceptedPlan, root: string, run: SandboxRun) {
    this.#plan = plan;
    this.root = root;
    this.#run = run;
  }

  async unpack(archive: AsyncIterable<Uint8Array>, ...flags: readonly string[]): Promise<void> {
    this.#links = undefined;
    const own = ["--extract", "--file=-", "--directory", this.root, "--numeric-owner", "--same-owner", "--preserve-permissions", ...XATTRS];
    await this.#tool(["tar", ...own, ...flags, "--exclude=./dev/*", "--exclude=dev/*"], { input: archive });
  }

  async run(command: readonly string[], options: TreeCommand = {}): Promise<TreeAnswer> {
    this.#links = undefined;
    const { network = false, variables = {}, binds = [], input, script, anyStatus = false } = options;
    const { log } = this.#run;
    const bind = binds.flatMap(({ from, to, writable }) => [writable ? "--bind" : "--ro-bind", from, to]);
    const set = {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: "/root",
      LC_ALL: "C.UTF-8",
      TZ: "UTC",
      ...variables,
    };
    const bubble = [
      ...["bwrap", "--bind", this.root, "/", "--dev", "/dev", "--proc", "/proc", "--perms", "1777", "--tmpfs", "/tmp", "--tmpfs", "/run"],
      ...(network ? ["--ro-bind-try", "/etc/resolv.conf", await this.#resolvConf()] : ["--unshare-net"]),
      ...["--unshare-ipc", "--unshare-uts", "--hostname", "localhost", "--cap-add", "ALL", "--chdir", "/", "--clearenv"],
      ...Object.entries(set).flatMap(([name, value]) => ["--setenv", name, value]),
      ...bind,
      ...(script === undefined ? [] : ["--perms", "0755", "--ro-bind-data", "4", SCRIPT_PATH]),
    ];
    log?.append(`# ${command.join(" ")}\n`);
    const { status, stdout, tail, leftBehind } = await runInNamespace(this.#plan, [...bubble, "--", ...command], this.#run, {
      ...(input === undefined ? {} : { input }),
      ...(script === undefined ? {} : { data: new TextEncoder().encode(script) }),
    });
    if (leftBehind.length > 0)
      this.#run.job.progress.warn(`${command[0]} left processes behind, which were ended: ${leftBehind.join(", ")}`);
    const lastLines = tail.split("\n").slice(-12).join("\n");
    if (status !== 0 && !anyStatus) {
      throw new HiperisoError({
        what: "run a command in a tree",
        where: command.join(" "),
        expected: "exit status 0",
        found: `${status}: ${lastLines}`,
      });
    }
    return { status, stdout: new TextDecoder().decode(stdout), lastLines, leftBehind };
  }

  async put(entries: Iterable<TreeEntry>): Promise<void> {
    const links = await this.#treeLinks();
    const placed = completeTree(entries).map((entry) => {
      const path = resolveInTree(latin1(entry.path), links, entry.kind === "directory" ? "follow" : "keep");
      return { ...entry, path: utf8(path) };
    });
    async function* archive() {
      yield* encodeTar(placed, { mtimeS: 0 });
    }
    await this.unpack(archive());
  }

  async read(path: string): Promise<Uint8Array> {
    const found = utf8(resolveInTree(latin1(path), await this.#treeLinks()));
    return (await this.#tool(["cat", "--", join(this.root, found)])).stdout;
  }

  async exists(path: string): Promise<boolean> {
    const found = utf8(resolveInTree(latin1(path), await this.#treeLinks()));
    return (await runInNamespace(this.#plan, ["test", "-e", join(this.root, found)], this.#run)).status === 0;
  }

  async copyOut(path: string, target: string): Promise<void> {
    const found = join(this.root, utf8(resolveInTree(latin1(path), await this.#treeLinks())));
    const isFolder = (await runInNamespace(this.#plan, ["test", "-d", found], this.#run)).status === 0;
    if (!isFolder) {
      await this.#tool(["cat", "--", found], { take: (stdout) => pipeline(stdout, createWriteStream(target, { flags: "wx" })) });
      return;
    }
    // In the root of a user namespace the caller is id 0: what it makes belongs to the caller.
    await mkdir(target, { recursive: true });
    await this.#tool(["cp", "--recursive", "--no-dereference", "--preserve=mode,timestamps", "--no-target-directory", "--", found, target]);
  }

  async pack(target: string, { epochS }: { readonly epochS: number }): Promise<void> {
    const form = [
      "--format=posix",
      "--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime",
      "--sort=name",
      "--numeric-owner",
    ];
    const times = [`--mtime=@${epochS}`, "--clamp-mtime"];
    const flags = ["--create", "--file=-", "--directory", this.root, ...form, ...times, ...XATTRS, "."];
    await this.#tool(["tar", ...flags], { take: (stdout) => pipeline(stdout, createWriteStream(target, { flags: "wx" })) });
    const file = await open(target, "r+");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await removeTree(this.root, { ...this.#run, job: { ...this.#run.job, signal: new AbortController().signal } });
  }

  /** A program of the computer, in the namespace where the tree's owners exist. */
  async #tool(command: readonly string[], options: NamespaceOptions = {}): Promise<NamespaceAnswer> {
    const answer = await runInNamespace(this.#plan, command, this.#run, options);
    if (answer.status === 0) return answer;
    throw new HiperisoError({
      what: `run ${command[0]} on a tree`,
      where: this.root,
      expected: "exit status 0",
      found: `${answer.status}: ${answer.tail}`,
    });
  }

  async #treeLinks(): Promise<TreeLinks> {
    if (this.#links !== undefined) return this.#links;
    const { stdout } = await this.#tool(["find", this.root, "-xdev", "-type", "l", "-printf", "%P\\0%l\\0"]);
    const words = Buffer.from(stdout).toString("latin1").split("\0");
    const links = new Map<string, string>();
    for (let index = 0; index + 1 < words.length; index += 2) links.set(words[index]!, words[index + 1]!);
    this.#links = links;
    return links;
  }

  async #resolvConf(): Promise<string> {
    return `/${utf8(resolveInTree("etc/resolv.conf", await this.#treeLinks()))}`;
  }
}

const latin1 = (text: string): string => Buffer.from(text, "utf8").toString("latin1");
const utf8 = (bytes: string): string => Buffer.from(bytes, "latin1").toString("utf8");
