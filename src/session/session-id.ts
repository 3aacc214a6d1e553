/** Session ids: `<sanitised image name>_<UTC timestamp>`, good as a directory's name on ext4, exFAT and NTFS. */

const NAME_MAX = 80;

/** Letters, digits, `.`, `_` and `-` stay; any run of others becomes one `_`. Never empty, never hidden, never `..`. */
export function sanitiseImageName(baseName: string): string {
  const name = baseName
    .normalize("NFKD")
    .replace(/\p{Mark}+/gu, "")
    .replace(/[^A-Za-z0-9._-]+/g, "_")
    .replace(/^[._-]+/, "")
    .slice(0, NAME_MAX)
    .replace(/[._-]+$/, "");
  return name === "" ? "image" : name;
}

/** `utc` as in `session.json`; without colons here, which exFAT forbids. `attempt` from 1: a second boot in the same second gets `-2`. */
export function sessionId(imageBaseName: string, utc: string, attempt: number): string {
  const timestamp = utc.replaceAll("-", "").replaceAll(":", "");
  return `${sanitiseImageName(imageBaseName)}_${timestamp}${attempt === 1 ? "" : `-${attempt}`}`;
}
