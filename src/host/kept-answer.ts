import { readFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { writeFileAtomic } from "./atomic-file.ts";
import { withDirectoryLock } from "./lock.ts";
import { makeFolders } from "./make-folders.ts";

/** An answer that costs a start of QEMU, kept in a file for as long as what it rests on stays the same. */
export interface KeptAnswer<T> {
  /** Made when missing. Where that fails, the answer is not kept and everything else works. */
  readonly folder: string;
  /** Name of the file in it. */
  readonly name: string;
  /** All that the answer rests on: with another basis, the answer is no longer good. */
  readonly basis: readonly string[];
  readonly schema: z.ZodType<T>;
  /** Whether a kept answer is still good, and whether a new one is worth keeping. */
  readonly holds: (answer: T) => boolean;
  readonly signal: AbortSignal;
}

/** The kept answer, or what `ask` says. Programs that start together ask once; the others wait for that answer. */
export async function keptOr<T>(kept: KeptAnswer<T>, ask: () => Promise<T>): Promise<T> {
  const before = await readKept(kept);
  if (before !== undefined) return before;
  return await withFolderLock(kept, async () => {
    const meanwhile = await readKept(kept);
    if (meanwhile !== undefined) return meanwhile;
    const answer = await ask();
    await keep(kept, answer);
    return answer;
  });
}

/** A broken, foreign or outdated file is no answer, and no error. */
async function readKept<T>({ folder, name, basis, schema, holds }: KeptAnswer<T>): Promise<T | undefined> {
  try {
    const file = z.object({ basis: z.array(z.string()), answer: schema }).parse(JSON.parse(await readFile(join(folder, name), "utf8")));
    const same = file.basis.length === basis.length && file.basis.every((part, at) => part === basis[at]);
    return same && holds(file.answer) ? file.answer : undefined;
  } catch {
    return undefined;
  }
}

/** Replaces the kept answer. What cannot be kept is asked again the next time. */
export async function keep<T>({ folder, name, basis, holds }: KeptAnswer<T>, answer: T): Promise<void> {
  if (!holds(answer)) return;
  try {
    await makeFolders(folder);
    await writeFileAtomic(join(folder, name), `${JSON.stringify({ basis, answer })}\n`);
  } catch {
    // A full disk, or a home folder that is read-only.
  }
}

async function withFolderLock<T>({ folder, signal }: KeptAnswer<T>, use: () => Promise<T>): Promise<T> {
  let locked = false;
  try {
    await makeFolders(folder);
    return await withDirectoryLock(folder, signal, () => {
      locked = true;
      return use();
    });
  } catch (error) {
    if (locked || signal.aborted) throw error;
    return await use(); // No folder to lock: asked without waiting for others.
  }
}
