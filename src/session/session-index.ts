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
  return decodeIndex(content);
}

/** Of text that came from anywhere. */
export function decodeIndex(content: string): IndexContent {
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
      const content = await file.readFile();
      if (holdsSession(content.toString("utf8"), line.session_id)) return;
      await mendTail(file, content);
      await appendWhole(file, `${JSON.stringify(line)}\n`, path);
    } finally {
      await file.close();
    }
  });
}

/** The cheap look first: an index may hold many thousand lines. */
const holdsSession = (content: string, id: string): boolean =>
  content.split("\n").some((text) => text.includes(JSON.stringify(id)) && parseIndexLine(text)?.session_id === id);

/**
 * A last line without its end was cut while it was written: whole, it gets its end; in part, it goes. Its session is indexed again.
 * Half of a JSON object is never JSON; a line that another version wrote is, and stays.
 */
async function mendTail(file: FileHandle, content: Buffer): Promise<void> {
  const start = content.lastIndexOf(0x0a) + 1;
  if (start === content.length) return;
  if (isJson(content.toString("utf8", start))) await file.write("\n");
  else await file.truncate(start);
}

function isJson(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false;
  }
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
