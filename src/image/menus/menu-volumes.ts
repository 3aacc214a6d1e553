/** The file systems of an image as boot loaders see them: files by path, links followed, each directory read once. */
import type { GrubDisk } from "../../formats/grub-menu.ts";
import type { ReportProblem } from "../../formats/problem.ts";
import { type BlockSource, cachedSource, windowSource } from "../block-source.ts";
import { fatTree, readFatVolume } from "../fat-tree.ts";
import type { ImageFacts } from "../image-facts.ts";
import { isoTree, readIsoVolume } from "../iso-tree.ts";
import { readTreeFile, type TreeNode, type VolumeTree } from "../volume-tree.ts";

/** A file system of the image whose files can be read. */
export interface MenuVolume extends GrubDisk {
  /** As `VolumeFacts.name`: "iso9660@0". */
  readonly volume: string;
  /** Every name that GRUB may have for it. */
  readonly aliases: ReadonlySet<string>;
  /** It starts UEFI's boot files: a FAT volume. */
  readonly efi: boolean;
  find(path: string): Promise<FoundNode | undefined>;
  list(path: string): Promise<readonly string[]>;
  /** A file's bytes from `start`, in pieces. */
  read(file: FoundNode, start?: bigint): AsyncIterable<Uint8Array>;
}

export interface FoundNode {
  readonly directory: boolean;
  readonly sizeBytes: bigint;
}

/** As GRUB has it; a circle of links ends here. */
const LINKS_MAX = 8;
const PATH_PARTS_MAX = 1000;
const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "");

/** Of all directories of a volume together; what lies behind is not found. */
const ENTRIES_MAX = 200_000;

/** Those that can be read, ISO 9660 first. What is damaged was reported when the image was probed. */
export async function openMenuVolumes(medium: BlockSource, facts: ImageFacts, signal: AbortSignal): Promise<readonly MenuVolume[]> {
  const source = cachedSource(medium, signal);
  const quiet: ReportProblem = () => {};
  const volumes: MenuVolume[] = [];
  for (const volume of facts.volumes) {
    const window = windowSource(source, BigInt(volume.offset), source.sizeBytes - BigInt(volume.offset));
    const names = deviceNames(facts, volume.name);
    if (volume.fileSystem === "iso9660") {
      const iso = await readIsoVolume(window, quiet);
      if (iso !== undefined) volumes.push(menuVolume(isoTree(iso, quiet), volume, names));
    } else if (volume.fileSystem.startsWith("fat")) {
      const fat = await readFatVolume(window, quiet);
      if (fat !== undefined) volumes.push(menuVolume(fatTree(fat, quiet), volume, names));
    }
  }
  const optical = (volume: MenuVolume) => (volume.fileSystem === "iso9660" ? 0 : 1);
  return volumes.sort((one, other) => optical(one) - optical(other));
}

/** The whole image is `cd0` or `hd0`, its partitions are numbered by either table. */
function deviceNames(facts: ImageFacts, volume: string): readonly string[] {
  const gpt =
    facts.gpt?.partitions.filter((partition) => partition.volume === volume).flatMap(({ number }) => [`gpt${number}`, `${number}`]) ?? [];
  const mbr =
    facts.mbr?.partitions.filter((partition) => partition.volume === volume).flatMap(({ number }) => [`msdos${number}`, `${number}`]) ?? [];
  const partitions = [...gpt, ...mbr].map((name) => `hd0,${name}`);
  const whole = facts.iso !== null ? ["cd0", "cd", "hd0"] : ["hd0"];
  const found = facts.volumes.find(({ name }) => name === volume);
  return found?.offset === 0 ? [...whole, ...partitions] : partitions;
}

function menuVolume<Node extends TreeNode>(
  tree: VolumeTree<Node>,
  facts: ImageFacts["volumes"][number],
  names: readonly string[],
): MenuVolume {
  const directories = new Map<Node, Promise<ReadonlyMap<string, Node>>>();
  let entries = 0;
  const keyOf = (name: string) => (tree.ignoresCase ? name.toLowerCase() : name);

  function childrenOf(directory: Node): Promise<ReadonlyMap<string, Node>> {
    let known = directories.get(directory);
    if (known === undefined) {
      known = readChildren(directory);
      directories.set(directory, known);
    }
    return known;
  }

  async function readChildren(directory: Node): Promise<ReadonlyMap<string, Node>> {
    const children = new Map<string, Node>();
    if (entries >= ENTRIES_MAX) return children;
    for await (const node of tree.entries(directory)) {
      entries += 1;
      if (entries > ENTRIES_MAX) break;
      if (!children.has(keyOf(node.name))) children.set(keyOf(node.name), node);
    }
    return children;
  }

  /** Links are followed, so many of them; none leads out of the volume. */
  async function nodeAt(path: string): Promise<Node | undefined> {
    const rest = partsOf(path);
    let above: Node[] = [tree.root];
    let links = 0;
    for (let part = rest.shift(); part !== undefined; part = rest.shift()) {
      if (part === ".") continue;
      if (part === "..") {
        if (above.length > 1) above.pop();
        continue;
      }
      const directory = above.at(-1);
      const node: Node | undefined = directory?.directory === true ? (await childrenOf(directory)).get(keyOf(part)) : undefined;
      if (node === undefined) return undefined;
      if (!node.symbolicLink) {
        above.push(node);
        continue;
      }
      links += 1;
      if (node.linkTarget === undefined || links > LINKS_MAX) return undefined;
      if (node.linkTarget.startsWith("/")) above = [tree.root];
      rest.unshift(...partsOf(node.linkTarget));
      if (rest.length > PATH_PARTS_MAX) return undefined;
    }
    return above.at(-1);
  }

  return {
    name: names[0] ?? facts.name,
    aliases: new Set([...names, facts.name]),
    volume: facts.name,
    label: facts.label,
    uuid: facts.uuid,
    fileSystem: facts.fileSystem,
    efi: facts.fileSystem.startsWith("fat"),
    find: nodeAt,
    list: async (path) => {
      const directory = await nodeAt(path);
      return directory?.directory === true ? [...(await childrenOf(directory)).values()].map(({ name }) => name) : [];
    },
    // Only this volume's own nodes come back here.
    read: (file, start) => readTreeFile(tree, file as Node, start),
  };
}

/** The whole of a file; undefined where there is none, or one of more than `maxBytes`. */
export async function readMenuFile(volume: MenuVolume, path: string, maxBytes: number): Promise<Uint8Array | undefined> {
  const node = await volume.find(path);
  if (node === undefined || node.directory || node.sizeBytes > BigInt(maxBytes)) return undefined;
  const bytes = new Uint8Array(Number(node.sizeBytes));
  let done = 0;
  for await (const piece of volume.read(node)) {
    bytes.set(piece.subarray(0, bytes.length - done), done);
    done += piece.length;
  }
  return bytes.subarray(0, Math.min(done, bytes.length));
}

/** The first bytes of a file or of a part of it. */
export async function readMenuHead(volume: MenuVolume, node: FoundNode, lengthBytes: number, start = 0n): Promise<Uint8Array> {
  const left = node.sizeBytes - start;
  const head = new Uint8Array(Number(left < 0n ? 0n : left < BigInt(lengthBytes) ? left : BigInt(lengthBytes)));
  let done = 0;
  for await (const piece of volume.read(node, start)) {
    head.set(piece.subarray(0, head.length - done), done);
    done += piece.length;
    if (done >= head.length) break;
  }
  return head.subarray(0, Math.min(done, head.length));
}
