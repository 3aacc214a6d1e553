/** Whether a container is whole, whether importers will take it, and whether its files are the ones that a list of checksums names. */
import { createHash } from "node:crypto";
import type { Job } from "../../contract/job.ts";
import {
  compareBytes,
  decodePayload,
  PAYLOAD_PAD_BYTES,
  PayloadDamage,
  type PayloadEntry,
  type PayloadWidth,
  payloadNameProblem,
} from "../../formats/lbpayld1.ts";
import { type DiskNumber, diskNumber } from "../../image/image-facts.ts";
import type { Checksums } from "./checksums.ts";
import type { PayloadInput } from "./input.ts";
import { checkEntryCount } from "./list.ts";

/** Names stand here as in the container, what is not UTF-8 replaced: whoever prints them escapes them. */
export interface PayloadReport {
  readonly name: string;
  /** It is whole, an importer will take it, and it is what the list says. */
  readonly good: boolean;
  /** Undefined where not even the first entry could be read. */
  readonly width: PayloadWidth | undefined;
  /** Those whose names could be read. */
  readonly files: readonly CheckedFile[];
  /** In the list and not in the container. */
  readonly missing: readonly string[];
  /** What an importer refuses, and where. */
  readonly problems: readonly PayloadRemark[];
  /** What importers take and a person may want to know. */
  readonly notes: readonly PayloadRemark[];
  /** Behind the last file; undefined where it was not reached. */
  readonly endOffset: DiskNumber | undefined;
  /** With what stands behind the last file. */
  readonly sizeBytes: DiskNumber | undefined;
}

export interface CheckedFile {
  readonly name: string;
  readonly sizeBytes: DiskNumber;
  /** Where a list was given and the file is all there. */
  readonly sha256: string | undefined;
  /** `unlisted`: the list does not name it. `not compared`: no list was given, or the file is cut short. */
  readonly verdict: "same" | "different" | "unlisted" | "not compared";
}

export interface PayloadRemark {
  readonly offset: DiskNumber;
  readonly text: string;
}

export interface VerifyOptions {
  readonly checksums?: Checksums | undefined;
  /** The list may name more than the container has: all sources, where the container has the late ones. */
  readonly ignoreMissing?: boolean | undefined;
}

/** Reads the structure, what stands behind it, and with a list every file. Throws only where the medium cannot be read. */
export async function verifyPayload(input: PayloadInput, { checksums, ignoreMissing }: VerifyOptions, job: Job): Promise<PayloadReport> {
  const files: CheckedFile[] = [];
  const remarks = new Remarks();
  let width: PayloadWidth | undefined;
  let ends: { readonly endOffset: DiskNumber; readonly sizeBytes: DiskNumber } | undefined;
  const step = job.progress.begin(`check ${input.name}`, input.sizeBytes);
  try {
    for await (const entry of decodePayload(input.feed, input.name)) {
      job.signal.throwIfAborted();
      checkEntryCount(entry.index + 1, input.name);
      width = entry.head.width;
      remarks.entry(entry);
      files.push(await checkedFile(entry, input, checksums, job));
      step.advance(Number(entry.dataOffset + entry.sizeBytes - entry.headerOffset));
    }
    ends = await readTrailing(input, remarks, job, (bytes) => step.advance(bytes));
  } catch (error) {
    if (!(error instanceof PayloadDamage)) throw error;
    remarks.problem(input.feed.offset, `expected ${error.expected}, found ${error.found}`);
  } finally {
    step.end();
  }
  const names = new Set(files.map(({ name }) => name));
  const missing = [...(checksums?.keys() ?? [])].filter((name) => !names.has(name));
  const isAsListed =
    files.every(({ verdict }) => verdict === "same" || verdict === "not compared") && (ignoreMissing === true || missing.length === 0);
  return {
    name: input.name,
    good: remarks.problems.length === 0 && isAsListed,
    width,
    files,
    missing,
    problems: remarks.problems,
    notes: remarks.notes,
    endOffset: ends?.endOffset,
    sizeBytes: ends?.sizeBytes,
  };
}

/** What there is to say, entry by entry. */
class Remarks {
  readonly problems: PayloadRemark[] = [];
  readonly notes: PayloadRemark[] = [];
  /** By latin1, which keeps names apart that are not UTF-8. */
  readonly #names = new Set<string>();
  #before: Uint8Array | undefined;
  #isSorted = true;

  entry({ nameBytes, headerOffset }: PayloadEntry): void {
    const key = Buffer.from(nameBytes).toString("latin1");
    const problem = payloadNameProblem(nameBytes) ?? (this.#names.has(key) ? "a name that an earlier entry has" : undefined);
    if (problem !== undefined) this.problem(headerOffset, `${problem}: ${nameOf(nameBytes)}`);
    this.#names.add(key);
    if (this.#isSorted && this.#before !== undefined && compareBytes(this.#before, nameBytes) > 0) {
      this.#isSorted = false;
      this.note(headerOffset, `from ${nameOf(nameBytes)} on the names are not in the order of their bytes`);
    }
    this.#before = nameBytes;
  }

  problem(offset: bigint, text: string): void {
    this.problems.push({ offset: diskNumber(offset), text });
  }

  note(offset: bigint, text: string): void {
    this.notes.push({ offset: diskNumber(offset), text });
  }
}

const nameOf = (bytes: Uint8Array): string => new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);

/** A file is read only where there is a sum to compare. */
async function checkedFile(
  { nameBytes, sizeBytes }: PayloadEntry,
  { feed }: PayloadInput,
  checksums: Checksums | undefined,
  { signal }: Job,
): Promise<CheckedFile> {
  const file = { name: nameOf(nameBytes), sizeBytes: diskNumber(sizeBytes) };
  if (checksums === undefined) return { ...file, sha256: undefined, verdict: "not compared" };
  const hash = createHash("sha256");
  for (let left = sizeBytes; left > 0n; ) {
    signal.throwIfAborted();
    const piece = await feed.take(left < BigInt(PIECE_BYTES) ? Number(left) : PIECE_BYTES);
    // The decoder finds the same end, and says so.
    if (piece.length === 0) return { ...file, sha256: undefined, verdict: "not compared" };
    hash.update(piece);
    left -= BigInt(piece.length);
  }
  const sha256 = hash.digest("hex");
  const listed = checksums.get(file.name);
  return { ...file, sha256, verdict: listed === undefined ? "unlisted" : listed === sha256 ? "same" : "different" };
}

const PIECE_BYTES = 1024 * 1024;
const ZEROS = Buffer.alloc(PIECE_BYTES);

/** To the end of the disk, or to the first byte that is no padding. */
async function readTrailing(input: PayloadInput, remarks: Remarks, { signal }: Job, advance: (bytes: number) => void) {
  const { feed } = input;
  const endOffset = feed.offset;
  let dirtyAt: bigint | undefined;
  for (;;) {
    signal.throwIfAborted();
    const at = feed.offset;
    const piece = await feed.take(PIECE_BYTES);
    if (piece.length === 0) break;
    advance(piece.length);
    if (ZEROS.subarray(0, piece.length).equals(piece)) continue;
    dirtyAt = at + BigInt(piece.findIndex((byte) => byte !== 0));
    break;
  }
  // What was found dirty is said once; the rest need not be read where the size is known.
  while (dirtyAt !== undefined && input.sizeBytes === undefined && (await feed.take(PIECE_BYTES)).length > 0) signal.throwIfAborted();
  const sizeBytes = input.sizeBytes ?? feed.offset;
  if (dirtyAt !== undefined) remarks.note(dirtyAt, "bytes that are not zero stand behind the last file: no reader looks at them");
  const tail = endOffset - (sizeBytes - (sizeBytes % BigInt(PAYLOAD_PAD_BYTES)));
  if (tail > 0n) {
    remarks.note(
      sizeBytes,
      `the size is no multiple of ${PAYLOAD_PAD_BYTES}: a kernel that counts disks in KiB (Fiwix) cannot read the last ${tail} bytes`,
    );
  }
  return { endOffset: diskNumber(endOffset), sizeBytes: diskNumber(sizeBytes) };
}
