/** `/hiperiso/adopted.json`: what was added to a Ventoy stick, for whoever renews it or takes it away again. */
import { ADOPTION, type Adoption, adoptionSchema } from "../../contract/adoption.ts";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { readDataFile, type StickData, writeDataFile } from "../data.ts";

const RECORD_BYTES_MAX = 1 << 20;

export interface AdoptionRecord {
  readonly adoption: Adoption | undefined;
  /** Why the file that is there cannot be used; undefined where it can, or there is none. */
  readonly damage: string | undefined;
}

export async function readAdoption(data: StickData): Promise<AdoptionRecord> {
  try {
    const bytes = await readDataFile(data, ADOPTION.record, RECORD_BYTES_MAX);
    return bytes === undefined ? { adoption: undefined, damage: undefined } : decodeAdoption(bytes);
  } catch (error) {
    if (!(error instanceof HiperisoError)) throw error;
    return { adoption: undefined, damage: error.message };
  }
}

/** Never throws. */
export function decodeAdoption(bytes: Uint8Array): AdoptionRecord {
  try {
    const parsed = adoptionSchema.safeParse(JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes)));
    if (parsed.success) return { adoption: parsed.data, damage: undefined };
    const [issue] = parsed.error.issues;
    return { adoption: undefined, damage: issue === undefined ? "it is no record" : `${issue.path.join(".")}: ${issue.message}` };
  } catch (error) {
    return { adoption: undefined, damage: reasonOf(error) };
  }
}

export async function writeAdoption(data: StickData, adoption: Adoption, nowMs: number, job: Job): Promise<void> {
  await writeDataFile(data, ADOPTION.record, new TextEncoder().encode(`${JSON.stringify(adoption, null, 2)}\n`), nowMs, job);
}
