/**
 * A root file system: one to begin with (or none), then packages, files, users, services and scripts. What runs in it runs in a sandbox; where nothing
 * does, archives are merged and nothing is unpacked.
 */
import { copyFile, link, mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { isPlainPath, type TreeEntry } from "../../formats/file-tree.ts";
import { type Groups, GroupsSchema, planAccounts, type Users, UsersSchema } from "../accounts.ts";
import { cleanedMembers } from "../clean-tree.ts";
import { changePackages, PACKAGE_MANAGERS, packageManagerOf } from "../package-managers.ts";
import { checkLicences, LicencesSchema } from "../packages/licence-policy.ts";
import { writePackages } from "../packages/package-list.ts";
import { ArchiveFiles } from "../sandbox/archive-files.ts";
import { openTree, type Tree } from "../sandbox/tree.ts";
import type { TreeFiles } from "../sandbox/tree-files.ts";
import { changeServices } from "../services.ts";
import { readSourceTree, sourcePath, treeDigest } from "../source-files.ts";
import { type StageRun, type StageSurroundings, stageKind } from "../stage.ts";
import { sha256 } from "../tool.ts";
import { BusyboxSchema, busyboxEntries, DevicesSchema, deviceEntries } from "../tree-parts.ts";
import { runScript } from "../tree-script.ts";

const PLAIN_PATH = z.string().refine(isPlainPath, "expected a plain path without a slash in front");
/** In front of a name with a category an operator may stand (ebuild(5), "Atom Prefix Operators"): never a dash, which would be an option. */
const PACKAGE = z
  .string()
  .regex(/^(?:(?:[<>]?=|[<>~])(?=[A-Za-z0-9+_.-]+\/))?[A-Za-z0-9@][A-Za-z0-9+._:=@/*~<>-]*$/, "expected the name of a package");
const VARIABLES = z.record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_]*$/), z.string().regex(/^[^\0]*$/));

const Script = z.union([
  z.string().min(1),
  z
    .strictObject({
      file: z.string().min(1).optional().describe("Beside the spec."),
      run: z.string().min(1).optional().describe("The script itself."),
      network: z.boolean().default(false).describe("It may use the computer's network."),
      variables: VARIABLES.default({}),
    })
    .refine(({ file, run }) => (file === undefined) !== (run === undefined), "expected either file or run"),
]);

const SERVICES = z.array(z.string().regex(/^[A-Za-z0-9@._:|\\-]+$/)).default([]);

const Options = z.strictObject({
  packages: z.array(PACKAGE).default([]).describe("Installed by the package manager that the root file system has."),
  remove_packages: z.array(PACKAGE).default([]),
  package_manager: z
    .enum(PACKAGE_MANAGERS.map(({ id }) => id) as ["apt", ...string[]])
    .optional()
    .describe("Where the root file system has several."),
  recommends: z.boolean().default(false).describe("Packages that others recommend too."),
  as_of: z
    .string()
    .optional()
    .describe("Any text, such as a date. Another one has packages and scripts run again, with what the sources have then."),
  files: z.string().optional().describe("Folder beside the spec whose files go in as they are."),
  folders: z
    .record(PLAIN_PATH, z.string().regex(/^[0-7]{3,4}$/))
    .default({})
    .describe("Folder: its mode, octal."),
  links: z.record(PLAIN_PATH, z.string().min(1)).default({}).describe("Symbolic link: where it leads."),
  busybox: BusyboxSchema.default({}),
  devices: DevicesSchema,
  groups: GroupsSchema.default({}),
  users: UsersSchema.default({}),
  services: z
    .strictObject({ enable: SERVICES, disable: SERVICES, mask: SERVICES })
    .default({ enable: [], disable: [], mask: [] })
    .describe("By name; with OpenRC NAME|RUNLEVEL too."),
  hostname: z
    .string()
    .regex(/^(?=.{1,64}$)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*$/, "expected a host name")
    .optional(),
  locale: z
    .string()
    .regex(/^[A-Za-z][A-Za-z_]*(?:\.[A-Za-z0-9-]+)?(?:@[a-z]+)?$/, "expected a locale such as de_DE.UTF-8")
    .optional(),
  timezone: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_+-]*(?:\/[A-Za-z0-9_+-]+)*$/, "expected a time zone such as Europe/Berlin")
    .optional(),
  scripts: z
    .array(Script)
    .default([])
    .describe("Run one after the other, each a file beside the spec or { run: TEXT }. A shell stops at the first command that fails."),
  remove: z.array(PLAIN_PATH).default([]).describe("Files and folders that are removed in the end."),
  clean: z
    .boolean()
    .default(true)
    .describe("Take out what belongs to one computer or differs from run to run: logs, caches, machine-id, host keys."),
  licences: LicencesSchema.optional(),
});
type Options = z.infer<typeof Options>;

/** Output: `root.tar`, `packages.json` where the tree has a database of packages, `apt-lists.tar` where the base has it. */
export const rootfsStage = stageKind({
  kind: "rootfs",
  revision: 2,
  options: Options,
  inputs: { base: "optional", busybox: "optional", kernel: "optional" },
  needs: (options) => ({ cores: 1, memoryMb: runsNothing(options) ? 256 : 768 }),

  async ingredients({ files, scripts }, surroundings) {
    const { planFolder } = surroundings;
    const read = await readScripts(scripts, surroundings);
    return {
      ...(files === undefined ? {} : { files: treeDigest(await readSourceTree(sourcePath(planFolder, files))) }),
      ...Object.fromEntries(read.flatMap(({ name, text, isFile }) => (isFile ? [[name, sha256(text)]] : []))),
    };
  },

  async run(options, run) {
    await buildRoot(options, run);
    await passListsOn(run);
    checkLicences(await writePackages(run.output), options.licences);
  },
});

const runsNothing = ({ packages, remove_packages, scripts, services, locale }: Options): boolean =>
  [packages, remove_packages, scripts, services.enable, services.disable, services.mask].every(({ length }) => length === 0) &&
  !isGenerated(locale);

/** The C library brings C and C.UTF-8; all others are made by a program of the tree. */
const isGenerated = (locale: string | undefined): boolean => locale !== undefined && !/^(?:C|POSIX)(?:\.UTF-8)?$/i.test(locale);

async function buildRoot(options: Options, run: StageRun): Promise<void> {
  const { inputs, output, scratch, epochS, job } = run;
  const base = inputs["base"] === undefined ? undefined : join(inputs["base"], "root.tar");
  const target = join(output, "root.tar");
  if (runsNothing(options)) {
    const files = await ArchiveFiles.open(base, { mtimeS: epochS });
    await putFiles(files, options, run);
    for (const path of options.remove) await files.remove(path);
    await files.write(target, { epochS, scratch, signal: job.signal });
    return;
  }
  // Where this fails the tree stays, so that it can be entered. The store removes it.
  const tree = await openTree({ ...(base === undefined ? {} : { tar: base }), scratch, run });
  await workPackages(tree, options, run);
  await putFiles(tree, options, run);
  await generateLocale(tree, options, run);
  await changeServices(tree, options.services, commandOf(run));
  for (const { name, text, network, variables } of await readScripts(options.scripts, run)) {
    job.progress.say(`script ${name}`);
    await runScript(tree, { name, text }, { ...commandOf(run), network, variables: { ...commandOf(run).variables, ...variables } });
  }
  for (const path of options.remove) await tree.remove(path);
  await tree.pack(target, { epochS, ...(options.clean ? { change: cleanedMembers } : {}) });
  await tree[Symbol.asyncDispose]();
}

/** Of every command: the same time whenever it runs. */
const commandOf = ({ epochS }: StageRun) => ({ variables: { SOURCE_DATE_EPOCH: `${epochS}` } });

/** What package managers are configured by, and what scripts of packages read while they are installed. */
const BEFORE_PACKAGES =
  /^etc\/(?:apt|apk|dnf|yum\.repos\.d|yum|pacman\.d|pacman\.conf|zypp|xbps\.d|portage|dpkg|kernel|initramfs-tools|dracut\.conf\.d|dracut\.conf|default|mkinitcpio\.conf)(?:\/|$)/;
const POLICY = "usr/sbin/policy-rc.d";

async function workPackages(tree: Tree, options: Options, run: StageRun): Promise<void> {
  const { packages, remove_packages, package_manager, recommends, files } = options;
  if (packages.length === 0 && remove_packages.length === 0) return;
  const manager = await packageManagerOf(tree, package_manager);
  if (manager === undefined) {
    throw new HiperisoError({
      what: "install packages",
      where: packages.join(" "),
      expected: package_manager ?? `a package manager: ${PACKAGE_MANAGERS.map(({ id }) => id).join(", ")}`,
      found: "none in the root file system",
      hint: "Give the stage a base: a seed with a package manager (for mmdebstrap the variant minbase or apt).",
    });
  }
  const { inputs, planFolder, cacheFolder } = run;
  if (files !== undefined) {
    const sources = await readSourceTree(sourcePath(planFolder, files));
    await tree.put(sources.filter(({ path, kind }) => kind !== "directory" && BEFORE_PACKAGES.test(path)));
  }
  const lists = inputs["base"] === undefined ? undefined : join(inputs["base"], "apt-lists.tar");
  const hasLists = manager.id === "apt" && lists !== undefined && (await isFile(lists));
  if (hasLists) await tree.putArchive(lists);
  const archives = join(cacheFolder, "apt-archives");
  await mkdir(join(archives, "partial"), { recursive: true });

  // Services are not started while their packages are installed (invoke-rc.d(8)): nothing is there that would end them.
  const hasPolicy = await tree.exists(POLICY);
  const policy = new TextEncoder().encode("#!/bin/sh\nexit 101\n");
  if (!hasPolicy) await tree.put([{ kind: "file", path: POLICY, mode: 0o755, content: policy }]);
  const command = { ...commandOf(run), network: true, binds: [{ from: archives, to: "/run/hiperiso/archives", writable: true }] };
  await changePackages(tree, manager, { install: packages, remove: remove_packages, recommends, hasLists, command });
  if (!hasPolicy) await tree.remove(POLICY);
}

/** Stages above take packages of the same moment too. */
async function passListsOn({ inputs, output }: StageRun): Promise<void> {
  const lists = inputs["base"] === undefined ? undefined : join(inputs["base"], "apt-lists.tar");
  if (lists === undefined || !(await isFile(lists))) return;
  // Not every file system has two names for one file.
  await link(lists, join(output, "apt-lists.tar")).catch(() => copyFile(lists, join(output, "apt-lists.tar")));
}

const isFile = async (path: string): Promise<boolean> => (await stat(path).catch(() => undefined))?.isFile() ?? false;

/** All that needs no program of the tree. */
async function putFiles(tree: TreeFiles, options: Options, { planFolder, inputs, epochS }: StageRun): Promise<void> {
  const { files, folders, links, busybox, devices, hostname, locale, timezone } = options;
  const program = inputs["busybox"];
  if (program === undefined && Object.keys(busybox).length > 0) {
    throw new HiperisoError({ what: "put busybox into a root file system", expected: 'the input "busybox"', found: "none", kind: "usage" });
  }
  if (inputs["kernel"] !== undefined) await tree.putArchive(join(inputs["kernel"], "modules.tar"));
  await tree.put([
    ...Object.entries(folders).map(([path, mode]): TreeEntry => ({ kind: "directory", path, mode: Number.parseInt(mode, 8) })),
    ...Object.entries(links).map(([path, target]): TreeEntry => ({ kind: "symlink", path, target })),
    ...(program === undefined ? [] : busyboxEntries(await readFile(join(program, "busybox")), busybox)),
    ...deviceEntries(devices),
    ...(files === undefined ? [] : await readSourceTree(sourcePath(planFolder, files))),
  ]);
  await putAccounts(tree, options.users, options.groups, epochS);
  await tree.put([...hostEntries(hostname), ...localeEntries(locale), ...(await timezoneEntries(tree, timezone))]);
  if (hostname !== undefined) await nameHost(tree, hostname);
}

const textFile = (path: string, text: string, mode = 0o644): TreeEntry => ({
  kind: "file",
  path,
  mode,
  content: new TextEncoder().encode(text),
});
const hostEntries = (hostname: string | undefined): readonly TreeEntry[] =>
  hostname === undefined ? [] : [textFile("etc/hostname", `${hostname}\n`)];
const localeEntries = (locale: string | undefined): readonly TreeEntry[] =>
  locale === undefined ? [] : [textFile("etc/locale.conf", `LANG=${locale}\n`), textFile("etc/default/locale", `LANG=${locale}\n`)];

async function timezoneEntries(tree: TreeFiles, timezone: string | undefined): Promise<readonly TreeEntry[]> {
  if (timezone === undefined) return [];
  if (timezone !== "UTC" && !(await tree.exists(`usr/share/zoneinfo/${timezone}`))) {
    const hint = "Check its name, and that a package with time zones (tzdata) is in the root file system.";
    throw new HiperisoError({
      what: "set the time zone",
      where: timezone,
      expected: `usr/share/zoneinfo/${timezone}`,
      found: "none",
      hint,
    });
  }
  return [{ kind: "symlink", path: "etc/localtime", target: `/usr/share/zoneinfo/${timezone}` }, textFile("etc/timezone", `${timezone}\n`)];
}

/** A host finds its own name without a network: hosts(5), and Debian's 127.0.1.1. */
async function nameHost(tree: TreeFiles, hostname: string): Promise<void> {
  const before = await textOf(tree, "etc/hosts");
  const kept = (before ?? "127.0.0.1\tlocalhost\n::1\tlocalhost ip6-localhost ip6-loopback\n")
    .split("\n")
    .filter((line) => !/^127\.0\.1\.1\s/.test(line) && line !== "");
  const short = hostname.split(".")[0]!;
  const names = short === hostname ? hostname : `${hostname} ${short}`;
  await tree.put([textFile("etc/hosts", `${[...kept, `127.0.1.1\t${names}`].join("\n")}\n`)]);
}

async function textOf(tree: TreeFiles, path: string): Promise<string | undefined> {
  const content = await tree.readIfThere(path);
  // Comments in these files may be in any encoding; what we change of them is ASCII.
  return content === undefined ? undefined : Buffer.from(content).toString("latin1");
}

const DAY_S = 86_400;

async function putAccounts(tree: TreeFiles, users: Users, groups: Groups, epochS: number): Promise<void> {
  if (Object.keys(users).length === 0 && Object.keys(groups).length === 0) return;
  const [passwd, group, shadow, gshadow] = await Promise.all(
    ["passwd", "group", "shadow", "gshadow"].map((name) => textOf(tree, `etc/${name}`)),
  );
  const shell = (await tree.exists("bin/bash")) ? "/bin/bash" : "/bin/sh";
  const before = {
    passwd: passwd ?? "root:x:0:0:root:/root:/bin/sh\n",
    group: group ?? "root:x:0:\n",
    shadow: shadow ?? "root:*:1::::::\n",
    gshadow,
  };
  const { files, homes } = planAccounts(before, users, groups, { shell, day: Math.floor(epochS / DAY_S) });
  const put = async (name: string, text: string | undefined, mode: number): Promise<void> => {
    if (text === undefined) return;
    const path = `etc/${name}`;
    const content = Buffer.from(text, "latin1");
    await tree.put([{ kind: "file", path, mode, content }]);
    if (mode === 0o640) await tree.changeOwner(path, { uid: 0, gid: shadowGroup(files.group) });
  };
  await put("passwd", files.passwd, 0o644);
  await put("group", files.group, 0o644);
  await put("shadow", files.shadow, 0o640);
  await put("gshadow", files.gshadow, 0o640);
  for (const { path, uid, gid } of homes) {
    const home = path.replace(/^\/+/, "");
    if (home === "" || (await tree.exists(home))) continue;
    await tree.put([{ kind: "directory", path: home, mode: 0o700 }, ...(await skeleton(tree, home))]);
    await tree.changeOwner(home, { uid, gid, below: true });
  }
}

/** Debian lets the group shadow read it; elsewhere it is root's. */
const shadowGroup = (group: string): number => Number(/^shadow:[^:]*:(\d+):/m.exec(group)?.[1] ?? 0);

/** What a new user finds at home: useradd(8), /etc/skel. */
async function skeleton(tree: TreeFiles, home: string): Promise<readonly TreeEntry[]> {
  const entries: TreeEntry[] = [];
  for (const { path, kind, target } of await tree.list("etc/skel")) {
    const to = `${home}/${path}`;
    if (kind === "directory") entries.push({ kind, path: to, mode: 0o755 });
    else if (kind === "symlink") entries.push({ kind, path: to, target: target! });
    else if (kind === "file")
      entries.push({ kind, path: to, mode: 0o644, content: (await tree.readIfThere(`etc/skel/${path}`)) ?? new Uint8Array() });
  }
  return entries;
}

async function generateLocale(tree: Tree, { locale }: Options, run: StageRun): Promise<void> {
  if (locale === undefined || !isGenerated(locale)) return;
  const charset = /\.([A-Za-z0-9-]+)/.exec(locale)?.[1] ?? "UTF-8";
  if (!(await tree.exists("usr/sbin/locale-gen")) && !(await tree.exists("usr/bin/locale-gen"))) {
    const hint = "Add the package that makes locales (locales) to the stage's packages, or take C.UTF-8.";
    throw new HiperisoError({ what: "make a locale", where: locale, expected: "locale-gen in the root file system", found: "none", hint });
  }
  await tree.put([textFile("etc/locale.gen", `${locale} ${charset}\n`)]);
  await tree.run(["locale-gen"], commandOf(run));
}

interface ReadScript {
  readonly name: string;
  readonly text: string;
  readonly isFile: boolean;
  readonly network: boolean;
  readonly variables: Readonly<Record<string, string>>;
}

async function readScripts(scripts: Options["scripts"], { planFolder }: StageSurroundings): Promise<readonly ReadScript[]> {
  return await Promise.all(
    scripts.map(async (script, index): Promise<ReadScript> => {
      const { file, run, network, variables } =
        typeof script === "string" ? { file: script, run: undefined, network: false, variables: {} } : script;
      if (run !== undefined) return { name: `scripts[${index}]`, text: run, isFile: false, network, variables };
      const path = sourcePath(planFolder, file!);
      try {
        return { name: file!, text: await readFile(path, "utf8"), isFile: true, network, variables };
      } catch (error) {
        throw new HiperisoError({
          what: "read a script of the spec",
          where: path,
          found: (error as Error).message,
          kind: "usage",
          cause: error,
        });
      }
    }),
  );
}
