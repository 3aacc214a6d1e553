/** What the boot menu said on the kernel's command line. Pure. */
import { settingsFromCommandLine } from "../../config/boot-parameters.ts";
import type { SettingValues } from "../../config/settings.ts";
import { STICK_AFTER, STICK_PARAMETERS, type StickAfter } from "../../contract/stick.ts";
import { printable } from "../../formats/escape-terminal.ts";
import { decodeKernelCommandLine } from "../../formats/kernel-command-line.ts";

export interface BootLine {
  /** Without the image. */
  readonly settings: SettingValues;
  /** From the data partition's root; undefined: the person is asked. */
  readonly image: string | undefined;
  /** As the menu says it: the disk's GUID, or an MBR's signature. */
  readonly disk: string | undefined;
  readonly after: StickAfter;
  /** The stick stands for a part of another: its runtime is a folder of the data partition. */
  readonly isAdopted: boolean;
  /** What of the line cannot be used, for a person. */
  readonly problems: readonly string[];
}

/** Never throws: a slip in the menu stops no boot. */
export function readBootLine(line: string): BootLine {
  const { values, problems } = settingsFromCommandLine(line);
  const words = decodeKernelCommandLine(line);
  const last = (name: string): string | undefined => words.findLast((word) => word.name === name)?.value;
  const wanted = last(STICK_PARAMETERS.after);
  const after = STICK_AFTER.find((one) => one === wanted);
  const { iso, ...settings } = values;
  return {
    settings,
    image: iso,
    disk: last(STICK_PARAMETERS.disk),
    after: after ?? "ask",
    isAdopted: (last(STICK_PARAMETERS.runtime) ?? "") !== "",
    problems: [
      ...problems.map(({ message }) => message),
      ...(wanted !== undefined && after === undefined
        ? [`cannot use ${STICK_PARAMETERS.after}: expected one of ${STICK_AFTER.join(", ")}, found "${printable(wanted)}"`]
        : []),
    ],
  };
}
