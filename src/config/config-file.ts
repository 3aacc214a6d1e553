/** A `hiperiso.json` on a disk. */
import { readBounded } from "../host/bounded-file.ts";
import { CONFIG_CHARACTERS_MAX, type ConfigFinding, emptyConfig, type ParsedConfig, parseConfig } from "./hiperiso-json.ts";

/** UTF-8 takes at most three bytes for a UTF-16 code unit. */
const BYTES_MAX = 3 * CONFIG_CHARACTERS_MAX;

/** Throws (`usage`) when the file cannot be read; what is wrong inside it is told in `findings`. */
export async function readConfig(path: string): Promise<ParsedConfig> {
  const bytes = await readBounded(path, BYTES_MAX, "read the configuration");
  if (bytes.length > BYTES_MAX) return unusable(path, `the file is too long: expected at most ${BYTES_MAX} bytes`);
  try {
    return parseConfig(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), path);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    return unusable(path, "the file is not UTF-8; save it as UTF-8");
  }
}

function unusable(where: string, message: string): ParsedConfig {
  const finding: ConfigFinding = { where, line: 1, column: 1, path: "", message, severity: "error" };
  return { config: emptyConfig, findings: [finding] };
}
