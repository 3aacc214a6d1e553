/** What `.deb` files say of themselves, without being installed: their records, and their copyright files. */
import { mkdir, readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
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
    const into = join(scratch, "copyright", deb);
    await mkdir(into, { recursive: true });
    // Of the kernel's hundreds of megabytes a few kilobytes are wanted. Where a package has none, tar says so and ends with 2.
    const script = 'dpkg-deb --fsys-tarfile "$0" | tar -x -C "$1" "./usr/share/doc/$2/copyright" 2>/dev/null || true';
    await runTool("sh", ["-c", script, path, into, name], { env, signal: job.signal });
    const copyright = await readFile(join(into, "usr/share/doc", name, "copyright")).catch(() => undefined);
    files.push({ name, record, copyright });
  }
  return files;
}
