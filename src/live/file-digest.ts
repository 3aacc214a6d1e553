/** Digests of large files that stand beside a spec, without reading them again at each build. */
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import { sha256 } from "./tool.ts";

const Kept = z.strictObject({ identity: z.string(), sha256: z.string().regex(/^[0-9a-f]{64}$/) });

/** A time of a file system may be this coarse: what was changed shortly before it was read may have been changed again since. */
const COARSE_MS = 2500;

/**
 * SHA-256 of a file, 64 hexadecimal digits. What was found is kept in `cacheFolder` with the file's device, number, size and times, and believed while
 * these are the same. Throws a usage error where the file cannot be read.
 */
export async function fileDigest(path: string, cacheFolder: string): Promise<string> {
  const identity = await identityOf(path);
  const kept = join(cacheFolder, "digests", `${sha256(path)}.json`);
  const known = await readKept(kept, identity.changedMs);
  if (known?.identity === identity.text) return known.sha256;

  const hash = createHash("sha256");
  try {
    await pipeline(createReadStream(path), hash);
  } catch (error) {
    throw cannotRead(path, error);
  }
  const digest = hash.digest("hex");
  if ((await identityOf(path)).text !== identity.text) throw cannotRead(path, new Error("it was changed while it was read"));
  await mkdir(join(cacheFolder, "digests"), { recursive: true });
  await writeFileAtomic(kept, `${JSON.stringify({ identity: identity.text, sha256: digest })}\n`);
  return digest;
}

async function identityOf(path: string): Promise<{ readonly text: string; readonly changedMs: number }> {
  try {
    const { dev, ino, size, mtimeNs, ctimeNs, ctimeMs } = await stat(path, { bigint: true });
    return { text: [dev, ino, size, mtimeNs, ctimeNs].join(" "), changedMs: Number(ctimeMs) };
  } catch (error) {
    throw cannotRead(path, error);
  }
}

/** Believed only where it was written well after the file was changed last. */
async function readKept(path: string, changedMs: number): Promise<z.infer<typeof Kept> | undefined> {
  try {
    const { mtimeMs } = await stat(path);
    return mtimeMs - changedMs < COARSE_MS ? undefined : Kept.parse(JSON.parse(await readFile(path, "utf8")));
  } catch {
    return undefined;
  }
}

function cannotRead(path: string, error: unknown): HiperisoError {
  return new HiperisoError({ what: "read a source file of the spec", where: path, found: reasonOf(error), kind: "usage", cause: error });
}
