/**
 * The JSON Schemas in `schema/`, for whoever reads a session or writes a `hiperiso.json` without this program.
 * Made from the same definitions that the program checks by: `npm run schema` writes them, a test holds them equal.
 */
import * as z from "zod";
import { adoptionSchema } from "../contract/adoption.ts";
import { reportSchema } from "../contract/report.ts";
import { scriptSchema } from "../contract/script.ts";
import {
  endingSchema,
  indexLineSchema,
  ownerSchema,
  scriptFileSchema,
  sessionSchema,
  statusSchema,
  timingSchema,
} from "../contract/session.ts";
import { stickImagesSchema, stickManifestSchema, stickMenuFactsSchema } from "../contract/stick.ts";
import {
  stickAddedSchema,
  stickAdoptedSchema,
  stickConfigSchema,
  stickCreatedSchema,
  stickListedSchema,
  stickPersistenceSchema,
  stickPulledSchema,
  stickRemovedSchema,
  stickUnadoptedSchema,
  stickUpdatedSchema,
  stickVerifiedSchema,
} from "../contract/stick-answers.ts";
import { suiteResultSchema, suiteSchema } from "../contract/suite.ts";
import { configSchema } from "./config-schema.ts";

const SCHEMAS: readonly (readonly [file: string, title: string, schema: z.ZodType])[] = [
  ["session", "session.json of a session directory", sessionSchema],
  ["status", "status.json of a session directory", statusSchema],
  ["index-line", "a line of index.jsonl", indexLineSchema],
  ["report", "report.json of a session directory", reportSchema],
  ["ending", "ending.json of a session directory: why the boot ended", endingSchema],
  ["timing", "timing.json of a session directory", timingSchema],
  ["owner", "owner.json of a session directory: the process that writes it", ownerSchema],
  ["steps", "steps.json of a session directory: what a script did with the guest", scriptFileSchema],
  ["script", "the script of a boot: hiperiso boot --script", scriptSchema],
  ["test", "a test file: hiperiso test", suiteSchema],
  ["test-results", "what hiperiso test --json prints", suiteResultSchema],
  ["stick-images", "hiperiso/images.json on a stick: what was put there, with its sums", stickImagesSchema],
  [
    "stick-manifest",
    "hiperiso-stick.json in a stick's /ventoy/ventoy.cpio: what it is, and what stands on its boot partition",
    stickManifestSchema,
  ],
  ["stick-create", "what hiperiso stick create --json prints", stickCreatedSchema],
  ["stick-add", "what hiperiso stick add --json prints", stickAddedSchema],
  ["stick-remove", "what hiperiso stick remove --json prints", stickRemovedSchema],
  ["stick-list", "what hiperiso stick list --json prints", stickListedSchema],
  ["stick-verify", "what hiperiso stick verify --json prints", stickVerifiedSchema],
  ["stick-update", "what hiperiso stick update --json prints", stickUpdatedSchema],
  ["stick-config", "what hiperiso stick config --json prints", stickConfigSchema],
  ["stick-pull", "what hiperiso stick pull --json prints", stickPulledSchema],
  ["stick-persistence", "what hiperiso stick persistence --json prints", stickPersistenceSchema],
  ["stick-adopt", "what hiperiso stick adopt --json prints", stickAdoptedSchema],
  ["stick-unadopt", "what hiperiso stick adopt --remove --json prints", stickUnadoptedSchema],
  ["stick-adoption", "hiperiso/adopted.json on a Ventoy stick: what hiperiso added to it", adoptionSchema],
  ["stick-menu", "/EFI/hiperiso/menu.json on a stick's boot partition: what its menu was made from", stickMenuFactsSchema],
  ["hiperiso", "hiperiso.json: the configuration of a stick or a workstation", configSchema],
];

/** File name in `schema/` and content. What a reader may meet, so defaults are not required (`io: "input"`). */
export function jsonSchemaFiles(): ReadonlyMap<string, string> {
  return new Map(
    SCHEMAS.map(([name, title, schema]) => {
      const { $schema, ...rest } = z.toJSONSchema(schema, { io: "input" });
      return [`${name}.schema.json`, `${JSON.stringify({ $schema, title, ...rest }, null, 2)}\n`];
    }),
  );
}
