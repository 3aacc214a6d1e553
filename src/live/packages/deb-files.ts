/** What `.deb` files say of themselves, without being installed: their records, and their copyright files. */
import { mkdir, readdir, readFile, readlink } from "node:fs/promises";
import { basename, join } from "node:path";
import type { StageRun } from "../stage.ts";
import { runTool } from "../tool.ts";

export interface DebFile {
  readonly name: string;
  /** As dpkg's database would hold it. */
  readonly record: string;
  /** Undefined where it brings none of its own: another package's, to which its folder is a link, counts for it. */
  readonly copyright: Uint8Array | undefined;
}

/** `folder`: output of a stage of kind package. `only`: names of files there. Sorted by file name. */
export async function readDebFiles(
  folder: string,
  { env, job, scratch }: Pick<StageRun, "env" | "job" | "scratch">,
  only?: ReadonlySet<string>,
): Promise<readonly DebFile[]> {
  const files: DebFile[] = [];
  for (const deb of (await readdir(folder)).filter((file) => only?.has(file) ?? true).sort()) {
    const path = join(folder, deb);
    const record = await runTool("dpkg-deb", ["--field", path], { env, signal: job.signal });
    const name = /^Package: (\S+)$/m.exec(record)?.[1] ?? deb;
    const copyright = await copyrightOf(name, folder, { env, job, scratch });
    files.push({ name, record, copyright });
  }
  return files;
}

/** The folder for it is a link to another package's where both were built from one source; that one must be among the files then. */
async function copyrightOf(
  name: string,
  folder: string,
  { env, job, scratch }: Pick<StageRun, "env" | "job" | "scratch">,
): Promise<Uint8Array | undefined> {
  const seen = new Set<string>();
  for (let owner: string | undefined = name; owner !== undefined && !seen.has(owner); ) {
    seen.add(owner);
    const deb: string | undefined = (await readdir(folder)).find((file) => file.startsWith(`${owner}_`));
    if (deb === undefined) return undefined;
    const into = join(scratch, "copyright", owner);
    await mkdir(into, { recursive: true });
    // Of the kernel's hundreds of megabytes a few kilobytes are wanted. Where a package has one of the two alone, tar ends with 2.
    const script = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" "./usr/share/doc/$2" "./usr/share/doc/$2/copyright" 2>/dev/null || true';
    await runTool("sh", ["-c", script, join(folder, deb), into, owner], { env, signal: job.signal });
    const place = join(into, "usr/share/doc", owner);
    const target: string | undefined = await readlink(place).catch(() => undefined);
    if (target === undefined) return await readFile(join(place, "copyright")).catch(() => undefined);
    owner = basename(target);
  }
  return undefined;
}
