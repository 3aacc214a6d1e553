/** Single entries of folders, but for their names and chains: attributes, sizes, `.` and `..`, entries that are too many. */
import { ATTRIBUTE, ENTRY_BYTES, encodeDotEntries, withData } from "../../formats/fat-entries.ts";
import { countOf, DIRECTORY_BYTES_MAX, type Directory, isRoot, type SetPlace, shortEntryOf, slotOffset, slotsOf } from "./directory.ts";
import type { Inspecting } from "./findings.ts";
import type { FatMedium } from "./medium.ts";
import { rewriteShort } from "./mend.ts";
import { applyEdits, clearingEdits } from "./slots.ts";
import { readDots, type WalkedFile } from "./walk.ts";

/** Entries of any kind and their first slot. */
export type EntriesAt = Pick<SetPlace, "slot" | "entries">;

export const placeOf = ({ directory, item }: WalkedFile): SetPlace => ({ directory, ...item });

/** Where a byte of a file's 8.3 entry stands: 11 for its attributes, 26 its first cluster, 28 its size. */
export const shortEntryOffset = (medium: FatMedium, { directory, item }: WalkedFile, byte: number): bigint =>
  slotOffset(medium, directory, item.slot + countOf(item) - 1) + BigInt(byte);

/** Both entries of a move that was cut say the same of everything but the name. */
export const isTwin = (a: Uint8Array, b: Uint8Array): boolean => a[11] === b[11] && Buffer.from(a.subarray(13)).equals(b.subarray(13));

/** Entries that say nothing: without them all is as it was. */
export function findSurplus({ medium, findings }: Inspecting, id: string, directory: Directory, item: EntriesAt, text: string): void {
  const offset = slotOffset(medium, directory, item.slot);
  findings.add(id, { offset, path: directory.path, text, mending: "it is marked as deleted" }, () =>
    applyEdits(medium, directory, clearingEdits(item)),
  );
}

/** An entry that is `.` or `..` by its name. */
export function inspectDotEntry(inspecting: Inspecting, directory: Directory, item: EntriesAt): void {
  if (!isRoot(directory) && item.slot <= 1) return; // `inspectDots` looks at these
  findSurplus(inspecting, "misplaced-dot", directory, item, "an entry . or .. that is not at its folder's start");
}

export function inspectEntryCount({ medium, findings }: Inspecting, directory: Directory): void {
  if (directory.bytes <= DIRECTORY_BYTES_MAX) return;
  const offset = slotOffset(medium, directory, 0);
  findings.add("large-directory", { offset, path: directory.path, text: `${slotsOf(directory)} entries, more than 65,536` });
}

/** A folder below the root starts with `.` and `..`. */
export async function inspectDots({ medium, findings }: Inspecting, directory: Directory): Promise<void> {
  const dots = await readDots(medium, directory);
  const wrong = dots.findIndex(({ right }) => !right);
  if (wrong < 0) return;
  const { path } = directory;
  const offset = slotOffset(medium, directory, wrong);
  const text = `its entry ${wrong === 0 ? "." : ".."} is not what it must be`;
  findings.add("dot-entries", { offset, path, text, mending: "it is written anew" }, async () => {
    const bytes = encodeDotEntries(directory.firstCluster, dots[1]!.cluster, 0);
    for (const [slot, { entry, cluster, named, right }] of dots.entries()) {
      if (right) continue;
      const fresh = named ? withData(entry, cluster, 0) : bytes.slice(slot * ENTRY_BYTES, (slot + 1) * ENTRY_BYTES);
      fresh[11] = ATTRIBUTE.directory;
      await applyEdits(medium, directory, [{ slot, bytes: fresh }]);
    }
  });
}

export function inspectAttributes({ medium, findings }: Inspecting, walked: WalkedFile): void {
  if ((walked.entry.attributes & ATTRIBUTE.label) === 0) return;
  const offset = shortEntryOffset(medium, walked, 11);
  const text = "its attributes say that it is a folder and a label";
  findings.add("attributes", { offset, path: walked.path, text, mending: "it is a folder" }, () => {
    const changed = shortEntryOf(walked.item.entries).slice();
    changed[11] = changed[11]! & ~ATTRIBUTE.label;
    return rewriteShort(medium, placeOf(walked), changed);
  });
}

export function inspectFolderSize({ medium, findings }: Inspecting, walked: WalkedFile): void {
  const { item, path, entry } = walked;
  if (entry.sizeBytes === 0) return;
  const offset = shortEntryOffset(medium, walked, 28);
  const text = `a folder of ${entry.sizeBytes} bytes: folders have 0`;
  findings.add("directory-size", { offset, path, text, mending: "0 is written" }, () =>
    rewriteShort(medium, placeOf(walked), withData(shortEntryOf(item.entries), entry.firstCluster, 0)),
  );
}

export function findTooDeep({ medium, findings }: Inspecting, walked: WalkedFile): void {
  findings.noteNotFollowed();
  const offset = shortEntryOffset(medium, walked, 26);
  const text = "more folders within folders than any system can use: not looked into";
  findings.add("too-deep", { offset, path: walked.path, text });
}

export function findNoFolder({ medium, findings }: Inspecting, walked: WalkedFile): void {
  findings.noteBrokenChain();
  const { item, path, entry, end } = walked;
  const offset = shortEntryOffset(medium, walked, 11);
  const text = "its entry says that it is a folder, and its clusters hold none";
  findings.add("not-a-directory", { offset, path, text, mending: "it becomes a file with all that is in them" }, async () => {
    const size = BigInt(end.clusters) * BigInt(medium.clusterBytes);
    const changed = withData(shortEntryOf(item.entries), entry.firstCluster, Number(size > 0xffff_ffffn ? 0xffff_ffffn : size));
    changed[11] = (changed[11]! & ~ATTRIBUTE.directory) | ATTRIBUTE.archive;
    await rewriteShort(medium, placeOf(walked), changed);
  });
}
