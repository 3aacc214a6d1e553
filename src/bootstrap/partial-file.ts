/**
 * A distfile that is being downloaded: written under a name of its own, summed as it grows, and given its final name when it is whole.
 * What cannot be finished is kept under a name that a later download finds. The names are in `distfiles.ts`.
 *
 * No two processes ever write the same file: what was kept is taken over by a rename, which only one of them can do.
 */
import { createHash, type Hash, randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { syncDirectory } from "../host/atomic-file.ts";
import { isAlive, ownIdentity, type ProcessIdentity } from "../host/process-identity.ts";
import { chunksOf, isPartialName } from "./distfiles.ts";
import { spaceHint } from "./payload/space-hint.ts";

/** Where the first bytes came from. */
export interface PartialOrigin {
  readonly url: string;
  /** A strong ETag, or the date of the last change. */
  readonly validator: string;
}

/** Enough to see that a page came instead of a file. */
const HEAD_BYTES = 2048;
const ORIGIN_BYTES_MAX = 16_384;

export class PartialFile implements AsyncDisposable {
  readonly #folder: string;
  readonly #sha256: string;
  readonly #path: string;
  readonly #file: FileHandle;
  #hash: Hash = createHash("sha256");
  #sizeBytes = 0;
  #head: Uint8Array = new Uint8Array(0);
  #origin: PartialOrigin | undefined;
  #isKept = true;

  private constructor(folder: string, sha256: string, path: string, file: FileHandle) {
    [this.#folder, this.#sha256, this.#path, this.#file] = [folder, sha256, path, file];
  }

  /** Goes on with what an earlier download kept, or starts empty. */
  static async open(folder: string, sha256: string, signal: AbortSignal): Promise<PartialFile> {
    const path = join(folder, `.hiperiso-${sha256}.${randomBytes(4).toString("hex")}.${ownerTag()}.tmp`);
    const kept = await rename(keptPath(folder, sha256), path).then(
      // Anything but a plain file there is none of ours.
      () => open(path, constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK).catch(() => rm(path, { recursive: true })),
      () => undefined,
    );
    const file = kept ?? (await writing(path, () => open(path, "wx+", 0o644)));
    const partial = new PartialFile(folder, sha256, path, file);
    if (kept !== undefined) await partial.#takeOver(signal);
    return partial;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** The first bytes, at most 2,048. */
  get head(): Uint8Array {
    return this.#head;
  }

  get origin(): PartialOrigin | undefined {
    return this.#origin;
  }

  /** SHA-256 of what is there so far. */
  sum(): string {
    return this.#hash.copy().digest("hex");
  }

  /** Where what follows comes from, where that can be told apart from a later file under the same address. */
  comesFrom(origin: PartialOrigin | undefined): void {
    this.#origin = origin;
  }

  async append(bytes: Uint8Array): Promise<void> {
    await writing(this.#path, async () => {
      try {
        for (let at = 0; at < bytes.length; ) {
          const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at, this.#sizeBytes + at);
          at += bytesWritten;
        }
      } catch (error) {
        // Half a file would keep a full disk full.
        this.discard();
        throw error;
      }
    });
    this.#count(bytes);
  }

  /** Throws everything away and starts again. */
  async clear(): Promise<void> {
    await writing(this.#path, () => this.#file.truncate(0));
    this.#hash = createHash("sha256");
    this.#sizeBytes = 0;
    this.#head = new Uint8Array(0);
    this.#origin = undefined;
  }

  /** What is there so far. Nothing may be appended meanwhile. */
  chunks(signal: AbortSignal): AsyncGenerator<Uint8Array> {
    return chunksOf(this.#file, signal);
  }

  /** Disposing of it removes it. */
  discard(): void {
    this.#isKept = false;
  }

  /** Gives it its final name, durably. Throws where another program has taken it away meanwhile. */
  async commit(name: string): Promise<void> {
    const path = join(this.#folder, name);
    await writing(path, async () => {
      await this.#file.sync();
      await rename(this.#path, path);
    });
    this.#isKept = false;
    await rm(originPath(this.#folder, this.#sha256), { force: true }).catch(() => {});
    await syncDirectory(this.#folder);
  }

  /** Without `commit` or `discard`: kept for a later download, with where it came from. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#file.close().catch(() => {});
    const kept = keptPath(this.#folder, this.#sha256);
    try {
      const before = (await stat(kept).catch(() => undefined))?.size ?? 0;
      if (!this.#isKept || this.#sizeBytes <= before) return await rm(this.#path, { force: true });
      await keepOrigin(this.#folder, this.#sha256, this.#origin);
      await rename(this.#path, kept);
    } catch {
      // A full or read-only disk; why nothing was downloaded is said by what failed first.
      await rm(this.#path, { force: true }).catch(() => {});
    }
  }

  async #takeOver(signal: AbortSignal): Promise<void> {
    try {
      this.#origin = await readOrigin(this.#folder, this.#sha256);
      for await (const chunk of chunksOf(this.#file, signal)) this.#count(chunk);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    }
  }

  #count(bytes: Uint8Array): void {
    this.#hash.update(bytes);
    this.#sizeBytes += bytes.length;
    if (this.#head.length < HEAD_BYTES) {
      this.#head = Uint8Array.from([...this.#head, ...bytes.subarray(0, HEAD_BYTES - this.#head.length)]);
    }
  }
}

const keptPath = (folder: string, sha256: string): string => join(folder, `.hiperiso-${sha256}.part`);
const originPath = (folder: string, sha256: string): string => `${keptPath(folder, sha256)}.json`;

/** What is wrong with this computer ends everything: the next place would fail alike. */
async function writing<T>(where: string, act: () => Promise<T>): Promise<T> {
  try {
    return await act();
  } catch (error) {
    throw new HiperisoError({ what: "write a distfile", where, found: reasonOf(error), hint: spaceHint(error), cause: error });
  }
}

/** Lost, it costs one condition in a request; so nothing is synced. */
async function keepOrigin(folder: string, sha256: string, origin: PartialOrigin | undefined): Promise<void> {
  const path = originPath(folder, sha256);
  await rm(path, { force: true });
  if (origin === undefined) return;
  await using file = await open(path, "wx", 0o644);
  await file.writeFile(JSON.stringify(origin));
}

async function readOrigin(folder: string, sha256: string): Promise<PartialOrigin | undefined> {
  try {
    const path = originPath(folder, sha256);
    if ((await stat(path)).size > ORIGIN_BYTES_MAX) return undefined;
    const { url, validator } = JSON.parse(await readFile(path, "utf8")) as Partial<Record<string, unknown>>;
    // It goes into a header.
    const isOrigin = typeof url === "string" && typeof validator === "string" && /^[\x20-\x7e]{1,1024}$/.test(validator);
    return isOrigin ? { url, validator } : undefined;
  } catch {
    return undefined;
  }
}

const TEMPORARY = /^\.hiperiso-([0-9a-f]{64})\.[0-9a-f]{8}\.(\d+)-(\d+)-([0-9a-f_]+)\.tmp$/;

function ownerTag(): string {
  const { pid, pid_start_ticks, boot_id } = ownIdentity();
  return `${pid}-${pid_start_ticks}-${boot_id.replaceAll("-", "_")}`;
}

function ownerOf(name: string): ({ readonly sha256: string } & ProcessIdentity) | undefined {
  const [, sha256, pid, ticks, boot] = TEMPORARY.exec(name) ?? [];
  if (sha256 === undefined || pid === undefined || ticks === undefined || boot === undefined) return undefined;
  return { sha256, pid: Number(pid), pid_start_ticks: ticks, boot_id: boot.replaceAll("_", "-") };
}

/** Keeps for a later download what processes left behind that were killed. */
export async function adoptOrphans(folder: string): Promise<void> {
  for (const name of (await readdir(folder)).filter(isPartialName)) {
    const owner = ownerOf(name);
    if (owner === undefined || isAlive(owner)) continue;
    const [path, kept] = [join(folder, name), keptPath(folder, owner.sha256)];
    const [left, before] = await Promise.all([path, kept].map(async (file) => (await stat(file).catch(() => undefined))?.size ?? 0));
    // Whatever goes wrong here costs a download that starts from the beginning.
    if (left! > before!) await rename(path, kept).catch(() => {});
    else await rm(path, { force: true }).catch(() => {});
  }
}

/** Removes what was kept of a file that is there by now. */
export async function forgetPartial(folder: string, sha256: string): Promise<void> {
  for (const path of [keptPath(folder, sha256), originPath(folder, sha256)]) {
    await rm(path, { force: true }).catch(() => {});
  }
}
