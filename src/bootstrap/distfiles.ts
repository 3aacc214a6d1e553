/**
 * The folder of distfiles: source files by name, each with a known SHA-256. What stands there is believed only when its sum is right.
 *
 *   NAME                                      a distfile, or a stray
 *   .hiperiso-SHA256.part, .part.json         the first bytes of one, and where they came from: a later download goes on from there
 *   .hiperiso-SHA256.RANDOM.PID-…-BOOT.tmp    being written by that process
 */
import { createHash } from "node:crypto";
import { constants, type Stats } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import type { Job } from "../contract/job.ts";
import type { Distfile } from "./source-list.ts";

/** What a folder of distfiles holds beside distfiles while they are downloaded. Never copied, served or listed. */
export const isPartialName = (name: string): boolean => name.startsWith(".hiperiso-");

export type DistfileState = "good" | "damaged" | "missing";

export interface DistfileFinding {
  readonly name: string;
  readonly state: DistfileState;
  /** The sum that it has to have. */
  readonly sha256: string;
  /** Of what stands there; absent where that is no file. */
  readonly sizeBytes?: number;
  /** Where it is damaged: the sum that it has, or what stands there instead of a file. */
  readonly found?: string;
}

/**
 * Reads every file of `distfiles` that is there, whole, and says what it is worth. In the order of `distfiles`. Throws where `folder` or a
 * file in it cannot be read; a folder that is not there holds nothing.
 */
export async function inspectDistfiles(
  folder: string,
  distfiles: readonly Pick<Distfile, "name" | "sha256">[],
  job: Job,
): Promise<readonly DistfileFinding[]> {
  const found = await Promise.all(distfiles.map(({ name }) => statOf(folder, name)));
  const total = found.reduce((sum, stats) => sum + BigInt(stats?.isFile() === true ? stats.size : 0), 0n);
  const step = job.progress.begin("check distfiles", total);
  try {
    const findings: DistfileFinding[] = [];
    for (const [index, { name, sha256 }] of distfiles.entries()) {
      findings.push(await inspect(folder, name, sha256, found[index], job.signal, (bytes) => step.advance(bytes)));
    }
    return findings;
  } finally {
    step.end();
  }
}

async function inspect(
  folder: string,
  name: string,
  sha256: string,
  stats: Stats | undefined,
  signal: AbortSignal,
  advance: (bytes: number) => void,
): Promise<DistfileFinding> {
  if (stats === undefined) return { name, sha256, state: "missing" };
  if (!stats.isFile()) return { name, sha256, state: "damaged", found: stats.isDirectory() ? "a folder" : "no file" };
  const { sum, sizeBytes } = await readSum(join(folder, name), signal, advance);
  if (sum === sha256) return { name, sha256, state: "good", sizeBytes };
  return { name, sha256, state: "damaged", sizeBytes, found: sum };
}

/** Symbolic links are followed, as everybody who reads a distfile does; one that leads nowhere is a file that is missing. */
async function statOf(folder: string, name: string): Promise<Stats | undefined> {
  checkName(name);
  try {
    return await stat(join(folder, name));
  } catch (error) {
    if (["ENOENT", "ENOTDIR", "ELOOP"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw unreadable(join(folder, name), error);
  }
}

/** `parseSources` lets no other name through; a caller that makes names itself fails here and not outside of the folder. */
export function checkName(name: string): void {
  const bad = name === "" || name === "." || name === ".." || /[/\\\0-\x1f\x7f]/.test(name) || isPartialName(name);
  if (!bad) return;
  throw new HiperisoError({
    what: "use a distfile",
    where: JSON.stringify(name),
    expected: "a file name that is not a path",
    found: isPartialName(name) ? "a name that is kept for half files" : "something else",
    kind: "usage",
  });
}

const CHUNK_BYTES = 1 << 20;

async function readSum(path: string, signal: AbortSignal, advance: (bytes: number) => void): Promise<{ sum: string; sizeBytes: number }> {
  try {
    // A named pipe that took the file's place since it was looked at would wait for ever.
    await using file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    const hash = createHash("sha256");
    let sizeBytes = 0;
    for await (const chunk of chunksOf(file, signal)) {
      hash.update(chunk);
      sizeBytes += chunk.length;
      advance(chunk.length);
    }
    return { sum: hash.digest("hex"), sizeBytes };
  } catch (error) {
    if (signal.aborted) throw signal.reason;
    throw unreadable(path, error);
  }
}

/** The bytes of a file from its start. A chunk is valid until the next one is asked for. */
export async function* chunksOf(file: FileHandle, signal: AbortSignal): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(CHUNK_BYTES);
  for (let position = 0; ; ) {
    signal.throwIfAborted();
    const { bytesRead } = await file.read(buffer, 0, buffer.length, position);
    if (bytesRead === 0) return;
    position += bytesRead;
    yield buffer.subarray(0, bytesRead);
  }
}

const unreadable = (where: string, error: unknown): HiperisoError =>
  new HiperisoError({ what: "check a distfile", where, found: reasonOf(error), cause: error });

export interface DistfileFact {
  readonly present: boolean;
  /** Absent where it is not there. */
  readonly sizeBytes?: number;
  /** Its sum is right. False also where nobody looked. */
  readonly verified: boolean;
}

/** Of each of `distfiles`, by name, whether it is there and how large. Only with `verify` are the files read, which takes seconds. */
export async function distfileFacts(
  folder: string,
  distfiles: readonly Pick<Distfile, "name" | "sha256">[],
  { verify }: { readonly verify: boolean },
  job: Job,
): Promise<ReadonlyMap<string, DistfileFact>> {
  if (verify) {
    const findings = await inspectDistfiles(folder, distfiles, job);
    return new Map(
      findings.map(({ name, state, sizeBytes }) => [
        name,
        { present: sizeBytes !== undefined, verified: state === "good", ...(sizeBytes === undefined ? {} : { sizeBytes }) },
      ]),
    );
  }
  const entries = distfiles.map(async ({ name }): Promise<readonly [string, DistfileFact]> => {
    const stats = await statOf(folder, name);
    return [
      name,
      stats?.isFile() === true ? { present: true, sizeBytes: stats.size, verified: false } : { present: false, verified: false },
    ];
  });
  return new Map(await Promise.all(entries));
}

/** Sizes of all plain files in `folder`, strays among them, by name; nothing where there is no such folder. Half downloads do not count. */
export async function distfileSizes(folder: string): Promise<ReadonlyMap<string, number>> {
  let names: readonly string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return new Map();
    throw new HiperisoError({ what: "read the folder of distfiles", where: folder, found: reasonOf(error), cause: error });
  }
  const sizes = new Map<string, number>();
  for (const name of names.filter((candidate) => !isPartialName(candidate)).sort()) {
    const stats = await stat(join(folder, name)).catch(() => undefined);
    if (stats?.isFile() === true) sizes.set(name, stats.size);
  }
  return sizes;
}
