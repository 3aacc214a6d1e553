/** File systems of a few MB, mounted for a test: full ones, read-only ones. Root alone can mount. */
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const mounts = (options: readonly string[], at: string): boolean =>
  spawnSync("mount", ["-t", "tmpfs", ...options, "none", at]).status === 0;

/** Whether this process can mount at all: with rights, in a place where that is allowed. */
export const canMount = ((): boolean => {
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-mount-"));
  try {
    if (!mounts(["-o", "size=64k"], folder)) return false;
    return spawnSync("umount", [folder]).status === 0;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
})();

/** Mounts `sizeKib` of memory at `folder` while `use` runs. `makeReadOnly` stops all writing from then on. */
export async function withSmallDisk<T>(folder: string, sizeKib: number, use: (makeReadOnly: () => void) => Promise<T>): Promise<T> {
  mkdirSync(folder);
  if (!mounts(["-o", `size=${sizeKib}k`], folder)) throw new Error(`cannot mount at ${folder}`);
  try {
    return await use(() => {
      if (spawnSync("mount", ["-o", "remount,ro", folder]).status !== 0) throw new Error(`cannot remount ${folder}`);
    });
  } finally {
    spawnSync("umount", [folder]);
  }
}
