/** How commands of a stage can be kept apart from the computer: decided from facts alone, and why not where it cannot be. */
import { HiperisoError } from "../../contract/error.ts";

export interface SandboxFacts {
  readonly uid: number;
  readonly gid: number;
  readonly user: string;
  /** Content of /etc/subuid and /etc/subgid; empty where there is none. */
  readonly subuid: string;
  readonly subgid: string;
  /** Of the programs in `SANDBOX_TOOLS`, those that were found. */
  readonly tools: ReadonlySet<string>;
  /** /proc/sys/user/max_user_namespaces; undefined where the kernel has no user namespaces. */
  readonly userNamespacesMax: number | undefined;
  /** Debian's older kernels: /proc/sys/kernel/unprivileged_userns_clone is 0. */
  readonly cloneForbidden: boolean;
  /** Ubuntu from 23.10 on: /proc/sys/kernel/apparmor_restrict_unprivileged_userns is 1. */
  readonly apparmorRestricts: boolean;
}

/** Ids of the computer that a user may give away: subuid(5). */
export interface IdRange {
  readonly first: number;
  readonly count: number;
}

export type SandboxPlan =
  /** Root without user namespaces: other namespaces only. */
  | { readonly kind: "root" }
  /** Root in a user namespace in which every id is what it is outside: no rights over the kernel, all rights over files. */
  | { readonly kind: "root-namespace" }
  /** A user as id 0 of a user namespace; ids from 1 on are those of the ranges. */
  | { readonly kind: "user-namespace"; readonly uid: number; readonly gid: number; readonly uids: IdRange; readonly gids: IdRange }
  | { readonly kind: "refused"; readonly because: string; readonly hint: string };

export const SANDBOX_TOOLS = ["unshare", "bwrap", "tar", "find", "newuidmap", "newgidmap"] as const;

/** Ids that a distribution uses: 0 to 65535, of which 0 is the user itself. */
export const IDS_NEEDED = 65_535;

/** Root needs no user namespace, but gives away rights over the kernel by one. Everybody else needs one, and a range of ids for it, or files could have one owner only. */
export function planSandbox(facts: SandboxFacts): SandboxPlan {
  const packages: Readonly<Record<string, string>> = {
    bwrap: "bubblewrap",
    newuidmap: "uidmap (Debian, Ubuntu) or shadow",
    newgidmap: "uidmap (Debian, Ubuntu) or shadow",
    unshare: "util-linux",
    find: "findutils",
  };
  const needed = SANDBOX_TOOLS.filter((tool) => facts.uid !== 0 || !tool.startsWith("new"));
  const missing = needed.filter((tool) => !facts.tools.has(tool));
  if (missing.length > 0) {
    const names = [...new Set(missing.map((tool) => packages[tool] ?? tool))].join(", ");
    return {
      kind: "refused",
      because: `${missing.join(", ")} ${missing.length > 1 ? "are" : "is"} not installed`,
      hint: `Install the package ${names}.`,
    };
  }
  if (facts.uid === 0) return { kind: (facts.userNamespacesMax ?? 0) > 0 ? "root-namespace" : "root" };
  const refusal = kernelRefusal(facts);
  if (refusal !== undefined) return { kind: "refused", ...refusal };

  const uids = rangeOf(facts.subuid, facts);
  const gids = rangeOf(facts.subgid, facts);
  const lacking = [...(uids === undefined ? ["/etc/subuid"] : []), ...(gids === undefined ? ["/etc/subgid"] : [])];
  if (uids !== undefined && gids !== undefined) {
    return { kind: "user-namespace", uid: facts.uid, gid: facts.gid, uids, gids };
  }
  const start = freeStart(`${facts.subuid}\n${facts.subgid}`);
  return {
    kind: "refused",
    because: `${lacking.join(" and ")} ${lacking.length > 1 ? "give" : "gives"} ${facts.user} no range of ${IDS_NEEDED} ids`,
    hint: `Add the line "${facts.user}:${start}:65536" to ${lacking.join(" and to ")} as root, or run as root.`,
  };
}

/** Throws where the plan is a refusal. */
export function acceptedPlan(plan: SandboxPlan): Exclude<SandboxPlan, { kind: "refused" }> {
  if (plan.kind !== "refused") return plan;
  throw new HiperisoError({ what: "make a sandbox for commands of a stage", found: plan.because, hint: plan.hint });
}

function kernelRefusal({ userNamespacesMax, cloneForbidden, apparmorRestricts }: SandboxFacts) {
  const put = (line: string): string =>
    `Put "${line}" into /etc/sysctl.d/60-user-namespaces.conf and run "sysctl --system" as root, or run as root.`;
  if (userNamespacesMax === undefined) {
    return { because: "this kernel has no user namespaces", hint: "Run as root, or with a kernel that has CONFIG_USER_NS." };
  }
  if (userNamespacesMax === 0) {
    return {
      because: "the kernel allows no user namespaces (user.max_user_namespaces is 0)",
      hint: put("user.max_user_namespaces = 15000"),
    };
  }
  if (cloneForbidden) {
    const because = "the kernel keeps user namespaces to root (kernel.unprivileged_userns_clone is 0)";
    return { because, hint: put("kernel.unprivileged_userns_clone = 1") };
  }
  if (apparmorRestricts) {
    const because = "AppArmor takes their rights from user namespaces (kernel.apparmor_restrict_unprivileged_userns is 1)";
    return { because, hint: put("kernel.apparmor_restrict_unprivileged_userns = 0") };
  }
  return undefined;
}

/** Lines are NAME-OR-UID:FIRST:COUNT. The first range that is long enough. */
function rangeOf(text: string, { user, uid }: SandboxFacts): IdRange | undefined {
  const found = rangesIn(text).find(({ owner, count }) => (owner === user || owner === `${uid}`) && count >= IDS_NEEDED);
  return found === undefined ? undefined : { first: found.first, count: found.count };
}

function rangesIn(text: string): readonly (IdRange & { readonly owner: string })[] {
  return text.split("\n").flatMap((line) => {
    const [, owner, first, count] = /^([^:#\s]+):(\d{1,10}):(\d{1,10})\s*$/.exec(line) ?? [];
    return owner === undefined ? [] : [{ owner, first: Number(first), count: Number(count) }];
  });
}

/** Behind all ranges that are given away already, and not below where useradd begins. */
function freeStart(text: string): number {
  return Math.max(100_000, ...rangesIn(text).map(({ first, count }) => first + count));
}
