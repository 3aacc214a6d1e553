/**
 * Much data past the kernel's page cache (open(2), O_DIRECT): a disk is as fast then as it is, the computer's memory is left to others, and what is read comes
 * from the medium. The kernel asks that memory, place and length are multiples of the disk's blocks, so it takes memory of its own kind: `takeAligned`. Whatever
 * cannot go this way, on a file system that knows none or in other memory, goes the usual one: both see the same bytes.
 */
import { read, write } from "node:fs";
import { constants, type FileHandle, open } from "node:fs/promises";

/** The largest logical block of disks that are sold. */
const BLOCK_BYTES = 4096;
const WASM_PAGE_BYTES = 65_536;

/** Of memory that `takeAligned` gives, at most. */
export const ALIGNED_BYTES_MAX = 4 << 20;

// The one kind of memory of JavaScript that is known to start at a page.
declare const WebAssembly: {
  readonly Memory: new (pages: { readonly initial: number; readonly maximum: number }) => { readonly buffer: ArrayBuffer };
};

const aligned = new WeakSet<ArrayBufferLike>();
/** Memory of this kind is dear to make and small in number: it is used again. */
const free: Uint8Array[] = [];

/** Up to `ALIGNED_BYTES_MAX` bytes of any content. Who gives them back with `giveBack` must have nothing in flight on them. */
export function takeAligned(lengthBytes: number): Uint8Array {
  if (lengthBytes > ALIGNED_BYTES_MAX) throw new RangeError(`${lengthBytes} bytes of aligned memory`);
  const piece = free.pop() ?? newPiece();
  return piece.subarray(0, lengthBytes);
}

export function giveBack(bytes: Uint8Array): void {
  if (aligned.has(bytes.buffer)) free.push(new Uint8Array(bytes.buffer));
}

function newPiece(): Uint8Array {
  const pages = ALIGNED_BYTES_MAX / WASM_PAGE_BYTES;
  try {
    const { buffer } = new WebAssembly.Memory({ initial: pages, maximum: pages });
    aligned.add(buffer);
    return new Uint8Array(buffer);
  } catch {
    return new Uint8Array(ALIGNED_BYTES_MAX); // address space is limited here (ulimit -v): it goes the usual way then
  }
}

/** A second way into a file or disk that is open. Does not own that. */
export class DirectFile implements AsyncDisposable {
  readonly #fd: number;
  readonly #access: number;
  #opened: Promise<FileHandle | undefined> | undefined;
  #refused = false;

  /** `fd` stays open as long as this is used. */
  constructor(fd: number, access: "read" | "read and write") {
    this.#fd = fd;
    this.#access = access === "read" ? constants.O_RDONLY : constants.O_RDWR;
  }

  /** As read(2), and undefined where it has to be done the usual way. */
  async read(into: Uint8Array, position: bigint): Promise<number | undefined> {
    return await this.#transfer(read, into, position);
  }

  /** As write(2), and undefined where it has to be done the usual way: nothing was written then. */
  async write(bytes: Uint8Array, position: bigint): Promise<number | undefined> {
    return await this.#transfer(write, bytes, position);
  }

  async #transfer(call: Transfer, bytes: Uint8Array, position: bigint): Promise<number | undefined> {
    const fits =
      aligned.has(bytes.buffer) && [bytes.byteOffset, bytes.length, Number(position)].every((value) => value % BLOCK_BYTES === 0);
    if (this.#refused || !fits || bytes.length === 0) return undefined;
    // By its descriptor: its name may be another file's by now.
    this.#opened ??= open(`/proc/self/fd/${this.#fd}`, this.#access | constants.O_DIRECT).catch(() => undefined);
    const file = await this.#opened;
    this.#refused = file === undefined;
    if (file === undefined) return undefined;
    return await new Promise((resolve, reject) => {
      call(file.fd, bytes, 0, bytes.length, Number(position), (error, count) => {
        if (error === null) return resolve(count);
        if (error.code !== "EINVAL" && error.code !== "EOPNOTSUPP") return reject(error);
        this.#refused = true;
        resolve(undefined);
      });
    });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await (await this.#opened)?.close();
  }
}

type Transfer = (
  fd: number,
  bytes: Uint8Array,
  from: number,
  lengthBytes: number,
  position: number,
  done: (error: NodeJS.ErrnoException | null, count: number) => void,
) => void;
