/** `/ventoy/ventoy.cpio`: a newc archive that holds one JSON file, which says what the stick is and what stands on its ESP. */
import { HiperisoError, reasonOf } from "../contract/error.ts";
import { STICK_MANIFEST_NAME, type StickManifest, stickManifestSchema } from "../contract/stick.ts";
import { decodeCpio, encodeCpio } from "../formats/cpio.ts";

/** Seven times what the manifest of a full ESP takes. */
export const MANIFEST_BYTES_MAX = 1 << 20;

export function encodeManifest(manifest: StickManifest): Uint8Array {
  const content = new TextEncoder().encode(`${JSON.stringify(manifest, null, 2)}\n`);
  const mtimeS = Math.min(Math.max(Date.parse(manifest.written_utc) / 1000, 0), 0xffff_ffff);
  return encodeCpio([{ kind: "file", path: STICK_MANIFEST_NAME, mode: 0o644, content }], { mtimeS });
}

/** Throws HiperisoError where it is no manifest that this version knows. */
export function decodeManifest(bytes: Uint8Array, where: string): StickManifest {
  const bad = (found: string, cause?: unknown) =>
    new HiperisoError({ what: "read the stick's manifest", where, expected: `a ${STICK_MANIFEST_NAME}`, found, cause });
  const { entries } = decodeCpio(bytes, where);
  const entry = entries.find(({ path }) => path === STICK_MANIFEST_NAME);
  if (entry?.kind !== "file") throw bad("an archive without it");
  let json: unknown;
  try {
    json = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(entry.content));
  } catch (cause) {
    throw bad(reasonOf(cause), cause);
  }
  const parsed = stickManifestSchema.safeParse(json);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw bad(issue === undefined ? "something else" : `${issue.path.join(".")}: ${issue.message}`);
}
