/** What stands in the folders of an exFAT volume: sets, entries of the volume, and what is neither. */
import { hex } from "../../formats/bytes.ts";
import {
  ATTRIBUTE,
  allocationAt,
  benignAllocation,
  ENTRY,
  ENTRY_BYTES,
  ENTRY_UNUSED,
  encodeLabelEntry,
  isBenign,
  labelFault,
  mendedName,
  nameFault,
  nameOfSet,
  salvagedSet,
  withName,
  withSums,
} from "../../formats/exfat-entries.ts";
import type { UpcaseTable } from "../../formats/exfat-upcase.ts";
import { type Directory, readSlots, type SetPlace, scanDirectory, slotOffset, slotsOf } from "./directory.ts";
import type { Inquiry } from "./inquiry.ts";
import type { Seen } from "./inspect-allocation.ts";
import type { Medium } from "./medium.ts";
import { dropping, fillSlots, rewriting } from "./mend.ts";
import type { Walked, WalkedFile } from "./walk.ts";

/** Names and sums of a file's set. Gives what its allocation is to be looked at with; undefined where no file can be made out. */
export function inspectSet(inquiry: Inquiry, { directory, item, path, set, faults, opened }: WalkedFile): Seen | undefined {
  const { medium, table, findings } = inquiry;
  const { slot, entries } = item;
  const at = (byte: number) => slotOffset(medium, directory, slot + Math.floor(byte / ENTRY_BYTES)) + BigInt(byte % ENTRY_BYTES);
  if (set === undefined) {
    findBroken(inquiry, { directory, slot, entries }, faults.at(-1)?.text ?? "");
    return undefined;
  }
  const isDirectory = (set.attributes & ATTRIBUTE.directory) !== 0;
  const offset = at(ENTRY_BYTES + 20);
  const bad = nameFault(set.name);
  const mendable = faults.length === 0 && bad === undefined;
  const seen: Seen = { directory, slot, entries, path, set, isDirectory, opened, offset, mendable };
  if (faults.length > 0) {
    findings.lost = true; // the bytes that are wrong may be those of its first cluster
    const shaped = faults.some(({ id }) => id === "set-shape");
    const changed = shaped ? withName(entries, set.name, table) : withSums(entries, table);
    for (const { id, at: byte, text } of faults) {
      findings.add(id, { offset: at(byte), path, text, mending: "the set is written anew" }, rewriting(seen, changed));
    }
  } else if (bad !== undefined) {
    const changed = withName(entries, mendedName(set.name), table);
    const where = { offset: at(2 * ENTRY_BYTES), path, text: `its name holds ${bad}` };
    findings.add("name", { ...where, mending: "what is forbidden becomes _" }, rewriting(seen, changed));
  }
  return seen;
}

/** Sets that were cut off, or have no name: made whole from what is there, or given up. */
function findBroken({ medium, table, findings }: Inquiry, place: SetPlace, text: string): void {
  const salvaged = salvagedSet(place.entries, table);
  const where = { offset: slotOffset(medium, place.directory, place.slot), path: place.directory.path, text };
  findings.lost = true;
  if (salvaged === undefined) {
    const mending = "it is marked as unused; clusters that it may have owned are put into files";
    findings.add("broken-set", { ...where, mending }, dropping(place));
    return;
  }
  findings.add("broken-set", { ...where, mending: "a set is made of what is left" }, rewriting(place, salvaged));
}

/** Anything in a folder that is no file's set. */
export async function inspectOther(inquiry: Inquiry, { directory, item }: Extract<Walked, { kind: "other" }>): Promise<void> {
  if (item.kind === "free") return;
  if (item.kind === "end") return await inspectBehindEnd(inquiry, directory, item.slot);
  const place = { directory, slot: item.slot, entries: item.entries };
  if (item.kind === "orphan") findOrphan(inquiry, place);
  else if (item.kind === "broken") {
    const text = `${item.entries.length / ENTRY_BYTES} of the ${item.promised + 1} entries of a set`;
    findBroken(inquiry, place, text);
  } else await inspectVolumeEntry(inquiry, place);
}

function findOrphan({ medium, findings }: Inquiry, place: SetPlace): void {
  const { directory, slot, entries } = place;
  if (entries[0] === ENTRY.stream) findings.lost = true; // a cut of ours leaves names alone: with a stream, a file's first entry was lost
  const where = { offset: slotOffset(medium, directory, slot), path: directory.path };
  const text = `an entry of kind ${hex(entries[0]!)} that belongs to no file`;
  findings.add("orphan-entry", { ...where, text, mending: "it is marked as unused" }, dropping(place));
}

/** Entries of the volume stand in the root, and there once; what is benign and not known is kept, and what it owns with it. */
async function inspectVolumeEntry(inquiry: Inquiry, place: SetPlace): Promise<void> {
  const { medium, facts, findings } = inquiry;
  const { directory, slot, entries } = place;
  const { path } = directory;
  const type = entries[0]!;
  const offset = slotOffset(medium, directory, slot);
  if (isBenign(type)) {
    const own = benignAllocation(entries);
    const all = own === undefined ? [] : [own];
    for (let at = ENTRY_BYTES; at < entries.length; at += ENTRY_BYTES) {
      const extra = allocationAt(entries, at);
      if ((entries[at + 1]! & 1) !== 0 && extra.firstCluster !== 0) all.push(extra);
    }
    for (const allocation of all) await inquiry.own(await inquiry.runsOf(allocation), `${path} (entry ${hex(type)})`, offset);
    return;
  }
  const expected =
    path === "/" &&
    ((type === ENTRY.label && slot === facts.labelSlot) ||
      (type === ENTRY.bitmap && (offset === facts.bitmap.offset || medium.boot.fatCount === 2)) ||
      (type === ENTRY.upcase && offset === facts.upcase.offset));
  if (!expected) {
    const known = type === ENTRY.label || type === ENTRY.bitmap || type === ENTRY.upcase;
    const text = known ? `an entry of kind ${hex(type)} more than there may be` : `an entry of the unknown critical kind ${hex(type)}`;
    findings.add("misplaced-entry", { offset, path, text, mending: "it is marked as unused" }, known ? dropping(place) : undefined);
    if (!known) findings.blind = true;
    return;
  }
  if (type === ENTRY.bitmap && offset !== facts.bitmap.offset) {
    const runs = await inquiry.runsOf({ ...allocationAt(entries, 0), noFatChain: false });
    await inquiry.own(runs, "the second allocation bitmap", offset);
  }
  if (type !== ENTRY.label) return;
  const { label } = facts;
  const fault = entries[1]! > 11 ? `${entries[1]} characters` : labelFault(label);
  if (fault === undefined) return;
  findings.add("label", { offset, path, text: `the label holds ${fault}`, mending: "each becomes _" }, async (mending) => {
    await mending.medium.write(offset, encodeLabelEntry(label.slice(0, 11).replace(/[\x00-\x1f"*/:<>?\\|]/g, "_")));
  });
}

/** Whatever stands behind the first entry of kind 0 is not there for any reader. Whole sets were cut off by damage, all else is rubbish. */
async function inspectBehindEnd({ medium, table, findings }: Inquiry, directory: Directory, endSlot: number): Promise<void> {
  let from: number | undefined;
  let to = 0;
  let hidden: number | undefined;
  for (let slot = await nextEntry(medium, directory, endSlot + 1); slot !== undefined; ) {
    from ??= slot;
    let next = slotsOf(directory);
    for await (const item of scanDirectory(medium, directory, slot)) {
      next = item.slot;
      if (item.kind === "end") break;
      to = item.slot + (item.kind === "free" ? item.count : item.entries.length / ENTRY_BYTES);
      next = to;
      if (item.kind === "file" && hidden === undefined && isWhole(item.entries, table)) hidden = item.slot;
    }
    slot = await nextEntry(medium, directory, next);
  }
  if (from === undefined) return;
  const first = from;
  const offset = slotOffset(medium, directory, first);
  if (hidden !== undefined) {
    findings.lost = true;
    const until = hidden;
    const text = `whole files stand behind the folder's end, which is at slot ${endSlot}`;
    findings.add("hidden-by-end", { offset, path: directory.path, text, mending: "they are shown again" }, async (mending) => {
      await fillSlots(mending.medium, directory, endSlot, until, (type) => (type === ENTRY.end ? ENTRY_UNUSED : undefined));
    });
    return;
  }
  const text = `entries stand behind the folder's end, which is at slot ${endSlot}`;
  findings.add("behind-end", { offset, path: directory.path, text, mending: "they are cleared" }, async (mending) => {
    await fillSlots(mending.medium, directory, first, to, () => ENTRY.end);
  });
}

function isWhole(entries: Uint8Array, table: UpcaseTable): boolean {
  const name = nameOfSet(entries);
  return name !== undefined && Buffer.from(withSums(entries, table)).equals(entries);
}

/** The first slot from `slot` on whose kind is not 0. */
async function nextEntry(medium: Medium, directory: Directory, slot: number): Promise<number | undefined> {
  for (let at = slot; at < slotsOf(directory); ) {
    const entries = await readSlots(medium, directory, at, 1024);
    for (let byte = 0; byte < entries.length; byte += ENTRY_BYTES) if (entries[byte] !== ENTRY.end) return at + byte / ENTRY_BYTES;
    at += 1024;
  }
  return undefined;
}
