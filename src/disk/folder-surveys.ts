/** What the folders that were used last hold: found by one look at all of a folder, then kept up to date by whoever changes it. */

/** What one look at a folder found: which names stand where, and where there is room. */
export interface Survey {
  /** By the key under which names are compared, the first slot of each; undefined where there are too many to keep. */
  readonly names: Map<string, number> | undefined;
  /** Room between entries. */
  free: { slot: number; count: number }[];
  /** From this slot on all is free. */
  tail: number;
  /** The first slot that starts with 0: those from `tail` to here were used before. */
  end: number;
}

export type SurveyItem =
  | { readonly kind: "free"; readonly slot: number; readonly count: number }
  | { readonly kind: "end"; readonly slot: number }
  | { readonly kind: "names"; readonly slot: number; readonly keys: readonly string[] };

export interface SurveyedFormat<Folder> {
  /** Names that are kept together, of all folders. */
  readonly namesMax: number;
  slotsOf(folder: Folder): number;
  items(folder: Folder): AsyncIterable<SurveyItem>;
  /** False: this folder is looked at anew each time. */
  keeps(folder: Folder): boolean;
}

const HOLES_MAX = 1000;

/** By first cluster. */
export class FolderSurveys<Folder extends { readonly firstCluster: number }> {
  readonly #format: SurveyedFormat<Folder>;
  readonly #kept = new Map<number, Survey>(); // oldest use first
  #names = 0;

  constructor(format: SurveyedFormat<Folder>) {
    this.#format = format;
  }

  async of(folder: Folder): Promise<Survey> {
    const { firstCluster } = folder;
    const keeps = this.#format.keeps(folder);
    const kept = keeps ? this.#kept.get(firstCluster) : undefined;
    if (kept !== undefined) {
      this.#kept.delete(firstCluster);
      this.#kept.set(firstCluster, kept);
      return kept;
    }
    const survey = await this.#look(folder);
    if (!keeps || survey.names === undefined) return survey;
    this.#kept.set(firstCluster, survey);
    this.#names += survey.names.size;
    while (this.#names > this.#format.namesMax && this.#kept.size > 1) this.forget(this.#kept.keys().next().value as number);
    return survey;
  }

  forget(firstCluster: number): void {
    this.#names -= this.#kept.get(firstCluster)?.names?.size ?? 0;
    this.#kept.delete(firstCluster);
  }

  /** After an error nobody knows what stands where. */
  forgetAll(): void {
    this.#kept.clear();
    this.#names = 0;
  }

  async #look(folder: Folder): Promise<Survey> {
    let names: Map<string, number> | undefined = new Map();
    const free: { slot: number; count: number }[] = [];
    let end = this.#format.slotsOf(folder);
    for await (const item of this.#format.items(folder)) {
      if (item.kind === "free") {
        if (free.length < HOLES_MAX || item.slot + item.count === end) free.push({ slot: item.slot, count: item.count });
      } else if (item.kind === "end") end = item.slot;
      else if (names !== undefined) {
        for (const key of item.keys) if (!names.has(key)) names.set(key, item.slot);
        if (names.size > this.#format.namesMax) names = undefined;
      }
    }
    const last = free.at(-1);
    if (last === undefined || last.slot + last.count !== end) return { names, free, tail: end, end };
    free.pop();
    return { names, free, tail: last.slot, end };
  }

  /** `count` slots from `slot` on were given to something of these names. */
  noteAdded(folder: Folder, keys: readonly string[], slot: number, count: number): void {
    const survey = this.#kept.get(folder.firstCluster);
    if (survey === undefined) return;
    for (const key of keys) {
      if (survey.names?.has(key) === false) this.#names += 1;
      survey.names?.set(key, slot);
    }
    if (slot + count > survey.tail) {
      survey.tail = slot + count;
      survey.end = Math.max(survey.end, survey.tail);
      return;
    }
    survey.free = survey.free.flatMap((hole) => {
      if (slot < hole.slot || slot >= hole.slot + hole.count) return [hole];
      const before = { slot: hole.slot, count: slot - hole.slot };
      const after = { slot: slot + count, count: hole.slot + hole.count - slot - count };
      return [before, after].filter((rest) => rest.count > 0);
    });
  }

  noteRemoved(folder: Folder, keys: readonly string[], slot: number, count: number): void {
    const survey = this.#kept.get(folder.firstCluster);
    if (survey === undefined) return;
    for (const key of keys) {
      if (survey.names?.get(key) !== slot) continue;
      survey.names.delete(key);
      this.#names -= 1;
    }
    if (slot + count === survey.tail) survey.tail = slot;
    else if (survey.free.length < HOLES_MAX) survey.free.push({ slot, count });
  }
}
