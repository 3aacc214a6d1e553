/** The limits of the early code that do not hang on where the payload is imported. */
import { SRCFS_NAME_BYTES_MAX } from "../formats/srcfs.ts";
import type { SecondStage } from "./boot-sector.ts";
import { CONFIGURATION_LINE_BYTES_MAX } from "./configuration.ts";
import type { FirstImage } from "./first-image.ts";
import {
  BELOW_PARTITION_BYTES,
  bytesLimit,
  countLimit,
  FILE_AREA_BYTES,
  FILE_SLOTS,
  FIWIX_DISK_BYTES,
  known,
  type Limit,
  MEMORY_DISK_BYTES,
  RAM_MIB_MIN,
  SRCFS_SIZE_MAX,
} from "./limits.ts";
import type { BootstrapForm, BootstrapOptions } from "./options.ts";
import type { ImportPlacement } from "./placement.ts";
import type { PlannedDisk } from "./planned-disks.ts";
import type { Story } from "./story.ts";

const GIB_IN_MIB = 1024;

const jumpOf = (story: Story, wanted: string) => story.steps.find(({ directive, name }) => directive === "jump" && name === wanted);

/** Of the first image of a kernel bootstrap. */
export function bootLimits(stage: SecondStage, options: BootstrapOptions, story: Story, image: FirstImage): readonly Limit[] {
  const limits = [
    sectorLimit(stage),
    countLimit({
      name: "file slots",
      value: image.slots,
      bound: "at most",
      limit: FILE_SLOTS,
      unit: "entries",
      stops: true,
      because: "builder-hex0 has a slot for every file and folder; what the first steps make takes more of them",
    }),
    bytesLimit("bytes of all files", image.files, FILE_AREA_BYTES, true, "builder-hex0 keeps all files in memory and never frees any"),
    bytesLimit(
      "longest file",
      { bytes: image.longest.file, unknown: image.files.unknown },
      SRCFS_SIZE_MAX,
      true,
      "a size has 32 bits there",
    ),
    bytesLimit("longest name", known(image.longest.name), SRCFS_NAME_BYTES_MAX, true, "a name has a slot of 1,024 bytes"),
  ];
  if (jumpOf(story, "fiwix") !== undefined)
    limits.push(
      bytesLimit(
        "files beside the memory disk",
        image.files,
        FILE_AREA_BYTES - MEMORY_DISK_BYTES,
        true,
        "jump: fiwix makes the memory disk's image in the same area; what the first steps unpack and build comes on top",
      ),
    );
  if (options.repo === undefined)
    limits.push(
      bytesLimit(
        "first image below the partition",
        image.image,
        BELOW_PARTITION_BYTES,
        true,
        "jump: move_disk makes a partition on the same disk, behind its first GiB",
      ),
    );
  if (options.mode === "qemu")
    limits.push(
      countLimit({
        name: "memory",
        value: options.qemuRamMib,
        bound: "at least",
        limit: RAM_MIB_MIN,
        unit: "MiB",
        stops: false,
        because: "the first kernels use addresses below 4 GiB, of which a computer with less has none",
      }),
    );
  return limits;
}

function sectorLimit({ srcfsSector, reads }: SecondStage): Limit {
  return countLimit({
    name: "sector of the source file system",
    value: srcfsSector,
    bound: "exactly",
    limit: reads.includes(srcfsSector) ? srcfsSector : Math.max(0, ...reads),
    unit: "sector",
    stops: true,
    because:
      reads.length === 0
        ? "stage 2 has no instruction that names a sector"
        : "stage 2 reads from a sector that is written into its code, and the files begin where its own source ends",
  });
}

/** Of the disks. */
export function diskLimits(
  form: BootstrapForm,
  options: BootstrapOptions,
  disks: readonly PlannedDisk[],
  placement: ImportPlacement | undefined,
  story: Story,
): readonly Limit[] {
  const content = (disk: PlannedDisk) => ({ bytes: disk.contentBytes, unknown: disk.unknownFiles });
  const limits = disks
    .filter(({ kind }) => kind === "ext3")
    .map((disk) => {
      const room = (disk.sizeBytes ?? 0) - disk.partitionOffsetBytes;
      return bytesLimit(`content of ${disk.name}`, content(disk), Math.max(0, room), true, "the file system's own tables come on top");
    });
  const payload = disks.find(({ kind }) => kind === "payload-container");
  const linux = jumpOf(story, "linux");
  if (payload !== undefined && placement !== undefined && (linux === undefined || placement.line < linux.line))
    limits.push(bytesLimit("payload disk under Fiwix", content(payload), FIWIX_DISK_BYTES, true, "Fiwix reads no further into a disk"));
  if (form === "kernel-bootstrap" && options.mode === "qemu" && options.repo === undefined && jumpOf(story, "move_disk") !== undefined)
    limits.push(
      countLimit({
        name: "size of the first disk",
        value: options.targetSizeMib,
        bound: "at least",
        limit: GIB_IN_MIB + 1,
        unit: "MiB",
        stops: false,
        because: "jump: move_disk makes a partition behind its first GiB, and the finished system goes there",
      }),
    );
  return limits;
}

/** Of `bootstrap.cfg`: shown only where it is broken, since nobody ever comes near it. */
export function configurationLimits(configuration: string): readonly Limit[] {
  return configuration
    .split("\n")
    .map((line) =>
      bytesLimit(
        `bootstrap.cfg, line of ${line.slice(0, line.indexOf("="))}`,
        known(new TextEncoder().encode(line).length),
        CONFIGURATION_LINE_BYTES_MAX,
        true,
        "the guest reads lines into a buffer of 2,048 bytes; name fewer mirrors",
      ),
    )
    .filter(({ ok }) => ok === false);
}
