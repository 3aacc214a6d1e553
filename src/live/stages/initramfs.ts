/** The first root file system of a kernel, as a stage of its own. */
import { z } from "zod";
import { InitramfsOptions, initramfsIngredients, writeInitramfs } from "../initramfs.ts";
import { stageKind } from "../stage.ts";

/** Output: `initrd.img` and `live.json`. */
export const initramfsStage = stageKind({
  kind: "initramfs",
  revision: 2,
  options: z.strictObject(InitramfsOptions),
  inputs: { kernel: "required", busybox: "optional", root: "optional" },
  ingredients: initramfsIngredients,
  run: (wish, run) =>
    writeInitramfs(wish, { kernel: run.inputs["kernel"]!, busybox: run.inputs["busybox"], root: run.inputs["root"] }, run),
});
