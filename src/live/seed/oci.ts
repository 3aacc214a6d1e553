/**
 * Container images as files: OCI image archives and folders (OCI image-spec v1.1: image-layout.md, manifest.md, layer.md) and what `docker save` writes
 * (a `manifest.json`, in newer versions beside an OCI layout). The root file system is what the layers make, laid over each other. Every digest
 * that the image names is checked before its bytes are used, and no name in it leads out of it.
 */
import { createHash } from "node:crypto";
import { createReadStream, createWriteStream } from "node:fs";
import { type FileHandle, open, readdir, stat } from "node:fs/promises";
import { join } from "node:path";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { Job } from "../../contract/job.ts";
import { pathInside, readable } from "../../formats/byte-text.ts";
import { storedBytes } from "../../formats/tar-entry.ts";
import { readTar } from "../../formats/tar-reader.ts";
import type { Environment } from "../../host/xdg.ts";
import { compressionOf, decompressed } from "./compressed.ts";
import { LayeredTree } from "./layered-tree.ts";

export interface OciOptions {
  /** The archive, packed or not, or the folder of an OCI layout. */
  readonly image: string;
  /** Where several images are in it: `NAME:TAG` or `TAG` of the one that is meant. */
  readonly reference?: string | undefined;
  /** As images name it: "amd64". */
  readonly architecture?: string;
  /** A folder with room for the unpacked layers; emptied by whoever made it. */
  readonly scratch: string;
  /** The archive that is written. */
  readonly target: string;
  readonly epochS: number;
  readonly env: Environment;
  readonly job: Job;
}

export interface OciImage {
  /** Of the configuration, which names everything else: "sha256:…". */
  readonly id: string;
  readonly references: readonly string[];
  readonly layers: number;
  readonly architecture: string;
}

const JSON_BYTES_MAX = 4 * 1024 * 1024;
/** More than any builder makes (overlayfs of old kernels took 127). */
const LAYERS_MAX = 1000;
/** Where packed data unpacks to more than this it was made to fill a disk. */
const LAYER_BYTES_MAX = 64 * 2 ** 30;
/** An index may name an index (image-index.md), but not without an end. */
const INDEX_DEPTH_MAX = 4;

const Digest = z.string().regex(/^(?:sha256:[0-9a-f]{64}|sha512:[0-9a-f]{128})$/, "expected sha256:… or sha512:…");
const Descriptor = z.object({
  mediaType: z.string().default(""),
  digest: Digest,
  size: z.int().min(0),
  annotations: z.record(z.string(), z.string()).nullish(),
  platform: z.object({ architecture: z.string(), os: z.string() }).nullish(),
});
type Descriptor = z.infer<typeof Descriptor>;
const Index = z.object({ manifests: z.array(Descriptor) });
const Manifest = z.object({ config: Descriptor, layers: z.array(Descriptor).min(1).max(LAYERS_MAX) });
const Config = z.object({
  architecture: z.string().default(""),
  os: z.string().default(""),
  rootfs: z.object({ diff_ids: z.array(Digest) }),
});
const DockerManifest = z.array(
  z.object({ Config: z.string(), RepoTags: z.array(z.string()).nullish(), Layers: z.array(z.string()).min(1).max(LAYERS_MAX) }),
);

/** Writes the image's root file system as one archive. Throws with the part of the image that is missing, damaged or of another platform. */
export async function readOciImage(options: OciOptions): Promise<OciImage> {
  const { image, scratch, target, epochS, job } = options;
  await using parts = await openParts(options);
  const chosen = parts.has("index.json") ? await chooseFromIndex(parts, options) : await chooseFromDocker(parts, options);
  await using tree = new LayeredTree();
  for (const [index, layer] of chosen.layers.entries()) {
    job.signal.throwIfAborted();
    const path = join(scratch, `layer-${index}.tar`);
    await unpackLayer(layer, path, options);
    // The digests have shown that nothing is missing, and not all that write layers end them as tar does.
    await tree.add(path, { whiteouts: true, end: "optional" });
  }
  await tree.write(target, { epochS, signal: job.signal });
  const { id, references, architecture } = chosen;
  if (architecture === "") job.progress.warn(`${image} does not say which processors it is for`);
  return { id, references, layers: chosen.layers.length, architecture };
}

interface Layer {
  readonly content: () => AsyncIterable<Uint8Array>;
  /** For errors. */
  readonly name: string;
  /** As it is stored; `docker save` does not say. */
  readonly descriptor: Descriptor | undefined;
  /** Of what is in it. */
  readonly diffId: string;
}

interface Chosen extends Pick<OciImage, "id" | "references" | "architecture"> {
  readonly layers: readonly Layer[];
}

const bad = (where: string, expected: string, found: string, hint?: string): HiperisoError =>
  new HiperisoError({ what: "read a container image", where, expected, found, ...(hint === undefined ? {} : { hint }) });

const REFERENCES = ["io.containerd.image.name", "org.opencontainers.image.ref.name"];

async function chooseFromIndex(parts: Parts, { image, reference, architecture = "amd64" }: OciOptions): Promise<Chosen> {
  interface Candidate {
    readonly descriptor: Descriptor;
    readonly references: readonly string[];
  }
  const candidates: Candidate[] = [];
  const collect = async (index: z.infer<typeof Index>, above: readonly string[], depth: number): Promise<void> => {
    if (depth > INDEX_DEPTH_MAX) throw bad(image, `at most ${INDEX_DEPTH_MAX} indexes in each other`, "more");
    for (const descriptor of index.manifests) {
      const own = REFERENCES.flatMap((key) => descriptor.annotations?.[key] ?? []);
      const references = [...new Set([...above, ...own])];
      if (/index|manifest\.list/.test(descriptor.mediaType)) {
        await collect(await parts.json(blobPath(descriptor), Index, descriptor), references, depth + 1);
      } else candidates.push({ descriptor, references });
    }
  };
  await collect(await parts.json("index.json", Index), [], 0);

  const named = candidates.filter(({ references }) => reference === undefined || references.some((name) => isMeant(name, reference)));
  const fits = ({ descriptor: { platform } }: Candidate): boolean =>
    platform === undefined || platform === null || (platform.os === "linux" && platform.architecture === architecture);
  // Signatures and provenance are listed as images of an unknown platform.
  const fitting = named.filter(fits);
  const all = candidates
    .filter(({ descriptor: { platform } }) => platform?.os !== "unknown")
    .map(({ references, descriptor: { platform } }) => nameOf(references, platform));
  if (fitting.length === 0) {
    throw bad(image, `an image${reference === undefined ? "" : ` ${reference}`} for linux/${architecture}`, all.join(", ") || "none");
  }
  const [{ descriptor, references }] = fitting as [Candidate];
  if (new Set(fitting.map((one) => one.descriptor.digest)).size > 1) {
    throw bad(image, "one image", all.join(", "), "Say with `reference` which one is meant.");
  }

  const manifest = await parts.json(blobPath(descriptor), Manifest, descriptor);
  const config = await checkedConfig(parts, blobPath(manifest.config), manifest.config, { image, architecture });
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== manifest.layers.length) {
    throw bad(`${image}: ${descriptor.digest}`, `${manifest.layers.length} digests of unpacked layers`, `${diffIds.length}`);
  }
  const layers = manifest.layers.map((layer, index): Layer => {
    const path = blobPath(layer);
    return { content: () => parts.content(path), name: layer.digest, descriptor: layer, diffId: diffIds[index]! };
  });
  for (const layer of manifest.layers) parts.expect(blobPath(layer));
  return { id: manifest.config.digest, references, architecture: config.architecture, layers };
}

/** manifest.json of `docker save`. Its names are paths in the archive; the configuration's digests say what must be found there. */
async function chooseFromDocker(parts: Parts, { image, reference, architecture = "amd64" }: OciOptions): Promise<Chosen> {
  if (!parts.has("manifest.json")) {
    throw bad(
      image,
      "index.json (an OCI image) or manifest.json (docker save)",
      "neither",
      "A plain root file system is a seed of kind tarball.",
    );
  }
  const images = await parts.json("manifest.json", DockerManifest);
  const meant = images.filter(({ RepoTags }) => reference === undefined || (RepoTags ?? []).some((name) => isMeant(name, reference)));
  const all = images.map(({ RepoTags, Config }) => (RepoTags ?? []).join(" ") || Config);
  if (meant.length === 0) throw bad(image, `an image ${reference ?? ""}`.trim(), all.join(", ") || "none");
  if (meant.length > 1) throw bad(image, "one image", all.join(", "), "Say with `reference` which one is meant.");
  const [{ Config: configPath, RepoTags, Layers }] = meant as [(typeof images)[number]];
  // The configuration's name is its digest, whether it is a file of its own or a blob.
  const digest = /(?:^|\/)([0-9a-f]{64})(?:\.json)?$/.exec(configPath)?.[1];
  const descriptor = digest === undefined ? undefined : { digest: `sha256:${digest}` };
  const config = await checkedConfig(parts, configPath, descriptor, { image, architecture });
  const diffIds = config.rootfs.diff_ids;
  if (diffIds.length !== Layers.length) throw bad(`${image}: ${configPath}`, `${Layers.length} digests of layers`, `${diffIds.length}`);
  const layers = Layers.map(
    (path, index): Layer => ({ content: () => parts.content(path), name: path, descriptor: undefined, diffId: diffIds[index]! }),
  );
  for (const path of Layers) parts.expect(path);
  return { id: descriptor?.digest ?? configPath, references: RepoTags ?? [], architecture: config.architecture, layers };
}

/** `alpine:3.20` is meant by itself, by `3.20`, and by a name that ends so behind a slash (`docker.io/library/alpine:3.20`). */
const isMeant = (name: string, reference: string): boolean =>
  name === reference || name.endsWith(`/${reference}`) || (!reference.includes(":") && name.endsWith(`:${reference}`));

function nameOf(references: readonly string[], platform: Descriptor["platform"]): string {
  const words = [...references, ...(platform === null || platform === undefined ? [] : [`${platform.os}/${platform.architecture}`])];
  return words.length === 0 ? "an image without a name" : words.join(" ");
}

async function checkedConfig(
  parts: Parts,
  path: string,
  descriptor: Pick<Descriptor, "digest"> | Descriptor | undefined,
  { image, architecture }: { readonly image: string; readonly architecture: string },
): Promise<z.infer<typeof Config>> {
  const config = await parts.json(path, Config, descriptor);
  const isOther = (config.os !== "" && config.os !== "linux") || (config.architecture !== "" && config.architecture !== architecture);
  if (isOther) throw bad(`${image}: ${path}`, `linux/${architecture}`, `${config.os}/${config.architecture}`);
  return config;
}

/** Digests of blobs are checked before they are made paths, so no path leads out of the image. */
const blobPath = ({ digest }: Pick<Descriptor, "digest">): string => `blobs/${digest.replace(":", "/")}`;

/** Checks the layer as it is stored and as it is unpacked, while it is unpacked. */
async function unpackLayer(layer: Layer, path: string, { image, env, job }: OciOptions): Promise<void> {
  const where = `${image}: ${layer.name}`;
  const stored = layer.descriptor === undefined ? undefined : new Checked(layer.descriptor, where);
  const unpacked = new Checked({ digest: layer.diffId }, `${where}, unpacked`);
  async function* layerBytes() {
    const packed = stored === undefined ? layer.content() : stored.passing(layer.content());
    let bytes = 0;
    for await (const piece of unpacked.passing(decompressed(packed, { where, env, signal: job.signal }))) {
      bytes += piece.length;
      if (bytes > LAYER_BYTES_MAX) throw bad(where, `a layer of at most ${LAYER_BYTES_MAX} bytes`, "more");
      yield piece;
    }
  }
  await pipeline(Readable.from(layerBytes(), { objectMode: true }), createWriteStream(path, { flags: "wx" }), { signal: job.signal });
  stored?.check();
  unpacked.check();
}

/** Bytes that pass by and must come to a digest. */
class Checked {
  readonly #expected: { readonly digest: string; readonly size?: number };
  readonly #where: string;
  readonly #hash;
  #bytes = 0;

  constructor(expected: { readonly digest: string; readonly size?: number }, where: string) {
    this.#expected = expected;
    this.#where = where;
    this.#hash = createHash(expected.digest.split(":")[0]!);
  }

  async *passing(source: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array> {
    for await (const piece of source) {
      this.#hash.update(piece);
      this.#bytes += piece.length;
      yield piece;
    }
  }

  check(): void {
    const { digest, size } = this.#expected;
    if (size !== undefined && size !== this.#bytes) throw bad(this.#where, `${size} bytes`, `${this.#bytes}`);
    const found = `${digest.split(":")[0]}:${this.#hash.digest("hex")}`;
    if (found !== digest) throw bad(this.#where, digest, found, "The image is damaged, or was changed after it was made: fetch it again.");
  }
}

/** The files of an image, by their path in it. */
abstract class Parts implements AsyncDisposable {
  readonly image: string;

  constructor(image: string) {
    this.image = image;
  }

  abstract has(path: string): boolean;
  abstract content(path: string): AsyncIterable<Uint8Array>;
  abstract [Symbol.asyncDispose](): Promise<void>;

  expect(path: string): void {
    if (!this.has(path)) throw bad(`${this.image}: ${path}`, "a file of the image", "none");
  }

  async json<Value>(path: string, schema: z.ZodType<Value>, descriptor?: Pick<Descriptor, "digest"> | Descriptor): Promise<Value> {
    const where = `${this.image}: ${path}`;
    this.expect(path);
    const checked = descriptor === undefined ? undefined : new Checked(descriptor, where);
    const pieces: Uint8Array[] = [];
    let bytes = 0;
    for await (const piece of checked?.passing(this.content(path)) ?? this.content(path)) {
      bytes += piece.length;
      if (bytes > JSON_BYTES_MAX) throw bad(where, `at most ${JSON_BYTES_MAX} bytes`, "more");
      pieces.push(piece);
    }
    checked?.check();
    let value: unknown;
    try {
      value = JSON.parse(Buffer.concat(pieces).toString("utf8"));
    } catch (error) {
      throw bad(where, "JSON", reasonOf(error));
    }
    const parsed = schema.safeParse(value);
    if (parsed.success) return parsed.data;
    const [issue] = parsed.error.issues;
    throw bad(`${where}: ${issue?.path.map(String).join(".")}`, "what the image format asks for", issue?.message ?? "");
  }
}

async function openParts({ image, scratch, env, job }: OciOptions): Promise<Parts> {
  const found = await stat(image).catch(() => undefined);
  if (found === undefined) throw bad(image, "an image archive, or a folder with an OCI layout", "nothing there");
  if (found.isDirectory()) return FolderParts.open(image);
  const file = await open(image, "r");
  const start = new Uint8Array(6);
  await file.read(start, 0, start.length, 0);
  if (compressionOf(start) === "none") return ArchiveParts.open(image, file);
  await file.close();
  const unpacked = join(scratch, "image.tar");
  const whole = decompressed(createReadStream(image), { where: image, env, signal: job.signal });
  await pipeline(Readable.from(whole, { objectMode: true }), createWriteStream(unpacked, { flags: "wx" }), { signal: job.signal });
  return ArchiveParts.open(image, await open(unpacked, "r"));
}

class FolderParts extends Parts {
  readonly #there: ReadonlySet<string>;

  private constructor(image: string, there: ReadonlySet<string>) {
    super(image);
    this.#there = there;
  }

  static async open(image: string): Promise<FolderParts> {
    const entries = await readdir(image, { recursive: true, withFileTypes: true });
    // Links may lead anywhere; neither form of an image needs one in a folder.
    const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(image.length));
    return new FolderParts(image, new Set(files.map((path) => path.replace(/^\/+/, ""))));
  }

  has(path: string): boolean {
    return this.#there.has(path);
  }

  content(path: string): AsyncIterable<Uint8Array> {
    return createReadStream(join(this.image, path));
  }

  async [Symbol.asyncDispose](): Promise<void> {}
}

interface Place {
  readonly offset: number;
  readonly bytes: number;
}

class ArchiveParts extends Parts {
  readonly #file: FileHandle;
  readonly #places: ReadonlyMap<string, Place>;

  private constructor(image: string, file: FileHandle, places: ReadonlyMap<string, Place>) {
    super(image);
    this.#file = file;
    this.#places = places;
  }

  static async open(image: string, file: FileHandle): Promise<ArchiveParts> {
    try {
      const places = new Map<string, Place>();
      const links: (readonly [string, string])[] = [];
      const source = file.createReadStream({ start: 0, autoClose: false });
      for await (const { entry, contentOffset } of readTar(source, { where: image })) {
        const path = readable(entry.path);
        if (entry.kind === "file" && entry.extents === undefined) places.set(path, { offset: contentOffset, bytes: storedBytes(entry) });
        if (entry.kind === "hard-link") links.push([path, readable(entry.target)]);
        if (entry.kind === "symlink") {
          const target = resolved(path.split("/").slice(0, -1), readable(entry.target));
          if (target !== undefined) links.push([path, target]);
        }
      }
      // docker save of old made a link of a layer that it had written already, for another image or the same one.
      for (const [path, target] of links) {
        const place = places.get(target);
        if (place !== undefined && !places.has(path)) places.set(path, place);
      }
      return new ArchiveParts(image, file, places);
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  has(path: string): boolean {
    return this.#places.has(path);
  }

  content(path: string): AsyncIterable<Uint8Array> {
    const { offset, bytes } = this.#places.get(path)!;
    if (bytes === 0) return Readable.from([]);
    return this.#file.createReadStream({ start: offset, end: offset + bytes - 1, autoClose: false });
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#file.close();
  }
}

/** `target` seen from `folder`; undefined where it leads out of the archive. */
function resolved(folder: readonly string[], target: string): string | undefined {
  const parts = target.startsWith("/") ? [] : [...folder];
  for (const part of target.split("/")) {
    if (part === ".." && parts.pop() === undefined) return undefined;
    if (part !== "..") parts.push(part);
  }
  return pathInside(parts.join("/"));
}
