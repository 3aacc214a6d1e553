/** The boot menus of an image by its path, whatever format its bytes stand in. */
import type { DiskFileRules } from "../disk-format.ts";
import { openDisk } from "../disk-source.ts";
import type { ImageFacts } from "../image-facts.ts";
import type { BootMenus } from "./boot-entry.ts";
import { readBootMenus } from "./read-menus.ts";

/** `facts`: of this image. Throws as `openDisk` does; an image that only QEMU can read has no menus, and a note says so. */
export async function openBootMenus(path: string, facts: ImageFacts, rules: DiskFileRules, signal: AbortSignal): Promise<BootMenus> {
  await using disk = await openDisk(path, rules, signal);
  const { content } = disk;
  if ("source" in content) return await readBootMenus(content.source, facts, signal);
  return { entries: [], standard: null, notes: [`nobody can say what is in it: ${content.obstacle}`] };
}
