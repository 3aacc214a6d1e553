/** What a person can do where a file cannot be written: a whole sentence. */
export function spaceHint(error: unknown): string {
  switch ((error as NodeJS.ErrnoException | undefined)?.code) {
    case "ENOSPC":
    case "EDQUOT":
      return "The file system is full: make room, or choose another place.";
    case "EROFS":
      return "The file system is read-only: choose another place.";
    case "EFBIG":
      return "The file system takes no file of this size (FAT: less than 4 GiB): choose another place.";
    case "EACCES":
    case "EPERM":
      return "You may not write there: change the permissions, or choose another place.";
    case "ENOENT":
      return "Make the folder first.";
    default:
      return "Choose another place, or mend this one.";
  }
}
