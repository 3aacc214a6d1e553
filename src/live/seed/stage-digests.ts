/**
 * Digests that a distribution publishes beside its stage tarballs: as Gentoo's `.DIGESTS` and `.sha256`, as sha256sum and as BSD's md5 print them, plain or
 * inside a message signed by OpenPGP (RFC 9580, 7, whose framing is looked through here and checked elsewhere).
 */

export interface PublishedDigest {
  /** As node:crypto names it. */
  readonly algorithm: "sha512" | "blake2b512" | "sha256";
  /** Lower case. */
  readonly hex: string;
}

const BY_LENGTH: Readonly<Record<number, PublishedDigest["algorithm"]>> = { 64: "sha256", 128: "sha512" };
const BY_NAME: Readonly<Record<string, PublishedDigest["algorithm"]>> = { sha256: "sha256", sha512: "sha512", blake2b: "blake2b512" };

/** All digests of `name` that are known to be strong, in their order. Weak ones (MD5, SHA-1) prove nothing and are left out. */
export function publishedDigests(text: string, name: string): readonly PublishedDigest[] {
  const digests: PublishedDigest[] = [];
  let heading: PublishedDigest["algorithm"] | undefined;
  let hasHeading = false;
  for (const line of text.split(/\r?\n/)) {
    const said = /^#\s*([A-Za-z0-9]+)\s+HASH/i.exec(line)?.[1];
    if (said !== undefined) {
      hasHeading = true;
      heading = BY_NAME[said.toLowerCase()];
      continue;
    }
    const [, hex = "", file = ""] = /^([0-9A-Fa-f]{64,128})\s+\*?(.+?)\s*$/.exec(line) ?? [];
    const [, bsd = "", bsdFile = "", bsdHex = ""] = /^([A-Za-z0-9-]+)\s*\((.+)\)\s*=\s*([0-9A-Fa-f]{64,128})\s*$/.exec(line) ?? [];
    const found =
      hex !== ""
        ? { hex, file, algorithm: hasHeading ? heading : BY_LENGTH[hex.length] }
        : { hex: bsdHex, file: bsdFile, algorithm: BY_NAME[bsd.toLowerCase()] };
    if (found.algorithm === undefined || baseName(found.file) !== name) continue;
    if (found.hex.length !== (found.algorithm === "sha256" ? 64 : 128)) continue;
    digests.push({ algorithm: found.algorithm, hex: found.hex.toLowerCase() });
  }
  return digests;
}

const baseName = (path: string): string => path.slice(path.lastIndexOf("/") + 1);
