/**
 * loader.conf and the entries of systemd-boot, as text (UAPI group, "The Boot Loader Specification", type 1; systemd, loader.conf(5)).
 * The loader orders entries by sort-key, and reads nothing but the FAT volume that it stands on.
 */
import { type BootPaths, kernelLine, type Menu } from "./menu.ts";

export interface LoaderFile {
  /** From the volume's root, without a leading slash. */
  readonly path: string;
  readonly text: string;
}

export function systemdBootMenu(menu: Menu, paths: BootPaths): readonly LoaderFile[] {
  const names = menu.entries.map(({ id }) => `${id}.conf`);
  const standard = names[menu.standard];
  // A firmware entry is the loader's own: it has one where the firmware can be asked for its settings.
  const firmware = menu.entries.some(({ kind }) => kind === "firmware");
  const conf = [
    ...(standard === undefined ? [] : [`default ${standard}`]),
    `timeout ${menu.timeoutS}`,
    "editor yes",
    "auto-entries no",
    `auto-firmware ${firmware ? "yes" : "no"}`,
    "",
  ];
  const entries = menu.entries.flatMap((entry, index): readonly LoaderFile[] => {
    const head = [`title ${entry.title}`, `sort-key ${`${index}`.padStart(3, "0")}`];
    const file = (lines: readonly string[]) => [{ path: `loader/entries/${names[index]}`, text: `${[...head, ...lines].join("\n")}\n` }];
    if (entry.kind === "firmware") return [];
    if (entry.kind === "memtest") return paths.memtestEfi === undefined ? [] : file([`efi ${paths.memtestEfi}`]);
    return file([
      `linux ${paths.kernel}`,
      ...(paths.initrd === undefined ? [] : [`initrd ${paths.initrd}`]),
      ...(entry.words.length === 0 ? [] : [`options ${kernelLine(entry.words)}`]),
    ]);
  });
  return [{ path: "loader/loader.conf", text: conf.join("\n") }, ...entries];
}
