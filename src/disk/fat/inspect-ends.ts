/**
 * What stands behind a folder's end. Whatever stands behind the first entry that starts with 0 is not there for any reader. Files with clusters that
 * nobody else has were cut off by damage.
 */
import { ENTRY_BYTES, FIRST_BYTE, firstClusterOf } from "../../formats/fat-entries.ts";
import { shortNameFault } from "../../formats/fat-names.ts";
import { countOf, type Directory, type FileItem, readSlots, scanDirectory, shortEntryOf, slotOffset, slotsOf } from "./directory.ts";
import type { Inspecting } from "./findings.ts";
import { type FatMedium, FREE } from "./medium.ts";
import { applyEdits } from "./slots.ts";

/** A folder in which something stands behind the end, first at slot `from`. */
interface BehindEnd {
  readonly directory: Directory;
  readonly endSlot: number;
  readonly from: number;
}

export class FolderEnds {
  readonly #inspecting: Inspecting;
  readonly #behindEnds: BehindEnd[] = [];

  constructor(inspecting: Inspecting) {
    this.#inspecting = inspecting;
  }

  async see(directory: Directory, endSlot: number): Promise<void> {
    const { medium, findings } = this.#inspecting;
    const from = await nextUsed(medium, directory, endSlot + 1);
    if (from !== undefined && this.#behindEnds.length < findings.max) this.#behindEnds.push({ directory, endSlot, from });
  }

  /** After the walk: only then it is known which clusters nobody has. */
  async finish(): Promise<void> {
    for (const behind of this.#behindEnds) await inspectBehindEnd(this.#inspecting, behind);
  }
}

async function inspectBehindEnd(inspecting: Inspecting, { directory, endSlot, from }: BehindEnd): Promise<void> {
  const { medium, findings } = inspecting;
  const { hidden, to } = await readBehindEnd(inspecting, directory, from);
  const offset = slotOffset(medium, directory, from);
  if (hidden !== undefined) {
    findings.noteNotFollowed();
    const text = `files stand behind the folder's end, which is at slot ${endSlot}`;
    findings.add("hidden-by-end", { offset, path: directory.path, text, mending: "they are shown again" }, async () => {
      await fillSlots(medium, directory, endSlot, hidden, (byte) => (byte === FIRST_BYTE.end ? FIRST_BYTE.deleted : undefined));
    });
    return;
  }
  const text = `entries stand behind the folder's end, which is at slot ${endSlot}`;
  findings.add("behind-end", { offset, path: directory.path, text, mending: "they are cleared" }, async () => {
    await fillSlots(medium, directory, from, to, () => FIRST_BYTE.end);
  });
}

/** `hidden`: the first slot of what could be a file; `to`: behind the last that is not empty. Ends in between are passed over. */
async function readBehindEnd(
  inspecting: Inspecting,
  directory: Directory,
  from: number,
): Promise<{ readonly hidden: number | undefined; readonly to: number }> {
  const { medium, codePage } = inspecting;
  let hidden: number | undefined;
  let to = from;
  for (let slot: number | undefined = from; slot !== undefined; slot = await nextUsed(medium, directory, to)) {
    let orphan = -1;
    for await (const item of scanDirectory(medium, directory, codePage, slot)) {
      if (item.kind === "end") {
        to = item.slot;
        break;
      }
      const slots = item.kind === "free" ? item.count : countOf(item);
      to = item.slot + slots;
      if (item.kind === "orphan") orphan = to;
      if (item.kind === "file" && orphan !== item.slot && hidden === undefined && (await couldBeFile(inspecting, item))) hidden = item.slot;
    }
    if (to >= slotsOf(directory)) break;
  }
  return { hidden, to };
}

async function couldBeFile({ medium, used }: Inspecting, { entries }: FileItem): Promise<boolean> {
  const short = shortEntryOf(entries);
  const cluster = firstClusterOf(short, medium.boot.bits);
  if (shortNameFault(short) !== undefined || (short[11]! & 0xc8) !== 0 || !medium.isCluster(cluster)) return false;
  return !used.has(cluster) && (await medium.link(cluster)) !== FREE;
}

/** The first slot from `slot` on that does not start with 0. */
async function nextUsed(medium: FatMedium, directory: Directory, slot: number): Promise<number | undefined> {
  for (let at = slot; at < slotsOf(directory); ) {
    const entries = await readSlots(medium, directory, at, 1024);
    for (let byte = 0; byte < entries.length; byte += ENTRY_BYTES) if (entries[byte] !== FIRST_BYTE.end) return at + byte / ENTRY_BYTES;
    at += 1024;
  }
  return undefined;
}

/** Entries of slots `from` to `to` become empty ones with this first byte, where `becomes` says one. */
async function fillSlots(
  medium: FatMedium,
  directory: Directory,
  from: number,
  to: number,
  becomes: (byte: number) => number | undefined,
): Promise<void> {
  for (let slot = from; slot < to; slot += 1) {
    const entry = await readSlots(medium, directory, slot, 1);
    const first = becomes(entry[0]!);
    if (first === undefined) continue;
    const bytes = new Uint8Array(ENTRY_BYTES);
    bytes[0] = first;
    await applyEdits(medium, directory, [{ slot, bytes }]);
  }
}
