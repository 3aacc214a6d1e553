/** GRUB's commands that say what an entry boots: a kernel with its files, or something else. */
import { fileOf, kindOf } from "./grub-files.ts";
import { type Chosen, Finished, type GrubCall } from "./grub-frame.ts";
import type { GrubBoot } from "./grub-menu.ts";

export async function linux({ args, frame, run }: GrubCall): Promise<number> {
  const { chosen } = frame;
  const [path, ...words] = args.filter((word, index) => index > 0 || word !== "--");
  if (path === undefined) return 1;
  const kernel = fileOf(path, frame, run);
  // From a disk that another command was to bring: that command says why it is not there.
  if (kernel.disk === undefined && chosen.other !== undefined) return 1;
  const there = (await kindOf(kernel, run)) === "file";
  // One that is not there leaves the one before it in place.
  if (there || !chosen.kernelThere) {
    chosen.kernel = kernel;
    chosen.kernelThere = there;
    chosen.words = words;
    chosen.initrds = [];
    chosen.other = undefined;
  }
  return there ? 0 : 1;
}

export async function initrd({ args, frame, run }: GrubCall): Promise<number> {
  const files = args.map((path) => fileOf(path, frame, run));
  frame.chosen.initrds = files;
  for (const file of files) if ((await kindOf(file, run)) !== "file") return 1;
  return 0;
}

export function startsOther({ name, args, frame }: GrubCall): number {
  frame.chosen.other = otherWords(name, args);
  if (name === "halt" || name === "reboot" || name === "exit" || name === "fwsetup") throw new Finished();
  return 0;
}

function otherWords(name: string, args: readonly string[]): string {
  const file = args.find((word) => !word.startsWith("-")) ?? "";
  switch (name) {
    case "halt":
      return "turns the computer off";
    case "reboot":
      return "restarts the computer";
    case "exit":
      return "goes back to the firmware";
    case "fwsetup":
      return "opens the firmware's setup";
    case "chainloader":
    case "ntldr":
      return `starts another boot loader, ${file}`;
    case "loopback":
      return `looks into another image, ${args[1] ?? file}`;
    default:
      return `starts something else than Linux (${name} ${file})`;
  }
}

export function bootOf({ kernel, words, initrds, other }: Chosen): GrubBoot {
  if (other !== undefined) return { kind: "other", does: other };
  if (kernel === undefined) return { kind: "other", does: "starts no kernel" };
  return { kind: "linux", kernel, initrds, words };
}
