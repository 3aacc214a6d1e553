/** GRUB's commands that look for file systems and at them: `search` with its older forms, and `probe`. */
import type { GrubCall } from "./grub-frame.ts";
import { normalPath } from "./menu-paths.ts";

export async function search({ name, args, frame, run: { world, tally } }: GrubCall): Promise<number> {
  const wish = searchWish(name, args);
  if (wish === undefined) return 1;
  for (const disk of world.disks) {
    const fits =
      wish.by === "file"
        ? (await world.kind(disk, normalPath(wish.what))) !== undefined
        : wish.by === "label"
          ? disk.label === wish.what
          : disk.uuid !== null && disk.uuid.toLowerCase() === wish.what.toLowerCase();
    if (!fits) continue;
    if (wish.variable !== undefined) frame.context.set(wish.variable, disk.name);
    return 0;
  }
  tally.note(`${frame.source.path}: no file system ${SEARCHED[wish.by]} ${wish.what}`);
  return 1;
}

const SEARCHED = { file: "holds", label: "has the label", uuid: "has the UUID" } as const;

interface SearchWish {
  readonly by: "file" | "label" | "uuid";
  readonly what: string;
  readonly variable: string | undefined;
}

/** Hints are not looked at: an image has few file systems, and all of them are asked. */
function searchWish(name: string, args: readonly string[]): SearchWish | undefined {
  if (name !== "search") {
    const [what, variable] = args;
    const by = name.endsWith("file") ? "file" : name.endsWith("label") ? "label" : "uuid";
    return what === undefined ? undefined : { by, what, variable };
  }
  let by: SearchWish["by"] | undefined;
  let variable: string | undefined;
  const rest: string[] = [];
  for (let at = 0; at < args.length; at += 1) {
    const word = args[at]!;
    if (word === "--file" || word === "-f") by = "file";
    else if (word === "--label" || word === "-l") by = "label";
    else if (word === "--fs-uuid" || word === "-u") by = "uuid";
    else if (word === "--set" || word === "-s") variable = "root";
    else if (word.startsWith("--set=")) variable = word.slice("--set=".length);
    else if (word === "--hint" || word === "-h") at += 1;
    else if (!/^-/.test(word)) rest.push(word);
  }
  // `--set root --file /x` means root, although GRUB itself would search for a file of that name.
  if (variable === "root" && rest.length > 1 && /^[a-z_]+$/.test(rest[0]!)) variable = rest.shift();
  // `search --file --set=/x`: the only word is what is searched for.
  if (rest.length === 0 && variable !== undefined && variable !== "root") return by && { by, what: variable, variable: "root" };
  return by === undefined || rest[0] === undefined ? undefined : { by, what: rest[0], variable };
}

export function probe({ args, frame, run: { world } }: GrubCall): number {
  const options = args.filter((word) => word.startsWith("-"));
  const device = args.find((word) => !word.startsWith("-"))?.replace(/^\((.*)\)$/, "$1");
  const disk = device === undefined ? undefined : world.disk(device);
  const variable = options.find((option) => option.startsWith("--set="))?.slice("--set=".length);
  if (disk === undefined) return 1;
  const asked = (...names: readonly string[]) => options.some((option) => names.includes(option));
  const value = asked("-u", "--fs-uuid")
    ? disk.uuid
    : asked("-l", "--label")
      ? disk.label
      : asked("-f", "--fs")
        ? disk.fileSystem.replace(/^(fat)(12|16|32)$/, "$1")
        : null;
  if (value === null) return 1;
  if (variable !== undefined) frame.context.set(variable, value);
  return 0;
}
