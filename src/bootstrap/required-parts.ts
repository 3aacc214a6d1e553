/** What a form of bootstrap needs of its checkout. */
import { HiperisoError } from "../contract/error.ts";
import { BOOT_SECTOR, type Checkout, STAGE0, type StepFolder, submoduleCommand } from "./checkout.ts";
import type { BootstrapForm, BootstrapOptions } from "./options.ts";

/** Folders of stage0-posix that belong to one architecture each. */
const ARCHITECTURES = new Set(["x86", "AMD64", "AArch64", "armv7l", "riscv32", "riscv64"]);

/** Throws (`usage`) where submodules or the files that start it are missing; the error has the command that brings them. */
export function requireParts(checkout: Checkout, options: BootstrapOptions, form: BootstrapForm): void {
  const preseeded = options.earlyPreseed !== undefined;
  const isNeeded = (path: string): boolean => {
    if (path === BOOT_SECTOR.folder) return form === "kernel-bootstrap";
    if (preseeded) return false;
    if (path === STAGE0) return true;
    const name = path.slice(STAGE0.length + 1);
    // Without the seeds' binaries the boot sector makes its own.
    if (name === "bootstrap-seeds") return form !== "kernel-bootstrap";
    return path.startsWith(`${STAGE0}/`) && (name === options.archDir || !ARCHITECTURES.has(name));
  };
  const missing = checkout.missingSubmodules.filter(isNeeded);
  if (missing.length > 0)
    throw new HiperisoError({
      what: "read the checkout",
      where: checkout.root,
      expected: "its submodules",
      found: `empty folders: ${missing.join(", ")}`,
      hint: `This brings them: ${submoduleCommand(checkout.root)}`,
      kind: "usage",
    });
  const files = new Set(checkout.files.map(({ path }) => path));
  const needed = [
    ...(form === "kernel-bootstrap" && checkout.bootSector === undefined
      ? [`${BOOT_SECTOR.folder}/${BOOT_SECTOR.stage1}`, `${BOOT_SECTOR.folder}/${BOOT_SECTOR.stage2}`]
      : []),
    ...(preseeded
      ? ["seed/preseeded.kaem"]
      : form === "kernel-bootstrap"
        ? ["x86/hex0_x86.hex0", "x86/kaem-minimal.hex0", "kaem.x86"].map((name) => `${STAGE0}/${name}`)
        : [`${STAGE0}/bootstrap-seeds/POSIX/${options.archDir}/kaem-optional-seed`]
    ).filter((path) => !files.has(path)),
  ];
  if (needed.length > 0)
    throw new HiperisoError({
      what: "read the checkout",
      where: checkout.root,
      expected: "the files that start the bootstrap",
      found: `not there: ${needed.join(", ")}`,
      hint: `If a submodule is missing, this brings it: ${submoduleCommand(checkout.root)}`,
      kind: "usage",
    });
}

/** Throws (`usage`) where the tree has no steps of Guix. */
export function requiredGuix(checkout: Checkout): StepFolder {
  if (checkout.guix !== undefined) return checkout.guix;
  throw new HiperisoError({
    what: "build Guix too",
    where: checkout.root,
    expected: "steps-guix/manifest, which --build-guix-also asks for",
    found: "none in this checkout",
    kind: "usage",
  });
}
