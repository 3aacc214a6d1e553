/** What a medium stage made, as `hiperiso boot` takes it: an image, or a kernel whose root image is fetched from a server of ours. */
import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { type FolderServer, serveFolder } from "./folder-server.ts";
import { kernelLine } from "./menu.ts";
import { BASE_URL } from "./netboot-script.ts";

export interface ServedImage extends AsyncDisposable {
  /** Keys of a test file. */
  readonly words: Readonly<Record<string, string>>;
  readonly served: FolderServer | undefined;
}

const ContentsJson = z.looseObject({ file: z.string().regex(/^[^/\0]+$/) });
const NetbootJson = z.looseObject({
  arguments: z.array(z.string()),
  initrd: z
    .string()
    .regex(/^[^/\0]+$/)
    .nullable(),
});

/** `folder`: output of an iso, disk or netboot stage. */
export async function bootable(folder: string): Promise<ServedImage> {
  const netboot = await readJson(join(folder, "netboot.json"), NetbootJson);
  if (netboot !== undefined) return await servedNetboot(folder, netboot);
  const contents = await readJson(join(folder, "contents.json"), ContentsJson);
  if (contents !== undefined && (await stat(join(folder, contents.file)).catch(() => undefined))?.isFile())
    return { words: { image: join(folder, contents.file) }, served: undefined, [Symbol.asyncDispose]: async () => {} };
  throw new HiperisoError({
    what: "boot the output of a stage",
    where: folder,
    expected: "the output of an iso, disk or netboot stage",
    found: "another",
    kind: "usage",
  });
}

/** Behind QEMU's user network the computer itself is 10.0.2.2; loopback is all that is listened on. */
const GATEWAY = "10.0.2.2";

async function servedNetboot(folder: string, { arguments: words, initrd }: z.infer<typeof NetbootJson>): Promise<ServedImage> {
  const server = await serveFolder(folder);
  const line = kernelLine(words.map((word) => word.replaceAll(BASE_URL, `http://${GATEWAY}:${server.port}/`)));
  return {
    words: {
      kernel: join(folder, "vmlinuz"),
      ...(initrd === null ? {} : { initrd: join(folder, initrd) }),
      append: line,
      network: "user",
    },
    served: server,
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

async function readJson<T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> {
  const text = await readFile(path, "utf8").catch(() => undefined);
  return text === undefined ? undefined : schema.parse(JSON.parse(text));
}
