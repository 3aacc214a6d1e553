/** The flags of `hiperiso boot` for what is booted and what stands beside it: the image's bus, disks, a kernel with its initrds. */
import { resolve } from "node:path";
import { type CommandUnknownOpts, Option } from "@commander-js/extra-typings";
import { HiperisoError } from "../contract/error.ts";
import { type Environment, expandTilde } from "../host/xdg.ts";
import { type DiskWish, parseDiskWish } from "../machine/disk-wish.ts";
import { ATTACHMENTS, type Attachment, type DirectKernel } from "../machine/plan.ts";
import type { BootWish } from "../session/prepare-boot.ts";

export interface DriveOptions {
  readonly as?: Attachment | undefined;
  readonly writable?: true | undefined;
  readonly disk?: readonly DiskWish[] | undefined;
  readonly backingAnywhere?: true | undefined;
  readonly kernel?: string | undefined;
  readonly initrd?: readonly string[] | undefined;
  readonly append?: string | undefined;
}

export function addDriveFlags(command: CommandUnknownOpts): void {
  const each =
    <T>(parse: (text: string) => T) =>
    (text: string, before: readonly T[] | undefined) => [...(before ?? []), parse(text)];
  command.addOption(new Option("--as <kind>", "how the image is attached").choices(ATTACHMENTS));
  command.addOption(new Option("--writable", "let the guest write to the image"));
  command.addOption(
    new Option(
      "--disk <size|file>",
      "a disk beside the image: 8G makes one in the session, 8G,file=NAME makes it there, NAME takes a file; ,keep lets the guest write to that; ,bus=sata|virtio|usb|nvme|sd; may be repeated",
    ).argParser(each(parseDiskWish)),
  );
  command.addOption(new Option("--backing-anywhere", "take the files that a qcow2 or vmdk leans on from any folder"));
  command.addOption(new Option("--kernel <file>", "start this kernel, with the image attached if there is one"));
  command.addOption(
    new Option("--initrd <file>", "its initial RAM file system; may be repeated, in order").argParser(each((path) => path)),
  );
  command.addOption(new Option("--append <text>", "its command line; name a console=ttyS0 there to be able to read it"));
}

/** Paths as a person writes them become absolute. Throws (kind `usage`) on an initrd or a command line that no kernel would get. */
export function drivesOf(
  options: DriveOptions,
  env: Environment,
): Pick<BootWish, "attach" | "writable" | "disks" | "backingAnywhere" | "kernel"> {
  const absolute = (path: string): string => resolve(expandTilde(path, env));
  return {
    attach: options.as,
    writable: options.writable === true,
    disks: (options.disk ?? []).map((wish) => (wish.path === undefined ? wish : { ...wish, path: absolute(wish.path) })),
    backingAnywhere: options.backingAnywhere === true,
    kernel: kernelOf(options, absolute),
  };
}

function kernelOf({ kernel, initrd, append }: DriveOptions, absolute: (path: string) => string): DirectKernel | undefined {
  if (kernel !== undefined) return { path: absolute(kernel), initrds: (initrd ?? []).map(absolute), append: append ?? "" };
  if (initrd === undefined) return undefined;
  throw new HiperisoError({
    what: "understand the flags",
    where: "--initrd",
    expected: "a kernel that is given it",
    found: "no --kernel",
    hint: "Without --kernel the image's own boot loader chooses its initrd.",
    kind: "usage",
  });
}
