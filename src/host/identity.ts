import { readFileSync } from "node:fs";
import { homedir, hostname, userInfo } from "node:os";
import { join } from "node:path";
import type { Identity } from "./mask.ts";
import type { Environment } from "./xdg.ts";

/** People have numbers from 1000 on; 65534 is nobody (login.defs(5), systemd: UIDS-GIDS). */
const PERSON_UID_MIN = 1000;
const PERSON_UID_MAX = 60_000;

/** Who and what `maskIdentity` must hide on this computer. Never throws. */
export function readIdentity(env: Environment, root = "/"): Identity {
  const people = decodePasswd(readText(join(root, "etc/passwd")));
  const own = ownNames();
  return {
    hostname: readText(join(root, "proc/sys/kernel/hostname")).trim() || hostname(),
    users: [...people.names, ...own.users, ...["USER", "LOGNAME", "SUDO_USER"].map((key) => env[key] ?? "")].filter((name) => name !== ""),
    homes: [...people.homes, ...own.homes, env["HOME"] ?? ""].filter((home) => home.length > 1),
  };
}

/** passwd(5): `name:password:UID:GID:full name,office,phones:home:shell` a line. */
export function decodePasswd(text: string): { readonly names: readonly string[]; readonly homes: readonly string[] } {
  const people = text
    .split("\n")
    .map((line) => line.split(":"))
    .filter(([, , uid]) => Number(uid) >= PERSON_UID_MIN && Number(uid) <= PERSON_UID_MAX);
  return {
    names: people.flatMap(([name = "", , , , gecos = ""]) => [name, ...gecos.split(",").slice(0, 1)]).filter((name) => name !== ""),
    homes: people.map(([, , , , , home = ""]) => home).filter((home) => /^\/[^/]+\/./.test(home)),
  };
}

function ownNames(): Pick<Identity, "users" | "homes"> {
  try {
    return { users: [userInfo().username], homes: [homedir()] };
  } catch {
    return { users: [], homes: [] }; // a user id without an entry in passwd
  }
}

function readText(path: string): string {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}
