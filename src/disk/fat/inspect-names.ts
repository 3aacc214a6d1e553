/** Names of files and folders: what they may not hold, long names that lost their file, names that a folder has twice. */
import { hex } from "../../formats/bytes.ts";
import { shortNameChecksum } from "../../formats/fat.ts";
import {
  ENTRY_BYTES,
  encodeLongEntries,
  firstClusterOf,
  hasLongNameFields,
  isWholeLongName,
  longNameOf,
  withChecksumOf,
} from "../../formats/fat-entries.ts";
import { couldBeShortOf, longNameFault, mendedLongName, SHORT_NAME_BYTES, shortNameFault } from "../../formats/fat-names.ts";
import { hashOf, NameHashes } from "../name-hashes.ts";
import { countOf, DIRECTORY_BYTES_MAX, type Directory, type FileItem, scanDirectory, shortEntryOf, slotOffset } from "./directory.ts";
import type { Finding, Inspecting } from "./findings.ts";
import { type EntriesAt, findSurplus, isTwin, shortEntryOffset } from "./inspect-entries.ts";
import { renameShort, rewriteLong, unusedName } from "./mend.ts";
import { applyEdits, keysOf, nameKey, settingEdits } from "./slots.ts";
import { childPath, type Walked, type WalkedFile } from "./walk.ts";

export function inspectName(inspecting: Inspecting, walked: WalkedFile): void {
  const bad = shortNameFault(shortEntryOf(walked.item.entries));
  if (bad !== undefined) findBadShortName(inspecting, walked, bad);
  else if (walked.item.long) inspectLongName(inspecting, walked);
}

/** `bad`: the byte of the 8.3 name that may not be. */
function findBadShortName({ medium, findings }: Inspecting, walked: WalkedFile, bad: number): void {
  const { directory, item, path } = walked;
  const offset = shortEntryOffset(medium, walked, bad);
  const text = `its 8.3 name holds ${hex(shortEntryOf(item.entries)[bad]!)}`;
  const name = item.long ? item.name : mendedLongName(item.name);
  findings.add(
    "short-name",
    { offset, path, text, mending: "it gets another" },
    (mending) => renameShort(mending, directory, item, name),
    "copy",
  );
}

function inspectLongName({ medium, findings }: Inspecting, { directory, item, path }: WalkedFile): void {
  const shortName = shortEntryOf(item.entries).subarray(0, SHORT_NAME_BYTES);
  const fault = longNameFault(item.name);
  const offset = slotOffset(medium, directory, item.slot);
  if (fault === undefined) {
    const long = item.entries.subarray(0, item.entries.length - ENTRY_BYTES);
    if (hasLongNameFields(long)) return;
    const text = "fields of its long name that have one value alone have another";
    findings.add("long-name-fields", { offset, path, text, mending: "it is written anew" }, async () => {
      await rewriteLong(medium, directory, item, encodeLongEntries(item.name, shortName));
    });
    return;
  }
  const better = mendedLongName(item.name);
  const mending = item.name === "" ? "its 8.3 name is all that it keeps" : "what is forbidden becomes _";
  findings.add("long-name", { offset, path, text: `its name holds ${fault}`, mending }, async () => {
    const long = item.name === "" ? new Uint8Array() : encodeLongEntries(better, shortName);
    await rewriteLong(medium, directory, item, long);
  });
}

/** Long entries that are no name of the 8.3 entry behind them, or have none behind them: what comes next in the walk says which. */
export class OrphanNames {
  readonly #inspecting: Inspecting;
  /** Of the item before this one. */
  #orphan: { readonly directory: Directory; readonly item: EntriesAt } | undefined;

  constructor(inspecting: Inspecting) {
    this.#inspecting = inspecting;
  }

  see(directory: Directory, item: EntriesAt): void {
    this.#orphan = { directory, item };
  }

  /** For all that is walked, before anything else looks at it. */
  settle(next: Walked): void {
    if (this.#orphan === undefined) return;
    const { directory, item } = this.#orphan;
    this.#orphan = undefined;
    if (next.kind === "file" && next.directory === directory && couldBeNamed(next.item, item)) this.#badChecksum(next, item);
    else findSurplus(this.#inspecting, "orphan-long-name", directory, item, "parts of a long name that belong to no file");
  }

  #badChecksum({ directory, item: { entries }, path }: WalkedFile, long: EntriesAt): void {
    const { medium, findings } = this.#inspecting;
    const short = entries.subarray(0, SHORT_NAME_BYTES);
    const offset = slotOffset(medium, directory, long.slot) + 13n;
    const text = `its long name has another sum than its 8.3 name, ${hex(shortNameChecksum(short))}`;
    findings.add("long-name-checksum", { offset, path, text, mending: "the sum is written anew" }, () =>
      applyEdits(medium, directory, settingEdits(long.slot, withChecksumOf(long.entries, short))),
    );
  }
}

/** Long entries that are a whole name but for their sum, in front of an 8.3 entry for which that may be the name. */
function couldBeNamed(file: FileItem, orphan: EntriesAt): boolean {
  if (file.long || file.slot !== orphan.slot + countOf(orphan)) return false;
  if (!isWholeLongName(orphan.entries)) return false;
  const short = file.entries.subarray(0, SHORT_NAME_BYTES);
  const checksum = shortNameChecksum(short);
  const some = settingEdits(0, orphan.entries).some(({ bytes }) => bytes[13] === checksum);
  return some || couldBeShortOf(short, longNameOf(orphan.entries));
}

/** Names that are there twice, of one folder. */
const DUPLICATES_MAX = 10_000;

/** The first file of a name that comes again. */
interface Namesake {
  readonly slot: number;
  readonly name: string;
  readonly short: Uint8Array;
}

/** Names that a folder has twice. Hashes say, when all of it was seen, whether it is worth a second look. */
export class DuplicateNames {
  readonly #inspecting: Inspecting;
  readonly #hashes = new Map<Directory, NameHashes>();

  constructor(inspecting: Inspecting) {
    this.#inspecting = inspecting;
  }

  enter(directory: Directory): void {
    this.#hashes.set(directory, new NameHashes());
  }

  see({ directory, item }: WalkedFile): void {
    const hashes = this.#hashes.get(directory);
    for (const key of keysOf(item, this.#inspecting.codePage)) hashes?.add(key);
  }

  async leave(directory: Directory): Promise<void> {
    const twice = this.#hashes.get(directory)?.twice();
    this.#hashes.delete(directory);
    if (twice === undefined || twice.size === 0) return;
    const { medium, codePage, findings } = this.#inspecting;
    const first = new Map<string, Namesake>();
    for await (const item of scanDirectory(medium, directory, codePage)) {
      if (findings.cut) return;
      if (item.kind !== "file") continue;
      const keys = keysOf(item, codePage).filter((key) => twice.has(hashOf(key)));
      const before = keys.map((key) => first.get(key)).find((other) => other !== undefined);
      if (before !== undefined) findDuplicate(this.#inspecting, directory, item, before);
      else if (first.size > DUPLICATES_MAX) findings.noteCut();
      else for (const key of keys) first.set(key, { slot: item.slot, name: item.name, short: shortEntryOf(item.entries).slice() });
    }
  }
}

function findDuplicate(inspecting: Inspecting, directory: Directory, item: FileItem, before: Namesake): void {
  const { medium, findings } = inspecting;
  const short = shortEntryOf(item.entries);
  if (isTwin(short, before.short) && firstClusterOf(short, medium.boot.bits) === 0) {
    findSurplus(inspecting, "entry-twice", directory, item, "the same empty file as another entry, left of a rename that was cut");
    return;
  }
  const path = childPath(directory.path, item.name);
  const offset = slotOffset(medium, directory, item.slot);
  const text = `the same name as the entry at slot ${before.slot} of its folder`;
  const sameLong = nameKey(item.name) === nameKey(before.name);
  const mend: Finding["mend"] = async (mending) =>
    await renameShort(mending, directory, item, sameLong ? await unusedName(mending, directory, item) : item.name);
  const canBe = directory.bytes <= DIRECTORY_BYTES_MAX;
  findings.add("duplicate-name", { offset, path, text, mending: "the later one gets another name" }, canBe ? mend : undefined, "copy");
}
