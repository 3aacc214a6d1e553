/** What this computer and this user have for a sandbox. */
import { readFile } from "node:fs/promises";
import { userInfo } from "node:os";
import { lookForTool } from "../../host/tools.ts";
import type { Environment } from "../../host/xdg.ts";
import { SANDBOX_TOOLS, type SandboxFacts } from "./plan.ts";

export async function readSandboxFacts(env: Environment): Promise<SandboxFacts> {
  const text = (path: string): Promise<string | undefined> => readFile(path, "utf8").catch(() => undefined);
  const found = await Promise.all(SANDBOX_TOOLS.map(async (tool) => ((await lookForTool(tool, env)) === undefined ? [] : [tool])));
  const { uid, gid, username } = userInfo();
  const max = await text("/proc/sys/user/max_user_namespaces");
  return {
    uid,
    gid,
    user: username,
    subuid: (await text("/etc/subuid")) ?? "",
    subgid: (await text("/etc/subgid")) ?? "",
    tools: new Set(found.flat()),
    userNamespacesMax: max === undefined ? undefined : Number(max),
    cloneForbidden: (await text("/proc/sys/kernel/unprivileged_userns_clone"))?.trim() === "0",
    apparmorRestricts: (await text("/proc/sys/kernel/apparmor_restrict_unprivileged_userns"))?.trim() === "1",
  };
}
