/** How packages are installed in a root file system, by the package manager that it brings. */
import type { HiperisoError } from "../contract/error.ts";
import { packageFailure } from "./package-failure.ts";
import type { Tree, TreeCommand } from "./sandbox/tree.ts";

export interface PackageManager {
  readonly id: "apt" | "apk" | "dnf" | "pacman" | "zypper" | "xbps" | "emerge";
  /** Where its program stands. */
  readonly program: string;
  /** Fetches what the sources have. Nothing where installing does so by itself. */
  readonly update?: readonly string[];
  install(packages: readonly string[], recommends: boolean): readonly string[];
  remove(packages: readonly string[]): readonly string[];
  /** Of its own; none may ask a question. */
  readonly variables?: Readonly<Record<string, string>>;
  /** Says after a failed `install` that the lists are older than the mirror, so that fetching them anew helps. */
  readonly isStale?: RegExp;
}

/** In the sandbox there is one user, and no other process that could hold a lock. Archives are kept outside of the tree. */
const APT = [
  "apt-get",
  "-y",
  "-q",
  ...["APT::Sandbox::User=root", "Dir::Cache::archives=/run/hiperiso/archives", "Debug::NoLocking=true", "Acquire::Languages=none"].flatMap(
    (setting) => ["-o", setting],
  ),
  ...["Dpkg::Use-Pty=false", "Dpkg::Options::=--force-confold", "Acquire::Retries=3", "APT::Cmd::Disable-Script-Warning=true"].flatMap(
    (setting) => ["-o", setting],
  ),
];

export const PACKAGE_MANAGERS: readonly PackageManager[] = [
  {
    id: "apt",
    program: "usr/bin/apt-get",
    update: [...APT, "update", "-o", "APT::Update::Error-Mode=any"],
    install: (packages, recommends) => [
      ...APT,
      recommends ? "--install-recommends" : "--no-install-recommends",
      "install",
      "--",
      ...packages,
    ],
    remove: (packages) => [...APT, "--auto-remove", "purge", "--", ...packages],
    variables: { DEBIAN_FRONTEND: "noninteractive", DEBCONF_NONINTERACTIVE_SEEN: "true" },
    isStale: /404 +Not Found|Unable to locate package|Hash Sum mismatch|has no installation candidate|Failed to fetch/,
  },
  {
    id: "apk",
    program: "sbin/apk",
    install: (packages) => ["apk", "--no-cache", "--no-progress", "add", "--", ...packages],
    remove: (packages) => ["apk", "--no-progress", "del", "--", ...packages],
  },
  {
    id: "dnf",
    program: "usr/bin/dnf",
    install: (packages, recommends) => [
      "dnf",
      "-y",
      `--setopt=install_weak_deps=${recommends}`,
      "--setopt=tsflags=nodocs",
      "install",
      ...packages,
    ],
    remove: (packages) => ["dnf", "-y", "remove", ...packages],
  },
  {
    id: "pacman",
    program: "usr/bin/pacman",
    // Whoever updates lists without updating packages breaks the system.
    install: (packages) => ["pacman", "--noconfirm", "--noprogressbar", "--needed", "-Syu", "--", ...packages],
    remove: (packages) => ["pacman", "--noconfirm", "-Rns", "--", ...packages],
  },
  {
    id: "zypper",
    program: "usr/bin/zypper",
    install: (packages, recommends) => [
      "zypper",
      "--non-interactive",
      "install",
      ...(recommends ? [] : ["--no-recommends"]),
      "--",
      ...packages,
    ],
    remove: (packages) => ["zypper", "--non-interactive", "remove", "--clean-deps", "--", ...packages],
  },
  {
    id: "xbps",
    program: "usr/bin/xbps-install",
    install: (packages) => ["xbps-install", "-Syu", ...packages],
    remove: (packages) => ["xbps-remove", "-Ry", ...packages],
  },
  {
    id: "emerge",
    program: "usr/bin/emerge",
    update: ["emerge-webrsync", "--quiet"],
    install: (packages) => ["emerge", "--quiet", "--noreplace", "--quiet-build", ...packages],
    remove: (packages) => ["emerge", "--quiet", "--depclean", ...packages],
    // Its own sandbox and users need rights that a user namespace does not give.
    variables: { FEATURES: "-sandbox -usersandbox -pid-sandbox -network-sandbox -ipc-sandbox -mount-sandbox" },
  },
];

export async function packageManagerOf(tree: Tree, id?: string): Promise<PackageManager | undefined> {
  for (const manager of PACKAGE_MANAGERS) {
    if ((id === undefined || manager.id === id) && (await tree.exists(manager.program))) return manager;
  }
  return undefined;
}

export interface PackageWork {
  readonly install: readonly string[];
  readonly remove: readonly string[];
  readonly recommends: boolean;
  /** The tree has lists of packages already, which are not fetched again unless they are too old. */
  readonly hasLists: boolean;
  readonly command: TreeCommand;
}

/** Throws with what the package manager said, and what that means. */
export async function changePackages(tree: Tree, manager: PackageManager, work: PackageWork): Promise<void> {
  const variables = { ...work.command.variables, ...manager.variables };
  const attempt = (words: readonly string[]) => tree.run(words, { ...work.command, variables, anyStatus: true });
  const failure = (what: string, packages: readonly string[], said: string): HiperisoError => packageFailure(what, packages, said);
  const { update } = manager;
  const fetchLists = async (): Promise<void> => {
    if (update === undefined) return;
    const { status, output } = await attempt(update);
    if (status !== 0) throw failure("fetch the lists of packages", [], output);
  };
  if (work.install.length > 0) {
    if (!work.hasLists) await fetchLists();
    const words = manager.install(work.install, work.recommends);
    let answer = await attempt(words);
    if (answer.status !== 0 && work.hasLists && update !== undefined && manager.isStale?.test(answer.output) === true) {
      await fetchLists();
      answer = await attempt(words);
    }
    if (answer.status !== 0) throw failure("install packages", work.install, answer.output);
  }
  if (work.remove.length > 0) {
    const { status, output } = await attempt(manager.remove(work.remove));
    if (status !== 0) throw failure("remove packages", work.remove, output);
  }
}
