/** `boot_mode grub2`: the kernel of an entry of the image's own menu, started without the menu and with a console that can be read. */
import { join } from "node:path";
import { HiperisoError } from "../contract/error.ts";
import type { DiskFileRules } from "../image/disk-format.ts";
import { openDisk } from "../image/disk-source.ts";
import type { ImageFacts } from "../image/image-facts.ts";
import { type BootableEntry, chooseEntry } from "../image/menus/choose-entry.ts";
import { readBootMenus } from "../image/menus/read-menus.ts";
import { takeOutFiles } from "../image/menus/take-out.ts";
import type { DirectKernel } from "../machine/plan.ts";
import { withSerialConsole } from "../machine/serial-console.ts";
import type { Furnish } from "./furnish.ts";

export interface MenuWish {
  /** Number, id or title; undefined: what the menu starts by itself. */
  readonly entry: string | undefined;
  /** Words for the kernel besides. */
  readonly append: string | undefined;
}

export interface ImageKernel {
  readonly entry: BootableEntry;
  /** Its paths are those inside the image, until `furnish` has taken the files out. */
  readonly kernel: DirectKernel;
  /** For the session: which entry it is, and what of the menus was not followed. */
  readonly added: Readonly<Record<string, unknown>>;
  readonly furnish: Furnish;
}

/** Throws (kind `usage`) where the image has no such entry. `path` is absolute. */
export async function kernelFromImage(
  path: string,
  facts: ImageFacts,
  rules: DiskFileRules,
  { entry: wanted, append }: MenuWish,
  signal: AbortSignal,
): Promise<ImageKernel> {
  await using disk = await openDisk(path, rules, signal);
  const menus = await readBootMenus(contentOf(disk.content, path), facts, signal);
  const entry = chooseEntry(menus, wanted, path);
  const { loader, path: menu } = entry.source;
  return {
    entry,
    kernel: {
      path: entry.kernel.path,
      initrds: entry.initrds.map((initrd) => initrd.path),
      append: withSerialConsole(entry.arguments, append),
      because: `entry ${entry.number}, "${entry.title}", of ${menu} (${loader}): its kernel is started directly, with a serial console`,
    },
    added: {
      number: entry.number,
      id: entry.id,
      title: entry.title,
      menu,
      kernel: entry.kernel.path,
      initrds: entry.initrds.map((initrd) => initrd.path),
      arguments: entry.arguments,
      notes: menus.notes,
    },
    furnish: async (scratch, job) => {
      await using open = await openDisk(path, rules, job.signal);
      const taken = await takeOutFiles(contentOf(open.content, path), facts, entry, join(scratch, "kernel"), job);
      return {
        change: (plan) =>
          plan.kernel === null ? plan : { ...plan, kernel: { ...plan.kernel, path: taken.kernel, initrds: taken.initrds } },
        [Symbol.asyncDispose]: async () => {},
      };
    },
  };
}

function contentOf(content: Awaited<ReturnType<typeof openDisk>>["content"], path: string) {
  if ("source" in content) return content.source;
  throw new HiperisoError({
    what: "look for the image's boot menu",
    where: path,
    expected: "an image whose files can be read",
    found: content.obstacle,
    hint: "`qemu-img convert -O raw` makes one of it.",
    kind: "usage",
  });
}
