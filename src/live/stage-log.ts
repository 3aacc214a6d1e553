/** The log of one stage: what it ran, and what that said, as it came. */
import { closeSync, openSync, writeSync } from "node:fs";

export interface StageLog {
  /** Absolute. */
  readonly path: string;
  /** Behind all else, at once. Never throws: a log that cannot be kept (a full disk) must not be what ends a stage. */
  append(text: string | Uint8Array): void;
}

export interface OpenStageLog extends StageLog, Disposable {
  /** The last lines, at most `count`, none where there is nothing, also of a log that could not be kept. */
  lastLines(count: number): readonly string[];
}

/** Enough for any lines that are shown to a person. */
const TAIL_BYTES = 16 * 1024;

/** A new file at `path`, or at least the memory of its end where none can be made. */
export function openStageLog(path: string): OpenStageLog {
  let file = tryOpen(path);
  let tail = "";
  const decoder = new TextDecoder();
  return {
    path,
    append(text) {
      const bytes = typeof text === "string" ? new TextEncoder().encode(text) : text;
      tail = (tail + decoder.decode(bytes, { stream: true })).slice(-TAIL_BYTES);
      try {
        // A write may take less than it was given.
        for (let at = 0; file !== undefined && at < bytes.length; ) at += writeSync(file, bytes, at);
      } catch {
        // Full, or its device is gone. The end is still known.
      }
    },
    lastLines: (count) => (tail.trim() === "" ? [] : tail.trimEnd().split("\n").slice(-count)),
    [Symbol.dispose]() {
      if (file !== undefined) closeSync(file);
      file = undefined;
    },
  };
}

function tryOpen(path: string): number | undefined {
  try {
    return openSync(path, "a", 0o644);
  } catch {
    return undefined;
  }
}
