/**
 * The import of the payload inside a live-bootstrap tree: which files of `guest/payload-import` a tree gets that has none of its own, and where
 * they stand in it.
 */
import { fileURLToPath } from "node:url";

/** The package of the manifest's `build:` line. It must stand before the step, and before `jump: fiwix`: tcc builds it. */
export const IMPORT_PACKAGE = "payload-import-1.0";
/** The step of the manifest's `improve:` line. */
export const IMPORT_STEP = "import_payload";
/** The program, in the guest. */
export const IMPORT_PROGRAM = "payload-import";
/** Made by the step when all files are in place; where it exists, the step does nothing. Outside of the distfiles, which a later step tidies. */
export const IMPORT_MARKER = "/external/payload-imported";

/** Which shell reads the step: kaem up to and with the first `build: bash-…`, bash after it. */
export type StepInterpreter = "kaem" | "bash";

export interface ImportStepFile {
  /** From the target's root, without a leading slash. */
  readonly path: string;
  readonly mode: number;
  /** The file that stands there, below `guest/` of this program: `guestFilePath` says where that is. */
  readonly guestFile: string;
}

/** The package's files. They are the same whoever reads the step, since the package is built before bash is. */
export const IMPORT_PACKAGE_FILES: readonly ImportStepFile[] = [
  { path: `steps/${IMPORT_PACKAGE}/pass1.kaem`, mode: 0o755, guestFile: `payload-import/steps/${IMPORT_PACKAGE}/pass1.kaem` },
  { path: `steps/${IMPORT_PACKAGE}/src/payload-import.c`, mode: 0o644, guestFile: "payload-import/payload-import.c" },
];

/** The step in the form for `interpreter`. */
export const importStepFile = (interpreter: StepInterpreter): ImportStepFile => ({
  path: `steps/improve/${IMPORT_STEP}.sh`,
  mode: 0o755,
  guestFile: `payload-import/steps/improve/${IMPORT_STEP}.${interpreter}`,
});

/** Absolute path of a file below `guest/`, beside both `src/` and `dist/`. */
export const guestFilePath = (guestFile: string): string => fileURLToPath(new URL(`../../guest/${guestFile}`, import.meta.url));
