/** The menu of a stick that was adopted: the same as of a stick of ours, but all that it starts stands in a folder of the data partition. */
import { ADOPTION } from "../../contract/adoption.ts";
import { STICK_PARAMETERS } from "../../contract/stick.ts";
import type { MenuPlace } from "../menu/menu-functions.ts";
import { type MakeMenu, menuFiles } from "../menu-maker.ts";

/** `diskId`: as `init` looks for it; empty: the only disk with such a folder. */
export const adoptedPlace = (diskId: string): MenuPlace => ({
  folder: ADOPTION.runtime,
  onData: true,
  words: [...(diskId === "" ? [] : [`${STICK_PARAMETERS.disk}=${diskId}`]), `${STICK_PARAMETERS.runtime}=${ADOPTION.runtime}`],
});

/** Paths of its files are those on a boot partition, so below `ADOPTION.runtime`. */
export const adoptedMenu: MakeMenu = (facts) => menuFiles(facts, adoptedPlace(facts.diskGuid));
