/** Small file systems of a test's own, and how they are filled up. */
import { spawnSync } from "node:child_process";
import { mkdir, statfs, writeFile } from "node:fs/promises";

/** A file system of a test's own can be mounted by root only. */
export const mayMount = process.getuid?.() === 0 && spawnSync("unshare", ["--mount", "mount", "-t", "tmpfs", "none", "/mnt"]).status === 0;

export interface SmallDisk extends AsyncDisposable {
  readonly path: string;
}

/** `path` must not exist. */
export async function mountSmallDisk(path: string, megabytes: number): Promise<SmallDisk> {
  await mkdir(path);
  const { status, stderr } = spawnSync("mount", ["-t", "tmpfs", "-o", `size=${megabytes}m`, "none", path], { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  return {
    path,
    async [Symbol.asyncDispose]() {
      spawnSync("umount", ["--lazy", path]);
    },
  };
}

/** A file that leaves the file system with so much room. */
export async function fillUp(path: string, where: string, leftBytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(where);
  await writeFile(path, Buffer.alloc(Math.max(bavail * bsize - leftBytes, 0)));
}
