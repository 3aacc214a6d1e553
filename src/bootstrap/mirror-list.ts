/** Where a distfile may be had: mirrors first, then the places that its own list names. Decided here; nothing is fetched. */
import { HiperisoError } from "../contract/error.ts";
import type { Distfile } from "./source-list.ts";

/** A folder of distfiles by name, on a server or on this computer. */
export type Mirror = { readonly kind: "server"; readonly base: string } | { readonly kind: "folder"; readonly folder: string };

/** One place of one file. */
export type Place = { readonly kind: "url"; readonly url: string } | { readonly kind: "folder"; readonly folder: string };

/** Throws (`usage`) unless `text` is `http://…`, `https://…` or `file:///absolute/folder`. */
export function parseMirror(text: string): Mirror {
  const bad = (expected: string, hint?: string): HiperisoError =>
    new HiperisoError({
      what: "use a mirror",
      where: "--mirrors",
      expected,
      found: JSON.stringify(text),
      kind: "usage",
      ...(hint === undefined ? {} : { hint }),
    });
  if (/^file:/i.test(text)) {
    // As in the original: everything behind the slashes is the path as it is, blanks and % among it.
    const path = /^file:\/\/(\/.*)$/is.exec(text)?.[1];
    if (path === undefined || path.includes("\0")) throw bad("file:// with an absolute path, as in file:///srv/distfiles");
    return { kind: "folder", folder: path };
  }
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    throw bad("http://…, https://… or file:///absolute/path", text.startsWith("/") ? `For a folder write file://${text}` : undefined);
  if (url.search !== "" || url.hash !== "") throw bad("a URL without ? and #: file names are put behind it");
  return { kind: "server", base: text.replace(/\/+$/, "") };
}

/**
 * Places of `distfile` in the order in which they are tried: every mirror once, then its own URLs. `random` gives numbers from 0 to below 1
 * and shuffles the mirrors; without it they stay as given.
 */
export function placesOf(
  { name, urls }: Pick<Distfile, "name" | "urls">,
  mirrors: readonly Mirror[],
  random?: () => number,
): readonly Place[] {
  const order = random === undefined ? mirrors : shuffled(mirrors, random);
  const places = order.map(
    (mirror): Place => (mirror.kind === "folder" ? mirror : { kind: "url", url: `${mirror.base}/${encodeURIComponent(name)}` }),
  );
  return [...places, ...urls.map((url): Place => ({ kind: "url", url }))];
}

/** Fisher and Yates. */
function shuffled<T>(items: readonly T[], random: () => number): readonly T[] {
  const order = [...items];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}

/** A place as messages name it: without name and password. */
export function placeText(place: Place): string {
  return place.kind === "folder" ? `file://${place.folder}` : urlText(place.url);
}

export function urlText(url: string): string {
  if (!URL.canParse(url)) return url;
  const parsed = new URL(url);
  if (parsed.username === "" && parsed.password === "") return url;
  parsed.username = "";
  parsed.password = "";
  return parsed.href;
}
