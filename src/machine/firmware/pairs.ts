/** Pairs of code and variables that exist on a computer, by what their volumes say. Pure. */
import { basename, dirname, join } from "node:path";
import { flashSizesMatch } from "../../formats/firmware-volume.ts";
import { KNOWN_FIRMWARE } from "../../host/firmware.ts";
import type { FirmwareStock, PresentFirmware } from "./stock.ts";

export interface FirmwarePair {
  readonly code: PresentFirmware;
  readonly variables: PresentFirmware;
  /** As QEMU names it; undefined where the code does not tell. */
  readonly architecture: string | undefined;
  readonly smm: boolean;
  readonly secureBoot: boolean;
  readonly enrolledKeys: boolean;
  /** Its keys are Microsoft's, by which boot loaders of distributions are signed. */
  readonly microsoft: boolean;
}

/**
 * Every code with every store of variables that it goes with: one format, and sizes that make one flash. Where a file has several names the one that is no link comes
 * first. The better pairs stand first: known ones, halves from one folder, bigger flashes.
 */
export function firmwarePairs(stock: FirmwareStock): readonly FirmwarePair[] {
  const present = [...stock.values()].filter((file): file is PresentFirmware => file.state === "present");
  const codes = unique(present.filter(({ image }) => image.kind === "code"));
  const stores = unique(present.filter(({ image }) => image.kind === "variables"));
  const pairs = codes.flatMap((code) => stores.flatMap((variables) => pairOf(code, variables)));
  return pairs.sort((a, b) => rankOf(a) - rankOf(b) || compareText(nameOf(a), nameOf(b)));
}

/**
 * For every name of a file of code, links too, the one store that it is meant for: what a list holds that is looked up by the path of the code. The known one first, then the one
 * of the same name with VARS for CODE, then the best without keys.
 */
export function pairsByCode(stock: FirmwareStock): readonly FirmwarePair[] {
  const present = [...stock.values()].filter((file): file is PresentFirmware => file.state === "present");
  const stores = present.filter(({ image }) => image.kind === "variables");
  return present
    .filter(({ image }) => image.kind === "code")
    .sort((a, b) => compareText(a.path, b.path))
    .flatMap((code) => {
      const pairs = stores
        .flatMap((variables) => pairOf(code, variables))
        .sort((a, b) => rankOf(a) - rankOf(b) || compareText(nameOf(a), nameOf(b)));
      const known = pairs.find((pair) => KNOWN_PAIRS.has(nameOf(pair)));
      const namesake = pairs.find(({ variables }) => variables.path === join(dirname(code.path), namesakeOf(basename(code.path))));
      const best = known ?? namesake ?? pairs.find(({ enrolledKeys }) => !enrolledKeys);
      return best === undefined ? [] : [best];
    });
}

const namesakeOf = (name: string): string => name.replace(/CODE/, "VARS").replace(/code/, "vars");

function unique(files: readonly PresentFirmware[]): readonly PresentFirmware[] {
  const byReal = new Map<string, PresentFirmware>();
  for (const file of files) {
    const before = byReal.get(file.realPath);
    if (before === undefined || (before.path !== before.realPath && file.path === file.realPath)) byReal.set(file.realPath, file);
  }
  return [...byReal.values()];
}

function pairOf(code: PresentFirmware, variables: PresentFirmware): readonly FirmwarePair[] {
  if (code.format !== variables.format || !flashSizesMatch(code.image.sizeBytes, variables.image.sizeBytes)) return [];
  if (code.image.kind !== "code" || variables.image.kind !== "variables") return [];
  const { modules } = code.image.code;
  const { platformKey, microsoft } = variables.image.variables;
  return [
    {
      code,
      variables,
      architecture: modules?.architecture,
      // Packed in an unknown way: then its name is all there is. Taken for SMM too early costs a choice; too late, a silent guest.
      smm: modules?.smm ?? /sec|smm|ms\b/i.test(basename(code.path)),
      secureBoot: modules?.secureBoot ?? /sec|smm|ms\b/i.test(basename(code.path)),
      enrolledKeys: platformKey,
      microsoft,
    },
  ];
}

const KNOWN_PAIRS: ReadonlySet<string> = new Set(
  KNOWN_FIRMWARE.flatMap(({ mapping }) =>
    mapping.device === "flash" && mapping.mode === "split" ? [`${mapping.executable.filename}:${mapping.nvramTemplate.filename}`] : [],
  ),
);

/** Lower is better. Halves of two folders may be of two versions, which mostly works and was tried by nobody. */
function rankOf(pair: FirmwarePair): number {
  const { code, variables, enrolledKeys, microsoft } = pair;
  return (
    (KNOWN_PAIRS.has(nameOf(pair)) ? 0 : 1) +
    (dirname(code.path) === dirname(variables.path) ? 0 : 4) +
    (code.format === "raw" ? 0 : 2) +
    (code.image.sizeBytes + variables.image.sizeBytes >= 4n * 1024n * 1024n ? 0 : 8) +
    (enrolledKeys && !microsoft ? 16 : 0)
  );
}

const nameOf = ({ code, variables }: FirmwarePair): string => `${code.path}:${variables.path}`;
const compareText = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
