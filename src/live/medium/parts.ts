/** What the stages before it hand to a medium: kernel, initramfs, root image and boot loaders, as files of their outputs. */
import { copyFile, link, readFile, stat } from "node:fs/promises";
import { basename, join } from "node:path";
import { z } from "zod";
import { HiperisoError, reasonOf } from "../../contract/error.ts";
import type { LiveInit } from "./live-arguments.ts";

export interface MediumParts {
  readonly kernel: string;
  /** As `uname -r`; undefined where the kernel stage does not tell. */
  readonly release: string | undefined;
  /** A unified kernel image, where the kernel stage made one. */
  readonly unified: string | undefined;
  readonly initrd: string | undefined;
  readonly init: LiveInit;
  readonly image: RootImage;
}

export interface RootImage {
  readonly path: string;
  /** `root.squashfs`, `root.erofs`. */
  readonly name: string;
  /** Kernels whose modules are in it; undefined where it does not tell. */
  readonly modules: readonly string[] | undefined;
  readonly verity: { readonly path: string; readonly name: string; readonly rootHash: string } | undefined;
}

const LiveJson = z.looseObject({
  initramfs: z.enum(["own", "live-boot", "dracut", "none"]).default("own"),
  release: z.string().optional(),
});
const ImageJson = z.looseObject({
  file: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  modules: z.array(z.string()).optional(),
  verity: z.looseObject({ rootHash: z.string().regex(/^[0-9a-f]{32,128}$/) }).optional(),
});

export interface PartFolders {
  readonly root: string;
  readonly kernel: string;
  readonly initramfs?: string | undefined;
}

/** An initramfs stage's initramfs wins over the kernel stage's own. */
export async function readParts({ root, kernel, initramfs }: PartFolders): Promise<MediumParts> {
  const from = initramfs ?? kernel;
  const live = (await readJson(join(from, "live.json"), LiveJson)) ?? { initramfs: "own" as const };
  const initrd = await firstThere([join(from, "initrd.img"), join(from, "initramfs.cpio.gz")]);
  const release = (await readFile(join(kernel, "release"), "utf8").catch(() => undefined))?.trim();
  return {
    kernel: await needed(join(kernel, "vmlinuz"), "the kernel stage"),
    release,
    unified: await firstThere([join(kernel, "linux.efi")]),
    initrd,
    init: initrd === undefined ? "none" : live.initramfs,
    image: await readImage(root),
  };
}

async function readImage(root: string): Promise<RootImage> {
  const facts = (await readJson(join(root, "image.json"), ImageJson)) ?? { file: "root.squashfs" };
  const path = await needed(join(root, facts.file), "the squashfs stage");
  const name = facts.file;
  if (facts.verity === undefined) return { path, name, modules: facts.modules, verity: undefined };
  const tree = `${name.replace(/\.[^.]+$/, "")}.verity`;
  const verity = { path: await needed(join(root, tree), "the squashfs stage"), name: tree, rootHash: facts.verity.rootHash };
  return { path, name, modules: facts.modules, verity };
}

/**
 * The classic fault of media from split stages: the root file system has no modules, or those of another kernel, and nothing that is not
 * needed to find the root works. Throws where the image tells of its modules and the kernel's are not among them.
 */
export function checkModules({ release, image }: Pick<MediumParts, "release" | "image">): void {
  if (release === undefined || image.modules === undefined || image.modules.includes(release)) return;
  throw new HiperisoError({
    what: "put a kernel and a root file system on one medium",
    where: image.name,
    expected: `modules of kernel ${release} in the root file system`,
    found: image.modules.length === 0 ? "no modules" : `those of ${image.modules.join(", ")}`,
    hint: "Give the kernel stage to the squashfs stage as its input `kernel`; or say `modules: elsewhere` here, where the initramfs has all that is needed.",
    kind: "usage",
  });
}

export interface LoaderFiles {
  /** Path of a file of the payloads, which must be there. `because`: the option that asks for it. */
  need(path: string, because: string): Promise<string>;
  find(path: string): Promise<string | undefined>;
}

/** `payloads`: output of a payloads stage, where there is one. */
export function loaderFiles(payloads: string | undefined): LoaderFiles {
  const find = async (path: string) =>
    payloads === undefined ? undefined : await firstThere([join(payloads, path), join(payloads, basename(path))]);
  return {
    find,
    async need(path, because) {
      const found = await find(path);
      if (found !== undefined) return found;
      throw new HiperisoError({
        what: "take a boot loader from the payloads",
        where: path,
        expected: `a file that \`${because}\` needs`,
        found: "none",
        hint:
          payloads === undefined
            ? "Give the medium a payloads stage as its input `payloads`."
            : `Ask the payloads stage for ${path.split("/")[0]}, or take \`${because}\` away.`,
        kind: "usage",
      });
    },
  };
}

/** The same file under another name, where one file system holds both; else a copy. Whoever gets it must not write to it. */
export async function linkOrCopy(from: string, to: string): Promise<void> {
  await link(from, to).catch(async () => await copyFile(from, to));
}

async function firstThere(paths: readonly string[]): Promise<string | undefined> {
  for (const path of paths) if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  return undefined;
}

async function needed(path: string, from: string): Promise<string> {
  if ((await stat(path).catch(() => undefined))?.isFile()) return path;
  throw new HiperisoError({ what: "make a medium", where: path, expected: `a file from ${from}`, found: "none" });
}

/** Undefined where there is no such file. */
async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  if (text === undefined) return undefined;
  try {
    return schema.parse(JSON.parse(text));
  } catch (error) {
    throw new HiperisoError({ what: "read what a stage says of its output", where: path, found: reasonOf(error), cause: error });
  }
}
