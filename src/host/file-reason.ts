/** Why the system refused a file, in words that a person can act on. */
import { reasonOf } from "../contract/error.ts";

const REASONS: Readonly<Record<string, string>> = {
  ENOENT: "no such file",
  ENOTDIR: "a part of the path that is not a directory",
  EACCES: "no permission to read it",
  EPERM: "no permission to read it",
  ELOOP: "too many symbolic links",
  ENAMETOOLONG: "a name that is too long",
  ENXIO: "a socket, or a device that is not there",
  ENODEV: "a device that is not there",
  ENOMEDIUM: "a drive without a medium",
  ERR_INVALID_ARG_VALUE: "a path with a NUL character",
};

/** What a person can mend, by the error code of open(2); undefined for anything else. */
export const mendableReason = (error: unknown): string | undefined => REASONS[(error as NodeJS.ErrnoException).code ?? ""];

export const fileReason = (error: unknown): string => mendableReason(error) ?? reasonOf(error);
