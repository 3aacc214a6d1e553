/** What a stick boots, laid out as its EFI system partition: loaders, kernel, initramfs, and the root image in which the recorder runs. */

import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { copyFile, mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { STICK_ESP } from "../../contract/stick.ts";
import { readable } from "../../formats/byte-text.ts";
import { readTar } from "../../formats/tar-reader.ts";
import { collectPackages } from "../packages/collected.ts";
import { PackageSchema } from "../packages/installed-package.ts";
import { readSourceTree, treeDigest } from "../source-files.ts";
import { type StageRun, stageKind } from "../stage.ts";

const Options = z.strictObject({
  room_mib: z
    .int()
    .min(1)
    .max(2048)
    .default(62)
    .describe("What the files may take, in MiB: the partition's own structures and the menu need the rest."),
});

/** Event lists of the trace tiers, three folders up from both `src/live/stages` and `dist/live/stages`. */
const TRACES = fileURLToPath(new URL("../../../trace", import.meta.url));

/** Debian's signed GRUB looks for its configuration here, on the partition it came from; `$cmdpath` is the folder that it came from itself. */
const SIGNED_CONFIG = `# The menu stands beside the loader.
configfile $cmdpath/grub.cfg
`;

/** Output: `esp/`, the files; `runtime.json`, what each of them is; `packages.json` and `licences/`, what all of it was made of. */
export const stickRuntimeStage = stageKind({
  kind: "stick-runtime",
  revision: 2,
  options: Options,
  inputs: {
    ...{ loaders: "required", kernel: "required", initramfs: "required", image: "required", firmware: "required", modules: "optional" },
    ...{ root: "required", own: "required", "kernel-package": "required", "busybox-package": "required", "loader-package": "required" },
  },
  ingredients: async () => ({ traces: treeDigest(await readSourceTree(TRACES)) }),

  async run({ room_mib }, run) {
    const { inputs, output } = run;
    const from = (input: string, name: string) => join(inputs[input]!, name);
    await put(run, STICK_ESP.loader, from("loaders", "shim/BOOTX64.EFI"));
    await put(run, "/EFI/BOOT/grubx64.efi", from("loaders", "shim/grubx64.efi"));
    await put(run, "/EFI/BOOT/mmx64.efi", from("loaders", "shim/mmx64.efi"));
    await put(run, STICK_ESP.kernel, from("kernel", "vmlinuz"));
    await put(run, STICK_ESP.initramfs, from("initramfs", "initrd.img"));
    await put(run, STICK_ESP.runtime, from("image", "root.squashfs"));
    await put(run, STICK_ESP.firmware, from("firmware", "OVMF.fd"));
    for (const name of (await readdir(TRACES)).sort()) await put(run, `${STICK_ESP.traces}/${name}`, join(TRACES, name));
    const modules = inputs["modules"];
    for (const name of modules === undefined ? [] : (await readdir(modules)).sort()) {
      await put(run, `/EFI/debian/x86_64-efi/${name}`, join(modules!, name));
    }
    await mkdir(join(output, "esp/EFI/debian"), { recursive: true });
    await writeFile(join(output, "esp/EFI/debian/grub.cfg"), SIGNED_CONFIG);
    const files = await filesOf(join(output, "esp"));
    const packages = await collectPackages(sourcesOf(inputs), run);
    const facts: RuntimeFacts = {
      files: [...files],
      ...{ used_bytes: clustersOf(files), room_bytes: room_mib * 2 ** 20 },
      contents: [...(await contentsOf(inputs["root"]!)), ...(await contentsOf(inputs["own"]!))],
      packages: packages.map(({ terms: _, ...one }) => ({ ...one, licences: [...one.licences] })),
    };
    checkRoom(facts);
    await mkdir(join(output, "licences"));
    for (const { manager, name, version, terms } of packages) {
      // What a package says of itself decides no path.
      const file = `${name}_${version}.${manager}.txt`.replaceAll(/[^A-Za-z0-9@+._-]/g, "-").replace(/^\./, "-");
      if (terms !== undefined) await writeFile(join(output, "licences", file), terms);
    }
    await writeFile(join(output, "packages.json"), `${JSON.stringify({ packages: facts.packages, unread: [] }, null, 1)}\n`);
    await writeFile(join(output, "runtime.json"), `${JSON.stringify(facts, null, 2)}\n`);
  },
});

async function put({ output }: StageRun, path: string, from: string): Promise<void> {
  const to = join(output, "esp", path);
  await mkdir(dirname(to), { recursive: true });
  await copyFile(from, to);
}

const RuntimeFileSchema = z.object({
  path: z.string().startsWith("/").describe("From the ESP's root."),
  size_bytes: z.int().min(0),
  sha256: z.string().regex(/^[0-9a-f]{64}$/),
});
type RuntimeFile = Readonly<z.infer<typeof RuntimeFileSchema>>;

/** `runtime.json`. */
export const RuntimeFactsSchema = z.object({
  files: z.array(RuntimeFileSchema),
  used_bytes: z.int().min(0).describe("In whole clusters."),
  room_bytes: z.int().min(0),
  contents: z
    .array(z.object({ what: z.string(), size_bytes: z.int().min(0) }))
    .describe("What the root image holds, before it is compressed: large files by their paths, the rest by folders."),
  packages: z.array(PackageSchema),
});
export type RuntimeFacts = z.infer<typeof RuntimeFactsSchema>;

async function filesOf(folder: string): Promise<readonly RuntimeFile[]> {
  const files: RuntimeFile[] = [];
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const place = join(entry.parentPath, entry.name);
    const hash = createHash("sha256");
    await pipeline(createReadStream(place), hash);
    files.push({ path: place.slice(folder.length), size_bytes: (await stat(place)).size, sha256: hash.digest("hex") });
  }
  return files.sort((one, other) => (one.path < other.path ? -1 : 1));
}

const sourcesOf = (inputs: StageRun["inputs"]) => ({
  trees: [inputs["root"]!, inputs["own"]!],
  packages: [inputs["kernel-package"]!, inputs["busybox-package"]!, inputs["loader-package"]!],
});

/** Smaller files are summed up by their folder. */
const LARGE_BYTES = 2 ** 20;

async function contentsOf(folder: string): Promise<RuntimeFacts["contents"]> {
  const sums = new Map<string, number>();
  const tar = join(folder, "root.tar");
  for await (const { entry } of readTar(createReadStream(tar), { where: tar })) {
    if (entry.kind !== "file") continue;
    const path = `/${readable(entry.path)}`;
    const what = entry.sizeBytes >= LARGE_BYTES ? path : `${path.split("/").slice(0, 4).slice(0, -1).join("/")}/…`;
    sums.set(what, (sums.get(what) ?? 0) + entry.sizeBytes);
  }
  return [...sums].map(([what, size_bytes]) => ({ what, size_bytes })).sort((one, other) => other.size_bytes - one.size_bytes);
}

const CLUSTER_BYTES = 4096;

const clustersOf = (files: readonly RuntimeFile[]): number =>
  files.reduce((sum, { size_bytes }) => sum + Math.ceil(size_bytes / CLUSTER_BYTES) * CLUSTER_BYTES, 0);

function checkRoom({ files, used_bytes, room_bytes }: RuntimeFacts): void {
  if (used_bytes <= room_bytes) return;
  const largest = [...files].sort((one, other) => other.size_bytes - one.size_bytes).slice(0, 6);
  throw new HiperisoError({
    what: "lay out the stick's runtime",
    expected: `at most ${room_bytes} bytes`,
    found: `${used_bytes}: ${largest.map(({ path, size_bytes }) => `${path} ${size_bytes}`).join(", ")}, …`,
  });
}
