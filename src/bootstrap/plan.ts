/** The plan of a bootstrap: everything that is decided before a byte is written. Plain data; `--json` prints it as it is. */
import type { Checkout } from "./checkout.ts";
import type { Limit } from "./limits.ts";
import type { BootstrapMode, BootstrapOptions } from "./options.ts";
import type { Distfile } from "./source-list.ts";
import type { Story } from "./story.ts";

/** How the guest gets going. `kernel`: a given Linux boots a disk. `kernel-bootstrap`: the boot sector of hand-readable code does. */
export type BootstrapForm = "chroot" | "bwrap" | "kernel" | "kernel-bootstrap";

export interface PlannedFile extends Distfile {
  /** Absent where the file is not in the folder of distfiles. */
  readonly sizeBytes?: number;
  /** Why it stands where it does. */
  readonly because: string;
}

/** A file that the target gets and the checkout does not have. */
export interface Addition {
  /** From the root of the guest, without a leading slash. */
  readonly path: string;
  readonly mode: number;
  readonly from: { readonly text: string } | { readonly guestFile: string };
  readonly because: string;
}

export interface PlannedDisk {
  /** Below the target. */
  readonly name: "init.img" | "external.img" | "disk.img";
  readonly kind: "boot-sector-and-sources" | "payload-container" | "ext3";
  /** The folder below the target that an ext3 disk is made from. */
  readonly from?: string;
  /** Where its partition begins; 0 where it has none. */
  readonly partitionOffsetBytes: number;
  /** Size of the file; absent where it cannot be known yet. */
  readonly sizeBytes?: number;
  /** At least this many, of which some sizes are not known. */
  readonly atLeastBytes: number;
}

export interface ImportPlacement {
  /** Line of the step in the target's manifest, counted from 1. */
  readonly line: number;
  /** The step behind which the import stands, as written: `jump: fiwix`; undefined where the manifest's own line decides. */
  readonly after?: string;
  readonly decidedBy: "manifest" | "default" | "fit" | "forced";
  readonly because: string;
}

export interface BootstrapPlan {
  readonly mode: BootstrapMode;
  readonly form: BootstrapForm;
  readonly arch: string;
  readonly archDir: string;
  readonly options: BootstrapOptions;
  /** The late files travel in a container on a second raw disk. */
  readonly payload: boolean;
  /** `steps/bootstrap.cfg`, whole. */
  readonly configuration: string;
  /** `steps/manifest` as it will stand in the target. */
  readonly manifest: string;
  readonly additions: readonly Addition[];
  readonly import?: ImportPlacement;
  readonly story: Story;
  /** In `external/distfiles` of the tree that boots first, in manifest order. */
  readonly early: readonly PlannedFile[];
  /** On the second disk alone, in manifest order. A container holds them sorted by the bytes of their names. */
  readonly late: readonly PlannedFile[];
  /** Fetched by the guest itself, once it has a network. */
  readonly network: readonly PlannedFile[];
  /** Files of the folder of distfiles that no step names, and whether they are copied too, as the original does. */
  readonly strays: { readonly names: readonly string[]; readonly copied: boolean };
  readonly disks: readonly PlannedDisk[];
  readonly limits: readonly Limit[];
  readonly warnings: readonly string[];
}

/** What the plan is told of this computer. */
export interface PlanFacts {
  /** Sizes of the plain files in the folder of distfiles, by name. */
  readonly distfiles: ReadonlyMap<string, number>;
  /** The mirrors as the guest reaches them; undefined where a `file://` mirror has no server yet. */
  readonly mirrorUrls?: readonly string[];
}

export type PlanBootstrap = (checkout: Checkout, options: BootstrapOptions, facts: PlanFacts) => BootstrapPlan;
