/** A Ventoy stick to which hiperiso was added: names and places on its data partition, and the file in which is kept what was added. */
import * as z from "zod";

/** Paths from the root of partition 1. The boot partition is Ventoy's, and nothing on it is ours. */
export const ADOPTION = {
  /** Laid out as the boot partition of a stick of ours: `init` binds it to where that would be. */
  runtime: "/hiperiso/runtime",
  record: "/hiperiso/adopted.json",
  /** Files that were changed or replaced, as they were. */
  before: "/hiperiso/before",
  /** Keeps Ventoy from listing what stands beside it as images. */
  ignore: "/hiperiso/.ventoyignore",
  ventoyFolder: "/ventoy",
  ventoyConfig: "/ventoy/ventoy.json",
  /** What Ventoy's key F6 opens. */
  ventoyMenu: "/ventoy/ventoy_grub.cfg",
} as const;

const sha256 = z.string().regex(/^[0-9a-f]{64}$/);

export const adoptionSchema = z.looseObject({
  version: z.literal(1),
  /** Of the program that wrote it. */
  hiperiso_version: z.string(),
  adopted_utc: z.string().regex(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/),
  /** False while it is written, and after a cut. */
  complete: z.boolean(),
  /** Whose part of `ventoy.json` was taken: `uefi`, `legacy`, … */
  mode: z.string(),
  /** Folders that were not there before, those above first; without `/hiperiso` itself. */
  folders: z.array(z.string().startsWith("/")),
  /** What is `generated` is written anew when the images or the configuration change. */
  files: z.array(z.looseObject({ path: z.string().startsWith("/"), size_bytes: z.int().min(0), sha256, generated: z.boolean() })),
  /** Ventoy's own menu file was there before. */
  menu_existed: z.boolean(),
  /** `hiperiso.json` as it was made from `ventoy.json`; null where one that was there was left as it is. */
  config_sha256: sha256.nullable(),
  /** A `hiperiso.json` was there before, and was replaced. */
  config_existed: z.boolean(),
});

export type Adoption = z.infer<typeof adoptionSchema>;
