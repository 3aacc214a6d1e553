/** What a boot menu comes to, whatever loader shows it, and how much of it is followed: menus come from images and are not trusted. */

export interface LinuxBoot<File> {
  readonly kind: "linux";
  readonly kernel: File;
  readonly initrds: readonly File[];
}

/** No kernel that could be started without the loader; `does` in words: "starts another boot loader, /EFI/x.efi". */
export interface OtherBoot {
  readonly kind: "other";
  readonly does: string;
}

export interface MenuEntry<File, Boot> {
  readonly title: string;
  /** Titles of the submenus that it stands in, the outermost first. */
  readonly submenus: readonly string[];
  /** The file that it stands in. */
  readonly source: File;
  readonly boot: Boot;
}

export interface BootMenu<Entry> {
  readonly entries: readonly Entry[];
  /** The entry that starts when nobody chooses; undefined where there is none. */
  readonly standard: Entry | undefined;
  /** It was stopped at a limit. */
  readonly limited: boolean;
  /** For a person: what could not be read or followed. */
  readonly notes: readonly string[];
}

export interface MenuLimits {
  readonly files: number;
  readonly entries: number;
  /** Files and menus in each other. */
  readonly depth: number;
  readonly fileBytes: number;
  /** Of all files together, one that is read twice counted twice. */
  readonly bytes: number;
}

const NOTES_MAX = 50;

/** Ends a run; what was found until then stays. */
export class LimitReached extends Error {}

/** Counts what a run takes, stops it at a limit, and keeps what is to be told of it. */
export class MenuTally<Limits extends MenuLimits = MenuLimits> {
  readonly limits: Limits;
  readonly #notes: string[] = [];
  #limited = false;
  #files = 0;
  #bytes = 0;
  #entries = 0;

  constructor(limits: Limits) {
    this.limits = limits;
  }

  note(text: string): void {
    if (this.#notes.length < NOTES_MAX && !this.#notes.includes(text)) this.#notes.push(text);
  }

  stop(what: string): never {
    throw new LimitReached(`the menu stops at a limit: ${what}`);
  }

  /** Of what was thrown; what is no limit is thrown on. */
  noteLimit(error: unknown): void {
    if (!(error instanceof LimitReached)) throw error;
    this.#limited = true;
    this.note(error.message);
  }

  countFile(): void {
    this.#files += 1;
    if (this.#files > this.limits.files) this.stop(`more than ${this.limits.files} files to read`);
  }

  countBytes(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes > this.limits.bytes) this.stop(`files of more than ${this.limits.bytes} bytes`);
  }

  countEntry(called: "entries" | "labels"): void {
    this.#entries += 1;
    if (this.#entries > this.limits.entries) this.stop(`more than ${this.limits.entries} ${called}`);
  }

  /** Counts the work anew; what was made and read until now stays counted. */
  restart(): void {
    this.#files = 0;
  }

  menuOf<Entry>(entries: readonly Entry[], standard: Entry | undefined): BootMenu<Entry> {
    return { entries, standard, limited: this.#limited, notes: this.#notes };
  }
}
