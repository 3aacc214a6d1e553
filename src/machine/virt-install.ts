/** The command by which libvirt's `virt-install` starts an image's kernel with a console that can be read. Pure. */
import { shellCommand } from "../formats/escape-shell.ts";
import { withSerialConsole } from "./serial-console.ts";

/** What of an entry's files stands where. Paths are from the root of their file system, with a leading `/`. */
export interface VirtInstallEntry {
  readonly kernel: { readonly volume: string; readonly path: string };
  readonly initrds: readonly { readonly volume: string; readonly path: string }[];
  readonly arguments: string;
}

/** virt-install takes both files out of the ISO 9660 file system itself, and takes one initrd only. */
export function virtInstallCommand(
  image: string,
  name: string,
  entry: VirtInstallEntry,
): { readonly command: string } | { readonly whyNot: string } {
  const { kernel, initrds } = entry;
  const [initrd] = initrds;
  if (initrd === undefined || initrds.length > 1)
    return { whyNot: `it wants one initrd, and the entry has ${initrds.length === 0 ? "none" : initrds.length}` };
  if (![kernel, initrd].every(({ volume }) => volume === "iso9660@0")) return { whyNot: "it reads files of ISO 9660 alone" };
  const parts = [image, `kernel=${relative(kernel.path)}`, `initrd=${relative(initrd.path)}`];
  if (parts.some((part) => part.includes(","))) return { whyNot: "it cannot be told a path with a comma" };
  return {
    command: shellCommand([
      "virt-install",
      ...["--name", name.replace(/[^A-Za-z0-9._-]+/g, "-").replace(/^[-.]+/, "") || "guest"],
      ...["--memory", "2048", "--vcpus", "2", "--osinfo", "detect=on,require=off", "--disk", "none"],
      ...["--location", parts.join(",")],
      ...["--extra-args", withSerialConsole(entry.arguments)],
      ...["--graphics", "none", "--console", "pty,target_type=serial"],
    ]),
  };
}

const relative = (path: string): string => path.replace(/^\/+/, "");
