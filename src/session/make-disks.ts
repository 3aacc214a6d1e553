/** Makes the disks that a plan wants before its guest starts: empty new ones, and overlays that QEMU cannot make itself. */
import { open, rm, unlink } from "node:fs/promises";
import { resolve } from "node:path";
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { encodeEmptyQcow2 } from "../formats/qcow2.ts";
import { writeHint } from "../host/atomic-file.ts";
import type { DiskNumber } from "../image/image-facts.ts";
import type { MachinePlan } from "../machine/plan.ts";
import { type BootPlaces, namedDrives, overlayPath, qemuFormat } from "../machine/qemu-arguments.ts";

export interface DiskPlaces extends Pick<BootPlaces, "privateFolder"> {
  /** The session's: new disks without a place of their own are made there. */
  readonly directory: string;
  /** A second run of the same machine: what the first one made is made anew. */
  readonly again: boolean;
}

/** Throws where a disk cannot be made, or where its name was taken meanwhile. */
export async function makeDisks(plan: Pick<MachinePlan, "image" | "drives">, places: DiskPlaces): Promise<void> {
  for (const { id, drive } of namedDrives(plan)) {
    if (drive.createBytes !== null) {
      const path = resolve(places.directory, drive.path);
      if (places.again) await rm(path, { force: true });
      if (drive.format === "raw") await makeFile(path, (file) => file.truncate(Number(drive.createBytes)));
      else await makeQcow2(path, drive.createBytes);
    }
    if (drive.overlayBytes !== null) {
      const backing = { name: resolve(places.directory, drive.path), format: qemuFormat(drive.format) };
      await makeQcow2(overlayPath(places, id), drive.overlayBytes, backing);
    }
  }
}

async function makeQcow2(path: string, sizeBytes: DiskNumber, backing?: { readonly name: string; readonly format: string }): Promise<void> {
  const { fileBytes, pieces } = encodeEmptyQcow2(BigInt(sizeBytes), backing);
  await makeFile(path, async (file) => {
    await file.truncate(fileBytes);
    for (const { offset, bytes } of pieces) await file.write(bytes, 0, bytes.length, offset);
  });
}

type File = Awaited<ReturnType<typeof open>>;

/** Nobody's file is written over: the name is taken first, and given back where the rest fails. */
async function makeFile(path: string, fill: (file: File) => Promise<unknown>): Promise<void> {
  let made = false;
  try {
    const file = await open(path, "wx", 0o644);
    made = true;
    try {
      await fill(file);
      await file.sync();
    } finally {
      await file.close();
    }
  } catch (error) {
    if (made) await unlink(path).catch(() => {});
    throw new HiperisoError({ what: "make a disk", where: path, found: reasonOf(error), hint: writeHint(error), cause: error });
  }
}
