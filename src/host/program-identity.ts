import { realpath, stat } from "node:fs/promises";

/**
 * What tells a program from the one that stood there before an update: where it really stands, its inode, size, and
 * times. A program that cannot be read has an identity too: that of a missing one.
 */
export async function programIdentity(path: string): Promise<string> {
  try {
    const real = await realpath(path);
    const { dev, ino, size, mtimeNs, ctimeNs } = await stat(real, { bigint: true });
    return [path, real, dev, ino, size, mtimeNs, ctimeNs].join(" ");
  } catch {
    return `${path} missing`;
  }
}
