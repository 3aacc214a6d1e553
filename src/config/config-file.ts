/** A `hiperiso.json` on a disk. */
import { open } from "node:fs/promises";
import { HiperisoError } from "../contract/error.ts";
import { CONFIG_CHARACTERS_MAX, type ConfigFinding, emptyConfig, type ParsedConfig, parseConfig } from "./hiperiso-json.ts";

/** UTF-8 takes at most three bytes for a UTF-16 code unit. */
const BYTES_MAX = 3 * CONFIG_CHARACTERS_MAX;

/** Throws (`usage`) when the file cannot be read; what is wrong inside it is told in `findings`. */
export async function readConfig(path: string): Promise<ParsedConfig> {
  const bytes = await readBytes(path);
  if (bytes.length > BYTES_MAX) return unusable(path, `the file is too long: expected at most ${BYTES_MAX} bytes`);
  try {
    return parseConfig(new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes), path);
  } catch (thrown) {
    if (!(thrown instanceof TypeError)) throw thrown;
    return unusable(path, "the file is not UTF-8; save it as UTF-8");
  }
}

async function readBytes(path: string): Promise<Uint8Array> {
  try {
    await using file = await open(path, "r");
    // One byte more than allowed shows that there is more, whatever the file's size says.
    const bytes = new Uint8Array(BYTES_MAX + 1);
    let length = 0;
    for (;;) {
      const { bytesRead } = await file.read(bytes, length, bytes.length - length);
      length += bytesRead;
      if (bytesRead === 0 || length === bytes.length) return bytes.subarray(0, length);
    }
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
    throw new HiperisoError({
      what: "read the configuration",
      where: path,
      expected: "a readable file",
      found: FOUND[code] ?? String(cause),
      kind: "usage",
      cause,
    });
  }
}

const FOUND: Readonly<Record<string, string>> = {
  ENOENT: "nothing by this name",
  EISDIR: "a directory",
  EACCES: "a file that you may not read",
};

function unusable(where: string, message: string): ParsedConfig {
  const finding: ConfigFinding = { where, line: 1, column: 1, path: "", message, severity: "error" };
  return { config: emptyConfig, findings: [finding] };
}
