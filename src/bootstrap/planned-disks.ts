/** The disks of a plan: what each is made of, and how large it gets. */
import type { FirstImage } from "./first-image.ts";
import { type Amount, amountOf, known, mib, plus } from "./limits.ts";
import type { BootstrapForm, BootstrapOptions } from "./options.ts";

export interface PlannedDisk {
  /** Below the target. */
  readonly name: "init.img" | "external.img" | "disk.img";
  readonly kind: "boot-sector-and-sources" | "payload-container" | "ext3";
  /** The folder below the target that an ext3 disk is made from. */
  readonly from?: "external" | "disk";
  /** Where its partition begins; 0 where it has none. */
  readonly partitionOffsetBytes: number;
  /** What goes onto it, without files whose size is not known. */
  readonly contentBytes: number;
  readonly unknownFiles: number;
  /** Of the file; absent where the content decides and is not known. A sparse disk takes less room. */
  readonly sizeBytes?: number;
}

export interface DiskInput {
  readonly form: BootstrapForm;
  readonly options: BootstrapOptions;
  readonly payload: boolean;
  readonly early: readonly { readonly sizeBytes?: number }[];
  readonly late: readonly { readonly name: string; readonly sizeBytes?: number }[];
  readonly strays: { readonly names: readonly string[]; readonly copied: boolean };
  /** Everything in the target but distfiles and packages. */
  readonly treeBytes: number;
  readonly image: FirstImage | undefined;
  readonly facts: { readonly distfiles: ReadonlyMap<string, number>; readonly repoBytes?: number };
}

/** The size that the original gives to a disk of which nobody says one. */
const DISK_MIB_DEFAULT = 16 * 1024;
/** Containers are filled up with zeros to whole KiB: the small kernel counts a disk in these and rounds down. */
const PAYLOAD_PAD_BYTES = 1024;

export function planDisks(input: DiskInput): readonly PlannedDisk[] {
  const { form, options, image } = input;
  if (form === "kernel") {
    const sizeMib = options.targetSizeMib === 0 ? DISK_MIB_DEFAULT : options.targetSizeMib;
    return [ext3("disk.img", "disk", mib(1024), mib(sizeMib), plus(known(input.treeBytes), copiedFiles(input)))];
  }
  if (form !== "kernel-bootstrap" || image === undefined) return [];
  const first: PlannedDisk = {
    name: "init.img",
    kind: "boot-sector-and-sources",
    partitionOffsetBytes: 0,
    contentBytes: image.image.bytes,
    unknownFiles: image.image.unknown,
    ...(image.image.unknown > 0 ? {} : { sizeBytes: Math.max(image.image.bytes, mib(options.targetSizeMib)) }),
  };
  if (input.payload) return [first, container(input.late)];
  return options.repo === undefined
    ? [first]
    : [first, ext3("external.img", "external", mib(1), mib(DISK_MIB_DEFAULT), copiedFiles(input))];
}

function container(late: DiskInput["late"]): PlannedDisk {
  // Magic and count, and of each file two lengths, the name and the bytes.
  const names = late.reduce((sum, { name }) => sum + 8 + new TextEncoder().encode(name).length, 12);
  const content = plus(known(names), amountOf(late));
  return {
    name: "external.img",
    kind: "payload-container",
    partitionOffsetBytes: 0,
    contentBytes: content.bytes,
    unknownFiles: content.unknown,
    ...(content.unknown > 0 ? {} : { sizeBytes: Math.ceil(content.bytes / PAYLOAD_PAD_BYTES) * PAYLOAD_PAD_BYTES }),
  };
}

function ext3(
  name: PlannedDisk["name"],
  from: "external" | "disk",
  partitionOffsetBytes: number,
  sizeBytes: number,
  content: Amount,
): PlannedDisk {
  return { name, kind: "ext3", from, partitionOffsetBytes, contentBytes: content.bytes, unknownFiles: content.unknown, sizeBytes };
}

/** Distfiles, strays where they are copied, and packages that were built before. */
function copiedFiles({ early, late, strays, facts }: DiskInput): Amount {
  const copied = strays.copied ? strays.names.map((name) => facts.distfiles.get(name) ?? 0) : [];
  return plus(amountOf(early), amountOf(late), known(copied.reduce((sum, size) => sum + size, 0)), known(facts.repoBytes ?? 0));
}
