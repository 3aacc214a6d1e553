/**
 * A job: one boot of a matrix, with all that is needed to run it. Plain data that stands for itself, so that it can be run here or be
 * sent to another computer that has the image.
 */
import type { Expectation } from "../contract/suite.ts";
import type { Script } from "./script.ts";

/** What a job takes of the computer while it runs. */
export interface Needs {
  /** MB of 2^20 bytes, what QEMU needs beside the guest's memory counted in. */
  readonly memoryMb: number;
  readonly processors: number;
}

export interface BootJob {
  /** Unique in its matrix, and the same as long as the file is: `demo.iso firmware=uefi ram=512`. */
  readonly id: string;
  readonly test: string;
  /** Absolute; null where a kernel alone is booted. */
  readonly image: string | null;
  /** The words of `hiperiso boot` behind the image, paths absolute. */
  readonly words: readonly string[];
  readonly script: Script | null;
  readonly expect: Expectation;
  readonly needs: Needs;
  /** What tells this job from the others of its test, by key. */
  readonly settings: Readonly<Record<string, string>>;
}
