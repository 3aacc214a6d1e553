/** A computer for GRUB scripts that stands in memory: disks with files by path. */
import type { GrubLimits } from "../../src/formats/grub-limits.ts";
import type { GrubDisk, GrubMenu, GrubWorld } from "../../src/formats/grub-menu.ts";
import { runGrubScript } from "../../src/formats/grub-run.ts";

export interface TestDisk extends GrubDisk {
  readonly files: Readonly<Record<string, string>>;
}

export const disk = (name: string, files: Readonly<Record<string, string>>, more: Partial<GrubDisk> = {}): TestDisk => ({
  name,
  label: "",
  uuid: null,
  fileSystem: "iso9660",
  files,
  ...more,
});

export function worldOf(...disks: readonly TestDisk[]): GrubWorld {
  const files = (one: GrubDisk) => disks.find((each) => each === one)?.files ?? {};
  const isFolder = (one: GrubDisk, path: string) =>
    Object.keys(files(one)).some((name) => name.startsWith(path === "/" ? "/" : `${path}/`));
  return {
    disks,
    disk: (name) => disks.find((each) => each.name === name),
    kind: async (one, path) => (files(one)[path] !== undefined ? "file" : isFolder(one, path) ? "directory" : undefined),
    sizeBytes: async (one, path) => (files(one)[path] === undefined ? undefined : BigInt(files(one)[path]!.length)),
    read: async (one, path, maxBytes) => {
      const text = files(one)[path];
      return text === undefined || text.length > maxBytes ? undefined : new TextEncoder().encode(text);
    },
    list: async (one, path) => {
      const start = path === "/" ? "/" : `${path}/`;
      const names = Object.keys(files(one))
        .filter((name) => name.startsWith(start))
        .map((name) => name.slice(start.length).split("/", 1)[0]!);
      return [...new Set(names)];
    },
  };
}

export const CFG = "/boot/grub/grub.cfg";

/** The menu of `script` as the grub.cfg of a CD that holds `files` besides. */
export async function menuOf(
  script: string,
  files: Readonly<Record<string, string>> = {},
  options: { readonly limits?: GrubLimits; readonly platform?: "pc" | "efi"; readonly others?: readonly TestDisk[] } = {},
): Promise<GrubMenu> {
  const cd = disk("cd0", { [CFG]: script, ...files }, { label: "CD", uuid: "2026-01-01-00-00-00-00" });
  const start = { script: { disk: cd, path: CFG }, platform: options.platform ?? "pc", variables: {} } as const;
  return await runGrubScript(start, worldOf(cd, ...(options.others ?? [])), options.limits);
}

/** What `echo`ed words come to: the arguments of a kernel in the only entry of a menu that starts with `before`. */
export async function wordsOf(before: string, words: string, files: Readonly<Record<string, string>> = {}): Promise<readonly string[]> {
  const { entries } = await menuOf(`${before}\nmenuentry x {\nlinux /vmlinuz ${words}\n}\n`, { "/vmlinuz": "k", ...files });
  const boot = entries[0]?.boot;
  return boot?.kind === "linux" ? boot.words : [`no kernel: ${boot?.does}`];
}
