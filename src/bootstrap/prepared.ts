/**
 * What stands in a target and who made it: the record of a preparation. `boot` and `run` read it; a second `prepare` decides by it what it may
 * replace.
 *
 *   TARGET/bootstrap.json      where the target holds images
 *   TARGET.bootstrap.json      where the target itself is the root of a system, in which nothing of ours may stand
 *
 * It is written before the first output, as `making`, and again behind the last, as `complete`.
 */
import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { writeFileAtomic } from "../host/atomic-file.ts";
import type { BootstrapForm } from "./options.ts";
import { spaceHint } from "./payload/space-hint.ts";
import type { BootstrapPlan } from "./plan.ts";

const OUTPUT_KINDS = ["boot-sector-and-sources", "payload-container", "ext3", "tree"] as const;

const recordSchema = z.looseObject({
  version: z.literal(1),
  state: z.enum(["making", "complete"]),
  owner: z.object({ pid: z.number(), pid_start_ticks: z.string(), boot_id: z.string() }),
  tree: z.string(),
  distfiles: z.string(),
  outputs: z.array(z.object({ name: z.string(), kind: z.enum(OUTPUT_KINDS), sizeBytes: z.number() })),
  mirrors: z.array(z.object({ folder: z.string(), port: z.number() })),
  // The whole plan: our own words, believed as far as these fields.
  plan: z.looseObject({ mode: z.string(), form: z.enum(["chroot", "bwrap", "kernel", "kernel-bootstrap"]), payload: z.boolean() }),
});

export interface PreparedOutput {
  /** In the target: an image's name, or a file or folder at the root of a system. */
  readonly name: string;
  readonly kind: (typeof OUTPUT_KINDS)[number];
  /** Of the file as it was made; 0 for a tree. */
  readonly sizeBytes: number;
}

export interface PreparedRecord {
  readonly version: 1;
  readonly state: "making" | "complete";
  /** The process that makes or made it. */
  readonly owner: { readonly pid: number; readonly pid_start_ticks: string; readonly boot_id: string };
  /** The checkout, absolute. */
  readonly tree: string;
  readonly distfiles: string;
  /** In the order in which they are made. */
  readonly outputs: readonly PreparedOutput[];
  /** Folders that have to be served on these ports of 127.0.0.1 while the guest runs: its configuration names them. */
  readonly mirrors: readonly { readonly folder: string; readonly port: number }[];
  readonly plan: BootstrapPlan;
}

export const isTreeForm = (form: BootstrapForm): boolean => form === "chroot" || form === "bwrap";

/** `target` is absolute, without a slash at its end. */
export const recordPath = (target: string, form: BootstrapForm): string =>
  isTreeForm(form) ? `${target}.bootstrap.json` : join(target, RECORD_NAME);

export const RECORD_NAME = "bootstrap.json";

/** The record of a target, wherever it stands; undefined for none. Throws (`usage`) where it cannot be read or is none. */
export async function readRecord(target: string): Promise<PreparedRecord | undefined> {
  return (await readRecordFile(recordPath(target, "kernel"))) ?? (await readRecordFile(recordPath(target, "chroot")));
}

async function readRecordFile(path: string): Promise<PreparedRecord | undefined> {
  const bad = (found: string, cause?: unknown) =>
    new HiperisoError({
      what: "read what stands in the target",
      where: path,
      expected: "the record of `hiperiso bootstrap prepare`",
      found,
      hint: "Choose another folder with --target, or remove this one.",
      kind: "usage",
      cause,
    });
  let text: string;
  try {
    text = await readFile(path, "utf8");
  } catch (error) {
    if (["ENOENT", "ENOTDIR"].includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
    throw bad(reasonOf(error), error);
  }
  try {
    return recordSchema.parse(JSON.parse(text)) as unknown as PreparedRecord;
  } catch (error) {
    throw bad(error instanceof z.ZodError ? "JSON of another shape" : reasonOf(error), error);
  }
}

/** The record of a preparation that is complete: what `boot` and `run` need. Throws (`usage`) where there is none. */
export async function requirePrepared(target: string): Promise<PreparedRecord> {
  const record = await readRecord(target);
  if (record?.state === "complete") return record;
  throw new HiperisoError({
    what: "use a prepared target",
    where: target,
    expected: "a target that `hiperiso bootstrap prepare` has finished",
    found: record === undefined ? "no record of one" : "one that was not finished",
    hint: "Run `hiperiso bootstrap prepare` with the same options.",
    kind: "usage",
  });
}

export async function writeRecord(target: string, record: PreparedRecord): Promise<void> {
  const path = recordPath(target, record.plan.form);
  try {
    await writeFileAtomic(path, `${JSON.stringify(record, null, 2)}\n`);
    // Of a target that held the other form and was emptied.
    await rm(recordPath(target, isTreeForm(record.plan.form) ? "kernel" : "chroot"), { force: true });
  } catch (error) {
    const cause = error instanceof Error ? error.cause : undefined;
    throw new HiperisoError({
      what: "write the target",
      where: path,
      found: reasonOf(cause ?? error),
      hint: spaceHint(cause),
      cause: error,
    });
  }
}
