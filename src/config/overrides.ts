/** Which entry of `iso_overrides`, `menu_alias`, `menu_tip` speaks of an image (CONTRACT section 3). */
import { compileGlob } from "./glob.ts";

/**
 * The first entry whose glob matches `path`: a path on the data partition (/ISOs/ubuntu.iso) or, on a workstation, on its
 * file system. A glob without a slash speaks of the file name alone; one whose first folder is `*.` or `*` means "in any
 * folder", also in none. Upper and lower case differ.
 */
export function firstMatch<Entry extends { readonly pattern: string }>(entries: readonly Entry[], path: string): Entry | undefined {
  return entries.find(({ pattern }) => matchesPath(pattern, path));
}

export function matchesPath(pattern: string, path: string): boolean {
  // A path that was copied into the file means itself, whatever a bracket in it would say.
  if (pattern === path) return true;
  const fromRoot = path.replace(/^\/+/, "");
  if (!pattern.includes("/")) return compileGlob(pattern)(fromRoot.slice(fromRoot.lastIndexOf("/") + 1));
  return compileGlob(pattern.replace(/^\*\.?\//, "**/").replace(/^\/+/, ""))(fromRoot);
}
