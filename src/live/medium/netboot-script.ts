/** boot.ipxe: what iPXE fetches first and runs (https://ipxe.org/scripting). Kernel, initramfs and root image stand beside it. */
import { HiperisoError } from "../../contract/error.ts";
import { kernelLine } from "./menu.ts";

/** In arguments: the folder that the files are fetched from, with a slash at its end. A variable of the script. */
// biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's syntax
export const BASE_URL = "${base}";

export interface NetbootPlan {
  readonly title: string;
  readonly words: readonly string[];
  /** Undefined: none. */
  readonly initrd: string | undefined;
  /** Where the files will stand; undefined: where the script itself came from. */
  readonly url: string | undefined;
}

/** Throws a usage error at an argument with a variable of iPXE in it that is not ours. */
export function ipxeScript({ title, words, initrd, url }: NetbootPlan): string {
  const foreign = words.find((word) => word.replaceAll(BASE_URL, "").includes("${"));
  if (foreign !== undefined) {
    throw new HiperisoError({
      what: "write boot.ipxe",
      where: foreign,
      expected: "an argument without ${, which iPXE takes for a variable",
      kind: "usage",
    });
  }
  // `initrd=`: kernels with an EFI stub know by it which of the loaded files is theirs.
  const line = kernelLine([...(initrd === undefined ? [] : [`initrd=${initrd}`]), ...words]);
  const files = [`kernel ${BASE_URL}vmlinuz ${line}`, ...(initrd === undefined ? [] : [`initrd ${BASE_URL}${initrd}`]), "boot"];
  const head = ["#!ipxe", `echo ${plain(title)}`];
  if (url !== undefined) return [...head, `set base ${url}/`, ...files, ""].join("\n");
  return [
    ...head,
    // Since 2020: the folder of the script that runs (https://ipxe.org/cfg/cwduri).
    `set base ${CWD_URL}`,
    `isset ${BASE_URL} || goto unknown`,
    ...files,
    ":unknown",
    "echo This iPXE does not tell where it fetched this script from. Give the folder on the server as url in the netboot stage.",
    "exit 1",
    "",
  ].join("\n");
}

// biome-ignore lint/suspicious/noTemplateCurlyInString: iPXE's syntax
const CWD_URL = "${cwduri}";

/** Of a title what iPXE would not take for syntax. */
const plain = (text: string): string => text.replace(/[^\p{L}\p{N} .,:()_-]/gu, " ");
