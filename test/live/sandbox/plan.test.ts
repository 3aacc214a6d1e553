import { describe, expect, test } from "vitest";
import { acceptedPlan, planSandbox, SANDBOX_TOOLS, type SandboxFacts } from "../../../src/live/sandbox/plan.ts";

const FACTS: SandboxFacts = {
  uid: 1000,
  gid: 1001,
  user: "ann",
  subuid: "bob:100000:65536\nann:165536:65536\n",
  subgid: "ann:231072:65536\n",
  tools: new Set(SANDBOX_TOOLS),
  userNamespacesMax: 15_000,
  cloneForbidden: false,
  apparmorRestricts: false,
};
const refusal = (facts: Partial<SandboxFacts>) => {
  const plan = planSandbox({ ...FACTS, ...facts });
  return plan.kind === "refused" ? `${plan.because}. ${plan.hint}` : plan.kind;
};

describe("a sandbox", () => {
  test("of a user is a user namespace with the user's ranges", () => {
    expect(planSandbox(FACTS)).toEqual({
      kind: "user-namespace",
      uid: 1000,
      gid: 1001,
      uids: { first: 165_536, count: 65_536 },
      gids: { first: 231_072, count: 65_536 },
    });
  });

  test("may have its range under the user's number", () => {
    expect(planSandbox({ ...FACTS, subuid: "1000:5:70000\n" })).toMatchObject({
      kind: "user-namespace",
      uids: { first: 5, count: 70_000 },
    });
  });

  test("of root is a user namespace too, where there are any", () => {
    const root = { ...FACTS, uid: 0, user: "root", subuid: "", subgid: "", tools: new Set(["unshare", "bwrap", "tar", "find"]) };
    expect(planSandbox(root)).toEqual({ kind: "root-namespace" });
    expect(planSandbox({ ...root, userNamespacesMax: undefined })).toEqual({ kind: "root" });
    expect(planSandbox({ ...root, userNamespacesMax: 0 })).toEqual({ kind: "root" });
  });

  test("without a range says which line to add to which file, behind the ranges of others", () => {
    expect(refusal({ subuid: "bob:100000:65536\n" })).toBe(
      '/etc/subuid gives ann no range of 65535 ids. Add the line "ann:296608:65536" to /etc/subuid as root, or run as root.',
    );
    expect(refusal({ subuid: "", subgid: "" })).toBe(
      '/etc/subuid and /etc/subgid give ann no range of 65535 ids. Add the line "ann:100000:65536" to /etc/subuid and to /etc/subgid as root, or run as root.',
    );
  });

  test.each([
    ["one that is too short", "ann:100000:1000\n"],
    ["a line that is none", "ann:100000\nann:x:65536\n# ann:1:65536\n:1:65536\nann:100000:65536:1\n"],
    ["one of a user whose name begins alike", "anna:100000:65536\n"],
  ])("does not take %s", (_, subuid) => {
    expect(refusal({ subuid })).toMatch(/^\/etc\/subuid gives ann no range/);
  });

  test("that the kernel keeps to itself says which setting to change", () => {
    expect(refusal({ userNamespacesMax: 0 })).toMatch(
      /user\.max_user_namespaces is 0.*"user\.max_user_namespaces = 15000".*\/etc\/sysctl\.d\//s,
    );
    expect(refusal({ userNamespacesMax: undefined })).toMatch(/no user namespaces.*CONFIG_USER_NS/s);
    expect(refusal({ cloneForbidden: true })).toMatch(/unprivileged_userns_clone is 0.*"kernel\.unprivileged_userns_clone = 1"/s);
    expect(refusal({ apparmorRestricts: true })).toMatch(/AppArmor.*"kernel\.apparmor_restrict_unprivileged_userns = 0"/s);
  });

  test("without its programs says which packages bring them", () => {
    expect(refusal({ tools: new Set(["unshare", "tar", "find"]) })).toBe(
      "bwrap, newuidmap, newgidmap are not installed. Install the package bubblewrap, uidmap (Debian, Ubuntu) or shadow.",
    );
  });

  test("that is refused is thrown with what to do", () => {
    expect(() => acceptedPlan(planSandbox({ ...FACTS, subuid: "" }))).toThrow(
      /make a sandbox for commands of a stage: found .*Add the line/,
    );
  });
});
