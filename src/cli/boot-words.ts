/**
 * What a person said to boot an image, as words that boot it again: kept in `session.json` as `request`. Paths are absolute, below the home
 * folder with `~`; how the boot was shown and where its session stands is not part of it.
 */
import { resolve } from "node:path";
import type { CommandUnknownOpts } from "@commander-js/extra-typings";
import * as z from "zod";
import { readIdentity } from "../host/identity.ts";
import { maskIdentity } from "../host/mask.ts";
import { expandTilde, tildify } from "../host/xdg.ts";
import { diskWishText, parseDiskWish } from "../machine/disk-wish.ts";

const wordSchema = z.object({ flag: z.string().regex(/^--[a-z]/), value: z.string().nullable() });
export type Said = z.infer<typeof wordSchema>;

export const bootRequestSchema = z.object({
  image: z.string().nullable(),
  /** In the order in which they were said; one that may be said several times stands there several times. */
  options: z.array(wordSchema),
  /** Flags whose value named somebody or held a secret, and so does not stand here as it was. */
  masked: z.array(z.string()),
});
export type BootRequestWords = z.infer<typeof bootRequestSchema>;

const PATHS: ReadonlySet<string> = new Set([
  ...["--kernel", "--initrd", "--config", "--rules", "--script", "--tpm-state", "--share", "--share-writable"],
  ...["--auto-install", "--persistence", "--dud", "--injection"],
]);
const NOT_KEPT: ReadonlySet<string> = new Set(["--json", "--serial", "--log-dir"]);
/** Free text, in which a person may have written anything. */
const FREE_TEXT: ReadonlySet<string> = new Set(["--append", "--qemu-arg"]);

/** Collects what is said from now on, as it was written. */
export function collectSaid(command: CommandUnknownOpts): readonly Said[] {
  const said: Said[] = [];
  for (const option of command.options) {
    command.on(`option:${option.name()}`, (value: string | null | undefined) => {
      said.push({ flag: option.long ?? `--${option.name()}`, value: value ?? null });
    });
  }
  return said;
}

export function requestWords(image: string | undefined, said: readonly Said[], env: NodeJS.ProcessEnv): BootRequestWords {
  const path = (text: string): string => tildify(resolve(expandTilde(text, env)), env);
  const identity = readIdentity(env);
  const masked = new Set<string>();
  const kept = ({ flag, value }: Said): Said => {
    if (value === null) return { flag, value };
    if (PATHS.has(flag)) return { flag, value: path(value) };
    if (flag === "--disk") {
      const wish = parseDiskWish(value);
      return { flag, value: diskWishText(wish.path === undefined ? wish : { ...wish, path: path(wish.path) }) };
    }
    if (!FREE_TEXT.has(flag)) return { flag, value };
    const harmless = maskIdentity(value, identity);
    if (harmless !== value) masked.add(flag);
    return { flag, value: harmless };
  };
  const options = said.filter(({ flag }) => !NOT_KEPT.has(flag)).map(kept);
  return { image: image === undefined ? null : path(image), options, masked: [...masked] };
}

/** Words for `hiperiso boot`: as recorded, but for the flags that are said anew. Each flag that is said anew replaces all of its old values. */
export function wordsAgain(
  request: BootRequestWords,
  image: string | undefined,
  changes: readonly Said[],
  env: NodeJS.ProcessEnv,
): string[] {
  const changed = new Set(changes.flatMap(({ flag }) => sameFlags(flag)));
  const path = (text: string): string => expandTilde(text, env);
  const again = request.options
    .filter(({ flag }) => !changed.has(flag))
    .map(({ flag, value }) => (value !== null && PATHS.has(flag) ? { flag, value: path(value) } : { flag, value }));
  const booted = image ?? (request.image === null ? undefined : path(request.image));
  const words = [...again, ...changes].flatMap(({ flag, value }) => (value === null ? [flag] : [`${flag}=${value}`]));
  return [...words, "--", ...(booted === undefined ? [] : [booted])];
}

/** Two names of one setting, and flags of which the later makes no sense beside the earlier. */
const SAME: readonly (readonly string[])[] = [
  ["--ram", "--guest-ram"],
  ["--cpus", "--guest-cpus"],
];
const sameFlags = (flag: string): readonly string[] => SAME.find((names) => names.includes(flag)) ?? [flag];

/** What follows `rerun SESSION`: flags of `boot`, and at most one image. Unknown flags are left to `boot`, which says so. */
export function splitChanges(
  words: readonly string[],
  boot: CommandUnknownOpts,
): { readonly operands: readonly string[]; readonly changes: readonly Said[] } {
  const operands: string[] = [];
  const changes: Said[] = [];
  for (let at = 0; at < words.length; at += 1) {
    const word = words[at] ?? "";
    if (word === "--") {
      operands.push(...words.slice(at + 1));
      break;
    }
    if (!word.startsWith("--")) {
      operands.push(word);
      continue;
    }
    const equals = word.indexOf("=");
    const flag = equals < 0 ? word : word.slice(0, equals);
    const takesValue = boot.options.find(({ long }) => long === flag)?.required === true;
    if (equals >= 0) changes.push({ flag, value: word.slice(equals + 1) });
    else if (takesValue && at + 1 < words.length) {
      at += 1;
      changes.push({ flag, value: words[at] ?? "" });
    } else changes.push({ flag, value: null });
  }
  return { operands, changes };
}
