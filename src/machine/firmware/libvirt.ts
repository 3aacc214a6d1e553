/**
 * libvirt's own list of firmware: `nvram = [ "CODE:VARS", … ]` in its qemu.conf. It counts where libvirt finds no descriptors, and for domains that name their loader
 * (libvirt: src/qemu/qemu.conf; qemu_conf.c, virQEMUDriverConfigLoadNVRAMEntry).
 */
import { join } from "node:path";
import { flashSizesMatch } from "../../formats/firmware-volume.ts";
import { type Environment, xdgFolders } from "../../host/xdg.ts";
import type { FirmwarePair } from "./pairs.ts";
import type { FirmwareStock } from "./stock.ts";

export interface LibvirtPlaces {
  readonly system: string;
  /** Of a person's session. libvirt names it qemu.conf there too; a file called qemu.config is read by nobody. */
  readonly session: string;
  readonly mistaken: string;
}

export const libvirtPlaces = (env: Environment): LibvirtPlaces => {
  const { config } = xdgFolders(env);
  return { system: "/etc/libvirt/qemu.conf", session: join(config, "libvirt/qemu.conf"), mistaken: join(config, "libvirt/qemu.config") };
};

export interface LibvirtBlock {
  /** Lines for qemu.conf, with a line feed at their end; empty where no pair can be said. */
  readonly text: string;
  /** Pairs that its form has no way to say. */
  readonly leftOut: readonly { readonly pair: FirmwarePair; readonly because: string }[];
}

/** `pairs`: one for each path of code, for libvirt takes the first that has it. It splits each entry at its colon, and reads strings in double quotes without escapes (util/virconf.c). It takes raw files here. */
export function libvirtBlock(pairs: readonly FirmwarePair[]): LibvirtBlock {
  const entries: string[] = [];
  const leftOut: { pair: FirmwarePair; because: string }[] = [];
  for (const pair of pairs) {
    const paths = [pair.code.path, pair.variables.path];
    const obstacle = paths.find((path) => /[:"\\\x00-\x1f\x7f]/.test(path));
    if (obstacle !== undefined) leftOut.push({ pair, because: `its form cannot say the path ${obstacle}` });
    else if (pair.code.format !== "raw") leftOut.push({ pair, because: `it takes raw files, not ${pair.code.format}` });
    else entries.push(`    "${paths.join(":")}"`);
  }
  return { text: entries.length === 0 ? "" : `nvram = [\n${entries.join(",\n")}\n]\n`, leftOut };
}

export interface NvramEntry {
  /** Counted from 1. */
  readonly line: number;
  readonly code: string;
  /** Undefined: the entry has no colon, which libvirt refuses. */
  readonly variables: string | undefined;
}

/** Entries of the last `nvram = [...]` of a qemu.conf. Comments (`#` to the end of the line) and everything else are passed over. Never throws. */
export function decodeNvram(text: string): readonly NvramEntry[] {
  const lines = text.split("\n");
  let entries: NvramEntry[] = [];
  let inside = false;
  for (const [at, line] of lines.entries()) {
    let rest = line;
    if (!inside) {
      const start = /^\s*nvram\s*=\s*\[/.exec(line);
      if (start === null) continue;
      entries = [];
      inside = true;
      rest = line.slice(start[0].length);
    }
    for (const [token, quoted] of rest.matchAll(/"([^"]*)"|#.*|\]/g)) {
      if (token.startsWith("#")) break;
      if (quoted !== undefined) entries.push(entryOf(quoted, at + 1));
      else {
        inside = false;
        break;
      }
    }
  }
  return entries;
}

export interface NvramProblem {
  readonly line: number;
  /** For a person, without a full stop. Not escaped. */
  readonly text: string;
}

/** Entries whose files are missing, are no firmware, or do not go together. `stock` knows every file that they name. */
export function checkNvram(entries: readonly NvramEntry[], stock: FirmwareStock): readonly NvramProblem[] {
  return entries.flatMap(({ line, code, variables }) => {
    const problem = (text: string) => [{ line, text }];
    if (variables === undefined) return problem(`an entry is CODE:VARS, not ${code}`);
    const [first, second] = [stock.get(code), stock.get(variables)];
    for (const file of [first, second]) {
      if (file !== undefined && file.state !== "present") return problem(`${file.path}: ${file.because}`);
    }
    if (first?.state !== "present" || second?.state !== "present") return problem(`a path that is relative: ${code}:${variables}`);
    if (first.image.kind !== "code") return problem(`${code} is no firmware code`);
    if (second.image.kind !== "variables") return problem(`${variables} keeps no variables`);
    const sizes = [first.image.sizeBytes, second.image.sizeBytes] as const;
    return flashSizesMatch(...sizes)
      ? []
      : problem(`its halves are of different builds: ${sizes.join(" and ")} bytes do not make one flash`);
  });
}

function entryOf(text: string, line: number): NvramEntry {
  const colon = text.indexOf(":");
  return colon < 0 ? { line, code: text, variables: undefined } : { line, code: text.slice(0, colon), variables: text.slice(colon + 1) };
}
