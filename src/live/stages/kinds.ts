import type { Boots } from "../boots.ts";
import type { StageKind } from "../stage.ts";
import { bootTestStage } from "./boot-test.ts";
import { diskStage } from "./disk.ts";
import { initramfsStage } from "./initramfs.ts";
import { isoStage } from "./iso.ts";
import { kernelStage } from "./kernel.ts";
import { netbootStage } from "./netboot.ts";
import { npmStage } from "./npm.ts";
import { ownProgramStage } from "./own-program.ts";
import { packageStage } from "./package.ts";
import { payloadsStage } from "./payloads.ts";
import { programsStage } from "./programs.ts";
import { rootfsStage } from "./rootfs.ts";
import { seedStage } from "./seed.ts";
import { squashfsStage } from "./squashfs.ts";
import { stickRuntimeStage } from "./stick-runtime.ts";
import { unpackStage } from "./unpack.ts";

export const STAGE_KINDS: readonly StageKind[] = [
  seedStage,
  packageStage,
  unpackStage,
  kernelStage,
  rootfsStage,
  squashfsStage,
  initramfsStage,
  payloadsStage,
  isoStage,
  diskStage,
  netbootStage,
  npmStage,
  programsStage,
  ownProgramStage,
  stickRuntimeStage,
  bootTestStage(undefined),
];

/** The same, with somebody who boots. */
export const stageKindsWith = (boots: Boots): readonly StageKind[] => [
  ...STAGE_KINDS.filter(({ kind }) => kind !== "boot-test"),
  bootTestStage(boots),
];
