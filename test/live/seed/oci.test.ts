import { spawnSync } from "node:child_process";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { HiperisoError } from "../../../src/contract/error.ts";
import { quietJob } from "../../../src/contract/job.ts";
import { readable } from "../../../src/formats/byte-text.ts";
import { wholeContent } from "../../../src/formats/tar-entry.ts";
import { readTar } from "../../../src/formats/tar-reader.ts";
import { type OciOptions, readOciImage } from "../../../src/live/seed/oci.ts";
import { archiveOf, dockerFiles, file, folder, hardLink, type ImageParts, link, ociFiles, sha256, tarOf } from "./oci-images.ts";

let place: string;
beforeEach(async () => {
  place = await mkdtemp(join(tmpdir(), "hiperiso-oci-"));
});
afterEach(() => rm(place, { recursive: true }));

/** Path: content, or what it is. */
async function listed(path: string): Promise<Record<string, string>> {
  const all: Record<string, string> = {};
  for await (const member of readTar(createReadStream(path), { where: path })) {
    const { entry } = member;
    let content = "";
    for await (const piece of wholeContent(member)) content += Buffer.from(piece).toString();
    const target = "target" in entry ? ` ${readable(entry.target)}` : "";
    all[readable(entry.path)] = entry.kind === "file" ? content : `${entry.kind}${target}`;
  }
  return all;
}

let count = 0;
/** Reads the image at `image`, or these files of one. */
async function read(image: string | Uint8Array | ReadonlyMap<string, Uint8Array>, options: Partial<OciOptions> = {}) {
  count += 1;
  const scratch = join(place, `scratch-${count}`);
  await mkdir(scratch);
  let path = image;
  if (typeof path !== "string") {
    path = join(place, `image-${count}`);
    await writeFile(path, image instanceof Map ? archiveOf(image) : (image as Uint8Array));
  }
  const target = join(scratch, "root.tar");
  const facts = await readOciImage({ image: path, scratch, target, epochS: 100, env: process.env, job: quietJob, ...options });
  return { facts, root: await listed(target), target };
}

const layers = async (...all: Parameters<typeof tarOf>[0][]): Promise<readonly Uint8Array[]> => Promise.all(all.map(tarOf));

describe("the layers of an image", () => {
  const rootOf = async (...all: Parameters<typeof tarOf>[0][]) => (await read(ociFiles({ layers: await layers(...all) }))).root;

  test("are laid over each other: later files, folders kept with what is in them", async () => {
    expect(
      await rootOf([folder("etc"), file("etc/a", "1"), file("etc/b", "1")], [folder("etc", 0o700), file("etc/b", "2"), file("new/c", "3")]),
    ).toEqual({
      ...{ "": "directory", etc: "directory", "etc/a": "1", "etc/b": "2", new: "directory", "new/c": "3" },
    });
  });

  test("take away what a whiteout names, of the layers below only, wherever it stands in its own", async () => {
    const below = [file("etc/a", "1"), file("etc/b", "1"), file("opt/x/y", "1")];
    const above = [file("etc/b", "2"), file("etc/.wh.b"), file("etc/.wh.a"), file(".wh.opt"), file("etc/.wh.never-there")];
    expect(await rootOf(below, above)).toEqual({ "": "directory", etc: "directory", "etc/b": "2" });
  });

  test("empty a folder that is opaque, but for what they put there", async () => {
    const below = [file("etc/a", "1"), file("etc/d/b", "1"), file("var/c", "1")];
    expect(await rootOf(below, [file("etc/new", "2"), file("etc/.wh..wh..opq")])).toEqual({
      ...{ "": "directory", etc: "directory", "etc/new": "2", var: "directory", "var/c": "1" },
    });
  });

  test("may put a file in the place of a folder, and a folder in the place of a file or link", async () => {
    const below = [file("a/b", "1"), file("c", "1"), link("d", "a")];
    expect(await rootOf(below, [file("a", "2"), folder("c"), folder("d"), file("d/e", "3")])).toEqual({
      ...{ "": "directory", a: "2", c: "directory", d: "directory", "d/e": "3" },
    });
  });

  test("go through links of the layers below, which lead nowhere outside", async () => {
    const below = [folder("usr/lib"), link("lib", "usr/lib"), link("out", "../../../../tmp"), link("abs", "/usr/lib")];
    const root = await rootOf(below, [file("lib/m", "1"), file("out/x", "2"), file("abs/n", "3"), file("abs/.wh.nothing")]);
    expect(root).toMatchObject({ "usr/lib/m": "1", "usr/lib/n": "3", "tmp/x": "2", lib: "symlink usr/lib" });
  });

  test("keep files of several names as one, also when the first name goes", async () => {
    const below = [file("a", "same"), hardLink("b", "a"), hardLink("c", "b")];
    expect(await rootOf(below)).toEqual({ "": "directory", a: "same", b: "hard-link a", c: "hard-link a" });
    expect(await rootOf(below, [file(".wh.a")])).toEqual({ "": "directory", b: "same", c: "hard-link b" });
    // What is written anew is another file; the other names keep what they had.
    expect(await rootOf(below, [file("a", "new")])).toEqual({ "": "directory", a: "new", b: "same", c: "hard-link b" });
  });

  test.each([
    ["a hard link to nothing", [hardLink("b", "nothing")], /b: expected a file for its hard link, found no nothing/],
    ["a hard link to a folder", [folder("d"), hardLink("b", "d")], /found a folder at d/],
    ["a file below a file", [file("a", "1"), file("a/b", "2")], /a\/b: expected a folder above it/],
    ["links in a circle", [link("x", "y"), link("y", "x"), file("x/z", "1")], /expected an end of its links, found a loop/],
  ])("with %s are refused", async (_, entries, message) => {
    await expect(rootOf(entries)).rejects.toThrow(message);
  });

  test("keep owners, times up to the epoch, and names that are not UTF-8", async () => {
    const entry = { ...hardLink("x", "x"), kind: "file" as const, sizeBytes: 0, uid: 1000, gid: 50, mtimeS: 4000, path: "n\xff" as never };
    const { target } = await read(ociFiles({ layers: [await tarOf([entry])] }));
    const entries = [];
    for await (const { entry: one } of readTar(createReadStream(target), { where: target })) entries.push(one);
    expect(entries.at(-1)).toMatchObject({ path: "n\xff", uid: 1000, gid: 50, mtimeS: 100 });
  });
});

describe("a container image", () => {
  const parts = async (rest: Partial<ImageParts> = {}): Promise<ImageParts> => ({
    layers: await layers([file("a", "1")], [file("b", "2")]),
    ...rest,
  });
  const ROOT = { "": "directory", a: "1", b: "2" };

  test.each([
    ["packed by gzip", (layer: Uint8Array) => gzipSync(layer)],
    ["not packed", (layer: Uint8Array) => layer],
    ["packed by zstd", (layer: Uint8Array) => spawnSync("zstd", ["-c"], { input: layer }).stdout],
  ])("is read with layers %s", async (_, pack) => {
    const { facts, root } = await read(ociFiles(await parts({ pack })));
    expect(root).toEqual(ROOT);
    expect(facts).toMatchObject({
      layers: 2,
      references: ["test:1"],
      architecture: "amd64",
      id: expect.stringMatching(/^sha256:[0-9a-f]{64}$/),
    });
  });

  test("of docker save is read; layers that are links to others too", async () => {
    expect((await read(dockerFiles(await parts()))).root).toEqual(ROOT);
    const [layer] = (await parts()).layers as [Uint8Array];
    const config = JSON.stringify({ architecture: "amd64", os: "linux", rootfs: { diff_ids: [sha256(layer), sha256(layer)] } });
    const archive = await tarOf([
      link("2/layer.tar", "../1/layer.tar"),
      { ...file("1/layer.tar"), kind: "file", content: layer } as never,
      file(`${sha256(config).slice(7)}.json`, config),
      file("manifest.json", JSON.stringify([{ Config: `${sha256(config).slice(7)}.json`, Layers: ["1/layer.tar", "2/layer.tar"] }])),
    ]);
    expect((await read(archive)).root).toEqual({ "": "directory", a: "1" });
  });

  test("is read packed as a whole, and as a folder", async () => {
    const files = ociFiles(await parts());
    expect((await read(gzipSync(archiveOf(files)))).root).toEqual(ROOT);
    for (const [path, content] of files) {
      await mkdir(dirname(join(place, "layout", path)), { recursive: true });
      await writeFile(join(place, "layout", path), content);
    }
    expect((await read(join(place, "layout"))).root).toEqual(ROOT);
  });

  test("gives the same bytes each time", async () => {
    const files = ociFiles(await parts());
    const [one, other] = [await read(files), await read(files)];
    expect((await readFile(one.target)).equals(await readFile(other.target))).toBe(true);
  });

  test("is chosen by its name and by processors; signatures beside it are none", async () => {
    const arm = ociFiles(await parts({ architecture: "arm64", name: "test:arm" }));
    const other = ociFiles({ layers: await layers([file("c", "3")]), name: "docker.io/library/other:2" });
    const manifestsOf = (files: ReadonlyMap<string, Uint8Array>) =>
      JSON.parse(Buffer.from(files.get("index.json")!).toString()).manifests as object[];
    const proof = {
      mediaType: "application/vnd.oci.image.manifest.v1+json",
      digest: sha256("x"),
      size: 1,
      platform: { os: "unknown", architecture: "unknown" },
    };
    const files = new Map([...arm, ...other, ...ociFiles(await parts({ moreManifests: [...manifestsOf(arm), proof] }))]);
    expect((await read(files)).root).toEqual(ROOT);
    await expect(read(files, { architecture: "riscv64" })).rejects.toThrow(
      /expected an image for linux\/riscv64, found test:1 linux\/amd64, test:arm linux\/arm64/,
    );
    const both = new Map([...other, ...ociFiles(await parts({ moreManifests: manifestsOf(other) }))]);
    await expect(read(both)).rejects.toThrow(/expected one image, found test:1 linux\/amd64, docker\.io\/library\/other:2 .*`reference`/);
    for (const reference of ["other:2", "2", "docker.io/library/other:2"])
      expect((await read(both, { reference })).root).toEqual({ "": "directory", c: "3" });
  });

  test("that an index in its index names is found; indexes without an end are not followed", async () => {
    const files = ociFiles(await parts());
    const nest = (): void => {
      const inner = files.get("index.json")!;
      files.set(`blobs/${sha256(inner).replace(":", "/")}`, inner);
      const descriptor = { mediaType: "application/vnd.oci.image.index.v1+json", digest: sha256(inner), size: inner.length };
      files.set("index.json", Buffer.from(JSON.stringify({ manifests: [descriptor] })));
    };
    nest();
    expect((await read(files)).root).toEqual(ROOT);
    for (let depth = 0; depth < 5; depth += 1) nest();
    await expect(read(files)).rejects.toThrow(/at most 4 indexes in each other/);
  });

  const replaced = (pattern: RegExp, change: (bytes: Uint8Array) => Uint8Array | undefined) => (files: Map<string, Uint8Array>) => {
    for (const [path, bytes] of files) {
      if (!pattern.test(Buffer.from(bytes).toString("latin1"))) continue;
      const changed = change(bytes);
      if (changed === undefined) files.delete(path);
      else files.set(path, changed);
    }
  };
  const swapped = (from: string, to: string) => (bytes: Uint8Array) =>
    Buffer.from(Buffer.from(bytes).toString("latin1").replaceAll(from, to), "latin1");

  test.each([
    [
      "a layer that was changed",
      replaced(/^\x1f\x8b/, (bytes) => Buffer.concat([bytes.subarray(0, -1), Buffer.of(bytes.at(-1)! ^ 1)])),
      /unpack gzip|sha256:/,
    ],
    [
      "a layer that is longer than it says",
      replaced(/^\x1f\x8b/, (bytes) => Buffer.concat([bytes, Buffer.alloc(9)])),
      /expected \d+ bytes, found \d+/,
    ],
    ["a layer that is missing", replaced(/^\x1f\x8b/, () => undefined), /expected a file of the image, found none/],
    ["a configuration that was changed", replaced(/diff_ids/, swapped("amd64", "amd65")), /expected sha256:[0-9a-f]{64}, found sha256:/],
    [
      "a digest that leads elsewhere",
      replaced(/"manifests"/, swapped('"digest":"sha256:', '"digest":"../../etc/')),
      /manifests\.0\.digest: expected what the image format asks for, found expected sha256/,
    ],
    ["an index that is no JSON", replaced(/"manifests"/, () => Buffer.from("{")), /index\.json: expected JSON/],
    [
      "no index",
      (files: Map<string, Uint8Array>) => void files.delete("index.json"),
      /expected index\.json \(an OCI image\) or manifest\.json \(docker save\), found neither/,
    ],
  ])("with %s is refused", async (_, damage, message) => {
    await expect(read(ociFiles(await parts({ damage })))).rejects.toThrow(message);
  });

  test("of docker save with a changed layer is refused: its configuration knows what must be in it", async () => {
    const damage = (files: Map<string, Uint8Array>) => void files.set("1/layer.tar", files.get("0/layer.tar")!);
    await expect(read(dockerFiles(await parts({ damage })))).rejects.toThrow(/1\/layer\.tar, unpacked: expected sha256:.*found sha256:/);
  });

  test("that is cut anywhere, or has bytes changed, is refused or read, never worse", async () => {
    const archive = archiveOf(ociFiles({ layers: await layers([file("a", "1")]) }));
    const either = async (bytes: Uint8Array): Promise<void> => {
      try {
        await read(bytes);
      } catch (error) {
        expect(error).toBeInstanceOf(HiperisoError);
      }
    };
    await fc.assert(
      fc.asyncProperty(fc.nat({ max: archive.length - 1 }), fc.integer({ min: 1, max: 255 }), async (at, change) => {
        await either(archive.subarray(0, at));
        const changed = Uint8Array.from(archive);
        changed[at]! ^= change;
        await either(changed);
      }),
      { numRuns: 60 },
    );
  });

  test("that is not there, or is something else, is told", async () => {
    await expect(read(join(place, "nowhere"))).rejects.toThrow(
      /expected an image archive, or a folder with an OCI layout, found nothing there/,
    );
    await expect(read(Buffer.alloc(4000, "x"))).rejects.toThrow(/cannot read a tar archive/);
  });

  const has = (program: string) => spawnSync(program, ["--version"]).status === 0;
  test.skipIf(!has("umoci") || !has("skopeo"))("of umoci and of skopeo's docker archive is read as umoci unpacks it", async () => {
    const script = `
      umoci init --layout oci && umoci new --image oci:t && umoci unpack --rootless --image oci:t b
      mkdir -p b/rootfs/etc/d; echo one > b/rootfs/etc/one; ln b/rootfs/etc/one b/rootfs/etc/two; echo x > b/rootfs/etc/d/x; ln -s etc b/rootfs/link
      umoci repack --image oci:t b; rm -r b; umoci unpack --rootless --image oci:t b
      rm -r b/rootfs/etc/d b/rootfs/etc/one; echo three > b/rootfs/etc/three
      umoci repack --image oci:t b; rm -r b; umoci unpack --rootless --image oci:t b
      tar -C oci -cf oci.tar . ; skopeo copy -q oci:oci:t docker-archive:docker.tar:name:t
    `;
    const { status, stderr } = spawnSync("bash", ["-ec", script], { cwd: place, encoding: "utf8", env: { ...process.env, HOME: place } });
    expect(status, stderr).toBe(0);
    const expected = spawnSync("bash", ["-ec", "cd b/rootfs; find . -mindepth 1 -printf '%P %y\\n' | sort; cat etc/*"], {
      cwd: place,
      encoding: "utf8",
    }).stdout;
    for (const name of ["oci.tar", "docker.tar", "oci"]) {
      const { target } = await read(join(place, name));
      const found = spawnSync(
        "bash",
        ["-ec", `mkdir x; tar -C x -xf ${target}; cd x; find . -mindepth 1 -printf '%P %y\\n' | sort; cat etc/*; cd ..; rm -r x`],
        { cwd: place, encoding: "utf8" },
      );
      expect(found.stdout).toBe(expected);
    }
    expect(expected).toContain("etc/three f");
  });
});
