import { access, constants, stat } from "node:fs/promises";
import { delimiter, isAbsolute, join } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import { packagesOf } from "./tool-packages.ts";
import type { Environment } from "./xdg.ts";

/** Where distributions put programs that a person's PATH need not name. */
const OTHER_FOLDERS = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/** Absolute path of a program: PATH first, then where system programs stand. Throws with the package that brings it. */
export async function findTool(name: string, env: Environment): Promise<string> {
  const found = await lookForTool(name, env);
  if (found !== undefined) return found;
  throw new HiperisoError({
    what: "find a program",
    where: name,
    expected: "it on PATH or in /usr/sbin, /sbin, /usr/local",
    found: "nothing of that name that can be run",
    hint: packageHint(name),
  });
}

/** As `findTool`; undefined where there is none. */
export async function lookForTool(name: string, env: Environment): Promise<string | undefined> {
  const folders = [...(env["PATH"] ?? "").split(delimiter).filter(isAbsolute), ...OTHER_FOLDERS];
  for (const folder of new Set(folders)) {
    const path = join(folder, name);
    if (await isProgram(path)) return path;
  }
  return undefined;
}

async function isProgram(path: string): Promise<boolean> {
  try {
    await access(path, constants.X_OK);
    return (await stat(path)).isFile();
  } catch {
    return false;
  }
}

/** What to install for a missing program: a whole sentence. */
export function packageHint(name: string): string {
  const packages = packagesOf(name);
  if (packages === undefined) return `Install ${name}.`;
  const { debian, fedora, arch, opensuse } = packages;
  return `Install its package: ${debian} (Debian, Ubuntu), ${fedora} (Fedora), ${arch} (Arch), ${opensuse} (openSUSE).`;
}
