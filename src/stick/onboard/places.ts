/** Where a stick's partitions are mounted while the program runs on it, and how its paths are told apart from this computer's. */
import { join, posix } from "node:path";

export interface StickPlaces {
  /** The data partition, mounted. */
  readonly data: string;
  /** The boot partition, mounted read-only; on a stick that was adopted, the folder that stands for it. */
  readonly esp: string;
  /** What the first process left for us, and what we leave for it. */
  readonly run: string;
}

export const STICK_PLACES: StickPlaces = { data: "/mnt/usb", esp: "/mnt/efi", run: "/run/hiperiso" };

/** A path on the data partition as this computer has it. `..` does not lead out of the partition. */
export const onHost = ({ data }: Pick<StickPlaces, "data">, path: string): string => join(data, posix.normalize(`/${path}`));

/** The way back: as the session writes it. A path elsewhere stays as it is. */
export function onStick({ data }: Pick<StickPlaces, "data">, path: string): string {
  if (path === data) return "/";
  return path.startsWith(`${data}/`) ? path.slice(data.length) : path;
}
