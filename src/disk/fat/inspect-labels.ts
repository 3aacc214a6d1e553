/** The label of a FAT volume, which is in its root and in its boot sector. */
import { labelAt } from "../../formats/fat-boot.ts";
import { ATTRIBUTE, encodeShortEntry, withData } from "../../formats/fat-entries.ts";
import { decodeFatLabel, encodeFatLabel, mendedFatLabel, NO_NAME, SHORT_NAME_BYTES } from "../../formats/fat-names.ts";
import { type Directory, isRoot, openRoot, slotOffset } from "./directory.ts";
import type { Inspecting } from "./findings.ts";
import { type EntriesAt, findSurplus } from "./inspect-entries.ts";
import { addSet, applyEdits } from "./slots.ts";

export class Labels {
  readonly #inspecting: Inspecting;
  /** Of the first entry in the root that is one: 11 bytes, as they are. */
  #rootLabel: Uint8Array | undefined;

  constructor(inspecting: Inspecting) {
    this.#inspecting = inspecting;
  }

  see(directory: Directory, item: EntriesAt): void {
    if (isRoot(directory) && this.#rootLabel === undefined) {
      inspectLabelEntry(this.#inspecting, directory, item);
      this.#rootLabel = item.entries.slice(0, SHORT_NAME_BYTES);
      return;
    }
    const text = isRoot(directory) ? "a second label" : "a volume's label that is not in the root";
    findSurplus(this.#inspecting, "extra-label", directory, item, text);
  }

  /** After the walk. */
  finish(): void {
    const { medium, codePage, findings } = this.#inspecting;
    const { boot } = medium;
    if (boot.label === undefined) return;
    const inBoot = decodeFatLabel(boot.label, codePage);
    const offset = BigInt(labelAt(boot.bits));
    const bytes = this.#rootLabel;
    const root = bytes === undefined ? undefined : decodeFatLabel(bytes, codePage);
    if (root === inBoot || (root === undefined && inBoot === "")) return;
    if (bytes === undefined) {
      const text = `the label ${JSON.stringify(inBoot)} of the boot sector is not in the root, where systems look for it`;
      findings.add(
        "label",
        { offset, text, mending: "it is put into the root" },
        async (mending) => {
          const name = encodeFatLabel(inBoot, codePage);
          const entry = encodeShortEntry({ name, attributes: ATTRIBUTE.label, firstCluster: 0, sizeBytes: 0, timeMs: 0 });
          await addSet(mending, await openRoot(mending.medium), "", entry);
        },
        "copy",
      );
      return;
    }
    const text = `the boot sector has the label ${JSON.stringify(inBoot)}, the root ${JSON.stringify(root)}`;
    findings.add("label", { offset, text, mending: "the boot sector gets that of the root" }, async () => {
      const name = root === "" ? encodeFatLabel(NO_NAME, codePage) : bytes;
      await medium.write(offset, name);
      if (boot.backupSector !== 0) await medium.write(medium.sectorOffset(boot.backupSector) + offset, name);
    });
  }
}

function inspectLabelEntry({ medium, findings }: Inspecting, directory: Directory, { slot, entries }: EntriesAt): void {
  const name = entries.subarray(0, SHORT_NAME_BYTES);
  const better = mendedFatLabel(name);
  const data = [...entries.subarray(20, 22), ...entries.subarray(26)].some((byte) => byte !== 0);
  if (!data && Buffer.from(better).equals(name)) return;
  const offset = slotOffset(medium, directory, slot);
  const text = data ? "the label has a size or clusters" : "the label holds what no label may";
  findings.add("label-entry", { offset, path: "/", text, mending: "it is written anew" }, async () => {
    const entry = withData(entries, 0, 0);
    entry.set(better);
    await applyEdits(medium, directory, [{ slot, bytes: entry }]);
  });
}
