/**
 * SHA-256 of much data that has other ways to go meanwhile. A processor reckons about a gigabyte a second, which is what a disk takes: so what is large is
 * reckoned in a thread of its own.
 */
import { createHash, type Hash } from "node:crypto";
import { Worker } from "node:worker_threads";
import { HiperisoError, reasonOf } from "../contract/error.ts";

export interface StreamHash extends AsyncDisposable {
  /** The piece is the caller's again when this is over. */
  update(piece: Uint8Array): Promise<void>;
  /** Of all pieces, 64 hexadecimal digits. Once, at the end. */
  digest(): Promise<string>;
}

/** Below it a thread costs more than it saves. */
const THREAD_BYTES_MIN = 64n << 20n;

export const sha256Stream = (sizeBytes: bigint): StreamHash => (sizeBytes < THREAD_BYTES_MIN ? new PlainHash() : new ThreadHash());

class PlainHash implements StreamHash {
  readonly #hash: Hash = createHash("sha256");

  async update(piece: Uint8Array): Promise<void> {
    this.#hash.update(piece);
  }

  async digest(): Promise<string> {
    return this.#hash.digest("hex");
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

const SLOT_BYTES = 1 << 20;
const SLOTS = 4;

/** Text, not a file: it works from a bundle, too. The slots are shared memory; a number of bytes is a slot's content, `null` asks for the sum. */
const THREAD = `
const { parentPort, workerData } = require("node:worker_threads");
const hash = require("node:crypto").createHash("sha256");
parentPort.on("message", ({ slot, bytes }) => {
  if (bytes === null) parentPort.postMessage({ sum: hash.digest("hex") });
  else {
    hash.update(new Uint8Array(workerData, slot * ${SLOT_BYTES}, bytes));
    parentPort.postMessage({ slot });
  }
});
`;

type Answer = { readonly slot: number } | { readonly sum: string };

class ThreadHash implements StreamHash {
  readonly #memory = new SharedArrayBuffer(SLOT_BYTES * SLOTS);
  readonly #thread = new Worker(THREAD, { eval: true, workerData: this.#memory });
  readonly #free: number[] = Array.from({ length: SLOTS }, (_, slot) => slot);
  #sum: string | undefined;
  #fault: HiperisoError | undefined;
  #wake: () => void = () => {};

  constructor() {
    this.#thread.on("message", (answer: Answer) => {
      if ("slot" in answer) this.#free.push(answer.slot);
      else this.#sum = answer.sum;
      this.#wake();
    });
    const ended = (cause: unknown): void => {
      this.#fault ??= new HiperisoError({ what: "reckon a SHA-256", found: reasonOf(cause), cause });
      this.#wake();
    };
    this.#thread.once("error", ended);
    this.#thread.once("exit", () => ended(new Error("its thread has ended")));
    // A program that is aborted ends without it.
    this.#thread.unref();
  }

  async update(piece: Uint8Array): Promise<void> {
    for (let done = 0; done < piece.length; done += SLOT_BYTES) {
      const part = piece.subarray(done, done + SLOT_BYTES);
      const slot = await this.#until(() => this.#free.pop());
      new Uint8Array(this.#memory, slot * SLOT_BYTES, part.length).set(part);
      this.#thread.postMessage({ slot, bytes: part.length });
    }
  }

  async digest(): Promise<string> {
    this.#thread.postMessage({ slot: 0, bytes: null });
    return await this.#until(() => this.#sum);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#thread.terminate();
  }

  /** One waits at a time. Throws where the thread has ended. */
  async #until<T>(found: () => T | undefined): Promise<T> {
    this.#thread.ref();
    try {
      for (;;) {
        const answer = found();
        if (answer !== undefined) return answer;
        if (this.#fault !== undefined) throw this.#fault;
        await new Promise<void>((wake) => {
          this.#wake = wake;
        });
      }
    } finally {
      this.#thread.unref();
    }
  }
}
