/** Container images, made by hand: with everything right, or with one thing wrong. */
import { createHash } from "node:crypto";
import { gzipSync } from "node:zlib";
import { type ByteText, byteText } from "../../../src/formats/byte-text.ts";
import type { TreeEntry } from "../../../src/formats/file-tree.ts";
import { encodeTar, tarEntryOf, writeTar } from "../../../src/formats/tar.ts";
import type { TarEntry, TarMember } from "../../../src/formats/tar-entry.ts";

export const sha256 = (bytes: string | Uint8Array): string => `sha256:${createHash("sha256").update(bytes).digest("hex")}`;

export const file = (path: string, content = "", mode = 0o644): TreeEntry => ({
  kind: "file",
  path,
  mode,
  content: new TextEncoder().encode(content),
});
export const folder = (path: string, mode = 0o755): TreeEntry => ({ kind: "directory", path, mode });
export const link = (path: string, target: string): TreeEntry => ({ kind: "symlink", path, target });
export const hardLink = (path: string, target: string): TarEntry => ({
  ...{ kind: "hard-link", path: byteText(path), target: byteText(target), mode: 0o644, uid: 0, gid: 0, mtimeS: 7 },
  ...{ xattrs: new Map<ByteText, Uint8Array>(), records: new Map<ByteText, Uint8Array>() },
});

/** Entries in their order, without the folders above them. */
export async function tarOf(entries: readonly (TreeEntry | TarEntry)[]): Promise<Uint8Array> {
  const members = entries.map((entry): TarMember => {
    const content = "content" in entry ? entry.content : new Uint8Array();
    return { entry: "xattrs" in entry ? entry : tarEntryOf(entry, { mtimeS: 7 }), content: once(content) };
  });
  const pieces: Uint8Array[] = [];
  for await (const piece of writeTar(members)) pieces.push(piece);
  return Buffer.concat(pieces);
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}

export interface ImageParts {
  /** Unpacked. */
  readonly layers: readonly Uint8Array[];
  readonly pack?: (layer: Uint8Array) => Uint8Array;
  readonly name?: string;
  readonly architecture?: string;
  /** Changed as they are written, behind all digests. */
  readonly damage?: (files: Map<string, Uint8Array>) => void;
  /** Put into the index as they are. */
  readonly moreManifests?: readonly object[];
}

/** The files of an OCI layout. */
export function ociFiles({ layers, pack = gzipSync, name = "test:1", architecture = "amd64", damage, moreManifests = [] }: ImageParts) {
  const files = new Map<string, Uint8Array>();
  const blob = (content: string | Uint8Array) => {
    const bytes = typeof content === "string" ? Buffer.from(content) : content;
    const digest = sha256(bytes);
    files.set(`blobs/${digest.replace(":", "/")}`, bytes);
    return { digest, size: bytes.length };
  };
  const config = blob(JSON.stringify({ architecture, os: "linux", rootfs: { type: "layers", diff_ids: layers.map(sha256) } }));
  const packed = layers.map((layer) => ({ mediaType: "application/vnd.oci.image.layer.v1.tar+gzip", ...blob(pack(layer)) }));
  const manifest = blob(
    JSON.stringify({ schemaVersion: 2, config: { mediaType: "application/vnd.oci.image.config.v1+json", ...config }, layers: packed }),
  );
  const platform = { os: "linux", architecture };
  const annotations = { "org.opencontainers.image.ref.name": name };
  const own = { mediaType: "application/vnd.oci.image.manifest.v1+json", ...manifest, platform, annotations };
  files.set("oci-layout", Buffer.from('{"imageLayoutVersion":"1.0.0"}'));
  files.set("index.json", Buffer.from(JSON.stringify({ schemaVersion: 2, manifests: [own, ...moreManifests] })));
  damage?.(files);
  return files;
}

/** The files of what `docker save` wrote before it wrote OCI layouts. */
export function dockerFiles({ layers, name = "test:1", architecture = "amd64", damage }: ImageParts) {
  const files = new Map<string, Uint8Array>();
  const config = Buffer.from(JSON.stringify({ architecture, os: "linux", rootfs: { type: "layers", diff_ids: layers.map(sha256) } }));
  const configName = `${sha256(config).slice(7)}.json`;
  files.set(configName, config);
  const names = layers.map((layer, index) => {
    files.set(`${index}/layer.tar`, layer);
    return `${index}/layer.tar`;
  });
  files.set("manifest.json", Buffer.from(JSON.stringify([{ Config: configName, RepoTags: [name], Layers: names }])));
  damage?.(files);
  return files;
}

export const archiveOf = (files: ReadonlyMap<string, Uint8Array>): Uint8Array =>
  Buffer.concat([
    ...encodeTar(
      [...files].map(([path, content]) => ({ kind: "file" as const, path, mode: 0o644, content })),
      { mtimeS: 7 },
    ),
  ]);
