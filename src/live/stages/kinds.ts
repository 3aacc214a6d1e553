import type { StageKind } from "../stage.ts";
import { grubStage } from "./grub.ts";
import { initramfsStage } from "./initramfs.ts";
import { isoStage } from "./iso.ts";
import { kernelStage } from "./kernel.ts";
import { packageStage } from "./package.ts";
import { rootfsStage } from "./rootfs.ts";
import { squashfsStage } from "./squashfs.ts";

export const STAGE_KINDS: readonly StageKind[] = [
  packageStage,
  kernelStage,
  rootfsStage,
  squashfsStage,
  initramfsStage,
  grubStage,
  isoStage,
];
