/** Names that a folder of an exFAT volume holds twice. */
import { nameOfSet } from "../../formats/exfat-entries.ts";
import { upcase } from "../../formats/exfat-upcase.ts";
import { hashOf, NameHashes } from "../name-hashes.ts";
import { type Directory, scanDirectory, slotOffset } from "./directory.ts";
import type { Inquiry } from "./inquiry.ts";
import { renaming } from "./mend.ts";
import { childPath } from "./walk.ts";

/** The names of the folders that are open, each as a number. */
export class OpenNames {
  readonly #inquiry: Inquiry;
  readonly #hashes = new Map<Directory, NameHashes>();

  constructor(inquiry: Inquiry) {
    this.#inquiry = inquiry;
  }

  add(directory: Directory, name: string): void {
    this.#hashesOf(directory).add(upcase(name, this.#inquiry.table));
  }

  #hashesOf(directory: Directory): NameHashes {
    const kept = this.#hashes.get(directory);
    if (kept !== undefined) return kept;
    const fresh = new NameHashes();
    this.#hashes.set(directory, fresh);
    return fresh;
  }

  /** All names of a folder were added: those that are there twice are found, and all are forgotten. */
  async close(directory: Directory): Promise<void> {
    const twice = this.#hashes.get(directory)?.twice();
    this.#hashes.delete(directory);
    if (twice !== undefined && twice.size > 0) await findTwice(this.#inquiry, directory, twice);
  }
}

/** `twice`: hashes of the names that are, and very seldom of others. */
async function findTwice({ medium, table, findings }: Inquiry, directory: Directory, twice: ReadonlySet<number>): Promise<void> {
  const first = new Map<string, number>();
  for await (const item of scanDirectory(medium, directory)) {
    if (item.kind !== "file") continue;
    const name = nameOfSet(item.entries);
    const key = name === undefined ? "" : upcase(name, table);
    if (name === undefined || !twice.has(hashOf(key))) continue;
    const before = first.get(key);
    if (before === undefined) {
      first.set(key, item.slot);
      continue;
    }
    const path = childPath(directory.path, name);
    const text = `the same name as the entry at slot ${before} of its folder`;
    const offset = slotOffset(medium, directory, item.slot);
    const { slot, entries } = item;
    findings.add(
      "duplicate-name",
      { offset, path, text, mending: "the later one gets another name" },
      renaming({ directory, slot, entries }, name),
      "copy",
    );
  }
}
