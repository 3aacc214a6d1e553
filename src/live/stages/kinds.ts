import type { StageKind } from "../stage.ts";
import { grubStage } from "./grub.ts";
import { initramfsStage } from "./initramfs.ts";
import { isoStage } from "./iso.ts";
import { kernelStage } from "./kernel.ts";
import { packageStage } from "./package.ts";
import { rootfsStage } from "./rootfs.ts";
import { squashfsStage } from "./squashfs.ts";
import { unpackStage } from "./unpack.ts";

export const STAGE_KINDS: readonly StageKind[] = [
  packageStage,
  unpackStage,
  kernelStage,
  rootfsStage,
  squashfsStage,
  initramfsStage,
  grubStage,
  isoStage,
];
