/** A `hiperiso.json` on a disk. */
import { readBounded } from "../host/bounded-file.ts";
import { CONFIG_CHARACTERS_MAX, type ConfigFinding, emptyConfig, type ParsedConfig, parseConfig } from "./hiperiso-json.ts";

/** UTF-8 takes at most three bytes for a UTF-16 code unit. */
export const CONFIG_FILE_BYTES_MAX = 3 * CONFIG_CHARACTERS_MAX;

/** Throws (`usage`) when the file cannot be read; what is wrong inside it is told in `findings`. */
export async function readConfig(path: string): Promise<ParsedConfig> {
  return decodeConfig(await readBounded(path, CONFIG_FILE_BYTES_MAX, "read the configuration"), path);
}

/** The same of bytes that came from anywhere; more than `CONFIG_FILE_BYTES_MAX` of them are a finding. */
export function decodeConfig(bytes: Uint8Array, where: string): ParsedConfig {
  if (bytes.length > CONFIG_FILE_BYTES_MAX) return unusable(where, `the file is too long: expected at most ${CONFIG_FILE_BYTES_MAX} bytes`);
  try {
    return parseConfig(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), where);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    return unusable(where, "the file is not UTF-8; save it as UTF-8");
  }
}

function unusable(where: string, message: string): ParsedConfig {
  const finding: ConfigFinding = { where, line: 1, column: 1, path: "", message, severity: "error" };
  return { config: emptyConfig, findings: [finding] };
}
