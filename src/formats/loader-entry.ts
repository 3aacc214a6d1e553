/**
 * Entries of the Boot Loader Specification, type 1 (UAPI.1; systemd-boot's loader/entries/*.conf, Fedora's blscfg), and `loader.conf`:
 * lines of a key, blanks and a value; `#` starts a comment line.
 */

export interface LoaderEntry {
  readonly title: string | undefined;
  readonly version: string | undefined;
  readonly sortKey: string | undefined;
  /** Path from the root of the entry's file system. */
  readonly kernel: string | undefined;
  /** In order; one line may name several. */
  readonly initrds: readonly string[];
  /** All `options` lines, joined by a blank. */
  readonly options: string;
  /** An EFI program instead of a kernel. */
  readonly efi: string | undefined;
  /** A unified kernel image instead of a kernel. */
  readonly uki: string | undefined;
  /** As EFI names it: "x64"; undefined: any. */
  readonly architecture: string | undefined;
}

/** Takes every text; of a key that may stand once, the last counts. */
export function decodeLoaderEntry(text: string): LoaderEntry {
  const lines = linesOf(text);
  const last = (key: string) => lines.filter(([name]) => name === key).at(-1)?.[1];
  const all = (key: string) => lines.filter(([name]) => name === key).map(([, value]) => value);
  return {
    title: last("title"),
    version: last("version"),
    sortKey: last("sort-key"),
    kernel: last("linux"),
    initrds: all("initrd").flatMap((value) => value.split(/[ \t]+/)),
    options: all("options").join(" "),
    efi: last("efi"),
    uki: last("uki"),
    architecture: last("architecture")?.toLowerCase(),
  };
}

export interface LoaderSettings {
  /** A pattern for the name of the entry that starts by itself: `arch-*`. */
  readonly standard: string | undefined;
}

export function decodeLoaderSettings(text: string): LoaderSettings {
  return {
    standard: linesOf(text)
      .filter(([name]) => name === "default")
      .at(-1)?.[1],
  };
}

function linesOf(text: string): readonly (readonly [key: string, value: string])[] {
  return text.split("\n").flatMap((line) => {
    const trimmed = line.trim();
    const end = trimmed.search(/[ \t]/);
    return end < 0 || trimmed.startsWith("#") ? [] : [[trimmed.slice(0, end), trimmed.slice(end).trim()] as const];
  });
}
