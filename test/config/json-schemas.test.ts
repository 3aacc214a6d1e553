import { readdirSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { jsonSchemaFiles } from "../../src/config/json-schemas.ts";
import { PARAMETERS } from "../../src/contract/parameters.ts";
import { specSchemaText } from "../../src/live/spec-schema.ts";
import { STAGE_KINDS } from "../../src/live/stages/kinds.ts";

const SCHEMA = resolve(import.meta.dirname, "../../schema");

test("schema/ holds what npm run schema writes, and nothing else", () => {
  const files = new Map([...jsonSchemaFiles(), ["live-spec.schema.json", specSchemaText(STAGE_KINDS)]]);
  expect(readdirSync(SCHEMA).sort()).toEqual([...files.keys()].sort());
  for (const [name, content] of files) expect(readFileSync(join(SCHEMA, name), "utf8"), name).toBe(content);
});

test("the schema of hiperiso.json knows every key of the contract, and no others", () => {
  const schema = JSON.parse(jsonSchemaFiles().get("hiperiso.schema.json")!);
  const control = schema.properties.control;
  const override = schema.properties.iso_overrides.additionalProperties;
  const keys = (key: "control" | "override") => PARAMETERS.flatMap((row) => row[key] ?? []);
  // What the contract leaves to the project: what the menu shows, and whom it asks for a password.
  const own = ["image_folders", "image_depth", "default_image", "hidden_images", "menu_serial", "menu_password", "image_passwords"];
  expect(Object.keys(control.properties).sort()).toEqual([...keys("control"), "fallback_no_kvm", "timeout", ...own].sort());
  expect(Object.keys(override.properties).sort()).toEqual(keys("override").sort());
  for (const section of [schema, control, override]) expect([section.additionalProperties, section.required]).toEqual([false, undefined]);
  expect(control.properties.default_ram).toMatchObject({ type: "integer", minimum: 16, maximum: 1_048_576 });
});
