/** What the commands of `hiperiso stick` print with `--json`: one object each. A program may rely on what stands here; more may come beside it. */
import * as z from "zod";
import { adoptionSchema } from "./adoption.ts";

/** Bytes of a disk: a string where a number of JavaScript would not hold them exactly. */
const diskBytes = z.union([z.int().min(0), z.string().regex(/^\d+$/)]);
/** On the stick, from the data partition's root. */
const stickPath = z.string().startsWith("/");
const sha256 = z.string().regex(/^[0-9a-f]{64}$/);
const guid = z.string().regex(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/);
const count = z.int().min(0);

const writtenImage = {
  from: z.string().describe("The file on this computer."),
  path: stickPath,
  sizeBytes: diskBytes,
  sha256: sha256.nullable().describe("Null where nothing was written."),
  checkedAgainst: z.string().nullable().describe("Name of the list of sums that it was checked against."),
};
const partition = { guid, offset: diskBytes, sizeBytes: diskBytes };

export const stickCreatedSchema = z.object({
  place: z.string(),
  dryRun: z.boolean(),
  sizeBytes: diskBytes,
  sectorBytes: z.union([z.literal(512), z.literal(4096)]),
  diskGuid: guid,
  data: z.object({ ...partition, freeBytes: diskBytes }),
  esp: z.object({ ...partition, usedBytes: diskBytes }),
  boots: z.boolean().describe("False: it carries images and boots nothing."),
  images: z.array(z.object(writtenImage)),
});

export const stickAddedSchema = z.object({
  dryRun: z.boolean(),
  images: z.array(z.object({ ...writtenImage, replaces: stickPath.nullable() })),
  skipped: z.array(z.object({ from: z.string(), path: stickPath })).describe("Those that were there already."),
  totalBytes: diskBytes,
});

export const stickRemovedSchema = z.object({ removed: z.array(stickPath) });

export const IMAGE_STATES = ["added", "copied", "changed", "missing"] as const;

export const stickListedSchema = z.object({
  images: z.array(
    z.object({
      path: stickPath,
      sizeBytes: diskBytes,
      state: z
        .enum(IMAGE_STATES)
        .describe(
          "added: by hiperiso, its sum is kept; copied: by hand, its sum is not known; changed: it has another size than was added; missing: it was added, and is gone",
        ),
      sha256: sha256.nullable(),
    }),
  ),
  freeBytes: diskBytes,
  unfinishedBytes: diskBytes.describe("Held by copies that were cut off."),
});

export const STICK_PROBLEMS = [
  "table",
  "data-file-system",
  "data-format",
  "esp-file-system",
  "esp-manifest",
  "esp-file-missing",
  "esp-file-changed",
  "images-record",
  "image-missing",
  "image-changed",
  "image-unreadable",
  "config",
] as const;

export const stickVerifiedSchema = z.object({
  clean: z.boolean(),
  imagesChecked: count,
  espFilesChecked: count,
  problems: z.array(
    z.object({
      id: z.enum(STICK_PROBLEMS),
      path: z.string().nullable().describe("On the stick; null for what is about a partition or the whole."),
      text: z.string(),
      hint: z.string().nullable().describe("What mends it."),
    }),
  ),
  notes: z.array(z.string()),
});

export const stickUpdatedSchema = z.object({
  dryRun: z.boolean(),
  before: z.string().nullable().describe("The version that had written the boot partition; null where it cannot be read."),
  after: z.string(),
  usedBytes: diskBytes,
});

export const stickConfigSchema = z.object({
  written: z.boolean(),
  errors: count,
  warnings: count,
  findings: z.array(
    z.object({
      where: z.string(),
      line: z.int().min(1),
      column: z.int().min(1),
      path: z.string().describe("The key: control.default_ram; empty for the file as a whole."),
      message: z.string(),
      severity: z.enum(["error", "warning"]),
    }),
  ),
});

export const SESSION_STATES = ["complete", "failed", "cut off", "running", "gone"] as const;

const listedSession = z.object({
  id: z.string(),
  folder: stickPath.nullable().describe("Null where only its line in the index is left."),
  state: z.enum(SESSION_STATES),
  result: z.string().nullable(),
  imagePath: z.string().nullable(),
  startTimeUtc: z.string().nullable(),
});

/** Of `stick pull --list` the sessions alone. */
export const stickPulledSchema = z.object({
  sessions: z.array(listedSession).describe("Oldest first."),
  target: z.string().optional(),
  copied: z
    .array(
      z.object({ id: z.string(), directory: z.string(), closed: z.boolean().describe("It had been cut off, and is marked failed here.") }),
    )
    .optional(),
  here: z.array(z.string()).optional().describe("Ids of those that were here already."),
  running: z.array(z.string()).optional().describe("Ids of those that are being recorded."),
});

export const stickPersistenceSchema = z.object({ path: z.string(), label: z.string(), sizeBytes: diskBytes });

/** Of `stick adopt`; with `--remove` the second. */
export const stickAdoptedSchema = z.object({
  dryRun: z.boolean(),
  mode: z.string().describe("Whose part of ventoy.json counts."),
  renewed: z.boolean().describe("hiperiso was on the stick already, whole or cut off."),
  files: z.array(z.object({ path: stickPath, sizeBytes: diskBytes })),
  totalBytes: diskBytes,
  freeBytes: diskBytes.describe("Before."),
  images: count.describe("In Ventoy's menu."),
  config: z.object({ path: stickPath, fate: z.enum(["made", "kept"]), text: z.string() }),
  ventoyMenu: z.object({ path: stickPath, existed: z.boolean() }),
  ventoyJson: z.object({
    found: z.boolean(),
    findings: z.array(z.object({ line: z.int().min(1), column: z.int().min(1), message: z.string() })),
    taken: z.array(
      z.object({
        plugin: z.string(),
        line: z.int().min(1).nullable(),
        outcome: z.enum(["taken", "partly", "left"]),
        what: z.string(),
        why: z.string().nullable(),
      }),
    ),
  }),
  adoption: adoptionSchema.nullable().describe("What was added; null of a dry run."),
});

export const stickUnadoptedSchema = z.object({
  dryRun: z.boolean(),
  removed: z.array(stickPath),
  restored: z.array(stickPath),
  kept: z.array(stickPath),
});

export type StickCreated = z.infer<typeof stickCreatedSchema>;
export type StickAdded = z.infer<typeof stickAddedSchema>;
export type StickRemoved = z.infer<typeof stickRemovedSchema>;
export type StickListed = z.infer<typeof stickListedSchema>;
export type StickVerified = z.infer<typeof stickVerifiedSchema>;
export type StickUpdated = z.infer<typeof stickUpdatedSchema>;
export type StickConfigChecked = z.infer<typeof stickConfigSchema>;
export type StickPulled = z.infer<typeof stickPulledSchema>;
export type StickPersistenceMade = z.infer<typeof stickPersistenceSchema>;
export type StickAdopted = z.infer<typeof stickAdoptedSchema>;
export type StickUnadopted = z.infer<typeof stickUnadoptedSchema>;
