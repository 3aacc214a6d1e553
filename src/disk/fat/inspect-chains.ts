/** Where the chains of files and folders end, and where they should. Those that end in clusters of another are left to `inspect-crossings.ts`. */
import { ATTRIBUTE, encodeDotEntries, withData } from "../../formats/fat-entries.ts";
import { type Directory, isRoot, shortEntryOf } from "./directory.ts";
import type { Inspecting } from "./findings.ts";
import type { Crossings } from "./inspect-crossings.ts";
import { placeOf, shortEntryOffset } from "./inspect-entries.ts";
import { END_OF_CHAIN, type FatMedium, followChain } from "./medium.ts";
import { rewriteShort } from "./mend.ts";
import type { WalkedFile } from "./walk.ts";

export function inspectRootChain({ medium, findings }: Inspecting, { end }: Directory): void {
  if (end.kind === "whole") return;
  findings.noteBrokenChain();
  findings.add("root-chain", { offset: end.at, path: "/", text: end.text, mending: "the root ends there" }, () =>
    medium.setLinks([[end.last, END_OF_CHAIN]]),
  );
}

export function inspectFolderChain(inspecting: Inspecting, crossings: Crossings, walked: WalkedFile, inner: Directory): void {
  const { medium, findings } = inspecting;
  const { path, end } = walked;
  if (end.kind === "whole") return;
  findings.noteBrokenChain();
  if (end.kind === "claimed") {
    crossings.see(walked, end);
    return;
  }
  if (end.kind === "long") return; // read as far as anybody could want; `large-directory` says it
  if (inner.bytes > 0) {
    findings.add("chain", { offset: end.at, path, text: end.text, mending: "the folder ends there" }, () =>
      medium.setLinks([[end.last, END_OF_CHAIN]]),
    );
    return;
  }
  findNoClusters(inspecting, walked, end.text);
}

/**
 * A folder without any, which has nowhere to hold even its `.` and `..`. On a full volume it cannot have one either, and a folder without clusters is
 * none: there its name stays, as that of an empty file.
 */
function findNoClusters({ medium, findings }: Inspecting, walked: WalkedFile, text: string): void {
  const { directory, item, path } = walked;
  findings.add(
    "no-clusters",
    {
      offset: shortEntryOffset(medium, walked, 26),
      path,
      text,
      mending: "it becomes an empty folder, or an empty file where no cluster is free",
    },
    async ({ takeChain, free }) => {
      const short = shortEntryOf(item.entries);
      if ((await free.freeClusters()) === 0) {
        const file = short.slice();
        file[11] = (file[11]! & ~ATTRIBUTE.directory) | ATTRIBUTE.archive;
        await rewriteShort(medium, placeOf(walked), withData(file, 0, 0));
        return;
      }
      const [run] = await takeChain(1);
      const bytes = new Uint8Array(medium.clusterBytes);
      bytes.set(encodeDotEntries(run!.first, isRoot(directory) ? 0 : directory.firstCluster, 0));
      await medium.write(medium.offsetOf(run!.first), bytes);
      await medium.flush();
      await rewriteShort(medium, placeOf(walked), withData(short, run!.first, 0));
    },
    "copy",
  );
}

/** A file's chain has as many clusters as its size takes. */
export function inspectFileChain(inspecting: Inspecting, crossings: Crossings, walked: WalkedFile): void {
  const { medium, findings } = inspecting;
  const { item, path, entry, end } = walked;
  const short = shortEntryOf(item.entries);
  const wanted = medium.clustersOf(BigInt(entry.sizeBytes));
  if (end.kind === "claimed" && end.clusters < wanted) {
    findings.noteBrokenChain();
    crossings.see(walked, end);
    return;
  }
  if (wanted === 0 && entry.firstCluster !== 0) {
    findings.noteNotFollowed();
    const offset = shortEntryOffset(medium, walked, 26);
    const text = `it has 0 bytes and clusters from ${entry.firstCluster} on`;
    findings.add("size-zero", { offset, path, text, mending: "they become a file of their own" }, () =>
      rewriteShort(medium, placeOf(walked), withData(short, 0, 0)),
    );
    return;
  }
  if (end.clusters < wanted) {
    findings.noteBrokenChain();
    const text = end.kind === "whole" ? `its chain has ${end.clusters} of the ${wanted} clusters of ${entry.sizeBytes} bytes` : end.text;
    const offset = end.kind === "whole" ? shortEntryOffset(medium, walked, 28) : end.at;
    findings.add("chain", { offset, path, text, mending: "the file ends there" }, async () => {
      if (end.kind !== "whole" && end.clusters > 0) await medium.setLinks([[end.last, END_OF_CHAIN]]);
      const held = withData(short, end.clusters === 0 ? 0 : entry.firstCluster, end.clusters * medium.clusterBytes);
      await rewriteShort(medium, placeOf(walked), held);
    });
    return;
  }
  if (end.clusters === wanted && end.kind === "whole") return;
  findings.noteNotFollowed();
  const offset = shortEntryOffset(medium, walked, 28);
  const text =
    end.clusters === wanted && end.kind !== "whole"
      ? end.text
      : `its chain goes on behind the ${wanted} clusters of ${entry.sizeBytes} bytes`;
  findings.add("chain-long", { offset, path, text, mending: "the chain ends with the file" }, async () => {
    const last = await clusterOfChain(medium, entry.firstCluster, wanted);
    if (last !== undefined) await medium.setLinks([[last, END_OF_CHAIN]]);
  });
}

/** `number`: counted from 1. */
async function clusterOfChain(medium: FatMedium, first: number, number: number): Promise<number | undefined> {
  let left = number;
  for await (const run of followChain(medium, first, number)) {
    if (left <= run.count) return run.first + left - 1;
    left -= run.count;
  }
  return undefined;
}
