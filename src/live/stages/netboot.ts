/** What a computer boots over the network: kernel, initramfs, root image, and the script by which iPXE starts them. */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { HiperisoError } from "../../contract/error.ts";
import { fetchWords } from "../medium/live-arguments.ts";
import { MenuOptions } from "../medium/menu.ts";
import { BASE_URL, ipxeScript } from "../medium/netboot-script.ts";
import { checkModules, linkOrCopy, readParts } from "../medium/parts.ts";
import { stageKind } from "../stage.ts";

const { title, kernel_arguments } = MenuOptions;
const Options = z.strictObject({
  title,
  kernel_arguments,
  url: z
    .string()
    .regex(/^https?:\/\/[A-Za-z0-9._~:@[\]-]+(\/[A-Za-z0-9._~%@:/-]*)?$/, "expected http://HOST/PATH")
    .refine((text) => !text.endsWith("/"), "expected no / at its end")
    .optional()
    .describe("Folder on the server; unless given, the one that boot.ipxe is fetched from."),
  modules: z
    .enum(["in-root", "elsewhere"])
    .default("in-root")
    .describe("`elsewhere`: the root file system need not have the kernel's modules."),
});

/** Output: `vmlinuz`, `initrd.img`, the root image, `boot.ipxe`, and `netboot.json`: file names and arguments for whoever writes another script. */
export const netbootStage = stageKind({
  kind: "netboot",
  revision: 1,
  options: Options,
  inputs: { root: "required", kernel: "required", initramfs: "optional" },
  ingredients: async () => ({}),

  async run({ title, kernel_arguments, url, modules }, { inputs, output }) {
    const parts = await readParts({ root: inputs["root"]!, kernel: inputs["kernel"]!, initramfs: inputs["initramfs"] });
    if (modules === "in-root") checkModules(parts);
    const { kernel, initrd, image, init } = parts;
    if (init === "none") {
      throw new HiperisoError({
        what: "boot over the network",
        where: "the kernel stage",
        expected: "an initramfs that fetches the root image",
        found: "none",
        kind: "usage",
      });
    }
    const words = [
      ...fetchWords(init, `${BASE_URL}${image.name}`),
      ...(init === "own" && image.verity !== undefined ? [`hiperiso.verity=${image.verity.rootHash}`] : []),
      ...kernel_arguments,
    ];
    const initrdName = initrd === undefined ? undefined : "initrd.img";
    const script = ipxeScript({ title, words, initrd: initrdName, url });
    await linkOrCopy(kernel, join(output, "vmlinuz"));
    if (initrd !== undefined) await linkOrCopy(initrd, join(output, "initrd.img"));
    await linkOrCopy(image.path, join(output, image.name));
    if (image.verity !== undefined) await linkOrCopy(image.verity.path, join(output, image.verity.name));
    await writeFile(join(output, "boot.ipxe"), script);
    const told = { kernel: "vmlinuz", initrd: initrdName ?? null, image: image.name, arguments: words };
    await writeFile(join(output, "netboot.json"), `${JSON.stringify(told, null, 2)}\n`);
  },
});
