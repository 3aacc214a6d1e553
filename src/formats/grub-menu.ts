/** The menu that a GRUB script comes to, and the computer that the script runs on. */
import type { BootMenu, LinuxBoot, MenuEntry, OtherBoot } from "./boot-menu.ts";

/** A file system as the script sees it. */
export interface GrubDisk {
  /** As the scripts name it, without brackets: "cd0", "hd0,gpt2". */
  readonly name: string;
  readonly label: string;
  readonly uuid: string | null;
  readonly fileSystem: string;
}

/** The computer that a script runs on. Paths start with `/` and hold no `.`, `..` or doubled slashes. */
export interface GrubWorld {
  /** In the order in which a search asks them. */
  readonly disks: readonly GrubDisk[];
  /** By any name that GRUB may have for it. */
  disk(name: string): GrubDisk | undefined;
  kind(disk: GrubDisk, path: string): Promise<"file" | "directory" | undefined>;
  sizeBytes(disk: GrubDisk, path: string): Promise<bigint | undefined>;
  /** Undefined where there is no such file, or one of more than `maxBytes`. */
  read(disk: GrubDisk, path: string, maxBytes: number): Promise<Uint8Array | undefined>;
  /** Names in a directory; none where there is no such directory. */
  list(disk: GrubDisk, path: string): Promise<readonly string[]>;
}

export interface GrubFile {
  /** Undefined where the script names a disk that is not there. */
  readonly disk: GrubDisk | undefined;
  /** With its device where that is not there. */
  readonly path: string;
}

export interface GrubStart {
  readonly script: GrubFile & { readonly disk: GrubDisk };
  readonly platform: "pc" | "efi";
  /** Variables besides GRUB's own. */
  readonly variables: Readonly<Record<string, string>>;
}

export interface GrubLinux extends LinuxBoot<GrubFile> {
  readonly words: readonly string[];
}

export type GrubBoot = GrubLinux | OtherBoot;

export interface GrubEntry extends MenuEntry<GrubFile, GrubBoot> {
  /** As `--id` gives it. */
  readonly id: string | undefined;
}

export type GrubMenu = BootMenu<GrubEntry>;
