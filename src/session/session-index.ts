/** `index.jsonl`: one compact JSON object a line, one line a session (CONTRACT section 4). */
import { type FileHandle, open, readFile } from "node:fs/promises";
import { join } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { INDEX_FILE, type IndexLine, indexLineSchema } from "../contract/session.ts";
import { writeHint } from "../host/atomic-file.ts";
import { withDirectoryLock } from "../host/lock.ts";

export interface IndexContent {
  readonly lines: readonly IndexLine[];
  /** Numbers, from 1, of lines that are no index lines: cut by a power failure, or written by something else. */
  readonly unreadable: readonly number[];
}

export async function readIndex(logDirectory: string): Promise<IndexContent> {
  let content: string;
  try {
    content = await readFile(join(logDirectory, INDEX_FILE), "utf8");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return { lines: [], unreadable: [] };
    throw new HiperisoError({
      what: "read the index of sessions",
      where: join(logDirectory, INDEX_FILE),
      found: reasonOf(error),
      cause: error,
    });
  }
  const lines: IndexLine[] = [];
  const unreadable: number[] = [];
  content.split("\n").forEach((text, index) => {
    if (text === "") return;
    const line = parseIndexLine(text);
    if (line === undefined) unreadable.push(index + 1);
    else lines.push(line);
  });
  return { lines, unreadable };
}

function parseIndexLine(text: string): IndexLine | undefined {
  try {
    return indexLineSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/**
 * Appends a session's line unless the session has one. Exactly one whole line, whatever else is ending at the same
 * moment: writers take turns, a line is written at once, and what a full disk cut off is taken back.
 */
export async function appendIndexLine(logDirectory: string, line: IndexLine, signal: AbortSignal): Promise<void> {
  await withDirectoryLock(logDirectory, signal, async () => {
    const path = join(logDirectory, INDEX_FILE);
    const file = await open(path, "a+");
    try {
      const content = await file.readFile("utf8");
      if (content.split("\n").some((text) => parseIndexLine(text)?.session_id === line.session_id)) return;
      await mendTail(file, content);
      await appendWhole(file, `${JSON.stringify(line)}\n`, path);
    } finally {
      await file.close();
    }
  });
}

/** A last line without its end was cut while it was written: whole, it gets its end; in part, it goes. Its session is indexed again. */
async function mendTail(file: FileHandle, content: string): Promise<void> {
  const lastLine = content.slice(content.lastIndexOf("\n") + 1);
  if (lastLine === "") return;
  if (parseIndexLine(lastLine) !== undefined) await file.write("\n");
  else await file.truncate(Buffer.byteLength(content) - Buffer.byteLength(lastLine));
}

async function appendWhole(file: FileHandle, text: string, where: string): Promise<void> {
  const { size } = await file.stat();
  try {
    const { bytesWritten } = await file.write(text);
    if (bytesWritten < Buffer.byteLength(text)) throw Object.assign(new Error("no space left on the device"), { code: "ENOSPC" });
    await file.sync();
  } catch (error) {
    await file.truncate(size).catch(() => {});
    throw new HiperisoError({ what: "add the session to the index", where, found: reasonOf(error), hint: writeHint(error), cause: error });
  }
}
