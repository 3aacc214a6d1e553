/**
 * Where a path of a tree leads, as a process with that tree as its root would find it: path_resolution(7). Names are bytes, one in each character
 * (latin1), since a tree may hold names in any encoding.
 */
import { HiperisoError } from "../../contract/error.ts";
import { printable } from "../../formats/escape-terminal.ts";

/** Symbolic links of a tree: path → target. */
export type TreeLinks = Pick<ReadonlyMap<string, string>, "get">;

/** As Linux has it (MAXSYMLINKS). */
const LINKS_FOLLOWED_MAX = 40;

/** Path below the root, without slashes around it; empty for the root itself. `..` never leads above the root. Throws on a loop of links. */
export function resolveInTree(path: string, links: TreeLinks, last: "follow" | "keep" = "follow"): string {
  const waiting = partsOf(path);
  const done: string[] = [];
  let followed = 0;
  for (let part = waiting.shift(); part !== undefined; part = waiting.shift()) {
    if (part === "..") {
      done.pop();
      continue;
    }
    const target = last === "keep" && waiting.length === 0 ? undefined : links.get([...done, part].join("/"));
    if (target === undefined) {
      done.push(part);
      continue;
    }
    followed += 1;
    if (followed > LINKS_FOLLOWED_MAX) {
      throw new HiperisoError({ what: "find a file in a tree", where: printable(path), expected: "an end of its links", found: "a loop" });
    }
    if (target.startsWith("/")) done.length = 0;
    waiting.unshift(...partsOf(target));
  }
  return done.join("/");
}

const partsOf = (path: string): string[] => path.split("/").filter((part) => part !== "" && part !== ".");
