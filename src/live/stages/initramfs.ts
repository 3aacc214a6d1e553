/** The first root file system of a kernel, as a stage of its own. */
import { z } from "zod";
import { InitramfsOptions, initramfsIngredients, writeInitramfs } from "../initramfs.ts";
import { stageKind } from "../stage.ts";

/** Output: `initrd.img` and `live.json`. */
export const initramfsStage = stageKind({
  kind: "initramfs",
  revision: 5,
  options: z.strictObject(InitramfsOptions),
  inputs: { kernel: "required", busybox: "optional", root: "optional", packages: "optional" },
  ingredients: initramfsIngredients,
  run: (wish, run) => {
    const { kernel, busybox, root, packages } = run.inputs;
    return writeInitramfs(wish, { kernel: kernel!, busybox, root, packages }, run);
  },
});
