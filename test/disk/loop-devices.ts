/** Loop devices, for tests of what is done to a disk of this computer. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { blankImage, MIB } from "./disk-images.ts";

/** Why loop devices cannot be made here; undefined where they can. */
export function noLoops(): string | undefined {
  if (process.getuid?.() !== 0) return "not root";
  const folder = mkdtempSync(join(tmpdir(), "hiperiso-loop-"));
  const { status, stdout } = spawnSync("losetup", ["--find", "--show", blankImage(join(folder, "x"), MIB)], { encoding: "utf8" });
  if (status === 0) execFileSync("losetup", ["--detach", stdout.trim()]);
  rmSync(folder, { recursive: true });
  return status === 0 ? undefined : "losetup fails";
}
