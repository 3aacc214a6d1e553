/** Is what was added to a Ventoy stick still as it was written, and are its images. */
import { createHash } from "node:crypto";
import { ADOPTION } from "../../contract/adoption.ts";
import type { Job } from "../../contract/job.ts";
import { readDataFile, type StickData } from "../data.ts";
import { type StickCheck, type StickProblem, type VerifyOptions, verifyMounted } from "../verify.ts";
import { readAdoption } from "./record.ts";
import { holdsOurPart } from "./ventoy-menu.ts";

const HINT = "`hiperiso stick adopt` writes it anew.";
const MENU_BYTES_MAX = 4 << 20;

/** Ventoy's own partition is none of our business. Throws HiperisoError only where the medium cannot be read. */
export async function verifyAdopted(data: StickData, options: VerifyOptions, job: Job): Promise<StickCheck> {
  const check = await verifyMounted(data, options, job);
  const problems: StickProblem[] = [...check.problems];
  const { adoption, damage } = await readAdoption(data);
  if (adoption === undefined) problems.push({ id: "esp-manifest", path: ADOPTION.record, text: damage ?? "it is gone", hint: HINT });
  else if (!adoption.complete)
    problems.push({
      id: "esp-manifest",
      path: ADOPTION.record,
      text: "what was added was cut off",
      hint: "Do it again: `hiperiso stick adopt`.",
    });
  let checked = 0;
  for (const { path, size_bytes: size, sha256, generated } of adoption?.files ?? []) {
    job.signal.throwIfAborted();
    checked += 1;
    const there = await data.tree.stat(data.at(path));
    if (there?.kind !== "file") problems.push({ id: "esp-file-missing", path, text: "it is gone", hint: HINT });
    else if (generated)
      continue; // made anew by the stick itself
    else if (there.sizeBytes !== BigInt(size))
      problems.push({ id: "esp-file-changed", path, text: `${there.sizeBytes} bytes, written were ${size}`, hint: HINT });
    else if ((await sumOf(data.read(path, job.signal))) !== sha256)
      problems.push({ id: "esp-file-changed", path, text: "other bytes than were written", hint: HINT });
  }
  const menu = await readDataFile(data, ADOPTION.ventoyMenu, MENU_BYTES_MAX);
  if (menu === undefined || !holdsOurPart(menu))
    problems.push({ id: "esp-file-changed", path: ADOPTION.ventoyMenu, text: "the entry that starts hiperiso is gone", hint: HINT });
  return { ...check, problems, espFilesChecked: checked };
}

async function sumOf(pieces: AsyncIterable<Uint8Array>): Promise<string> {
  const hash = createHash("sha256");
  for await (const piece of pieces) hash.update(piece);
  return hash.digest("hex");
}
